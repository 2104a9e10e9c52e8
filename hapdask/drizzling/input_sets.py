"""The sets of inputs of a tile while it is made.

Every output pixel points to a row of a table of sets; a chip makes at most one new set of each
(`hapdask.kernels.sums.fold`), and sets that no pixel has any more are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.drizzling.palette import Palette, input_code
from hapdask.errors import HapdaskError
from hapdask.kernels import planes, sums

#: Sets that may pile up before those without a pixel are dropped.
_ROOM = 1 << 16


@dataclass(frozen=True, slots=True)
class InputFacts:
    """What the planes need to know of one input (a chip)."""

    name: str
    extver: int
    exptime: float
    mid_mjd: float


@dataclass(frozen=True)
class _Sets:
    """Figures of every set: one row each, row 0 the empty set."""

    ctx: NDArray[np.uint64]
    bits: NDArray[np.uint8]  # (n, bytes): bit k of a row, lowest first, is input k
    nexp: NDArray[np.uint16]
    exptime: NDArray[np.float64]
    epoch_min: NDArray[np.float64]
    epoch_max: NDArray[np.float64]
    last: NDArray[np.int32]  # number of the last exposure

    @classmethod
    def empty(cls) -> _Sets:
        nan = np.full(1, np.nan)
        return cls(
            np.zeros(1, np.uint64),
            np.zeros((1, 0), np.uint8),
            np.zeros(1, np.uint16),
            np.zeros(1),
            nan,
            nan,
            np.full(1, -1, np.int32),
        )

    @property
    def size(self) -> int:
        return int(self.ctx.size)

    def take(self, rows: NDArray[np.int64]) -> _Sets:
        return _Sets(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def __add__(self, other: _Sets) -> _Sets:
        fields = self.__dataclass_fields__
        return _Sets(*(np.concatenate([getattr(s, f) for s in (self, other)]) for f in fields))

    def with_input(self, facts: InputFacts, number: int, exposure: int) -> _Sets:
        """Each set with one more input, the ``number``-th, of the ``exposure``-th exposure."""
        bits = self.bits.copy()
        bits[:, number // 8] |= np.uint8(1 << number % 8)
        # Sums count exposures, not chips.
        new = self.last != exposure
        return _Sets(
            self.ctx ^ np.uint64(input_code(facts.name, facts.extver)),
            bits,
            self.nexp + new.astype(np.uint16),
            self.exptime + np.where(new, facts.exptime, 0.0),
            np.fmin(self.epoch_min, facts.mid_mjd),
            np.fmax(self.epoch_max, facts.mid_mjd),
            np.full(self.size, exposure, np.int32),
        )

    def widened(self, n_inputs: int) -> _Sets:
        """Room for the bits of ``n_inputs``."""
        missing = -(-n_inputs // 8) - self.bits.shape[1]
        bits = np.pad(self.bits, [(0, 0), (0, missing)]) if missing > 0 else self.bits
        return _Sets(**{f: getattr(self, f) for f in self.__dataclass_fields__} | {"bits": bits})


class InputSets:
    """The sets of inputs of a tile while it is made.

    Inputs are added in a fixed order, all chips of an exposure one after another.
    """

    def __init__(self) -> None:
        self.inputs: list[InputFacts] = []
        self._sets = _Sets.empty()
        self._exposures = 0
        self._full = _ROOM

    def __len__(self) -> int:
        return self._sets.size

    def fold(
        self,
        facts: InputFacts,
        clean: sums.Layer,
        reserve: sums.Reserve,
        spans: NDArray[np.int64],
    ) -> None:
        """Note one input; ``spans`` are all pixels of the layer that it can have reached."""
        n = self._sets.size
        successor = np.full(2 * n, -1, np.int32)
        parent = np.empty(2 * n, np.int32)
        used = sums.fold_layer(clean, spans, facts.mid_mjd, successor, parent, n)
        flat = clean.sums.reshape(-1, clean.sums.shape[-1])
        used = sums.fold_reserve(reserve, flat, facts.mid_mjd, successor, parent, used)
        if not self.inputs or self.inputs[-1].name != facts.name:
            self._exposures += 1
        self.inputs.append(facts)
        number = len(self.inputs) - 1
        sets = self._sets.widened(number + 1)
        grown = sets.take(parent[n:used].astype(np.int64))
        self._sets = sets + grown.with_input(facts, number, self._exposures)
        if used > self._full:
            self._prune(clean.inputs.ravel(), reserve.inputs)

    def _prune(self, *numbers: NDArray[np.int32]) -> None:
        """Drop the sets that no pixel has any more, and number the others anew."""
        kept = np.zeros(self._sets.size, bool)
        kept[0] = True
        for plane in numbers:
            planes.mark(plane, kept)
        number = (np.cumsum(kept) - 1).astype(np.int32)
        for plane in numbers:
            planes.relabel(plane, number)
        self._sets = self._sets.take(np.flatnonzero(kept))
        self._full = 2 * self._sets.size + _ROOM

    def table(self, name: str) -> NDArray[np.generic]:
        """Value of every set for one of ctx, nexp, exptime, epoch_min, epoch_max."""
        values: NDArray[np.generic] = getattr(self._sets, name)
        return values

    def palette(self, used: NDArray[np.int32]) -> Palette:
        """Make the palette of the sets whose numbers occur in ``used``.

        Raises
        ------
        HapdaskError
            If two of the sets have one key: odds of some 1e-13 for 1000 sets.
        """
        wanted = np.zeros(self._sets.size, bool)
        planes.mark(used.ravel(), wanted)
        wanted[0] = False
        sets = self._sets.take(np.flatnonzero(wanted))
        order = np.argsort(sets.ctx)
        keys = sets.ctx[order]
        if np.any(keys[1:] == keys[:-1]) or 0 in keys[:1]:
            raise HapdaskError(
                "two sets of inputs have one 64-bit key; rename one exposure of "
                + ", ".join(sorted({i.name for i in self.inputs}))
            )
        inputs = tuple((i.name, i.extver) for i in self.inputs)
        return Palette(inputs, keys, sets.bits[order])
