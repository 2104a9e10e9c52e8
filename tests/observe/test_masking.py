"""Masks and maps that users give: images, regions, blobs, and the exposures they are for."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table

from hapdask.errors import InputError, ParameterError, StoreError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.masking.attach import attach_ivm, attach_masks
from hapdask.observe.masking.sources import MaskSource
from hapdask.observe.masks import read_ivm_rows, read_mask_rows
from hapdask.observe.pixels import read_chip_rows

SHAPE = (130, 96)


def masked(exposure, extver=1):
    """All masks of a chip together."""
    rows = read_chip_rows(exposure, exposure.chip(extver), 0, SHAPE[0]).masked
    return np.zeros(SHAPE, bool) if rows is None else rows


def some(seed=0, share=0.1):
    return np.random.default_rng(seed).random(SHAPE) < share


def write_fits(path, *images, name="MASK"):
    """One extension per chip; an image may be a (name, array) pair."""
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for ver, image in enumerate(images, 1):
        label, data = image if isinstance(image, tuple) else (name, image)
        hdus.append(fits.ImageHDU(np.asarray(data), name=label, ver=ver))
    hdus.writeto(path, overwrite=True)
    return path


@pytest.fixture
def pair(make):
    """One exposure of two chips and one of a single chip."""
    return list(open_exposures([make("ia0a01aaq"), make("ib0b01baq", "IR", suffix="flt")]))


def test_images_by_extver(pair, tmp_path):
    one, two = some(1), some(2)
    path = write_fits(tmp_path / "ia0a01aaq_mask.fits", one.astype("u1"), two.astype("f4") * 3)
    done = attach_masks(pair, path, tmp_path / "masks")
    assert [v.status for _, v in done.verdicts] == ["accepted"]
    np.testing.assert_array_equal(masked(done.exposures[0], 1), one)
    np.testing.assert_array_equal(masked(done.exposures[0], 2), two)
    assert done.exposures[1] == pair[1]
    assert {m.kind for c in done.exposures[0].chips for m in c.masks} == {"user"}
    assert pair[0].chips[0].masks == ()


@pytest.mark.parametrize("suffix", [".npy", ".fits", ".fits.gz"])
def test_a_file_of_one_chip(pair, tmp_path, suffix):
    bad = some(3)
    path = tmp_path / f"ia0a01aaq_sci2_mask{suffix}"
    if suffix == ".npy":
        np.save(path, bad)
    else:
        fits.PrimaryHDU(bad.astype("i2")).writeto(path)
    exposure = attach_masks(pair, path, tmp_path).exposures[0]
    np.testing.assert_array_equal(masked(exposure, 2), bad)
    assert not masked(exposure, 1).any()


def test_inverted_threshold_and_nan(pair, tmp_path):
    good = (~some(4)).astype("f4")
    good[5, 5] = np.nan
    path = write_fits(tmp_path / "weights.fits", good)
    source = MaskSource(str(path), exposures=("ib0b*",), invert=True)
    exposure = attach_masks(pair, source, tmp_path).exposures[1]
    np.testing.assert_array_equal(masked(exposure), (good == 0) | np.isnan(good))
    source = MaskSource(str(path), exposures=("wfc3/ir",), threshold=0.5)
    exposure = attach_masks(pair, source, tmp_path).exposures[1]
    np.testing.assert_array_equal(masked(exposure), (good >= 0.5) | np.isnan(good))


def test_persistence_products(pair, tmp_path):
    glow = np.random.default_rng(5).exponential(0.005, SHAPE).astype("f4")
    path = write_fits(tmp_path / "ib0b01baq_persist.fits", glow, name="SCI")
    exposure = attach_masks(pair, path, tmp_path).exposures[1]
    np.testing.assert_array_equal(masked(exposure), glow >= np.float32(0.01))
    assert exposure.chips[0].masks[0].kind == "persistence"
    higher = replace(MaskSource(str(path)), threshold=0.03)
    exposure = attach_masks(pair, higher, tmp_path).exposures[1]
    np.testing.assert_array_equal(masked(exposure), glow >= np.float32(0.03))


def test_several_masks_of_a_chip_add_up(pair, tmp_path):
    for k in range(2):
        np.save(tmp_path / f"ib0b01baq_{k}.npy", some(k))
    write_fits(tmp_path / "ib0b01baq_persist.fits", some(9) * 1.0)
    done = attach_masks(
        pair, [tmp_path / "ib0b01baq_[01].npy", tmp_path / "*_persist.fits"], tmp_path
    )
    exposure = done.exposures[1]
    np.testing.assert_array_equal(masked(exposure), some(0) | some(1) | some(9))
    assert sorted(m.kind for m in exposure.chips[0].masks) == ["persistence", "user"]
    assert len(done.verdicts) == 3


def test_a_mask_is_told_by_its_content(pair, tmp_path):
    """The same again changes nothing; another mask never takes the file of one in use."""
    path = tmp_path / "ib0b01baq_mask.npy"
    np.save(path, some(1))
    first = attach_masks(pair, path, tmp_path / "m").exposures
    assert attach_masks(pair, path, tmp_path / "m").exposures == first
    assert attach_masks(first, path, tmp_path / "m").exposures == first
    np.save(path, some(2))
    second = attach_masks(pair, path, tmp_path / "m").exposures
    np.testing.assert_array_equal(masked(first[1]), some(1))
    np.testing.assert_array_equal(masked(second[1]), some(2))


def test_where_a_mask_is_of_no_use(pair, tmp_path):
    np.save(tmp_path / "other.npy", some(1))
    np.save(tmp_path / "ib0b01baq_none.npy", np.zeros(SHAPE))
    np.save(tmp_path / "ia0a01aaq_sci1_all.npy", some(1, 0.95))
    done = attach_masks(pair, tmp_path / "*.npy", tmp_path / "m")
    assert [v.reason for _, v in done.verdicts] == [
        "", "has no effect on any pixel", "matches no exposure"
    ]  # fmt: skip
    warned, plain = done.exposures
    assert "mask leaves" in warned.verdict.reason
    assert "SCI,1" in warned.verdict.reason
    assert plain.chips[0].masks == ()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (np.zeros((5, 5)), "has the shape"),
        (np.zeros((2, *SHAPE)), "has the shape"),
        (np.array(["a"]), "no plain array: values of type <U1"),
        (np.array([print], object), "no plain array"),
    ],
)
def test_a_broken_mask_costs_its_exposure_alone(pair, tmp_path, data, problem):
    np.save(tmp_path / "ib0b01baq_mask.npy", data, allow_pickle=True)
    done = attach_masks(pair, tmp_path / "*.npy", tmp_path)
    assert done.exposures == (pair[0],)
    assert done.left_out == ("ib0b01baq",)
    assert [v.status for _, v in done.verdicts] == ["rejected"]
    assert problem in done.failures[0].problem
    assert done.failures[0].path.endswith("ib0b01baq_mask.npy")


def test_what_cannot_be_told_is_refused(pair, tmp_path):
    def failure(path, **options):
        return attach_masks(pair, MaskSource(str(path), **options), tmp_path).failures[0].problem

    np.save(tmp_path / "ia0a01aaq.npy", some())
    assert "which one" in failure(tmp_path / "ia0a01aaq.npy")
    path = tmp_path / "ib0b01baq_two.fits"
    hdus = [fits.ImageHDU(some() * 1, name=n, ver=1) for n in ("A", "B")]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    assert "several images" in failure(path)
    assert "no image named c" in failure(path, ext="c")
    exposure = attach_masks(pair, MaskSource(str(path), ext="b"), tmp_path).exposures[1]
    np.testing.assert_array_equal(masked(exposure), some())
    with pytest.raises(InputError, match="no file matches"):
        attach_masks(pair, tmp_path / "gone*.npy", tmp_path)
    with pytest.raises(ParameterError, match="several names"):
        MaskSource("m.npy", exposures="ia0a*")
    with pytest.raises(ParameterError, match="no kind"):
        MaskSource("m.npy", kind="../x")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError):
        attach_masks(pair, tmp_path / "ib0b01baq_two.fits", tmp_path / "file")


# Regions


def test_regions_on_the_sky_follow_the_distortion(pair, tmp_path):
    """Against the definition: the angle on the sky from every pixel's centre."""
    exposure = pair[0]
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    centre = exposure.chips[0].distortion.pixel_to_sky(40.2, 61.7)
    lines = [
        "# Region file format: DS9 version 4.1",
        "global color=green text={a; circle(1,2,3)}",
        "fk5",
        f'circle({centre[0]:.9f},{centre[1]:.9f},1.1") # text={{one}}',
        f'-circle({centre[0]:.9f},{centre[1]:.9f},0.4")',
        f"point({centre[0]:.9f},{centre[1]:.9f})",
    ]
    path = tmp_path / "stars.reg"
    path.write_text("\n".join(lines))
    after = attach_masks(pair, path, tmp_path).exposures[0]
    there = SkyCoord(*centre, unit="deg", frame="fk5")
    for chip in exposure.chips:
        angle = SkyCoord(*chip.distortion.pixel_to_sky(x, y), unit="deg").separation(there)
        expected = (angle < 1.1 * u.arcsec) & (angle > 0.4 * u.arcsec)
        np.testing.assert_array_equal(masked(after, chip.extver), expected)
    assert masked(after, 1).sum() > 500


