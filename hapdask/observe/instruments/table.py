"""Hubble's imagers: one row each.  A new detector, or a new fact about one, is a row here.

Sources: headers of calibrated files; AstroDrizzle's instrument classes (gain, read noise, dark,
shadow of WFPC2); the instrument handbooks for what is said beside a figure.
"""

from __future__ import annotations

from hapdask.errors import ParameterError
from hapdask.observe.instruments.instrument import ChipFacts, Companion, Instrument, Quadrant

# The amplifiers A to D of WFC3/UVIS read a quarter of the field each: A and B the left and right
# half of chip 1, C and D those of chip 2.  Filters by quadrant: WFC3 Instrument Handbook,
# section 6.5; the STScI throughput tables have the same filters on chip 1 (A, B) and 2 (C, D).
_LEFT, _RIGHT = (0, 2048, 0, 2051), (2048, 4096, 0, 2051)
_UVIS_QUADRANTS = (
    (Quadrant("A", 1, _LEFT), ("FQ387N", "FQ437N", "FQ508N", "FQ619N", "FQ889N")),
    (Quadrant("B", 1, _RIGHT), ("FQ378N", "FQ492N", "FQ674N", "FQ750N", "FQ937N")),
    (Quadrant("C", 2, _LEFT), ("FQ232N", "FQ422M", "FQ575N", "FQ634N", "FQ906N")),
    (Quadrant("D", 2, _RIGHT), ("FQ243N", "FQ436N", "FQ672N", "FQ727N", "FQ924N")),
)

# Gain and read noise of WFPC2 by chip and ATODGAIN; then the edge of the pyramid's shadow:
# a polynomial of the column for the lowest row, one of the row for the lowest column.
# A star is hardly wider than a pixel of the three large chips.
# What is fainter than 25 sigma there is never told from a star.  With that and the slack simulated
# stars of 22 to 26 mag lose 0.4 % of their light at most; a third of the hits is found.
_SHARP, _TOLD_FROM, _SLACK = (0.05, 0.0, 0.0), 25.0, 0.6
_WFPC2_CHIPS = (
    ChipFacts(
        1,
        0.0455,
        ((7.0, 7.12, 5.24), (15.0, 13.99, 7.02)),
        (52.20921, 0.009072887, -9.941337e-6, 42.62779, 0.009122855, -1.106709e-5),
        tail=1,
    ),
    ChipFacts(
        2,
        0.0996,
        ((7.0, 7.12, 5.51), (15.0, 14.50, 7.84)),
        (21.77283, 0.01842164, -1.398300e-5, 47.68184, 0.00265608, -1.468158e-5),
        tail=1,
        star=_SHARP,
        told_from=_TOLD_FROM,
        slack=_SLACK,
    ),
    ChipFacts(
        3,
        0.0996,
        ((7.0, 6.90, 5.22), (15.0, 13.95, 6.99)),
        (44.18944, 0.0138938, -1.412296e-5, 30.23626, 0.008156041, -1.491324e-5),
        tail=1,
        star=_SHARP,
        told_from=_TOLD_FROM,
        slack=_SLACK,
    ),
    ChipFacts(
        4,
        0.0996,
        ((7.0, 7.10, 5.19), (15.0, 13.95, 8.32)),
        (44.56632, 0.003509023, -1.278723e-5, 40.91462, 0.01273679, -1.063462e-5),
        tail=1,
        star=_SHARP,
        told_from=_TOLD_FROM,
        slack=_SLACK,
    ),
)

_WFC3 = (
    Instrument(
        instrume="WFC3",
        detector="UVIS",
        hap_instrument="wfc3",
        hap_detector="uvis",
        shape=(2051, 4096),
        chips=(ChipFacts(2, 0.03962, tail=1), ChipFacts(1, 0.03962, tail=-1)),
        unit="electron",
        filter_keywords=("FILTER",),
        quadrants={name: quadrant for quadrant, names in _UVIS_QUADRANTS for name in names},
    ),
    Instrument(
        instrume="WFC3",
        detector="IR",
        hap_instrument="wfc3",
        hap_detector="ir",
        shape=(1014, 1014),
        chips=(ChipFacts(1, 0.12825),),
        unit="electron / s",
        filter_keywords=("FILTER",),
        scales=("coarse", "fine"),
    ),
)

