"""Sky levels and masks that users give, in AstroDrizzle's files: skyuser, skyfile, skymask_cat."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hapdask.drizzling.sky_levels.measuring import brightness_factor
from hapdask.drizzling.sky_levels.solution import (
    ChipSky,
    ExposureSky,
    SkySolution,
    rounded,
    rounded_sky,
)
from hapdask.errors import InputError
from hapdask.observe.masking.sources import PathLike
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import ACCEPTED

log = logging.getLogger(__name__)

_LARGEST = 10_000_000  # bytes of a list
_APPLIED = re.compile(r"applied.*?[=:]\s*(\S+)", re.IGNORECASE)
_YES = {"yes", "true", "y", "t"}
_NOT_LISTED = "its sky is not in the file of sky levels; taken as 0"


@dataclass(frozen=True)
class SkyFile:
    """A list of sky levels.

    Attributes
    ----------
    path : str
    levels : tuple of (str, tuple of float)
        Name of a file, or rootname; one level for all chips, or one per EXTVER; SCI units.
    applied : bool
        They were subtracted before the files were written.
    """

    path: str
    levels: tuple[tuple[str, tuple[float, ...]], ...]
    applied: bool = False

    def of(self, exposure: ExposureRecord) -> tuple[float, ...] | None:
        """Levels of an exposure; the last line counts; None where it is not listed."""
        names = (os.path.basename(exposure.url), exposure.name)
        found = [values for name, values in self.levels if os.path.basename(name) in names]
        return found[-1] if found else None


def read_text(path: PathLike) -> list[str]:
    """Read the lines of a small text file of a user's.

    Raises
    ------
    InputError
        If it cannot be read, is huge, or is no text.
    """
    try:
        if os.path.getsize(path) > _LARGEST:
            raise InputError(os.fspath(path), "is too large for a list of exposures")
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(os.fspath(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(os.fspath(path), "is not a text file") from error


def read_sky_file(path: PathLike) -> SkyFile:
    """Read AstroDrizzle's ``skyfile``: lines of a name and one or more levels.

    A comment such as ``# applied = yes`` says that the levels were subtracted already.

    Raises
    ------
    InputError
        If it cannot be read, or a line is neither blank, nor a comment, nor a name and numbers.
    """
    levels, applied = [], False
    for number, line in enumerate(read_text(path), start=1):
        if line.startswith("#"):
            said = _APPLIED.search(line)
            applied = applied or (said is not None and said[1].lower() in _YES)
            continue
        words = line.split()
        if not words:
            continue
        try:
            values = tuple(float(word) for word in words[1:])
        except ValueError:
            values = ()
        if not values or not all(abs(v) < float("inf") for v in values):
            raise InputError(
                os.fspath(path), f"line {number} is not a name and numbers: {line[:80]!r}"
            )
        levels.append((words[0], values))
    return SkyFile(os.fspath(path), tuple(levels), applied)


def sky_from_file(
    exposures: Iterable[ExposureRecord], file: SkyFile | PathLike, *, flux_scaling: bool = True
) -> SkySolution:
    """Take sky levels from a list; an exposure that is not in it gets 0 and a warning.

    Raises
    ------
    InputError
        If the list cannot be read, or has some levels for an exposure but not one per chip.
    """
    listed = file if isinstance(file, SkyFile) else read_sky_file(file)
    records = list(exposures)

    def level(exposure: ExposureRecord, extver: int) -> float | None:
        values = listed.of(exposure)
        if values is None or len(values) == 1:
            return values and values[0]
        if extver > len(values):
            raise InputError(
                listed.path,
                f"{len(values)} levels for {exposure.name}, and none for its SCI,{extver}",
                remedy="give one level for all chips, or one per EXTVER",
            )
        return values[extver - 1]

    return _given(records, level, flux_scaling, removed=listed.applied)


def sky_from_keyword(
    exposures: Iterable[ExposureRecord], keyword: str, *, flux_scaling: bool = True
) -> SkySolution:
    """Take what users subtracted from the cards of SCI: ``skyuser`` of AstroDrizzle.

    Nothing more is subtracted; what was is told as ``removed``.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
        As opened, with their header cards.
    keyword : str
    flux_scaling : bool

    Raises
    ------
    InputError
        If a chip has no such card, or it is not a number.
    """

    def level(exposure: ExposureRecord, extver: int) -> float:
        value = dict(exposure.chip(extver).keywords).get(keyword.upper())
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(
                exposure.url,
                f"{keyword.upper()} = {value!r} is not a sky level",
                ext=f"SCI,{extver}",
                remedy="name the card that holds the sky you subtracted",
            )
        return float(value)

    return _given(list(exposures), level, flux_scaling, removed=True)


def _given(
    exposures: Iterable[ExposureRecord],
    level: Callable[[ExposureRecord, int], float | None],
    flux_scaling: bool,
    *,
    removed: bool,
) -> SkySolution:
    """Make a solution of levels in SCI units; None is a level that is not known."""
    skies = []
    for exposure in exposures:
        found = {chip.extver: level(exposure, chip.extver) for chip in exposure.chips}
        verdict = ACCEPTED
        if None in found.values():
            verdict = verdict.warned(_NOT_LISTED)
            log.warning("%s: %s", exposure.url, _NOT_LISTED)
        chips, brightness = [], []
        for chip in exposure.chips:
            factor = brightness_factor(exposure, chip, flux_scaling=flux_scaling)
            value = found[chip.extver] or 0.0
            sky = 0.0 if removed else value
            brightness.append(sky * factor)
            chips.append(
                ChipSky(
                    chip.extver,
                    rounded_sky(sky),
                    rounded(factor),
                    removed=rounded_sky(value - sky),
                )
            )
        mean = rounded(sum(brightness) / len(brightness))
        skies.append(ExposureSky(exposure.name, mean, -1, tuple(chips), verdict))
    return SkySolution(None, tuple(skies))
