# The MLP in PyTorch, trained for one step; data and weights by the formula of src/cold/sample.ts.
import json
import math
import resource
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)


def spread(shape, scale):
    i = torch.arange(math.prod(shape))
    return ((i * 40503 % 65536) / 32768 - 1).mul(scale).reshape(shape)


x, labels = spread((64, 784), 1), torch.arange(64) % 10
parameters = []
for fan_in, fan_out in ((784, 256), (256, 128), (128, 10)):
    parameters += [spread((fan_in, fan_out), math.sqrt(6 / fan_in)), torch.zeros(fan_out)]
for p in parameters:
    p.requires_grad_(True)
optimizer = torch.optim.Adam(parameters, 1e-3)
w1, b1, w2, b2, w3, b3 = parameters
h = torch.relu(torch.addmm(b1, x, w1))
h = torch.relu(torch.addmm(b2, h, w2))
loss = F.cross_entropy(torch.addmm(b3, h, w3), labels)
loss.backward()
optimizer.step()


def peak_bytes():
    """Linux's own figure where there is one: that of getrusage begins with what the process that started this one held."""
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return 1024 * int(line.split()[1])
    # Kilobytes, but on macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


print("@" + json.dumps({"loss": loss.item(), "peakBytes": peak_bytes()}), flush=True)
