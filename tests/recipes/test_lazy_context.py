"""CTX and the inputs of a mosaic that is not stored: every tile is made once."""

from collections import Counter

import numpy as np
import pytest
from astropy.io import fits

import hapdask as hd
from hapdask.drizzling import build
from hapdask.products.reader import open_mosaic
from hapdask.sky.frame import Frame


@pytest.fixture
def mosaic(files):
    exposures = [e for e in hd.open_exposures(files) if e.detector == "uvis"]
    ra, dec = exposures[1].chips[0].distortion.crval
    frame = Frame.from_center(ra, dec, 0.08, (700, 500))
    with pytest.warns(UserWarning, match="not measured"):
        return hd.mosaic(exposures, frame, tile=256)


@pytest.fixture
def made(monkeypatch):
    """How many times each tile was made."""
    counts, real = Counter(), build.TileTask.sums

    def sums(self, rejected=()):
        counts[self.frame.box] += 1
        return real(self, rejected)

    monkeypatch.setattr(build.TileTask, "sums", sums)
    return counts


def test_a_plan_is_exported_with_context(mosaic, made, tmp_path):
    path = mosaic.hap.to_fits(tmp_path / "x_drz.fits", context=True)
    assert made
    assert set(made.values()) == {1}
    with fits.open(path) as hdus:
        assert len(hdus["HDRTAB"].data) == 6  # two chips each
        assert hdus[0].header["KERNEL"] == "square"
        depth = np.bitwise_count(hdus["CTX"].data.astype(np.uint32))
        assert (depth >= hdus["NEXP"].data).all()  # chips of one exposure may touch
        assert ((depth > 0) == (hdus["NEXP"].data > 0)).all()
        assert depth.max() >= 2
    made.clear()
    back = open_mosaic(path)
    np.testing.assert_array_equal(back.ctx, mosaic.ctx)
    np.testing.assert_array_equal(back.sci, mosaic.sci)


def test_a_window_of_a_plan_knows_its_inputs(mosaic, made):
    y, x = np.argwhere(mosaic.nexp.values == mosaic.nexp.values.max())[0]
    ra, dec = mosaic.hap.frame.pixel_to_sky(float(x), float(y))
    made.clear()
    window = mosaic.hap.cutout(ra, dec, size="2 arcsec")
    inputs = window.hap.inputs(ra, dec)
    assert len(inputs) == mosaic.nexp.values.max()
    assert inputs == mosaic.hap.inputs(ra, dec)
    assert len(dict(mosaic.ctx.attrs["palette"])) > 2
    assert mosaic.ctx.attrs["palette"] == mosaic.ctx.attrs["palette"].within(mosaic.hap.frame)
    assert "planned tiles" in repr(mosaic.ctx.attrs["palette"])


def test_an_exported_zarr_of_a_plan_has_the_palette(mosaic, made, tmp_path):
    stored = open_mosaic(mosaic.hap.to_zarr(tmp_path / "x.zarr"))
    assert set(made.values()) == {1}
    known = dict(mosaic.ctx.attrs["palette"])
    assert dict(stored.ctx.attrs["palette"]) == known
    assert {int(key) for key in np.unique(stored.ctx)} == set(known)


def test_headers_of_a_cutout_name_only_what_reaches_it(mosaic, tmp_path):
    y, x = np.argwhere(mosaic.nexp.values == 1)[0]
    ra, dec = mosaic.hap.frame.pixel_to_sky(float(x), float(y))
    window = mosaic.hap.cutout(ra, dec, size="0.5 arcsec")
    assert window.nexp.values.max() == 1
    path = window.hap.to_fits(tmp_path / "x_drz.fits", context=True)
    with fits.open(path) as hdus:
        assert hdus[0].header["NUMEXP"] < 3
        assert set(hdus["HDRTAB"].data["ROOTNAME"]) >= {
            name for name, _ in window.hap.inputs(ra, dec)
        }
    np.testing.assert_array_equal(open_mosaic(path).ctx, window.ctx)
