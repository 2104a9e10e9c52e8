"""Files of an alignment: verdicts, headers, shifts, catalogs, pictures.

In the order in which they are of use: what fails late leaves what came before whole.  Inputs are
changed only where ``in_place`` says so, at the very end.  Not here: what inputs get back
(`returning`), the report (`report`), what a killed run left (`unfinished`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hapdask.config.tweakreg import TweakRegParameters
from hapdask.drizzling.output_frame import output_frame
from hapdask.errors import PlanError
from hapdask.products.objects import storage_errors
from hapdask.products.side_file import appearing, refuse_existing
from hapdask.products.solutions.files import headerlet_name
from hapdask.products.tweakreg.shifts import shift_of, write_shifts
from hapdask.recipes.alignment.catalogs import write_catalogs
from hapdask.recipes.alignment.drawing import write_pictures
from hapdask.recipes.alignment.earlier import FILES, names_of, remove_earlier, told_files
from hapdask.recipes.alignment.matches import Frames
from hapdask.recipes.alignment.plain import json_text
from hapdask.recipes.alignment.releases import NAME as RELEASE
from hapdask.recipes.alignment.releases import write_release
from hapdask.recipes.alignment.returning import (
    Back,
    update_in_place,
    write_headerlets,
    write_updated,
)
from hapdask.recipes.alignment.unfinished import is_unfinished, unfinished
from hapdask.recipes.reporting import LeftOut, timed

if TYPE_CHECKING:
    from hapdask.recipes.alignment.result import Aligned, Alignment

log = logging.getLogger(__name__)

Writer = Callable[..., list[Path]]

#: Names of files, and of folders below that of the products.
VERDICTS, ALIGNMENT = "verdicts.ecsv", "alignment.json"
HEADERLETS, UPDATED, CATALOGS, PLOTS = "headerlets", "updated", "catalogs", "plots"
PRODUCTS = (VERDICTS, ALIGNMENT, RELEASE, HEADERLETS, UPDATED, CATALOGS, PLOTS)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, in order, and exposures of which something could not be.

    Attributes
    ----------
    files : tuple of Path
    updated : tuple of Path
        Inputs that were changed in place.
    failures : tuple of LeftOut
    notes : tuple of str
    """

    files: tuple[Path, ...]
    updated: tuple[Path, ...] = ()
    failures: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


def write_alignment(
    alignment: Alignment, out: str | Path, *, in_place: bool = False, overwrite: bool = False
) -> Written:
    """Write what an alignment found.

    Parameters
    ----------
    alignment : Alignment
        Its parameters say what is written: ``headerlet``, ``updatehdr``, ``shiftfile``,
        ``writecat``, ``clean``, ``residplot``, ``see2dplot``.
    out : path
        Folder, made if need be.
    in_place : bool
        Put the new WCSs into the inputs themselves, each at once or not at all.
    overwrite : bool
        Replace files that are there; those of an alignment that was killed are replaced anyway.

    Raises
    ------
    StoreError
        If something is there already and may not be replaced, or cannot be written.
    InputError
        With ``in_place``, if an input was changed meanwhile.
    """
    folder, work = Path(out), _Work(alignment, overwrite)
    with timed(alignment.seconds, "write"):
        with storage_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
        refuse_existing_products(folder, overwrite=overwrite)
        updated: tuple[Path, ...] = ()
        shifts = work.shift_files(folder)
        with unfinished(folder, PRODUCTS, shifts, overwrite=overwrite) as left:
            work.go_on(folder, left)
            work.write_headers(folder, in_place=in_place)
            work.write_figures(folder)
            work.write_verdicts(folder)
            if in_place:
                updated = update_in_place(alignment, work.options)
    return Written(tuple(work.files), updated, tuple(work.failures), tuple(work.notes))


