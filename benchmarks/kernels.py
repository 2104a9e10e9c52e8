"""Turbo, point, gaussian and Lanczos fused with the map against the C library ``drizzle`` 3.0.

Gates, per core, for one 4096 x 2051 UVIS chip on a 0.04 arcsec grid, sums in float64: speed over C
that is *given* its pixmap: gaussian >= 2.5, lanczos3 >= 3.5, turbo >= 1.7, point >= 1.2 (goals 4,
6, 3, 2).  Ours is what each chip of a mosaic costs: reach, geometry, drizzle, noting the inputs.
The planes are made once for a tile, however many chips it has; with them made for this one chip in
its half empty frame the ratio is told too.  Against C: wht of turbo and point as for the square
kernel.  Trials alternate, in CPU time, on memory that both have touched before.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

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
from benchmarks.square import Case, Ours, Peer, make_case
from hapdask.schema import ALL, BASIC

#: Ratio asked for and hoped for.
_GATES = {"gaussian": (2.5, 4.0), "lanczos3": (3.5, 6.0), "turbo": (1.7, 3.0), "point": (1.2, 2.0)}
_FAINT = 0.01


class KernelSpeed:
    """One UVIS chip through our path for one chip and through C."""

    params = (list(_GATES),)
    param_names = ("kernel",)

    def setup(self, kernel: str) -> None:
        case = make_case()
        self.ours, self.peer = Ours(case, 1.0, BASIC, kernel), Peer(case, 1.0, kernel)
        self.ours()
        self.peer()

    def time_chip(self, kernel: str) -> None:
        self.ours.add()

    def track_ratio(self, kernel: str) -> float:
        pairs = alternate(lambda: cpu_seconds(self.peer), lambda: cpu_seconds(self.ours.add), 5)
        return median([theirs / mine for theirs, mine in pairs])


def measure(case: Case, kernel: str, pixfrac: float, pairs: int) -> list[Figure]:
    """Every figure of one kernel."""
    ours, peer = Ours(case, pixfrac, BASIC, kernel), Peer(case, pixfrac, kernel)
    every = Ours(case, pixfrac, ALL, kernel)
    mine = ours()
    peer()
    every()
    bright = peer.wht > _FAINT
    relative = np.abs(mine["wht"][bright] / peer.wht[bright].astype(np.float64) - 1.0)
    label, (gate, goal) = f"{kernel} {pixfrac:g}:", _GATES[kernel]
    times = alternate(lambda: cpu_seconds(peer), lambda: cpu_seconds(ours.add), pairs)
    ratios = [theirs / mine for theirs, mine in times]
    megapixels = case.shape[0] * case.shape[1] / 1e6
    whole = alternate(lambda: cpu_seconds(peer), lambda: cpu_seconds(ours), pairs)
    all_planes = alternate(lambda: cpu_seconds(every.add), lambda: cpu_seconds(ours.add), pairs)
    return [
        Figure(f"{label} wht, 99.9 % within", float(np.quantile(relative, 0.999)), ""),
        Figure(f"{label} C given its pixmap", megapixels / median([t for t, _ in times]), "Mpix/s"),
        Figure(f"{label} ours, each chip", megapixels / median([t for _, t in times]), "Mpix/s"),
        Figure(
            f"{label} times C given its pixmap",
            median(ratios),
            "",
            ">=",
            gate,
            f"goal {goal:g} {spread(ratios)}",
        ),
        Figure(f"{label} the same with planes", median([t / m for t, m in whole]), ""),
        Figure(
            f"{label} sums of all planes over three", median([a / b for a, b in all_planes]), ""
        ),
    ]


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="of trials")
    options = parser.parse_args(argv)
    keep_memory()
    warnings.filterwarnings("ignore", message="Kernel .* is not a flux-conserving kernel")
    case = make_case(256 if options.quick else 2051)
    pairs = 1 if options.quick else options.pairs
    figures = []
    for kernel in _GATES:
        for pixfrac in (1.0,) if kernel == "lanczos3" else (1.0, 0.8):
            figures += measure(case, kernel, pixfrac, pairs)
    show("Other kernels", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
