"""What long recipes tell while they run, and what they report of inputs that they left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hapdask.errors import HapdaskError, InputError, PlanError
from hapdask.observe.exposure import Exposures
from hapdask.observe.record import ExposureRecord


@dataclass(frozen=True, slots=True)
class Step:
    """News of a long run.

    Attributes
    ----------
    task : str
        What is being done.
    done, total : int
        How many of its parts.
    unit : str
        What the parts are.
    bytes : int
        Read and written so far.
    kept : int
        Parts that were there already; told at the end.
    """

    task: str
    done: int
    total: int
    unit: str
    bytes: int = 0
    kept: int = 0


Listener = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An input that is not in the products, and why."""

    file: str
    reason: str
    remedy: str = ""

    @classmethod
    def of(cls, error: HapdaskError) -> LeftOut:
        """Make it of the error that an input caused."""
        if not isinstance(error, InputError):
            return cls("", str(error))
        where = f"{error.ext}: " if error.ext else ""
        return cls(error.path, where + error.problem, error.remedy or "")

    def error(self) -> InputError:
        """Make the error that it is where nothing may be left out."""
        return InputError(self.file, self.reason, remedy=self.remedy or None)


def none_left(left_out: Iterable[LeftOut]) -> PlanError:
    """Make the error of a run that has lost all its inputs."""
    reasons = "".join(f"\n  {each.error()}" for each in left_out)
    return PlanError(f"no exposure is left:{reasons or ' none was given'}")


def rejected(exposures: Iterable[ExposureRecord]) -> list[LeftOut]:
    """Name the files that were given but cannot be used.

    A FLT beside its FLC is not missed, nor a c1m whose c0m is used.
    """
    if not isinstance(exposures, Exposures):
        return []
    used = {exposure.name: exposure for exposure in exposures}
    flags = {chip.dq.url for exposure in exposures for chip in exposure.chips if chip.dq}
    found = []
    for url, verdict in exposures.verdicts:
        if verdict.status != "rejected":
            continue
        kept = used.get(verdict.value) if verdict.keyword == "ROOTNAME" else None
        if kept is not None and kept.suffix == "flc" and url.endswith("_flt.fits"):
            continue
        if url in flags:
            continue
        card = f" ({verdict.keyword} = {verdict.value})" if verdict.keyword else ""
        found.append(LeftOut(url, verdict.reason + card))
    return found


def warned(exposures: Exposures) -> list[LeftOut]:
    """Name what was given and is used, or is of no use, though nothing is wrong with it."""
    return [
        LeftOut(url, verdict.reason)
        for url, verdict in exposures.verdicts
        if verdict.status == "warning"
    ]


def silence(step: Step) -> None:
    """Listen and tell nobody."""


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add the wall time of a block to a part."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - start