def test_polygons_and_boxes_of_other_frames(pair, tmp_path):
    """A box turned by 30 degrees in galactic coordinates, and its corners as a polygon."""
    chip = pair[0].chips[0]
    ra, dec = (float(v) for v in chip.distortion.pixel_to_sky(50.0, 70.0))
    centre = SkyCoord(ra, dec, unit="deg").galactic
    side = 1.5 * u.arcsec
    (tmp_path / "a.reg").write_text(
        f'galactic\nbox({centre.l.deg:.10f},{centre.b.deg:.10f},3",3",30)\n'
    )
    corners = []
    for sx, sy in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
        # DS9 turns counter-clockwise from the frame's own longitude axis (to the west).
        turn = np.radians(30.0)
        dl = sx * np.cos(turn) - sy * np.sin(turn)
        db = sx * np.sin(turn) + sy * np.cos(turn)
        corner = centre.spherical_offsets_by(-dl * side, db * side).icrs
        corners += [f"{corner.ra.deg:.10f}", f"{corner.dec.deg:.10f}"]
    (tmp_path / "b.reg").write_text(f"icrs;polygon({','.join(corners)})\n")
    box, polygon = (
        masked(attach_masks(pair, tmp_path / n, tmp_path).exposures[0]) for n in ("a.reg", "b.reg")
    )
    assert box.sum() > 1000
    assert (box ^ polygon).sum() <= 2  # centres on the very edge


