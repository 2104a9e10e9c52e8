"""What hapdask knows of Hubble's detectors, in one table.

Figures that a header carries (gain, scale, chip number) are read from the header; the table says
under which keywords, and what to fall back on.  A new detector is a new row.  Not here: how
exposures are selected (`selection`) or their filters named (`filter_name` aside).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hapdask.errors import InputError
from hapdask.observe.cards import Value

_CCD_GAINS = ("ATODGNA", "ATODGNB", "ATODGNC", "ATODGND")
_CCD_NOISES = ("READNSEA", "READNSEB", "READNSEC", "READNSED")


@dataclass(frozen=True, slots=True)
class Instrument:
    """One detector.

    Attributes
    ----------
    instrume, detector : str
        Header values INSTRUME and DETECTOR, upper case.
    hap_instrument, hap_detector : str
        Their names in HAP file and layer names.
    shape : tuple of int
        Full chip (ny, nx), pixels; a subarray is smaller.
    chip_of_extver : tuple of int
        CCDCHIP of SCI,1, SCI,2, ... of a full frame: the order of the chips.
    native_scale : float, arcsec / pixel
        Nominal; IDCSCALE of the header goes before it.
    unit : str
        Unit of SCI where BUNIT is missing: ``electron`` or ``electron / s``.
    filter_keywords : tuple of str
    gain_keywords, read_noise_keywords : tuple of str
        Their non-zero values are averaged.
    scales : tuple of str
        Scales of the detector's layers.
    ext_names : tuple of str
        Names of the science, error and data-quality extensions.
    """

    instrume: str
    detector: str
    hap_instrument: str
    hap_detector: str
    shape: tuple[int, int]
    chip_of_extver: tuple[int, ...]
    native_scale: float
    unit: str
    filter_keywords: tuple[str, ...]
    gain_keywords: tuple[str, ...] = _CCD_GAINS
    read_noise_keywords: tuple[str, ...] = _CCD_NOISES
    scales: tuple[str, ...] = ("fine",)
    ext_names: tuple[str, str, str] = ("SCI", "ERR", "DQ")

    @property
    def label(self) -> str:
        """INSTRUME/DETECTOR."""
        return f"{self.instrume}/{self.detector}"


_ROWS = (
    Instrument(
        instrume="WFC3",
        detector="UVIS",
        hap_instrument="wfc3",
        hap_detector="uvis",
        shape=(2051, 4096),
        chip_of_extver=(2, 1),
        native_scale=0.03962,
        unit="electron",
        filter_keywords=("FILTER",),
    ),
    Instrument(
        instrume="WFC3",
        detector="IR",
        hap_instrument="wfc3",
        hap_detector="ir",
        shape=(1014, 1014),
        chip_of_extver=(1,),
        native_scale=0.12825,
        unit="electron / s",
        filter_keywords=("FILTER",),
        scales=("coarse", "fine"),
    ),
    Instrument(
        instrume="ACS",
        detector="WFC",
        hap_instrument="acs",
        hap_detector="wfc",
        shape=(2048, 4096),
        chip_of_extver=(2, 1),
        native_scale=0.05,
        unit="electron",
        filter_keywords=("FILTER1", "FILTER2"),
    ),
)

INSTRUMENTS: dict[tuple[str, str], Instrument] = {(r.instrume, r.detector): r for r in _ROWS}

_UNITS = {
    "electrons": "electron",
    "electron": "electron",
    "e-": "electron",
    "electrons/s": "electron / s",
    "electron/s": "electron / s",
    "e-/s": "electron / s",
}
_SAFE_FILTER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)?$")


def find_instrument(primary: Mapping[str, Value], path: str) -> Instrument:
    """Find the row of a file's detector.

    Raises
    ------
    InputError
        If INSTRUME and DETECTOR name none in the table; the message lists those that it has.
    """
    key = tuple(str(primary.get(k) or "").strip().upper() for k in ("INSTRUME", "DETECTOR"))
    found = INSTRUMENTS.get((key[0], key[1]))
    if found is None:
        known = ", ".join(row.label for row in _ROWS)
        named = "/".join(part for part in key if part) or "INSTRUME and DETECTOR are missing"
        raise InputError(
            path, f"{named}: not a detector that can be processed", remedy=f"known are {known}"
        )
    return found


def filter_elements(primary: Mapping[str, Value], instrument: Instrument) -> tuple[str, ...]:
    """List the filter wheels' elements, upper case, clear positions included."""
    names = (str(primary.get(key) or "").strip().upper() for key in instrument.filter_keywords)
    return tuple(name for name in names if name)


def filter_name(elements: tuple[str, ...], path: str) -> str:
    """Name the filter as HAP products do, for example ``f606w-pol0v``.

    Source: facts of HAP's ``determine_filter_name``: clear positions are dropped, a polariser
    comes last.

    Raises
    ------
    InputError
        If no element is named, or a name could not stand in a file name.
    """
    if not elements:
        raise InputError(path, "no filter keyword has a value", remedy="mend the primary header")
    parts = [e.lower() for e in elements[:2]]
    parts = [e for e in parts if "clear" not in e and "n/a" not in e] or ["clear"]
    if parts[0].startswith("pol"):
        parts.reverse()
    name = "-".join(parts)
    if not _SAFE_FILTER.match(name):
        raise InputError(path, f"filter {name!r} is no filter name", remedy="mend the header")
    return name


def flux_unit(bunit: Value, instrument: Instrument, path: str, ext: str) -> str:
    """``electron`` or ``electron / s``, from BUNIT or else from the table.

    Raises
    ------
    InputError
        If BUNIT is some other unit.
    """
    text = str(bunit or "").strip().lower().replace(" ", "")
    if not text:
        return instrument.unit
    if text not in _UNITS:
        raise InputError(
            path,
            f"BUNIT = {bunit!r}: not electrons or electrons/s",
            ext=ext,
            remedy="calibrate the exposure with the instrument's pipeline",
        )
    return _UNITS[text]
