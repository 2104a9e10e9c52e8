"""`MosaicStore`: one group of a working store, written tile by tile and safe against kill -9.

Strategy: a manifest says what each tile should be before any is touched; a tile's old receipt
goes before its chunks are written, and its new one comes after; a tile is finished when receipt
and manifest name one digest. Whatever moment a writer dies at, nothing half-written looks
finished, and the next run repeats just what is not. (Against loss of power the store promises
no more than the file system does.) Not here: reading as a Dataset (`reader`).
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hapdask.drizzling.palette import Palette
from hapdask.errors import StoreError
from hapdask.products import lock
from hapdask.products.group import create_group, find_mosaics, open_array, read_layout
from hapdask.products.layout import CHUNK, LayerLike, Layout, group_name, layer_tuple
from hapdask.products.objects import Objects, clean_url, storage_errors
from hapdask.products.palettes import palette_from_bytes, palette_to_bytes
from hapdask.products.provenance import RECEIPTS, write_records
from hapdask.products.receipts import Index, Manifest, Receipt, Run
from hapdask.schema import ALL, VARIABLES
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from hapdask.observe.record import ExposureRecord

log = logging.getLogger(__name__)

_LOCK = f"{RECEIPTS}/writer.lock"
_MANIFEST = f"{RECEIPTS}/run.json"


class MosaicStore:
    """A layer of a projection cell, or of a custom frame, on disk.

    Make one with `create_or_open` or `open`. The coordinator calls `begin`, workers call
    `write_tile` on pickled copies of the store (two processes may write different tiles at
    once), the coordinator calls `end`; or `close` to leave the run unfinished. Leaving a
    ``with`` block closes.

    Attributes
    ----------
    url : str
        Path or URL of the group.
    layout : Layout
        Frame, layer, tiles and variables of the group.
    """

    def __init__(self, url: str, layout: Layout) -> None:
        self.url = url
        self.layout = layout
        self._objects = Objects(url)
        self._token = ""
        self._run: Run | None = None
        self._planned: dict[Index, str] = {}
        self._idle = False
        self._release: weakref.finalize[..., MosaicStore] | None = None

    @classmethod
    def create_or_open(
        cls,
        path: str | os.PathLike[str],
        root_frame: Frame,
        layer: LayerLike,
        tile: int = 2 * CHUNK,
        *,
        place: str | None = None,
        variables: Sequence[str] = ALL,
        chunk: int | None = None,
        flux_unit: str = "electron / s",
    ) -> MosaicStore:
        """Open the group of a layer below ``path``, or create it.

        Parameters
        ----------
        path : str or path-like
            Root of the store: a directory, or a URL that fsspec understands.
        root_frame : Frame
            The whole frame of the projection cell and scale, or a custom frame.
        layer : LayerLike
            Instrument, detector, filter and scale.
        tile : int, default 2048
            Side of a tile, pixels.
        place : str, optional
            ``"p1889"`` or ``"custom/<name>"``; the name of the frame where not given.
        variables : sequence of str, default all
            Variables to store.
        chunk : int, optional
            Side of a chunk; 1024, or the tile if that is smaller.
        flux_unit : str, default "electron / s"
            Unit of `sci` and `err`.

        Raises
        ------
        StoreError
            The group exists with another layout, or the path cannot be written.
        """
        words = layer_tuple(layer)
        layout = Layout(
            root_frame,
            words,
            tile,
            min(CHUNK, tile) if chunk is None else chunk,
            tuple(variables),
            flux_unit,
        )
        url = f"{clean_url(path)}/{group_name(place or root_frame.name, words)}"
        create_group(url, layout, [RECEIPTS])
        return cls(url, layout)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> MosaicStore:
        """Open an existing group.

        Raises
        ------
        StoreError
            There is no such group.
        """
        url = clean_url(path)
        layout = read_layout(url)
        if layout is None:
            found = ", ".join(find_mosaics(url)[:5]) or "none below it"
            raise StoreError(f"{url} is not the mosaic of one layer (mosaics here: {found})")
        return cls(url, layout)

    # The coordinator

    def begin(
        self,
        planned: Mapping[Index, str],
        region: Frame,
        *,
        about: Mapping[str, Any] | None = None,
        records: Iterable[ExposureRecord] = (),
    ) -> None:
        """Begin a run: take the lock, publish the plan, drop tiles that lost all inputs.

        Nothing is written if every planned tile is finished already.

        Parameters
        ----------
        planned : mapping of (ty, tx) to str
            Digest of every tile of the region that has inputs.
        region : Frame
            The window of the root frame that is planned; only its tiles may be dropped.
        about : mapping, optional
            Plain JSON facts of the run (parameters, versions), given back by `open_mosaic`.
        records : iterable of ExposureRecord, optional
            Records of the inputs, given back by `open_mosaic` too.

        Raises
        ------
        StoreError
            Somebody else is writing here, or a planned tile is outside the frame.
        """
        if self._run is not None:
            raise StoreError(f"{self.url}: this store is in a run already (end or close it)")
        box = (region & self.layout.frame).box
        if box[0] == box[1]:
            raise StoreError(f"{self.url}: the region {region.box} is outside the store's frame")
        for index in planned:
            if not _overlap(self.layout.tile_frame(index).box, box):
                raise StoreError(f"{self.url}: planned tile {index} is outside the region {box}")
        holder = lock.acquire(self._objects, _LOCK)
        self._release = weakref.finalize(self, lock.release, self._objects, _LOCK, holder)
        self._token = holder.token
        with ExitStack() as undo:
            undo.callback(self.close)  # also when it is interrupted: no lock stays behind
            write_records(self._objects, records)
            self._publish(Run(box, False, dict(about or {})), dict(planned))
            undo.pop_all()

    def end(self) -> None:
        """Mark the run as finished and give up the lock.

        Raises
        ------
        StoreError
            Planned tiles are not finished; the run stays unfinished, the lock is given up.
        """
        run = self._active_run()
        try:
            missing = [i for i, digest in self._planned.items() if not self.finished(i, digest)]
            if missing:
                raise StoreError(
                    f"{self.url}: {len(missing)} of {len(self._planned)} planned tiles are not "
                    f"finished, for example {missing[0]} (run again: finished tiles are kept)"
                )
            if not self._idle:
                self._check_token()
                manifest = self.manifest().finish(run.box)
                self._objects.put(_MANIFEST, manifest.to_bytes())
        finally:
            self.close()

    def close(self) -> None:
        """Give up the lock; a run that was not ended stays unfinished."""
        if self._release is not None:
            self._release()
        self._release, self._run, self._token, self._planned = None, None, "", {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Tiles

    def write_tile(
        self,
        index: Index,
        frame: Frame,
        planes: Iterable[tuple[str, np.ndarray[Any, Any]]],
        receipt: Mapping[str, Any],
    ) -> None:
        """Write the planes of a tile, one by one, then its receipt.

        Parameters
        ----------
        index : (ty, tx)
            The tile.
        frame : Frame
            Pixels of the planes: the whole tile, or all of it that is inside the root frame.
        planes : iterable of (name, ndarray)
            Arrays of shape ``frame.shape``, every variable of the store once; consumed one at
            a time, so that a generator never holds more than one.
        receipt : mapping
            ``digest``, ``inputs``, ``statistics``, ``algorithm``: see `Receipt`; and
            ``palette``, the chips behind every key of `ctx`: see `hapdask.drizzling.palette`.

        Raises
        ------
        StoreError
            Outside a run, a frame or planes that do not fit, or a disk that is full or
            unwritable. The tile is then not finished.
        """
        parts = dict(receipt)
        palette = Palette.from_mapping(parts.pop("palette", {}))
        note = Receipt.from_parts(index, parts)
        part = self.layout.part(index, frame)
        self._check_token()
        self._objects.delete(_receipt_name(index))
        missing = set(self.layout.variables)
        for name, plane in planes:
            if name not in missing:
                raise StoreError(f"{self.url}: plane {name!r} is unknown or given twice")
            self._write_plane(index, name, plane, part)
            missing.discard(name)
        if missing:
            raise StoreError(f"{self.url}: tile {index} lacks planes {sorted(missing)}")
        self._objects.put(_palette_name(index), palette_to_bytes(palette))
        self._check_token()
        self._objects.put(_receipt_name(index), note.to_bytes())

    def discard(self, index: Index) -> None:
        """Empty a tile: its receipt goes first, then its chunks."""
        self._check_token()
        rows, columns = self.layout.slices(index)
        self._objects.delete(_receipt_name(index))
        self._objects.delete(_palette_name(index))
        with storage_errors(self.url):
            for name in self.layout.variables:
                # zarr removes the chunks that hold nothing but the fill value.
                array = open_array(self.url, name, writable=True)
                array[rows, columns] = VARIABLES[name].fill

    def receipt(self, index: Index) -> Receipt | None:
        """Receipt of a tile; None if it has none, or a damaged one."""
        data = self._objects.get(_receipt_name(index))
        return None if data is None else Receipt.from_bytes(data)

    def finished(self, index: Index, digest: str) -> bool:
        """Whether the tile is stored as planned under that digest."""
        receipt = self.receipt(index)
        return receipt is not None and receipt.digest == digest

    def palette(self, index: Index) -> Palette | None:
        """Chips behind the keys of `ctx` in a tile; None if it has no data."""
        name = _palette_name(index)
        data = self._objects.get(name)
        return None if data is None else palette_from_bytes(data, f"{self.url}/{name}")

    def input_names(self, index: Index) -> list[str]:
        """Names of the exposures that a tile was made from, sorted."""
        receipt = self.receipt(index)
        return [] if receipt is None else sorted({name for name, _ in receipt.inputs})

    def manifest(self) -> Manifest:
        """Read what the tiles of this group should be; empty before the first run."""
        data = self._objects.get(_MANIFEST)
        if data is None:
            return Manifest()
        return Manifest.from_bytes(data, f"{self.url}/{_MANIFEST}")

    def __reduce__(self) -> tuple[object, ...]:
        # A copy may write tiles of the run, but cannot end it.
        return (_rebuild, (self.url, self.layout, self._token))

    def __repr__(self) -> str:
        return f"MosaicStore({self.url!r})"

    # Parts

    def _publish(self, run: Run, planned: dict[Index, str]) -> None:
        """Bring the manifest to the new plan; what is dropped is emptied before."""
        old = self.manifest()
        lost = [
            index
            for index in old.planned
            if index not in planned and _overlap(self.layout.tile_frame(index).box, run.box)
        ]
        new = old.with_run(run, planned, lost)
        self._run, self._planned = run, planned
        self._idle = (
            not lost
            and new.finish(run.box).to_bytes() == old.to_bytes()
            and all(self.finished(index, digest) for index, digest in planned.items())
        )
        if self._idle:
            return
        self._remove_partials(run)
        for index in lost:
            log.info("%s: tile %s lost all its inputs", self.url, index)
            self.discard(index)
        self._objects.put(_MANIFEST, new.to_bytes())

    def _remove_partials(self, run: Run) -> None:
        """Remove temporary files that killed writers left among the chunks of this region."""
        count = self._objects.remove_partials(RECEIPTS)
        rows = self.layout.chunk_rows(run.box[0], run.box[1])
        for name in self.layout.variables:
            for row in rows:
                count += self._objects.remove_partials(f"{name}/c/{row}")
        if count:
            log.info("%s: removed %d files of a killed writer", self.url, count)

    def _write_plane(
        self, index: Index, name: str, plane: np.ndarray[Any, Any], part: tuple[slice, slice]
    ) -> None:
        variable, side = VARIABLES[name], self.layout.tile
        shape = (part[0].stop - part[0].start, part[1].stop - part[1].start)
        if plane.shape != shape or plane.dtype != variable.dtype:
            raise StoreError(
                f"{self.url}: plane {name!r} of tile {index} is {plane.dtype} {plane.shape}, "
                f"not {variable.dtype} {shape}"
            )
        if shape != (side, side):
            # Whole chunks only: writing a part would leave what stood around it.
            whole = np.full((side, side), variable.fill, dtype=variable.dtype)
            whole[part] = plane
            plane = whole
        with storage_errors(self.url):
            open_array(self.url, name, writable=True)[self.layout.slices(index)] = plane

    def _active_run(self) -> Run:
        if self._run is None:
            raise StoreError(f"{self.url}: no run has begun here")
        return self._run

    def _check_token(self) -> None:
        if not self._token:
            raise StoreError(f"{self.url}: tiles are written between begin and end only")
        if not lock.holds(self._objects, _LOCK, self._token):
            raise StoreError(f"{self.url}: the run is over or was taken over by another process")


def _rebuild(url: str, layout: Layout, token: str) -> MosaicStore:
    store = MosaicStore(url, layout)
    store._token = token
    return store


def _receipt_name(index: Index) -> str:
    return f"{RECEIPTS}/{index[0]}_{index[1]}.json"


def _palette_name(index: Index) -> str:
    return f"{RECEIPTS}/{index[0]}_{index[1]}.palette"


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]
