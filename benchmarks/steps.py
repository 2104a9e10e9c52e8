"""AstroDrizzle 3.11 with all its steps, and hapdask's ``compat-svm`` preset, compared step by step.

Both drizzle the same exposures with the same parameters, those of DrizzlePac's visit pipeline:
static mask, matched sky, separate drizzle, median, blot, cosmic rays, final drizzle.  Five cases:
UVIS, WFC and IR, four dithered exposures each, simulated with cosmic rays; HRC and WFPC2, real
pixels (``--real``, see ``realpixels.py``) with the partners of ``partners.py``.

Gates: frames equal; static mask identical; sky within 1e-3 of the noise; single drizzle, median and
final SCI: median |difference| < 1e-3 of the noise, 99.9 % < 0.05 outside star cores; WHT within
1e-3 for 99.9 %; blot 99.9 % < 0.02; >= 99.9 % of the pixels of cosmic-ray masks equal; CTX equal
but where the chip in question weighs less than 1e-6, or a differing mask pixel reaches.

What is left, by class: AstroDrizzle holds the positions of its blot as float32 (1e-4 pixels and
more far out on the median, told in cores); the least values of a stack or their median are taken by
a threshold, and a rounding puts single pixels on either side of it (those are the largest
differences outside cores, and the blot about them); its median ends at the frame, where half a
pixel of the outermost rows of chips lies beyond, and ours does not; the mean weight, below whose
0.3 an image is left out of the median, is an estimate here.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hapdask as hd
from benchmarks import steps_figures as sf
from benchmarks.astrodrizzle import find_peer
from benchmarks.inputs import simulated
from benchmarks.partners import make_partners
from benchmarks.realpixels import say_counts, unpack
from benchmarks.report import Figure, make_parser, show
from hapdask.config import load_astrodrizzle
from hapdask.errors import ParameterError
from hapdask.observe.masks import read_mask_rows
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun
from hapdask.sky.frame import Frame

_PEER = Path(__file__).with_name("steps_peer.py")
_PRESET = "compat-svm"
#: Instrument and detector; the real ones have files.
_CASES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "IR": ("WFC3", "IR", ()),
    "HRC": ("ACS", "HRC", ("j8bt06nyq_flt_sip.fits",)),
    "WFPC2": ("WFPC2", "PC", ("u40x010hm_c0m.fits", "u40x010hm_c1m.fits")),
    "UVIS": ("WFC3", "UVIS", ()),
    "WFC": ("ACS", "WFC", ()),
}
_DITHERS = ((0.0, 0.0), (2.63, 3.31), (-3.37, 1.52), (1.13, -4.61))
_ROLLS = (35.0, 35.0, 36.0, 71.0)
#: Parameters that AstroDrizzle does not know.
_OURS = ("flux_scaling", "sky_convention", "final_doubtful_bits", "driz_cr_test", "driz_cr_single")


def make_inputs(workdir: Path, real: Path | None, case: str, folder: Path) -> None:
    """Put copies of the exposures of a case into an empty folder."""
    instrument, detector, names = _CASES[case]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if names:
        if real is None:
            raise ParameterError(f"{case} has real pixels: --real names the folder of its files")
        paths = [unpack(real, name, workdir / "real") for name in names]
        if case == "WFPC2":
            say_counts(paths[0])
        make_partners(paths, folder)
        return
    for k, (dither, roll) in enumerate(zip(_DITHERS, _ROLLS, strict=True)):
        path = simulated(workdir, instrument, detector, seed=11 + k, dither=dither, roll=roll)
        shutil.copy(path, folder)


def open_case(folder: Path) -> list[ExposureRecord]:
    """Open the exposures as AstroDrizzle sees them: it leaves WFPC2's shadow to DQ."""
    paths = sorted(p for p in folder.glob("*_*.fits") if p.stem.split("_")[-1] in _KINDS)
    opened = hd.open_exposures(paths, strict=True)
    return [replace(e, chips=tuple(replace(c, shadow=()) for c in e.chips)) for e in opened]


_KINDS = ("flc", "flt", "c0m")


