"""AstroDrizzle's parameters, by its names and with its defaults, grouped by step.

A step is given its own group alone, so that nothing else can change what it makes.  Users give
names flat: no two groups share one.  Here stand names, types and limits, and which combinations
contradict each other; which values a detector takes stands in the presets
(`hapdask.config.astrodrizzle_presets`).

Five parameters are not AstroDrizzle's, and by default they do what it does: ``flux_scaling``,
``sky_convention``, ``final_doubtful_bits``, ``driz_cr_test``, ``driz_cr_single``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hapdask.config.fields import (
    Declared,
    bits,
    choice,
    figures,
    number,
    pair,
    switch,
    text,
    weight_scale,
    whole,
)
from hapdask.config.grouped import Grouped
from hapdask.config.parameters import COSMIC_RAY_BITS, KERNELS, WEIGHTS
from hapdask.errors import ParameterError

SKY_METHODS = ("localmin", "globalmin", "match", "globalmin+match")
COMBINATIONS = ("minmed", "iminmed", "median", "mean", "imedian", "imean", "sum")
CONVENTIONS = ("upstream", "own")
INTERPOLATIONS = ("nearest", "linear", "poly3", "poly5", "sinc")

#: Arcsec per pixel, degrees, and pixels beyond which an output frame is a slip of the pen.
SCALE_LIMITS = (1e-3, 100.0)
ROTATION_LIMITS = (-360.0, 360.0)
SIZE_LIMITS = (1, 10_000_000)
CRPIX_LIMITS = (-1e8, 1e8)

_NO_TOPHAT = {
    "tophat": "it does not keep flux, and DrizzlePac refuses it too; use 'square', or 'turbo'"
}
_MOST = 1000
_EXTENSION = r"\d+(\s*,\s*\d+)*|[a-z]+\s*,\s*\d+"


class CustomFrame(NamedTuple):
    """What the parameters of step 3a or 7a say of an output frame, without their prefix."""

    refimage: str
    rot: float | None
    scale: float | None
    outnx: int | None
    outny: int | None
    ra: float | None
    dec: float | None
    crpix1: float | None
    crpix2: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralSettings(Declared):
    """What holds for all steps; ``stepsize`` 0 is the exact map, ``group`` an extension."""

    wcskey: str = text()
    proc_unit: str = choice("native", ("native", "electrons"))
    coeffs: bool = switch(True)
    context: bool = switch(True)
    group: str = text("", _EXTENSION, "an extension's number, or such as 'sci,1'")
    build: bool = switch(False)
    crbit: int = whole(4096, 0, 0xFFFF)
    stepsize: int = whole(10, 0, _MOST)
    resetbits: int | None = bits(4096)
    flux_scaling: bool = switch(False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticMaskStep(Declared):
    """Step 1: the static mask; ``static_sig`` in sigma below the mode."""

    static: bool = switch(True)
    static_sig: float = number(4.0, 0.0, above=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyStep(Declared):
    """Step 2: the sky; ``skylower`` and ``skyupper`` in SCI units, ``skywidth`` in sigma.

    ``sky_convention``: AstroDrizzle's statistics, weights and zero levels, or our own.
    """

    skysub: bool = switch(True)
    skymethod: str = choice("localmin", SKY_METHODS)
    skystat: str = choice("median", ("median", "mode", "mean"))
    skywidth: float = number(0.1, 0.0, 10.0, above=True)
    skylower: float | None = number(None)
    skyupper: float | None = number(None)
    skyclip: int = whole(5, 0, _MOST)
    skylsigma: float = number(4.0, 0.0, above=True)
    skyusigma: float = number(4.0, 0.0, above=True)
    skymask_cat: str = text()
    use_static: bool = switch(True)
    sky_bits: int | None = bits(0)
    skyfile: str = text()
    skyuser: str = text()
    sky_convention: str = choice("upstream", CONVENTIONS)

    def _check(self) -> None:
        _check_order("skylower", self.skylower, "skyupper", self.skyupper)
        if self.skyfile and self.skyuser:
            raise ParameterError("skyfile and skyuser contradict each other: give one of them")
        if self.skyuser and self.skysub:
            raise ParameterError(
                f"skyuser = {self.skyuser!r} is looked at only with skysub = False: set that, or "
                "leave skyuser out"
            )
        if self.skyfile and not self.skysub:
            raise ParameterError(
                f"skyfile = {self.skyfile!r} is read only with skysub = True: set that, or leave "
                "skyfile out"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparateStep(Declared):
    """Steps 3 and 3a: every exposure on a grid of its own."""

    driz_separate: bool = switch(True)
    driz_sep_kernel: str = choice("turbo", KERNELS, _NO_TOPHAT)
    driz_sep_wt_scl: str | float = weight_scale()
    driz_sep_pixfrac: float = number(1.0, 0.0, 1.0)
    driz_sep_fillval: float | None = number(None)
    driz_sep_bits: int | None = bits(0)
    driz_sep_wcs: bool = switch(False)
    driz_sep_refimage: str = text()
    driz_sep_rot: float | None = number(None, *ROTATION_LIMITS)
    driz_sep_scale: float | None = number(None, *SCALE_LIMITS)
    driz_sep_outnx: int | None = whole(None, *SIZE_LIMITS)
    driz_sep_outny: int | None = whole(None, *SIZE_LIMITS)
    driz_sep_ra: float | None = number(None, -360.0, 360.0)
    driz_sep_dec: float | None = number(None, -90.0, 90.0)
    driz_sep_crpix1: float | None = number(None, *CRPIX_LIMITS)
    driz_sep_crpix2: float | None = number(None, *CRPIX_LIMITS)

    @property
    def frame(self) -> CustomFrame | None:
        """The output frame asked for; None for the default one."""
        return _custom_frame(self, "driz_sep_") if self.driz_sep_wcs else None

    def _check(self) -> None:
        _check_pairs(self, "driz_sep_")


@dataclass(frozen=True, slots=True, kw_only=True)
class MedianStep(Declared):
    """Step 4: the median; ``combine_grow`` in pixels, ``combine_nsigma`` of the two passes."""

    median: bool = switch(True)
    median_newmasks: bool = switch(True)
    combine_maskpt: float = number(0.3, 0.0, 1.0)
    combine_type: str = choice("minmed", COMBINATIONS)
    combine_nsigma: tuple[float, float] = pair(4.0, 3.0)
    combine_nlow: int = whole(0, 0, _MOST)
    combine_nhigh: int = whole(0, 0, _MOST)
    combine_lthresh: float | None = number(None)
    combine_hthresh: float | None = number(None)
    combine_grow: int = whole(1, 0, _MOST)

    def _check(self) -> None:
        _check_order(
            "combine_lthresh", self.combine_lthresh, "combine_hthresh", self.combine_hthresh
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BlotStep(Declared):
    """Step 5: the median back on each chip."""

    blot: bool = switch(True)
    blot_interp: str = choice("poly5", INTERPOLATIONS)
    blot_sinscl: float = number(1.0, 0.0, above=True)
    blot_addsky: bool = switch(True)
    blot_skyval: float = number(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CosmicRayStep(Declared):
    """Step 6: cosmic rays.

    ``driz_cr_test`` is AstroDrizzle's own test (``upstream``: the sky in the noise twice, borders
    compared with zero), or our ``own``: the variance of ERR, and borders as they are.
    ``driz_cr_single`` masks by their shape the cosmic rays of exposures without partner, and those
    where one exposure of a stack alone covers the sky.
    """

    driz_cr: bool = switch(True)
    driz_cr_corr: bool = switch(False)
    driz_cr_snr: tuple[float, float] = pair(3.5, 3.0)
    driz_cr_grow: int = whole(1, 1, _MOST)
    driz_cr_ctegrow: int = whole(0, 0, _MOST)
    driz_cr_scale: tuple[float, float] = pair(1.2, 0.7)
    driz_cr_test: str = choice("upstream", CONVENTIONS)
    driz_cr_single: bool = switch(False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalStep(Declared):
    """Steps 7 and 7a: the mosaic; ``final_doubtful_bits`` fill what nothing clean covers."""

    driz_combine: bool = switch(True)
    final_wht_type: str = choice("EXP", WEIGHTS)
    final_kernel: str = choice("square", KERNELS, _NO_TOPHAT)
    final_wt_scl: str | float = weight_scale()
    final_pixfrac: float = number(1.0, 0.0, 1.0)
    final_fillval: float | None = number(None)
    final_maskval: float | None = number(None)
    final_bits: int | None = bits(0)
    final_doubtful_bits: int = bits(0)
    final_units: str = choice("cps", ("cps", "counts"))
    final_wcs: bool = switch(False)
    final_refimage: str = text()
    final_rot: float | None = number(None, *ROTATION_LIMITS)
    final_scale: float | None = number(None, *SCALE_LIMITS)
    final_outnx: int | None = whole(None, *SIZE_LIMITS)
    final_outny: int | None = whole(None, *SIZE_LIMITS)
    final_ra: float | None = number(None, -360.0, 360.0)
    final_dec: float | None = number(None, -90.0, 90.0)
    final_crpix1: float | None = number(None, *CRPIX_LIMITS)
    final_crpix2: float | None = number(None, *CRPIX_LIMITS)

    @property
    def frame(self) -> CustomFrame | None:
        """The output frame asked for; None for the default one."""
        return _custom_frame(self, "final_") if self.final_wcs else None

    def _check(self) -> None:
        _check_pairs(self, "final_")
        object.__setattr__(self, "final_doubtful_bits", self.final_doubtful_bits or 0)
        if self.final_doubtful_bits & COSMIC_RAY_BITS:
            raise ParameterError(
                f"final_doubtful_bits = {self.final_doubtful_bits} holds a cosmic-ray bit (4096 "
                "or 8192): such pixels are never better than none; leave the bit out"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentFigures(Declared):
    """Figures in place of those of the headers: a value, or the keywords to take it from.

    ``gain`` in electrons per count, ``rdnoise`` in electrons, ``exptime`` in s; of several
    values the mean of those that are not zero.
    """

    gain: tuple[float, ...] = figures()
    gnkeyword: str = text()
    rdnoise: tuple[float, ...] = figures()
    rnkeyword: str = text()
    exptime: tuple[float, ...] = figures()
    expkeyword: str = text()

    def _check(self) -> None:
        for value, keyword in (
            ("gain", "gnkeyword"),
            ("rdnoise", "rnkeyword"),
            ("exptime", "expkeyword"),
        ):
            if getattr(self, value) and getattr(self, keyword):
                raise ParameterError(
                    f"{value} and {keyword} contradict each other: give the value or the keyword"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class AstroDrizzleParameters(Grouped):
    """All parameters of a run, one group for each step.

    Examples
    --------
    >>> p = AstroDrizzleParameters.from_values({"driz_cr_snr": "3.5 3.0", "final_scale": 0.04})
    >>> p.cosmic_rays.driz_cr_snr, p.final.final_scale, p.sky.skymethod
    ((3.5, 3.0), 0.04, 'localmin')
    """

    general: GeneralSettings = field(default_factory=GeneralSettings)
    static: StaticMaskStep = field(default_factory=StaticMaskStep)
    sky: SkyStep = field(default_factory=SkyStep)
    separate: SeparateStep = field(default_factory=SeparateStep)
    median: MedianStep = field(default_factory=MedianStep)
    blot: BlotStep = field(default_factory=BlotStep)
    cosmic_rays: CosmicRayStep = field(default_factory=CosmicRayStep)
    final: FinalStep = field(default_factory=FinalStep)
    instrument: InstrumentFigures = field(default_factory=InstrumentFigures)


#: The groups of `AstroDrizzleParameters` by name, and all names of parameters.
GROUPS: dict[str, type[Any]] = AstroDrizzleParameters.groups()
NAMES: tuple[str, ...] = AstroDrizzleParameters.names()


def _custom_frame(group: Any, prefix: str) -> CustomFrame:
    return CustomFrame(*(getattr(group, prefix + name) for name in CustomFrame._fields))


def _check_pairs(group: Any, prefix: str) -> None:
    for pair_of in (("outnx", "outny"), ("ra", "dec"), ("crpix1", "crpix2")):
        given = [prefix + name for name in pair_of if getattr(group, prefix + name) is not None]
        if len(given) == 1:
            first, second = (prefix + name for name in pair_of)
            missing = second if given == [first] else first
            raise ParameterError(f"{given[0]} needs {missing} beside it: give both or neither")


def _check_order(low_name: str, low: float | None, high_name: str, high: float | None) -> None:
    if low is not None and high is not None and not low < high:
        raise ParameterError(f"{low_name} = {low:g} must be below {high_name} = {high:g}")
