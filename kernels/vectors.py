"""Short vectors where LLVM would not make them: Numba keeps its pass for that switched off.

The sums of an output pixel lie side by side in memory, so one load, one multiplication with
addition and one store serve them all, with the same rounding as one after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic
from numpy.typing import NDArray


def _add_plainly(
    sums: NDArray[np.floating], place: Any, factor: Any, values: tuple[Any, ...]
) -> None:
    """Add ``factor * values`` to neighbours in a flat array of their dtype, from ``place`` on."""
    for k, value in enumerate(values):
        sums[int(place) + k] += factor * value


def _add_at_once(typing: Any, sums: Any, place: Any, factor: Any, values: Any) -> Any:
    """Do as `_add_plainly`, with the values as one vector."""
    signature = types.void(sums, place, factor, values)
    count = len(values)
    word = ir.DoubleType() if sums.dtype == types.float64 else ir.FloatType()
    vector, index = ir.VectorType(word, count), ir.IntType(32)
    align = sums.dtype.bitwidth // 8

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        address = builder.bitcast(address, vector.as_pointer())
        added = scale = ir.Constant(vector, ir.Undefined)
        for k in range(count):
            value = builder.extract_value(arguments[3], k)
            added = builder.insert_element(added, value, index(k))
            scale = builder.insert_element(scale, arguments[2], index(k))
        before = builder.load(address, align=align)
        product = builder.fmul(scale, added, flags=("contract",))
        after = builder.fadd(before, product, flags=("contract",))
        builder.store(after, address, align=align)
        return context.get_dummy_value()

    return signature, generate


#: Without the compiler (tests of coverage) the plain one stands in.
add_scaled: Any = _add_plainly if getattr(config, "DISABLE_JIT", 0) else intrinsic(_add_at_once)


def _sum_plainly(
    taps: tuple[int, ...],
    weights: tuple[NDArray[np.float32], NDArray[np.float32]],
    k: Any,
    image: NDArray[np.float32],
    place: Any,
    width: Any,
) -> Any:
    """Weighted sum of a patch of a flat image: columns first, each from the lowest row on.

    ``weights`` are flat planes along x and y; tap t of element k is at ``t * size + k``.
    """
    along, across = weights
    stride = along.size // len(taps)
    total = np.float32(0.0)
    for c in range(len(taps)):
        column = np.float32(0.0)
        for r in range(len(taps)):
            value = image[int(place) + r * int(width) + c]
            column += across[r * stride + int(k)] * value
        total += along[c * stride + int(k)] * column
    return total


def _sum_at_once(
    typing: Any, taps: Any, weights: Any, k: Any, image: Any, place: Any, width: Any
) -> Any:
    """Do as `_sum_plainly`, with all columns of a row as one vector."""
    signature = types.float32(taps, weights, k, image, place, width)
    count = len(taps)
    word, index = ir.FloatType(), ir.IntType(32)
    vector = ir.VectorType(word, count)
    fused = ("contract",)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, pair, element, image, place, width = arguments
        planes: list[list[Any]] = []
        for side in range(2):
            array = context.make_array(signature.args[1][side])
            array = array(context, builder, builder.extract_value(pair, side))
            size = builder.udiv(array.nitems, ir.Constant(array.nitems.type, count))
            address = builder.gep(array.data, [element])
            planes.append([])
            for _ in range(count):
                planes[side].append(builder.load(address, align=4))
                address = builder.gep(address, [size])
        along, across = planes
        address = context.make_array(signature.args[3])(context, builder, image).data
        address = builder.gep(address, [place])
        columns = None
        for weight in across:
            row = builder.load(builder.bitcast(address, vector.as_pointer()), align=4)
            scale = ir.Constant(vector, ir.Undefined)
            for c in range(count):
                scale = builder.insert_element(scale, weight, index(c))
            product = builder.fmul(scale, row, flags=fused)
            columns = product if columns is None else builder.fadd(columns, product, flags=fused)
            address = builder.gep(address, [width])
        total = ir.Constant(word, 0.0)
        for c, weight in enumerate(along):
            column = builder.extract_element(columns, index(c))
            total = builder.fadd(total, builder.fmul(weight, column, flags=fused), flags=fused)
        return total

    return signature, generate


#: Without the compiler the plain one stands in.
sum_patch: Any = _sum_plainly if getattr(config, "DISABLE_JIT", 0) else intrinsic(_sum_at_once)


def _fetch_nothing(array: NDArray[np.floating], place: Any) -> None:
    """Do nothing."""


def _fetch_early(typing: Any, array: Any, place: Any) -> Any:
    """Tell the processor that an element of a flat array will be wanted soon."""
    signature = types.void(array, place)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        flat = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(flat.data, [arguments[1]])
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], shape)
        to_read, nearest, data = number(0), number(3), number(1)
        builder.call(function, [builder.bitcast(address, pointer), to_read, nearest, data])
        return context.get_dummy_value()

    return signature, generate


#: A row of a large array is out of the reach of what the processor fetches by itself.
prefetch: Any = _fetch_nothing if getattr(config, "DISABLE_JIT", 0) else intrinsic(_fetch_early)