def refuse_existing_products(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds an alignment, before time is spent; StoreError."""
    refuse_existing(folder / ALIGNMENT, overwrite=overwrite or is_unfinished(folder))


class _Work:
    """One call of `write_alignment`."""

    def __init__(self, alignment: Alignment, overwrite: bool) -> None:
        self.alignment, self.overwrite = alignment, overwrite
        self.overwrite_shifts = overwrite
        self.files: list[Path] = []
        self.earlier: frozenset[Path] = frozenset()
        self.failures: list[LeftOut] = []
        self.notes: list[str] = []
        self.frames = Frames(alignment)

    @property
    def options(self) -> TweakRegParameters:
        """Those of the first detector."""
        return next(iter(self.alignment.resolved.values())).options

    def shift_files(self, folder: Path) -> tuple[Path, Path]:
        """Give the paths of the shift file and of its WCS, which the user names."""
        names = self.options.shifts
        return folder / names.outshifts, folder / names.outwcs

    def go_on(self, folder: Path, left: frozenset[Path] | None) -> None:
        """Begin to write, over what an unfinished run left where there was one."""
        if left is not None:
            ours = (
                path.absolute() in left or not path.exists() for path in self.shift_files(folder)
            )
            self.overwrite_shifts |= all(ours)
            self.overwrite = True
        if self.overwrite:  # it told that all was there
            self.earlier = told_files(folder / ALIGNMENT)
            with storage_errors(str(folder / ALIGNMENT)):
                (folder / ALIGNMENT).unlink(missing_ok=True)

    def _remove_stale(self, folder: Path) -> None:
        """Remove headerlets and copies of an earlier run, of exposures that have no new ones."""
        mine = sorted({url for e in self.alignment for url in e.opened.files})
        names = [PurePosixPath(url).name for url in mine]
        names += [PurePosixPath(item.file).name for item in self.alignment.left_out]
        inputs = {Path(url).absolute() for url in mine}
        for name in dict.fromkeys(names):
            letter = folder / HEADERLETS / headerlet_name(name)
            for path in (letter, folder / UPDATED / name.removesuffix(".gz")):
                if path not in self.files and path.absolute() not in inputs and path.is_file():
                    log.warning("removing %s, of an earlier alignment", path)
                    with storage_errors(str(path)):
                        path.unlink()

    def write_headers(self, folder: Path, *, in_place: bool) -> None:
        """Write headerlets, copies of the inputs, and the release of the joint solution."""
        options = self.options
        if options.headerlet.headerlet:
            self._take(write_headerlets, folder / HEADERLETS)
        if options.header.updatehdr and not in_place:
            self._take(write_updated, folder / UPDATED)
        if self.overwrite:
            self._remove_stale(folder)
        if self.alignment.release is not None:
            self.files.append(
                write_release(self.alignment.release, folder, overwrite=self.overwrite)
            )

    def _take(self, write: Callable[..., Back], folder: Path) -> None:
        done = write(self.alignment, self.options, folder, overwrite=self.overwrite)
        self.files += done.files
        self.failures += done.failures

    def write_figures(self, folder: Path) -> None:
        """Write the shift file, TweakReg's catalogs and the pictures."""
        options = self.options
        if options.shifts.shiftfile:
            self._write_shifts(folder)
        self._write_in(folder / CATALOGS, write_catalogs)
        self._write_in(folder / PLOTS, write_pictures)

    def _write_in(self, folder: Path, write: Writer) -> None:
        with storage_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
        self.files += write(self.alignment, self.frames, folder, overwrite=self.overwrite)
        if not any(folder.iterdir()):
            folder.rmdir()

    def _write_shifts(self, folder: Path) -> None:
        exposures = list(self.alignment)
        try:
            frame = output_frame([e.opened for e in exposures])
        except PlanError as error:
            self.notes.append(f"no shift file: {error}")
            return
        shifts = [
            shift_of(
                Path(e.opened.url).name,
                e.placement.correction,
                frame,
                _rms_pixels(e, frame.pixel_scale),
            )
            for e in exposures
        ]
        paths = self.shift_files(folder)
        self.files += write_shifts(shifts, frame, *paths, overwrite=self.overwrite_shifts)

    def write_verdicts(self, folder: Path) -> None:
        """Write the verdicts as a table, and all that is known as JSON, last."""
        inputs = [url for e in self.alignment for url in e.opened.files]
        inputs += [item.file for item in self.alignment.left_out]
        last = [folder / VERDICTS, folder / ALIGNMENT]
        remove_earlier(self.earlier, [*self.files, *last, *map(Path, inputs)])
        buffer = _ecsv(self.alignment)
        content = self.alignment.to_dict() | {FILES: names_of([*self.files, *last], folder)}
        for told, exposure in zip(content["exposures"], self.alignment, strict=True):
            told["residuals"] = self.frames.residual_map(exposure)
        text = json_text(content) + "\n"
        for name, body in ((VERDICTS, buffer), (ALIGNMENT, text)):
            path = folder / name
            with appearing(path, overwrite=self.overwrite) as file, storage_errors(str(path)):
                file.write(body.encode("utf-8"))
            self.files.append(path)


def _ecsv(alignment: Alignment) -> str:
    import io

    buffer = io.StringIO()
    alignment.verdicts.write(buffer, format="ascii.ecsv")
    return buffer.getvalue()


def _rms_pixels(exposure: Aligned, scale: float) -> tuple[float, float]:
    """Residuals of an exposure along each axis, pixels; 0 where there are none."""
    facts = exposure.facts
    if facts is None or facts.rms_mas is None:
        return 0.0, 0.0
    return facts.rms_mas[0] / 1000.0 / scale, facts.rms_mas[1] / 1000.0 / scale
