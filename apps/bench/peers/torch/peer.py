# PyTorch, eager, on one thread: the native yardstick for a whole training step.
#   python3 peer.py <folder of the data>
import math
import sys

import torch
import torch.nn.functional as F

from child import Data, probe, serve

torch.set_num_threads(1)
data = Data(sys.argv[1])
workloads = {}


def tensor(name):
    return torch.from_numpy(data.load(name))


def variable(name):
    return tensor(name).requires_grad_(True)


def kernel(compute):
    """A job of a function that answers a list of tensors."""
    return {"step": compute, "check": sum(probe(t.detach().numpy()) for t in compute())}


def train(optimizer, loss, steps):
    def step():
        optimizer.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        optimizer.step()
        return value.item()

    for _ in range(steps):
        check = step()
    return {"step": step, "check": check}


def product(form, n):
    def make():
        a, b = (tensor(f"gemm.{name}").reshape(-1)[: n * n].reshape(n, n).clone() for name in "ab")
        forms = {"nn": lambda: [a @ b], "nt": lambda: [a @ b.T], "tn": lambda: [a.T @ b]}
        return kernel(forms[form])

    return make


for form in ("nn", "nt", "tn"):
    for n in (64, 128, 256, 512, 1024):
        workloads[f"gemm.{form}.{n}"] = product(form, n)


def chain(a, b, c):
    return torch.tanh(a * b + c) * torch.sigmoid(a) - torch.relu(c)


def chain_forward():
    operands = [tensor(f"elementwise.{name}") for name in "abc"]
    return kernel(lambda: [chain(*operands)])


def chain_gradient():
    operands = [variable(f"elementwise.{name}") for name in "abc"]
    dy = torch.ones(operands[0].shape)
    return kernel(lambda: torch.autograd.grad(chain(*operands), operands, dy))


workloads["elementwise.forward"] = chain_forward
workloads["elementwise.gradient"] = chain_gradient


def convolution():
    x, w = tensor("conv2d.x"), tensor("conv2d.w")
    return kernel(lambda: [F.conv2d(x, w, padding=1)])


def convolution_gradients():
    x, w, dy = variable("conv2d.x"), variable("conv2d.w"), tensor("conv2d.dy")

    def compute():
        y = F.conv2d(x, w, padding=1)
        return [y, *torch.autograd.grad(y, (x, w), dy)]

    return kernel(compute)


workloads["conv2d.forward"] = convolution
workloads["conv2d.gradients"] = convolution_gradients


def regression():
    x, y = tensor("regression.x"), tensor("regression.y")
    w, b = variable("regression.w"), variable("regression.b")
    return train(torch.optim.SGD([w, b], 0.01), lambda: ((x @ w + b - y) ** 2).mean(), 10)


workloads["regression"] = regression


def stack(h, p):
    """Fully connected layers with relu between; p is w1, b1, w2, b2, ..."""
    for w, b in zip(p[0:-2:2], p[1:-2:2]):
        h = torch.relu(torch.addmm(b, h, w))
    return torch.addmm(p[-1], h, p[-2])


mlp_names = [f"mlp.{name}" for name in ("w1", "b1", "w2", "b2", "w3", "b3")]
dense_names = [f"lenet.{name}" for name in ("w1", "b1", "w2", "b2", "w3", "b3")]
filter_names = [f"lenet.{name}" for name in ("k1", "c1", "k2", "c2")]


def lenet(x, filters, dense):
    h = F.max_pool2d(torch.relu(F.conv2d(x, filters[0], filters[1])), 2)
    h = F.max_pool2d(torch.relu(F.conv2d(h, filters[2], filters[3])), 2)
    return stack(h.reshape(-1, 256), dense)


def mlp_forward():
    x, p = tensor("mlp.x.64"), [tensor(name) for name in mlp_names]
    return kernel(lambda: [stack(x, p)])


def mlp_training(batch):
    def make():
        x, label = tensor(f"mlp.x.{batch}"), tensor(f"mlp.labels.{batch}").long()
        p = [variable(name) for name in mlp_names]
        return train(torch.optim.Adam(p, 1e-3), lambda: F.cross_entropy(stack(x, p), label), 5)

    return make


