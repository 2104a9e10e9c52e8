"""Every row of the instruments table, spoilt in every way: told with file, extension and remedy.

One bad exposure never loses the rest.  Whole exposures are simulated subarrays (WFPC2: its AREA
mode); detectors that the simulator has not are made of their siblings' by the cards that tell them.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.tile import drizzle_tile
from hapdask.errors import InputError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.instruments import INSTRUMENTS
from hapdask.simulate import Mode, Options, Pointing, Scene, Subarray, simulate_exposure
from hapdask.sky.frame import Frame

Change = Callable[[fits.HDUList], object]

_PART = Subarray(1, 40, 64, 150, 130)
#: By row of the table: what is simulated, and the cards that make another detector of it.
MADE: dict[str, tuple[str, str, str, Mode, dict[str, object]]] = {
    "WFC3/UVIS": ("WFC3", "UVIS", "F606W", Mode(subarray=_PART), {}),
    "WFC3/IR": ("WFC3", "IR", "F160W", Mode(subarray=_PART), {}),
    "ACS/WFC": ("ACS", "WFC", "F606W", Mode(subarray=_PART), {}),
    "ACS/HRC": ("ACS", "HRC", "F606W", Mode(subarray=_PART), {}),
    "ACS/SBC": ("ACS", "SBC", "F150LP", Mode(subarray=_PART), {}),
    "WFPC2/PC": ("WFPC2", "PC", "F555W", Mode(2), {}),
    "STIS/CCD": ("STIS", "CCD", "F28X50LP", Mode(subarray=_PART), {}),
    "STIS/NUV-MAMA": (
        "STIS", "CCD", "50CCD", Mode(subarray=_PART),
        {"DETECTOR": "NUV-MAMA", "OPT_ELEM": "MIRNUV", "APERTURE": "F25QTZ"},
    ),
    "STIS/FUV-MAMA": (
        "STIS", "CCD", "50CCD", Mode(subarray=_PART),
        {"DETECTOR": "FUV-MAMA", "OPT_ELEM": "MIRFUV", "APERTURE": "25MAMA"},
    ),
    "NICMOS/NIC1": ("NICMOS", "NIC2", "F160W", Mode(), {"CAMERA": 1}),
    "NICMOS/NIC2": ("NICMOS", "NIC2", "F160W", Mode(), {}),
    "NICMOS/NIC3": ("NICMOS", "NIC2", "F160W", Mode(), {"CAMERA": 3}),
}  # fmt: skip
RADEC = (201.3, -47.2)


def test_every_row_is_here():
    assert set(MADE) == {row.label for row in INSTRUMENTS.values()}


@pytest.fixture(scope="module", params=MADE)
def whole(request, tmp_path_factory) -> Path:
    """A good exposure of a row."""
    instrument, detector, band, mode, cards = MADE[request.param]
    made = simulate_exposure(
        Scene.stars(*RADEC, 20.0), instrument, detector, band,
        Pointing(*RADEC, 10.0, "2005-01-01T00:00:00"), 100.0, seed=1, mode=mode,
        options=Options(cosmic_rays=False), rootname=f"{'x' * 3}0101aq",
    )  # fmt: skip
    made.hdus[0].header.update(cards)
    other = INSTRUMENTS[tuple(request.param.split("/"))]
    for key in ("CD1_1", "CD1_2", "CD2_1", "CD2_2", "IDCSCALE") if cards else ():
        ratio = other.chips[0].scale / INSTRUMENTS[instrument, detector].chips[0].scale
        made.hdus["SCI", 1].header[key] *= ratio
    path = made.write(tmp_path_factory.mktemp("whole"))
    (record,) = open_exposures(path, strict=True)
    assert f"{record.instrument}/{record.detector}".upper() == request.param
    return path


@pytest.fixture
def pair(whole, tmp_path) -> tuple[Path, Path]:
    """The exposure, and a copy of another name to be spoilt."""
    for path in whole.parent.iterdir():
        for root in ("xxx0101aq", "xxx0102aq"):
            copy = tmp_path / path.name.replace("xxx0101aq", root)
            shutil.copy(path, copy)
            with fits.open(copy, mode="update") as hdus:
                hdus[0].header["ROOTNAME"] = root
    return tmp_path / whole.name, tmp_path / whole.name.replace("xxx0101aq", "xxx0102aq")


def companion(path: Path) -> Path | None:
    other = path.with_name(path.name.replace("_c0m", "_c1m"))
    return other if other != path else None


def spoil(path: Path, change: Change) -> None:
    """Change a copy in place."""
    with fits.open(path, memmap=False) as hdus:
        hdus.readall()
        change(hdus)
        hdus.writeto(path, overwrite=True, output_verify="ignore")


def told(good: Path, bad: Path, words: str, ext: str | None = "any", of: Path | None = None):
    """The good one opens; the other is told, and with ``strict`` it is an error."""
    exposures = open_exposures([good, bad])
    assert [e.name for e in exposures] == ["xxx0101aq"]
    (_, fine), (path, verdict) = exposures.verdicts
    assert fine.status != "rejected"
    assert (path, verdict.status) == (str(bad), "rejected")
    assert words in verdict.reason, verdict.reason
    if of is not None:
        assert str(of) in verdict.reason
    with pytest.raises(InputError) as caught:
        open_exposures([good, bad], strict=True)
    assert caught.value.path == str(of or bad)
    assert caught.value.remedy
    if ext != "any":
        assert caught.value.ext == ext


def drop(*names: str) -> Change:
    def change(hdus):
        for name in names:
            while name in [h.name for h in hdus]:
                del hdus[name]

    return change


def science(**cards: object) -> Change:
    return lambda hdus: hdus["SCI", 1].header.update(cards)


def without(where: object, *keys: str) -> Change:
    def change(hdus):
        for hdu in hdus if where is None else [hdus[where]]:
            for key in keys:
                hdu.header.remove(key, ignore_missing=True)

    return change


def pixels(name: str, data: np.ndarray | None) -> Change:
    return lambda hdus: setattr(hdus[name, 1], "data", data)


class TestFiles:
    """What is wrong with the file itself."""

    @pytest.mark.parametrize("share", [0.02, 0.4, 0.9])
    def test_truncated(self, pair, share):
        raw = pair[1].read_bytes()
        pair[1].write_bytes(raw[: int(share * len(raw))])
        told(*pair, "truncated")

    @pytest.mark.parametrize(
        ("content", "words"), [(b"", "empty"), (b"<html>no such file</html>" * 300, "not a FITS")]
    )
    def test_empty_or_something_else(self, pair, content, words):
        pair[1].write_bytes(content)
        told(*pair, words)

    @pytest.mark.parametrize("how", ["cut", "flipped", "not gzip"])
    def test_a_corrupt_gz(self, pair, how):
        packed = pair[1].with_name(pair[1].name + ".gz")
        raw = bytearray(gzip.compress(pair[1].read_bytes(), 1))
        if how == "cut":
            raw = raw[: len(raw) // 2]
        elif how == "flipped":
            raw[len(raw) // 2] ^= 0xFF
            raw[-5] ^= 0xFF
        else:
            raw = bytearray(b"this is no gzip")
        packed.write_bytes(raw)
        told(pair[0], packed, "")

    def test_a_gz_is_as_good(self, pair):
        for path in filter(None, (pair[1], companion(pair[1]))):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        packed = pair[1].with_name(pair[1].name + ".gz")
        (plain,) = open_exposures(pair[1], strict=True)
        (other,) = open_exposures(packed, strict=True)
        assert [c.shape for c in other.chips] == [c.shape for c in plain.chips]
        assert other.suffix == plain.suffix
        assert all(chip.dq is not None for chip in other.chips)

    def test_the_same_exposure_twice(self, pair):
        with fits.open(pair[1], mode="update") as hdus:
            hdus[0].header["ROOTNAME"] = "xxx0101aq"
        if companion(pair[1]):
            with fits.open(companion(pair[1]), mode="update") as hdus:
                hdus[0].header["ROOTNAME"] = "xxx0101aq"
        told(*pair, "duplicate")

    def test_not_there(self, pair):
        pair[1].unlink()
        told(*pair, "No such file")


#: What is done, words of the message, extension named.
HEADERS: dict[str, tuple[Change, str, str | None]] = {
    "no SCI": (drop("SCI"), "no SCI", None),
    "SCI of three axes": (pixels("SCI", np.zeros((2, 3, 4), "f4")), "two axes", "SCI,1"),
    "SCI without pixels": (pixels("SCI", None), "two axes", "SCI,1"),
    "SCI too large": (pixels("SCI", np.zeros((5000, 8), "f4")), "8 x 5000", "SCI,1"),
    "SCI smaller than DQ": (pixels("SCI", np.zeros((7, 8), "f4")), "8 x 7", "any"),
    "no WCS": (
        without(("SCI", 1), "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CTYPE1", "CTYPE2"),
        "", "SCI,1",
    ),
    "no CRVAL2": (without(("SCI", 1), "CRVAL2"), "CRVAL2", "SCI,1"),
    "CRVAL a text": (science(CRVAL1="north"), "CRVAL1", "SCI,1"),
    "CRVAL absurd": (science(CRVAL2=-123.0), "CRVAL2", "SCI,1"),
    "CD zero": (science(CD1_1=0.0, CD1_2=0.0), "pixels of 0", "SCI,1"),
    "CD of another telescope": (science(CD1_1=1e-2, CD2_2=1e-2), "pixels of", "SCI,1"),
    "no CD": (without(("SCI", 1), "CD1_1", "CD1_2", "CD2_1", "CD2_2"), "CD", "SCI,1"),
    "SIP absurd": (science(A_2_0=3.0), "moves pixels", "SCI,1"),
    "SIP order absurd": (science(B_ORDER=-1), "B_ORDER", "SCI,1"),
    "another unit": (science(BUNIT="MJY/SR"), "BUNIT", "SCI,1"),
    "no EXPTIME": (without(None, "EXPTIME"), "exposure time", "any"),
    "EXPTIME 0": (
        lambda hdus: [h.header.update(EXPTIME=0.0) for h in hdus if "EXPTIME" in h.header],
        "no exposure time", "any",
    ),
    "no EXPSTART": (without(None, "EXPSTART"), "EXPSTART", "PRIMARY"),
    "no INSTRUME": (without(0, "INSTRUME"), "known are", None),
    "no filter": (
        without(0, "FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2", "APERTURE"),
        "filter", None,
    ),
    "a path for a name": (lambda h: h[0].header.update(ROOTNAME="../x"), "ROOTNAME", None),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words", "ext"), HEADERS.values(), ids=HEADERS)
def test_headers(pair, change, words, ext):
    spoil(pair[1], change)
    # What does not fit its c1m is told of the c1m.
    of = companion(pair[1]) if words in ("8 x 7", "ROOTNAME") else None
    told(*pair, "xxx0102aq" if of and words == "ROOTNAME" else words, "any" if of else ext, of)


def test_look_up_tables_that_are_gone_or_broken(pair):
    with fits.open(pair[1]) as hdus:
        names = sorted({h.name for h in hdus} & {"D2IMARR", "WCSDVARR"})
    if not names:
        pytest.skip("this detector has none")
    for name in names:
        kept = pair[1].read_bytes()
        spoil(pair[1], drop(name))
        told(*pair, f"{name},1 is missing", "SCI,1")
        pair[1].write_bytes(kept)
        spoil(pair[1], lambda h, n=name: setattr(h[n, 1], "data", np.full((9, 6), np.nan, "f4")))
        told(*pair, "", f"{name},1")
        pair[1].write_bytes(kept)


def test_data_quality_that_is_gone_or_of_another_shape(pair):
    other = companion(pair[1])
    if other is None:
        kept = pair[1].read_bytes()
        spoil(pair[1], drop("DQ"))
        told(*pair, "no DQ,1", "SCI,1")
        pair[1].write_bytes(kept)
        spoil(pair[1], pixels("DQ", np.zeros((3, 5), np.int16)))
        told(*pair, "5 x 3", "DQ,1")
        return
    spoil(other, pixels("SDQ", np.zeros((3, 5), np.int16)))
    told(*pair, "5 x 3", "SDQ,1", other)
    other.write_bytes(b"")
    told(*pair, "empty", of=other)
    other.unlink()
    record, less = open_exposures(pair, strict=True)
    assert record.verdict.status == "accepted"
    assert (less.verdict.status, less.chips[0].dq) == ("warning", None)
    assert "no c1m file beside the c0m" in less.verdict.reason


def test_errors_that_are_none(pair):
    """ERR of zero, less, NaN or infinity has no weight; NaN in SCI neither; the rest has."""
    with fits.open(pair[1]) as hdus:
        has_err = "ERR" in [h.name for h in hdus]

    def change(hdus):
        hdus["SCI", 1].data[60:62] = np.nan
        hdus["SCI", 1].data[62:63] = np.inf
        if has_err:
            for row, value in enumerate((0.0, -1.0, np.nan, np.inf)):
                hdus["ERR", 1].data[50 + 2 * row : 52 + 2 * row] = value

    spoil(pair[1], change)
    good, bad = (e.with_sky(0.0) for e in open_exposures(pair, strict=True))
    chip = good.chips[0]
    ra, dec = chip.distortion.pixel_to_sky(chip.shape[1] / 2, 56.0)
    frame = Frame.from_center(float(ra), float(dec), chip.idcscale, (60, 60))
    parameters = DrizzleParameters(weight="ERR" if has_err else "EXP", doubtful_bits="0")
    lost = covered(replace(good, name="a"), frame, parameters) & ~covered(bad, frame, parameters)
    assert 2 * 40 < lost.sum() < 20 * 90
    both = drizzle_tile([good, bad], frame, parameters)
    assert np.isfinite(both.plane("wht")).all()
    assert np.isfinite(both.plane("sci")[lost]).all()  # from the other exposure


def covered(record, frame, parameters):
    tile = drizzle_tile([record], frame, parameters)
    wht, sci, err = (tile.plane(name) for name in ("wht", "sci", "err"))
    assert np.isfinite(wht).all()
    assert (np.isfinite(sci) == (wht > 0)).all()
    assert (np.isfinite(err) <= (wht > 0)).all()
    return wht > 0
