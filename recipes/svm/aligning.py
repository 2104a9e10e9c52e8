"""The small barrier of a visit: its exposures are aligned once, and what was found is kept.

A run that is started again goes on from the same records, to the last bit.  Not here: alignment
itself (`hapdask.recipes.alignment`), the form in which it is kept (`aligned`).
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hapdask.errors import InputError
from hapdask.observe.masking.sources import Masks, list_sources
from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.zeros import judge_zeros
from hapdask.products.alignment.lines import alignment_line
from hapdask.products.objects import Objects
from hapdask.recipes.alignment.planning import Request, plan_alignment
from hapdask.recipes.alignment.run import Aligned, Alignment, align
from hapdask.recipes.reporting import LeftOut
from hapdask.recipes.svm.aligned import Stars, VisitAlignment
from hapdask.recipes.svm.ledger import content_of, digest_of
from hapdask.recipes.svm.steps import Workshop

_NAME = "alignment.json"
#: In WCSNAME: aligned by visit.
_LABEL = "SVM"


@dataclass(frozen=True, kw_only=True)
class AlignmentSettings:
    """What a user asks of the alignment; see `hapdask.align`.

    Attributes
    ----------
    refcat
        Reference catalog, or several.
    preset : {"default", "compat"}
    file : path, optional
    overrides : mapping
    exclude
        Masks of pixels whose sources are not used.
    """

    refcat: Any = None
    preset: str = "default"
    file: str | Path | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)
    exclude: Masks = ()

    @property
    def plain(self) -> list[object]:
        """Tell it as plain data, files by their content."""
        given = self.refcat if isinstance(self.refcat, list | tuple) else [self.refcat]
        names = [each for each in given if isinstance(each, str | Path)]
        tables = [digest_of(_columns(each)) for each in given if not isinstance(each, str | Path)]
        own = (each for each in self.overrides.values() if isinstance(each, str | Path))
        named = [each for each in own if os.path.isfile(each)]  # catfile, exclusions, refimage
        files = content_of([*names, *([self.file] if self.file else []), *named])
        masks = list_sources(self.exclude)
        without = [[asdict(mask) for mask in masks], content_of(mask.url for mask in masks)]
        asked = [[str(name) for name in names], tables, self.preset, dict(self.overrides), files]
        return [*asked, without]


def check_settings(records: Sequence[ExposureRecord], settings: AlignmentSettings) -> None:
    """Refuse what cannot be asked of the alignment of visits, before any pixel is read.

    Raises
    ------
    ParameterError, InputError
        See `hapdask.align`.
    """
    if records:
        request = Request(
            preset=settings.preset,
            file=settings.file,
            overrides={"label": _LABEL, **settings.overrides},
            refcat=settings.refcat,
            exclude=settings.exclude,
            sources={},
        )
        plan_alignment(records, request)


def align_visit(
    records: Sequence[ExposureRecord], settings: AlignmentSettings, shop: Workshop
) -> VisitAlignment:
    """Align the exposures of a visit, or recall how they were.

    A catalog that did not answer is asked again where exposures have no tie to another.

    Parameters
    ----------
    records : sequence of ExposureRecord
        As opened; direct and dispersed ones.
    settings : AlignmentSettings
    shop : Workshop

    Raises
    ------
    ParameterError, InputError
        See `hapdask.align`.
    StoreError
        If it cannot be kept.
    """
    objects, key = Objects(str(shop.where)), _key(records, settings)
    raw = objects.get(_NAME)
    known = None if raw is None else VisitAlignment.from_json(raw, key)
    if known is not None and not known.lacks_answer:
        return known
    found = _align(records, settings, shop)
    if known is not None and found.is_same_as(known):
        return known  # asked again in vain: the products keep their date
    objects.put(_NAME, found.to_json(key))
    return found


def _align(
    records: Sequence[ExposureRecord], settings: AlignmentSettings, shop: Workshop
) -> VisitAlignment:
    records, dark = _with_light(records)
    found: Sequence[Aligned] | Alignment = ()
    lost: tuple[LeftOut, ...] = ()
    told: dict[str, Any] = {}
    if records:
        parameters: dict[str, Any] = {"label": _LABEL, **settings.overrides}
        found = align(
            records,
            refcat=settings.refcat,
            preset=settings.preset,
            file=settings.file,
            exclude=settings.exclude,
            client=shop.client,
            threads=shop.threads,
            progress=shop.progress,
            outages=shop.outages,
            **parameters,
        )
        lost = found.left_out
        told = {key: value for key, value in found.to_dict().items() if key != "seconds"}
    usable = [e for e in found if e.usable]
    aside = (LeftOut(e.opened.url, e.record.verdict.reason) for e in found if not e.usable)
    return VisitAlignment(
        records=tuple(e.record for e in usable),
        facts={e.record.name: e.facts for e in usable if e.facts is not None},
        left_out=(*dark, *lost, *aside),
        told=told,
        lines=tuple(alignment_line(e.record, e.placement, e.guiding, e.inquiries) for e in found),
        date=datetime.datetime.now(datetime.UTC).date(),
        stars={e.record.name: _stars(e) for e in usable},
        references={
            e.catalog.name: Stars(e.catalog.ra, e.catalog.dec, e.catalog.mag)
            for e in usable
            if e.catalog is not None
        },
    )


def _with_light(
    records: Sequence[ExposureRecord],
) -> tuple[list[ExposureRecord], list[LeftOut]]:
    """Set aside exposures whose pixels are all zero; what cannot be read is told by others."""
    kept, dark = [], []
    for record in records:
        try:
            verdict = judge_zeros(record)
        except InputError:
            verdict = record.verdict
        if verdict.status == "rejected":
            dark.append(LeftOut(record.url, verdict.reason))
        else:
            kept.append(record.with_verdict(verdict))
    return kept, dark


def _stars(aligned: Aligned) -> Stars:
    """Give the sources of an exposure where its solution puts them, brightest chip by chip."""
    sources, places = aligned.sources, []
    for chip in aligned.record.chips:
        here = sources.extver == chip.extver
        places.append(np.stack(chip.distortion.pixel_to_sky(sources.x[here], sources.y[here])))
    ra, dec = np.concatenate(places, axis=1)
    return Stars(ra, dec)


def _key(records: Sequence[ExposureRecord], settings: AlignmentSettings) -> str:
    files = [[r.name, r.url, r.digest, r.wcsname, asdict(r.verdict)] for r in records]
    return digest_of("alignment", files, settings.plain)


def _columns(given: Any) -> object:
    """Tell a catalog that is in memory by its columns."""
    if given is None:
        return None
    names = getattr(given, "colnames", None)
    if names is None:
        return [(name, _plain(getattr(given, name))) for name in given.__dataclass_fields__]
    return [(name, _plain(given[name])) for name in names]


def _plain(column: Any) -> Any:
    return column.tolist() if hasattr(column, "tolist") else str(column)
