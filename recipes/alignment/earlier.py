"""What an earlier alignment wrote into a folder: `alignment.json` names its files.

Where its products are replaced, those that the new one does not have go with it: catalogs and
pictures of exposures that are no longer there would pass for its own.  Files that it does not name
are somebody's.  Not here: the files (`writing`), a run that was killed (`unfinished`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from hapdask.products.objects import storage_errors

log = logging.getLogger(__name__)

FILES = "files"


def told_files(document: Path) -> frozenset[Path]:
    """Read which files an alignment's document names; none where it cannot be read.

    Parameters
    ----------
    document : Path
        Its names are relative to its folder, and lead nowhere else.
    """
    try:
        named = [PurePosixPath(str(name)) for name in json.loads(document.read_bytes())[FILES]]
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
    plain = (name for name in named if not name.is_absolute() and ".." not in name.parts)
    return frozenset(document.parent / name for name in plain)


def names_of(files: Iterable[Path], folder: Path) -> list[str]:
    """Name files as `told_files` reads them; those outside the folder are not named."""
    return sorted(f.relative_to(folder).as_posix() for f in files if f.is_relative_to(folder))


def remove_earlier(earlier: Iterable[Path], kept: Iterable[Path]) -> None:
    """Remove the files of an earlier alignment that are not to be kept, and folders left empty.

    Raises
    ------
    StoreError
        If one cannot be removed.
    """
    wanted = {path.resolve() for path in kept}
    for path in sorted(earlier):
        if path.resolve() in wanted or not path.is_file():
            continue
        log.warning("removing %s, of an earlier alignment", path)
        with storage_errors(str(path)):
            path.unlink()
        with suppress(OSError):  # something else is in it
            path.parent.rmdir()
