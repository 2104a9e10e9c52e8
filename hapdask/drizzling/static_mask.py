"""Static masks: detector pixels that lie far below the sky, as bad dark frames leave them.

AstroDrizzle's: a pixel below mode - sigma * stddev of its chip in any exposure is bad in all
exposures of the same product, size and chip.  Neither flags nor sky enter, and high pixels are
never masked.  Exposures are read one chip at a time.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.kernels.image_statistics import Clipping, clip, mode, whole
from hapdask.observe.masking.sources import PathLike
from hapdask.observe.masks import SUFFIX, mask_folder, mask_hashes, write_mask
from hapdask.observe.parts import ChipRecord, MaskRef
from hapdask.observe.pixels import read_chip_rows
from hapdask.observe.record import ExposureRecord

log = logging.getLogger(__name__)

KIND = "static"
_CLIPPING = Clipping(iterations=3, lower_sigma=3.0, upper_sigma=3.0)
_BINWIDTH = 0.1


class Signature(NamedTuple):
    """What exposures must have in common to share a mask: product root, (ny, nx), EXTVER."""

    root: str
    shape: tuple[int, int]
    extver: int


@dataclass(frozen=True)
class StaticMasks:
    """The masks of some exposures.

    Attributes
    ----------
    bad : mapping of Signature to ndarray of bool, shape (ny, nx)
        True = bad.
    failures : tuple of InputError
        Exposures that could not be read; nothing of theirs is in the masks.
    left_out : tuple of str
        Names of those exposures.
    """

    bad: Mapping[Signature, NDArray[np.bool_]]
    failures: tuple[InputError, ...] = ()
    left_out: tuple[str, ...] = ()


def low_pixels(sci: NDArray[np.float32], sigma: float = 4.0) -> NDArray[np.bool_] | None:
    """Find the pixels far below the mode.

    Parameters
    ----------
    sci : ndarray of float32, shape (ny, nx)
        As in the file.
    sigma : float
        Distance from the mode, in standard deviations of what clipping leaves.

    Returns
    -------
    ndarray of bool, shape (ny, nx), or None
        None where the values are too alike, or all of them not finite, to tell.

    Notes
    -----
    ImageStats with its quirks, 3 clippings at 3 sigma, bins of 0.1 sigma.
    Source: drizzlepac 3.11.0, staticMask.
    """
    if sci.size == 0:
        return None
    finite, spans = np.isfinite(sci), whole((sci.shape[0], sci.shape[1]))
    clipped = clip(sci, finite, spans, _CLIPPING, upstream=True)
    peak, bins = mode(sci, finite, spans, clipped, binwidth=_BINWIDTH, upstream=True)
    if bins < 2:
        return None
    return sci < np.float32(peak - sigma * clipped.stddev)


def signature(root: str, chip: ChipRecord) -> Signature:
    """Signature of a chip of an exposure that belongs to a product."""
    return Signature(root, chip.shape, chip.extver)


def find_static_masks(
    exposures: Iterable[ExposureRecord],
    *,
    sigma: float = 4.0,
    root: Callable[[ExposureRecord], str] = lambda exposure: exposure.layer_name,
    threads: int = 1,
) -> StaticMasks:
    """Find the static masks of exposures.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
    sigma : float
        See `low_pixels`; AstroDrizzle's ``static_sig``.
    root : callable
        Names the product of an exposure: those of one product share masks.
    threads : int
        Chips that are read at the same time.

    Returns
    -------
    StaticMasks
    """
    records = list(exposures)
    bad: dict[Signature, NDArray[np.bool_]] = {}
    failures: list[InputError] = []
    left_out: list[str] = []

    def attempt(exposure: ExposureRecord) -> list[NDArray[np.uint8]] | InputError:
        try:
            return [_packed(exposure, chip, sigma) for chip in exposure.chips]
        except InputError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        for exposure, found in zip(records, pool.map(attempt, records), strict=True):
            if isinstance(found, InputError):
                log.warning("left out of static masks: %s", found)
                failures.append(found)
                left_out.append(exposure.name)
                continue
            for chip, packed in zip(exposure.chips, found, strict=True):
                key = signature(root(exposure), chip)
                bits = np.unpackbits(packed, count=chip.shape[0] * chip.shape[1])
                low = bits.reshape(chip.shape) != 0
                bad[key] = bad[key] | low if key in bad else low
    return StaticMasks(bad, tuple(failures), tuple(left_out))


def _packed(exposure: ExposureRecord, chip: ChipRecord, sigma: float) -> NDArray[np.uint8]:
    """Low pixels of a chip as bits, so that many may wait their turn."""
    bare = replace(chip, err=None, dq=None, masks=())
    low = low_pixels(read_chip_rows(exposure, bare, 0, chip.shape[0]).sci, sigma)
    if low is None:
        log.warning("%s[SCI,%d]: too alike for a static mask", exposure.url, chip.extver)
        return np.zeros(-(-chip.shape[0] * chip.shape[1] // 8), np.uint8)
    return np.packbits(low)


def attach_static_masks(
    exposures: Iterable[ExposureRecord],
    masks: StaticMasks,
    where: PathLike,
    *,
    root: Callable[[ExposureRecord], str] = lambda exposure: exposure.layer_name,
) -> tuple[ExposureRecord, ...]:
    """Write static masks once each, and give them to the exposures.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
        A static mask that they have already is replaced.
    masks : StaticMasks
    where : path
        Folder that every worker must see, made if need be.
    root : callable
        As given to `find_static_masks`.

    Raises
    ------
    StoreError
        If a mask cannot be written.
    """
    folder = mask_folder(where)
    refs = {key: _write(folder, key, bad) for key, bad in masks.bad.items() if bad.any()}
    done = []
    for exposure in exposures:
        chips = tuple(
            replace(chip, masks=tuple(m for m in chip.masks if m.kind != KIND))
            for chip in exposure.chips
        )
        record = replace(exposure, chips=chips)
        for chip in chips:
            ref = refs.get(signature(root(exposure), chip))
            record = record if ref is None else record.with_mask(chip.extver, ref)
        done.append(record)
    return tuple(done)


def _write(folder: Path, key: Signature, bad: NDArray[np.bool_]) -> MaskRef:
    """Named by its content: another mask never takes the place of one in use."""
    values = bad.view(np.uint8)
    content = hashlib.blake2b(repr((key, mask_hashes(values))).encode(), digest_size=8).hexdigest()
    return write_mask(folder / f"{KIND}_sci{key.extver}_{content}{SUFFIX}", bad, KIND)
