"""Figures beside gates, and paired timing: what every benchmark script says and how it times.

Lives here: `Figure`, the table that scripts print, alternating trials.  Not here: inputs
(``inputs``) and anything that is measured.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: Where inputs are kept between runs.
CACHE = Path("~/.cache/hapdask-benchmarks").expanduser()


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, and the one asked for.

    ``sense`` is ``">="``, ``"<="``, ``"=="`` or ``""`` where nothing is asked.
    """

    name: str
    value: float
    unit: str = ""
    sense: str = ""
    asked: float = 0.0
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the gate is met; None where there is none."""
        if not self.sense:
            return None
        return {
            ">=": self.value >= self.asked,
            "<=": self.value <= self.asked,
            "==": self.value == self.asked,
        }[self.sense]

    def __str__(self) -> str:
        asked = f"{self.sense} {self.asked:g}" if self.sense else ""
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        measured = f"{self.name:<58} {self.value:>12.5g} {self.unit:<9}"
        return f"{measured} {asked:<12} {verdict:<7}{self.note}".rstrip()


def show(title: str, figures: Sequence[Figure], *, quick: bool = False) -> None:
    """Print figures as a table, with the machine and its load."""
    load = os.getloadavg()[0]
    print(f"\n{title}")
    if quick:
        print("quick: a small case, its figures say nothing about the gates")
    print(f"{platform.machine()}, {os.cpu_count()} processors, load {load:.1f}")
    if load > 1.5:
        print("the machine is loaded: trust accuracies, counts and ratios, not times")
    print(f"{'':<58} {'measured':>12} {'':<9} asked")
    for figure in figures:
        print(figure)


def make_parser(doc: str | None) -> ArgumentParser:
    """Make a parser with the options that all scripts share."""
    parser = ArgumentParser(description=doc, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, default=CACHE, help="inputs and outputs go here")
    parser.add_argument(
        "--quick", action="store_true", help="a small case in seconds: shows that it runs"
    )
    return parser


def keep_memory() -> None:
    """Let malloc keep what is freed (glibc only), for the rest of this process.

    Otherwise each trial's arrays are new memory, which a virtual machine may take from its host
    page by page, at half a gigabyte a second: that would be timed instead of the kernels.
    """
    import ctypes

    trim_threshold, mmap_threshold, mmap_max = -1, -3, -4
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(mmap_max, 0)
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, (1 << 31) - 1)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call, all threads of the process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def wall_and_cpu(work: Callable[[], object]) -> tuple[float, float]:
    """Wall time and CPU time of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def alternate(first: Callable[[], T], second: Callable[[], T], pairs: int) -> list[tuple[T, T]]:
    """Run two trials in pairs, the order changing from pair to pair.

    A shared machine's clock drifts by tens of percent within seconds; only neighbours in time
    compare, and neither may always come after the other.
    """
    results = []
    for k in range(pairs):
        if k % 2:
            late = second()
            results.append((first(), late))
        else:
            early = first()
            results.append((early, second()))
    return results


def median(values: Sequence[float]) -> float:
    """Median of some figures."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Lowest and highest, to stand beside a median."""
    return f"({min(values):.3g} to {max(values):.3g})"
