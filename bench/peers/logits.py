#!/usr/bin/env python3
"""Writes what every network of the benchmark computes with the weights and samples of the formula, as JSON.

  python logits.py > ../testdata/logits.json

"evaluate" are the logits with the moving statistics, "train" those with the statistics of the batch; "loss" is the mean
cross entropy of the latter and "gradient" the Euclidean norm of its gradient over all parameters. Everything is computed
in float64. The tests of the Go side hold its networks to these numbers.
"""
import json

import torch
import torch.nn.functional as F

import formula
from torch_nets import NETS, build

BATCH = 4


def compute(name):
    net, shape = build(name)
    net = net.double()
    x, y = torch.from_numpy(formula.samples(BATCH, shape)).double(), torch.from_numpy(formula.labels(BATCH))
    with torch.no_grad():
        evaluated = net.eval()(x)
    trained = net.train()(x)
    loss = F.cross_entropy(trained, y)
    loss.backward()
    norm = sum(p.grad.square().sum() for p in net.parameters()).sqrt()
    return {"evaluate": evaluated.tolist(), "train": trained.tolist(), "loss": loss.item(), "gradient": norm.item()}


def rounded(v):
    return [rounded(e) for e in v] if isinstance(v, list) else round(v, 6)


def main():
    torch.set_num_threads(1)
    print('{\n"made_by": "bench/peers/logits.py",\n"torch": %s,\n"batch": %d,\n"nets": {' % (json.dumps(torch.__version__), BATCH))
    for i, name in enumerate(NETS):
        lines = ["%s: %s" % (json.dumps(k), json.dumps(rounded(v))) for k, v in compute(name).items()]
        print(('"%s": {\n ' % name + ",\n ".join(lines)).replace("], [", "],\n  [") + ("\n}," if i + 1 < len(NETS) else "\n}"))
    print("}\n}")


if __name__ == "__main__":
    main()
