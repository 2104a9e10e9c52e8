"""The flags of all exposures of a run as one zarr group: ``<exposure>/sci<n>``, uint16.

Cosmic rays that the run found are set in them, as in updated copies of the inputs, of which this
is the small form.  Chunks end on the borders of detector blocks.  Not here: the flags (`flags`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hapdask.errors import InputError
from hapdask.kernels.blocks import BLOCK
from hapdask.observe.fits import decode
from hapdask.observe.parts import ChipRecord, PixelSource
from hapdask.observe.record import ExposureRecord
from hapdask.observe.source import open_source
from hapdask.products.objects import Objects, clean_url, storage_errors
from hapdask.products.returned.flags import FlagChange, Flags
from hapdask.products.side_group import whole_group

log = logging.getLogger(__name__)

#: Detector pixels of a chunk: 8 x 4 blocks.
CHUNK = (8 * BLOCK[0], 4 * BLOCK[1])


def write_dq_zarr(
    exposures: Iterable[ExposureRecord],
    path: str | os.PathLike[str],
    change: FlagChange,
    *,
    about: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the flags of exposures, with the cosmic rays of a run, as one zarr group.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
        With the masks of the run.
    path : path
        A local directory to make.
    change : FlagChange
        Which bits are set and cleared; told in the attributes.
    about : mapping, optional
        Plain data on the run (its output, its parameters), for the attribute ``run``.
    overwrite : bool

    Returns
    -------
    Path
        The directory.  An exposure whose flags cannot be read is left out, and named in the
        attribute ``left_out``.

    Raises
    ------
    StoreError
        Not a local path, something is there, or the disk is full or unwritable.
    """
    import zarr

    with whole_group(path, overwrite=overwrite) as side:
        left_out = {}
        with storage_errors(str(side)):
            store = Objects(str(side)).zarr_store(read_only=False)
            root = zarr.open_group(store, mode="w", zarr_format=3)
        for exposure in exposures:
            try:
                arrays = [(chip, flags_of(exposure, chip, change)) for chip in exposure.chips]
            except InputError as error:
                log.warning("no flags: %s", error)
                left_out[exposure.name] = str(error)
                continue
            with storage_errors(str(side)):
                group = root.require_group(exposure.name)
                group.update_attributes({"file": exposure.url})
                for chip, flags in arrays:
                    _write(group, chip, flags, change)
        with storage_errors(str(side)):
            root.update_attributes(_attributes(change, about, left_out))
    return Path(clean_url(path))


def flags_of(exposure: ExposureRecord, chip: ChipRecord, change: FlagChange) -> Flags:
    """Give the flags of a whole chip after a run; those of a chip without DQ are its cosmic rays.

    Raises
    ------
    InputError
        If the file or a mask cannot be read.
    """
    stored = np.zeros(chip.shape, np.int16) if chip.dq is None else _read(exposure, chip, chip.dq)
    return change.apply(stored, chip)


def _read(exposure: ExposureRecord, chip: ChipRecord, dq: PixelSource) -> Any:
    if dq.constant is not None:
        return np.full(chip.shape, int(dq.constant), np.int32)
    ny, nx = chip.shape
    with open_source(dq.url or exposure.url) as source:
        raw = np.empty(ny * nx * np.dtype(dq.dtype).itemsize, np.uint8)
        source.read_into(raw, dq.offset)
    return decode(raw, dq.dtype, dq.bscale, dq.bzero).reshape(ny, nx)


def _write(group: Any, chip: ChipRecord, flags: Flags, change: FlagChange) -> None:
    array = group.create_array(
        f"sci{chip.extver}",
        shape=flags.shape,
        dtype=flags.dtype,
        chunks=tuple(min(c, n) for c, n in zip(CHUNK, flags.shape, strict=True)),
        dimension_names=("y", "x"),
        fill_value=0,
        attributes={
            "long_name": "data quality flags",
            "extver": chip.extver,
            "chip": chip.chip,
            "crbit": change.crbit,
            "tested": change.sought(chip),
        },
    )
    array[:] = flags


def _attributes(
    change: FlagChange, about: Mapping[str, Any] | None, left_out: Mapping[str, str]
) -> dict[str, Any]:
    from hapdask import __version__

    return {
        "title": "data quality flags of exposures, with the cosmic rays of a run",
        "software": f"hapdask {__version__}",
        "crbit": change.crbit,
        "resetbits": change.resetbits,
        "left_out": dict(left_out),
        "run": dict(about or {}),
    }
