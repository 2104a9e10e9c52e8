"""Small exposures with everything that a real one has, and ways to spoil them."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

DATA = Path(__file__).parents[1] / "data" / "observe"
SHAPE = (130, 96)  # three blocks of 64 rows, the last one short
SCALE = {"UVIS": 0.0396, "IR": 0.1283, "WFC": 0.05}

_PRIMARY: dict[str, dict[str, Any]] = {
    "UVIS": {"INSTRUME": "WFC3", "DETECTOR": "UVIS", "FILTER": "F606W", "SCAN_TYP": "N"},
    "IR": {"INSTRUME": "WFC3", "DETECTOR": "IR", "FILTER": "F160W", "SCAN_TYP": "N"},
    "WFC": {
        "INSTRUME": "ACS",
        "DETECTOR": "WFC",
        "FILTER1": "F606W",
        "FILTER2": "POL0V",
    },
}


def primary_cards(detector: str, rootname: str) -> dict[str, Any]:
    return {
        **_PRIMARY[detector],
        "ROOTNAME": rootname,
        "PROPOSID": 12345,
        "TARGNAME": "NGC-0",
        "OBSTYPE": "IMAGING",
        "MTFLAG": " ",
        "FGSLOCK": "FINE",
        "EXPTIME": 340.0,
        "EXPSTART": 55611.25,
        "EXPEND": 55611.2539351852,
        "DRIZCORR": "PERFORM",
        "PHOTFLAM": 2.5e-19,
    }


def science_cards(detector: str, extver: int) -> dict[str, Any]:
    cd = SCALE[detector] / 3600.0
    return {
        "CCDCHIP": 3 - extver if detector != "IR" else 1,
        "BUNIT": "ELECTRONS/S" if detector == "IR" else "ELECTRONS",
        "PHOTFLAM": 2.0e-19 + 1e-21 * extver,
        "IDCSCALE": SCALE[detector],
        "MDRIZSKY": 3.5,
        "WCSNAME": "IDC_test-FIT_REL_GAIAeDR3",
        "CTYPE1": "RA---TAN-SIP",
        "CTYPE2": "DEC--TAN-SIP",
        "CRPIX1": 48.0,
        "CRPIX2": 65.0,
        "CRVAL1": 150.25,
        "CRVAL2": 2.0 + 0.002 * extver,
        "CD1_1": -cd,
        "CD1_2": 1e-7,
        "CD2_1": 1e-7,
        "CD2_2": cd,
        "A_ORDER": 2,
        "B_ORDER": 2,
        "A_2_0": 3e-6,
        "B_1_1": -2e-6,
    }


def table_cards(extver: int) -> dict[str, Any]:
    """Cards of SCI that call for two NPOL and two D2IM tables."""
    cards: dict[str, Any] = {}
    for stem, prefix in (("D2IMDIS", "D2IM"), ("CPDIS", "DP")):
        for axis in (1, 2):
            cards[f"{stem}{axis}"] = "Lookup"
            cards[f"{prefix}{axis}.EXTVER"] = 2 * extver - 2 + axis
            cards[f"{prefix}{axis}.NAXES"] = 2
            cards[f"{prefix}{axis}.AXIS.1"] = 1
            cards[f"{prefix}{axis}.AXIS.2"] = 2
    return cards


def _table(name: str, ver: int, shape: tuple[int, int]) -> fits.ImageHDU:
    rng = np.random.default_rng(ver)
    hdu = fits.ImageHDU(rng.normal(0, 0.05, shape).astype(np.float32), name=name, ver=ver)
    hdu.header.update(CRPIX1=0.0, CRPIX2=0.0, CRVAL1=0.0, CRVAL2=0.0, CDELT1=16.0, CDELT2=16.0)
    return hdu


class Maker:
    """Writes exposures; keyword arguments change what is in them.

    ``primary`` and ``science`` add cards (None deletes one); ``change`` is called with the
    HDUList before it is written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(
        self,
        rootname: str = "ia0a01aaq",
        detector: str = "UVIS",
        *,
        suffix: str = "flc",
        shape: tuple[int, int] = SHAPE,
        chips: int | None = None,
        tables: bool = True,
        primary: Mapping[str, Any] | None = None,
        science: Mapping[str, Any] | None = None,
        change: Callable[[fits.HDUList], None] | None = None,
        directory: Path | None = None,
    ) -> Path:
        rng = np.random.default_rng(7)
        hdus = fits.HDUList([fits.PrimaryHDU()])
        _set(hdus[0].header, primary_cards(detector, rootname) | dict(primary or {}))
        count = chips if chips is not None else (1 if detector == "IR" else 2)
        for extver in range(1, count + 1):
            sci = rng.normal(100, 10, shape).astype(np.float32)
            dq = rng.choice([0, 0, 0, 16, 64, 4096, 16384, -32768], shape).astype(np.int16)
            for name, data in (("SCI", sci), ("ERR", np.sqrt(np.abs(sci))), ("DQ", dq)):
                hdus.append(fits.ImageHDU(data, name=name, ver=extver))
            cards = science_cards(detector, extver)
            if tables:
                cards |= table_cards(extver)
            _set(hdus["SCI", extver].header, cards | dict(science or {}))
        if tables:
            size = (-(-shape[0] // 16), -(-shape[1] // 16))
            for ver in range(1, 2 * count + 1):
                hdus.append(_table("D2IMARR", ver, size))
                hdus.append(_table("WCSDVARR", ver, size))
        if change is not None:
            change(hdus)
        path = (directory or self.directory) / f"{rootname}_{suffix}.fits"
        path.parent.mkdir(exist_ok=True)
        hdus.writeto(path, output_verify="ignore", overwrite=True)
        return path


def _set(header: fits.Header, cards: Mapping[str, Any]) -> None:
    for key, value in cards.items():
        if value is None:
            header.remove(key, ignore_missing=True)
        else:
            header[key] = value


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("HAPDASK_CACHE", str(folder))
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def patch(path: Path, old: bytes, new: bytes, count: int = -1) -> None:
    """Replace bytes of a file by as many others."""
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new.ljust(len(old)), count))


@pytest.fixture
def spoil() -> Callable[..., None]:
    return patch


@pytest.fixture
def real_headers() -> dict[str, list[bytes]]:
    """Raw header blocks of real exposures: PRIMARY, SCI,1, ..."""
    found = {}
    for name in ("uvis", "ir", "acs"):
        raw = gzip.decompress((DATA / f"{name}_headers.bin.gz").read_bytes())
        cuts, start = [], 0
        for block in range(0, len(raw), 2880):
            cards = [raw[i : i + 80].rstrip() for i in range(block, block + 2880, 80)]
            if b"END" in cards:
                cuts.append(raw[start : block + 2880])
                start = block + 2880
        found[name] = cuts
    return found
