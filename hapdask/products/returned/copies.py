"""What inputs get back: copies with the cosmic rays, the skies and the WCSs that were found.

AstroDrizzle and TweakReg write into their inputs; nothing here does, unless it is asked to in so
many words (`update_inputs`).  A copy differs from its input in what was found and in the checksums
of these HDUs alone.  Not here: how a file is copied (`hdus`), what changes in it (`collected`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from hapdask.errors import InputError, StoreError
from hapdask.observe.record import ExposureRecord
from hapdask.products.names import inside
from hapdask.products.returned.collected import Found, changes_by_file
from hapdask.products.returned.flags import FlagChange
from hapdask.products.returned.hdus import Change, Changes, Values, copy_changed
from hapdask.products.steps.names import clean_path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies that were written, and inputs that could not be read."""

    paths: tuple[Path, ...]
    failures: tuple[InputError, ...] = ()


def write_copies(
    exposures: Iterable[ExposureRecord],
    folder: str | os.PathLike[str],
    change: FlagChange | None,
    *,
    solutions: Found | None = None,
    more: Mapping[str, Changes] | None = None,
    names: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Copies:
    """Write updated copies of the files of exposures.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
        With the masks and skies of the run.  Of several in one file (STIS) one copy is made; a
        companion that holds flags (WFPC2's c1m) is copied too.
    folder : path
        Made when missing; not the folder of an input.
    change : FlagChange or None
        Which bits are set and cleared; None where neither flags nor skies are given back.
    solutions : Found, optional
        What is known of the exposures' new WCSs, which are those of the records.
    more : mapping of str to Changes, optional
        What else changes, by the address of the file.
    names : mapping of str to str, optional
        Plain names of the copies, by the address of the file; their own if absent.
    overwrite : bool
        Whether copies that are there may be replaced.

    Returns
    -------
    Copies
        An input that cannot be read does not keep the others from being copied.

    Raises
    ------
    StoreError
        If a copy would be the input itself, is there already, or cannot be written.
    """
    target = Path(folder)
    by_file, failures = changes_by_file(exposures, change, solutions)
    for url, changes in (more or {}).items():
        by_file[url] = by_file[url] | changes if url in by_file else changes
    given = names or {}
    paths = {
        url: inside(target, given[url]) if url in given else target / _plain_name(url)
        for url in by_file
    }
    _check_targets(paths)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for url, path in paths.items():
        try:
            copy_changed(url, path, by_file[url], overwrite=overwrite)
            written.append(path)
        except InputError as error:
            log.warning("no copy: %s", error)
            failures.append(error)
    return Copies(tuple(written), tuple(failures))


def update_inputs(
    exposures: Iterable[ExposureRecord],
    change: FlagChange | None,
    *,
    solutions: Found | None = None,
) -> tuple[Path, ...]:
    """Update the files of exposures themselves, as TweakReg and AstroDrizzle do.

    All changes are worked out before any file is written.  Each file is written beside itself,
    synced and renamed: it is the old one or the new one, whenever the process is killed.  The
    records are those of the old files; open the files again.

    Parameters
    ----------
    exposures, change, solutions
        As for `write_copies`.

    Returns
    -------
    tuple of Path
        Files that were updated.

    Raises
    ------
    InputError
        If an input cannot be read, or was changed after it was opened.
    StoreError
        If an input is remote, compressed, or may not be written.
    """
    by_file, failures = changes_by_file(exposures, change, solutions)
    if failures:
        raise failures[0]
    for url in by_file:
        _refuse_fixed(url)
    paths = []
    for url, changes in by_file.items():
        path = Path(os.path.realpath(url))
        copy_changed(url, path, changes, overwrite=True)
        paths.append(path)
    return tuple(paths)


def write_clean(
    exposure: ExposureRecord,
    folder: str | os.PathLike[str],
    blots: Mapping[int, npt.ArrayLike],
    change: FlagChange,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a copy of an exposure in which the median stands for cosmic rays.

    Parameters
    ----------
    exposure : ExposureRecord
        With the masks of the run.
    folder : path
        There already; the file is ``<root>_crclean.fits``.
    blots : mapping of EXTVER to array_like, shape of the chip
        The blotted median, SCI units, lazy or not.
    change : FlagChange
        DQ is its bit where a cosmic ray was, and 0 elsewhere, as AstroDrizzle has it.
    overwrite : bool

    Raises
    ------
    InputError
        If the exposure cannot be read.
    StoreError
        If the file is there already, or cannot be written.
    """
    path = clean_path(Path(folder), exposure.name)
    changes: dict[int, Change] = {}
    for chip in exposure.chips:
        bad = change.cosmic_rays(chip)
        if chip.sci is None or bad is None or chip.extver not in blots:
            continue
        changes[chip.sci.offset] = Change(values=_Cleaned(bad, blots[chip.extver]))
        if chip.dq is not None and not chip.dq.url:
            changes[chip.dq.offset] = Change(values=_Replaced(bad, change.crbit))
    _check_targets({exposure.url: path})
    whole = Changes(exposure.identity.header_hash, changes)
    copy_changed(exposure.url, path, whole, overwrite=overwrite)
    return path


@dataclass(frozen=True)
class _Cleaned:
    """Puts the blotted median where cosmic rays were."""

    bad: npt.NDArray[np.bool_]
    blot: npt.ArrayLike

    def __call__(self, sci: Values) -> Values:
        return np.where(self.bad, np.asarray(self.blot, sci.dtype), sci)


@dataclass(frozen=True)
class _Replaced:
    """Puts one flag where cosmic rays were, and nothing elsewhere."""

    bad: npt.NDArray[np.bool_]
    bit: int

    def __call__(self, flags: Values) -> Values:
        return np.where(self.bad, self.bit, 0)


def _refuse_fixed(url: str) -> None:
    """Refuse to update a file that cannot be: remote, compressed, without leave."""
    if not os.path.isfile(url):
        raise StoreError(f"{url} is not a local file (have copies written to a folder)")
    if url.lower().endswith(".gz"):
        raise StoreError(f"{url} is compressed (decompress it, or have copies written to a folder)")
    if not os.access(url, os.W_OK) or not os.access(Path(os.path.realpath(url)).parent, os.W_OK):
        raise StoreError(
            f"{url}, or its folder, may not be written (have copies written elsewhere)"
        )


def _check_targets(paths: Mapping[str, Path]) -> None:
    """Refuse to write an input, or two copies under one name."""
    taken: dict[Path, str] = {}
    for url, path in paths.items():
        if os.path.realpath(path) == os.path.realpath(url) or _same(path, url):
            raise StoreError(f"{path} is the input itself (choose another folder for copies)")
        if path in taken:
            raise StoreError(
                f"{url} and {taken[path]} would both be copied to {path} (copy them one by one, "
                "to folders of their own)"
            )
        taken[path] = url


def _same(path: Path, url: str) -> bool:
    return path.exists() and os.path.exists(url) and os.path.samefile(path, url)


def _plain_name(url: str) -> str:
    name = PurePosixPath(url.replace("\\", "/")).name
    return name[:-3] if name.lower().endswith(".gz") else name
