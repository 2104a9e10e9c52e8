"""From what a user gives to references in records: one file per chip and kind, and verdicts."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError, StoreError
from hapdask.observe.masking.arrays import ImageMask
from hapdask.observe.masking.blobs import BlobMask
from hapdask.observe.masking.regions import RegionMask
from hapdask.observe.masking.sources import (
    ChipMask,
    Maps,
    Masks,
    MaskSource,
    list_maps,
    list_sources,
)
from hapdask.observe.masks import SUFFIX, mask_hashes, write_ivm, write_mask
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import ACCEPTED, Verdict
from hapdask.observe.source import PathLike

log = logging.getLogger(__name__)

#: A mask of more than this fraction of a chip gets a warning.
MOST = 0.9


@dataclass(frozen=True)
class Attached:
    """Records with their masks, and what became of everything.

    Attributes
    ----------
    exposures : tuple of ExposureRecord
        In the order given, without those in ``failures``.
    verdicts : tuple of (str, Verdict)
        Address and verdict of every mask: a warning where it masks nothing.
    failures : tuple of InputError
        Masks that could not be read, one per exposure: it is left out, for without its mask it
        would do harm.
    left_out : tuple of str
        Names of those exposures.
    """

    exposures: tuple[ExposureRecord, ...]
    verdicts: tuple[tuple[str, Verdict], ...] = ()
    failures: tuple[InputError, ...] = ()
    left_out: tuple[str, ...] = ()


def attach_masks(
    exposures: Iterable[ExposureRecord],
    masks: Masks,
    where: PathLike,
) -> Attached:
    """Attach masks to exposures.  They hold whatever flags are accepted.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
        As opened, with their header cards.
    masks : path, MaskSource, or several
        See `MaskSource`; a path may be a pattern.
    where : path
        Folder for the masks by chip, made if need be; every worker must see it.

    Returns
    -------
    Attached

    Raises
    ------
    InputError
        If a pattern matches nothing, or a file of regions or blobs cannot be read.
    StoreError
        If a mask cannot be written.
    """
    sources = list_sources(masks)
    opened = [open_mask(source) for source in sources]
    counts: list[int | None] = [None] * len(opened)

    def attach(exposure: ExposureRecord) -> ExposureRecord:
        mine = [k for k, mask in enumerate(opened) if mask.is_for(exposure)]
        for chip in exposure.chips:
            by_kind: dict[str, NDArray[np.bool_]] = {}
            for k in mine:
                bad = opened[k].bad(exposure, chip)
                if bad is None:
                    continue
                counts[k] = (counts[k] or 0) + int(np.count_nonzero(bad))
                kind = sources[k].kind
                by_kind[kind] = by_kind[kind] | bad if kind in by_kind else bad
            for kind, bad in by_kind.items():
                exposure = _with_mask(exposure, chip, kind, bad, Path(where))
        return exposure

    done = _for_each(exposures, attach, Path(where))
    verdicts = _verdicts(sources, counts, done.failures)
    return Attached(done.exposures, verdicts, done.failures, done.left_out)


def attach_ivm(
    exposures: Iterable[ExposureRecord],
    maps: Maps,
    where: PathLike,
) -> Attached:
    """Attach inverse-variance maps to exposures, for ``weight="IVM"``.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
    maps : path or several, or mapping of rootname to path
        FITS files with one image per chip, by EXTVER, or ``.npy`` files of one chip, in
        1 / (SCI units)**2; files that are not in a mapping are named after their exposures.
        What is not a positive number weighs nothing.
    where : path
        Folder for the maps by chip, made if need be; every worker must see it.

    Returns
    -------
    Attached

    Raises
    ------
    InputError
        If a pattern matches nothing.
    StoreError
        If a map cannot be written.
    """
    sources = list_maps(maps)
    opened = [ImageMask(source) for source in sources]
    counts: list[int | None] = [None] * len(opened)

    def attach(exposure: ExposureRecord) -> ExposureRecord:
        for k, image in enumerate(opened):
            if not image.is_for(exposure):
                continue
            for chip in exposure.chips:
                values = image.values(exposure, chip)
                if values is None:
                    continue
                good = np.isfinite(values) & (values > 0)
                counts[k] = (counts[k] or 0) + int(np.count_nonzero(good))
                kept = np.where(good, values, 0).astype(np.float32)
                path = _path(exposure, chip, "ivm", kept, Path(where))
                exposure = exposure.with_ivm(chip.extver, write_ivm(path, kept))
                exposure = _warn_of_few(exposure, chip, "ivm", 1.0 - good.mean())
        return _warn_of_some(exposure)

    done = _for_each(exposures, attach, Path(where))
    verdicts = _verdicts(sources, counts, done.failures)
    return Attached(done.exposures, verdicts, done.failures, done.left_out)


def open_mask(source: MaskSource) -> ChipMask:
    """Open a mask of any kind: what is small is read now, images when a chip asks for them."""
    if source.suffix == ".reg":
        return RegionMask.open(source)
    if source.kind == "blob":
        return BlobMask.open(source)
    return ImageMask(source)


def _for_each(
    exposures: Iterable[ExposureRecord],
    attach: Callable[[ExposureRecord], ExposureRecord],
    folder: Path,
) -> Attached:
    """Go on where one exposure's mask is broken."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror}") from error
    done, failures, left_out = [], [], []
    for exposure in exposures:
        try:
            done.append(attach(exposure))
        except InputError as error:
            log.warning("%s is left out: %s", exposure.url, error)
            failures.append(error)
            left_out.append(exposure.name)
    return Attached(tuple(done), (), tuple(failures), tuple(left_out))


