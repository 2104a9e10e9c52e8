"""Where the headers of a product come from, besides its pixels: exposures, parameters, place.

Here: the noun, and how it is made of what a mosaic knows of itself.  Not here: cards (`headers`).
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Self

from hapdask.errors import ParameterError, StoreError
from hapdask.products.header_rules import Kind, Rules, rules_for

if TYPE_CHECKING:
    from hapdask.config import Resolved
    from hapdask.config.parameters import DrizzleParameters
    from hapdask.observe.record import ExposureRecord
    from hapdask.sky.footprint import Footprint
    from hapdask.sky.frame import Frame

#: HAPLEVEL and whose rules hold.
_KINDS: dict[int, Kind] = {1: "exposure", 2: "visit", 4: "cell"}


@dataclass(frozen=True, kw_only=True)
class HeaderSource:
    """Where the headers of a product come from, besides its pixels.

    Parameters
    ----------
    exposures : tuple of ExposureRecord
        Those that contribute, in input order; not stripped.
    cell : str
        Name of the sky cell, or empty for another frame.
    full_shape : (ny, nx), optional
        Pixels of the whole sky cell, of which NPIXFRAC is a fraction; the product's own if None.
    level : {1, 2, 4}
        HAPLEVEL: 1 exposure, 2 visit, 4 sky cell.  Says which rules hold for the headers.
    parameters : Resolved, optional
        Parameters with which the product was made.
    flux_unit : {"electron / s", "count / s"}
        Of SCI and ERR.
    date : date, optional
        Written as DATE; today (UTC) if None.

    Raises
    ------
    ParameterError
        If there is no such level.
    """

    exposures: tuple[ExposureRecord, ...]
    cell: str = ""
    full_shape: tuple[int, int] | None = None
    level: int = 4
    parameters: Resolved | None = None
    flux_unit: str = "electron / s"
    date: datetime.date | None = None

    def __post_init__(self) -> None:
        if self.level not in _KINDS:
            levels = ", ".join(f"{level} ({kind})" for level, kind in _KINDS.items())
            raise ParameterError(f"level {self.level!r} is no HAPLEVEL: it must be one of {levels}")

    @classmethod
    def of_mosaic(
        cls,
        attributes: Mapping[str, Any],
        frame: Frame,
        *,
        cell: str = "",
        full_shape: tuple[int, int] | None = None,
    ) -> Self:
        """Make it of what a mosaic says of itself.

        Parameters
        ----------
        attributes : mapping
            Of the Dataset: ``records``, ``parameters``, ``flux_unit``.
        frame : Frame
            Of the product; exposures whose pixels cannot reach it are not named.
        cell, full_shape
            See `HeaderSource`.

        Raises
        ------
        StoreError
            The parameters in the attributes are damaged.
        """
        resolved = recorded_parameters(attributes)
        records = attributes.get("records") or {}
        parameters = None if resolved is None else resolved.parameters
        return cls(
            exposures=reaching(records.values(), frame, parameters),
            cell=cell,
            full_shape=full_shape,
            parameters=resolved,
            flux_unit=str(attributes.get("flux_unit", "electron / s")),
        )

    @property
    def chips(self) -> tuple[tuple[str, int], ...]:
        """Exposure name and EXTVER of every chip, in input order: the bits of CTX."""
        return tuple((e.name, c.extver) for e in self.exposures for c in e.chips)

    @property
    def kind(self) -> Kind:
        """Whose rules hold."""
        return _KINDS[self.level]

    @property
    def flux_scaled(self) -> bool:
        """Whether all chips were brought to one photometric system."""
        return self.parameters is None or self.parameters.parameters.flux_scaling

    @cached_property
    def rules(self) -> Rules:
        """Rules for the headers."""
        instrument = self.exposures[0].instrument if self.exposures else ""
        return rules_for(instrument, self.kind)


def reaching(
    exposures: Iterable[ExposureRecord], frame: Frame, parameters: DrizzleParameters | None
) -> tuple[ExposureRecord, ...]:
    """Select the exposures whose pixels can reach a frame, in order of time.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
    frame : Frame
    parameters : DrizzleParameters or None
        They say how far drops reach beyond a chip's outline; not at all where not known.
    """

    @cache
    def outline(margin: int) -> Footprint:
        return frame.pad(margin).footprint

    kept = (e for e in exposures if e.footprint.overlaps(outline(_margin(e, frame, parameters))))
    return tuple(sorted(kept, key=lambda e: (e.expstart, e.name)))


def _margin(exposure: ExposureRecord, frame: Frame, parameters: DrizzleParameters | None) -> int:
    """Pixels by which drops reach beyond the outline, and one more for its rounding."""
    from hapdask.drizzling.inputs import make_drop

    if parameters is None:
        return 1
    halos = [make_drop(chip, frame, parameters).halo for chip in exposure.chips]
    return 1 + math.ceil(max(halos, default=0.0))


def recorded_parameters(attributes: Mapping[str, Any]) -> Resolved | None:
    """Read the parameters in the attributes of a mosaic; None where there are none.

    Raises
    ------
    StoreError
        They are damaged.
    """
    from hapdask.config import Resolved
    from hapdask.config.parameters import DrizzleParameters

    if "parameters" not in attributes:
        return None
    try:
        parameters = DrizzleParameters(**attributes["parameters"])
        return Resolved(parameters, dict(attributes["parameter_origin"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{attributes.get('store', 'the mosaic')}: the parameters it was made with are "
            f"damaged: {error} (make it again)"
        ) from error
