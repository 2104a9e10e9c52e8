"""Files that appear under their name only when they are whole.

What lives here: writing beside and renaming. Nothing about what is written.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside its place, then rename it.

    Parameters
    ----------
    path : Path
        Where the file goes; an old one is replaced.
    write : callable
        Given a binary stream, writes the content.
    """
    mark = f"{os.getpid()}-{threading.get_ident()}"
    part = path.with_name(f".{path.name}.{mark}.part")
    try:
        with part.open("wb") as stream:
            write(stream)
        part.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
