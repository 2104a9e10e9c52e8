"""Which products of a visit are made, so that a run that was interrupted makes the others alone.

A note is written after the files that it tells of; it holds the hash of all that they depend on,
and how they were left.  A file that was changed or removed since is made again.  Not here: what
was measured of exposures (`hapdask.recipes.astrodrizzle.recall`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hapdask.products.objects import Objects

#: Raised when the products of the same inputs may differ.
VERSION = "svm-1"


class Ledger:
    """Notes of finished products, in a folder.

    Parameters
    ----------
    where : path
        Of the notes; made when missing.
    out : path
        Of the products.
    """

    def __init__(self, where: str | Path, out: str | Path) -> None:
        self._objects, self._out = Objects(str(where)), Path(out)

    def holds(self, name: str, digest: str) -> tuple[Path, ...] | None:
        """Give the files of a product that is as it should be; None where it must be made.

        Parameters
        ----------
        name : str
            Of the product: a plain file name.
        digest : str
            As `digest_of` gives it.
        """
        raw = self._objects.get(f"{name}.json")
        try:
            note = {} if raw is None else json.loads(raw)
            if note.get("digest") != digest:
                return None
            files = {str(file): list(stamp) for file, stamp in note["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # damaged: the product is made again
        if any(_stamp(self._out / file) != stamp for file, stamp in files.items()):
            return None
        return tuple(self._out / file for file in files)

    def note(self, name: str, digest: str, files: Sequence[Path]) -> None:
        """Note that a product is finished; StoreError if that cannot be written."""
        stamps = {path.relative_to(self._out).as_posix(): _stamp(path) for path in files}
        content = {"digest": digest, "files": stamps}
        self._objects.put(f"{name}.json", json.dumps(content).encode())


def digest_of(*parts: object) -> str:
    """Hash plain data that a product depends on."""
    text = json.dumps([VERSION, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def content_of(paths: Iterable[str | Path]) -> list[Any]:
    """Tell small files that a product depends on by their content; None where one is not there."""
    found: list[Any] = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                found.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError:
            found.append(None)
    return found


def _stamp(path: Path) -> list[int] | None:
    """Size and time of a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
