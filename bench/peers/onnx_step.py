#!/usr/bin/env python3
"""Times inference of ONNX Runtime and OpenVINO on the networks of torch_nets.py, exported with batch norm folded.

  infer   float
  int8    static quantization, weights per channel: by onnxruntime.quantization (activations unsigned, or signed and
          symmetric), or by NNCF for OpenVINO
"""
import logging
import os
import tempfile
import warnings

import turns


def main():
    p = turns.arguments(__doc__, ["lenet", "cifarfull", "resnet8", "resnet20", "mobilenet"], ["infer", "int8"])
    p.add_argument("--engine", choices=["onnxruntime", "openvino"], default="onnxruntime")
    p.add_argument("--signed", action="store_true", help="signed activations (onnxruntime)")
    p.add_argument("--bf16", action="store_true", help="let OpenVINO compute float networks in bfloat16, its default where the CPU has it")
    args = p.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import torch
    import formula
    from torch_nets import build

    torch.set_num_threads(args.threads)
    net, shape = build(args.net)
    x = formula.samples(args.batch, shape)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.onnx")
        torch.onnx.export(net.eval(), (torch.from_numpy(x),), path, input_names=["x"], output_names=["y"], opset_version=17, dynamo=False)
        engine = onnxruntime if args.engine == "onnxruntime" else openvino
        step, peer, config = engine(path, x, args)
        turns.run(args, step, peer, config)


def onnxruntime(path, x, args):
    import onnxruntime as ort
    ort.set_default_logger_severity(3)
    config = "float"
    if args.mode == "int8":
        config = "s8s8" if args.signed else "u8s8"
        path = quantized(path, x, args.signed)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = args.threads, 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x}), "onnxruntime " + ort.__version__, config


def quantized(path, x, signed):
    from onnxruntime import quantization as q
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Once(q.CalibrationDataReader):
        batches = [{"x": x}]

        def get_next(self):
            return self.batches.pop() if self.batches else None

    quant_pre_process(path, path + ".prepared", skip_symbolic_shape=True)
    q.quantize_static(path + ".prepared", path + ".int8", Once(), quant_format=q.QuantFormat.QDQ, per_channel=True,
                      weight_type=q.QuantType.QInt8, activation_type=q.QuantType.QInt8 if signed else q.QuantType.QUInt8,
                      extra_options={"ActivationSymmetric": signed})
    return path + ".int8"


def openvino(path, x, args):
    import openvino as ov
    model = ov.convert_model(path)
    if args.mode == "int8":
        import nncf
        model = nncf.quantize(model, nncf.Dataset([x]), subset_size=1)
    compiled = ov.Core().compile_model(model, "CPU", {
        "INFERENCE_NUM_THREADS": args.threads, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if args.bf16 else "f32"})
    request = compiled.create_infer_request()
    request.set_input_tensor(ov.Tensor(x))
    config = "int8" if args.mode == "int8" else "bf16" if args.bf16 else "float"
    return request.infer, "openvino " + ov.__version__.split("-")[0], config


if __name__ == "__main__":
    turns.main(main)
