"""Streams of random numbers are reproducible and do not meet."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hepfm.core.rng import integer_seed, numpy_generator, torch_generator


def test_same_keys_same_numbers():
    assert np.array_equal(numpy_generator(1, "a", 2).random(4), numpy_generator(1, "a", 2).random(4))
    first, second = (torch.rand(4, generator=torch_generator(3, "b")) for _ in range(2))
    assert torch.equal(first, second)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), key=st.integers(0, 2**31))
def test_other_purpose_seed_or_key_gives_other_numbers(seed, key):
    base = integer_seed(seed, "a", key)
    assert base != integer_seed(seed, "b", key)
    assert base != integer_seed(seed + 1, "a", key)
    assert base != integer_seed(seed, "a", key + 1)
    assert 0 <= integer_seed(seed, "a", key, bits=29) < 2**29
