"""Which detector pixels count, and for how much."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hapdask.kernels.weights import counting_errors, pixel_weights

values = st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from(
    [0.0, -0.0, np.nan, np.inf, -np.inf]
)
flags = st.sampled_from([0, 4, 16, 64, 80, 256, 4096, 4112, 8192, 16384, 0x8000, 0xFFFF])


def field(elements, dtype, shape=(5, 6)):
    return arrays(dtype, shape, elements=elements)


@given(
    sci=field(values, np.float32),
    err=st.none() | field(values, np.float32),
    dq=st.none() | field(flags, np.uint16),
    masked=st.none() | field(st.booleans(), np.bool_),
    ivm=st.none() | field(values, np.float32),
    good=st.none() | st.integers(0, 0xFFFF),
    doubtful=st.sampled_from([0, 16, 16 | 64 | 256, 0x8000]),
    by_error=st.booleans(),
    scale=st.floats(1e-6, 1e4),
)
def test_every_pixel_by_the_rules(sci, err, dq, masked, ivm, good, doubtful, by_error, scale):
    doubtful &= ~good if good is not None else 0
    by_error = by_error and err is not None and ivm is None
    weight, doubt = pixel_weights(
        sci, err, dq, masked, ivm, good_bits=good, doubtful_bits=doubtful, by_error=by_error,
        scale=scale,
    )  # fmt: skip
    assert (weight.dtype, doubt.dtype) == (np.float32, np.uint16)
    for at in np.ndindex(sci.shape):
        counts = np.isfinite(sci[at]) and not (masked is not None and masked[at])
        if err is not None:
            counts = counts and np.isfinite(err[at]) and err[at] > 0.0
        bits = 0 if dq is None or good is None else int(dq[at]) & ~good
        if bits & ~doubtful:
            counts = False
        expected = scale
        with np.errstate(all="ignore"):
            if by_error and counts:
                expected = np.float32(1.0 / np.square(np.float64(err[at]) * scale))
            if ivm is not None:
                expected = np.float32(np.float64(ivm[at]) * scale)
        counts = counts and np.isfinite(expected) and expected > 0
        assert weight[at] == (pytest.approx(np.float32(expected), rel=2e-7) if counts else 0.0)
        if weight[at] > 0.0:
            assert doubt[at] == bits


def test_a_flag_of_sixteen_bits_is_a_flag():
    """DQ is read from signed integers: the highest bit is no sign."""
    dq = np.array([[0x8000, 0]], np.uint16)
    one = np.ones((1, 2), np.float32)
    weight, _ = pixel_weights(
        one, None, dq, good_bits=0, doubtful_bits=0, by_error=False, scale=7.0
    )
    assert weight.tolist() == [[0.0, 7.0]]


@pytest.mark.parametrize("to_electrons", [1.0, 7.12, 13.99 * 400.0])
def test_errors_of_a_file_without_errors(to_electrons):
    sci = np.array([[-30.0, 0.0, 2.5, 4e4, np.nan, np.inf]], np.float32)
    err = counting_errors(sci, to_electrons, 5.24**2)
    electrons = np.maximum(sci.astype(float) * to_electrons, 0.0)
    np.testing.assert_allclose(err, np.sqrt(electrons + 5.24**2) / to_electrons, rtol=1e-6)
    assert err.dtype == np.float32
    assert counting_errors(sci, to_electrons, 0.0)[0, 1] == 0.0
