"""The networks of the benchmark in PyTorch, layer for layer those of package layers."""
import torch
from torch import nn

import formula


def conv_bn(c, o, k, stride=1, groups=1):
    return [nn.Conv2d(c, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity, or beside a 1x1 convolution where the block widens."""

    def __init__(self, c, o, stride):
        super().__init__()
        self.path = nn.Sequential(*conv_bn(c, o, 3, stride), nn.ReLU(), *conv_bn(o, o, 3))
        self.shortcut = nn.Identity() if c == o else nn.Sequential(*conv_bn(c, o, 1, stride))
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.path(x) + self.shortcut(x))


class Network(nn.Module):
    """Layers in a row. Tools that add modules of their own to a network would have a Sequential run them."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


def head(c):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10)]


def lenet():
    return Network(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))


def cifarfull():
    def average():
        return nn.AvgPool2d(3, 2, ceil_mode=True)
    return Network(
        nn.Conv2d(3, 32, 5, padding=2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU(),
        nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(), average(),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), average(),
        nn.Flatten(), nn.Linear(1024, 10))


def resnet(blocks):
    net, c = conv_bn(3, 16, 3) + [nn.ReLU()], 16
    for width in (16, 32, 64):
        for _ in range(blocks):
            net.append(Residual(c, width, 1 if c == width else 2))
            c = width
    return Network(*net, *head(c))


def mobilenet():
    net, c = conv_bn(3, 32, 3) + [nn.ReLU()], 32
    for width, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        net += conv_bn(c, c, 3, stride, groups=c) + [nn.ReLU()] + conv_bn(c, width, 1) + [nn.ReLU()]
        c = width
    return Network(*net, *head(c))


NETS = {
    "lenet": (lenet, (1, 28, 28)),
    "cifarfull": (cifarfull, (3, 32, 32)),
    "resnet8": (lambda: resnet(1), (3, 32, 32)),
    "resnet20": (lambda: resnet(3), (3, 32, 32)),
    "mobilenet": (mobilenet, (3, 32, 32)),
}


def build(name):
    """Returns the network with the weights of the formula, and the shape of its samples."""
    make, shape = NETS[name]
    net = make()
    owners = {id(p): m for m in net.modules() for p in m.parameters(recurse=False)}
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            norm = isinstance(owners[id(p)], nn.BatchNorm2d)
            role = ("gamma" if p is owners[id(p)].weight else "beta") if norm else ("weight" if p.dim() > 1 else "bias")
            p.copy_(torch.from_numpy(formula.parameter(i, role, tuple(p.shape))))
        for i, s in enumerate(s for s in net.buffers() if s.dim()):  # without the counters of batch norm
            s.copy_(torch.from_numpy(formula.state(i, tuple(s.shape))))
    return net, shape
