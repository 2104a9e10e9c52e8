"""A folder of an alignment while it is written: what a killed run left may be gone on with.

A mark lies in it from the first file to the last.  Where it lies, whatever has the name of a
product is of a run that was not finished; without it files that are there are somebody's.  Not
here: the files (`writing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from hapdask.errors import StoreError
from hapdask.products.folder_lock import is_locked_elsewhere
from hapdask.products.objects import storage_errors

#: Lies in a folder that is not finished; tells the files beside those with names of ours.
MARK = "alignment.unfinished"


def is_unfinished(folder: Path) -> bool:
    """Whether an alignment began to write there, and did not end."""
    return (folder / MARK).is_file()


@contextmanager
def unfinished(
    folder: Path, products: Iterable[str], named: Iterable[Path], *, overwrite: bool
) -> Iterator[frozenset[Path] | None]:
    """Mark a folder as unfinished, until the block ends without an error.

    Parameters
    ----------
    folder : Path
        It is there.
    products : iterable of str
        Files and folders in it whose names are ours.
    named : iterable of Path
        Files that are written too, whose names the user chose.
    overwrite : bool
        Whether files that are there may be replaced, whosever they are.

    Yields
    ------
    frozenset of Path, or None
        Those of ``named`` that an unfinished run wrote, where there was one: they may be replaced,
        and products too.  None where there was none.

    Raises
    ------
    StoreError
        If another process writes there, or the mark cannot be written.
    """
    path = folder / MARK
    before = is_unfinished(folder)
    if not (before or overwrite or _is_free(folder, products)):
        yield None  # whose these files are cannot be told: nothing is marked
        return
    with storage_errors(str(path)):
        mark = open(path, "a+", encoding="utf-8")  # noqa: SIM115  (closed below)
    with mark:
        if is_locked_elsewhere(mark.fileno()):
            raise StoreError(f"another alignment is writing to {folder} (wait, or name another)")
        left = _signed(mark, named)
        yield left if before else None
        with storage_errors(str(path)):
            path.unlink(missing_ok=True)


def _signed(mark: TextIO, named: Iterable[Path]) -> frozenset[Path]:
    """Add files that are not there yet to those of a mark; gives the ones it had."""
    with storage_errors(mark.name):
        mark.seek(0)
        before = frozenset(Path(line) for line in mark.read().splitlines())
        mark.writelines(f"{each.absolute()}\n" for each in named if not each.exists())
        mark.flush()
    return before


def _is_free(folder: Path, products: Iterable[str]) -> bool:
    """Whether nothing there has the name of a product; an empty folder is nothing."""
    there = [folder / name for name in products if (folder / name).exists()]
    return not any(path.is_file() or any(path.iterdir()) for path in there)
