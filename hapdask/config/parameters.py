"""The parameters of each step, as frozen dataclasses that check themselves.

What values they take by default, by detector and by number of exposures, stands in
the presets (`hapdask.config.presets`); here stand their names, types and limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from hapdask.config.bits import ALL_BITS, parse_bits
from hapdask.errors import ParameterError

#: As in `hapdask.kernels.drizzle`, which is slow to import.
KERNELS = ("square", "turbo", "point", "gaussian", "lanczos2", "lanczos3")
WEIGHTS = ("EXP", "ERR", "IVM")
SKIES = ("measure", "header", "none")
LARGEST_STEP = 1000

#: Cosmic-ray flags: never doubtful, since no mosaic is better with them than without.
COSMIC_RAY_BITS = 4096 | 8192

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrizzleParameters:
    """How detector pixels become mosaic pixels.

    Parameters
    ----------
    kernel : {"square", "turbo", "point", "gaussian", "lanczos2", "lanczos3"}
        Shape in which a detector pixel is dropped on the grid.  Only square, turbo and point
        keep flux exactly; Lanczos kernels want pixfrac 1 and pixels of the detector's size.
    pixfrac : float
        Side of that shape over the side of the detector pixel, in (0, 1].
    weight : {"EXP", "ERR", "IVM"}
        Weight of a pixel: its exposure time, its inverse variance, or that of the background
        alone.
    good_bits : int, str or None
        DQ bits that do no harm; None does not look at DQ at all.
    doubtful_bits : int, str or None
        DQ bits whose pixels are used only where no clean exposure covers the output pixel.
        A bit that is in `good_bits` too is good.
    sky : {"measure", "header", "none"}
        The sky level subtracted from each chip: measured, taken from MDRIZSKY, or nothing.
    flux_scaling : bool
        Whether chips are brought to the PHOTFLAM of their layer.
    stepsize : int
        0 maps every pixel exactly; n does as AstroDrizzle, which interpolates between exact
        positions n pixels apart.

    Raises
    ------
    ParameterError
        If a value has the wrong type or is out of its range.

    Examples
    --------
    >>> DrizzleParameters(pixfrac=0.8, good_bits="16+64").good_bits
    80
    """

    kernel: str = "square"
    pixfrac: float = 1.0
    weight: str = "EXP"
    good_bits: int | None = 0
    doubtful_bits: int = 16 | 64 | 256 | 512
    sky: str = "measure"
    flux_scaling: bool = True
    stepsize: int = 0

    def __post_init__(self) -> None:
        if self.kernel == "tophat":
            raise ParameterError(
                "kernel 'tophat' does not keep flux and is refused, as by DrizzlePac; use 'square' "
                "or, for speed, 'turbo'"
            )
        _one_of("kernel", self.kernel, KERNELS)
        _one_of("weight", self.weight, WEIGHTS)
        _one_of("sky", self.sky, SKIES)
        if not isinstance(self.flux_scaling, bool):
            raise ParameterError(f"flux_scaling must be true or false, not {self.flux_scaling!r}")
        if isinstance(self.stepsize, bool) or not isinstance(self.stepsize, int):
            raise ParameterError(f"stepsize must be a whole number, not {self.stepsize!r}")
        if not 0 <= self.stepsize <= LARGEST_STEP:
            raise ParameterError(f"stepsize must be 0 to {LARGEST_STEP}, not {self.stepsize}")
        object.__setattr__(self, "pixfrac", _fraction("pixfrac", self.pixfrac))
        object.__setattr__(self, "good_bits", _bits("good_bits", self.good_bits))
        doubtful = _bits("doubtful_bits", self.doubtful_bits) or 0
        if doubtful & COSMIC_RAY_BITS:
            raise ParameterError(
                f"doubtful_bits = {doubtful} holds a cosmic-ray bit (4096 or 8192): such pixels "
                "are never better than none; leave the bit out"
            )
        object.__setattr__(self, "doubtful_bits", doubtful & ~_bits_or_all(self.good_bits))

    def digest_items(self) -> tuple[tuple[str, Value], ...]:
        """Give every name and value in a fixed order, for hashing and for products.

        Returns
        -------
        tuple of (str, value)
            Sorted by name; values are plain str, int, float, bool or None.
        """
        names = sorted(field.name for field in fields(self))
        return tuple((name, getattr(self, name)) for name in names)


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ParameterError(f"{name} must be one of {listed}, not {value!r}")


def _fraction(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParameterError(f"{name} must be a number, not {value!r}")
    if not (math.isfinite(value) and 0 < value <= 1):
        raise ParameterError(f"{name} must be greater than 0 and at most 1, not {value!r}")
    return float(value)


def _bits(name: str, value: int | str | None) -> int | None:
    try:
        return parse_bits(value)
    except ParameterError as error:
        raise ParameterError(f"{name}: {error}") from None


def _bits_or_all(bits: int | None) -> int:
    return ALL_BITS if bits is None else bits
