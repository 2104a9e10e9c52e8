"""Releases of the joint solution as files: ``release.json``."""

from __future__ import annotations

import json
from pathlib import Path

from hapdask.astrometry.solution.release import Release
from hapdask.errors import InputError, StoreError
from hapdask.products.objects import storage_errors
from hapdask.products.side_file import appearing

NAME = "release.json"


def read_release(given: Release | str | Path | None) -> Release | None:
    """Take a release, or read the file of one, or that in a folder.

    Raises
    ------
    InputError
        If the file cannot be read, or is none.
    """
    if given is None or isinstance(given, Release):
        return given
    path = Path(given)
    path = path / NAME if path.is_dir() else path
    try:
        return Release.from_dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, StoreError) as error:
        raise InputError(
            str(path),
            f"this is no release of a joint solution: {error}",
            remedy=f"give a folder of hapdask align, or its {NAME}",
        ) from error


def write_release(release: Release, folder: Path, *, overwrite: bool) -> Path:
    """Write ``release.json``; StoreError if it is there already or the disk fails."""
    path = folder / NAME
    text = json.dumps(release.to_dict(), sort_keys=True, allow_nan=False)
    with appearing(path, overwrite=overwrite) as out, storage_errors(str(path)):
        out.write(text.encode("utf-8"))
    return path