def test_regions_in_pixels(pair, tmp_path):
    y, x = np.mgrid[1 : SHAPE[0] + 1, 1 : SHAPE[1] + 1]
    (tmp_path / "ib0b01baq.reg").write_text("image\ncircle(20,30,5)\nbox(60,70,9,5,0)\n")
    exposure = attach_masks(pair, tmp_path / "ib0b01baq.reg", tmp_path).exposures[1]
    expected = np.hypot(x - 20, y - 30) < 5
    expected |= (abs(x - 60) < 4.5) & (abs(y - 70) < 2.5)
    np.testing.assert_array_equal(masked(exposure), expected)
    (tmp_path / "ia0a01aaq.reg").write_text("image\ncircle(20,30,5)\n")
    assert "2 chips" in attach_masks(pair, tmp_path / "ia0a01aaq.reg", tmp_path).failures[0].problem
    source = MaskSource(str(tmp_path / "ia0a01aaq.reg"), extver=2)
    exposure = attach_masks(pair, source, tmp_path).exposures[0]
    np.testing.assert_array_equal(masked(exposure, 2), np.hypot(x - 20, y - 30) < 5)
    assert not masked(exposure, 1).any()


def test_regions_elsewhere_mask_nothing(pair, tmp_path):
    ra, dec = (float(v) for v in pair[0].chips[0].distortion.pixel_to_sky(300.0, 60.0))
    text = f'icrs\ncircle({ra},{dec},2")\ncircle({ra + 180.0},{-dec},5")\ncircle(10,89.9,30")\n'
    (tmp_path / "far.reg").write_text(text)
    done = attach_masks(pair[:1], tmp_path / "far.reg", tmp_path)
    assert done.exposures == tuple(pair[:1])
    assert "no effect" in done.verdicts[0][1].reason


