"""The exact map: accuracy against HSTWCS and astropy over whole chips, and speed.

Gates: <= 1e-6 output pixel from ``HSTWCS.all_pix2world`` + ``wcs_world2pix`` for every header
with distortion; >= 80 Mpixel/s per core.  Without ``--headers`` the headers are the simulator's
templates of three detectors, with their complete tables.  Headerlets inside the files count as
headers: those of UVIS hold the complete tables that their host file lacks.
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from benchmarks.report import Figure, make_parser, median, show, spread
from hapdask.kernels import chains, mapping
from hapdask.kernels.jit import kernel
from hapdask.observe.distortion import Distortion
from hapdask.observe.instruments import INSTRUMENTS
from hapdask.simulate.templates import load_template

_SCALE = 0.04 / 3600.0
_TABLES = ("D2IMARR", "WCSDVARR")
_BLOCK = 256
#: Detector rows that are handed to astropy at once.
_ROWS = 64


@dataclass(frozen=True)
class Chip:
    """One WCS with distortion: as astropy reads it, and as we do."""

    label: str
    hdus: fits.HDUList
    extver: int
    distortion: Distortion


def chips_of_templates() -> Iterator[Chip]:
    """Every chip of the simulator's templates."""
    for name in ("wfc3_uvis", "wfc3_ir", "acs_wfc"):
        template = load_template(name)
        hdus = [fits.PrimaryHDU(header=template.headers["PRIMARY", 1].copy())]
        for extver in template.chips:
            header = template.headers["SCI", extver].copy()
            hdus.append(fits.ImageHDU(np.zeros((2, 2), "f4"), header, name="SCI", ver=extver))
        for (extname, ver), values in template.tables.items():
            header = template.headers[extname, ver].copy()
            hdus.append(fits.ImageHDU(values, header, name=extname, ver=ver))
        yield from _chips(name, fits.HDUList(hdus))


def chips_of_folder(folder: Path) -> Iterator[Chip]:
    """Every chip with distortion in the FITS files of a folder and in their headerlets."""
    for path in sorted(folder.glob("*.fits*")):
        hdus = fits.open(path)
        if hdus[0].header.get("A_ORDER"):  # a bare chip
            science = fits.ImageHDU(np.zeros((2, 2), "f4"), hdus[0].header, name="SCI", ver=1)
            hdus = fits.HDUList([fits.PrimaryHDU(header=hdus[0].header), science])
        yield from _chips(path.name, _as_science(hdus[0], hdus))
        for hdu in hdus:
            if hdu.name == "HDRLET":
                label = f"{path.name} {hdu.header['HDRNAME']}"
                inside = fits.open(io.BytesIO(hdu.data.tobytes()))
                yield from _chips(label, _as_science(hdus[0], inside))


def _as_science(primary: Any, hdus: fits.HDUList) -> fits.HDUList:
    """Make a file out of a headerlet: its WCS extensions become SCI.  Others stay as they are."""
    if "SIPWCS" not in hdus:
        return hdus
    out: list[Any] = [fits.PrimaryHDU(header=primary.header)]
    for hdu in hdus[1:]:
        if hdu.name == "SIPWCS":
            ver = hdu.header.get("TG_EVER", hdu.ver)
            out.append(fits.ImageHDU(np.zeros((2, 2), "f4"), hdu.header, name="SCI", ver=ver))
        elif hdu.name in _TABLES:
            out.append(hdu)
    return fits.HDUList(out)


def _chips(label: str, hdus: fits.HDUList) -> Iterator[Chip]:
    tables = {(h.name, h.ver): (_cards(h.header), h.data) for h in hdus if h.name in _TABLES}
    for hdu in hdus:
        if hdu.name == "SCI" and ("A_ORDER" in hdu.header or "CPDIS1" in hdu.header):
            cards = _cards(hdu.header)
            cards["NAXIS2"], cards["NAXIS1"] = _full_shape(hdus[0].header, hdu)
            distortion = Distortion.from_header(cards, tables, path=label, ext=f"SCI,{hdu.ver}")
            yield Chip(f"{label}[{hdu.ver}]", hdus, hdu.ver, distortion)


def _cards(header: fits.Header) -> dict[str, Any]:
    return {c.keyword: c.value for c in header.cards if c.keyword not in ("", "COMMENT", "HISTORY")}


def _full_shape(primary: fits.Header, hdu: Any) -> tuple[int, int]:
    """Shape of the whole chip: files for tests carry stubs, headerlets no pixels at all."""
    if hdu.data is not None and hdu.data.shape[0] > 100:
        return hdu.data.shape[0], hdu.data.shape[1]
    known = INSTRUMENTS.get((primary.get("INSTRUME", ""), primary.get("DETECTOR", "")))
    if known:
        return known.shape
    # CRPIX is the middle of every Hubble chip.
    return int(2 * hdu.header["CRPIX2"]), int(2 * hdu.header["CRPIX1"])


