"""What the commands that make something have in common: their beginning and their end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from hapdask.cli.console import complain, plural
from hapdask.cli.exits import INTERRUPTED, PARTIAL
from hapdask.cli.groups import Wcs

if TYPE_CHECKING:
    from hapdask.observe.exposure import Exposures
    from hapdask.observe.selection import Select
    from hapdask.recipes.reporting import LeftOut

#: Warnings shown at most.
_MOST = 20

_KEPT = "finished tiles are kept, the same command goes on from there"


def open_quietly(files: Sequence[str], wcs: Wcs, *, select: Select = True) -> Exposures:
    """Open exposures by their headers."""
    from hapdask.observe.exposure import open_exposures

    return open_exposures(
        files,
        select=select,
        wcs=wcs.wcs,
        headerlets=wcs.headerlets,
        reference_files=wcs.reference_files,
    )


def open_files(files: Sequence[str], wcs: Wcs, *, select: Select = True) -> Exposures:
    """Open exposures by their headers, and say on stderr what there is."""
    exposures = open_quietly(files, wcs, select=select)
    layers = Counter(e.layer_name for e in exposures)
    listed = ", ".join(f"{count} {name}" for name, count in sorted(layers.items()))
    complain(f"{plural(len(exposures), 'exposure')}{': ' if listed else ''}{listed}")
    return exposures


@contextmanager
def resumable(hint: str = _KEPT) -> Iterator[None]:
    """Turn Ctrl-C into a hint and its exit code."""
    try:
        yield
    except KeyboardInterrupt:
        complain(f"interrupted: {hint}")
        raise typer.Exit(INTERRUPTED) from None


def warn(warnings: Sequence[LeftOut]) -> None:
    """Name what was used though something speaks against it, the first of many."""
    if warnings:
        complain(f"\nwarnings: {len(warnings)}")
    for item in warnings[:_MOST]:
        complain(f"  {item.file}: {item.reason}")
    if len(warnings) > _MOST:
        complain(f"  ... and {len(warnings) - _MOST} more (all with --json, and in the report)")


def finish(left_out: Sequence[LeftOut]) -> None:
    """Name the inputs that were left out; the exit code tells of them too."""
    if not left_out:
        return
    complain(f"\nleft out: {plural(len(left_out), 'input')}")
    for item in left_out:
        remedy = f" ({item.remedy})" if item.remedy else ""
        complain(f"  {item.file or 'a tile'}: {item.reason}{remedy}")
    raise typer.Exit(PARTIAL)
