"""Who overlaps whom, and which pairs of exposures are worth measuring.

By sample points of each chip and great circles through the corners of the others: no pixel is
read, and hundreds of exposures take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.sky.tangent import unit_vectors

Floats = NDArray[np.float64]

#: Sample points per side of a chip, besides those of its outline.
_SIDE = 12
#: Outlines are a little bent: chips are taken this much larger, radians.
_SLACK = 2e-5


@dataclass(frozen=True)
class Coverage:
    """Who overlaps whom, by sample points.

    Attributes
    ----------
    overlap : ndarray of float64, shape (n, n), arcsec^2
        Area that two exposures share, about; 0 on the diagonal.
    hits : tuple of ndarray of uint8, shape (n, bytes)
        For each exposure, as bits: which of its sample points lie on each other one.
    """

    overlap: Floats
    hits: tuple[NDArray[np.uint8], ...]

    def points(self, mine: int, others: Sequence[int]) -> NDArray[np.bool_]:
        """Tell which sample points of an exposure lie on some others: shape (others, points)."""
        bits: NDArray[np.uint8] = np.unpackbits(self.hits[mine][list(others)], axis=1)
        return bits.view(np.bool_)


def find_coverage(exposures: Sequence[ExposureRecord]) -> Coverage:
    """Find overlaps of exposures by their outlines and some points inside; no pixel is read."""
    count = len(exposures)
    chips = [chip for exposure in exposures for chip in exposure.chips]
    first = np.cumsum([0, *(len(exposure.chips) for exposure in exposures)])
    overlap = np.zeros((count, count))
    if not chips:
        return Coverage(overlap, ())
    samples = [_sample(chip) for chip in chips]
    normals = np.concatenate([_sides(chip) for chip in chips]).T.astype(np.float32)
    caps = [_cap(points) for points in samples]
    middles, reach = np.stack([c for c, _ in caps]), np.array([r for _, r in caps])
    hits = []
    for k in range(count):
        mine = np.arange(first[k], first[k + 1])
        on_exposure = []
        for a in mine:
            apart = np.arccos(np.clip(middles @ middles[a], -1.0, 1.0))
            near = np.flatnonzero(apart < reach + reach[a] + _SLACK)
            inside = np.zeros((len(samples[a]), len(chips)), np.bool_)
            sides = normals.reshape(3, -1, 4)[:, near].reshape(3, -1)
            over = (samples[a].astype(np.float32) @ sides > -_SLACK).view(np.uint8).view(np.uint32)
            inside[:, near] = over == 0x01010101  # inside of all four sides
            inside[:, mine] = False
            hit = np.logical_or.reduceat(inside, first[:-1], axis=1)
            each = chips[a].shape[0] * chips[a].shape[1] * chips[a].idcscale ** 2 / len(hit)
            overlap[k] += each * np.count_nonzero(hit, axis=0)
            on_exposure.append(hit)
        hits.append(np.packbits(np.concatenate(on_exposure).T, axis=1))
    return Coverage(np.maximum(overlap, overlap.T), tuple(hits))


def _cap(points: Floats) -> tuple[Floats, float]:
    """Middle of some directions, and the radius that holds them, radians."""
    total = points.sum(axis=0)
    middle = total / np.linalg.norm(total)
    return middle, float(np.arccos(np.clip(points @ middle, -1.0, 1.0)).max())


def _sample(chip: ChipRecord) -> Floats:
    """Directions of points all over a chip and along its outline, shape (n, 3)."""
    ny, nx = chip.shape
    x0, x1, y0, y1 = chip.window or (0, nx, 0, ny)
    t = (np.arange(_SIDE) + 0.5) / _SIDE
    x, y = np.meshgrid(x0 - 0.5 + t * (x1 - x0), y0 - 0.5 + t * (y1 - y0))
    inner = unit_vectors(*chip.distortion.pixel_to_sky(x.ravel(), y.ravel()))
    return np.concatenate([inner, unit_vectors(*chip.border())])


def _sides(chip: ChipRecord) -> Floats:
    """Inward normals of the great circles through a chip's corners, shape (4, 3)."""
    outline = unit_vectors(*chip.border())
    corners = outline[:: len(outline) // 4]
    normals = np.cross(corners, np.roll(corners, -1, axis=0))
    normals /= np.linalg.norm(normals, axis=1)[:, np.newaxis]
    return np.asarray(normals * np.sign(normals @ corners.sum(axis=0))[:, np.newaxis])


def choose_pairs(overlap: Floats, partners: int | None) -> list[tuple[int, int]]:
    """Choose the pairs of exposures to be measured.

    Parameters
    ----------
    overlap : ndarray of float64, shape (n, n)
        Symmetric; 0 where there is none.
    partners : int or None
        The largest overlaps of each exposure are taken, and what connects all that can be
        connected; None takes all pairs.

    Returns
    -------
    list of (int, int)
        First below second, in order.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    n = len(overlap)
    if partners is None or n <= partners + 1:
        first, second = np.nonzero(np.triu(overlap, 1))
        return list(zip(first.tolist(), second.tolist(), strict=True))
    chosen: set[tuple[int, int]] = set()
    for k in range(n):
        best = np.argsort(-overlap[k], kind="stable")[:partners]
        chosen |= {(min(k, int(o)), max(k, int(o))) for o in best if overlap[k, o] > 0}
    # Spanning by the largest overlaps: costs must be positive to be seen.
    cost = np.where(overlap > 0, 2.0 - overlap / max(float(overlap.max()), 1e-300), 0.0)
    tree = minimum_spanning_tree(csr_array(np.triu(cost, 1))).tocoo()
    edges = zip(tree.coords[0].tolist(), tree.coords[1].tolist(), strict=True)
    return sorted(chosen | {(min(e), max(e)) for e in edges})
