"""Figures of the simulated detectors and filters, in one table each.

What lives here: numbers and their lookup by name. No pixels are made here.
"""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

from hapdask.errors import ParameterError

MIRROR_DIAMETER = 2.4  # m


@dataclass(frozen=True, slots=True)
class Flags:
    """DQ bits of a detector's files.

    Parameters
    ----------
    bad, hot, warm, saturated, cosmic_ray : int
    """

    bad: int = 4
    hot: int = 16
    warm: int = 64
    saturated: int = 256
    cosmic_ray: int = 4096


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
        First letter of a rootname; suffix of the file (``flc``, ``flt``, ``c0m``).
    shape : tuple of int
        ``(ny, nx)`` of one chip.
    amps : dict
        Names of the amplifiers of each chip (by EXTVER), in columns from left to right; two
        rows (upper, lower) where a chip has four.
    rate : bool
        True where SCI is a rate (ramp-fitted).
    dark : float
        Dark current, electrons / s / pixel.
    full_well : float
        Electrons at which a pixel saturates.
    blur : float
        FWHM in arcsec of what the detector adds to the diffraction core (charge diffusion, jitter).
    cosmic_rays : float
        Hits per second on one chip that are left in the calibrated image.
    hot, warm, bad : float
        Fractions of pixels with those flags.
    hot_current : float
        Electrons / s at which a pixel is called hot.
    photmode : str
        PHOTMODE, with ``{chip}``, ``{filter}``, ``{gain}`` and ``{day}`` to be filled in.
    wheels : tuple of (str, str, tuple of str)
        Filter keywords; what each says where the light passes no filter; the filters that are on
        it (all others are on the first).
    binnings : tuple of int
        On-chip binnings that the detector offers.
    bunit : str
        BUNIT of SCI and ERR.
    counting : bool
        True where single photons are counted: neither read noise nor cosmic rays.
    gains : dict
        By commanded gain, then by EXTVER: electrons per count and read noise in electrons. Empty
        where files are in electrons and carry the read noise in READNSE*.
    counts : float
        Counts at which the converter saturates; infinite where the full well comes first.
    response : dict
        Sensitivity of a chip (by EXTVER) relative to the passband's; 1 where it is not named.
    shadow : dict
        By EXTVER, the pyramid's shadow on a chip: three coefficients of the lowest lit row as a
        polynomial of the column, three of the lowest lit column as one of the row (0-based).
    penumbra : dict
        By EXTVER, pixels within which the light falls to nothing in the shadow.
    flags : Flags
        DQ bits.
    separate_dq : bool
        True where DQ is a file of its own (c1m) and there is no ERR.
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
    photmode: str
    wheels: tuple[tuple[str, str, tuple[str, ...]], ...]
    binnings: tuple[int, ...] = (1,)
    bunit: str = "ELECTRONS"
    counting: bool = False
    gains: dict[int, dict[int, tuple[float, float]]] = field(default_factory=dict)
    counts: float = math.inf
    response: dict[int, float] = field(default_factory=dict)
    shadow: dict[int, tuple[float, ...]] = field(default_factory=dict)
    penumbra: dict[int, float] = field(default_factory=dict)
    flags: Flags = Flags()
    separate_dq: bool = False


