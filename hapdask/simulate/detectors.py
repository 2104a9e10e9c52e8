"""Figures of the simulated detectors and filters, in one table each.

What lives here: numbers and their lookup by name. No pixels are made here.
"""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from hapdask.errors import ParameterError

MIRROR_DIAMETER = 2.4  # m


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector as the simulator sees it.

    Parameters
    ----------
    instrument, detector : str
        As in INSTRUME and DETECTOR.
    template : str
        Name of the packaged template.
    prefix, suffix : str
        First letter of a rootname; suffix of the file (``flc`` or ``flt``).
    shape : tuple of int
        ``(ny, nx)`` of one chip.
    amps : dict
        Names of the amplifiers of each chip (by EXTVER), in columns from left to right; two
        rows (upper, lower) where a chip has four.
    rate : bool
        True where SCI is in electrons / s (ramp-fitted).
    dark : float
        Dark current, electrons / s / pixel.
    full_well : float
        Electrons at which a pixel saturates.
    blur : float
        FWHM in arcsec of what the detector adds to the diffraction core (charge diffusion, jitter).
    cosmic_rays : float
        Hits per second on one chip that are left in the calibrated image.
    hot, warm, bad : float
        Fractions of pixels with DQ 16, 64 and 4.
    hot_current : float
        Electrons / s at which a pixel is called hot.
    """

    instrument: str
    detector: str
    template: str
    prefix: str
    suffix: str
    shape: tuple[int, int]
    amps: dict[int, tuple[str, ...]]
    rate: bool
    dark: float
    full_well: float
    blur: float
    cosmic_rays: float
    hot: float
    warm: float
    bad: float
    hot_current: float

    @property
    def bunit(self) -> str:
        """BUNIT of SCI and ERR."""
        return "ELECTRONS/S" if self.rate else "ELECTRONS"


# Cosmic rays: 1.1 hits / s / cm2 on CCDs of 15 micron pixels (Instrument Handbooks), which is 20
# per second and chip and touches 1 to 1.5 % of the pixels in 1000 s.
_DETECTORS = (
    Detector(
        "WFC3", "UVIS", "wfc3_uvis", "i", "flc", (2051, 4096), {1: ("CD",), 2: ("AB",)},
        rate=False, dark=0.0015, full_well=70_000.0, blur=0.044, cosmic_rays=20.0,
        hot=0.008, warm=0.006, bad=0.0003, hot_current=0.015,
    ),
    Detector(
        "WFC3", "IR", "wfc3_ir", "i", "flt", (1014, 1014), {1: ("AD", "BC")},
        rate=True, dark=0.045, full_well=78_000.0, blur=0.020, cosmic_rays=0.02,
        hot=0.004, warm=0.0, bad=0.004, hot_current=0.4,
    ),
    Detector(
        "ACS", "WFC", "acs_wfc", "j", "flc", (2048, 4096), {1: ("CD",), 2: ("AB",)},
        rate=False, dark=0.0035, full_well=80_000.0, blur=0.075, cosmic_rays=20.0,
        hot=0.007, warm=0.008, bad=0.0003, hot_current=0.14,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Passband:
    """A filter on a detector.

    Parameters
    ----------
    instrument, detector, filter : str
        Names as in the headers.
    photflam : float
        erg / cm2 / Angstrom / electron.
    photplam, photbw : float
        Pivot wavelength and rms width, Angstrom.
    sky : float
        Typical background, AB magnitude per square arcsec.
    """

    instrument: str
    detector: str
    filter: str
    photflam: float
    photplam: float
    photbw: float
    sky: float

    @property
    def zero_point(self) -> float:
        """AB magnitude of a source that gives one electron / s."""
        return -2.5 * math.log10(self.photflam) - 5.0 * math.log10(self.photplam) - 2.408

    @property
    def photfnu(self) -> float:
        """Jy s / electron."""
        return 3.33564095e4 * self.photflam * self.photplam**2

    def sky_rate(self, pixel_scale: float) -> float:
        """Typical background of one pixel.

        Parameters
        ----------
        pixel_scale : float
            arcsec.

        Returns
        -------
        float
            electrons / s / pixel.
        """
        return float(10.0 ** (-0.4 * (self.sky - self.zero_point)) * pixel_scale**2)


def get_detector(instrument: str, detector: str) -> Detector:
    """Find a detector by name, in any case.

    Raises
    ------
    ParameterError
        If the simulator does not know it.
    """
    for row in _DETECTORS:
        if (row.instrument, row.detector) == (instrument.upper(), detector.upper()):
            return row
    known = [f"{row.instrument}/{row.detector}" for row in _DETECTORS]
    raise ParameterError(_unknown("detector", f"{instrument}/{detector}", known))


def get_passband(detector: Detector, filter_name: str) -> Passband:
    """Find a filter of a detector by name, in any case.

    Raises
    ------
    ParameterError
        If the simulator does not know it.
    """
    table = _passbands()
    key = (detector.instrument, detector.detector, filter_name.upper())
    if key not in table:
        known = [name for *rest, name in table if tuple(rest) == key[:2]]
        label = f"{detector.instrument}/{detector.detector} filter"
        raise ParameterError(_unknown(label, filter_name, known))
    return table[key]


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name.upper(), names, n=1)
    hint = f"; nearest is {near[0]!r}" if near else ""
    return f"the simulator has no {what} {name!r}{hint}; known: {', '.join(names)}"


@lru_cache(maxsize=1)
def _passbands() -> dict[tuple[str, str, str], Passband]:
    path = resources.files("hapdask.simulate").joinpath("data/passbands.csv")
    lines = (line for line in path.read_text("ascii").splitlines() if not line.startswith("#"))
    table = {}
    for row in csv.DictReader(lines):
        figures = (float(row[key]) for key in ("photflam", "photplam", "photbw", "sky"))
        band = Passband(row["instrument"], row["detector"], row["filter"], *figures)
        table[band.instrument, band.detector, band.filter] = band
    return table
