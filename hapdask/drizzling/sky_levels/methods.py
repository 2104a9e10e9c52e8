"""AstroDrizzle's sky methods on records: one solution for a whole set of exposures."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.config.sky import SkyParameters
from hapdask.drizzling.sky_levels.coverage import Coverage, choose_pairs, find_coverage
from hapdask.drizzling.sky_levels.measuring import Level, brightness_factor
from hapdask.drizzling.sky_levels.overlaps import (
    Measured,
    make_edges,
    measure_all,
    shared_pixels,
)
from hapdask.drizzling.sky_levels.solution import (
    ChipSky,
    ExposureSky,
    OverlapSky,
    SkySolution,
    rounded,
    rounded_sky,
)
from hapdask.drizzling.sky_levels.solving import find_groups, solve_levels
from hapdask.errors import ParameterError
from hapdask.observe.masking.sources import ChipMask
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import ACCEPTED

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]

_NO_PIXEL = "no pixel left to measure the sky on; taken as 0"
_NO_OVERLAP = "its sky cannot be matched: no usable pixel in common with another exposure"


class _Matched(NamedTuple):
    """What overlaps tell: one level per exposure, NaN where nothing ties it."""

    level: Floats
    group: NDArray[np.int64]  # -1 where nothing ties it
    overlaps: tuple[OverlapSky, ...]
    covariance: Floats


def solve_sky(
    exposures: Iterable[ExposureRecord],
    parameters: SkyParameters,
    *,
    masks: Sequence[ChipMask] = (),
    flux_scaling: bool = True,
    held: Mapping[str, float] | None = None,
    threads: int = 1,
) -> SkySolution:
    """Find the sky levels of exposures.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
        With static masks, where they are to be used.
    parameters : SkyParameters
    masks : sequence of ChipMask
        Pixels that do not count for the sky, and for nothing else.
    flux_scaling : bool
        Levels are compared in the system of the layer, by the records' flux factors.
    held : mapping of exposure name to float, optional
        Published brightness: ``match`` solves the others against these; not upstream's convention.
    threads : int
        Chips that are read at the same time, some 100 MB each.

    Returns
    -------
    SkySolution
        Exposures that cannot be read are in its ``failures``; those without a usable pixel, or
        without a partner, have a warning.

    Raises
    ------
    ParameterError
        If levels are held by a method that does not match, or two exposures have one name.
    """
    records = list(exposures)
    fixed = _check(records, parameters, held)
    pairs: list[tuple[int, int]] = []
    coverage = find_coverage(records) if parameters.matches else None
    if coverage is not None:
        limit = None if parameters.upstream else parameters.partners
        pairs = choose_pairs(coverage.overlap, limit)
    measured = measure_all(
        records,
        parameters,
        pairs,
        whole_chips=parameters.method != "match",
        masks=masks,
        flux_scaling=flux_scaling,
        threads=threads,
    )
    matched = _Matched(np.zeros(len(records)), np.full(len(records), -1), (), np.zeros((0, 0)))
    if coverage is not None:
        matched = _match(records, parameters, pairs, measured, coverage, fixed)
    lowest = _lowest(records, measured, np.nan_to_num(matched.level))
    zero = _zeros(parameters, matched, lowest, fixed)
    level = np.nan_to_num(matched.level) + zero
    return _tell(records, parameters, measured, matched, lowest, level, flux_scaling)


def _check(
    exposures: Sequence[ExposureRecord],
    parameters: SkyParameters,
    held: Mapping[str, float] | None,
) -> dict[int, float]:
    """Held levels by number of exposure."""
    names = [exposure.name for exposure in exposures]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ParameterError(f"exposures of one name: {', '.join(twice)}")
    if held and (parameters.upstream or not parameters.matches):
        raise ParameterError(
            f"levels cannot be held by sky method {parameters.method!r} in the "
            f"{parameters.convention} convention; use 'match' or 'globalmin+match' in our own"
        )
    return {k: held[name] for k, name in enumerate(names) if held and name in held}


def _match(
    exposures: Sequence[ExposureRecord],
    parameters: SkyParameters,
    pairs: Sequence[tuple[int, int]],
    measured: Measured,
    coverage: Coverage,
    held: dict[int, float],
) -> _Matched:
    """Solve the differences, and put the zero of every group."""
    n = len(exposures)
    edges, levels = make_edges(exposures, measured, pairs, upstream=parameters.upstream)
    solved = solve_levels(n, edges, shared_pixels(edges, coverage), held)
    groups = find_groups(n, edges)
    tied = np.zeros(n, np.bool_)
    tied[[k for edge in edges for k in (edge.first, edge.second)]] = True
    level = np.where(tied, solved.level, np.nan)
    if parameters.upstream:
        level -= min(float(np.nanmin(level, initial=0.0)), 0.0)
    else:
        for g in np.unique(groups[tied]):
            members = np.flatnonzero((groups == g) & tied)
            if not set(members.tolist()) & set(held):
                level[members] -= level[members].min()
    for k, value in held.items():
        level[k] = value
    order = np.unique(groups[tied])
    group = np.where(tied, np.searchsorted(order, groups), -1)
    overlaps = tuple(
        OverlapSky(
            exposures[edge.first].name,
            exposures[edge.second].name,
            rounded(one.value),
            rounded(two.value),
            one.n,
            two.n,
            rounded(edge.weight),
            rounded(residual),
        )
        for edge, (one, two), residual in zip(edges, levels, solved.residual, strict=True)
    )
    return _Matched(level, group, overlaps, solved.covariance)


def _lowest(exposures: Sequence[ExposureRecord], measured: Measured, level: Floats) -> Floats:
    """Lowest level among the chips of each exposure, less what is matched; NaN without a pixel."""
    lowest = np.full(len(exposures), np.nan)
    for k, exposure in enumerate(exposures):
        chips = [measured.chips.get((k, c.extver)) for c in exposure.chips]
        values = [c.value - float(level[k]) for c in chips if c is not None and c.n > 0]
        if values:
            lowest[k] = min(values)
    return lowest


def _zeros(
    parameters: SkyParameters, matched: _Matched, lowest: Floats, held: Mapping[int, float]
) -> Floats:
    """Find what the method adds to the matched level of each exposure."""
    if parameters.method == "match":
        return np.zeros(lowest.size)
    if parameters.method == "localmin":
        return np.nan_to_num(lowest)
    if parameters.method == "globalmin" or parameters.upstream:
        return np.full(lowest.size, _least(lowest))
    zero = np.nan_to_num(lowest)  # of exposures that nothing ties
    for g in range(int(matched.group.max(initial=-1)) + 1):
        members = np.flatnonzero(matched.group == g)
        whole = bool(set(members.tolist()) & set(held))  # held levels have their zero in them
        zero[members] = 0.0 if whole else _least(lowest[members])
    zero[list(held)] = 0.0
    return zero


def _least(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.min()) if known.size else 0.0


def _tell(
    exposures: Sequence[ExposureRecord],
    parameters: SkyParameters,
    measured: Measured,
    matched: _Matched,
    lowest: Floats,
    level: Floats,
    flux_scaling: bool,
) -> SkySolution:
    """Put levels in words and plain data."""
    kept = [k for k in range(len(exposures)) if k not in measured.failures]
    skies = []
    for k in kept:
        verdict = ACCEPTED
        if parameters.method != "match" and math.isnan(lowest[k]):
            verdict = verdict.warned(_NO_PIXEL)
        if parameters.matches and math.isnan(matched.level[k]):
            verdict = verdict.warned(_NO_OVERLAP)
        if verdict.reason:
            log.warning("%s: %s", exposures[k].url, verdict.reason)
        brightness = rounded(float(level[k]))
        chips = _chip_skies(exposures[k], k, brightness, measured, flux_scaling)
        skies.append(
            ExposureSky(exposures[k].name, brightness, int(matched.group[k]), chips, verdict)
        )
    covariance: tuple[tuple[float, ...], ...] = ()
    if matched.covariance.size:
        covariance = tuple(
            tuple(rounded(float(matched.covariance[i, j])) for j in kept) for i in kept
        )
    failures = tuple(measured.failures[k] for k in sorted(measured.failures))
    for error in failures:
        log.warning("left out of the sky: %s", error)
    return SkySolution(
        parameters,
        tuple(skies),
        matched.overlaps,
        covariance,
        _notes(parameters, skies),
        failures,
    )


def _chip_skies(
    exposure: ExposureRecord, k: int, brightness: float, measured: Measured, flux_scaling: bool
) -> tuple[ChipSky, ...]:
    found = []
    for chip in exposure.chips:
        factor = brightness_factor(exposure, chip, flux_scaling=flux_scaling)
        level = measured.chips.get((k, chip.extver), Level(math.nan, 0, math.inf))
        told = rounded(level.value / factor) if level.n else None
        sky = rounded_sky(brightness / factor)
        found.append(ChipSky(chip.extver, sky, rounded(factor), told, level.n))
    return tuple(found)


def _notes(parameters: SkyParameters, skies: Sequence[ExposureSky]) -> tuple[str, ...]:
    """Say what a reader of the whole must know."""
    if not parameters.matches:
        return ()
    notes = []
    count = max((sky.group for sky in skies), default=-1) + 1
    if count > 1:
        lists = (", ".join(s.name for s in skies if s.group == g) for g in range(count))
        zero = "one zero level, though" if parameters.upstream else "each with its own zero level:"
        notes.append(
            f"{count} groups of exposures without a common overlap, {zero} " + "; ".join(lists)
        )
    alone = [sky.name for sky in skies if sky.group < 0]
    if alone:
        notes.append(f"not matched, for nothing ties them: {', '.join(alone)}")
    return tuple(notes)