def output_grid(distortion: Distortion) -> WCS:
    """North-up TAN grid of 0.04 arcsec, its tangent point off the chip."""
    grid = WCS(naxis=2)
    grid.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    ra, dec = distortion.crval
    grid.wcs.crval = [ra + 0.02, dec + (0.03 if dec < 0 else -0.03)]
    grid.wcs.crpix = [5000.0, 6000.0]
    grid.wcs.cd = np.array([[-_SCALE, 0.0], [0.0, _SCALE]])
    grid.wcs.set()
    return grid


def chain_to(distortion: Distortion, grid: WCS) -> chains.Chain:
    return distortion.chain_to(tuple(grid.wcs.crval), tuple(grid.wcs.crpix), grid.wcs.cd.ravel())


def error_of(chip: Chip, every: int) -> tuple[float, float]:
    """Largest distance from HSTWCS + astropy over a chip, and astropy's Mpixel/s.

    Centres and lower left corners of every pixel in every ``every``-th row.
    """
    from stwcs.wcsutil import HSTWCS

    grid = output_grid(chip.distortion)
    peer = HSTWCS(chip.hdus, ("SCI", chip.extver))
    ny, nx = chip.distortion.shape
    pixel_map = mapping.make_pixel_map(chain_to(chip.distortion, grid), (ny, nx))
    worst, seconds, count = 0.0, 0.0, 0
    for offset in (0.0, -0.5):
        rows = np.arange(0, ny, every) + offset
        ours = np.empty((2, _ROWS, nx))
        for first in range(0, rows.size, _ROWS):
            part = rows[first : first + _ROWS]
            for k, y in enumerate(part):
                mapping.map_row(pixel_map, offset, float(y), nx, ours[0, k], ours[1, k])
            x, y = np.meshgrid(np.arange(nx) + offset, part)
            start = time.process_time()
            sky = peer.all_pix2world(x.ravel(), y.ravel(), 0)
            px, py = grid.wcs_world2pix(*sky, 0)
            seconds += time.process_time() - start
            count += px.size
            dx = ours[0, : part.size].ravel() - px
            dy = ours[1, : part.size].ravel() - py
            worst = max(worst, float(np.hypot(dx, dy).max()))
    return worst, count / seconds / 1e6


@kernel
def _map_chip(pixel_map: mapping.PixelMap, ny: int, nx: int, corners: NDArray[np.float64]) -> None:
    """Map the corners of every pixel, block by block, as the square kernel does."""
    for first in range(0, nx, _BLOCK):
        n = min(_BLOCK, nx - first)
        for y in range(ny + 1):
            mapping.map_row(pixel_map, first - 0.5, y - 0.5, n + 1, corners[0], corners[1])


class MapSpeed:
    """One UVIS chip, 4096 x 2051 pixels, fitting of the cells included."""

    def setup(self) -> None:
        self.chip = next(chips_of_templates())
        self.grid = output_grid(self.chip.distortion)
        self.corners = np.empty((2, _BLOCK + 1))
        self.time_chip()

    def time_chip(self) -> None:
        shape = self.chip.distortion.shape
        pixel_map = mapping.make_pixel_map(chain_to(self.chip.distortion, self.grid), shape)
        _map_chip(pixel_map, *shape, self.corners)

    def track_speed(self) -> float:
        """Mpixel/s of CPU time."""
        start = time.process_time()
        self.time_chip()
        ny, nx = self.chip.distortion.shape
        return ny * nx / (time.process_time() - start) / 1e6

    def track_error(self) -> float:
        return error_of(self.chip, 64)[0]


def measure(chips: Sequence[Chip], every: int | None) -> list[Figure]:
    """Figures of accuracy: whole chips, but a distortion met before only every 16th row."""
    known: set[str] = set()
    figures = []
    for chip in chips:
        d = chip.distortion
        content = replace(d, crval=(0.0, 0.0), cd=(1.0, 0.0, 0.0, 1.0)).digest
        step = every or (16 if content in known else 1)
        known.add(content)
        worst, peer = error_of(chip, step)
        tables = sum(t is not None for t in (d.d2im_x, d.d2im_y, d.npol_x, d.npol_y))
        note = f"SIP {d.sip_a.shape[0] - 1}, {tables} tables, every {step}. row"
        name = chip.label if len(chip.label) <= 56 else f"...{chip.label[-53:]}"
        figures.append(
            Figure(name, worst, "pixel", "<=", 1e-6, f"{note}; astropy {peer:.2f} Mpix/s")
        )
        print(".", end="", flush=True)
    worst_of_all = max(figures, key=lambda f: f.value)
    figures.append(Figure(f"worst of {len(chips)} chips", worst_of_all.value, "pixel", "<=", 1e-6))
    return figures


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--headers", type=Path, nargs="*", default=(), help="folders of FITS files")
    options = parser.parse_args(argv)
    with warnings.catch_warnings():  # headers of old files are full of oddities
        warnings.simplefilter("ignore")
        chips = [chip for folder in options.headers for chip in chips_of_folder(folder)]
        figures = measure(chips or list(chips_of_templates()), 512 if options.quick else None)
    speed = MapSpeed()
    speed.setup()
    rates = [speed.track_speed() for _ in range(3 if options.quick else 15)]
    figures.append(
        Figure("corners of a UVIS chip", median(rates), "Mpix/s", ">=", 80.0, spread(rates))
    )
    show("Map", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
