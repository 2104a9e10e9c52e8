"""Records: immutable, exact as plain data, small when pickled, and honest in their digest."""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from astropy.wcs import WCS
from dask.base import tokenize
from hypothesis import given
from hypothesis import strategies as st

from hapdask.errors import ParameterError, StoreError
from hapdask.observe.distortion import Correction
from hapdask.observe.exposure import open_exposures
from hapdask.observe.masks import write_mask
from hapdask.observe.parts import FileIdentity, MaskRef
from hapdask.observe.plain import pack_array, unpack_array
from hapdask.observe.record import ExposureRecord


@pytest.fixture
def record(make):
    return open_exposures(make())[0]


@pytest.fixture
def full(record, tmp_path):
    """A record with everything that later steps add."""
    mask = write_mask(tmp_path / "m.mask", np.eye(130, 96), "user")
    return (
        record.corrected(Correction((150.25, 2.0), (1.0, 1e-5, -1e-5, 1.0), (0.012, -0.034)))
        .with_sky({1: 12.3456789, 2: -0.1})
        .with_flux_factors({1: 1.01, 2: 0.99})
        .with_mask(2, mask)
    )


def through_json(record):
    return ExposureRecord.from_dict(json.loads(json.dumps(record.to_dict(), allow_nan=False)))


def test_what_the_headers_say(record):
    assert record.name == "ia0a01aaq"
    assert record.visit == "ia0a01"
    assert record.layer_name == "wfc3_uvis_f606w"
    assert (record.exptime, record.unit, record.suffix) == (340.0, "electron", "flc")
    assert (record.proposal, record.target) == ("12345", "NGC-0")
    assert record.wcsname == "IDC_test-FIT_REL_GAIAeDR3"
    assert record.mid_mjd == pytest.approx(55611.2519675926)
    assert [(c.extver, c.chip, c.shape) for c in record.chips] == [
        (1, 2, (130, 96)),
        (2, 1, (130, 96)),
    ]
    assert [c.photflam for c in record.chips] == [2.01e-19, 2.02e-19]
    assert [c.idcscale for c in record.chips] == [0.0396, 0.0396]
    assert all(c.sky == 0.0 and c.flux_factor == 1.0 and not c.masks for c in record.chips)
    assert record.header_sky() == {1: 3.5, 2: 3.5}


def test_a_record_cannot_be_changed(record):
    with pytest.raises(FrozenInstanceError):
        record.exptime = 1.0
    with pytest.raises(FrozenInstanceError):
        record.chips[0].sky = 1.0


def test_plain_data_give_back_an_equal_record(record, full):
    for one in (record, full, record.strip(), full.strip()):
        other = through_json(one)
        assert other == one
        assert other.digest == one.digest
        assert hash(other) == hash(one)
        assert through_json(other).to_dict() == one.to_dict()
        for a, b in zip(one.chips, other.chips, strict=True):
            for x, y in zip(
                a.distortion.pixel_to_sky(3.0, 4.0),
                b.distortion.pixel_to_sky(3.0, 4.0),
                strict=True,
            ):
                assert x == y


def test_pickles_and_copies_are_equal(full):
    for other in (pickle.loads(pickle.dumps(full)), copy.deepcopy(full)):
        assert other == full
        assert other.digest == full.digest
        assert tokenize(other) == tokenize(full)


def test_equal_tables_travel_once(make):
    exposures = open_exposures([make(f"ia0a{i:02}aaq") for i in range(10)])
    stripped = [e.strip() for e in exposures]
    table = stripped[0].chips[1].distortion.npol_x.values.tobytes()
    assert pickle.dumps(stripped, protocol=5).count(table) == 1


def test_strip_keeps_all_but_the_cards(full):
    stripped = full.strip()
    assert stripped.keywords == ()
    assert all(chip.keywords == () for chip in stripped.chips)
    assert replace(stripped, keywords=full.keywords, chips=full.chips) == full
    assert stripped.digest == full.digest