def _with_mask(
    exposure: ExposureRecord, chip: ChipRecord, kind: str, bad: NDArray[np.bool_], folder: Path
) -> ExposureRecord:
    if not bad.any():
        return exposure
    path = _path(exposure, chip, kind, bad.astype(np.uint8), folder)
    exposure = exposure.with_mask(chip.extver, write_mask(path, bad, kind))
    return _warn_of_few(exposure, chip, kind, float(bad.mean()))


def _warn_of_few(
    exposure: ExposureRecord, chip: ChipRecord, kind: str, fraction: float
) -> ExposureRecord:
    if fraction <= MOST:
        return exposure
    reason = f"the {kind} mask leaves {100 * (1 - fraction):.1f} % of SCI,{chip.extver}"
    return exposure.with_verdict(exposure.verdict.warned(reason))


def _warn_of_some(exposure: ExposureRecord) -> ExposureRecord:
    """Warn where some chips have maps: weights of two makings do not compare."""
    lacking = [f"SCI,{chip.extver}" for chip in exposure.chips if chip.ivm is None]
    if len(lacking) in (0, len(exposure.chips)):
        return exposure
    reason = f"no inverse-variance map for {', '.join(lacking)}: weighed by its own background"
    return exposure.with_verdict(exposure.verdict.warned(reason))


def _path(
    exposure: ExposureRecord,
    chip: ChipRecord,
    kind: str,
    values: NDArray[np.generic],
    folder: Path,
) -> Path:
    """Name a file by its content: another mask never takes the place of one in use."""
    content = hashlib.blake2b(repr(mask_hashes(values)).encode(), digest_size=6).hexdigest()
    return folder / f"{exposure.name}_sci{chip.extver}_{kind}_{content}{SUFFIX}"


def _verdicts(
    sources: Iterable[MaskSource], counts: Iterable[int | None], failures: Iterable[InputError]
) -> tuple[tuple[str, Verdict], ...]:
    found = []
    broken = {error.path: error.problem for error in failures}
    for source, count in zip(sources, counts, strict=True):
        verdict = ACCEPTED
        if source.url in broken:
            verdict = Verdict("rejected", broken[source.url])
        elif count is None:
            verdict = ACCEPTED.warned("matches no exposure")
        elif count == 0:
            verdict = ACCEPTED.warned("has no effect on any pixel")
        if verdict.reason:
            log.warning("%s: %s", source.url, verdict.reason)
        found.append((source.url, verdict))
    return tuple(found)
