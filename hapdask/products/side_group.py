"""A zarr group on a local disk that appears whole or not at all: it is made aside and renamed.

Not here: what is in it (`export_zarr`, `hapdask.products.returned.dq_zarr`).
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hapdask.errors import StoreError
from hapdask.products import lock
from hapdask.products.objects import Objects, clean_url, storage_errors

log = logging.getLogger(__name__)


@contextmanager
def whole_group(path: str | os.PathLike[str], *, overwrite: bool) -> Iterator[Path]:
    """Give the directory to write a group into; it gets its name where the block ends well.

    Raises
    ------
    StoreError
        Not a local path, something is there, or the disk is full or unwritable.
    """
    url = clean_url(path)
    if "://" in url:
        raise StoreError(f"{url}: an export needs a local directory (make it there, then copy it)")
    target = Path(url)
    side, old = (target.with_name(f".{target.name}.{word}") for word in ("partial", "old"))
    parent = Objects(str(target.parent))
    lock_name = f".{target.name}.lock"
    holder = lock.acquire(parent, lock_name)
    try:
        with storage_errors(url):
            _recover(target, side, old)
        _check_target(target, overwrite)
        yield side
        with storage_errors(url):
            if target.exists():
                target.rename(old)
            side.rename(target)
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(side, ignore_errors=True)
        lock.release(parent, lock_name, holder)


def _recover(target: Path, side: Path, old: Path) -> None:
    """Undo what a killed export left: its side directory, or a replacement half made."""
    if side.exists():
        log.warning("removing %s, left by an export that was killed", side)
        shutil.rmtree(side)
    if old.exists():
        if target.exists():
            shutil.rmtree(old)
        else:
            old.rename(target)


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not overwrite:
        raise StoreError(f"{target} exists (choose another path, or overwrite=True)")
    if not (target / "zarr.json").is_file():
        raise StoreError(f"{target} is not a zarr group and is not replaced (remove it yourself)")
