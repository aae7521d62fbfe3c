#!/usr/bin/env python3
"""Times steps of PyTorch.

Training, with SGD, momentum and weight decay:
  float      no quantization
  qat        quantization-aware training of torch.ao in graph mode: 8 bits, moving averages, batch norm folded
  qat-pt2e   that of torchao on an exported program, meant for --compile
  lsq        learned step sizes in front of every convolution and linear layer and on its weight, written by hand
  brevitas   Brevitas with learned scales per tensor
  nncf       NNCF's quantize()
Inference:
  infer      float
  int8       static quantization of torch.ao in graph mode
  int8-pt2e  that of torchao, meant for --compile
"""
import logging
import os
import warnings

import turns

TRAINING = ["float", "qat", "qat-pt2e", "lsq", "brevitas", "nncf"]
INFERENCE = ["infer", "int8", "int8-pt2e"]


def main():
    p = turns.arguments(__doc__, ["lenet", "cifarfull", "resnet8", "resnet20", "mobilenet"], TRAINING + INFERENCE)
    p.add_argument("--compile", action="store_true", help="torch.compile")
    p.add_argument("--channels-last", action="store_true")
    p.add_argument("--bf16", action="store_true", help="mixed precision with bfloat16")
    p.add_argument("--bits", type=int, default=8, help="width of lsq and brevitas")
    args = p.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import torch
    import formula
    from torch_nets import build

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    net, shape = build(args.net)
    x, y = torch.from_numpy(formula.samples(args.batch, shape)), torch.from_numpy(formula.labels(args.batch))
    if args.channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    training = args.mode in TRAINING
    net = net.train(training)
    if args.mode not in ("float", "infer"):
        import torch_quantized
        net = torch_quantized.prepare(net, x, args.mode, args.bits)
    step = training_step(net, x, y, args) if training else inference_step(net, x, args)
    words = ["compiled" if args.compile else "eager"] + ["channels_last"] * args.channels_last + ["bf16"] * args.bf16
    words += [f"w{args.bits}a{args.bits}"] * (args.mode in ("lsq", "brevitas")) + ["tcmalloc"] * ("tcmalloc" in os.environ.get("LD_PRELOAD", ""))
    turns.run(args, step, "torch " + torch.__version__.split("+")[0], " ".join(words))


def training_step(net, x, y, args):
    import torch
    import torch.nn.functional as F
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    if args.compile:
        net = torch.compile(net)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()

    return step


def inference_step(net, x, args):
    import torch
    if args.compile:
        import torch._inductor.config
        torch._inductor.config.freezing = True
        net = torch.compile(net)

    def step():
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            net(x)

    return step


if __name__ == "__main__":
    turns.main(main)
