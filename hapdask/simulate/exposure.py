"""One simulated exposure: a calibrated HST file with its truth.

What lives here: the order of the steps and the file's extensions. Fields of many exposures are
in ``field``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hapdask.errors import ParameterError
from hapdask.simulate import headers
from hapdask.simulate.detectors import Detector, Passband, get_detector, get_passband
from hapdask.simulate.drawing import Sources, draw_scene
from hapdask.simulate.effects import amplifier_map
from hapdask.simulate.files import write_whole
from hapdask.simulate.geometry import ChipGeometry
from hapdask.simulate.names import check_rootname, hashed_rootname
from hapdask.simulate.pointing import Pointing, attitude
from hapdask.simulate.psf import detector_psf
from hapdask.simulate.readout import Options, Readout, Streams, expose
from hapdask.simulate.scene import Scene
from hapdask.simulate.templates import load_template

if TYPE_CHECKING:
    from astropy.io.fits import HDUList, ImageHDU


@dataclass(frozen=True)
class ChipTruth:
    """What is truly on one chip.

    Parameters
    ----------
    extver : int
        The chip.
    geometry : ChipGeometry
        The true map of pixels to the sky.
    header_geometry : ChipGeometry
        The map that the header tells (differs by the pointing error).
    sources : Sources
        Where each source falls and how bright it is.
    sky : float
        Background, electrons / s / pixel.
    cosmic_rays : ndarray of bool, shape (ny, nx)
        Truly hit pixels.
    """

    extver: int
    geometry: ChipGeometry
    header_geometry: ChipGeometry
    sources: Sources
    sky: float
    cosmic_rays: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SimulatedExposure:
    """A calibrated file in memory, and the truth about it.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The file's content.
    filename : str
        ``<rootname>_flc.fits`` or ``<rootname>_flt.fits``.
    rootname : str
        ``ipppssoot``.
    detector, passband, pointing, exptime, options
        As simulated.
    chips : dict
        `ChipTruth` by EXTVER.
    """

    hdus: HDUList
    filename: str
    rootname: str
    detector: Detector
    passband: Passband
    pointing: Pointing
    exptime: float
    options: Options
    chips: dict[int, ChipTruth]

    def write(self, outdir: str | os.PathLike[str]) -> Path:
        """Write the file, uncompressed; it appears under its name only when it is whole.

        Parameters
        ----------
        outdir : path-like
            Folder, made when missing.

        Returns
        -------
        Path
            Of the file.
        """
        folder = Path(outdir)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.filename
        write_whole(path, self.hdus.writeto)
        return path


def simulate_exposure(
    scene: Scene,
    instrument: str,
    detector: str,
    filter_name: str,
    pointing: Pointing,
    exptime: float,
    *,
    seed: int,
    options: Options | None = None,
    rootname: str | None = None,
    chips: Sequence[int] | None = None,
    target: str = "SIMULATED-FIELD",
    proposal: int = 99999,
) -> SimulatedExposure:
    """Simulate one calibrated exposure.

    Parameters
    ----------
    scene : Scene
    instrument, detector, filter_name : str
        For example ``"WFC3", "UVIS", "F606W"``.
    pointing : Pointing
    exptime : float, s
    seed : int
        Same arguments and seed, same bytes.
    options : Options, optional
        What is simulated; default everything.
    rootname : str, optional
        ``ipppssoot``; by default made from the seed and the pointing.
    chips : sequence of int, optional
        EXTVER of the chips to make; default all.
    target, proposal
        TARGNAME and PROPOSID.

    Returns
    -------
    SimulatedExposure

    Raises
    ------
    ParameterError
        If a name is unknown or a number impossible.

    Examples
    --------
    >>> scene = Scene.stars(ra=10.0, dec=-30.0, mag=20.0)
    >>> pointing = Pointing(10.0, -30.0)
    >>> exposure = simulate_exposure(scene, "WFC3", "IR", "F160W", pointing, 300.0, seed=1)
    >>> [hdu.name for hdu in exposure.hdus]
    ['PRIMARY', 'SCI', 'ERR', 'DQ', 'SAMP', 'TIME']
    """
    figures = get_detector(instrument, detector)
    passband, template = get_passband(figures, filter_name), load_template(figures.template)
    options = options or Options()
    chosen = _chosen(chips, template.chips)
    if not exptime > 0.0:
        raise ParameterError(f"exptime={exptime} must be above 0 seconds")
    name = hashed_rootname(figures.prefix, passband, pointing, float(exptime), seed)
    root = check_rootname(rootname or name)
    told_attitude = attitude(template, pointing, truth=False)
    identity = headers.Identity(root, f"{root}_{figures.suffix}.fits", target, proposal)
    setting = headers.Setting(
        identity, template, figures, passband, pointing, told_attitude, float(exptime)
    )
    made = {extver: _simulate_chip(scene, setting, extver, seed, options) for extver in chosen}
    truths = {extver: truth for extver, (truth, _) in made.items()}
    hdus = _assemble(setting, truths, {extver: light for extver, (_, light) in made.items()})
    told = (figures, passband, pointing, setting.exptime, options)
    return SimulatedExposure(hdus, identity.filename, root, *told, truths)


def _chosen(chips: Sequence[int] | None, known: Sequence[int]) -> tuple[int, ...]:
    chosen = tuple(known if chips is None else chips)
    if not chosen or not set(chosen) <= set(known):
        raise ParameterError(f"chips={chips}: the detector has {tuple(known)}")
    return chosen


def _simulate_chip(
    scene: Scene, setting: headers.Setting, extver: int, seed: int, options: Options
) -> tuple[ChipTruth, Readout]:
    detector, template = setting.detector, setting.template
    true_attitude = attitude(template, setting.pointing, truth=True)
    geometry = ChipGeometry(template, extver, true_attitude.frames[extver], detector.shape)
    told = ChipGeometry(template, extver, setting.attitude.frames[extver], detector.shape)
    typical = setting.passband.sky_rate(geometry.idcscale)
    sky = typical if options.sky is None else options.sky
    psf = detector_psf(detector, setting.passband, geometry.idcscale)
    light, sources = draw_scene(scene, geometry, setting.passband, psf)
    light += sky
    noise = _read_noise(setting, extver)
    readout = expose(
        light, setting.exptime, detector, extver, noise, options, Streams.of(seed, extver)
    )
    return ChipTruth(extver, geometry, told, sources, sky, readout.hit), readout


def _read_noise(setting: headers.Setting, extver: int) -> npt.NDArray[np.float32]:
    """Read noise per pixel, electrons; for a ramp, of the fit to its samples."""
    primary = setting.template.headers["PRIMARY", 1]
    factor = 1.0
    if setting.detector.rate:
        # READNSE* is of a double read; a straight line through n reads has
        # sqrt(12 (n - 1) / (n (n + 1))) times the noise of one (Rauscher et al. 2007)
        n = int(primary["NSAMP"])
        factor = float(np.sqrt(0.5 * 12.0 * (n - 1) / (n * (n + 1))))
    amps = setting.detector.amps[extver]
    figures = {amp: factor * float(primary[f"READNSE{amp}"]) for amp in "".join(amps)}
    return amplifier_map(setting.detector.shape, amps, figures)


def _assemble(
    setting: headers.Setting, truths: dict[int, ChipTruth], readouts: dict[int, Readout]
) -> HDUList:
    from astropy.io.fits import HDUList, ImageHDU, PrimaryHDU

    extensions: list[ImageHDU] = []
    for extver, readout in readouts.items():
        geometry = truths[extver].header_geometry
        science = headers.science_header(setting, geometry, readout)
        extensions.append(ImageHDU(readout.sci, science, name="SCI", ver=extver))
        planes = {"ERR": readout.err, "DQ": readout.dq}
        if readout.time is not None:
            samples = int(setting.template.headers["PRIMARY", 1]["NSAMP"]) - 1
            used = np.ceil(samples * readout.time / np.float32(setting.exptime))
            planes |= {"SAMP": used.astype(np.int16), "TIME": readout.time}
        for name, plane in planes.items():
            card = headers.companion_header(setting, name, geometry, readout)
            extensions.append(ImageHDU(plane, card, name=name, ver=extver))
    for (name, ver), table in setting.template.tables.items():
        if (ver + 1) // 2 in readouts:  # tables 1, 2 are x, y of chip 1, and so on
            card = setting.template.headers[name, ver].copy()
            extensions.append(ImageHDU(table, card, name=name, ver=ver))
    for extension in extensions:
        extension.header.set("INHERIT", True, "inherit the primary header", after="GCOUNT")
    primary = PrimaryHDU(header=headers.primary_header(setting, len(extensions)))
    return HDUList([primary, *extensions])
