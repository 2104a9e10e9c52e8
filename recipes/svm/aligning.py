"""The small barrier of a visit: its exposures are aligned once, and what was found is kept.

A run that is started again goes on from the same records, to the last bit.  Not here: alignment
itself (`hapdask.recipes.alignment`).
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hapdask.astrometry.headers.facts import Relative, WcsFacts
from hapdask.errors import StoreError
from hapdask.observe.record import ExposureRecord
from hapdask.products.objects import Objects
from hapdask.recipes.alignment.run import Alignment, align
from hapdask.recipes.reporting import LeftOut
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
    """

    refcat: Any = None
    preset: str = "default"
    file: str | Path | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)

    @property
    def plain(self) -> list[object]:
        """Tell it as plain data, files by their content."""
        given = self.refcat if isinstance(self.refcat, list | tuple) else [self.refcat]
        names = [each for each in given if isinstance(each, str | Path)]
        tables = [digest_of(_told(each)) for each in given if not isinstance(each, str | Path)]
        files = content_of([*names, *([self.file] if self.file else [])])
        return [[str(name) for name in names], tables, self.preset, dict(self.overrides), files]


@dataclass(frozen=True)
class VisitAlignment:
    """What the alignment of a visit left.

    Attributes
    ----------
    records : tuple of ExposureRecord
        Those that may be used: corrected, with verdict and WCSNAME.
    facts : mapping of str to WcsFacts
        Of their new WCSs, by name; an exposure that keeps its header's has none.
    left_out : tuple of LeftOut
    told : mapping
        All that is told of the alignment, plain data.
    date : date
        When it was made; the date of all products.
    """

    records: tuple[ExposureRecord, ...]
    facts: Mapping[str, WcsFacts]
    left_out: tuple[LeftOut, ...]
    told: Mapping[str, Any]
    date: datetime.date


def align_visit(
    records: Sequence[ExposureRecord], settings: AlignmentSettings, shop: Workshop
) -> VisitAlignment:
    """Align the direct exposures of a visit, or recall how they were.

    Parameters
    ----------
    records : sequence of ExposureRecord
        As opened.
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
    known = _recall(objects, key)
    if known is None:
        parameters: dict[str, Any] = {"label": _LABEL, **settings.overrides}
        found = align(
            records,
            refcat=settings.refcat,
            preset=settings.preset,
            file=settings.file,
            client=shop.client,
            threads=shop.threads,
            progress=shop.progress,
            **parameters,
        )
        known = _of(found)
        objects.put(_NAME, json.dumps({"key": key, **_packed(known)}).encode())
    return known


def _of(found: Alignment) -> VisitAlignment:
    facts = {e.record.name: e.facts for e in found if e.usable and e.facts is not None}
    today = datetime.datetime.now(datetime.UTC).date()
    told = {key: value for key, value in found.to_dict().items() if key != "seconds"}
    set_aside = tuple(LeftOut(e.opened.url, e.record.verdict.reason) for e in found if not e.usable)
    return VisitAlignment(found.records, facts, (*found.left_out, *set_aside), told, today)


def _key(records: Sequence[ExposureRecord], settings: AlignmentSettings) -> str:
    files = [[r.name, r.url, r.digest, r.wcsname, asdict(r.verdict)] for r in records]
    return digest_of("alignment", files, settings.plain)


def _packed(found: VisitAlignment) -> dict[str, Any]:
    """Make plain data."""
    return {
        "records": [record.to_dict() for record in found.records],
        "facts": {name: asdict(facts) for name, facts in found.facts.items()},
        "left_out": [asdict(item) for item in found.left_out],
        "told": found.told,
        "date": found.date.isoformat(),
    }


def _recall(objects: Objects, key: str) -> VisitAlignment | None:
    """Read what was found before; None where nothing is there, or what it was made of differs."""
    raw = objects.get(_NAME)
    if raw is None:
        return None
    try:
        data = json.loads(raw)
        if data["key"] != key:
            return None
        return VisitAlignment(
            tuple(ExposureRecord.from_dict(each) for each in data["records"]),
            {name: _facts(each) for name, each in data["facts"].items()},
            tuple(LeftOut(**each) for each in data["left_out"]),
            data["told"],
            datetime.date.fromisoformat(data["date"]),
        )
    except (KeyError, TypeError, ValueError, StoreError):
        return None  # damaged: it is made again


def _facts(data: Mapping[str, Any]) -> WcsFacts:
    relative, rms = data["relative"], data["rms_mas"]
    changed = {
        "history": tuple(data["history"]),
        "rms_mas": None if rms is None else (rms[0], rms[1]),
        "relative": relative
        and Relative(**(dict(relative) | {"rms_mas": tuple(relative["rms_mas"])})),
    }
    return WcsFacts(**(dict(data) | changed))


def _told(given: Any) -> object:
    """Tell a catalog that is in memory by its columns."""
    if given is None:
        return None
    names = getattr(given, "colnames", None)
    if names is None:
        return [(name, _plain(getattr(given, name))) for name in given.__dataclass_fields__]
    return [(name, _plain(given[name])) for name in names]


def _plain(column: Any) -> Any:
    return column.tolist() if hasattr(column, "tolist") else str(column)
