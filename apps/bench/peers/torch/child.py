# The process of a peer written in Python: answers the harness, one request after the other, as src/child.ts does.
import json
import sys
import time
from pathlib import Path

import numpy as np


class Data:
    """The arrays of a folder, by name."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.index = json.loads((self.folder / "index.json").read_text())

    def load(self, name):
        spec = self.index[name]
        dtype = np.int32 if spec["draw"]["kind"] == "integers" else np.float32
        return np.fromfile(self.folder / f"{name}.bin", dtype=dtype).reshape(spec["shape"])


def probe(values):
    """The mean of |x| with weights 1 ... 7 in turn."""
    flat = np.abs(np.asarray(values, dtype=np.float64)).reshape(-1)
    weights = 1 + np.arange(flat.size) % 7
    return float((flat * weights).sum() / weights.sum())


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def serve(version, workloads):
    """`workloads` makes jobs by name: dicts of `step`, a function, and `check`, a number."""
    job = None

    def answer(request):
        nonlocal job
        op = request["op"]
        if op == "start":
            return {"version": version}
        if op == "setUp":
            make = workloads.get(request["workload"])
            if make is None:
                raise LookupError("this peer has no such workload")
            job = make()
            return {"check": job["check"], "note": job.get("note")}
        if op == "run":
            step = job["step"]
            processor, start = time.process_time(), time.perf_counter()
            for _ in range(request["steps"]):
                step()
            elapsed = time.perf_counter() - start
            return {"milliseconds": elapsed * 1e3, "processorMilliseconds": (time.process_time() - processor) * 1e3}
        return {"bytes": resident_bytes()}

    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:
            reply = {"failure": f"{type(error).__name__}: {error}"}
        print("@" + json.dumps(reply), flush=True)
