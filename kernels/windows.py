"""The sums under a drop, in the processor's registers while drops follow each other.

Neighbours of a detector row overlap nearly the same output pixels: through memory every drop would
wait for what the one before it has stored.  A window is the square of sums under a drop; when
the next drop lies one pixel farther, one column is stored and one is loaded.  Each sum still
receives its drops one after the other, with the same rounding as in memory.

Lives here: windows, for one kernel's loop.  Not here: who moves them (`adding`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import config
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, register_model
from numpy.typing import NDArray

Window = NDArray[np.floating]


class _WindowType(types.Type):
    """Side x side output pixels, rows first, each a vector of its sums."""

    def __init__(self, side: int, count: int, bits: int) -> None:
        self.side, self.count, self.bits = side, count, bits
        super().__init__(name=f"Window({side}, {count}, {bits})")

    @property
    def vector(self) -> Any:
        """The sums of one pixel, for LLVM."""
        return ir.VectorType(ir.DoubleType() if self.bits == 64 else ir.FloatType(), self.count)

    @property
    def all_vectors(self) -> Any:
        """The whole window, for LLVM."""
        return ir.ArrayType(self.vector, self.side**2)


@register_model(_WindowType)
class _WindowModel(PrimitiveModel):
    def __init__(self, manager: Any, window: _WindowType) -> None:
        super().__init__(manager, window, window.all_vectors)  # type: ignore[no-untyped-call]


class _Memory:
    """Where the pixels of a window lie in flat sums, while code is generated."""

    def __init__(self, window: _WindowType, context: Any, builder: Any, kind: Any, where: Any):
        sums, self.corner, self.width = where
        self.window, self.builder = window, builder
        self.data = context.make_array(kind)(context, builder, sums).data

    def _address(self, row: int, column: int) -> Any:
        build, number = self.builder, ir.IntType(64)
        place = build.add(self.corner, build.mul(self.width, number(row)))
        place = build.add(place, number(column * self.window.count))
        return build.bitcast(build.gep(self.data, [place]), self.window.vector.as_pointer())

    def load(self, row: int, column: int) -> Any:
        return self.builder.load(self._address(row, column), align=self.window.bits // 8)

    def store(self, value: Any, row: int, column: int) -> None:
        self.builder.store(value, self._address(row, column), align=self.window.bits // 8)


def _pixels(window: _WindowType) -> Iterator[tuple[int, int, int]]:
    """Index, row and column of every pixel."""
    for e in range(window.side**2):
        yield e, e // window.side, e % window.side


def _load(typing: Any, sums: Any, corner: Any, width: Any, patch: Any, planes: Any) -> Any:
    window = _WindowType(len(patch), len(planes), sums.dtype.bitwidth)
    signature = window(sums, corner, width, patch, planes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = _Memory(window, context, builder, sums, arguments[:3])
        held = ir.Constant(window.all_vectors, ir.Undefined)
        for e, row, column in _pixels(window):
            held = builder.insert_value(held, memory.load(row, column), e)
        return held

    return signature, generate


def _store(typing: Any, window: Any, sums: Any, corner: Any, width: Any) -> Any:
    signature = types.void(window, sums, corner, width)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = _Memory(window, context, builder, sums, arguments[1:])
        for e, row, column in _pixels(window):
            memory.store(builder.extract_value(arguments[0], e), row, column)
        return context.get_dummy_value()

    return signature, generate


def _slide(typing: Any, window: Any, sums: Any, corner: Any, width: Any) -> Any:
    signature = window(window, sums, corner, width)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = _Memory(window, context, builder, sums, arguments[1:])
        held = moved = arguments[0]
        for row in range(window.side):
            memory.store(builder.extract_value(held, row * window.side), row, 0)
        for e, row, column in _pixels(window):
            if column + 1 < window.side:
                value = builder.extract_value(held, e + 1)
            else:
                value = memory.load(row, window.side)
            moved = builder.insert_value(moved, value, e)
        return moved

    return signature, generate


def _add(typing: Any, window: Any, areas: Any, first: Any, stride: Any, values: Any) -> Any:
    signature = window(window, areas, first, stride, values)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held, array, place, stride, values = arguments
        data = context.make_array(areas)(context, builder, array).data
        empty, index = ir.Constant(window.vector, ir.Undefined), ir.IntType(32)
        for e, _, _ in _pixels(window):
            area = builder.load(builder.gep(data, [place]))
            place = builder.add(place, stride)
            if areas.dtype.bitwidth > window.bits:
                area = builder.fptrunc(area, window.vector.element)
            scale = added = empty
            for k in range(window.count):
                value = builder.extract_value(values, k)
                if k == 3:
                    value = builder.fmul(area, value)
                added = builder.insert_element(added, value, index(k))
                scale = builder.insert_element(scale, area, index(k))
            product = builder.fmul(scale, added, flags=("contract",))
            after = builder.fadd(builder.extract_value(held, e), product, flags=("contract",))
            held = builder.insert_value(held, after, e)
        return held

    return signature, generate


def _places(corner: Any, width: Any, side: int, count: int) -> NDArray[np.int64]:
    rows = int(corner) + int(width) * np.arange(side)
    return rows[:, None, None] + np.arange(side * count).reshape(side, count)


def _load_plainly(
    sums: Window, corner: Any, width: Any, patch: tuple[int, ...], planes: tuple[int, ...]
) -> Window:
    """Take the sums of so many rows and columns, of so many planes each, from ``corner`` on.

    ``sums`` is flat, ``width`` numbers a row.
    """
    return sums[_places(corner, width, len(patch), len(planes))]


def _store_plainly(window: Window, sums: Window, corner: Any, width: Any) -> None:
    """Put a window back to where it was loaded."""
    sums[_places(corner, width, *window.shape[1:])] = window


def _slide_plainly(window: Window, sums: Window, corner: Any, width: Any) -> Window:
    """Put back the first column of a window at ``corner``, and load the next one to the right."""
    _store_plainly(window, sums, corner, width)
    side, count = window.shape[1:]
    return sums[_places(int(corner) + count, width, side, count)]


def _add_plainly(
    window: Window, areas: NDArray[np.float64], first: Any, stride: Any, values: tuple[Any, ...]
) -> Window:
    """Add ``area * values`` to every pixel, of four values the last with the area squared.

    The area of the first pixel is ``areas[first]``, the next ones' are ``stride`` elements apart.
    """
    found = areas[int(first) + int(stride) * np.arange(window.shape[0] ** 2)]
    area = found.astype(window.dtype).reshape(*window.shape[:2], 1)
    added = area * np.array(values, window.dtype)
    added[..., 3:] *= area
    total: Window = window + added
    return total


_COMPILED = not getattr(config, "DISABLE_JIT", 0)
#: Without the compiler (tests of coverage) the plain ones stand in.
load_window: Any = intrinsic(_load) if _COMPILED else _load_plainly
store_window: Any = intrinsic(_store) if _COMPILED else _store_plainly
slide_window: Any = intrinsic(_slide) if _COMPILED else _slide_plainly
add_to_window: Any = intrinsic(_add) if _COMPILED else _add_plainly
