"""Sky levels of pairs of exposures on their common sky.

Strategy: pairs are chosen by outlines; then every chip is read once, and its statistic is taken in
the part that each chip of each partner covers.  A task holds one chip; chips go in parallel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hapdask.config.sky import SkyParameters
from hapdask.drizzling.sky_levels.coverage import Coverage
from hapdask.drizzling.sky_levels.geometry import ChipArea, outline
from hapdask.drizzling.sky_levels.measuring import (
    Level,
    brightness_factor,
    measure_spans,
)
from hapdask.drizzling.sky_levels.sampling import read_usable
from hapdask.drizzling.sky_levels.solving import Edge
from hapdask.errors import InputError
from hapdask.kernels.image_statistics import whole
from hapdask.observe.masking.sources import ChipMask
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord

#: Exposure and EXTVER of a partner's chip.
Partner = tuple[int, int]


@dataclass(frozen=True)
class Measured:
    """Levels of chips, in brightness.

    Attributes
    ----------
    chips : mapping of (exposure, EXTVER) to Level
        Of whole chips; where asked for.
    overlaps : mapping of (exposure, EXTVER) to mapping of Partner to Level
    failures : mapping of exposure to InputError
        Nothing else of these is here.
    """

    chips: Mapping[tuple[int, int], Level]
    overlaps: Mapping[tuple[int, int], Mapping[Partner, Level]]
    failures: Mapping[int, InputError] = field(default_factory=dict)


def measure_all(
    exposures: Sequence[ExposureRecord],
    parameters: SkyParameters,
    pairs: Sequence[tuple[int, int]],
    *,
    whole_chips: bool,
    masks: Sequence[ChipMask] = (),
    flux_scaling: bool = True,
    threads: int = 1,
) -> Measured:
    """Measure whole chips and overlaps.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
    parameters : SkyParameters
    pairs : sequence of (int, int)
        Exposures whose overlaps are measured.
    whole_chips : bool
        Measure whole chips too.
    masks : sequence of ChipMask
        For the sky alone.
    flux_scaling : bool
        See `brightness_factor`.
    threads : int
        Chips at the same time, some 100 MB each.

    Returns
    -------
    Measured
    """
    partners: dict[int, list[int]] = {k: [] for k in range(len(exposures))}
    for first, second in pairs:
        partners[first].append(second)
        partners[second].append(first)
    outlines = {
        (k, chip.extver): outline(chip, upstream=parameters.upstream)
        for k, others in partners.items()
        for chip in (exposures[k].chips if others else ())
    }

    def measure(work: tuple[int, ChipRecord]) -> dict[Partner | None, Level] | InputError:
        k, chip = work
        others = {p: outlines[p] for p in sorted(outlines) if p[0] in partners[k]}
        if not (others or whole_chips):
            return {}
        factor = brightness_factor(exposures[k], chip, flux_scaling=flux_scaling)
        try:
            sample = read_usable(exposures[k], chip, parameters, masks)
        except InputError as error:
            return error
        found: dict[Partner | None, Level] = {}
        for partner, spans in _parts(chip, whole_chips, others, parameters):
            found[partner] = measure_spans(sample, spans, parameters).scaled(factor)
        return found

    works = [(k, chip) for k, exposure in enumerate(exposures) for chip in exposure.chips]
    with ThreadPoolExecutor(threads) as pool:
        return _sorted(works, pool.map(measure, works))


def _parts(
    chip: ChipRecord,
    all_of_it: bool,
    others: Mapping[Partner, NDArray[np.float64]],
    parameters: SkyParameters,
) -> Iterator[tuple[Partner | None, NDArray[np.int64]]]:
    """Pixels of the whole chip, and of those parts that lie on other chips (by their outlines)."""
    if all_of_it:
        yield None, whole(chip.shape)
    if not others:
        return
    area = ChipArea(chip, upstream=parameters.upstream)
    for partner, border in others.items():
        if (spans := area.spans(border)).size:
            yield partner, spans


def _sorted(
    works: Sequence[tuple[int, ChipRecord]],
    results: Iterable[dict[Partner | None, Level] | InputError],
) -> Measured:
    """Sort what was measured; of an exposure that failed nothing is kept."""
    chips: dict[tuple[int, int], Level] = {}
    overlaps: dict[tuple[int, int], Mapping[Partner, Level]] = {}
    failures: dict[int, InputError] = {}
    for (k, chip), found in zip(works, results, strict=True):
        if isinstance(found, InputError):
            failures.setdefault(k, found)
            continue
        if None in found:
            chips[k, chip.extver] = found[None]
        overlaps[k, chip.extver] = {p: level for p, level in found.items() if p is not None}
    return Measured(
        {key: level for key, level in chips.items() if key[0] not in failures},
        {key: levels for key, levels in overlaps.items() if key[0] not in failures},
        failures,
    )


def pair_level(
    measured: Measured, mine: ExposureRecord, k: int, j: int, theirs: ExposureRecord
) -> Level:
    """Level of exposure ``k`` on ``j``: the mean over pairs of chips, weighted by pixels."""
    total, weighted, variance = 0, 0.0, 0.0
    for chip in mine.chips:
        levels = measured.overlaps.get((k, chip.extver), {})
        for other in theirs.chips:
            level = levels.get((j, other.extver))
            if level is not None and level.n > 0:
                total += level.n
                weighted += level.n * level.value
                variance += level.n**2 * level.variance
    if total == 0:
        return Level(math.nan, 0, math.inf)
    return Level(weighted / total, total, variance / total**2)


def make_edges(
    exposures: Sequence[ExposureRecord],
    measured: Measured,
    pairs: Sequence[tuple[int, int]],
    *,
    upstream: bool,
) -> tuple[list[Edge], list[tuple[Level, Level]]]:
    """Turn measured overlaps into equations; those without a usable pixel on either side go.

    Returns
    -------
    edges : list of Edge
    levels : list of (Level, Level)
        Behind each.
    """
    edges, levels = [], []
    for i, j in pairs:
        one = pair_level(measured, exposures[i], i, j, exposures[j])
        two = pair_level(measured, exposures[j], j, i, exposures[i])
        if one.n == 0 or two.n == 0:
            continue
        if upstream:  # it weighs equations, so squares, by the mean number of pixels
            weight = (0.5 * (one.n + two.n)) ** 2
        else:
            # Constant pixels have no scatter; they still have their number.
            weight = 1.0 / max(one.variance + two.variance, 1e-30 / min(one.n, two.n))
        edges.append(Edge(i, j, one.value - two.value, weight, one.variance, two.variance))
        levels.append((one, two))
    return edges, levels


def shared_pixels(edges: Sequence[Edge], coverage: Coverage) -> NDArray[np.float64]:
    """Correlations of the levels behind edges: overlaps of one exposure share pixels.

    Returns
    -------
    ndarray of float64, shape (2 edges, 2 edges)
        See `hapdask.drizzling.sky_levels.solving.solve_levels`; by common sample points.
    """
    sides = [(e.first, e.second) for e in edges] + [(e.second, e.first) for e in edges]
    out = np.eye(len(sides))
    of_exposure: dict[int, list[int]] = {}
    for row, (mine, _) in enumerate(sides):
        of_exposure.setdefault(mine, []).append(row)
    for mine, rows in of_exposure.items():
        points = coverage.points(mine, [sides[row][1] for row in rows]).astype(np.float64)
        norm = np.sqrt(np.maximum(points.sum(axis=1), 1.0))
        common = (points @ points.T) / (norm[:, np.newaxis] * norm)
        np.fill_diagonal(common, 1.0)
        out[np.ix_(rows, rows)] = common
    return out
