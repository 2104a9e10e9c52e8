"""The stored outcome of a visit: its records and verdicts in one JSON file, for what comes after.

Later mosaics read records here and measure nothing again.  The file is written last, whole or not
at all, and holds a digest of itself.  Masks that lie in the visit's folder are named relative to
it, so that the folder can be moved.  Not here: masks (`hapdask.observe.masks`), products.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hapdask.astrometry.headers.ties import tie_of
from hapdask.errors import StoreError
from hapdask.observe.parts import ChipRecord, MaskRef
from hapdask.observe.record import ExposureRecord
from hapdask.observe.source import open_source, resolve
from hapdask.observe.visits.tree import VisitTree
from hapdask.products.names import inside
from hapdask.products.side_file import appearing
from hapdask.products.svm.names import outcome_name

FORMAT = 1
_KIND = "hapdask visit"
_HERE = "./"
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class VisitOutcome:
    """What a visit left.

    Attributes
    ----------
    tree : VisitTree
    records : tuple of ExposureRecord
        As they are in the products: with corrections, masks by reference, skies, flux factors and
        verdicts.
    release : str
        Digest of the astrometric solution; empty where there is none.
    photflam : mapping of str to float
        PHOTFLAM of each layer: the system that its flux factors bring chips to.
    replaced_flags : mapping of str to int
        By exposure, DQ bits of its file that its masks stand in place of (AstroDrizzle's
        ``resetbits``): cosmic rays that were found before.
    left_out : tuple of (str, str)
        Files that were not used, and why.
    told : mapping
        What else is told of the visit, as plain data: alignment, parameters, files.
    software : str
    """

    tree: VisitTree
    records: tuple[ExposureRecord, ...]
    release: str = ""
    photflam: Mapping[str, float] = field(default_factory=dict)
    replaced_flags: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[tuple[str, str], ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)
    software: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Make plain data for JSON."""
        return {
            "kind": _KIND,
            "format": FORMAT,
            "software": self.software,
            "visit": self.tree.to_dict(),
            "release": self.release,
            "photflam": dict(self.photflam),
            "replaced_flags": dict(self.replaced_flags),
            "ties": {record.name: str(tie_of(record)) for record in self.records},
            "left_out": [list(each) for each in self.left_out],
            "told": dict(self.told),
            "records": [record.to_dict() for record in self.records],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VisitOutcome:
        """Rebuild the outcome that `to_dict` was called on.

        Raises
        ------
        StoreError
            If the data are none.
        """
        if data.get("kind") != _KIND or data.get("format") != FORMAT:
            raise StoreError(f"the data are not the outcome of a visit of format {FORMAT}")
        try:
            return cls(
                tree=VisitTree.from_dict(data["visit"]),
                records=tuple(ExposureRecord.from_dict(each) for each in data["records"]),
                release=str(data["release"]),
                photflam={str(k): float(v) for k, v in data["photflam"].items()},
                replaced_flags={str(k): int(v) for k, v in data["replaced_flags"].items()},
                left_out=tuple((str(name), str(why)) for name, why in data["left_out"]),
                told=dict(data["told"]),
                software=str(data["software"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"the outcome of a visit is damaged: {error!r}") from error


def write_outcome(
    outcome: VisitOutcome, folder: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write the outcome of a visit into its folder, when everything else is there.

    Parameters
    ----------
    outcome : VisitOutcome
    folder : path
        There already.
    overwrite : bool

    Returns
    -------
    Path

    Raises
    ------
    StoreError
        If it is there already, or cannot be written.
    """
    place = Path(folder)
    records = tuple(_with_urls(record, _leaving(place)) for record in outcome.records)
    data = replace(outcome, records=records).to_dict()
    text = json.dumps(data | {"digest": _digest(data)}, sort_keys=True, allow_nan=False)
    path = inside(place, outcome_name(outcome.tree))
    with appearing(path, overwrite=overwrite) as out:
        out.write(text.encode("utf-8"))
    return path


def read_outcome(path: str | os.PathLike[str]) -> VisitOutcome:
    """Read the outcome of a visit.

    Parameters
    ----------
    path : path or address
        Its JSON file.

    Raises
    ------
    InputError
        If it cannot be read.
    StoreError
        If it is damaged, or of another kind.
    """
    url = resolve(path)
    with open_source(url) as source:
        if source.size > _MOST_BYTES:
            raise StoreError(f"{url}: {source.size} bytes are no outcome of a visit")
        raw = source.read(0, source.size)
    try:
        data = json.loads(raw)
    except ValueError as error:
        raise StoreError(f"{url} is no JSON, or is cut off: {error}") from error
    if not isinstance(data, dict) or data.pop("digest", None) != _digest(data):
        raise StoreError(f"{url} is damaged, or was changed by hand: its digest does not fit")
    outcome = VisitOutcome.from_dict(data)
    folder = url.rpartition("/")[0]
    records = tuple(_with_urls(record, _coming(folder)) for record in outcome.records)
    return replace(outcome, records=records)


def records_of(outcomes: Sequence[VisitOutcome]) -> list[ExposureRecord]:
    """Give the records of several visits, in the order given.

    Raises
    ------
    StoreError
        If two visits have an exposure in common.
    """
    found: dict[str, str] = {}
    for outcome in outcomes:
        for record in outcome.records:
            other = found.setdefault(record.name, outcome.tree.visit)
            if other != outcome.tree.visit:
                raise StoreError(
                    f"{record.name} is in the outcomes of visits {other} and {outcome.tree.visit}"
                )
    unique = {record.name: record for outcome in outcomes for record in outcome.records}
    return list(unique.values())


def _digest(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _leaving(folder: Path) -> Callable[[str], str]:
    """Make the function that names what lies below a folder relative to it."""
    root = f"{os.path.realpath(folder)}{os.sep}"

    def change(url: str) -> str:
        real = os.path.realpath(url) if "://" not in url else url
        return _HERE + real.removeprefix(root) if real.startswith(root) else url

    return change


def _coming(folder: str) -> Callable[[str], str]:
    """Make the function that names it by its whole address again; StoreError for one outside."""

    def change(url: str) -> str:
        if not url.startswith(_HERE):
            return url
        if ".." in url.split("/"):
            raise StoreError(f"{url!r} leads out of the folder of the visit")
        return f"{folder}/{url.removeprefix(_HERE)}"

    return change


def _with_urls(record: ExposureRecord, change: Callable[[str], str]) -> ExposureRecord:
    """Change the addresses of masks and maps."""

    def moved(mask: MaskRef) -> MaskRef:
        return replace(mask, url=change(mask.url))

    def of_chip(chip: ChipRecord) -> ChipRecord:
        masks = tuple(moved(mask) for mask in chip.masks)
        return replace(chip, masks=masks, ivm=None if chip.ivm is None else moved(chip.ivm))

    return replace(record, chips=tuple(of_chip(chip) for chip in record.chips))
