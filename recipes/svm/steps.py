"""What is found of the exposures of one filter, once, and the records that every product takes.

Sky levels, static masks and cosmic rays are found by a run of AstroDrizzle on the filter's
exposures; those of an exposure alone, and of all filters together, are then made of the same
records: nothing is measured twice.  Not here: parameters (`parameters`), files (`mosaics`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.config.astrodrizzle_presets import ResolvedAstroDrizzle
from hapdask.drizzling.sky_levels.solution import SkySolution
from hapdask.drizzling.static_mask import KIND as STATIC
from hapdask.errors import InputError, StoreError
from hapdask.observe.record import ExposureRecord
from hapdask.products.objects import Objects
from hapdask.recipes.alignment.outages import Outages
from hapdask.recipes.astrodrizzle.ahead import loading_ahead
from hapdask.recipes.astrodrizzle.measuring import find_sky
from hapdask.recipes.astrodrizzle.planning import Request, plan_run
from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun
from hapdask.recipes.astrodrizzle.writing import look_again
from hapdask.recipes.reporting import LeftOut, Listener, silence
from hapdask.recipes.svm.ledger import digest_of
from hapdask.recipes.svm.parameters import Settings
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from distributed import Client

Records = tuple[ExposureRecord, ...]


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Who works, and where what is found is kept.

    Attributes
    ----------
    where : Path
        Every worker must see it.
    threads : int
    client : distributed.Client or None
    progress : callable
    outages : Outages
        Services of catalogs that do not answer.
    """

    where: Path
    threads: int = 1
    client: Client | None = None
    progress: Listener = silence
    outages: Outages = field(default_factory=Outages)


class FilterSteps:
    """The exposures of one filter on the frame of their detector, and what is found of them.

    Parameters
    ----------
    records : sequence of ExposureRecord
        Aligned, in HAP's order, with their header cards.
    frame : Frame
    settings : Settings
    shop : Workshop
    """

    def __init__(
        self, records: Sequence[ExposureRecord], frame: Frame, settings: Settings, shop: Workshop
    ) -> None:
        first = records[0]
        self.filter, self.frame, self.settings, self._shop = first.filter, frame, settings, shop
        request = Request(
            preset=settings.engine_preset,
            file=settings.file,
            overrides=settings.engine_overrides,
            frame=frame,
            output=f"{first.visit}_{first.filter}",
            masks=settings.masks,
        )
        self.run = AstroDrizzleRun(
            plan_run(records, request),
            where=shop.where,
            threads=shop.threads,
            client=shop.client,
            progress=shop.progress,
        )

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time by step."""
        return self.run.seconds

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Exposures that were lost, and why."""
        return self.run.left_out

    @property
    def names(self) -> tuple[str, ...]:
        """Of the exposures that are left."""
        return tuple(record.name for record in self.run.exposures)

    def find(self, planes: Sequence[str]) -> None:
        """Find sky levels, static masks and cosmic rays, or recall them.

        Parameters
        ----------
        planes : sequence of str
            Of the products to come, whose kernels are loaded meanwhile.

        Raises
        ------
        PlanError
            If no exposure is left.
        StoreError
            If a mask cannot be written.
        """
        with loading_ahead(self.run, planes):
            _ = self.run.measured
        self.run.reject()
        look_again(self.run)

    def of_filter(self) -> Records:
        """Give the records of the filter's product."""
        return tuple(self.run.exposures)

    def of_exposure(self, name: str) -> Records:
        """Give the record of an exposure's own product; none if it was lost."""
        records = self._records(cleaned=not self.settings.is_archive)
        return tuple(record for record in records if record.name == name)

    def resolved_for(self, record: ExposureRecord) -> ResolvedAstroDrizzle:
        """Give the parameters of an exposure's own product."""
        count = len(self.run.planned.exposures)
        return self.settings.of_level("exposure", self.run.resolved, [record], count)

    def lose(self, error: InputError) -> bool:
        """Go on without the exposures that an error is of; False where it is of none of them."""
        if any(error.path in record.files for record in self.run.exposures):
            self.run.leave_out(error)
            return True
        return any(error.path in record.files for record in self.run.planned.exposures)

    def _records(self, *, cleaned: bool) -> Records:
        """Give the records; not cleaned, they have their sky and their cosmic rays."""
        if cleaned:
            return tuple(self.run.exposures)
        kept = set(self.names)
        plain = tuple(e for e in self.run.planned.exposures if e.name in kept)
        return SkySolution.zero(plain).apply(plain)


def total_sky(
    records: Records, parameters: AstroDrizzleParameters, settings: Settings, shop: Workshop
) -> Records:
    """Give the records of all filters as the product of all takes them.

    Their skies are those of the filters; the archive finds them anew, without static masks.

    Raises
    ------
    InputError
        If a pixel that is needed cannot be read.
    StoreError
        If what is found cannot be kept.
    """
    if not settings.is_archive:
        return records
    bare = tuple(_without_static(record) for record in records)
    objects = Objects(str(shop.where))
    key = digest_of([record.digest for record in bare], parameters.values())
    name = f"total-sky-{key[:16]}.json"
    solution = _known(objects.get(name))
    if solution is None:
        solution = find_sky(bare, parameters, shop.threads)
        if solution.failures:
            raise solution.failures[0]
        objects.put(name, json.dumps(solution.to_dict()).encode())
    return solution.apply(bare)


def _known(raw: bytes | None) -> SkySolution | None:
    """Read a solution that was kept; None where there is none, or it is damaged."""
    try:
        return None if raw is None else SkySolution.from_dict(json.loads(raw))
    except (KeyError, TypeError, ValueError, StoreError):
        return None


def _without_static(record: ExposureRecord) -> ExposureRecord:
    """Take the static masks off a record, which the archive makes for filters alone."""
    chips = tuple(
        replace(chip, masks=tuple(m for m in chip.masks if m.kind != STATIC))
        for chip in record.chips
    )
    return replace(record, chips=chips)