def run_theirs(peer: str, case: str, folder: Path, count: int) -> dict[str, float]:
    """Run AstroDrizzle in the folder, and say how long it took."""
    instrument, detector, _ = _CASES[case]
    values = load_astrodrizzle(instrument, detector, count, preset=_PRESET).parameters.values()
    given = {
        name: " ".join(map(str, value)) if isinstance(value, tuple) else value
        for name, value in (values | {"build": False}).items()
        if name not in _OURS and value not in ((), None, "")
    }
    (folder / "parameters.json").write_text(json.dumps(given))
    command = [peer, "-P", "-W", "ignore", str(_PEER), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ParameterError(f"AstroDrizzle failed: {done.stderr[-2000:]}")
    times: dict[str, float] = json.loads((folder / "times.json").read_text())
    return times


class Theirs:
    """Files of AstroDrizzle's steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def image(self, pattern: str) -> NDArray[Any]:
        """Pixels of the one file of a pattern, in native byte order."""
        from astropy.io import fits

        values = fits.getdata(self._path(pattern))
        return np.asarray(values.astype(values.dtype.newbyteorder("=")))

    def frame(self, pattern: str) -> Frame:
        """Frame of the WCS of a file."""
        from astropy.io import fits

        header = fits.getheader(self._path(pattern))
        header["RADESYS"] = "ICRS"  # old files say FK5, of theirs and of ours alike
        return Frame.from_header(header, (header["NAXIS2"], header["NAXIS1"]))

    def _path(self, pattern: str) -> Path:
        (found,) = self.folder.glob(pattern)
        return found


def stem(exposure: ExposureRecord) -> str:
    """Return how AstroDrizzle's files of an exposure begin."""
    name = Path(exposure.url).name.removesuffix(".fits")
    return name if name.endswith("_c0m") else name.rpartition("_")[0]


def compare(run: AstroDrizzleRun, theirs: Theirs) -> list[Figure]:
    """Figures of every step, in order."""
    found = sf.frames(run.median_frame, theirs.frame("final*_med.fits"), "median frame")
    found += sf.frames(run.frame, theirs.frame("final_dr?_sci.fits"), "final frame")
    exposures = list(run.measured.exposures)
    found += static_masks(exposures, theirs) + skies(run, exposures)
    unlike: list[tuple[ExposureRecord, int, NDArray[Any]]] = []
    singles, blots, masks = [], [], []
    for exposure in exposures:
        single = run[exposure.name].single.compute()
        mine = np.asarray(single["sci"]), np.asarray(single["wht"])
        files = (theirs.image(f"{stem(exposure)}_single_{kind}.fits") for kind in ("sci", "wht"))
        peer = next(files), next(files)
        singles += sf.image_and_weight(mine, peer, "single")
        singles.append(mean_weight(run, exposure, peer[1]))
    median = np.asarray(run.median)
    peer_median = theirs.image("final*_med.fits")
    where = (median != 0.0) & (peer_median != 0.0)
    cores = sf.core_of(np.where(where, peer_median, np.nan))
    found += sf.merged(singles) + sf.values(median, peer_median, where, cores, "median")
    run.reject()
    for exposure in exposures:
        blot, hits = (getattr(run[exposure.name], name) for name in ("blot", "crmask"))
        for chip in exposure.chips:
            start = f"{stem(exposure)}_sci{chip.extver}"
            image = theirs.image(f"{start}_blt.fits")
            mine_blot = _chip(blot, chip.extver, chip.shape)
            there = np.isfinite(mine_blot) & (image != 0.0)
            blots += sf.values(
                mine_blot, image, there, sf.core_of(image), "blot", tail=sf.BLOT_TAIL
            )
            mine_hits = _chip(hits, chip.extver, chip.shape)
            their_hits = theirs.image(f"{start}_crmask.fits") == 0
            masks.append((mine_hits, their_hits))
            unlike.append((exposure, chip.extver, mine_hits != their_hits))
    return found + sf.merged(blots) + sf.masks(masks, "crmask") + final(run, theirs, unlike)


def _chip(array: Any, extver: int, shape: tuple[int, int]) -> NDArray[Any]:
    return np.asarray(array.sel(chip=extver))[: shape[0], : shape[1]]


def static_masks(exposures: Sequence[ExposureRecord], theirs: Theirs) -> list[Figure]:
    """Figures of the static masks: those of the first exposure are those of all."""
    figures = []
    for chip in exposures[0].chips:
        ny, nx = chip.shape
        bad = np.zeros(chip.shape, np.bool_)
        for mask in chip.masks:
            if mask.kind == "static":
                bad |= read_mask_rows(mask, chip.shape, 0, ny)
        peer = theirs.image(f"_{ny}x{nx}_{chip.extver}_staticMask.fits") == 0
        unlike = float(np.count_nonzero(bad != peer))
        note = f"of {np.count_nonzero(peer)}"
        figures.append(Figure("static mask: pixels that differ", unlike, "", "==", 0.0, note))
    return sf.merged(figures)


def skies(run: AstroDrizzleRun, exposures: Sequence[ExposureRecord]) -> list[Figure]:
    """Figures of MDRIZSKY, which AstroDrizzle wrote to its inputs."""
    from astropy.io import fits

    figures = []
    for exposure in exposures:
        with fits.open(exposure.url) as hdus:
            for chip in run.sky[exposure.name].chips:
                hdu = hdus["SCI", chip.extver]
                _, noise = sf.noise_of(hdu.data)
                off = abs(chip.sky - hdu.header["MDRIZSKY"]) / noise
                figures.append(Figure("sky", float(off), "sigma", "<=", 1e-3))
    return sf.merged(figures)


def mean_weight(run: AstroDrizzleRun, exposure: ExposureRecord, peer: NDArray[Any]) -> Figure:
    """Figure of the mean weight that decides what the median leaves out."""
    names = [each.name for each in run.measured.exposures]
    mine = run.measured.members[names.index(exposure.name)].mean_weight
    true = float(peer[peer > 1e-8].mean(dtype=np.float64))
    return Figure("single: mean weight", abs(mine / true - 1.0), "relative")


def final(
    run: AstroDrizzleRun, theirs: Theirs, unlike: Sequence[tuple[ExposureRecord, int, Any]]
) -> list[Figure]:
    """Figures of the product."""
    mosaic = run.mosaic[["sci", "wht", "ctx"]].compute()
    mine = np.asarray(mosaic["sci"]), np.asarray(mosaic["wht"])
    peer = theirs.image("final_dr?_sci.fits"), theirs.image("final_dr?_wht.fits")
    order = [(e.name, chip.extver) for e in run.measured.exposures for chip in e.chips]
    bits = _bits(np.asarray(mosaic["ctx"]), mosaic["ctx"].attrs["palette"], order)
    reached = np.zeros(run.frame.shape, np.bool_)
    for exposure, extver, pixels in unlike:
        _reach(run.frame, exposure, extver, pixels, reached)
    figures = sf.image_and_weight(mine, peer, "final")
    unlike_bits = (bits != theirs.image("final_dr?_ctx.fits")) & ~reached
    return figures + sf.contexts(unlike_bits, mine[1], peer[1], "final")


def _bits(keys: NDArray[Any], palette: Any, order: Sequence[tuple[str, int]]) -> NDArray[Any]:
    """Give contexts one bit per chip, in the order of the run."""
    known, inverse = np.unique(keys, return_inverse=True)
    bits = [sum(1 << order.index(chip) for chip in palette[int(k)]) if k else 0 for k in known]
    return np.array(bits, np.int64)[inverse].reshape(keys.shape)


def _reach(
    frame: Frame, exposure: ExposureRecord, extver: int, pixels: Any, out: NDArray[np.bool_]
) -> None:
    """Mark the output pixels that some pixels of a chip reach."""
    (chip,) = (chip for chip in exposure.chips if chip.extver == extver)
    y, x = (part.astype(float) for part in np.nonzero(pixels))
    if not y.size:
        return
    at = frame.sky_to_pixel(*chip.distortion.pixel_to_sky(x, y))
    column, row = (np.rint(part).astype(int) for part in at)
    # A drop is as large as the pixel, and turned.
    near = range(-(far := math.ceil(0.5 + 0.75 * chip.idcscale / frame.pixel_scale)), far + 1)
    for dy in near:
        for dx in near:
            r, c = row + dy, column + dx
            inside = (r >= 0) & (r < out.shape[0]) & (c >= 0) & (c < out.shape[1])
            out[r[inside], c[inside]] = True


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    parser = make_parser(__doc__)
    parser.add_argument("--peer-python", help="of an environment with drizzlepac")
    parser.add_argument("--real", type=Path, help="folder of the real files")
    parser.add_argument("--cases", nargs="+", choices=_CASES)
    parser.add_argument("--keep", action="store_true", help="keep AstroDrizzle's files")
    options = parser.parse_args(argv)
    peer = find_peer(options.peer_python)
    cases = options.cases or [c for c, case in _CASES.items() if options.real or not case[2]]
    if options.quick:
        cases = ["IR"]
    figures: list[Figure] = []
    for case in cases:
        folder = options.workdir / "steps" / case.lower()
        make_inputs(options.workdir, options.real, case, folder)
        times = run_theirs(peer, case, folder, len(open_case(folder)))
        # AstroDrizzle has flagged its cosmic rays in them; both clear that bit (resetbits).
        run = hd.astrodrizzle(open_case(folder), preset=_PRESET, threads=2)
        found = compare(run, Theirs(folder))
        found.append(Figure("AstroDrizzle, keeping every image", times["cpu"], "s CPU"))
        figures += [replace(figure, name=f"{case} {figure.name}") for figure in found]
        print(*figures[-len(found) :], sep="\n", flush=True)
        if not options.keep:
            shutil.rmtree(folder)
    show("AstroDrizzle, step by step", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
