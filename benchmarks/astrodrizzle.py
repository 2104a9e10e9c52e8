"""Three detectors through AstroDrizzle 3.11 and through hapdask, on AstroDrizzle's own output WCS.

Gates, final drizzle only: SCI median |difference| < 1e-3 of the noise, 99.9 % < 0.05 outside star
cores; WHT within 1e-3 for 99.9 % where it is above 1 % of its maximum.  AstroDrizzle maps exactly
every 10 pixels and interpolates between (``stepsize``); it is run so, and with ``stepsize`` 0 which
maps every pixel: what then goes away was its interpolation.  What is left are pixels of CTX where a
chip overlaps by less than 1e-8, and C's float32.

AstroDrizzle is looked for in this environment; ``--peer-python`` names another one's Python.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import hapdask as hd
from benchmarks.inputs import simulated
from benchmarks.report import Figure, make_parser, show
from hapdask.config import DrizzleParameters
from hapdask.errors import ParameterError
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

_PEER = Path(__file__).with_name("astrodrizzle_peer.py")
#: Detector and output scale, arcsec.
_CASES = {"IR": ("WFC3", 0.12), "UVIS": ("WFC3", 0.04), "WFC": ("ACS", 0.04)}
_DITHERS = ((0.0, 0.0), (2.63, 3.31))
#: A star's core: this many times the noise above the sky, and two pixels around.
_CORE = 20.0
#: What AstroDrizzle does here: no sky, every flag is bad, no flux scaling.
PARAMETERS = DrizzleParameters(good_bits=0, doubtful_bits=0, sky="none", flux_scaling=False)


@dataclass(frozen=True)
class Mosaic:
    """Planes of either side; ``ctx`` has bit k set for the k-th chip."""

    sci: NDArray[Any]
    wht: NDArray[Any]
    ctx: NDArray[Any]
    err: NDArray[Any] | None = None


def find_peer(given: str | None) -> str:
    """Find a Python that has AstroDrizzle.

    Raises
    ------
    ParameterError
        If there is none.
    """
    if given or os.environ.get("HAPDASK_PEER_PYTHON"):
        return given or os.environ["HAPDASK_PEER_PYTHON"]
    if importlib.util.find_spec("drizzlepac"):
        return sys.executable
    raise ParameterError(
        "drizzlepac is not installed here: pip install 'hapdask[peer]' into an environment, and "
        "name its Python with --peer-python"
    )


def theirs(peer: str, inputs: Sequence[Path], folder: Path, scale: float, step: int) -> Mosaic:
    """Drizzle copies of the inputs in an empty folder with AstroDrizzle."""
    from astropy.io import fits

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in inputs:
        shutil.copy(path, folder)
    command = [peer, "-P", str(_PEER), str(folder), str(scale), str(step)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ParameterError(f"AstroDrizzle failed: {done.stderr[-2000:]}")
    planes = (_native(fits.getdata(_product(folder, kind))) for kind in ("sci", "wht", "ctx"))
    return Mosaic(*planes)


def _product(folder: Path, kind: str) -> Path:
    return next(folder.glob(f"final_dr?_{kind}.fits"))


def _native(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(values.dtype.newbyteorder("="))


def frame_of(folder: Path) -> Frame:
    """Frame of the WCS that AstroDrizzle gave its product."""
    from astropy.io import fits

    header = fits.getheader(_product(folder, "sci"))
    header["RADESYS"] = "ICRS"  # old files say FK5, of theirs and of ours alike
    return Frame.from_header(header, (header["NAXIS2"], header["NAXIS1"]))


def ours(exposures: Sequence[ExposureRecord], frame: Frame) -> Mosaic:
    """Drizzle the same exposures onto a frame."""
    sums = hd.drizzle_tile(exposures, frame, PARAMETERS)
    order = [(e.name, c.extver) for e in exposures for c in e.chips]
    keys, palette = sums.plane("ctx"), sums.palette
    ctx = np.zeros(keys.shape, np.int32)
    for key in palette:
        ctx[keys == key] = sum(1 << order.index(chip) for chip in palette[key])
    return Mosaic(sums.plane("sci"), sums.plane("wht"), ctx, sums.plane("err"))


def compare(mine: Mosaic, peer: Mosaic, label: str) -> list[Figure]:
    """Figures of agreement; the noise is ``err`` of ours."""
    assert mine.err is not None
    both = (mine.wht > 0.0) & (peer.wht > 0.0)
    heavy = both & (peer.wht > 0.01 * peer.wht.max())
    noise = np.where(both, mine.err, np.inf)
    difference = np.abs(np.where(both, mine.sci - peer.sci.astype(np.float64), 0.0)) / noise
    signal = (np.nan_to_num(peer.sci) - np.median(peer.sci[heavy])) / noise
    core = ndimage.binary_dilation(signal > _CORE, iterations=2)
    plain = difference[heavy & ~core]
    relative = np.abs(mine.wht[heavy] / peer.wht[heavy].astype(np.float64) - 1.0)
    figures = [
        ("SCI, median |difference| / noise", np.median(difference[heavy]), 1e-3, ""),
        ("SCI, 99.9 % outside cores", np.quantile(plain, 0.999), 0.05, f"max {plain.max():.2g}"),
        ("WHT, 99.9 % within", np.quantile(relative, 0.999), 1e-3, f"max {relative.max():.2g}"),
    ]
    # Not asked for, but they name what differs.
    in_core = difference[heavy & core]
    seen = [
        ("SCI, 99.9 % inside cores", np.quantile(in_core, 0.999) if in_core.size else 0.0),
        ("WHT, fraction beyond 1e-3", np.mean(relative > 1e-3)),
        ("CTX, pixels that differ", np.count_nonzero(mine.ctx != peer.ctx)),
        ("CTX, largest weight there / max", _largest(peer.wht, mine.ctx != peer.ctx)),
        ("total flux, relative", abs(_flux(mine) / _flux(peer) - 1.0)),
    ]
    return [
        Figure(f"{label} {name}", float(value), "", "<=", asked, note)
        for name, value, asked, note in figures
    ] + [Figure(f"{label} {name}", float(value)) for name, value in seen]


def _largest(weights: NDArray[Any], where: NDArray[np.bool_]) -> float:
    return float(weights[where].max() / weights.max()) if where.any() else 0.0


def _flux(mosaic: Mosaic) -> float:
    return float((np.nan_to_num(mosaic.sci).astype(np.float64) * mosaic.wht).sum())


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--peer-python", help="of an environment with drizzlepac")
    parser.add_argument("--detectors", nargs="+", choices=_CASES, default=list(_CASES))
    parser.add_argument("--stepsize", type=int, nargs="+", default=[10, 0])
    options = parser.parse_args(argv)
    peer = find_peer(options.peer_python)
    detectors, steps = options.detectors, options.stepsize
    if options.quick:
        detectors, steps = ["IR"], [10]
    figures: list[Figure] = []
    for detector in detectors:
        instrument, scale = _CASES[detector]
        inputs = [
            simulated(options.workdir, instrument, detector, seed=11 + k, dither=dither)
            for k, dither in enumerate(_DITHERS)
        ]
        for step in steps:
            folder = options.workdir / "astrodrizzle" / f"{detector.lower()}-{step}"
            product = theirs(peer, inputs, folder, scale, step)
            exposures = hd.open_exposures(sorted(folder.glob("*_fl?.fits")), strict=True)
            mine = ours(exposures, frame_of(folder))
            found = compare(mine, product, f"{detector}, stepsize {step}:")
            print(*found, sep="\n", flush=True)
            figures += found
            shutil.rmtree(folder)
    show("AstroDrizzle", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
