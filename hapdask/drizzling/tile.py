"""The leaf: one tile of one layer, from exposure records to planes.  Plain NumPy, no Dask.

`drizzle_tile` is what every executor runs; run eagerly it is the oracle of the tests.  It reads a
few rows of one chip at a time, so memory does not grow with the number of exposures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.hits import ChipHits
from hapdask.drizzling.input_sets import InputFacts, InputSets
from hapdask.drizzling.inputs import ReachingChip, block_bands
from hapdask.drizzling.palette import Palette
from hapdask.drizzling.weighting import read_pixels
from hapdask.kernels import planes as plane_kernels
from hapdask.kernels import sums
from hapdask.kernels.blocks import ChipPixels
from hapdask.kernels.drizzle import ChipGeometry, drizzle_chip
from hapdask.observe.pixels import open_chip
from hapdask.observe.record import ExposureRecord
from hapdask.schema import ALL, BASIC, VARIABLES, Variable
from hapdask.sky.frame import Frame

#: Raised whenever the bytes of a tile may change for the same inputs.
ALGORITHM = "drizzle-4"

#: Rows counted at a time.
_ROWS = 256
#: Rows of blocks that are read together: what is read stays in the processor's cache.
_BAND = 1
#: In the order of `finish_sums`.
_OF_SUMS = ("sci", "wht", "err", "noise_ratio", "epoch")


class TileSums:
    """A tile's accumulated sums, and the planes that come out of them.

    Attributes
    ----------
    frame : Frame
        The tile.
    variables : tuple of str
        The planes that can be asked for.
    """

    def __init__(self, frame: Frame, variables: Sequence[str] = ALL, *, border: int) -> None:
        self.frame, self.variables, self.border = frame, tuple(variables), border
        shape = (frame.shape[0] + 2 * border, frame.shape[1] + 2 * border)
        every_plane, epochs = _sums_for(variables)
        self._clean = sums.make_layer(shape, every_plane=every_plane, epochs=epochs)
        self._reserve = sums.make_reserve(shape, every_plane=every_plane, epochs=epochs)
        self._inputs = InputSets()
        self._sets: NDArray[np.int32] | None = None
        self._planes: dict[str, NDArray[np.floating]] = {}
        self._signed = False
        self._reached = np.tile(np.array([shape[1], 0], np.int64), (shape[0], 1))

    @property
    def every_plane(self) -> bool:
        """Whether variances are summed too."""
        return _sums_for(self.variables)[0]

    @property
    def origin(self) -> tuple[int, int]:
        """Root-grid row and column of element [0, 0] of the arrays."""
        return self.frame.origin[0] - self.border, self.frame.origin[1] - self.border

    def add_blocks(
        self, geometry: ChipGeometry, blocks: NDArray[np.int64], pixels: ChipPixels
    ) -> None:
        """Drizzle some blocks of a chip; `note_chip` follows when it has no more."""
        self._reserve = drizzle_chip(
            geometry, blocks, pixels, self.origin, self._clean, self._reserve
        )
        self._signed |= geometry.drop.signed
        self._sets, self._planes = None, {}

    def note_chip(self, boxes: NDArray[np.int64], facts: InputFacts) -> None:
        """Note a chip, of whose blocks these are the bounds, as an input."""
        ny, nx = self._clean.inputs.shape
        spans = np.empty((ny, 3), np.int64)
        sums.spans_of_blocks(boxes, self.origin, nx, spans)
        self._inputs.fold(facts, self._clean, self._reserve, spans)
        np.minimum(self._reached[:, 0], spans[:, 1], out=self._reached[:, 0])
        np.maximum(self._reached[:, 1], spans[:, 2], out=self._reached[:, 1])

    def add_chip(
        self,
        geometry: ChipGeometry,
        blocks: NDArray[np.int64],
        boxes: NDArray[np.int64],
        pixels: ChipPixels,
        facts: InputFacts,
    ) -> None:
        """Drizzle all blocks of a chip that reach the tile, and note it as an input."""
        self.add_blocks(geometry, blocks, pixels)
        self.note_chip(boxes, facts)

    @property
    def sets(self) -> NDArray[np.int32]:
        """Number of the set of inputs of every pixel, shape of the frame."""
        if self._sets is None:
            self._sets = np.zeros(self.frame.shape, np.int32)
            plane_kernels.published_inputs(
                self._clean, self._reserve, self._reached, self.border, self._signed, self._sets
            )
        return self._sets

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Key of every set, as ``ctx`` has them."""
        return self._inputs.table("ctx").astype(np.uint64)

    @property
    def palette(self) -> Palette:
        """Which inputs the keys of ``ctx`` stand for."""
        return self._inputs.palette(self.sets)

    def plane(self, name: str) -> NDArray[np.generic]:
        """Compute one variable of `hapdask.schema`, shape of the frame."""
        if name not in self.variables:
            raise KeyError(f"{name} is not among {', '.join(self.variables)}")
        if name in _OF_SUMS:
            return self._finished()[name]
        variable = VARIABLES[name]
        out = _filled(self.frame.shape, variable)
        if name == "quality":
            plane_kernels.published_quality(self.sets, self._clean, self._reserve, self.border, out)
            return out
        table = self._inputs.table(name).astype(variable.dtype)
        plane_kernels.look_up(self.sets, self._reached, self.border, table, out)
        return out

    def _finished(self) -> dict[str, NDArray[np.floating]]:
        """Every plane that is a function of the sums: reading these takes longest, so once."""
        if not self._planes:
            shapes = {
                name: self.frame.shape if name in (*BASIC, *self.variables) else (0, 0)
                for name in _OF_SUMS
            }
            self._planes = {name: _filled(shape, VARIABLES[name]) for name, shape in shapes.items()}
            plane_kernels.finish_sums(
                self._clean,
                self._reserve,
                self._reached,
                self.border,
                *(self._planes[name] for name in _OF_SUMS),
            )
        return self._planes

    def statistics(self) -> dict[str, Any]:
        """Figures of the tile for its receipt.

        Returns
        -------
        dict
            ``covered`` pixels, ``mean_wht``, ``max_nexp`` of the deepest one, and ``depth``:
            pairs of a number of exposures and the pixels that have so many.
        """
        weight, depth = self._finished()["wht"], self._inputs.table("nexp").astype(np.int64)
        pixels = np.zeros(depth.size, np.int64)
        for start in range(0, self.frame.shape[0], _ROWS):  # bincount makes wide copies
            rows = self.sets[start : start + _ROWS].ravel()
            pixels += np.bincount(rows, minlength=depth.size)
        by_depth = np.bincount(depth[1:], pixels[1:]).astype(np.int64)
        covered = int(by_depth.sum())
        return {
            "covered": covered,
            "mean_wht": float(weight.sum(dtype=np.float64)) / covered if covered else 0.0,
            "max_nexp": int(np.flatnonzero(by_depth).max(initial=0)),
            "depth": [[int(n), int(by_depth[n])] for n in np.flatnonzero(by_depth)],
        }

    def planes(self) -> Iterator[tuple[str, NDArray[np.generic]]]:
        """Every variable, one at a time."""
        for name in self.variables:
            yield name, self.plane(name)


