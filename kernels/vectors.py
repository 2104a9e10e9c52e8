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
