"""What will be made of each visit, told by headers alone: products, frames, memory.

Frames are those of the headers' WCSs; alignment moves them by a little.  Not here: the making
(`visit`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hapdask.drizzling.visit_frame import visit_frame
from hapdask.errors import ParameterError, PlanError, StoreError
from hapdask.observe.exposure import Exposures, open_exposures
from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.tree import DetectorProduct, VisitTree, visit_trees
from hapdask.products.names import inside
from hapdask.products.svm.names import exposure_names, filter_names, total_names
from hapdask.recipes.astrodrizzle.final import plan_final
from hapdask.recipes.reporting import LeftOut, rejected
from hapdask.recipes.svm.frames import fields_of
from hapdask.recipes.svm.mosaics import PLANES
from hapdask.recipes.svm.parameters import Settings
from hapdask.sky.frame import Frame

Files = str | os.PathLike[str]

#: Held besides the tiles: records, kernels, copies.
_BASE = 400 << 20


@dataclass(frozen=True)
class PlannedField:
    """A detector's exposures that share a frame.

    Attributes
    ----------
    product : DetectorProduct
    frame : Frame
    tile_memory : int
        Bytes of one task.
    bytes_out : int
        Of all products, before compression.
    """

    product: DetectorProduct
    frame: Frame
    tile_memory: int
    bytes_out: int


@dataclass(frozen=True)
class PlannedVisit:
    """A visit, planned.

    Attributes
    ----------
    tree : VisitTree
    exposures : tuple of ExposureRecord
        As opened, those of the tree.
    fields : tuple of PlannedField
    problem : str
        Why no frame can be made of some of it.
    """

    tree: VisitTree
    exposures: tuple[ExposureRecord, ...]
    fields: tuple[PlannedField, ...]
    problem: str = ""

    def memory(self, threads: int) -> int:
        """Estimate the bytes that its making holds on so many threads."""
        return _BASE + threads * max((each.tile_memory for each in self.fields), default=0)

    def refuse_inputs(self, out: Path) -> None:
        """Refuse a folder in which the copy of an exposure would be the exposure; StoreError."""
        for record in self.exposures:
            target = inside(out, exposure_names(self.tree, record).copy)
            if os.path.realpath(target) == os.path.realpath(record.url):
                raise StoreError(f"{target} is an input (choose another folder for the products)")

    def to_dict(self) -> dict[str, Any]:
        """Make plain data for JSON."""
        return {
            "visit": self.tree.visit,
            "problem": self.problem,
            "tree": self.tree.to_dict(),
            "fields": [
                {
                    "detector": f"{each.product.instrument}_{each.product.detector}",
                    "pixels": [each.frame.shape[1], each.frame.shape[0]],
                    "scale": each.frame.pixel_scale,
                    "center": list(each.frame.center),
                    "bytes_out": each.bytes_out,
                }
                for each in self.fields
            ],
            "products": list(self.products),
        }

    @property
    def products(self) -> tuple[str, ...]:
        """File names of the drizzled products."""
        by_name = {record.name: record for record in self.exposures}
        found = []
        for detector in self.tree.detectors:
            for member in detector.drizzled:
                found.append(filter_names(self.tree, detector, member).product.fits)
                names = (*member.exposures, *member.apart)
                found += [exposure_names(self.tree, by_name[n]).product.fits for n in names]
            if detector.total_members:
                found.append(total_names(self.tree, detector).product.fits)
        return tuple(found)


def open_visits(given: Files | Iterable[Files] | Iterable[ExposureRecord]) -> Exposures:
    """Open exposures of visits: ramps, quads and dispersed light among them.

    Parameters
    ----------
    given : Exposures, records, or files

    Raises
    ------
    ParameterError
        If files and records are mixed.
    """
    if isinstance(given, Exposures):
        return given
    items = [given] if isinstance(given, str | os.PathLike) else list(given)
    records = [item for item in items if isinstance(item, ExposureRecord)]
    files = [item for item in items if not isinstance(item, ExposureRecord)]
    if records and files:
        raise ParameterError("give files, or exposures that are open, not both")
    if files:
        return open_exposures(files, select="visit")
    return Exposures(records, ((e.url, e.verdict) for e in records))


def plan_visits(
    opened: Exposures, settings: Settings
) -> tuple[tuple[PlannedVisit, ...], tuple[LeftOut, ...]]:
    """Plan the visits of some exposures.

    Parameters
    ----------
    opened : Exposures
    settings : Settings

    Returns
    -------
    visits, left_out

    Raises
    ------
    ParameterError
        If parameters cannot be used for a detector.
    """
    left_out = list(rejected(opened))
    by_name = {record.name: record for record in opened}
    visits = []
    for tree in visit_trees(opened):
        left_out += [LeftOut(by_name[i.name].url, i.reason) for i in tree.left_out]
        visits.append(_plan_visit(tree, by_name, settings))
    return tuple(visits), tuple(left_out)


def _plan_visit(
    tree: VisitTree, by_name: dict[str, ExposureRecord], settings: Settings
) -> PlannedVisit:
    exposures = tuple(by_name[name] for name in tree.exposures)
    fields, problem = [], ""
    for detector in tree.detectors:
        members = [by_name[name] for name in detector.framed]
        for group in fields_of(members) if members else ():
            try:
                fields.append(_plan_field(detector, group, settings))
            except PlanError as error:
                problem = str(error)
    return PlannedVisit(tree, exposures, tuple(fields), problem)


def _plan_field(
    detector: DetectorProduct, members: tuple[ExposureRecord, ...], settings: Settings
) -> PlannedField:
    frame = visit_frame(members, scale=settings.scale(members), compat=settings.is_archive)
    parameters = settings.of_filter(members).parameters
    plan = plan_final(members, frame, parameters, (*PLANES, "ctx", "exptime"))
    products = 1 + len(detector.drizzled) + len(members)
    pixels = frame.shape[0] * frame.shape[1]
    return PlannedField(detector, frame, plan.peak_memory, 12 * products * pixels)
