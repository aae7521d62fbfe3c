"""Writes reference.safetensors with the format's reference implementation.

    pip install safetensors==0.8.0 numpy==2.4.6 ml_dtypes
    python reference.py

safetensors_test.go holds the same tensors; it reads this file and writes it
back, byte for byte.
"""

import pathlib

import ml_dtypes
import numpy as np
import safetensors
from safetensors.numpy import save_file

tensors = {
    "bool": np.array([True, False, True]),
    "a.u8": np.arange(5, dtype=np.uint8),
    "c.i8": np.array([-128, -1, 0, 127], np.int8),
    "u16": np.array([1, 65535], np.uint16),
    "i16": np.array([[-32768], [2]], np.int16),
    "f16": np.array([1, -2.5, 65504, 2.0**-24], np.float16),
    "bf16": np.array([1, -2.5, 2.0**127], ml_dtypes.bfloat16),
    "u32": np.array([7, 2**32 - 1], np.uint32),
    "i32": np.array([-(2**31), 2**31 - 1], np.int32),
    "f32": np.array([[1.5, -0.0, 2.0**-149]], np.float32),
    "scalar": np.array(2, np.float32),
    "empty": np.zeros((0, 4), np.float32),
    "u64": np.array([2**64 - 1], np.uint64),
    "i64": np.array([-(2**63)], np.int64),
    "f64": np.array([1 / 3], np.float64),
    'é\u2028 <&> "\\ \b\t\n\f\r\v\x01\x7f': np.array([9], np.uint8),
}
path = pathlib.Path(__file__).with_name("reference.safetensors")
save_file(tensors, path, metadata={"producer": "safetensors " + safetensors.__version__})
