"""Distortions and arrays as plain JSON data, and back, bit for bit.

Used by the records; nothing is ever unpickled from disk.  A float64 array whose values are all
float32 values (look-up tables are stored so in FITS) is written as float32.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.chains import LookupTable
from hapdask.observe.distortion import Distortion

_TABLES = ("d2im_x", "d2im_y", "npol_x", "npol_y")
_MAX_BYTES = 1 << 26  # a damaged shape must not ask for the machine's memory


def pack_array(array: NDArray[np.float64]) -> dict[str, Any]:
    """Write a float64 array as shape, dtype and base64 text."""
    values = np.ascontiguousarray(array, dtype="<f8")
    with np.errstate(over="ignore"):
        short = values.astype("<f4")
    stored = short if short.astype("<f8").tobytes() == values.tobytes() else values
    return {
        "dtype": stored.dtype.str,
        "shape": list(stored.shape),
        "data": base64.b64encode(stored.tobytes()).decode("ascii"),
    }


def unpack_array(data: dict[str, Any]) -> NDArray[np.float64]:
    """Rebuild the array that `pack_array` was given.

    Raises
    ------
    ValueError
        If the text is no such array.
    """
    if data["dtype"] not in ("<f4", "<f8"):
        raise ValueError(f"an array of type {data['dtype']!r}")
    raw = base64.b64decode(data["data"], validate=True)
    if len(raw) > _MAX_BYTES:
        raise ValueError(f"an array of {len(raw)} bytes")
    array = np.frombuffer(raw, dtype=data["dtype"]).reshape(data["shape"])
    return array.astype(np.float64)


def pack_distortion(distortion: Distortion) -> dict[str, Any]:
    """Write a distortion as plain data."""
    tables = {name: getattr(distortion, name) for name in _TABLES}
    return {
        "shape": list(distortion.shape),
        "crval": list(distortion.crval),
        "crpix": list(distortion.crpix),
        "cd": list(distortion.cd),
        "sip_a": pack_array(distortion.sip_a),
        "sip_b": pack_array(distortion.sip_b),
        **{name: None if t is None else _pack_table(t) for name, t in tables.items()},
    }


def unpack_distortion(data: dict[str, Any]) -> Distortion:
    """Rebuild the distortion that `pack_distortion` was given.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the data are no such distortion.
    """
    ny, nx = data["shape"]
    c11, c12, c21, c22 = data["cd"]
    return Distortion(
        shape=(int(ny), int(nx)),
        crval=_pair(data["crval"]),
        crpix=_pair(data["crpix"]),
        cd=(float(c11), float(c12), float(c21), float(c22)),
        sip_a=unpack_array(data["sip_a"]),
        sip_b=unpack_array(data["sip_b"]),
        **{name: None if data[name] is None else _unpack_table(data[name]) for name in _TABLES},
    )


def _pack_table(table: LookupTable) -> dict[str, Any]:
    return {
        "values": pack_array(table.values),
        "start": list(table.start),
        "step": list(table.step),
    }


def _unpack_table(data: dict[str, Any]) -> LookupTable:
    return LookupTable(unpack_array(data["values"]), _pair(data["start"]), _pair(data["step"]))


def _pair(values: list[float]) -> tuple[float, float]:
    first, second = values
    return float(first), float(second)
