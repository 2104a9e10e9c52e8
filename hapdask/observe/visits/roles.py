"""The part that an exposure takes in its visit, by its filter's name alone."""

from __future__ import annotations

from typing import Literal

#: ``drizzled``: in all products.  ``aligned``: helps to align, and gets a solution.  ``dispersed``:
#: is given the solution of the direct images.
Role = Literal["drizzled", "aligned", "dispersed"]

_DISPERSED = ("g", "pr")
_ALIGNED = ("fr", "lrf", "fq")


def role_of(filter_name: str) -> Role:
    """Tell what is done with exposures of a filter.

    Parameters
    ----------
    filter_name : str
        HAP name, for example ``f606w`` or ``g800l-f814w``.

    Returns
    -------
    {"drizzled", "aligned", "dispersed"}
        Ramps and quads, whose wavelength varies over the field, are aligned only.

    Notes
    -----
    Upstream calls dispersed what has a ``g`` or a ``pr`` anywhere in its name; here an element of
    the filter wheels has to begin so.

    Examples
    --------
    >>> [role_of(name) for name in ("f606w-pol0v", "fr459m", "fq750n", "g141", "f814w-pr110l")]
    ['drizzled', 'aligned', 'aligned', 'dispersed', 'dispersed']
    """
    elements = filter_name.lower().split("-")
    if any(element.startswith(_DISPERSED) for element in elements):
        return "dispersed"
    return "aligned" if any(element.startswith(_ALIGNED) for element in elements) else "drizzled"