@pytest.mark.parametrize("frame", ["physical\n", "detector; ", ""])
def test_detector_coordinates_of_a_subarray(make, tmp_path, frame):
    (part,) = open_exposures(
        make("ib0b01baq", "IR", suffix="flt", science={"LTV1": -30.0, "LTV2": 12.0})
    )
    (tmp_path / "all.reg").write_text(f"{frame}ellipse(60,40,12,7,20)\n")
    source = MaskSource(str(tmp_path / "all.reg"), exposures=("wfc3/ir",))
    found = masked(attach_masks([part], source, tmp_path).exposures[0])
    y, x = np.mgrid[1 : SHAPE[0] + 1, 1 : SHAPE[1] + 1].astype(float)
    dx, dy = x + 30.0 - 60.0, y - 12.0 - 40.0
    t = np.radians(20.0)
    # DS9 gives half axes.
    expected = ((dx * np.cos(t) + dy * np.sin(t)) / 12) ** 2
    expected += ((dy * np.cos(t) - dx * np.sin(t)) / 7) ** 2
    np.testing.assert_array_equal(found, expected < 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("fk5\npanda(1,2,0,360,4,0,10,1)\n", "cannot be used"),
        ('fk5\n-circle(150,2,3")\n', "no region with an area"),
        ("", "no region with an area"),
        ("\x00\x01 nonsense", "no region|no file"),
        ("linear\ncircle(1,2,3)", "cannot be used"),
        ("fk5\ncircle(1,2)\n", "no file|cannot be used"),
        ("image\npolygon()\n", "fewer than three"),
        ("icrs\npolygon(1,2,3,4)\n", "fewer than three"),
    ],
)
def test_region_files_that_cannot_be_used(pair, tmp_path, text, problem):
    (tmp_path / "x.reg").write_text(text)
    with pytest.raises(InputError, match=problem):
        attach_masks(pair, tmp_path / "x.reg", tmp_path)


def test_a_mask_that_claims_to_be_huge(pair, tmp_path):
    """Its shape is looked at before memory is taken for it."""
    path = tmp_path / "ib0b01baq_mask.npy"
    with open(path, "wb") as file:
        claim = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 10**9)}
        np.lib.format.write_array_header_1_0(file, claim)
    done = attach_masks(pair, path, tmp_path)
    assert "has the shape (1000000000, 1000000000)" in done.failures[0].problem
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, claim | {"shape": SHAPE})
    assert "truncated" in attach_masks(pair, path, tmp_path).failures[0].problem
    np.save(path, np.asfortranarray(some()))
    np.testing.assert_array_equal(masked(attach_masks(pair, path, tmp_path).exposures[1]), some())


# Blobs


