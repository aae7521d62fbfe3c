"""The ways to quantize a network of the benchmark in PyTorch."""
import math

import torch
from torch import nn


def prepare(net, x, mode, bits):
    """Returns the network quantized as the mode says, shown the batch x once where it needs to see data."""
    return {"qat": graph_qat, "int8": graph_int8, "qat-pt2e": exported_qat, "int8-pt2e": exported_int8,
            "lsq": lambda n, v: lsq(n, v, bits), "brevitas": lambda n, v: brevitas(n, v, bits), "nncf": nncf}[mode](net, x)


def graph_qat(net, x):
    from torch.ao.quantization import get_default_qat_qconfig_mapping
    from torch.ao.quantization.quantize_fx import prepare_qat_fx
    torch.backends.quantized.engine = "x86"
    return prepare_qat_fx(net.train(), get_default_qat_qconfig_mapping("x86"), (x,))


def graph_int8(net, x):
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
    torch.backends.quantized.engine = "x86"
    net = prepare_fx(net.eval(), get_default_qconfig_mapping("x86"), (x,))
    with torch.no_grad():
        net(x)
    return convert_fx(net)


def quantizer(training):
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86
    return x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config(is_qat=training))


def exported_qat(net, x):
    import torch._inductor.config
    torch._inductor.config.size_asserts = False  # the observers' kernel and its description differ about a size
    from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e
    return prepare_qat_pt2e(torch.export.export(net.train(), (x,)).module(), quantizer(True))


def exported_int8(net, x):
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    with torch.no_grad():
        net = prepare_pt2e(torch.export.export(net.eval(), (x,)).module(), quantizer(False))
        net(x)
        return convert_pt2e(net)


class StepSize(nn.Module):
    """Learned step size quantization (Esser et al., 2020): round(clamp(x/s))*s with a straight-through gradient, and a
    gradient of s scaled by 1/sqrt(n*qmax). It is written in elementary operations, which torch.compile fuses."""

    def __init__(self, sample, bits, count):
        super().__init__()
        signed = bool(sample.min() < 0)
        self.low, self.high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        self.gradient = 1 / math.sqrt(count * self.high)
        self.size = nn.Parameter(2 * sample.abs().mean() / math.sqrt(self.high))

    def forward(self, x):
        size = self.size.detach() + self.gradient * (self.size - self.size.detach())
        v = torch.clamp(x / size, self.low, self.high)
        return (v + (torch.round(v) - v).detach()) * size


def lsq(net, x, bits):
    """Puts a StepSize in front of every convolution and linear layer, and one on its weight."""
    from torch.nn.utils import parametrize
    layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    inputs = {}
    hooks = [m.register_forward_pre_hook(lambda m, v: inputs.__setitem__(m, v[0].detach())) for m in layers]
    with torch.no_grad():
        net(x)
    for h in hooks:
        h.remove()
    for m in layers:
        m.input_quantizer = StepSize(inputs[m], bits, inputs[m][0].numel())
        m.register_forward_pre_hook(lambda m, v: (m.input_quantizer(v[0]),))
        parametrize.register_parametrization(m, "weight", StepSize(m.weight.detach(), bits, m.weight.numel()))
    return net


def brevitas(net, x, bits):
    import brevitas.nn as qnn
    from brevitas.inject.enum import ScalingImplType
    from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerTensorFloat

    class Weights(Int8WeightPerTensorFloat):
        bit_width = bits
        scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS

    class Inputs(Int8ActPerTensorFloat):
        bit_width = bits
        collect_stats_steps = 2  # then the scale is a parameter

    def replace(module):
        for name, m in module.named_children():
            new = None
            if isinstance(m, nn.Conv2d):
                new = qnn.QuantConv2d(m.in_channels, m.out_channels, m.kernel_size, m.stride, m.padding, groups=m.groups,
                                      bias=m.bias is not None, weight_quant=Weights, input_quant=Inputs)
            elif isinstance(m, nn.Linear):
                new = qnn.QuantLinear(m.in_features, m.out_features, bias=True, weight_quant=Weights, input_quant=Inputs)
            else:
                replace(m)
            if new is not None:
                new.load_state_dict(m.state_dict(), strict=False)
                setattr(module, name, new)

    replace(net)
    return net


def nncf(net, x):
    import nncf as library
    return library.quantize(net.eval(), library.Dataset([x]), subset_size=1).train()
