"""Centroids of stars as diffraction draws them: are their errors those that are stated?

Rings, coma and astigmatism that change over the field, a focus that breathes, charge diffusion,
cosmic rays that none has flagged, images that hardly fill a pixel.  Stars stand apart, of S/N 8 to
some thousand.  What is smooth over a chip (second order) is left to the distortion.  The bias by
the place within a pixel is told apart: it is what an image known too badly makes.

Asked: chi-square of (found less true) over the stated error of 0.5 to 1.5 over all stars.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Figure, make_parser, show
from hapdask.astrometry.detection import detect_sources
from hapdask.astrometry.sources import BLENDED, COSMIC_RAY, EDGE, SATURATED, SourceList
from hapdask.observe.exposure import open_exposures
from hapdask.simulate import Mode, Options, Pointing, Scene, Subarray, simulate_exposure
from hapdask.simulate.chip import ChipTruth

Floats = NDArray[np.float64]

_RA, _DEC = 150.1, 2.2
_SPOILT = SATURATED | BLENDED | EDGE | COSMIC_RAY
#: Chi-square of a star counts up to this.
_CAP = 25.0


@dataclass(frozen=True)
class Look:
    """A detector, and the stars on it: within ``half`` degrees, ``side`` by ``side`` of them."""

    instrument: str
    detector: str
    filter: str
    half: float
    side: int
    exptime: float = 500.0
    bright: float = 18.5
    mode: Mode | None = None
    moved: tuple[float, float] = (0.0, 0.0)  # the target, off the gap between the chips

    def scene(self, seed: int) -> Scene:
        """Draw stars near the nodes of a grid, that none may touch another."""
        rng = np.random.default_rng(seed)
        nodes = (np.arange(self.side) + 0.5) / self.side * 2.0 - 1.0
        x, y = (
            each.ravel() * self.half + rng.uniform(-0.6, 0.6, each.size) * self.half / self.side
            for each in np.meshgrid(nodes, nodes)
        )
        mag = rng.uniform(self.bright, 25.0, x.size)
        return Scene.stars(_RA + x / np.cos(np.radians(_DEC)), _DEC + y, mag)


_PART = Mode(subarray=Subarray(1, 1400, 800, 1200, 1200))
LOOKS = (
    Look("WFC3", "UVIS", "F606W", 0.0085, 21, mode=_PART, moved=(0.0, -25.0)),
    Look("WFC3", "UVIS", "F336W", 0.0085, 21, 800.0, mode=_PART, moved=(0.0, -25.0)),
    Look("ACS", "WFC", "F814W", 0.0105, 21, mode=_PART, moved=(0.0, -35.0)),
    Look("WFC3", "IR", "F110W", 0.021, 20, bright=17.5),
    Look("WFC3", "IR", "F160W", 0.021, 20, bright=17.5),
    Look("ACS", "HRC", "F606W", 0.004, 11),
    Look("STIS", "CCD", "50CCD", 0.008, 14, 300.0),
    Look("WFPC2", "PC", "F606W", 0.025, 22),
)


def compare(look: Look, seed: int, folder: Path, *, diffraction: bool = True) -> Floats:
    """Tell the errors of an exposure's stars.

    Returns
    -------
    ndarray of float64, shape (6, n)
        Place x and y, what is found less what is true along x and y, its stated error, all in
        pixels, and S/N.
    """
    options = Options(flag_cosmic_rays=0.0, diffraction=diffraction, focus=3.0, spikes=True)
    pointing = Pointing(_RA, _DEC, 20.0, dither=look.moved)
    exposure = simulate_exposure(
        look.scene(seed), look.instrument, look.detector, look.filter, pointing, look.exptime,
        seed=seed, options=options, mode=look.mode,
    )  # fmt: skip
    (record,) = open_exposures(str(exposure.write(folder)), strict=True)
    found = detect_sources(record).without(_SPOILT)
    parts = [
        _on_chip(found.take(found.extver == extver), truth, record.chip(extver).shape)
        for extver, truth in exposure.chips.items()
    ]
    return np.concatenate(parts, axis=1)


def _on_chip(found: SourceList, truth: ChipTruth, shape: tuple[int, int]) -> Floats:
    drawn = truth.sources
    away = np.hypot(found.x[:, None] - drawn.x, found.y[:, None] - drawn.y)
    which = away.argmin(axis=1)
    real = away.min(axis=1) < 0.7
    stars, which = found.take(real), which[real]
    order = 2 if len(stars) > 30 else 0
    x, y = stars.x / shape[1] - 0.5, stars.y / shape[0] - 0.5
    terms = np.stack([x**i * y**j for i in range(order + 1) for j in range(order + 1 - i)], axis=1)
    weight = 1.0 / stars.error
    left = []
    for off in (stars.x - drawn.x[which], stars.y - drawn.y[which]):
        smooth = np.linalg.lstsq(terms * weight[:, None], off * weight, rcond=None)[0]
        left.append(off - terms @ smooth)
    return np.stack([stars.x, stars.y, *left, stars.error, stars.snr])


def figures_of(look: Look, stars: Floats) -> list[Figure]:
    """Tell chi-square, and the errors of bright stars."""
    places, off, error, snr = stars[:2], stars[2:4], stars[4], stars[5]
    pulls = np.minimum(np.square(off / error), _CAP)
    bright = snr > 100.0
    phase, seen = 2.0 * np.pi * places[:, bright], off[:, bright]
    bias = 2.0 * np.hypot(np.mean(seen * np.sin(phase)), np.mean(seen * np.cos(phase)))
    label = f"{look.detector}/{look.filter}"
    true = 1.4826 * float(np.median(np.abs(seen)))
    return [
        Figure(f"{label}: chi2 of {snr.size} stars", float(pulls.mean()), "", "<=", 1.5),
        Figure(f"{label}: the same", float(pulls.mean()), "", ">=", 0.5),
        Figure(f"  S/N above 100, of {bright.sum()}", float(pulls[:, bright].mean())),
        Figure("  their error", true, "pixel", note=f"stated {np.median(error[bright]):.4f}"),
        Figure("  of it by the place within the pixel", float(bias), "pixel"),
    ]


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    """Measure on every detector, and print the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="exposures of each")
    parser.add_argument("--gaussian", action="store_true", help="round images, for comparison")
    given = parser.parse_args(argv)
    looks, seeds = (LOOKS[5:6], 1) if given.quick else (LOOKS, given.seeds)
    given.workdir.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    for look in looks:
        parts = []
        for seed in range(1, seeds + 1):
            with tempfile.TemporaryDirectory(dir=given.workdir) as folder:
                parts.append(compare(look, 10 + seed, Path(folder), diffraction=not given.gaussian))
        figures += figures_of(look, np.concatenate(parts, axis=1))
    show("Centroids", figures, quick=given.quick)
    return figures


if __name__ == "__main__":
    main()
