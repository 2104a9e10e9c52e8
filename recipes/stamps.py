"""What exported files were made from, so that a rerun writes only those that changed.

One small JSON file beside the exports.  A file is fresh if it and those written with it are still
the ones that were written (size and time), from the same tiles with the same options.  Not here:
the exports.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hapdask.products.objects import Objects, storage_errors

_NAME = ".exports.json"
_FORMAT = 2


def stamp_of(*content: object) -> str:
    """Hash plain data.

    Examples
    --------
    >>> stamp_of("fits", [1, 2]) == stamp_of("fits", (1, 2))
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Stamps:
    """The stamps of the files in one folder.

    Parameters
    ----------
    folder : path
        Made when the first file is written.

    Raises
    ------
    StoreError
        If it cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._objects = Objects(str(self.folder.absolute()))
        self._entries = self._read()

    def fresh(self, name: str, stamp: str, others: Sequence[str] = ()) -> bool:
        """Whether a file (or folder), and those written with it, are there as they were written."""
        entry = self._entries.get(name, {})
        there = self._identities((name, *others))
        return entry.get("stamp") == stamp and entry.get("identity") == there

    def write(
        self, name: str, stamp: str, write: Callable[[Path], object], others: Sequence[str] = ()
    ) -> None:
        """Write a file, perhaps with others, and remember its stamp.

        Raises
        ------
        StoreError
            If the folder cannot be written.
        """
        with storage_errors(str(self.folder)):
            self.folder.mkdir(parents=True, exist_ok=True)
        write(self.folder / name)
        self.record(name, stamp, others)

    def record(self, name: str, stamp: str, others: Sequence[str] = ()) -> None:
        """Remember the stamp of a file that was just written, perhaps with others."""
        self._put(name, {"stamp": stamp, "identity": self._identities((name, *others))})

    def value(self, name: str, stamp: str) -> Any:
        """Give what `remember` was told under that name and stamp; None if nothing was."""
        entry = self._entries.get(name, {})
        return entry.get("value") if entry.get("stamp") == stamp else None

    def remember(self, name: str, stamp: str, value: object) -> None:
        """Remember plain data that took time to work out."""
        self._put(name, {"stamp": stamp, "value": value})

    def _put(self, name: str, entry: dict[str, Any]) -> None:
        self._entries[name] = entry
        content = {"format": _FORMAT, "entries": self._entries}
        self._objects.put(_NAME, json.dumps(content, indent=1, sort_keys=True).encode())

    def _identities(self, names: Sequence[str]) -> list[list[int]] | None:
        """Size and time of files; None where one is not there."""
        try:
            found = [(self.folder / name).stat() for name in names]
        except FileNotFoundError:
            return None
        return [[status.st_size, status.st_mtime_ns] for status in found]

    def _read(self) -> dict[str, dict[str, Any]]:
        """Read the entries; none where the file is absent or damaged: all is written again."""
        data = self._objects.get(_NAME)
        try:
            content = json.loads(data or b"{}")
            entries = content["entries"] if content["format"] == _FORMAT else {}
        except (ValueError, KeyError, TypeError):
            return {}
        return entries if isinstance(entries, dict) else {}