# Cosmic rays: 1.1 hits / s / cm2 on CCDs of 15 micron pixels (Instrument Handbooks), which is 20
# per second and chip and touches 1 to 1.5 % of the pixels in 1000 s.
_DETECTORS = (
    Detector(
        "WFC3", "UVIS", "wfc3_uvis", "i", "flc", (2051, 4096), {1: ("CD",), 2: ("AB",)},
        rate=False, dark=0.0015, full_well=70_000.0, blur=0.044, cosmic_rays=20.0,
        hot=0.008, warm=0.006, bad=0.0003, hot_current=0.015,
        photmode="WFC3 UVIS{chip} {filter} {day}", wheels=(("FILTER", "CLEAR", ()),),
        binnings=(1, 2, 3),
    ),
    Detector(
        "WFC3", "IR", "wfc3_ir", "i", "flt", (1014, 1014), {1: ("AD", "BC")},
        rate=True, dark=0.045, full_well=78_000.0, blur=0.020, cosmic_rays=0.02,
        hot=0.004, warm=0.0, bad=0.004, hot_current=0.4,
        photmode="WFC3 IR {filter}", wheels=(("FILTER", "CLEAR", ()),), bunit="ELECTRONS/S",
    ),
    Detector(
        "ACS", "WFC", "acs_wfc", "j", "flc", (2048, 4096), {1: ("CD",), 2: ("AB",)},
        rate=False, dark=0.0035, full_well=80_000.0, blur=0.075, cosmic_rays=20.0,
        hot=0.007, warm=0.008, bad=0.0003, hot_current=0.14,
        photmode="ACS WFC1 {filter} {day}",  # the same for both chips
        wheels=(("FILTER1", "CLEAR1L", ()), ("FILTER2", "CLEAR2L", ("F435W", "F814W"))),
    ),
    Detector(
        "ACS", "HRC", "acs_hrc", "j", "flt", (1024, 1024), {1: ("C",)},
        rate=False, dark=0.0025, full_well=155_000.0, blur=0.040, cosmic_rays=4.5,
        hot=0.006, warm=0.010, bad=0.0003, hot_current=0.08,
        photmode="ACS HRC {filter} {day}",
        wheels=(("FILTER1", "CLEAR1S", ()), ("FILTER2", "CLEAR2S", ("F330W", "F435W", "F814W"))),
    ),
    Detector(
        "ACS", "SBC", "acs_sbc", "j", "flt", (1024, 1024), {1: ("-",)},
        rate=False, dark=1.2e-5, full_well=math.inf, blur=0.060, cosmic_rays=0.0,
        hot=0.0, warm=0.0, bad=0.0004, hot_current=0.01,
        photmode="ACS SBC {filter}", wheels=(("FILTER1", "N/A", ()), ("FILTER2", "N/A", ())),
        counting=True,
    ),
    # Gains, read noise and the shadow: as AstroDrizzle has them. Response: PHOTFLAM of the
    # template's four chips, per electron. 12-bit converters, less the bias level.
    Detector(
        "WFPC2", "PC", "wfpc2", "u", "c0m", (800, 800), {v: (str(v),) for v in (1, 2, 3, 4)},
        rate=False, dark=0.0045, full_well=90_000.0, blur=0.050, cosmic_rays=1.6,
        hot=0.002, warm=0.003, bad=0.0003, hot_current=0.02,
        photmode="WFPC2,{chip},A2D{gain},{filter},,CAL",
        wheels=(("FILTNAM1", "", ()), ("FILTNAM2", "", ())),
        binnings=(1, 2), bunit="COUNTS",
        gains={
            7: {1: (7.12, 5.24), 2: (7.12, 5.51), 3: (6.90, 5.22), 4: (7.10, 5.19)},
            15: {1: (13.99, 7.02), 2: (14.50, 7.84), 3: (13.95, 6.99), 4: (13.95, 8.32)},
        },
        counts=3780.0,
        response={1: 1.0, 2: 1.025660, 3: 0.981471, 4: 0.990427},
        shadow={
            1: (52.20921, 0.009072887, -9.941337e-6, 42.62779, 0.009122855, -1.106709e-5),
            2: (21.77283, 0.01842164, -1.398300e-5, 47.68184, 0.00265608, -1.468158e-5),
            3: (44.18944, 0.0138938, -1.412296e-5, 30.23626, 0.008156041, -1.491324e-5),
            4: (44.56632, 0.003509023, -1.278723e-5, 40.91462, 0.01273679, -1.063462e-5),
        },
        penumbra={1: 44.0, 2: 20.0, 3: 20.0, 4: 20.0},
        flags=Flags(bad=2, hot=512, warm=1024, saturated=8), separate_dq=True,
    ),
    Detector(
        "STIS", "CCD", "stis_ccd", "o", "flt", (1024, 1024), {1: ("D",)},
        rate=False, dark=0.009, full_well=144_000.0, blur=0.050, cosmic_rays=4.9,
        hot=0.006, warm=0.0, bad=0.0003, hot_current=0.1,
        photmode="STIS CCD MIRVIS {filter} A2D{gain}", wheels=(("APERTURE", "", ()),),
        bunit="COUNTS", gains={1: {1: (1.0, 5.4)}, 4: {1: (4.016, 7.6)}}, counts=33_000.0,
        flags=Flags(cosmic_ray=8192),
    ),
    *(
        Detector(  # counts are photons
            "STIS", f"{band}-MAMA", f"stis_{band.lower()}", "o", "flt", (1024, 1024), {1: ("-",)},
            rate=False, dark=dark, full_well=math.inf, blur=0.030, cosmic_rays=0.0,
            hot=0.0, warm=0.0, bad=0.0004, hot_current=0.05,
            photmode=f"STIS {band}MAMA MIR{band} {{filter}}", wheels=(("APERTURE", "", ()),),
            bunit="COUNTS", counting=True,
        )
        for band, dark in (("NUV", 0.0013), ("FUV", 1.5e-4))
    ),
    *(
        Detector(
            "NICMOS", f"NIC{camera}", f"nicmos_nic{camera}", "n", "cal", (256, 256),
            {1: ("AD", "BC")},
            rate=True, dark=dark, full_well=120_000.0, blur=0.040, cosmic_rays=0.01,
            hot=0.004, warm=0.0, bad=0.004, hot_current=0.5,
            photmode=f"NICMOS {camera} {{filter}} DN", wheels=(("FILTER", "CLEAR", ()),),
            bunit="COUNTS/S", gains={int(gain): {1: (gain, noise)}},
            flags=Flags(bad=16, hot=32, saturated=64),
        )
        for camera, gain, noise, dark in (
            (1, 5.4, 26.0, 0.08), (2, 5.4, 26.0, 0.08), (3, 6.5, 29.0, 0.15),
        )
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
    quadrant : str
        Of a quad filter: the amplifier whose quadrant it covers.
    """

    instrument: str
    detector: str
    filter: str
    photflam: float
    photplam: float
    photbw: float
    sky: float
    quadrant: str = field(default="", repr=False)  # rootnames are made of the repr

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
        photflam, photplam, photbw, sky = (
            float(row[key]) for key in ("photflam", "photplam", "photbw", "sky")
        )
        names = (row["instrument"], row["detector"], row["filter"])
        band = Passband(*names, photflam, photplam, photbw, sky, row["quadrant"] or "")
        table[band.instrument, band.detector, band.filter] = band
    return table
