"""Sky levels and sky masks from users' files."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from hapdask.config.sky import SkyParameters
from hapdask.drizzling.sky_levels.given import read_sky_file, sky_from_file, sky_from_keyword
from hapdask.drizzling.sky_levels.mask_catalog import Extension, read_mask_catalog
from hapdask.drizzling.sky_levels.methods import solve_sky
from hapdask.errors import InputError
from hapdask.observe.exposure import open_exposures


@pytest.fixture
def pair(expose, fields):
    return [expose(f"ia0a01a{k}q", shape=(60, 80), fill=fields.clean) for k in "ab"]


def test_sky_file(pair, tmp_path, caplog):
    path = tmp_path / "sky.txt"
    path.write_text("# name  sky\n\nia0a01aaq_flc.fits 12.5 13.25\n")
    solution = sky_from_file(pair, path)
    first, second = solution.exposures
    assert [(c.sky, c.removed) for c in first.chips] == [(12.5, 0.0), (13.25, 0.0)]
    assert [c.sky for c in second.chips] == [0.0, 0.0]
    assert second.verdict.status == "warning"
    assert "not in the file" in caplog.text
    done = solution.apply(pair)
    assert [c.sky for c in done[0].chips] == [12.5, 13.25]
    path.write_text("# sky was applied: Yes\nia0a01aaq 7\nia0a01abq 8.5\n")
    solution = sky_from_file(pair, path)
    assert [(c.sky, c.removed) for c in solution["ia0a01abq"].chips] == [(0.0, 8.5)] * 2
    told = [record.chip(1) for record in solution.apply(pair)]
    assert [(c.sky, c.removed) for c in told][1] == (0.0, 8.5)


@pytest.mark.parametrize(
    "text", ["ia0a01aaq_flc.fits\n", "ia0a01aaq_flc.fits 1 b\n", "ia0a01aaq_flc.fits nan\n"]
)
def test_broken_sky_files(text, tmp_path):
    path = tmp_path / "sky.txt"
    path.write_text(text)
    with pytest.raises(InputError, match="line 1"):
        read_sky_file(path)


def test_unreadable_sky_files(pair, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_sky_file(tmp_path / "none.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="not a text"):
        read_sky_file(tmp_path / "binary")
    two = tmp_path / "two.txt"
    two.write_text("ia0a01aaq_flc.fits 1 2\n")
    chips = (*pair[0].chips, replace(pair[0].chips[0], extver=3))
    with pytest.raises(InputError, match="none for its SCI,3"):
        sky_from_file([replace(pair[0], chips=chips)], two)


def test_keyword(pair):
    with fits.open(pair[0].url, mode="update") as hdus:
        for extver in (1, 2):
            hdus["SCI", extver].header["MYSKY"] = 3.0 * extver
    (record,) = open_exposures(pair[0].url, strict=True)
    (sky,) = sky_from_keyword([record], "mysky").exposures
    assert [(c.sky, c.removed) for c in sky.chips] == [(0.0, 3.0), (0.0, 6.0)]
    with pytest.raises(InputError, match="OTHER"):
        sky_from_keyword([record], "other")


@pytest.fixture
def masks(tmp_path):
    """Masks of a half: 1 is used."""
    left = np.zeros((60, 80), np.uint8)
    left[:, :40] = 1
    fits.HDUList([fits.PrimaryHDU(left)]).writeto(tmp_path / "left.fits")
    right = [fits.PrimaryHDU(), fits.ImageHDU(1 - left, name="MASK", ver=2)]
    fits.HDUList(right).writeto(tmp_path / "right.fits")
    return left == 1


@pytest.mark.parametrize(
    ("line", "first", "second"),
    [
        ("ia0a01aaq_flc.fits,left.fits[0],right.fits['mask',2]", "left", "right"),
        ("ia0a01aaq_flc.fits{('sci',2)}, right.fits[1]  # a comment", None, "right"),
        ("'ia0a01aaq_flc.fits'{1},left.fits,,", "left", None),
        ("ia0a01aaq_flc.fits{'sci'},None,left.fits", None, "left"),
        ("ia0a01aaq_flc.fits['sci'],left.fits", "left", None),
        ("ia0a01abq_flc.fits,left.fits", None, None),
    ],
)
def test_mask_catalog(pair, masks, tmp_path, line, first, second):
    (tmp_path / "masks.cat").write_text(f"# image, masks\n{line}\n")
    (mask,) = read_mask_catalog(tmp_path / "masks.cat")
    exposure = pair[0]
    for chip, wanted in zip(exposure.chips, (first, second), strict=True):
        bad = mask.bad(exposure, chip) if mask.is_for(exposure) else None
        if wanted is None:
            assert bad is None
        else:
            np.testing.assert_array_equal(bad, masks if wanted == "right" else ~masks)


def test_masks_change_the_sky_alone(pair, masks, tmp_path):
    with fits.open(pair[0].url, mode="update") as hdus:
        hdus["SCI", 1].data[:, 40:] += 500.0
    (record,) = open_exposures(pair[0].url, strict=True)
    (tmp_path / "masks.cat").write_text("ia0a01aaq_flc.fits{('sci',1)},left.fits\n")
    catalog = read_mask_catalog(tmp_path / "masks.cat")
    only_first = replace(record, chips=record.chips[:1])
    plain = solve_sky([only_first], SkyParameters())
    masked = solve_sky([only_first], SkyParameters(), masks=catalog)
    assert plain.exposures[0].chips[0].sky > 100.0
    assert masked.exposures[0].chips[0].sky == pytest.approx(40.0, abs=1.0)
    assert masked.apply([only_first])[0].chips[0].masks == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ia0a01aaq_flc.fits{('sci',1}),left.fits", "line 1"),
        ("ia0a01aaq_flc.fits,left.fits{0,1}", "one mask"),
        ("ia0a01aaq_flc.fits[?],left.fits", "extension"),
        ("ia0a01aaq_flc.fits left.fits[0] x", "line 1"),
    ],
)
def test_lines_that_are_not_understood(tmp_path, line, words):
    (tmp_path / "masks.cat").write_text(line + "\n")
    with pytest.raises(InputError, match=words):
        read_mask_catalog(tmp_path / "masks.cat")


def test_masks_that_cannot_be_used(pair, masks, tmp_path):
    catalog = tmp_path / "masks.cat"
    for line, words in (
        ("ia0a01aaq_flc.fits,gone.fits", "cannot be opened"),
        ("ia0a01aaq_flc.fits,left.fits['mask',7]", "no such extension"),
        ("ia0a01aaq_flc.fits,left.fits,left.fits,left.fits", "3 masks for 2 chips"),
    ):
        catalog.write_text(line)
        solution = solve_sky(pair, SkyParameters(), masks=read_mask_catalog(catalog))
        assert [e.name for e in solution.exposures] == ["ia0a01abq"]
        assert words in str(solution.failures[0])
    fits.PrimaryHDU(np.ones((3, 4), np.uint8)).writeto(tmp_path / "small.fits")
    catalog.write_text("ia0a01aaq_flc.fits,small.fits")
    (failure,) = solve_sky(pair, SkyParameters(), masks=read_mask_catalog(catalog)).failures
    assert "shape" in failure.problem
    assert Extension(number=0) != Extension(name="SCI")
