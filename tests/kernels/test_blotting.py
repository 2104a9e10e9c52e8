"""Interpolation of an image at detector pixels: polynomials, the C library, ownership."""

import numpy as np
import pytest
from dropping import shifted

from hapdask.kernels import blotting, chains, mapping
from hapdask.kernels.blocks import blocks_reaching, chip_reach

SHAPE, SIDE = (70, 300), 420
TURNED = ((0.93, 0.21), (-0.23, 0.91))


def blot(chain, image, interp, box=(0, SIDE, 0, SIDE), origin=(0, 0)):
    reach = chip_reach(chain, SHAPE)
    blocks = blocks_reaching(reach, *box)
    out, own = np.full(SHAPE, np.nan, np.float32), np.zeros(SHAPE, np.uint8)
    code = blotting.CODES[interp]
    blotting.blot(
        mapping.make_pixel_map(chain, SHAPE), SHAPE, blocks, image, origin, code, 1.0,
        tuple(range(blotting.TAPS[code])), (0, 0), box, out, own,
    )  # fmt: skip
    return out, own


def positions(chain):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float64).reshape(2, -1)
    out = np.empty((2, x.size))
    chains.map_points(chain, x, y, out[0], out[1])
    return out.reshape(2, *SHAPE)


@pytest.mark.parametrize(("interp", "degree"), [("linear", 1), ("poly3", 3), ("poly5", 5)])
def test_polynomials_are_exact(interp, degree):
    chain = shifted(30.31371, 110.70711, TURNED)
    y, x = np.mgrid[:SIDE, :SIDE] / 100.0 - 2.0
    image = (x**degree - 0.5 * y**degree + x * y**degree + 1.0).astype(np.float32)
    px, py = positions(chain) / 100.0 - 2.0
    expected = px**degree - 0.5 * py**degree + px * py**degree + 1.0
    out, own = blot(chain, image, interp)
    assert own.all()
    assert np.abs(out - expected).max() < 2e-5 * np.abs(image).max()


def test_nearest_takes_the_nearest_and_sinc_keeps_a_smooth_image():
    chain = shifted(30.31371, 110.70711, TURNED)
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.sin(x / 9.0 + y / 13.0).astype(np.float32)
    px, py = positions(chain)
    out, _ = blot(chain, image, "nearest")
    assert np.array_equal(out, image[np.rint(py).astype(int), np.rint(px).astype(int)])
    out, _ = blot(chain, image, "sinc")
    assert np.abs(out - np.sin(px / 9.0 + py / 13.0)).max() < 2e-3


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("interp", ["linear", "poly3", "poly5"])
def test_agreement_with_the_c_library(interp):
    """C rounds positions to float32: 3e-5 pixel here."""
    cdrizzle = pytest.importorskip("drizzle.cdrizzle")
    chain = shifted(30.31371, 110.70711, TURNED)
    image = np.random.default_rng(1).normal(50.0, 7.0, (SIDE, SIDE)).astype(np.float32)
    pixmap = np.ascontiguousarray(np.moveaxis(positions(chain), 0, -1))
    theirs = np.zeros(SHAPE, np.float32)
    cdrizzle.tblot(image, pixmap, theirs, interp=interp, exptime=1.0, iscale=1.0)
    out, _ = blot(chain, image, interp)
    assert np.abs(out - theirs).max() < 7.0 * 1e-3


def test_every_pixel_belongs_to_one_box_and_has_its_value_in_any_window():
    chain = shifted(30.31371, 110.70711, TURNED)
    image = np.random.default_rng(2).normal(0.0, 1.0, (SIDE, SIDE)).astype(np.float32)
    whole, _ = blot(chain, image, "poly5")
    owners = np.zeros(SHAPE, int)
    for y0 in range(0, SIDE, 105):
        for x0 in range(0, SIDE, 140):
            box = (y0, y0 + 105, x0, x0 + 140)
            low = max(y0 - 8, 0), max(x0 - 8, 0)
            window = np.ascontiguousarray(image[low[0] : y0 + 113, low[1] : x0 + 148])
            out, own = blot(chain, window, "poly5", box, low)
            owners += own
            assert out[own > 0].tobytes() == whole[own > 0].tobytes()
    assert (owners == 1).all()
