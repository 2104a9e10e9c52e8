"""The demonstration: a simulated field, made into the mosaics of every sky cell that it touches.

Two visits at different rolls, each with WFC3/UVIS, ACS/WFC and WFC3/IR, on a border between two
sky cells of one projection cell.  Lives here: where and what.  Not here: how (`simulate`,
`batch`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hapdask import __version__
from hapdask.errors import ParameterError
from hapdask.observe.exposure import open_exposures
from hapdask.recipes.batch import Report, Request, plan_batch, run_batch
from hapdask.recipes.reporting import Listener, Step, silence, timed
from hapdask.recipes.stamps import Stamps, stamp_of
from hapdask.simulate import DEMO_VISITS, Visit, simulate_field

#: Centre of the field: in the pixels that skycell-p1889x11y11 and x12y11 share.
RA, DEC = 179.8643, 26.0027
SEED = 1
SIZES = ("small", "full")

_FILES = "files of the field"


def demo_visits(size: str) -> tuple[Visit, ...]:
    """Say what is observed: ``full`` with two dithers of each setup, ``small`` with one.

    Raises
    ------
    ParameterError
        On another size.
    """
    if size == "full":
        return DEMO_VISITS
    if size != "small":
        raise ParameterError(f"size must be one of {', '.join(SIZES)}, not {size!r}")
    return tuple(
        replace(v, setups=tuple(replace(s, dithers=s.dithers[:1]) for s in v.setups))
        for v in DEMO_VISITS
    )


def simulate_demo(
    folder: str | Path, *, size: str = "full", threads: int = 1, progress: Listener = silence
) -> tuple[Path, ...]:
    """Simulate the field, unless it is there as it was written.

    Parameters
    ----------
    folder : path
        Made when missing.
    size : {"full", "small"}
    threads : int
        Exposures simulated at a time, about 1 GB each.
    progress : callable, optional

    Returns
    -------
    tuple of Path
        The exposures.
    """
    visits, task = demo_visits(size), "simulate exposures"
    stamps = Stamps(folder)
    stamp = stamp_of(__version__, size, RA, DEC, SEED)
    names = stamps.value(_FILES, stamp) or []
    if names and all(stamps.fresh(name, stamp) for name in names):
        progress(Step(task, len(names), len(names), "exposures", kept=len(names)))
        return tuple(stamps.folder / name for name in names)
    total = sum(len(setup.dithers) for visit in visits for setup in visit.setups)
    moved = 0

    def tell(done: int, total: int, path: Path) -> None:
        nonlocal moved
        moved += path.stat().st_size
        progress(Step(task, done, total, "exposures", moved))

    progress(Step(task, 0, total, "exposures"))
    field = simulate_field(folder, RA, DEC, SEED, visits=visits, workers=threads, progress=tell)
    for path in field.exposures:
        stamps.record(path.name, stamp)
    stamps.remember(_FILES, stamp, [path.name for path in field.exposures])
    return field.exposures


def demo(
    out: str | Path, *, size: str = "full", threads: int = 1, progress: Listener = silence
) -> Report:
    """Simulate the field and make all its mosaics.

    Parameters
    ----------
    out : path
        Exposures go to ``exposures`` below it, all else where `run_batch` puts it.
    size : {"full", "small"}
    threads : int
    progress : callable, optional

    Returns
    -------
    Report
    """
    seconds: dict[str, float] = {}
    with timed(seconds, "simulate"):
        paths = simulate_demo(
            Path(out) / "exposures", size=size, threads=threads, progress=progress
        )
    exposures = open_exposures(paths)
    batch = plan_batch(exposures, Request(out=Path(out), threads=threads), progress=progress)
    report = run_batch(batch, progress=progress)
    return replace(report, seconds=seconds | dict(report.seconds))
