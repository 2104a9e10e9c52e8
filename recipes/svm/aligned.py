"""What the alignment of a visit left, and its plain form, in which it outlives an interruption.

Not here: the alignment itself (`aligning`).
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.headers.facts import Relative, WcsFacts
from hapdask.errors import StoreError
from hapdask.observe.plain import pack_array, unpack_array
from hapdask.observe.record import ExposureRecord
from hapdask.products.report.model import AlignmentLine, AttemptLine
from hapdask.recipes.reporting import LeftOut

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stars:
    """Positions on the sky: degrees, and magnitudes of a catalog's stars (else none)."""

    ra: Floats
    dec: Floats
    mag: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, eq=False)
class VisitAlignment:
    """What the alignment of a visit left.

    Attributes
    ----------
    records : tuple of ExposureRecord
        Those that may be used: corrected, with verdict and WCSNAME; dispersed ones too.
    facts : mapping of str to WcsFacts
        Of their new WCSs, by name; an exposure that keeps its header's has none.
    left_out : tuple of LeftOut
    told : mapping
        All that is told of the alignment, plain data.
    lines : tuple of AlignmentLine
        The same for the report.
    date : date
        When it was made; the date of all products.
    stars : mapping of str to Stars
        Sources by the name of their exposure, where the solution puts them.
    references : mapping of str to Stars
        Stars of the catalogs that were drawn, at the visit's date.
    """

    records: tuple[ExposureRecord, ...]
    facts: Mapping[str, WcsFacts]
    left_out: tuple[LeftOut, ...]
    told: Mapping[str, Any]
    lines: tuple[AlignmentLine, ...]
    date: datetime.date
    stars: Mapping[str, Stars] = field(default_factory=dict)
    references: Mapping[str, Stars] = field(default_factory=dict)

    @property
    def untied(self) -> frozenset[str]:
        """Exposures that were tied to nothing."""
        return frozenset(line.name for line in self.lines if line.status == "unaligned")

    @property
    def lacks_answer(self) -> bool:
        """Whether exposures have no tie to a catalog, and one that was asked did not answer."""
        return any(
            told["status"] not in ("aligned", "confirmed")
            and any(asked["status"] == "failed" for asked in told["catalogs"])
            for told in self.told.get("exposures", ())
        )

    def is_same_as(self, other: VisitAlignment) -> bool:
        """Whether products of both are the same: exposures, and where they are put."""
        mine, others = ([(r.digest, r.wcsname) for r in a.records] for a in (self, other))
        return mine == others

    def to_json(self, key: str) -> bytes:
        """Write it, with what it depends on."""
        content = {
            "key": key,
            "records": [record.to_dict() for record in self.records],
            "facts": {name: asdict(facts) for name, facts in self.facts.items()},
            "left_out": [asdict(item) for item in self.left_out],
            "told": self.told,
            "lines": [asdict(line) for line in self.lines],
            "date": self.date.isoformat(),
            "stars": _packed(self.stars),
            "references": _packed(self.references),
        }
        return json.dumps(content).encode()

    @classmethod
    def from_json(cls, raw: bytes, key: str) -> VisitAlignment | None:
        """Read it; None where what it depends on differs, or it is damaged."""
        try:
            data = json.loads(raw)
            return cls._from_plain(data) if data["key"] == key else None
        except (KeyError, TypeError, ValueError, AttributeError, StoreError):
            return None  # it is made again

    @classmethod
    def _from_plain(cls, data: Mapping[str, Any]) -> VisitAlignment:
        return cls(
            records=tuple(ExposureRecord.from_dict(each) for each in data["records"]),
            facts={name: _facts(each) for name, each in data["facts"].items()},
            left_out=tuple(LeftOut(**each) for each in data["left_out"]),
            told=data["told"],
            lines=tuple(_line(each) for each in data["lines"]),
            date=datetime.date.fromisoformat(data["date"]),
            stars=_unpacked(data["stars"]),
            references=_unpacked(data["references"]),
        )


def _packed(stars: Mapping[str, Stars]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [pack_array(np.asarray(column, np.float64)) for column in (s.ra, s.dec, s.mag)]
        for name, s in stars.items()
    }


def _unpacked(data: Mapping[str, Any]) -> dict[str, Stars]:
    return {name: Stars(*(unpack_array(c) for c in columns)) for name, columns in data.items()}


def _line(data: Mapping[str, Any]) -> AlignmentLine:
    attempts = tuple(AttemptLine(**each) for each in data["attempts"])
    catalogs = tuple(data["catalogs"])
    return AlignmentLine(**(dict(data) | {"attempts": attempts, "catalogs": catalogs}))


def _facts(data: Mapping[str, Any]) -> WcsFacts:
    relative, rms = data["relative"], data["rms_mas"]
    changed = {
        "history": tuple(data["history"]),
        "rms_mas": None if rms is None else (rms[0], rms[1]),
        "relative": relative
        and Relative(**(dict(relative) | {"rms_mas": tuple(relative["rms_mas"])})),
    }
    return WcsFacts(**(dict(data) | changed))
