"""Palettes as stored: the set of chips behind every key of `ctx`, for a tile or for many.

A tile of many exposures may have 1e5 different sets (every cosmic ray makes one), so a palette
is kept as two arrays beside the receipt and not in it.  Not here: what a palette is
(`hapdask.drizzling.palette`).
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from hapdask.drizzling.palette import Palette
from hapdask.errors import StoreError

_MAGIC = "hapdask palette 2"
_LEVEL = 1  # zlib: higher ones gain little on numbers


def palette_to_bytes(palette: Palette) -> bytes:
    """Return the stored form: one line of JSON, then keys and bits, compressed."""
    n = palette.sorted_keys.size
    head = {
        "format": _MAGIC,
        "inputs": [list(chip) for chip in palette.inputs],
        "keys": n,
        "width": _width(len(palette.inputs)),
    }
    bits = np.ascontiguousarray(palette.bits[:, : head["width"]])
    body = palette.sorted_keys.astype("<u8").tobytes() + bits.tobytes()
    line = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    return line + b"\n" + zlib.compress(body, _LEVEL)


def palette_from_bytes(data: bytes, where: str) -> Palette:
    """Read the stored form.

    Raises
    ------
    StoreError
        It is damaged.
    """
    try:
        line, body = data.split(b"\n", 1)
        head: dict[str, Any] = json.loads(line)
        if head["format"] != _MAGIC:
            raise ValueError(f"format {head['format']!r}")
        inputs = tuple((str(name), int(extver)) for name, extver in head["inputs"])
        n, width = int(head["keys"]), int(head["width"])
        if n < 0 or width != _width(len(inputs)):
            raise ValueError("wrong length")
        # Told the size, zlib cannot be made to fill the memory.
        stream = zlib.decompressobj()
        raw = stream.decompress(body, n * (8 + width) + 1)
        if len(raw) != n * (8 + width) or not stream.eof:
            raise ValueError("wrong length")
        keys = np.frombuffer(raw, "<u8", n).astype(np.uint64)
        bits = np.frombuffer(raw, np.uint8, n * width, 8 * n).reshape(n, width)
        palette = Palette(inputs, keys, bits)
        if np.any(keys[1:] <= keys[:-1]) or np.any(palette.held()[:, len(inputs) :]):
            raise ValueError("keys out of order, or a set of unknown inputs")
    except (ValueError, TypeError, KeyError, zlib.error) as error:
        raise StoreError(f"{where} is damaged: {error} (remove it and run again)") from error
    return palette


def _width(inputs: int) -> int:
    """Bytes of a set."""
    return -(-inputs // 8)
