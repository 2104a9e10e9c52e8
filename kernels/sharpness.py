"""Pixels that are sharper than the telescope can make them, by the pixels around them alone.

L.A.Cosmic's test, guarded against stars.  Few pixels stand out of the noise and fewer still are
steep, so medians are found for these alone, one pixel after another: the same code for each, so
that what is found does not depend on where the image was cut.

All arrays have `PAD` pixels more on every side, in which the image goes on as it ends: no loop has
to look for the border.  Not here: what is light and what is noise (`drizzling.by_shape`).

Source: van Dokkum 2001, PASP 113, 1420.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.kernels.jit import inline, kernel

Image = NDArray[np.float32]
Flags = NDArray[np.uint8]

#: Half side of the square that decides on a pixel in one round: what arrays are padded by.
PAD = 4
#: Half sides of the squares of what stands in for a hit, and of the core of a star.
FILL, CORE = 2, 2
#: How far the brightest pixel of a hit may be from its others.
NEAR = 2
#: Pixels beside a hit that are looked at once more: so often, by one each time.
GROWTH = 2
#: Least contrast with what is smooth that is told from none (L.A.Cosmic's).
_SMOOTHEST = 0.01
_ROOT2 = 2.0**0.5
#: What a pixel of the hits is: found in this round, in one before, beside one of this round (beside
#: which nothing is looked for yet).
_NEW, _OLD, _NEXT = np.uint8(1), np.uint8(2), np.uint8(3)


class SharpTest(NamedTuple):
    """What counts as sharper than a star.

    Attributes
    ----------
    sigclip, sigfrac, objlim : float
        L.A.Cosmic's limits: of the Laplacian in noise, the part of it that holds for neighbours,
        and its contrast with what is smooth on the scale of a star.
    lumps : float
        Of the brightest light within 4 pixels: so much of it a star has in lumps around its core.
    rounds : int
        In each of which what was found before is taken out.
    faintest : float
        Peaks below so much noise are not taken for stars: noise would make them.
    """

    sigclip: float = 4.5
    sigfrac: float = 0.4
    objlim: float = 5.0
    lumps: float = 0.05
    rounds: int = 2
    faintest: float = 8.0

    @property
    def halo(self) -> int:
        """Pixels around a pixel that decide on it."""
        return self.rounds * (PAD + FILL + GROWTH) + NEAR


class StarShape(NamedTuple):
    """How a star differs from a hit.

    Attributes
    ----------
    least : tuple of float
        Least light beside the peak, across its corners, and around its 3 x 3: see
        `hapdask.observe.instruments.ChipFacts`.
    told_from : float, standard deviations
        Light of a hit's brightest pixel, below which it may be a star as well.
    slack : float, electrons
        Noise of a pixel that may hide the light of a star around its peak.
    """

    least: tuple[float, float, float]
    told_from: float
    slack: float = 0.0


@kernel
def spoil(bad: Flags, crowd: int, reach: int, out: Flags) -> None:
    """Mark what is around areas of bad pixels.

    Parameters
    ----------
    bad : ndarray of uint8, shape (ny, nx)
        0 for good pixels; for bad ones how many they count for.
    crowd : int
        Count of a square of 3 that makes the bad pixel in its middle part of an area.
    reach : int
        Pixels around it that are marked.
    out : ndarray of uint8, shape (ny, nx)
    """
    ny, nx = bad.shape
    out[:] = 0
    for y in range(ny):
        for x in range(nx):
            if bad[y, x] == 0:
                continue
            count = 0
            for j in range(max(y - 1, 0), min(y + 2, ny)):
                for i in range(max(x - 1, 0), min(x + 2, nx)):
                    count += bad[j, i]
            if count >= crowd:
                for j in range(max(y - reach, 0), min(y + reach + 1, ny)):
                    for i in range(max(x - reach, 0), min(x + reach + 1, nx)):
                        out[j, i] = 1


@kernel
def find(
    light: Image,
    noise: Image,
    holes: Flags,
    bad: Flags,
    test: SharpTest,
    star: StarShape,
    out: Flags,
) -> None:
    """Find the pixels that a particle has hit.

    Parameters
    ----------
    light, noise : ndarray of float32, shape (ny + 2 PAD, nx + 2 PAD), electrons
        Light without sky, finite.
    holes : ndarray of uint8, same shape
        1 for pixels whose value means nothing: neighbours stand in for them.
    bad : ndarray of uint8, same shape
        1 for those, and for others that are not judged.  Hits are added to it.
    test : SharpTest
    star : StarShape
    out : ndarray of uint8, same shape
        Receives 1 for hits.
    """
    shape = light.shape
    filled, hit, spared = light.copy(), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    looked, work = np.empty(shape, np.uint8), (np.empty(9, np.float32), np.empty(49, np.float32))
    _spare_stars(light, noise, test, star, spared)
    for y in range(shape[0]):
        for x in range(shape[1]):
            looked[y, x] = (bad[y, x] | spared[y, x]) == 0
            out[y, x] = 0
    _fill(filled, holes, bad)
    for _ in range(test.rounds):
        if _find_sharp(filled, noise, looked, test, work, hit) == 0:
            break
        for growth in range(GROWTH):
            limit = test.sigclip * (test.sigfrac if growth + 1 == GROWTH else 1.0)
            _find_beside(filled, noise, looked, limit, work, hit)
        _look_near(hit, bad, looked)
        _fill(filled, hit, bad)
    for y in range(PAD, shape[0] - PAD):
        for x in range(PAD, shape[1] - PAD):
            if hit[y, x] != 0 and light[y, x] > star.told_from * noise[y, x]:
                for j in range(y - NEAR, y + NEAR + 1):
                    for i in range(x - NEAR, x + NEAR + 1):
                        out[j, i] = hit[j, i] != 0


@inline
def _extend(image: Any) -> None:
    """Let an image go on as it ends."""
    ny, nx = image.shape
    for y in range(PAD, ny - PAD):
        for x in range(PAD):
            image[y, x] = image[y, PAD]
            image[y, nx - 1 - x] = image[y, nx - 1 - PAD]
    for y in range(PAD):
        for x in range(nx):
            image[y, x] = image[PAD, x]
            image[ny - 1 - y, x] = image[ny - 1 - PAD, x]


@inline
def _fill(image: Any, holes: Any, bad: Any) -> None:
    """Put the mean of the good pixels around into holes (1), which are bad; 0 if there are none."""
    ny, nx = image.shape
    for y in range(PAD, ny - PAD):
        for x in range(PAD, nx - PAD):
            if holes[y, x] != _NEW:
                continue
            total, n = 0.0, 0
            for j in range(y - FILL, y + FILL + 1):
                for i in range(x - FILL, x + FILL + 1):
                    if bad[j, i] == 0:
                        total += image[j, i]
                        n += 1
            image[y, x] = np.float32(total / max(n, 1))
    _extend(image)


@inline
def _spare_stars(light: Any, noise: Any, test: SharpTest, star: StarShape, out: Any) -> None:
    """Mark the cores of stars: what is around a peak with light on all its sides."""
    ny, nx = light.shape
    faintest = np.float32(test.faintest)
    for y in range(CORE, ny - CORE):
        for x in range(CORE, nx - CORE):
            peak = light[y, x]
            if peak > faintest * noise[y, x] and _is_star(light, y, x, peak, star):
                for j in range(y - CORE, y + CORE + 1):
                    for i in range(x - CORE, x + CORE + 1):
                        out[j, i] = 1


@inline
def _is_star(light: Any, y: int, x: int, peak: Any, star: StarShape) -> bool:
    """Whether a pixel is the peak of a star."""
    square, wide = 0.0, 0.0
    for j in range(y - 1, y + 2):
        for i in range(x - 1, x + 2):
            if light[j, i] > peak:
                return False
            square += light[j, i]
    for j in range(y - 2, y + 3):
        for i in range(x - 2, x + 3):
            wide += light[j, i]
    across = light[y, x - 1] + light[y, x + 1], light[y - 1, x] + light[y + 1, x]
    corners = light[y - 1, x - 1] + light[y + 1, x + 1], light[y - 1, x + 1] + light[y + 1, x - 1]
    beside, diagonal = min(across[0], across[1]), min(corners[0], corners[1])
    slack, twice = _ROOT2 * star.slack, 2.0 * peak
    return (
        beside > star.least[0] * twice - slack
        and diagonal > star.least[1] * twice - slack
        and wide - square > star.least[2] * square - 4.0 * star.slack
    )


@inline
def _find_sharp(light: Any, noise: Any, looked: Any, test: SharpTest, work: Any, hit: Any) -> int:
    """Mark what is sharper than anything smooth that it stands on; gives the number."""
    ny, nx = light.shape
    clip, found = np.float32(test.sigclip), 0
    for y in range(PAD, ny - PAD):
        for x in range(PAD, nx - PAD):
            if hit[y, x] != 0:
                hit[y, x] = _OLD
            least = clip * noise[y, x]
            if looked[y, x] == 0 or light[y, x] <= least:
                continue
            if _laplacian(light, y, x) <= 2.0 * least:
                continue
            sharpness = _sharpness(light, noise, y, x, work)
            if sharpness > clip and _is_sharp(light, noise[y, x], y, x, sharpness, test, work):
                hit[y, x] = _NEW
                found += 1
    return found


@inline
def _find_beside(light: Any, noise: Any, looked: Any, limit: float, work: Any, hit: Any) -> None:
    """Mark what is sharp enough beside a hit."""
    ny, nx = light.shape
    for y in range(PAD, ny - PAD):
        for x in range(PAD, nx - PAD):
            if hit[y, x] != _NEW:
                continue
            for j in range(max(y - 1, PAD), min(y + 2, ny - PAD)):
                for i in range(max(x - 1, PAD), min(x + 2, nx - PAD)):
                    new = looked[j, i] != 0 and hit[j, i] == 0
                    if new and _sharpness(light, noise, j, i, work) > limit:
                        hit[j, i] = _NEXT
    for y in range(PAD, ny - PAD):
        for x in range(PAD, nx - PAD):
            if hit[y, x] == _NEXT:
                hit[y, x] = _NEW


@inline
def _laplacian(light: Any, y: int, x: int) -> Any:
    """Laplacian of a pixel on pixels of half its size, rises alone."""
    twice, zero = 2.0 * light[y, x], 0.0
    left, right = twice - light[y, x - 1], twice - light[y, x + 1]
    below, above = light[y - 1, x], light[y + 1, x]
    total = max(left - below, zero) + max(left - above, zero)
    return 0.25 * (total + max(right - below, zero) + max(right - above, zero))


@inline
def _sharpness(light: Any, noise: Any, y: int, x: int, work: Any) -> Any:
    """Laplacian of a pixel in noise, without what is like it all around."""
    _, values = work
    k = 0
    for j in range(y - 2, y + 3):
        for i in range(x - 2, x + 3):
            values[k] = _laplacian(light, j, i) / (2.0 * noise[j, i])
            k += 1
    middle = values[12]
    return middle - _median(values, 25)


@inline
def _is_sharp(
    light: Any, noise: float, y: int, x: int, sharpness: float, test: SharpTest, work: Any
) -> Any:
    """Whether a steep pixel is sharper than lumps around a star, and than the smooth below it."""
    nine, values = work
    brightest = light[y, x]
    for j in range(y - PAD, y + PAD + 1):
        for i in range(x - PAD, x + PAD + 1):
            brightest = max(brightest, light[j, i])
    if sharpness <= test.lumps * brightest / noise:
        return False
    k = 0
    for j in range(y - 3, y + 4):
        for i in range(x - 3, x + 4):
            n = 0
            for b in range(j - 1, j + 2):
                for a in range(i - 1, i + 2):
                    nine[n] = light[b, a]
                    n += 1
            values[k] = _median(nine, 9)
            k += 1
    smooth = values[24]
    return sharpness > test.objlim * max((smooth - _median(values, 49)) / noise, _SMOOTHEST)


@inline
def _median(values: Any, n: int) -> Any:
    """Median of the first n values, an odd number, which it puts in order."""
    for k in range(1, n):
        value, m = values[k], k
        while m > 0 and values[m - 1] > value:
            values[m] = values[m - 1]
            m -= 1
        values[m] = value
    return values[n // 2]


@inline
def _look_near(hit: Any, bad: Any, looked: Any) -> None:
    """Look on near what a round has found: only there can anything have changed."""
    ny, nx = hit.shape
    for y in range(PAD, ny - PAD):
        for x in range(PAD, nx - PAD):
            if hit[y, x] == _NEW:
                bad[y, x] = 1
                for j in range(y - PAD, y + PAD + 1):
                    for i in range(x - PAD, x + PAD + 1):
                        looked[j, i] = 2 if looked[j, i] != 0 else 0
    for y in range(ny):
        for x in range(nx):
            looked[y, x] = looked[y, x] == 2 and hit[y, x] == 0
    _extend(bad)
