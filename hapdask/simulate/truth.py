"""Truth files of a simulated field: sources, pointings, cosmic rays.

What lives here: what stands in them. Which exposures there are is decided in ``field``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from hapdask.simulate.detectors import Passband
from hapdask.simulate.exposure import SimulatedExposure
from hapdask.simulate.files import write_whole
from hapdask.simulate.scene import EPOCH, Scene

if TYPE_CHECKING:
    from astropy.table import Table


def chip_rows(exposure: SimulatedExposure) -> Iterator[dict[str, object]]:
    """Tell the true and the header's WCS of each chip of an exposure.

    Parameters
    ----------
    exposure : SimulatedExposure
        As simulated.

    Yields
    ------
    dict
        One row of the table of pointings.
    """
    pointing = exposure.pointing
    for ver, chip in exposure.chips.items():
        row: dict[str, object] = {
            "file": exposure.filename, "rootname": exposure.rootname,
            "epoch": exposure.setting.year,
            "visit": exposure.rootname[4:6], "instrument": exposure.detector.instrument,
            "detector": exposure.detector.detector,
            "filter": exposure.passband.filter, "exptime": exposure.exptime, "extver": ver,
            "roll": pointing.roll, "postarg1": pointing.dither[0],
            "postarg2": pointing.dither[1], "sky": chip.sky, "error_east": pointing.error.east,
            "error_north": pointing.error.north, "error_rotation": pointing.error.rotation,
            **_state(exposure, ver),
        }  # fmt: skip
        for label, geometry in (("true", chip.geometry), ("header", chip.header_geometry)):
            frame = geometry.frame
            row |= {f"{label}_crval1": frame.crval[0], f"{label}_crval2": frame.crval[1]}
            row |= {
                f"{label}_cd{i + 1}_{j + 1}": float(frame.cd[i, j]) for i in (0, 1) for j in (0, 1)
            }
        yield row


def _state(exposure: SimulatedExposure, ver: int) -> dict[str, object]:
    """Tell of a chip how it was read, how sensitive it was, its PSF and its pedestals."""
    setting, chip = exposure.setting, exposure.chips[ver]
    window = setting.windows[ver]
    state: dict[str, object] = {
        "chip": window.extver, "x0": window.x0, "y0": window.y0, "binning": window.binning,
        "gain": setting.gain(ver), "photflam": setting.photflam(ver),
        "sensitivity": setting.response(ver), "focus": setting.conditions.focus,
    }  # fmt: skip
    for i, (share, sigma) in enumerate(zip(chip.psf.shares, chip.psf.sigmas, strict=True), 1):
        state |= {f"psf_share{i}": share, f"psf_sigma{i}": sigma}
    state["pedestals"] = " ".join(f"{amp}={value:.4f}" for amp, value in chip.pedestals.items())
    return state


def write_cosmic_rays(path: Path, exposure: SimulatedExposure) -> Path:
    """Write the true cosmic-ray masks of an exposure as a compressed NPZ file.

    Parameters
    ----------
    path : Path
        Where to.
    exposure : SimulatedExposure
        As simulated.

    Returns
    -------
    Path
        The same. Arrays ``sci1``, ``sci2``: bool, shape (ny, nx), True where truly hit.
    """
    masks = {f"sci{ver}": chip.cosmic_rays for ver, chip in exposure.chips.items()}
    write_whole(path, lambda stream: np.savez_compressed(stream, allow_pickle=False, **masks))
    return path


def write_sources(path: Path, scene: Scene, passbands: Iterable[Passband]) -> Path:
    """Write the scene, with the rate of every source in some filters, as ECSV.

    Parameters
    ----------
    path : Path
        Where to.
    scene : Scene
        The true sky.
    passbands : iterable of Passband
        Each makes a column ``rate_<instrument>_<detector>_<filter>``, electron / s.

    Returns
    -------
    Path
        The same.
    """
    table = scene.table()
    for band in dict.fromkeys(passbands):  # each once, in order
        name = f"rate_{band.instrument}_{band.detector}_{band.filter}".lower()
        table[name] = scene.rates(band)
        table[name].unit = "electron / s"
    table.meta["comments"] = [
        "mag: AB at 5500 Angstrom; color: AB at 5500 minus 8000 Angstrom; made by hapdask.simulate",
        f"positions of {EPOCH}; pm_ra with the factor cos(dec); rates at nominal sensitivity",
    ]
    write_whole(path, lambda stream: _ecsv(table, stream))
    return path


def write_drawn(path: Path, exposure: SimulatedExposure) -> Path:
    """Write where each source falls in an exposure and how bright it was, as ECSV.

    Parameters
    ----------
    path : Path
        Where to.
    exposure : SimulatedExposure
        As simulated.

    Returns
    -------
    Path
        The same. Columns: ``id`` (as in the scene's table), ``extver``, ``x``, ``y`` (0-based
        pixels), ``ra``, ``dec`` (degrees, at the exposure's epoch), ``rate`` (electron / s at its
        sensitivity), ``area`` (relative pixel area: recorded is rate / area), ``spiked``.
    """
    from astropy.table import Table

    columns: dict[str, list[np.ndarray]] = {}
    for ver, chip in exposure.chips.items():
        drawn = chip.sources
        row = {
            "id": drawn.source + 1, "extver": np.full(drawn.source.size, ver),
            "x": drawn.x, "y": drawn.y, "ra": exposure.scene.ra[drawn.source],
            "dec": exposure.scene.dec[drawn.source], "rate": drawn.rate, "area": drawn.area,
            "spiked": drawn.spiked,
        }  # fmt: skip
        for name, values in row.items():
            columns.setdefault(name, []).append(values)
    table = Table({name: np.concatenate(parts) for name, parts in columns.items()})
    for name, unit in {"ra": "deg", "dec": "deg", "rate": "electron / s"}.items():
        table[name].unit = unit
    write_whole(path, lambda stream: _ecsv(table, stream))
    return path


def write_pointings(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    """Write rows of `chip_rows` as ECSV.

    Parameters
    ----------
    path : Path
        Where to.
    rows : sequence of dict
        One per chip.

    Returns
    -------
    Path
        The same.
    """
    from astropy.table import Table

    table = Table(rows=list(rows))
    units = {"exptime": "s", "roll": "deg", "postarg1": "arcsec", "postarg2": "arcsec",
             "sky": "electron / s", "error_east": "arcsec", "error_north": "arcsec",
             "error_rotation": "deg", "epoch": "yr", "gain": "electron / ct",
             "focus": "um"}  # fmt: skip
    for name, unit in units.items():
        table[name].unit = unit
    write_whole(path, lambda stream: _ecsv(table, stream))
    return path


def _ecsv(table: Table, stream: BinaryIO) -> None:
    lines = io.StringIO()
    table.write(lines, format="ascii.ecsv")
    stream.write(lines.getvalue().encode("ascii"))