_ACS = (
    Instrument(
        instrume="ACS",
        detector="WFC",
        hap_instrument="acs",
        hap_detector="wfc",
        shape=(2048, 4096),
        chips=(ChipFacts(2, 0.05, tail=1), ChipFacts(1, 0.05, tail=-1)),
        unit="electron",
        filter_keywords=("FILTER1", "FILTER2"),
    ),
    Instrument(
        instrume="ACS",
        detector="HRC",
        hap_instrument="acs",
        hap_detector="hrc",
        shape=(1024, 1024),
        chips=(ChipFacts(1, 0.0265, tail=1),),
        turning_amplifiers="AB",
        unit="electron",
        filter_keywords=("FILTER1", "FILTER2"),
    ),
    Instrument(
        instrume="ACS",
        detector="SBC",
        hap_instrument="acs",
        hap_detector="sbc",
        shape=(1024, 1024),
        chips=(ChipFacts(1, 0.0319),),
        unit="electron",
        filter_keywords=("FILTER1", "FILTER2"),
        read_noise_keywords=(),
    ),
)

_WFPC2 = (
    Instrument(
        instrume="WFPC2",
        detector="PC",  # HAP's name for all four chips
        hap_instrument="wfpc2",
        hap_detector="pc",
        told_by="",
        shape=(800, 800),
        chips=_WFPC2_CHIPS,
        chip_keyword="DETECTOR",
        unit="count",
        filter_keywords=("FILTNAM1", "FILTNAM2"),
        dark_keyword="",
        dark_rate=0.005,
        bin_keywords=("MODE",),
        scales=("coarse", "fine"),
        # The ERR of a converted flt is the root of its counts, whatever the gain: not used.
        ext_names=("SCI", "", "DQ"),
        companion=Companion("_c0m", "_c1m", "SDQ"),
        needs_dq=False,
        saturated=8,
    ),
)


def _stis(detector: str, scale: float, dark_rate: float) -> Instrument:
    """Make a row of STIS; the names of its images are those of their apertures, as in the HLA."""
    is_ccd = detector == "CCD"
    return Instrument(
        instrume="STIS",
        detector=detector,
        hap_instrument="stis",
        hap_detector=detector.lower(),
        told=detector,
        shape=(1024, 1024),
        chips=(ChipFacts(1, scale, tail=-1 if is_ccd else 0),),
        unit="count",
        filter_keywords=("APERTURE",),
        gain_keywords=("ATODGAIN",) if is_ccd else (),
        read_noise_keywords=("READNSE",) if is_ccd else (),
        dark_keyword="",  # its MEANDARK is in counts
        dark_rate=dark_rate,
        # A MAMA centres photons to half a pixel: its BINAXIS = 2 is an image of whole pixels.
        bin_keywords=("BINAXIS1", "BINAXIS2") if is_ccd else (),
        imsets_are_exposures=True,
    )


def _nicmos(camera: int, scale: float, gain: float, read_noise: float, dark: float) -> Instrument:
    """Make a row of NICMOS."""
    return Instrument(
        instrume="NICMOS",
        detector=f"NIC{camera}",
        hap_instrument="nicmos",
        hap_detector=f"nic{camera}",
        told_by="CAMERA",
        told=str(camera),
        shape=(256, 256),
        chips=(ChipFacts(camera, scale),),
        chip_keyword="CAMERA",
        unit="count / s",
        filter_keywords=("FILTER",),
        read_noise_keywords=(),
        gain=gain,
        read_noise=read_noise,
        dark_keyword="",
        dark_rate=dark,
        bin_keywords=(),
        scales=("coarse", "fine") if scale > 0.1 else ("fine",),
        saturated=64,
    )


ROWS: tuple[Instrument, ...] = (
    *_WFC3,
    *_ACS,
    *_WFPC2,
    _stis("CCD", 0.0508, dark_rate=0.009),
    _stis("NUV-MAMA", 0.0247, dark_rate=0.0013),
    # What the exposure time calculator takes; it varies from 1e-5 to 6e-4 (STIS newsletter 2012).
    _stis("FUV-MAMA", 0.0247, dark_rate=1.5e-4),
    _nicmos(1, 0.0432, gain=5.4, read_noise=26.0, dark=0.08),
    _nicmos(2, 0.0758, gain=5.4, read_noise=26.0, dark=0.08),
    _nicmos(3, 0.2030, gain=6.5, read_noise=29.0, dark=0.15),
)

#: By INSTRUME and detector.
INSTRUMENTS: dict[tuple[str, str], Instrument] = {(r.instrume, r.detector): r for r in ROWS}


def instrument_of(hap_instrument: str, hap_detector: str) -> Instrument:
    """Give the row of a detector by its HAP names, ``wfc3`` and ``uvis``, as records have them.

    Raises
    ------
    ParameterError
        If there is none.
    """
    for row in ROWS:
        if (row.hap_instrument, row.hap_detector) == (hap_instrument, hap_detector):
            return row
    raise ParameterError(f"{hap_instrument}/{hap_detector} is no detector that can be processed")
