"""What exported files were made from, so that a rerun writes only those that changed.

One small JSON file beside the exports.  A file is fresh if it is still the one that was written
(size and time) and was made from the same tiles with the same options.  Not here: the exports.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hapdask.products.objects import Objects, storage_errors

_NAME = ".exports.json"
_FORMAT = 1


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
        """Whether a file (or folder) is there as it was written under that stamp.

        Of ``others`` that are written with it, it is enough that they are there.
        """
        if not all((self.folder / other).exists() for other in others):
            return False
        entry = self._entries.get(name, {})
        return entry.get("stamp") == stamp and entry.get("identity") == self._identity(name)

    def write(self, name: str, stamp: str, write: Callable[[Path], object]) -> None:
        """Write a file and remember its stamp.

        Raises
        ------
        StoreError
            If the folder cannot be written.
        """
        with storage_errors(str(self.folder)):
            self.folder.mkdir(parents=True, exist_ok=True)
        write(self.folder / name)
        self.record(name, stamp)

    def record(self, name: str, stamp: str) -> None:
        """Remember the stamp of a file that was just written."""
        self._put(name, {"stamp": stamp, "identity": self._identity(name)})

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

    def _identity(self, name: str) -> list[int] | None:
        try:
            status = (self.folder / name).stat()
        except FileNotFoundError:
            return None
        return [status.st_size, status.st_mtime_ns]

    def _read(self) -> dict[str, dict[str, Any]]:
        """Read the entries; none where the file is absent or damaged: all is written again."""
        data = self._objects.get(_NAME)
        try:
            content = json.loads(data or b"{}")
            entries = content["entries"] if content["format"] == _FORMAT else {}
        except (ValueError, KeyError, TypeError):
            return {}
        return entries if isinstance(entries, dict) else {}
