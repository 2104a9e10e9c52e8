"""Simulated visits with pointing errors, a Gaia-like reference catalog, and the truth beside them.

Lives here: what is observed, how wrong the headers are, how good the catalog is, and how far a
solution is from the truth.  Not here: anything that aligns.

A folder of a visit holds its FLC or FLT files, ``refcat.ecsv``, ``poller.out`` and per exposure
``<rootname>_truth.ecsv``: where each star was drawn, on the chip and on the sky.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hapdask.observe.record import ExposureRecord
from hapdask.simulate import Mode, Options, Pointing, PointingError, Scene, simulate_exposure
from hapdask.simulate.modes import WHOLE
from hapdask.simulate.names import make_rootname
from hapdask.simulate.scene import EPOCH
from hapdask.simulate.truth import write_drawn

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]

#: Of every visit, ICRS degrees.
CENTER = (182.6, 28.2)
#: Arcsec: between whole and half pixels, and enough to clear bad columns and the gap.
DITHERS = ((0.0, 0.0), (2.406, 1.231), (-1.297, 3.615), (3.713, -2.388))
#: Degrees about `CENTER` that hold a whole chip pair at any roll and dither.
RADIUS = 0.036
_REFERENCE_MAGS = (17.0, 20.9)
_OVERHEAD = 120.0  # s between exposures
_PROGRAM, _PROPOSAL = "b46", 11665


@dataclass(frozen=True, slots=True)
class Errors:
    """How far headers are from the truth.

    ``shift`` (arcsec, in a random direction) and ``rotation`` (degrees, of a random sign) are of
    the visit; each exposure has ``jitter`` (arcsec, rms on each axis) and ``turn`` (degrees, rms)
    besides.
    """

    shift: float = 1.0
    rotation: float = 0.01
    jitter: float = 0.02
    turn: float = 0.0005

    def draw(self, count: int, rng: np.random.Generator) -> list[PointingError]:
        """Draw the errors of the exposures of a visit."""
        angle, sign = rng.uniform(0.0, 2.0 * math.pi), rng.choice([-1.0, 1.0])
        common = self.shift * math.sin(angle), self.shift * math.cos(angle), sign * self.rotation
        each = rng.normal(0.0, 1.0, (count, 3)) * (self.jitter, self.jitter, self.turn)
        return [PointingError(*row) for row in (np.array(common) + each).tolist()]


@dataclass(frozen=True, slots=True)
class Observation:
    """One exposure to be made."""

    instrument: str
    detector: str
    filter_name: str
    dither: tuple[float, float]
    exptime: float = 500.0
    mode: Mode = WHOLE


@dataclass(frozen=True, slots=True)
class SimulatedVisit:
    """Files of a visit: ``exposures`` in order of time, the reference catalog."""

    folder: Path
    exposures: tuple[Path, ...]

    @property
    def catalog(self) -> Path:
        """Reference stars at 2016.0, with proper motions and their errors; Gaia's column names."""
        return self.folder / "refcat.ecsv"

    @property
    def poller(self) -> Path:
        """Lines as ``runsinglehap`` reads them."""
        return self.folder / "poller.out"

    def truth(self, exposure: Path) -> Table:
        """Read where the sources of an exposure are: extver, x, y (0-based), ra, dec."""
        from astropy.table import Table

        return Table.read(self.folder / f"{exposure.name[:9]}_truth.ecsv")


def make_scene(
    seed: int,
    *,
    references: int = 700,
    others: int = 1200,
    galaxies: int = 300,
    radius: float = RADIUS,
    motion: float = 5.0,
    center: tuple[float, float] = CENTER,
) -> Scene:
    """Make a sky: ``references`` stars that a catalog may know, first in order, and fainter ones.

    Parameters
    ----------
    seed : int
    references, others, galaxies : int
        How many within ``radius`` (degrees).
    motion : float
        Rms of the stars' proper motions on each axis, mas / yr.
    """
    faint = Scene.random(*center, radius, references + others, galaxies, seed, motion)
    mag = faint.mag.copy()
    rng = np.random.default_rng([seed, 2])
    low, high = (10.0 ** (0.2 * m) for m in _REFERENCE_MAGS)
    mag[:references] = 5.0 * np.log10(rng.uniform(low, high, references))
    mag[references:] = np.maximum(mag[references:], _REFERENCE_MAGS[1] + 0.2)
    columns = {**{name: getattr(faint, name) for name in faint.__dataclass_fields__}, "mag": mag}
    return Scene(**columns)


def gaia_error(mag: Floats) -> Floats:
    """Error of a position of Gaia's third release at its epoch, mas.

    Source: Lindegren et al. 2021, A&A 649, A2, table 4 (0.02 to 0.03 mas at G < 15, 0.07 at 17,
    0.5 at 20, 1.3 at 21), interpolated in the logarithm.
    """
    known = np.interp(mag, [15.0, 17.0, 20.0, 21.0], np.log10([0.025, 0.07, 0.5, 1.3]))
    return np.asarray(10.0**known)


