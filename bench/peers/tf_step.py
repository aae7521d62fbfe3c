#!/usr/bin/env python3
"""Times steps of TensorFlow on the same networks, written in Keras.

  float   training, without quantization
  qat     training with quantize_model of the TensorFlow Model Optimization Toolkit
  infer   float inference of LiteRT
  int8    integer inference of LiteRT
"""
import os
import warnings

import turns

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")


def networks(layers):
    """Returns functions from an input to logits, with the shapes of their samples."""
    def conv_bn(x, width, k, stride=1):
        return layers.BatchNormalization()(layers.Conv2D(width, k, stride, "same", use_bias=False)(x))

    def relu(x):
        return layers.ReLU()(x)

    def head(x):
        return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))

    def lenet(x):
        for width in (20, 50):
            x = layers.MaxPool2D(2)(layers.Conv2D(width, 5)(x))
        return layers.Dense(10)(relu(layers.Dense(500)(layers.Flatten()(x))))

    def cifarfull(x):
        x = relu(layers.MaxPool2D(3, 2, "same")(layers.Conv2D(32, 5, padding="same")(x)))
        for width in (32, 64):
            x = layers.AveragePooling2D(3, 2, "same")(relu(layers.Conv2D(width, 5, padding="same")(x)))
        return layers.Dense(10)(layers.Flatten()(x))

    def resnet(blocks):
        def build(x):
            x = relu(conv_bn(x, 16, 3))
            for stage, width in enumerate((16, 32, 64)):
                for block in range(blocks):
                    stride = 2 if stage and not block else 1
                    y = conv_bn(relu(conv_bn(x, width, 3, stride)), width, 3)
                    x = relu(layers.Add()([y, x if stride == 1 else conv_bn(x, width, 1, 2)]))
            return head(x)
        return build

    def mobilenet(x):
        x = relu(conv_bn(x, 32, 3))
        for width, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
            x = relu(layers.BatchNormalization()(layers.DepthwiseConv2D(3, stride, "same", use_bias=False)(x)))
            x = relu(conv_bn(x, width, 1))
        return head(x)

    small, color = (28, 28, 1), (32, 32, 3)
    return {"lenet": (lenet, small), "cifarfull": (cifarfull, color), "resnet8": (resnet(1), color),
            "resnet20": (resnet(3), color), "mobilenet": (mobilenet, color)}


def main():
    args = turns.arguments(__doc__, ["lenet", "cifarfull", "resnet8", "resnet20", "mobilenet"], ["float", "qat", "infer", "int8"]).parse_args()
    warnings.filterwarnings("ignore")
    import numpy as np
    import tensorflow as tf
    import tf_keras as keras
    import formula

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    build, (h, w, c) = networks(keras.layers)[args.net]
    inference = args.mode in ("infer", "int8")
    entry = keras.layers.Input((h, w, c), batch_size=args.batch if inference else None)
    net = keras.Model(entry, build(entry))
    x = np.ascontiguousarray(formula.samples(args.batch, (c, h, w)).transpose(0, 2, 3, 1))
    if inference:
        turns.run(args, litert_step(tf, net, x, args), "litert " + version("ai-edge-litert"), "xnnpack")
        return
    peer = "tensorflow " + tf.__version__
    if args.mode == "qat":
        import tensorflow_model_optimization as tfmot
        net = tfmot.quantization.keras.quantize_model(net)
        peer += " tfmot " + tfmot.__version__
    turns.run(args, training_step(tf, keras, net, x, formula.labels(args.batch)), peer, "graph")


def training_step(tf, keras, net, x, y):
    x, y = tf.constant(x), tf.constant(y)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)

    @tf.function
    def graph():
        with tf.GradientTape() as tape:
            value = loss(y, net(x, training=True))
        variables = net.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))
        return value

    return lambda: graph().numpy()


def litert_step(tf, net, x, args):
    from ai_edge_litert.interpreter import Interpreter
    converter = tf.lite.TFLiteConverter.from_keras_model(net)
    if args.mode == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: [[x]]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    interpreter = Interpreter(model_content=converter.convert(), num_threads=args.threads)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    if args.mode == "int8":
        scale, zero = entry["quantization"]
        x = (x / scale + zero).round().clip(-128, 127).astype("int8")
    interpreter.set_tensor(entry["index"], x)
    return interpreter.invoke


def version(package):
    from importlib import metadata
    return metadata.version(package)


if __name__ == "__main__":
    turns.main(main)
