"""What AstroDrizzle's parameters mean to our stages: one function for the settings of each step.

Its parameters are many, flat and partly about files; a stage takes a small set of its own.  Not
here: names and limits (`hapdask.config.astrodrizzle`), which grid (`frame_request`).
"""

from __future__ import annotations

import math

from hapdask.config.astrodrizzle import AstroDrizzleParameters, FinalStep, SeparateStep
from hapdask.config.parameters import DrizzleParameters
from hapdask.config.sky import SkyParameters
from hapdask.drizzling.cosmic_rays import CosmicRayTest
from hapdask.drizzling.median import Combination

#: See `Combination.quiet`: of half the noise, or of a quarter of the time where read noise rules.
_QUIET = 4.0


def separate_parameters(p: AstroDrizzleParameters) -> DrizzleParameters:
    """Step 3: how an exposure is drizzled alone; flags are good or bad, none is doubtful."""
    return _drizzle(
        p, p.separate.driz_sep_kernel, p.separate.driz_sep_pixfrac, p.separate.driz_sep_bits
    )


def final_parameters(p: AstroDrizzleParameters) -> DrizzleParameters:
    """Step 7: how the mosaic is made."""
    final = p.final
    return _drizzle(
        p,
        final.final_kernel,
        final.final_pixfrac,
        final.final_bits,
        doubtful=final.final_doubtful_bits,
        weight=final.final_wht_type,
    )


def sky_parameters(p: AstroDrizzleParameters) -> SkyParameters:
    """Step 2: how sky levels are found."""
    sky = p.sky
    return SkyParameters(
        method=sky.skymethod,
        stat=sky.skystat,
        width=sky.skywidth,
        lower=sky.skylower,
        upper=sky.skyupper,
        clip=sky.skyclip,
        lsigma=sky.skylsigma,
        usigma=sky.skyusigma,
        bits=good_bits(p, sky.sky_bits),
        use_static=sky.use_static and p.static.static,
        convention=sky.sky_convention,
    )


def combination(p: AstroDrizzleParameters) -> Combination:
    """Step 4: how the separate images become one."""
    median = p.median
    return Combination(
        type=median.combine_type,
        nlow=median.combine_nlow,
        nhigh=median.combine_nhigh,
        lthresh=median.combine_lthresh,
        hthresh=median.combine_hthresh,
        maskpt=median.combine_maskpt if median.median_newmasks else 0.0,
        nsigma=median.combine_nsigma,
        grow=median.combine_grow,
        wt_scl=weight_scale(p.separate),
        quiet=math.inf if p.cosmic_rays.driz_cr_test == "upstream" else _QUIET,
    )


def cosmic_ray_test(p: AstroDrizzleParameters) -> CosmicRayTest:
    """Step 5 and 6: how exposures are compared with the median."""
    return CosmicRayTest(
        interp=p.blot.blot_interp,
        sinscl=p.blot.blot_sinscl,
        snr=p.cosmic_rays.driz_cr_snr,
        scale=p.cosmic_rays.driz_cr_scale,
        grow=p.cosmic_rays.driz_cr_grow,
        ctegrow=p.cosmic_rays.driz_cr_ctegrow,
        sky=None if p.blot.blot_addsky else p.blot.blot_skyval,
        upstream=p.cosmic_rays.driz_cr_test == "upstream",
        by_shape=p.cosmic_rays.driz_cr_single,
    )


def good_bits(p: AstroDrizzleParameters, bits: int | None) -> int | None:
    """Give the flags that do no harm to a step.

    ``resetbits`` are cleared before any step looks at them, which is to say that they are good.
    """
    return None if bits is None else bits | (p.general.resetbits or 0)


def _drizzle(
    p: AstroDrizzleParameters,
    kernel: str,
    pixfrac: float,
    bits: int | None,
    *,
    doubtful: int = 0,
    weight: str = "EXP",
) -> DrizzleParameters:
    return DrizzleParameters(
        kernel=kernel if pixfrac else "point",
        pixfrac=pixfrac or 1.0,
        weight=weight,
        good_bits=good_bits(p, bits),
        doubtful_bits=doubtful & ~(p.general.resetbits or 0),
        sky="measure",
        flux_scaling=p.general.flux_scaling,
        stepsize=p.general.stepsize,
    )


def weight_scale(step: SeparateStep | FinalStep) -> float:
    """Factor of the weights: AstroDrizzle's two words both mean 1, for weights hold the time."""
    given = step.driz_sep_wt_scl if isinstance(step, SeparateStep) else step.final_wt_scl
    return 1.0 if isinstance(given, str) else given