def reference_catalog(scene: Scene, count: int, seed: int) -> Table:
    """Measure the first ``count`` stars of a scene as Gaia would: at 2016.0, in mas and mas / yr.

    Proper motions are as uncertain per year as positions.
    """
    from astropy.table import Table

    rng = np.random.default_rng([seed, 3])
    sigma = gaia_error(scene.mag[:count])
    off = rng.normal(0.0, 1.0, (4, count)) * sigma
    dec = scene.dec[:count]
    columns = {
        "source_id": np.arange(1, count + 1),
        "ra": scene.ra[:count] + off[0] / 3.6e6 / np.cos(np.radians(dec)),
        "ra_error": sigma,
        "dec": dec + off[1] / 3.6e6,
        "dec_error": sigma,
        "pmra": scene.pm_ra[:count] + off[2],
        "pmra_error": sigma,
        "pmdec": scene.pm_dec[:count] + off[3],
        "pmdec_error": sigma,
        "phot_g_mean_mag": scene.mag[:count],
        "ref_epoch": np.full(count, EPOCH),
    }
    units = {"ra": "deg", "dec": "deg", "ref_epoch": "yr"}
    units |= dict.fromkeys(("ra_error", "dec_error"), "mas")
    units |= {name: "mas / yr" for name in columns if name.startswith("pm")}
    return Table(columns, units=units)


def simulate_visit(
    folder: Path,
    scene: Scene,
    catalog: Table,
    observations: Sequence[Observation],
    *,
    seed: int,
    visit: str = "06",
    date: str = "2018-06-01T02:00:00",
    roll: float = 35.0,
    errors: Errors | None = None,
    options: Options | None = None,
    center: tuple[float, float] = CENTER,
) -> SimulatedVisit:
    """Simulate a visit, unless it is there already (its catalog is written last)."""
    from astropy.time import Time, TimeDelta

    done = folder / "refcat.ecsv"
    if done.exists():
        return SimulatedVisit(folder, tuple(sorted(folder.glob("*_fl?.fits"))))
    start, paths = Time(date, scale="utc"), []
    drawn = (errors or Errors()).draw(len(observations), np.random.default_rng([seed, 4]))
    for k, (made, error) in enumerate(zip(observations, drawn, strict=True)):
        pointing = Pointing(*center, roll, start.isot, made.dither, error, aligned=False)
        prefix = {"WFC3": "i", "ACS": "j"}[made.instrument]
        exposure = simulate_exposure(
            scene, made.instrument, made.detector, made.filter_name, pointing, made.exptime,
            seed=100 * seed + k, options=options, mode=made.mode, proposal=_PROPOSAL,
            rootname=make_rootname(prefix, _PROGRAM, visit, k + 1),
        )  # fmt: skip
        paths.append(exposure.write(folder))
        write_drawn(folder / f"{exposure.rootname}_truth.ecsv", exposure)
        start = start + TimeDelta(made.exptime + _OVERHEAD, format="sec")
    result = SimulatedVisit(folder, tuple(paths))
    _write_poller(result.poller, paths, observations, visit)
    catalog.write(done, overwrite=True)
    return result


def _write_poller(
    path: Path, exposures: Sequence[Path], observations: Sequence[Observation], visit: str
) -> None:
    lines = []
    for file, made in zip(exposures, observations, strict=True):
        words = (file.name, _PROPOSAL, _PROGRAM.upper(), visit, made.exptime, made.filter_name)
        lines.append(",".join(map(str, (*words, made.detector, file.resolve()))))
    path.write_text("\n".join(lines) + "\n")


def residuals(record: ExposureRecord, truth: Table) -> Floats:
    """Tell how far a solution puts the sources on the chips from where they truly are.

    Parameters
    ----------
    record : ExposureRecord
        With the solution.
    truth : Table
        Of `SimulatedVisit.truth`.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        East and north, mas.
    """
    here = on_chips(record, truth)
    ra, dec = (np.asarray(truth[name], float)[here] for name in ("ra", "dec"))
    found_ra, found_dec = np.empty(len(ra)), np.empty(len(ra))
    x, y, extver = (np.asarray(truth[name])[here] for name in ("x", "y", "extver"))
    for chip in record.chips:
        mine = extver == chip.extver
        found_ra[mine], found_dec[mine] = chip.distortion.pixel_to_sky(x[mine], y[mine])
    east = np.remainder(found_ra - ra + 180.0, 360.0) - 180.0
    return np.stack([east * np.cos(np.radians(dec)), found_dec - dec], axis=-1) * 3.6e6


def on_chips(record: ExposureRecord, truth: Table, margin: float = 0.0) -> NDArray[np.bool_]:
    """Tell which sources of a truth lie on a chip, ``margin`` pixels inside it; negative: about it.

    Sources that lie beside a chip are drawn too, for their light.
    """
    x, y = np.asarray(truth["x"], float), np.asarray(truth["y"], float)
    seen = np.zeros(len(truth), bool)
    for chip in record.chips:
        ny, nx = chip.shape
        inside = (x >= margin) & (x < nx - margin) & (y >= margin) & (y < ny - margin)
        seen |= inside & (np.asarray(truth["extver"]) == chip.extver)
    return seen


def typical(offsets: Floats) -> float:
    """Median length of offsets, mas."""
    return float(np.median(np.hypot(*offsets.T)))
