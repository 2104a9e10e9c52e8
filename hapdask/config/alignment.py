"""The parameters of alignment: matching, fitting and acceptance; presets by detector.

``default`` is ours; ``compat`` holds HAP's ``*_alignment_all.json`` (facts 4.2).  Lengths are
arcsec; those of HAP's matches are pixels of the tangent plane, as the method's names say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hapdask.config.fields import Declared, choice, number, switch, whole, words
from hapdask.config.preset_tables import GIVEN, PresetFamily, with_origin
from hapdask.errors import ParameterError

ALIGNMENT_PRESETS = ("default", "compat")
METHODS = ("relative", "histogram", "header")
_GEOMETRIES = ("shift", "rshift", "rscale", "general")
#: Errors of the headers' scale, as the move that they make 100 arcsec away, mas: common to the
#: exposures of a visit, and of one exposure beside that (the telescope breathes).
HEADER_SCALE, EXPOSURE_SCALE = 2.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentParameters(Declared):
    """How exposures are aligned.

    Parameters
    ----------
    convention : {"own", "upstream"}
        Our matching and weighted robust fits, or XYXYMatch and tweakwcs's clipped ones.
    catalogs : tuple of str
        Reference catalogs in order.
    methods : tuple of str
        In order: ``relative`` (the visit to itself, then as one), ``histogram`` (each exposure,
        shift searched for), ``header`` (each exposure, matched where the header has it).
    geometries : tuple of str
        Allowed, simplest first.
    relative_geometry : str
        Richest of the exposures of a visit to each other.
    min_shift, min_rshift, min_rscale, min_general : int
        Matches that each geometry needs.
    searchrad, relative_searchrad, header_tolerance : float, arcsec
        Of the histogram to a catalog, among exposures, and about the header's positions.
    width : float, arcsec
        Least half side of a histogram's window; it grows with the errors.
    rotation : float, degrees
        Largest one searched for.
    sigma : float
        Clipping, in errors.
    floor : float, mas
        Error per axis of any position that its own error does not tell (distortion, CTE).
    header_rotation, relative_rotation : float, degrees
        Uncertainty of the header's roll, and of that among the exposures of a visit, for fits that
        leave it alone.
    header_scale, relative_scale : float
        The same of the scale.
    max_chance : float
        Largest number of false alarms.
    min_recovered : float
        Fraction of held-out matches that must be predicted.
    better : float
        How many stated errors a fit must move the exposure to be better than its header.
    good_rms, max_rms : float, mas
        Of grades 1 and 2; beyond which nothing is accepted.
    max_offset : float, arcsec
    max_rotation : float, degrees
    max_scale : float
        Largest change of scale, and skew in radians.
    nclip : int
        Clippings, upstream's.
    use2dhist_searchrad, use2dhist_tolerance, use2dhist_separation, relative_pixels,
    default_searchrad, default_tolerance, default_separation : float, pixels
        HAP's parameters of XYXYMatch, for ``upstream`` alone.
    """

    convention: str = choice("own", ("own", "upstream"))
    catalogs: tuple[str, ...] = words(("GAIAeDR3", "GSC242", "2MASS"))
    methods: tuple[str, ...] = words(METHODS, METHODS)
    geometries: tuple[str, ...] = words(_GEOMETRIES, _GEOMETRIES)
    relative_geometry: str = choice("rscale", _GEOMETRIES)
    min_shift: int = whole(3, 2, 1000)
    min_rshift: int = whole(4, 3, 1000)
    min_rscale: int = whole(6, 3, 1000)
    min_general: int = whole(12, 4, 1000)
    searchrad: float = number(20.0, 0.0, 120.0, above=True)
    relative_searchrad: float = number(5.0, 0.0, 120.0, above=True)
    header_tolerance: float = number(0.3, 0.0, 10.0, above=True)
    width: float = number(0.08, 0.0, 5.0, above=True)
    rotation: float = number(0.12, 0.0, 2.0)
    sigma: float = number(4.0, 1.0, 20.0)
    floor: float = number(1.0, 0.01, 100.0)
    header_rotation: float = number(0.01, 0.0, 1.0)
    relative_rotation: float = number(0.002, 0.0, 1.0)
    header_scale: float = number(1e-5 * math.hypot(HEADER_SCALE, EXPOSURE_SCALE), 0.0, 0.01)
    relative_scale: float = number(1e-5 * math.hypot(EXPOSURE_SCALE, EXPOSURE_SCALE), 0.0, 0.01)
    max_chance: float = number(1e-6, 0.0, 1.0)
    min_recovered: float = number(0.75, 0.0, 1.0)
    better: float = number(3.0, 0.0, 100.0)
    good_rms: float = number(20.0, 0.0, above=True)
    max_rms: float = number(150.0, 0.0, above=True)
    max_offset: float = number(25.0, 0.0, above=True)
    max_rotation: float = number(0.2, 0.0, above=True)
    max_scale: float = number(1e-3, 0.0, above=True)
    nclip: int = whole(1, 0, 100)
    relative_pixels: float = number(125.0, 0.0, above=True)
    use2dhist_searchrad: float = number(250.0, 0.0, above=True)
    use2dhist_separation: float = number(4.0, 0.0, above=True)
    use2dhist_tolerance: float = number(2.0, 0.0, above=True)
    default_searchrad: float = number(250.0, 0.0, above=True)
    default_separation: float = number(0.1, 0.0, above=True)
    default_tolerance: float = number(10.0, 0.0, above=True)

    @property
    def upstream(self) -> bool:
        """Whether HAP's rules hold."""
        return self.convention == "upstream"

    def least(self, geometry: str) -> int:
        """Give the number of matches that a geometry needs."""
        return int(getattr(self, f"min_{geometry}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TweakRegMatching(Declared):
    """How TweakReg matches and fits, by its names and with its defaults.

    What `hapdask.astrometry.fitting.tweakreg.run_tweakreg` takes.

    Parameters
    ----------
    expand_refcat : bool
        Whether sources of an aligned exposure that match no reference become references.
    enforce_user_order : bool
        Whether exposures are taken as given; else, with ``expand_refcat``, by their overlap.
    minobj : int
        Matches that a fit needs.
    searchrad : float, in ``searchunits``
    searchunits : {"arcseconds", "pixels"}
    use2dhist : bool
        Whether the offset is looked for in a histogram; else it is ``xoffset``, ``yoffset``.
    see2dplot : bool
        Whether the histogram is kept, for a plot.
    separation : float, pixels
        Sources, and references, closer than this to another are left out.
    tolerance : float, pixels
        Of a match, after the offset.
    xoffset, yoffset : float, pixels
        Image less reference.
    fitgeometry : {"shift", "rshift", "rscale", "general"}
    nclip : int
        Passes of clipping.
    sigma : float
        Clipping limit, in the rms of each axis.
    """

    expand_refcat: bool = switch(False)
    enforce_user_order: bool = switch(True)
    minobj: int = whole(15, -1, 1_000_000)
    searchrad: float = number(1.0, 0.0, above=True)
    searchunits: str = choice("arcseconds", ("arcseconds", "pixels"))
    use2dhist: bool = switch(True)
    see2dplot: bool = switch(True)
    separation: float = number(0.5, 0.0)
    tolerance: float = number(1.0, 0.0, above=True)
    xoffset: float = number(0.0)
    yoffset: float = number(0.0)
    fitgeometry: str = choice("rscale", _GEOMETRIES)
    nclip: int = whole(3, 0, 100)
    sigma: float = number(3.0, 0.0, above=True)

    def radius(self, pixel_scale: float) -> float:
        """Give the search radius in pixels of ``pixel_scale`` arcsec."""
        return self.searchrad / pixel_scale if self.searchunits == "arcseconds" else self.searchrad


NAMES = tuple(field.name for field in fields(AlignmentParameters))
_FAMILY = PresetFamily(NAMES, ALIGNMENT_PRESETS, "alignment")


def load_alignment(
    instrument: str,
    detector: str,
    *,
    preset: str = "default",
    file: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> tuple[AlignmentParameters, dict[str, str]]:
    """Give the parameters for a detector, and where each came from.

    Parameters
    ----------
    instrument, detector : str
        As in INSTRUME and DETECTOR; case does not matter.
    preset : {"default", "compat"}
    file : path, optional
        A TOML file of the same form, which stands over the preset.
    overrides : mapping, optional
        Single values, which stand over everything.

    Raises
    ------
    ParameterError
        If a name is unknown or a value impossible.
    """
    over = [(GIVEN, overrides)] if overrides else []
    found, origin = _FAMILY.values(instrument, detector, 1, preset=preset, file=file, over=over)
    values: dict[str, Any] = found
    try:
        return AlignmentParameters(**values), origin
    except ParameterError as error:
        raise ParameterError(with_origin(str(error), origin)) from None