def lenet_forward():
    x = tensor("lenet.x.32")
    filters, dense = ([tensor(name) for name in names] for names in (filter_names, dense_names))
    return kernel(lambda: [lenet(x, filters, dense)])


def lenet_training(batch):
    def make():
        x, label = tensor(f"lenet.x.{batch}"), tensor(f"lenet.labels.{batch}").long()
        filters, dense = ([variable(name) for name in names] for names in (filter_names, dense_names))
        optimizer = torch.optim.SGD([*filters, *dense], 0.01, momentum=0.9)
        return train(optimizer, lambda: F.cross_entropy(lenet(x, filters, dense), label), 10)

    return make


workloads["mlp.forward"] = mlp_forward
workloads["lenet.forward"] = lenet_forward
for batch in (64, 128):
    workloads[f"mlp.{batch}"] = mlp_training(batch)
for batch in (32, 64):
    workloads[f"lenet.{batch}"] = lenet_training(batch)


def gpt():
    vocabulary, length, batch, width, heads, blocks = 256, 128, 4, 128, 4, 2
    outer = {name: variable(f"gpt.{name}") for name in ("embedding", "positions", "norm.scale", "norm.shift", "head")}
    in_block = ("norm1.scale", "norm1.shift", "query", "key", "value", "output")
    in_wide_layer = ("norm2.scale", "norm2.shift", "up", "up.bias", "down", "down.bias")
    inner = [{name: variable(f"gpt.{i}.{name}") for name in in_block + in_wide_layer} for i in range(blocks)]
    tokens, targets = (tensor(f"gpt.{name}").long().reshape(-1) for name in ("tokens", "targets"))
    mask = torch.triu(torch.full((length, length), -1e9), 1)

    def norm(x, p, name):
        return F.layer_norm(x, (width,), p[f"{name}.scale"], p[f"{name}.shift"], 1e-5)

    def split(x, w):
        return (x @ w).reshape(batch, length, heads, width // heads).transpose(1, 2)

    def loss():
        x = outer["embedding"][tokens].reshape(batch, length, width) + outer["positions"]
        x = x.reshape(batch * length, width)
        for p in inner:
            h = norm(x, p, "norm1")
            query, key, value = (split(h, p[name]) for name in ("query", "key", "value"))
            weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(width // heads) + mask, -1)
            x = x + (weights @ value).transpose(1, 2).reshape(batch * length, width) @ p["output"]
            wide = F.gelu(torch.addmm(p["up.bias"], norm(x, p, "norm2"), p["up"]), approximate="tanh")
            x = x + torch.addmm(p["down.bias"], wide, p["down"])
        return F.cross_entropy(norm(x, outer, "norm") @ outer["head"], targets)

    variables = [*outer.values(), *(v for p in inner for v in p.values())]
    return train(torch.optim.Adam(variables, 1e-3), loss, 5)


workloads["gpt"] = gpt


def lstm(length):
    def make():
        embedding, head = variable("lstm.embedding"), variable("lstm.head")
        cell = torch.nn.LSTM(128, 128, batch_first=True)
        # Its weights are transposed, and it has a second bias, which stays zero.
        with torch.no_grad():
            cell.weight_ih_l0.copy_(tensor("lstm.input").T)
            cell.weight_hh_l0.copy_(tensor("lstm.state").T)
            cell.bias_ih_l0.copy_(tensor("lstm.bias"))
            cell.bias_hh_l0.zero_()
        cell.bias_hh_l0.requires_grad_(False)
        tokens, targets = (tensor(f"lstm.{name}.{length}").long() for name in ("tokens", "targets"))

        def loss():
            outputs, _ = cell(embedding[tokens])
            return F.cross_entropy(outputs.reshape(-1, 128) @ head, targets.reshape(-1))

        trained = [embedding, cell.weight_ih_l0, cell.weight_hh_l0, cell.bias_ih_l0, head]
        return train(torch.optim.Adam(trained, 1e-3), loss, 5)

    return make


for length in (64, 512):
    workloads[f"lstm.{length}"] = lstm(length)
serve(f"PyTorch {torch.__version__}, 1 thread", workloads)
