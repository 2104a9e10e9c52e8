"""A field of several visits, detectors and dithers, written to disk with its truth.

What lives here: what is observed when, and the truth files. One exposure is made in ``exposure``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hapdask.errors import ParameterError
from hapdask.simulate.detectors import Passband, get_detector, get_passband
from hapdask.simulate.exposure import simulate_exposure
from hapdask.simulate.names import make_rootname
from hapdask.simulate.pointing import Pointing, PointingError
from hapdask.simulate.readout import Options
from hapdask.simulate.scene import Scene
from hapdask.simulate.setups import Setup
from hapdask.simulate.truth import (
    chip_rows,
    write_cosmic_rays,
    write_drawn,
    write_pointings,
    write_sources,
)

log = logging.getLogger(__name__)

_OVERHEAD = 120.0  # s between exposures
_RADIUS = 0.045  # degrees: covers WFC at any roll and dither
_N_STARS, _N_GALAXIES = 1500, 400


@dataclass(frozen=True, slots=True)
class Visit:
    """What one visit observes.

    Parameters
    ----------
    name : str
        Two letters or digits, as in the rootname.
    roll : float
        Position angle of V3, degrees.
    date : str
        UT of its start, ISO 8601.
    setups : tuple of Setup
        In order.
    """

    name: str
    roll: float
    date: str
    setups: tuple[Setup, ...]


@dataclass(frozen=True, slots=True)
class PointingScatter:
    """How far the headers' WCSs are from the truth.

    Parameters
    ----------
    visit, exposure : float
        Rms shift per axis common to a visit, and of each exposure, arcsec.
    rotation : float
        Rms rotation common to a visit, degrees.
    aligned : bool
        Whether the headers claim a fit to Gaia.
    """

    visit: float = 0.0
    exposure: float = 0.003
    rotation: float = 0.0
    aligned: bool = True

    @classmethod
    def unaligned(cls) -> PointingScatter:
        """Errors as guide stars leave them, and headers that claim no fit."""
        return cls(visit=0.3, exposure=0.01, rotation=0.005, aligned=False)


@dataclass(frozen=True, slots=True)
class SimulatedField:
    """Files of a simulated field.

    Parameters
    ----------
    exposures : tuple of Path
        FLC, FLT and C0M files, in order of time (a C1M stands beside its C0M).
    cosmic_rays : tuple of Path
        Truth masks of each, ``<rootname>_crtruth.npz`` with arrays ``sci1``, ``sci2``: bool,
        shape (ny, nx), True where a particle left a charge.
    drawn : tuple of Path
        Sources of each, ``<rootname>_truth.ecsv``: where they fall on which chip, where they
        were on the sky then, and how bright they were recorded.
    sources : Path
        ``truth.ecsv``: the scene, with electrons / s per filter at nominal sensitivity.
    pointings : Path
        ``truth_exposures.ecsv``: of every chip, true and header WCS, errors, sky, sensitivity,
        PSF, pedestals.
    """

    exposures: tuple[Path, ...]
    cosmic_rays: tuple[Path, ...]
    drawn: tuple[Path, ...]
    sources: Path
    pointings: Path


_DITHERS = ((-1.315, -1.655), (1.315, 1.655))  # closes the gaps between chips; half-pixel phases
_DEMO_SETUPS = (
    Setup("WFC3", "UVIS", "F606W", 600.0, _DITHERS),
    Setup("ACS", "WFC", "F814W", 500.0, _DITHERS),
    Setup("WFC3", "IR", "F160W", 400.0, _DITHERS),
)

#: The field of the demo: two visits, two years and 75 degrees of roll apart.
DEMO_VISITS = (
    Visit("01", 35.0, "2018-03-05T02:10:00", _DEMO_SETUPS),
    Visit("02", 110.0, "2020-05-21T17:45:00", _DEMO_SETUPS),
)


@dataclass(frozen=True, slots=True)
class _Job:
    rootname: str
    setup: Setup
    passband: Passband
    pointing: Pointing
    seed: int


class _Done(NamedTuple):
    path: Path
    mask: Path
    drawn: Path
    rows: list[dict[str, object]]


def simulate_field(
    outdir: str | os.PathLike[str],
    ra: float,
    dec: float,
    seed: int,
    *,
    visits: Sequence[Visit] = DEMO_VISITS,
    scene: Scene | None = None,
    options: Options | None = None,
    scatter: PointingScatter | None = None,
    proper_motion: float = 0.0,
    program: str = "sim",
    workers: int = 1,
    progress: Callable[[int, int, Path], None] | None = None,
) -> SimulatedField:
    """Simulate a field and write its exposures and its truth.

    Parameters
    ----------
    outdir : path-like
        Folder, made when missing. Files of the same name are replaced.
    ra, dec : float
        Centre of the field, degrees; anywhere on the sky.
    seed : int
        Same arguments and seed, same bytes, whatever `workers`.
    visits : sequence of Visit
        What is observed.
    scene : Scene, optional
        The true sky; by default a random one.
    options : Options, optional
        What is simulated; default everything.
    scatter : PointingScatter, optional
        Errors of the headers' WCSs; by default those left by a good alignment.
    proper_motion : float
        Rms of the proper motions of the random scene's stars on each axis, mas / yr.
    program : str
        Three letters or digits, as in the rootnames.
    workers : int
        Threads; each holds one exposure (about 1 GB for a CCD).
    progress : callable, optional
        Called with (done, total, path) after every exposure, in their order.

    Returns
    -------
    SimulatedField

    Raises
    ------
    ParameterError
        If a name or number is impossible; before anything is written.
    """
    if workers < 1:
        raise ParameterError(f"workers={workers} must be 1 or more")
    jobs = list(_schedule(ra, dec, seed, visits, scatter or PointingScatter(), program))
    if scene is None:
        scene = Scene.random(ra, dec, _RADIUS, _N_STARS, _N_GALAXIES, seed, proper_motion)
    folder = Path(outdir)
    folder.mkdir(parents=True, exist_ok=True)

    done: list[_Done] = []
    with ThreadPoolExecutor(workers) as pool:
        for made in pool.map(lambda job: _make(folder, scene, job, options), jobs):
            done.append(made)
            if progress is not None:
                progress(len(done), len(jobs), made.path)
    sources = write_sources(folder / "truth.ecsv", scene, [job.passband for job in jobs])
    rows = [row for made in done for row in made.rows]
    pointings = write_pointings(folder / "truth_exposures.ecsv", rows)
    files, masks, drawn, _ = zip(*done, strict=True) if done else ((), (), (), ())
    return SimulatedField(files, masks, drawn, sources, pointings)


def _schedule(
    ra: float,
    dec: float,
    seed: int,
    visits: Sequence[Visit],
    scatter: PointingScatter,
    program: str,
) -> Iterator[_Job]:
    """Say what is observed when, checking every name; random errors depend on the seed alone."""
    from astropy.time import Time, TimeDelta

    names = [visit.name for visit in visits]
    if len(set(names)) < len(names):
        raise ParameterError(f"visits have the same name: {', '.join(names)}")
    for index, visit in enumerate(visits):
        rng = np.random.default_rng([seed, index])
        visit_error = rng.normal(0.0, 1.0, 3) * (scatter.visit, scatter.visit, scatter.rotation)
        start, number = Time(visit.date, scale="utc"), 0
        for setup in visit.setups:
            detector = get_detector(setup.instrument, setup.detector)
            band = get_passband(detector, setup.filter_name)
            setup.mode.check(detector)
            for dither in setup.dithers:
                number += 1
                jitter = (*rng.normal(0.0, scatter.exposure, 2), 0.0)
                error = PointingError(*(visit_error + jitter).tolist())
                pointing = Pointing(ra, dec, visit.roll, start.isot, dither, error, scatter.aligned)
                root = make_rootname(detector.prefix, program, visit.name, number)
                yield _Job(root, setup, band, pointing, int(rng.integers(2**62)))
                start = start + TimeDelta(setup.exptime + _OVERHEAD, format="sec")


def _make(folder: Path, scene: Scene, job: _Job, options: Options | None) -> _Done:
    setup = job.setup
    exposure = simulate_exposure(
        scene, setup.instrument, setup.detector, setup.filter_name, job.pointing, setup.exptime,
        seed=job.seed, options=options, rootname=job.rootname, mode=setup.mode,
    )  # fmt: skip
    path = exposure.write(folder)
    mask = write_cosmic_rays(folder / f"{job.rootname}_crtruth.npz", exposure)
    drawn = write_drawn(folder / f"{job.rootname}_truth.ecsv", exposure)
    log.info("simulated %s", path)
    return _Done(path, mask, drawn, list(chip_rows(exposure)))
