"""The numbers that both sides of a comparison start from: weights and samples by a formula.

unit(tensor, element) is a hash of two indices in [-1, 1); package internal/measure has the same. Tensors are numbered:
the samples are 0, parameters follow from 1, moving statistics from 1001, both in the order of the network.
"""
import numpy as np

SAMPLES, FIRST_PARAMETER, FIRST_STATE = 0, 1, 1001


def unit(tensor, count):
    """Returns the hashes of the elements 0 to count-1 of a tensor."""
    h = np.arange(count, dtype=np.uint32) + np.uint32(tensor * 0x9E3779B9 & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return (h ^ (h >> np.uint32(16))).astype(np.float64) / 2.0**31 - 1


def samples(n, shape):
    """Returns n float samples of the given shape [C, H, W]."""
    shape = (n, *shape)
    return (np.sqrt(3.0) * unit(SAMPLES, int(np.prod(shape)))).astype(np.float32).reshape(shape)


def labels(n, classes=10):
    return (7 * np.arange(n) % 11 % classes).astype(np.int64)


def parameter(index, role, shape):
    """Returns parameter number index, from 0: role is weight, bias, gamma or beta."""
    u = unit(FIRST_PARAMETER + index, int(np.prod(shape)))
    if role == "weight":
        u = np.sqrt(6.0 / np.prod(shape[1:])) * u
    elif role == "gamma":
        u = 1 + 0.25 * u
    else:
        u = 0.1 * u
    return u.astype(np.float32).reshape(shape)


def state(index, shape):
    """Returns moving statistic number index, from 0: means and variances take turns."""
    u = unit(FIRST_STATE + index, int(np.prod(shape)))
    return (1 + 0.5 * u if index % 2 else 0.1 * u).astype(np.float32).reshape(shape)