def test_cards_for_export(record):
    cards = dict(record.keywords)
    assert cards["INSTRUME"] == "WFC3"
    assert cards["PHOTFLAM"] == 2.5e-19  # of PRIMARY
    assert "BUNIT" not in cards
    assert dict(record.chips[0].keywords)["BUNIT"] == "ELECTRONS"
    for structural in ("SIMPLE", "BITPIX", "NAXIS", "EXTEND", "XTENSION", "EXTNAME", "EXTVER"):
        assert structural not in cards
    assert not any("." in key for key in cards)
    assert dict(record.chips[1].keywords)["PHOTFLAM"] == 2.02e-19
    assert dict(record.chips[1].keywords)["EXTVER"] == 2


def other_records(full):
    chip = full.chips[0]
    distortion = replace(chip.distortion, crpix=(49.0, 65.0))
    yield full.with_sky(1.0)
    yield full.with_flux_factors(1.5)
    yield full.with_mask(1, MaskRef("user", "/x", ("a", "", "")))
    yield replace(full, chips=(replace(chip, distortion=distortion), *full.chips[1:]))
    yield replace(full, chips=full.chips[:1])
    yield replace(full, identity=FileIdentity(1, full.identity.header_hash, full.identity.stamp))
    yield replace(full, identity=replace(full.identity, header_hash="0"))
    yield replace(full, identity=replace(full.identity, stamp="0"))
    yield replace(full, exptime=341.0)
    yield replace(full, expend=full.expend + 1e-9)
    yield replace(full, name="other")
    yield replace(full, correction=None)


def test_whatever_can_change_a_pixel_changes_the_digest(full):
    digests = [full.digest, *(r.digest for r in other_records(full))]
    assert len(set(digests)) == len(digests)


def test_what_cannot_change_a_pixel_does_not(full):
    moved = full.chips[1].masks[0]
    chips = (full.chips[0], replace(full.chips[1], masks=(replace(moved, url="/elsewhere"),)))
    for other in (
        replace(full, url="/elsewhere"),
        replace(full, keywords=()),
        full.with_verdict(full.verdict.warned("look")),
        replace(full, chips=chips),
    ):
        assert other.digest == full.digest


def test_tokens_tell_places_apart(full):
    assert tokenize(full) != tokenize(replace(full, url="/elsewhere"))


def test_the_order_of_masks_does_not_matter(record):
    a, b = MaskRef("a", "/a", ("1", "", "")), MaskRef("b", "/b", ("", "2", ""))
    assert (
        record.with_mask(1, a).with_mask(1, b).digest
        == record.with_mask(1, b).with_mask(1, a).digest
    )


def test_a_mask_replaces_one_of_the_same_kind_and_place(record):
    old, new = MaskRef("user", "/m", ("1", "", "")), MaskRef("user", "/m", ("2", "", ""))
    assert record.with_mask(1, old).with_mask(1, new).chip(1).masks == (new,)
    assert record.with_mask(1, old).chip(2).masks == ()


@given(st.floats(-1e6, 1e6))
def test_sky_is_rounded_to_its_quantum(sky):
    record = _tiny()
    kept = record.with_sky(sky).chips[0].sky
    assert kept == pytest.approx(sky, abs=0.51e-6)
    assert record.with_sky(kept).digest == record.with_sky(sky).digest


def test_negative_zero_is_zero():
    assert str(_tiny().with_sky(-1e-9).chips[0].sky) == "0.0"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(record, bad):
    with pytest.raises(ParameterError, match="finite"):
        record.with_sky(bad)
    with pytest.raises(ParameterError, match="finite"):
        record.with_flux_factors({1: bad})


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_flux_factors_are_positive(record, bad):
    with pytest.raises(ParameterError, match="positive"):
        record.with_flux_factors(bad)


