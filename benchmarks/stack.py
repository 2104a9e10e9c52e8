"""The stack of an AstroDrizzle run, step by step: separate drizzle, median, blot, mean weights.

Gates, per core: the median of 8 images >= 8 times bottleneck's nanmedian; blot with poly5 >= 4
times the C library ``drizzle`` 3.0 that is *given* its pixmap, on a whole UVIS chip and a 0.04
arcsec grid.  Against them: medians equal; 99.9 % of a blot of noise within 1e-3 sigma (C rounds
positions to float32).  Nothing is asked of the separate drizzle: turbo, float32, against C's turbo
given its pixmap.

Trials alternate, in CPU time.  bottleneck and drizzle must be installed beside hapdask (extra
``peer``); what is not there is left out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import (
    Figure,
    alternate,
    cpu_seconds,
    keep_memory,
    make_parser,
    median,
    show,
    spread,
)
from benchmarks.square import Case, Peer, make_case
from hapdask.kernels import blotting, chains, combining
from hapdask.kernels.blocks import blocks_reaching, chip_reach
from hapdask.kernels.drizzle import ChipGeometry, Drop, make_geometry
from hapdask.kernels.singles import drizzle_alone

Image = NDArray[np.float32]
_IMAGES = 8


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    """Run all, print, and return the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="trials of each")
    options = parser.parse_args(argv)
    keep_memory()
    side, rows, pairs = (200, 128, 1) if options.quick else (2048, 2051, options.pairs)
    figures = medians(side, pairs)
    case = make_case(rows)
    figures += blots(case, pairs) + singles(case, pairs)
    show("Stack", figures, quick=options.quick)
    return figures


def medians(side: int, pairs: int) -> list[Figure]:
    """The median of eight images, a few per cent of each bad."""
    rng = np.random.default_rng(1)
    stack = rng.normal(0.05, 0.02, (_IMAGES, side, side)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.03] = np.nan
    out, lowest = np.zeros((side, side), np.float32), np.zeros((0, 0), np.float32)
    exchanges = combining.network(_IMAGES)
    picks = combining.make_picks(_IMAGES, 0, 0, median=True)

    def ours() -> None:
        combining.combine(stack, exchanges, *picks, out, lowest)

    ours()
    peer = _peer("bottleneck")
    if peer is None:
        return [_rate("median of 8", ours, side**2)]
    worst = float(np.nanmax(np.abs(out - peer.nanmedian(stack, axis=0))))
    return [
        Figure("median of 8: worst difference", worst, "", "<=", 1e-7),
        *_ratio("median of 8", "bottleneck", ours, lambda: peer.nanmedian(stack, axis=0),
                pairs, side**2, 8.0),
    ]  # fmt: skip


def _geometry(case: Case, kernel: str = "turbo") -> tuple[ChipGeometry, NDArray[np.int64]]:
    drop = Drop(kernel, 1.0, case.pixels.gain**0.5)
    reach = chip_reach(case.chain, case.shape, drop.halo)
    blocks = blocks_reaching(reach, *case.frame.box)
    patch = drop.patch(reach.extent)
    return make_geometry(case.chain, case.shape, drop, patch, blocks), blocks


def blots(case: Case, pairs: int) -> list[Figure]:
    """An image of noise back on the chip: geometry is part of our time, and given to C."""
    image = np.random.default_rng(2).normal(0.0, 1.0, case.frame.shape).astype(np.float32)
    out, own = np.empty(case.shape, np.float32), np.empty(case.shape, np.uint8)
    code = blotting.POLY5
    taps = tuple(range(blotting.TAPS[code]))
    place = ((0, 0), case.frame.box, out, own)

    def ours() -> None:
        geometry, blocks = _geometry(case)
        pixel_map = geometry.smoothed().pixel_map
        origin = case.frame.origin
        blotting.blot(pixel_map, case.shape, blocks, image, origin, code, 1.0, taps, *place)

    ours()
    peer = _peer("drizzle.cdrizzle")
    size = case.shape[0] * case.shape[1]
    if peer is None:
        return [_rate("blot poly5", ours, size)]
    pixmap = _pixmap(case)
    theirs = np.zeros(case.shape, np.float32)

    def c() -> None:
        peer.tblot(image, pixmap, theirs, interp="poly5", iscale=1.0)

    c()
    far = float(np.nanquantile(np.abs(out - theirs), 0.999))
    return [
        Figure("blot poly5: 99.9 % within, sigma", far, "", "<=", 1e-3),
        *_ratio("blot poly5", "C with its pixmap", ours, c, pairs, size, 4.0),
    ]


def singles(case: Case, pairs: int) -> list[Figure]:
    """A chip dropped alone by turbo."""
    sums = np.zeros((*case.frame.shape, 2), np.float32)

    def ours() -> None:
        geometry, blocks = _geometry(case)
        drizzle_alone(geometry.smoothed(), blocks, case.pixels, case.frame.origin, sums)

    ours()
    size = case.shape[0] * case.shape[1]
    if _peer("drizzle.cdrizzle") is None:
        return [_rate("separate drizzle", ours, size)]
    c = Peer(case, 1.0, "turbo")
    return _ratio("separate drizzle", "C with its pixmap", ours, c, pairs, size)


def _pixmap(case: Case) -> NDArray[np.float64]:
    ny, nx = case.shape
    x, y = np.meshgrid(np.arange(nx, dtype=float), np.arange(ny, dtype=float))
    out = np.empty((2, x.size))
    chains.map_points(case.chain, x.ravel(), y.ravel(), out[0], out[1])
    out -= np.array(case.frame.origin[::-1], float)[:, None]
    return np.ascontiguousarray(np.moveaxis(out.reshape(2, ny, nx), 0, -1))


def _peer(name: str) -> Any:
    """Import a package to compare with; None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _rate(name: str, work: Callable[[], object], pixels: int) -> Figure:
    return Figure(f"{name}: time", cpu_seconds(work) / pixels * 1e9, "ns/pixel")


def _ratio(
    name: str,
    peer: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    pairs: int,
    pixels: int,
    asked: float = 0.0,
) -> list[Figure]:
    """Times of both, and how many times faster ours is."""
    theirs()
    trials = alternate(lambda: cpu_seconds(ours), lambda: cpu_seconds(theirs), pairs)
    ratios = [b / a for a, b in trials]
    sense = ">=" if asked else ""
    return [
        Figure(f"{name}: time", median([a for a, _ in trials]) / pixels * 1e9, "ns/pixel"),
        Figure(f"{name}: {peer}, over ours", median(ratios), "", sense, asked, spread(ratios)),
    ]


if __name__ == "__main__":
    main()
