"""Which products of a visit are made, so that a run that was interrupted makes the others alone.

A note is written after the files that it tells of; it holds the hash of all that they depend on,
and how they were left.  A file that was changed or removed since is made again.  Not here: what
was measured of exposures (`hapdask.recipes.astrodrizzle.recall`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hapdask.errors import HapdaskError
from hapdask.products.names import inside
from hapdask.products.objects import Objects, storage_errors

#: Raised when the products of the same inputs may differ.
VERSION = "svm-2"


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
        self._where, self._out = Path(where), Path(out)
        self._objects = Objects(str(where))

    def holds(self, name: str, digest: str) -> tuple[Path, ...] | None:
        """Give the files of a product that is as it should be; None where it must be made.

        Parameters
        ----------
        name : str
            Of the product: a plain file name.
        digest : str
            As `digest_of` gives it.
        """
        noted, files = self._read(name)
        if noted != digest or any(_stamp(path) != stamp for path, stamp in files.items()):
            return None
        return tuple(files)

    def note(self, name: str, digest: str, files: Sequence[Path]) -> None:
        """Note that a product is finished; StoreError if that cannot be written."""
        stamps = {path.relative_to(self._out).as_posix(): _stamp(path) for path in files}
        content = {"digest": digest, "files": stamps}
        self._objects.put(f"{name}.json", json.dumps(content).encode())

    def sweep(self, kept: Iterable[Path]) -> tuple[Path, ...]:
        """Remove the files of earlier runs that are not to be kept.

        Only what notes tell of is removed, and not if it was changed since: that is somebody's.

        Parameters
        ----------
        kept : iterable of Path
            Files of this run, and others that must stay whatever notes say.

        Returns
        -------
        tuple of Path
            What was removed.

        Raises
        ------
        StoreError
            If a file cannot be removed.
        """
        wanted, removed = {os.path.realpath(path) for path in kept}, []
        for name in sorted(path.stem for path in self._where.glob("*.json")):
            files = self._read(name)[1]
            stale = [path for path in files if os.path.realpath(path) not in wanted]
            for path in stale:
                if _stamp(path) == files[path]:
                    with storage_errors(str(path)):
                        path.unlink()
                    removed.append(path)
            if files and len(stale) == len(files):
                self._objects.delete(f"{name}.json")
        return tuple(removed)

    def _read(self, name: str) -> tuple[str, dict[Path, list[int]]]:
        """Read a note: digest, and files with their stamps; nothing of one that is damaged."""
        raw = self._objects.get(f"{name}.json")
        try:
            note = {} if raw is None else json.loads(raw)
            files = {inside(self._out, str(f)): list(s) for f, s in note.get("files", {}).items()}
            return str(note.get("digest")), files
        except (ValueError, TypeError, AttributeError, HapdaskError):
            return "", {}  # the product is made again


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
