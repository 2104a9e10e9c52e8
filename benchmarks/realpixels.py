"""Real Hubble pixels through AstroDrizzle 3.11 and through hapdask, on AstroDrizzle's output WCS.

``--real DIR`` holds ``j8bt06nyq_flt.fits``, ``j8bt06nyq_flt_sip.fits`` (ACS/HRC, 47 Tuc) and
``u40x010hm_c0m.fits`` with its c1m (WFPC2, omega Cen), each perhaps with ``.gz``: Debian's
``python-drizzle-testdata`` and the sdist of stwcs 1.7.2 have them.

Gates, as in ``astrodrizzle.py``: SCI median |difference| < 1e-3 of the noise, 99.9 % < 0.05 outside
star cores; WHT within 1e-3 for 99.9 %; and the fluxes of 20 isolated stars within 0.2 %.
AstroDrizzle leaves WFPC2's shadow to DQ, so it is left so here too.
"""

from __future__ import annotations

import gzip
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

import hapdask as hd
from benchmarks.astrodrizzle import PARAMETERS, Mosaic, compare, find_peer, frame_of, ours, theirs
from benchmarks.report import Figure, make_parser, show
from hapdask.config.presets import Resolved
from hapdask.errors import ParameterError
from hapdask.observe.record import ChipRecord, ExposureRecord

#: Files of each case; the first is the exposure.
_CASES = {
    "HRC": ("j8bt06nyq_flt.fits",),
    "HRC-SIP": ("j8bt06nyq_flt_sip.fits",),
    "WFPC2": ("u40x010hm_c0m.fits", "u40x010hm_c1m.fits"),
}
_STARS = 20
_APERTURE = 6  # output pixels, radius
_ISOLATION = 15  # output pixels, half side of the square in which a star is the brightest


def unpack(folder: Path, name: str, workdir: Path) -> Path:
    """Copy a file, unpacked, to where it may be written to.

    Raises
    ------
    ParameterError
        If it is not there.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    out = workdir / name
    if (plain := folder / name).exists():
        shutil.copy(plain, out)
    elif (packed := folder / f"{name}.gz").exists():
        out.write_bytes(gzip.decompress(packed.read_bytes()))
    else:
        raise ParameterError(f"{plain} is not there; --real names the folder of the real files")
    return out


def as_upstream(path: Path) -> list[ExposureRecord]:
    """Open an exposure as AstroDrizzle sees it.

    Chips in one gain, no shadow, nothing measured.  Where a header has no IDCSCALE, its pixel
    scale is the length of the first column of CD; ours is the root of its determinant, which keeps
    counts where the pixels are no squares (1.15 times less flux for the plain HRC file).
    """
    opened = hd.open_exposures(path, strict=True)
    layer = opened[0].layer_name
    measured = hd.measure(opened, {layer: Resolved(PARAMETERS, {})}, strict=True).exposures
    return [replace(e, chips=tuple(_chip(c) for c in e.chips)) for e in measured]


def _chip(chip: ChipRecord) -> ChipRecord:
    if "IDCSCALE" in dict(chip.keywords):
        return replace(chip, shadow=())
    cd11, _, cd21, _ = chip.distortion.cd
    return replace(chip, shadow=(), idcscale=3600.0 * math.hypot(cd11, cd21))


def say_counts(path: Path) -> None:
    """Give BUNIT to a c0m file that has none: AstroDrizzle would take its counts for a rate."""
    from astropy.io import fits

    with fits.open(path, mode="update") as hdus:
        for hdu in hdus:
            if hdu.name == "SCI":
                hdu.header["BUNIT"] = "COUNTS"


def stars(mine: Mosaic, peer: Mosaic) -> np.ndarray:
    """Ratios of aperture sums of the brightest stars that are alone and whole in both."""
    whole = np.isfinite(mine.sci) & np.isfinite(peer.sci) & (peer.wht > 0.0) & (mine.wht > 0.0)
    image = np.where(whole, peer.sci, 0.0)
    brightest = ndimage.maximum_filter(image, 2 * _ISOLATION + 1) == image
    y, x = np.mgrid[-_APERTURE : _APERTURE + 1, -_APERTURE : _APERTURE + 1]
    disc = x * x + y * y <= _APERTURE**2
    clear = ndimage.binary_erosion(whole, disc)
    at = np.argwhere(brightest & clear)
    at = at[np.argsort(-image[tuple(at.T)])][:_STARS]
    background = float(np.median(peer.sci[whole]))

    def flux(sci: np.ndarray, j: int, i: int) -> float:
        cut = sci[j - _APERTURE : j + _APERTURE + 1, i - _APERTURE : i + _APERTURE + 1]
        return float((cut.astype(np.float64)[disc] - background).sum())

    return np.array([flux(mine.sci, j, i) / flux(peer.sci, j, i) for j, i in at])


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--peer-python", help="of an environment with drizzlepac")
    parser.add_argument("--real", type=Path, required=True, help="folder of the real files")
    parser.add_argument("--cases", nargs="+", choices=_CASES, default=list(_CASES))
    parser.add_argument("--stepsize", type=int, nargs="+", default=[10, 0])
    options = parser.parse_args(argv)
    peer = find_peer(options.peer_python)
    figures: list[Figure] = []
    for case in options.cases:
        inputs = [unpack(options.real, n, options.workdir / "real") for n in _CASES[case]]
        if case == "WFPC2":
            say_counts(inputs[0])
        for step in options.stepsize:
            folder = options.workdir / "realpixels" / f"{case.lower()}-{step}"
            product = theirs(peer, inputs, folder, 0.0, step)
            mine = ours(as_upstream(inputs[0]), frame_of(folder))
            label = f"{case}, stepsize {step}:"
            figures += compare(mine, product, label)
            worst = np.abs(stars(mine, product) - 1.0)
            note = f"{worst.size} stars"
            figures.append(Figure(f"{label} star fluxes", worst.max(), "", "<=", 2e-3, note))
            shutil.rmtree(folder)
    show("Real pixels", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
