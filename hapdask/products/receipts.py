"""Receipts and the run manifest of a store: what they hold, and their bytes.

A receipt is the immutable note written after a tile's data; a manifest says what a tile should
be. A tile is finished when both name one digest. Neither holds a time of day: the same run
gives the same bytes. Not here: where they are stored, and in what order (`writer`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hapdask.errors import StoreError

Index = tuple[int, int]
Chip = tuple[str, int]
Box = tuple[int, int, int, int]

_FIELDS = {"digest", "inputs", "statistics", "algorithm"}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a finished tile is made of.

    Parameters
    ----------
    index : (ty, tx)
        The tile in its root grid.
    digest : str
        Digest of the plan of the tile.
    algorithm : str
        Version of the algorithm.
    inputs : tuple of (exposure, extver)
        Chips that the tile was made from, sorted.
    statistics : mapping
        Figures of the tile, plain JSON values.
    """

    index: Index
    digest: str
    algorithm: str = ""
    inputs: tuple[Chip, ...] = ()
    statistics: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_parts(cls, index: Index, parts: Mapping[str, Any]) -> Receipt:
        """Make a receipt from plain data, as a sink is given it.

        Parameters
        ----------
        index : (ty, tx)
            The tile.
        parts : mapping
            ``digest`` and, where there are any, ``inputs``, ``statistics``, ``algorithm``.

        Raises
        ------
        StoreError
            An unknown or absent field.
        """
        unknown = sorted(set(parts) - _FIELDS)
        if unknown or not parts.get("digest"):
            problem = f"unknown fields {unknown}" if unknown else "no digest"
            raise StoreError(f"receipt of tile {index}: {problem} (known: {sorted(_FIELDS)})")
        inputs = {(str(name), int(extver)) for name, extver in parts.get("inputs", ())}
        return cls(
            index,
            str(parts["digest"]),
            str(parts.get("algorithm", "")),
            tuple(sorted(inputs)),
            dict(parts.get("statistics", {})),
        )

    def to_bytes(self) -> bytes:
        """Return the JSON form; NaN becomes null."""
        return _dump(
            {
                "algorithm": self.algorithm,
                "digest": self.digest,
                "index": list(self.index),
                "inputs": [list(chip) for chip in self.inputs],
                "statistics": {key: _plain(value) for key, value in self.statistics.items()},
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Receipt | None:
        """Read the JSON form; None if it is damaged (then the tile is not finished)."""
        try:
            fields = json.loads(data)
            inputs = tuple((str(name), int(ext)) for name, ext in fields["inputs"])
            ty, tx = fields["index"]
            return cls(
                (int(ty), int(tx)),
                str(fields["digest"]),
                str(fields["algorithm"]),
                inputs,
                dict(fields["statistics"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return None


@dataclass(frozen=True, slots=True)
class Run:
    """A window that was asked for: box (y0, y1, x0, x1) in root pixels, and how far it got."""

    box: Box
    finished: bool
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the tiles of a group should be, and which runs asked for it.

    Every tile that may hold data is listed: it is added before its data are written, and
    leaves only after they are gone.
    """

    planned: Mapping[Index, str] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()

    def with_run(self, run: Run, planned: Mapping[Index, str], lost: Iterable[Index]) -> Manifest:
        """Add a run: its tiles replace those of earlier runs, it swallows runs inside it."""
        gone = set(lost)
        tiles = {index: digest for index, digest in self.planned.items() if index not in gone}
        runs = (*(old for old in self.runs if not _inside(old.box, run.box)), run)
        return Manifest(tiles | dict(planned), tuple(sorted(runs, key=lambda item: item.box)))

    def finish(self, box: Box) -> Manifest:
        """Mark the run of that box as finished."""
        runs = tuple(replace(r, finished=True) if r.box == box else r for r in self.runs)
        return replace(self, runs=runs)

    @property
    def box(self) -> Box | None:
        """Smallest box (y0, y1, x0, x1) that holds every run."""
        if not self.runs:
            return None
        y0, y1, x0, x1 = zip(*(run.box for run in self.runs), strict=True)
        return (min(y0), max(y1), min(x0), max(x1))

    def to_bytes(self) -> bytes:
        """Return the JSON form."""
        planned = sorted(self.planned.items())
        runs = [
            {"box": list(run.box), "finished": run.finished, "about": _plain(run.about)}
            for run in self.runs
        ]
        return _dump({"planned": {f"{y}_{x}": digest for (y, x), digest in planned}, "runs": runs})

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Manifest:
        """Read the JSON form; raises StoreError if it is damaged."""
        try:
            fields = json.loads(data)
            planned = {_index(key): str(digest) for key, digest in fields["planned"].items()}
            runs = tuple(
                Run(_box(run["box"]), bool(run["finished"]), run["about"]) for run in fields["runs"]
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(f"{where} is damaged: {error} (delete it and run again)") from error
        return cls(planned, runs)


def _index(key: str) -> Index:
    ty, tx = key.split("_")
    return (int(ty), int(tx))


def _box(values: Iterable[int]) -> Box:
    y0, y1, x0, x1 = (int(value) for value in values)
    return (y0, y1, x0, x1)


def _inside(small: Box, large: Box) -> bool:
    rows = large[0] <= small[0] and small[1] <= large[1]
    return rows and large[2] <= small[2] and small[3] <= large[3]


def _plain(value: Any) -> Any:
    """Return a JSON value for a Python or NumPy one; NaN and infinities become null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _dump(fields: Mapping[str, Any]) -> bytes:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"
