"""What a row of the table of detectors can say.

Figures that a header carries (gain, scale, chip number) are read from the header; a row says
under which keywords, and what to fall back on.  The rows are in `table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CCD_NOISES = ("READNSEA", "READNSEB", "READNSEC", "READNSED")


@dataclass(frozen=True, slots=True)
class ChipFacts:
    """One chip of a detector.

    Attributes
    ----------
    number : int
        CCDCHIP, or what else names it.
    scale : float, arcsec / pixel
        Nominal; IDCSCALE of the header goes before it.
    amplifiers : tuple of (float, float, float)
        Gain setting (ATODGAIN), gain in electrons per count, read noise in electrons, where the
        header gives the setting alone.
    shadow : tuple of float
        See `hapdask.observe.vignette`.
    tail : int
        See `hapdask.observe.parts.ChipRecord`.
    star : tuple of float
        Least light about the peak of a star, by which it differs from a cosmic ray: of the two
        pixels beside it and the two across a corner, along the weaker direction, in units of twice
        the peak; of the 16 pixels around its 3 x 3, in units of that square.
    told_from : float, standard deviations
        Light of a cosmic ray's brightest pixel, below which it may be a star as well.
    slack : float, standard deviations
        Noise of a pixel without light that may hide the light around a star's peak.
    """

    number: int
    scale: float
    amplifiers: tuple[tuple[float, float, float], ...] = ()
    shadow: tuple[float, ...] = ()
    tail: int = 0
    star: tuple[float, float, float] = (0.15, 0.05, 0.04)
    told_from: float = 15.0
    slack: float = 0.0


@dataclass(frozen=True, slots=True)
class Quadrant:
    """The part of a detector that lies behind one filter of a quad: x0, x1, y0, y1 of a chip."""

    name: str
    chip: int
    window: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Companion:
    """A second file of an exposure that holds its data quality.

    Attributes
    ----------
    suffix, other : str
        Ends of the stems of the two files' names: ``_c0m``, ``_c1m``.
    name : str
        Its extensions, one per chip by EXTVER.
    """

    suffix: str
    other: str
    name: str


@dataclass(frozen=True, slots=True)
class Instrument:
    """One detector.

    Attributes
    ----------
    instrume, detector : str
        INSTRUME, and the detector's name, upper case.
    hap_instrument, hap_detector : str
        Their names in HAP file and layer names.
    shape : tuple of int
        Full chip (ny, nx), pixels; a subarray or a binned image is smaller.
    chips : tuple of ChipFacts
        In the order of SCI,1, SCI,2, ... of a full frame.
    unit : str
        Unit of SCI where BUNIT is missing; ``electron`` or ``count``, perhaps ``/ s``.
    filter_keywords : tuple of str
    told_by, told : str
        Keyword and value that tell this detector from the instrument's others; ``told_by`` is
        empty where it is the only one.
    chip_keyword : str
    gain_keywords, read_noise_keywords : tuple of str
        Their non-zero values are averaged: electrons per count (of a detector whose SCI is in
        counts), electrons.
    gain, read_noise : float
        Where no keyword has a value.
    dark_keyword : str
        Electrons per pixel over the whole exposure.
    dark_rate : float, electrons / s
        Where there is no such keyword; per unbinned pixel.
    turning_amplifiers : str
        Letters of CCDAMP with which a chip is read out at its other end, so that tails turn.
    bin_keywords : tuple of str
        Binning in x and y, in numbers or as WFPC2's MODE; empty where an image is never binned.
    scales : tuple of str
        Scales of the detector's layers.
    ext_names : tuple of str
        Science, error and data-quality extensions; an empty name where there is none to be used.
    companion : Companion or None
    needs_dq : bool
        Whether an exposure without data quality is broken.
    imsets_are_exposures : bool
        Whether the EXTVERs of a file are exposures of one chip, each with its own times.
    saturated : int
        DQ bit of a saturated pixel.
    quadrants : mapping of str to Quadrant
        By quad filter.
    """

    instrume: str
    detector: str
    hap_instrument: str
    hap_detector: str
    shape: tuple[int, int]
    chips: tuple[ChipFacts, ...]
    unit: str
    filter_keywords: tuple[str, ...]
    told_by: str = "DETECTOR"
    told: str = ""
    chip_keyword: str = "CCDCHIP"
    gain_keywords: tuple[str, ...] = ()
    read_noise_keywords: tuple[str, ...] = CCD_NOISES
    gain: float = 1.0
    read_noise: float = 0.0
    dark_keyword: str = "MEANDARK"
    dark_rate: float = 0.0
    turning_amplifiers: str = ""
    bin_keywords: tuple[str, ...] = ("BINAXIS1", "BINAXIS2")
    scales: tuple[str, ...] = ("fine",)
    ext_names: tuple[str, str, str] = ("SCI", "ERR", "DQ")
    companion: Companion | None = None
    needs_dq: bool = True
    imsets_are_exposures: bool = False
    saturated: int = 256
    quadrants: Mapping[str, Quadrant] = field(default_factory=dict)

    @property
    def counts_photons(self) -> bool:
        """Whether it adds no read noise."""
        return not self.read_noise_keywords and not self.read_noise

    @property
    def label(self) -> str:
        """INSTRUME/DETECTOR."""
        return f"{self.instrume}/{self.detector}"

    @property
    def chip_of_extver(self) -> tuple[int, ...]:
        """Chip numbers of SCI,1, SCI,2, ... of a full frame."""
        return tuple(chip.number for chip in self.chips)

    def chip(self, number: int) -> ChipFacts:
        """Give the facts of a chip; those of the first where the number is unknown."""
        return next((chip for chip in self.chips if chip.number == number), self.chips[0])
