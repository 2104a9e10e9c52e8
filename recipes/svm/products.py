"""All drizzled products of one detector of a visit: of filters, of exposures, of all together.

Each is made of the records that `steps` found; one that cannot be made is told, and the others go
on.  Not here: how one is written (`mosaics`), what exposures get back (`returned`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock

from hapdask.drizzling.visit_frame import visit_frame
from hapdask.errors import InputError, PlanError
from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.tree import DetectorProduct, FilterProduct, VisitTree
from hapdask.products.names import ProductName
from hapdask.products.svm.names import exposure_names, filter_names, total_names
from hapdask.recipes.reporting import LeftOut, Step, timed
from hapdask.recipes.svm.mosaics import OF_EXPOSURE, OF_VISIT, Made, Mosaic, Studio, make_mosaic
from hapdask.recipes.svm.parameters import Settings
from hapdask.recipes.svm.steps import FilterSteps, Workshop, total_sky
from hapdask.sky.frame import Frame

log = logging.getLogger(__name__)

#: Products that are made at a time.
_BESIDE = 2
#: Those with most work first.
_KINDS = ("total", "filter", "exposure")
_CLEANED = "cosmic rays found with the exposures of the filter are left out"
_PLAIN = "as the archive's: the sky is in it, and cosmic rays"


@dataclass(frozen=True)
class Product:
    """A drizzled product that is there.

    Attributes
    ----------
    kind : {"filter", "exposure", "total"}
    mosaic : Mosaic
    made : Made
    """

    kind: str
    mosaic: Mosaic
    made: Made

    def small(self) -> Product:
        """Give it without its overview, as it is kept and sent."""
        return replace(self, made=replace(self.made, overview=None))


@dataclass(frozen=True)
class _Job:
    """A product to be made: of which kind, what gives its mosaic, whose exposures it is of."""

    kind: str
    compose: Callable[[], Mosaic | None]
    steps: Sequence[FilterSteps]


@dataclass
class DetectorRun:
    """The products of one detector on one frame.

    Attributes
    ----------
    tree : VisitTree
    product : DetectorProduct
    records : mapping of str to ExposureRecord
        Aligned, by name.
    settings : Settings
    studio : Studio
    shop : Workshop
    seconds : dict of str to float
        Wall time by step.
    left_out : list of LeftOut
    products : list of Product
        Made so far.
    steps : list of FilterSteps
        What was found so far.
    field_number : int
        1 but for a second field of the visit, whose products bear the number.
    """

    tree: VisitTree
    product: DetectorProduct
    records: Mapping[str, ExposureRecord]
    settings: Settings
    studio: Studio
    shop: Workshop
    seconds: dict[str, float] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    steps: list[FilterSteps] = field(default_factory=list)
    field_number: int = 1
    _losing: Lock = field(default_factory=Lock, repr=False)

    @property
    def name(self) -> str:
        """Instrument and detector."""
        return f"{self.product.instrument}_{self.product.detector}"

    @property
    def frame(self) -> Frame:
        """The grid that all products share."""
        members = [self.records[name] for name in self.product.framed]
        scale = self.settings.scale(members)
        return visit_frame(members, scale=scale, compat=self.settings.is_archive)

    def make(self) -> None:
        """Make the products; `products`, `steps` and `left_out` tell of them.

        Raises
        ------
        StoreError
            If something cannot be written.
        """
        if not self.product.framed:
            return
        try:
            frame = self.frame
        except PlanError as error:
            self._lost("frame", error)
            return
        jobs: list[_Job] = []
        for each in self.product.drizzled:
            for group, is_filter in ((each.exposures, True), *(((n,), False) for n in each.apart)):
                steps = self._found(each, group, frame)
                if steps is not None:
                    jobs += self._of(steps, each, is_filter)
        jobs.append(_Job("total", self._total, self.steps))
        with timed(self.seconds, "products"):
            self._make_all(jobs)
        self.left_out += [item for steps in self.steps for item in steps.left_out]

    def _make_all(self, jobs: Sequence[_Job]) -> None:
        """Make the products, two beside each other: what one does alone fills the other's gaps.

        Those with most work come first, so that both end together.
        """
        at_once = 1 if self.studio.client else min(_BESIDE, self.studio.threads)
        studio = replace(self.studio, threads=max(1, self.studio.threads // at_once))
        with ThreadPoolExecutor(at_once) as pool:
            ordered = sorted(jobs, key=lambda job: _KINDS.index(job.kind))
            running = {id(job): pool.submit(self._keep, job, studio) for job in ordered}
            try:
                for done, job in enumerate(jobs):
                    self.shop.progress(Step(self.name, done, len(jobs), "products"))
                    product = running[id(job)].result()
                    if product is not None:
                        self.products.append(product)
            finally:  # after an error, what has not begun is left
                for future in running.values():
                    future.cancel()
        self.shop.progress(Step(self.name, len(jobs), len(jobs), "products"))

    def _found(
        self, member: FilterProduct, names: Sequence[str], frame: Frame
    ) -> FilterSteps | None:
        """Find what is needed of some exposures of a filter; None where none of them is left."""
        try:
            members = [self.records[name] for name in names]
            steps = FilterSteps(members, frame, self.settings, self.shop)
            steps.find((*self.studio.planes, "ctx"))
        except (InputError, PlanError) as error:
            self._lost(member.filter, error)
            return None
        self.steps.append(steps)
        return steps

    def _of(self, steps: FilterSteps, member: FilterProduct, is_filter: bool) -> Iterator[_Job]:
        """List the products of some exposures of a filter."""
        if is_filter:
            name = self._numbered(filter_names(self.tree, self.product, member).product)
            yield _Job("filter", partial(self._filter, name, steps), [steps])
        for exposure in steps.names:
            yield _Job("exposure", partial(self._exposure, exposure, steps), [steps])

    def _filter(self, name: ProductName, steps: FilterSteps) -> Mosaic:
        return Mosaic(
            name=name,
            level=OF_VISIT,
            records=steps.of_filter(),
            frame=steps.frame,
            resolved=steps.run.resolved,
            notes=steps.run.planned.notes,
        )

    def _exposure(self, exposure: str, steps: FilterSteps) -> Mosaic | None:
        found = steps.of_exposure(exposure)
        if not found:
            return None
        return Mosaic(
            name=exposure_names(self.tree, found[0]).product,
            level=OF_EXPOSURE,
            records=found,
            frame=steps.frame,
            resolved=steps.resolved_for(found[0]),
            notes=(_PLAIN if self.settings.is_archive else _CLEANED,),
        )

    def _total(self) -> Mosaic | None:
        members = set(self.product.total_members)
        records = tuple(r for s in self.steps for r in s.of_filter() if r.name in members)
        if not records:
            return None
        found = self.steps[0].run.resolved
        resolved = self.settings.of_level("total", found, records, len(records))
        return Mosaic(
            name=self._numbered(total_names(self.tree, self.product).product),
            level=OF_VISIT,
            records=total_sky(records, resolved.parameters, self.settings, self.shop),
            frame=self.steps[0].frame,
            resolved=resolved,
        )

    def _numbered(self, name: ProductName) -> ProductName:
        """Tell the products of a second field from those of the first."""
        if self.field_number == 1:
            return name
        return ProductName(f"{name.stem}-field{self.field_number}", name.suffix)

    def _keep(self, job: _Job, studio: Studio) -> Product | None:
        """Make a product, again without the exposures that cannot be read any more."""
        while True:
            try:
                mosaic = job.compose()
                if mosaic is None:
                    return None
                product = Product(job.kind, mosaic, make_mosaic(mosaic, studio))
                # only a filter's overview is in a colour picture
                return product if job.kind == "filter" else product.small()
            except InputError as error:
                try:
                    with self._losing:
                        if not any(each.lose(error) for each in job.steps):
                            raise
                except PlanError as none_left:
                    self._lost(job.kind, none_left)
                    return None
            except PlanError as error:
                self._lost(job.kind, error)
                return None

    def _lost(self, what: str, error: InputError | PlanError) -> None:
        log.warning("%s %s: no product: %s", self.name, what, error)
        item = LeftOut.of(error)
        self.left_out.append(item if item.file else LeftOut(f"{self.name} {what}", item.reason))


def finished(runs: Sequence[DetectorRun]) -> dict[str, ExposureRecord]:
    """Give the records of exposures as they are in the products of their filters."""
    return {r.name: r for run in runs for steps in run.steps for r in steps.of_filter()}