def _sums_for(variables: Collection[str]) -> tuple[bool, bool]:
    """Whether variances are summed for some variables, and whether epochs are."""
    return not {"err", "noise_ratio"}.isdisjoint(variables), "epoch" in variables


def pixel_bytes(variables: Collection[str]) -> int:
    """Bytes that a tile and all its planes take for each pixel."""
    every_plane, epochs = _sums_for(variables)
    sums_bytes = 8 * (4 if every_plane else 2) + 8 + 8 * epochs + 4 + 4
    return sums_bytes + 4 + sum(VARIABLES[name].dtype.itemsize for name in variables)


def _filled(shape: tuple[int, int], variable: Variable) -> NDArray[Any]:
    """Make an empty plane; zeros cost nothing before they are touched."""
    if variable.fill == 0.0:
        return np.zeros(shape, variable.dtype)
    return np.full(shape, variable.fill, variable.dtype)


def drizzle_tile(
    exposures: Iterable[ExposureRecord],
    frame: Frame,
    parameters: DrizzleParameters,
    variables: Sequence[str] = ALL,
    rejected: Iterable[ChipHits] = (),
) -> TileSums:
    """Drizzle exposures onto one tile.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
        In the plan's order (`hapdask.drizzling.plan.sort_exposures`); those that miss the tile
        change nothing.
    frame : Frame
        The tile, or any other window: a pixel's bits do not depend on it.
    parameters : DrizzleParameters
    variables : sequence of str
        Planes that will be asked for.
    rejected : iterable of ChipHits
        Bad pixels that no mask of the records holds.

    Returns
    -------
    TileSums

    Raises
    ------
    InputError
        Where an input cannot be read.
    """
    reaching = [
        found
        for exposure in exposures
        for chip in exposure.chips
        if (found := ReachingChip.find(exposure, chip, frame, parameters)) is not None
    ]
    border = max((found.patch for found in reaching), default=0)
    tile = TileSums(frame, variables, border=border)
    hits: dict[tuple[str, int], list[NDArray[np.integer]]] = defaultdict(list)
    for hit in rejected:
        hits[hit.name, hit.extver].append(hit.pixels)
    for found in reaching:
        exposure, chip = found.exposure, found.chip
        geometry = found.geometry()
        with open_chip(exposure, chip) as reader:
            bands = [found.blocks] if reader.remote else block_bands(found.blocks, _BAND)
            for blocks in bands:
                pixels = read_pixels(
                    reader, found, blocks, frame, parameters, errors=tile.every_plane
                )
                _leave_out(pixels, chip.shape[1], hits[exposure.name, chip.extver])
                tile.add_blocks(geometry, blocks, pixels)
        facts = InputFacts(exposure.name, chip.extver, exposure.exptime, exposure.mid_mjd)
        tile.note_chip(found.boxes, facts)
    return tile


def _leave_out(pixels: ChipPixels, columns: int, hits: Iterable[NDArray[np.integer]]) -> None:
    """Take the weight of bad pixels, given by their place on the chip."""
    ny, nx = pixels.weight.shape
    for flat in hits:
        y, x = np.divmod(flat.astype(np.int64), columns)
        y, x = y - pixels.first_row, x - pixels.first_column
        inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
        pixels.weight[y[inside], x[inside]] = 0.0
        pixels.doubt[y[inside], x[inside]] = 0
