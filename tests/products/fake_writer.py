"""A writer of fake tiles: run as a script by the tests that kill it, imported by the others.

Planes are functions of the tile and of its digest, so that any writer gives the same bytes.
"""

import hashlib
import sys
from dataclasses import dataclass

import numpy as np

from hapdask.products.store import MosaicStore
from hapdask.schema import VARIABLES
from hapdask.sky.frame import Frame

TILE, CHUNK = 128, 64
SIDE = 450794
CHIPS = (("ib4606c5q", 1), ("ib4606c5q", 2), ("ib4606c8q", 1))
PALETTE = {11: CHIPS[:1], 2**64 - 5: CHIPS[1:]}


@dataclass(frozen=True)
class Layer:
    instrument: str = "wfc3"
    detector: str = "uvis"
    filter: str = "f475w"
    scale: str = "fine"


def root_frame():
    scale = 0.04 / 3600.0
    cd = (-scale, 0.0, 0.0, scale)
    return Frame((181.25, 28.0), (225144.0, 225144.0), cd, (SIDE, SIDE), (0, 0), "p1889")


def region(ny=2, nx=3, y0=1000, x0=2000):
    """A window of ny x nx tiles of the projection cell."""
    return root_frame()[y0 * TILE : (y0 + ny) * TILE, x0 * TILE : (x0 + nx) * TILE]


def plan(window, word="first"):
    return {index: f"{word}-{index[0]}-{index[1]}" for index, _ in window.tiles(TILE)}


def create(path, **options):
    return MosaicStore.create_or_open(
        path, root_frame(), Layer(), TILE, **{"chunk": CHUNK, **options}
    )


def plane(name, shape, index, digest):
    """Noise with an empty corner; one chunk of the tile is empty altogether."""
    seed = hashlib.sha256(f"{name}{index}{digest}".encode()).digest()[:8]
    noise = np.random.default_rng(int.from_bytes(seed)).normal(1000.0, 10.0, shape)
    variable = VARIABLES[name]
    values = noise.astype(variable.dtype)
    if name == "ctx":
        values = np.where(noise > 1000.0, np.uint64(11), np.uint64(2**64 - 5))
    values[: CHUNK + 5, :CHUNK] = variable.fill
    return values


def planes(names, shape, index, digest):
    for name in names:
        if __name__ == "__main__":
            print("plane", flush=True)
        yield name, plane(name, shape, index, digest)


def receipt(digest):
    return {
        "digest": digest,
        "inputs": CHIPS,
        "palette": PALETTE,
        "algorithm": "1",
        "statistics": {"pixels": 3, "mean": np.float32(0.5), "bad": float("nan")},
    }


def write(store, index, digest):
    frame = store.layout.tile_frame(index)
    names = store.layout.variables
    store.write_tile(index, frame, planes(names, frame.shape, index, digest), receipt(digest))


def run(path, window, planned, **options):
    """A whole run, as a coordinator makes it; returns the tiles that it had to write."""
    store = create(path, **options)
    done = []
    with store:
        store.begin(planned, window, about={"parameters": {"pixfrac": 1.0}})
        for index, digest in planned.items():
            if not store.finished(index, digest):
                write(store, index, digest)
                done.append(index)
        store.end()
    return done


if __name__ == "__main__":
    print("ready", flush=True)
    run(sys.argv[1], region(), plan(region(), sys.argv[2]))
    print("done", flush=True)
