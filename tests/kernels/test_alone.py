"""Where one image alone is good: against SciPy's opening."""

import numpy as np
import pytest
from scipy import ndimage

from hapdask.kernels.alone import find_alone


def areas(stack, width):
    count = np.isfinite(stack).sum(axis=0)
    few = np.pad(count <= 1, 2 * width, constant_values=True)
    wide = ndimage.binary_opening(few, np.ones((width, width)))
    return (count == 1) & wide[2 * width : -2 * width, 2 * width : -2 * width]


@pytest.mark.parametrize("images", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 3, 5])
def test_areas_are_those_of_an_opening(images, width):
    rng = np.random.default_rng(images)
    stack = rng.normal(size=(images, 60, 83)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.05] = np.nan
    for k in range(images):  # a rim and gaps of 2 to 7 pixels
        stack[k, : 3 * k + 1] = stack[k, 20 + 2 * k : 24 + 2 * k] = np.nan
        stack[k, :, 30 + k : 36 + 2 * k] = np.nan
    out = np.full(stack.shape[1:], 7, np.uint8)
    find_alone(stack, width, out)
    expected = areas(stack, width)
    assert expected.any()
    assert np.array_equal(out, expected)


def test_single_bad_pixels_of_the_other_are_no_area():
    stack = np.zeros((2, 40, 40), np.float32)
    stack[0, 10, 10] = stack[1, 20:24, 20:30] = np.nan
    out = np.empty(stack.shape[1:], np.uint8)
    find_alone(stack, 5, out)
    assert not out.any()
    stack[1, 24, 20:30] = np.nan
    find_alone(stack, 5, out)
    assert out[20:25, 20:30].all()
    assert out.sum() == 50