def test_blobs_come_on_a_day(make, tmp_path):
    early, late = open_exposures(
        [
            make("ib0b01baq", "IR", suffix="flt", primary={"EXPSTART": 55500.0, "EXPEND": 55500.1}),
            make("ib0b02baq", "IR", suffix="flt", primary={"EXPSTART": 57000.0, "EXPEND": 57000.1}),
        ]
    )
    (uvis,) = open_exposures(make())
    table = Table({"x": [20, 70.5], "y": [30, 40.0], "radius": [6, 9.0], "mjd": [55000.0, 56000.0]})
    y, x = np.mgrid[1 : SHAPE[0] + 1, 1 : SHAPE[1] + 1]
    first, second = np.hypot(x - 20, y - 30) <= 6, np.hypot(x - 70.5, y - 40) <= 9
    for suffix in ("csv", "ecsv"):
        path = tmp_path / f"blobs.{suffix}"
        table.write(path, format=f"ascii.{suffix}", overwrite=True)
        done = attach_masks([early, late, uvis], path, tmp_path).exposures
        np.testing.assert_array_equal(masked(done[0]), first)
        np.testing.assert_array_equal(masked(done[1]), first | second)
        assert done[2] == uvis
        assert done[1].chips[0].masks[0].kind == "blob"
    table["mjd_end"] = [56500.0, 60000.0]
    table.write(tmp_path / "gone.csv", format="ascii.csv")
    done = attach_masks([early, late], tmp_path / "gone.csv", tmp_path).exposures
    np.testing.assert_array_equal(masked(done[1]), second)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no table"),
        ("x,y,radius\n1,2,3\n", "without column mjd"),
        ("x,y,radius,mjd\n1,2,wide,55000\n", "no number"),
        ("x,y,radius,mjd\n1,2,,55000\n", "gaps|no number"),
    ],
)
def test_tables_that_are_no_blobs(pair, tmp_path, text, problem):
    (tmp_path / "blobs.csv").write_text(text)
    with pytest.raises(InputError, match=problem):
        attach_masks(pair, tmp_path / "blobs.csv", tmp_path)


# Inverse variances


def test_maps_by_name_or_list(pair, tmp_path):
    values = np.random.default_rng(1).uniform(0.1, 2.0, (2, *SHAPE))
    values[0, 3, 4], values[1, 5, 6] = np.nan, -1.0
    path = write_fits(tmp_path / "ia0a01aaq_ivm.fits", *values, name="IVM")
    expected = np.where(values > 0, values, 0).astype(np.float32)
    other = write_fits(tmp_path / "any.fits", *values, name="IVM")
    for given in (path, [path], {"ia0a01aaq": other}):
        done = attach_ivm(pair, given, tmp_path / "m")
        for chip, truth in zip(done.exposures[0].chips, expected, strict=True):
            np.testing.assert_array_equal(read_ivm_rows(chip.ivm, SHAPE, 0, 130), truth)
            np.testing.assert_array_equal(read_ivm_rows(chip.ivm, SHAPE, 70, 71), truth[70:71])
        assert done.exposures[1] == pair[1]
    record = done.exposures[0]
    assert type(record).from_dict(record.to_dict()) == record
    assert record.digest != pair[0].digest


def test_a_map_of_one_chip_of_two_is_warned_of(pair, tmp_path):
    path = write_fits(tmp_path / "ia0a01aaq_ivm.fits", np.ones(SHAPE), name="IVM")
    (record,) = attach_ivm(pair[:1], path, tmp_path / "m").exposures
    assert [c.ivm is None for c in record.chips] == [False, True]
    assert "no inverse-variance map for SCI,2" in record.verdict.reason


def test_maps_that_are_no_maps(pair, tmp_path):
    path = write_fits(tmp_path / "ib0b01baq_ivm.fits", np.zeros((4, 4)))
    done = attach_ivm(pair, path, tmp_path)
    assert done.exposures == (pair[0],)
    write_fits(path, np.zeros(SHAPE))
    done = attach_ivm(pair, path, tmp_path)
    assert "leaves 0.0 %" in done.exposures[1].verdict.reason
    np.save(tmp_path / "ib0b01baq_m.npy", some())
    mask = attach_masks(pair, tmp_path / "ib0b01baq_m.npy", tmp_path).exposures[1].chips[0].masks[0]
    with pytest.raises(InputError, match="not a map of inverse"):
        read_ivm_rows(mask, SHAPE, 0, 130)
    ivm = attach_ivm(pair, {"ib0b01baq": write_fits(tmp_path / "g.fits", some() * 1.5)}, tmp_path)
    with pytest.raises(InputError, match="not a mask"):
        read_mask_rows(ivm.exposures[1].chips[0].ivm, SHAPE, 0, 130)
