"""A file that is written from its beginning to its end, and appears whole or not at all.

It grows under ``<name>.<random>.part`` and is renamed when it is done; what a killed writer left
is removed by the next one.  Not here: files written in any order, and several that appear
together (`fits_file`).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hapdask.errors import StoreError
from hapdask.products.folder_lock import alone_in, lock, remove_abandoned, sync_folder
from hapdask.products.objects import storage_errors


@contextmanager
def appearing(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Open a file for writing that appears where the ``with`` block ends without an error.

    Raises
    ------
    StoreError
        If it is there already and may not be replaced, or the disk fails.
    """
    refuse_existing(path, overwrite=overwrite)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    with storage_errors(str(path)), alone_in(path.parent):
        remove_abandoned(path)
        file = open(part, "xb")  # noqa: SIM115  (closed below, whatever happens)
        lock(file.fileno())  # tells that its writer lives
    try:
        with storage_errors(str(path)):
            yield file
            file.flush()
            os.fsync(file.fileno())
        with storage_errors(str(path)), alone_in(path.parent):
            refuse_existing(path, overwrite=overwrite)
            if path.exists():
                _inherit(path, file.fileno())
            os.replace(part, path)
            sync_folder(path.parent)
    finally:
        file.close()
        part.unlink(missing_ok=True)


def _inherit(path: Path, handle: int) -> None:
    """Let a file keep the owner, as far as that is allowed, and the mode of the one it replaces."""
    old = path.stat()
    with suppress(PermissionError):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, old.st_mode & 0o7777)


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Make sure that a file may be written.

    Raises
    ------
    StoreError
        If it is there already and may not be replaced, or is a folder.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a folder (name the file in it)")
    if path.exists() and not overwrite:
        raise StoreError(f"{path} exists already (ask to overwrite it, or name another)")
