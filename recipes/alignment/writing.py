"""Files of an alignment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hapdask.recipes.alignment.result import Alignment


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, in order."""

    files: tuple[Path, ...]


def write_alignment(alignment: Alignment, out: str | Path, *, overwrite: bool = False) -> Written:
    """Write the files of an alignment."""
    return Written(())