def test_a_chip_that_is_not_there(record):
    for call in (lambda: record.chip(3), lambda: record.with_sky({3: 1.0})):
        with pytest.raises(ParameterError, match="SCI,3"):
            call()


def test_a_correction_moves_all_chips_and_comes_once(record):
    shift = Correction((150.25, 2.0), shift=(0.5, 0.0))
    moved = record.corrected(shift)
    assert moved.correction == shift
    for before, after in zip(record.chips, moved.chips, strict=True):
        ra0, dec0 = before.distortion.pixel_to_sky(10.0, 20.0)
        ra1, dec1 = after.distortion.pixel_to_sky(10.0, 20.0)
        assert (ra1 - ra0) * np.cos(np.radians(dec0)) * 3600 == pytest.approx(0.5, abs=1e-6)
        assert (dec1 - dec0) * 3600 == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ParameterError, match="already"):
        moved.corrected(shift)
    assert record.corrected(None) is record


def test_the_footprint_is_the_outline_of_the_chips(make):
    path = make(tables=False)
    (record,) = open_exposures(path)
    footprint = record.footprint
    assert len(footprint.polygons) == 2
    from astropy.io import fits

    with fits.open(path) as hdus:
        for chip in record.chips:
            wcs = WCS(hdus["SCI", chip.extver].header)
            x = np.array([-0.5, 95.5, 95.5, -0.5])
            y = np.array([-0.5, -0.5, 129.5, 129.5])
            ra, dec = wcs.all_pix2world(x, y, 0)
            polygon = np.array(footprint.polygons[chip.extver - 1])
            for corner in zip(ra, dec, strict=True):
                assert np.min(np.hypot(*(polygon.T - corner).T)) < 1e-9
    inside = record.chips[0].distortion.pixel_to_sky(np.array([0.0, 95.0]), np.array([0.0, 129.0]))
    assert footprint.contains(*inside).all()
    assert not footprint.contains(150.25, 2.1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("chips"),
        lambda d: d.update(format=99),
        lambda d: d.update(extra=1),
        lambda d: d["chips"][0]["distortion"].pop("cd"),
        lambda d: d["chips"][0]["distortion"]["sip_a"].update(data="!!"),
        lambda d: d["chips"][0]["distortion"]["sip_a"].update(dtype="|O"),
        lambda d: d["chips"][0]["distortion"]["sip_a"].update(shape=[10**9, 10**9]),
        lambda d: d["chips"][0].update(shape=[1]),
        lambda d: d.update(identity=None),
    ],
)
def test_damaged_data_are_refused(record, spoil):
    data = json.loads(json.dumps(record.to_dict()))
    spoil(data)
    with pytest.raises(StoreError, match="not an exposure record"):
        ExposureRecord.from_dict(data)


@given(
    st.lists(st.floats(width=64), max_size=20).map(np.array)
    | st.lists(st.floats(width=32), max_size=20).map(np.array)
)
def test_arrays_come_back_bit_for_bit(array):
    array = array.astype(np.float64)
    assert unpack_array(json.loads(json.dumps(pack_array(array)))).tobytes() == array.tobytes()


def _tiny():
    from hapdask.observe.distortion import Distortion
    from hapdask.observe.parts import ChipRecord

    zero = np.zeros((1, 1))
    cd = (-1e-5, 0.0, 0.0, 1e-5)
    distortion = Distortion((4, 4), (10.0, 20.0), (2.0, 2.0), cd, zero, zero)
    return ExposureRecord(
        name="ia0a01aaq",
        url="/x",
        identity=FileIdentity(1, "h", "s"),
        instrument="wfc3",
        detector="uvis",
        filter="f606w",
        exptime=1.0,
        expstart=55000.0,
        expend=55000.1,
        unit="electron",
        proposal="1",
        visit="ia0a01",
        target="",
        suffix="flc",
        wcsname="",
        chips=(ChipRecord(1, 2, (4, 4), distortion, None, None, None),),
    )
