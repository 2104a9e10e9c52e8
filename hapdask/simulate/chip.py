"""One chip of an exposure: the light that falls on it, read out, and what is true about it.

What lives here: the order of the steps from the sky to a readout. Files and headers are made in
``assembly`` and ``headers``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hapdask.simulate.diffraction import diffraction_images
from hapdask.simulate.drawing import Sources, Spikes, draw_scene
from hapdask.simulate.effects import amplifier_map
from hapdask.simulate.geometry import ChipGeometry
from hapdask.simulate.pointing import attitude
from hapdask.simulate.psf import Psf, detector_psf
from hapdask.simulate.readout import Options, Readout, Streams, expose
from hapdask.simulate.scene import Scene
from hapdask.simulate.setting import Setting
from hapdask.simulate.vignetting import shadowed, transmission

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ChipTruth:
    """What is truly on one chip.

    Parameters
    ----------
    extver : int
        EXTVER in the file.
    geometry : ChipGeometry
        The true map of pixels to the sky.
    header_geometry : ChipGeometry
        The map that the header tells (differs by the pointing error).
    sources : Sources
        Where each source falls and how bright it is.
    sky : float
        Background, electrons / s / pixel, where nothing is vignetted.
    cosmic_rays : ndarray of bool, shape (ny, nx)
        Truly hit pixels.
    psf : Psf
        As drawn, at the exposure's focus and with its jitter.
    pedestals : dict
        Electrons / pixel by amplifier; empty without them.
    """

    extver: int
    geometry: ChipGeometry
    header_geometry: ChipGeometry
    sources: Sources
    sky: float
    cosmic_rays: npt.NDArray[np.bool_]
    psf: Psf
    pedestals: dict[str, float]


def simulate_chip(
    scene: Scene, setting: Setting, ver: int, seed: int, options: Options
) -> tuple[ChipTruth, Readout]:
    """Simulate one chip.

    Parameters
    ----------
    scene : Scene
        Sources where they are at the exposure's epoch.
    setting : Setting
        How the exposure is taken.
    ver : int
        EXTVER in the file.
    seed : int
        Of the exposure.
    options : Options
        What is simulated.

    Returns
    -------
    truth : ChipTruth
    readout : Readout
    """
    detector, template, window = setting.detector, setting.template, setting.windows[ver]
    true_attitude = attitude(template, setting.pointing, truth=True)
    geometry = ChipGeometry(template, ver, true_attitude.frames[ver], window.shape)
    told = ChipGeometry(template, ver, setting.attitude.frames[ver], window.shape)
    response = setting.response(ver)
    typical = setting.passband.sky_rate(geometry.idcscale) * response
    sky = typical if options.sky is None else options.sky
    psf = detector_psf(detector, setting.passband, geometry.idcscale, setting.conditions.focus)
    if options.motion.jitter:
        psf = psf.blurred(options.motion.jitter / geometry.idcscale)
    spikes = Spikes(setting.pointing.roll, setting.exptime) if options.spikes else None
    images = None
    if options.diffraction:
        images = diffraction_images(
            detector, setting.passband, geometry.idcscale, window.shape,
            setting.conditions.focus, options.motion.jitter,
        )  # fmt: skip
    light, sources = draw_scene(
        scene, geometry, setting.passband, psf, response, spikes, options.motion, images
    )
    light += sky
    arriving = transmission(detector, window, setting.passband.quadrant)
    if arriving is not None:
        light *= arriving
    streams = Streams.of(seed, window.extver)
    pedestals = _pedestals(setting, ver, options, streams)
    readout = expose(
        light, setting.exptime, detector, window, _read_noise(setting, ver), options, streams,
        gain=setting.gain(ver),
        pedestal=_over_amplifiers(setting, ver, pedestals) if pedestals else None,
    )  # fmt: skip
    dark = shadowed(detector, window)
    if dark is not None:
        readout.dq[dark] |= detector.flags.bad
    return ChipTruth(ver, geometry, told, sources, sky, readout.hit, psf, pedestals), readout


def _read_noise(setting: Setting, ver: int) -> Float32Array | float:
    """Read noise per pixel, electrons; for a ramp, of the fit to its samples."""
    if setting.detector.counting:
        return 0.0
    extver = setting.windows[ver].extver
    given = setting.mode.gain_of(setting.detector, extver)
    if given is not None:
        return given[1]
    primary = setting.template.headers["PRIMARY", 1]
    factor = 1.0
    if setting.detector.rate:
        # READNSE* is of a double read; a straight line through n reads has
        # sqrt(12 (n - 1) / (n (n + 1))) times the noise of one (Rauscher et al. 2007)
        n = int(primary["NSAMP"])
        factor = float(np.sqrt(0.5 * 12.0 * (n - 1) / (n * (n + 1))))
    names = "".join(setting.detector.amps[extver])
    return _over_amplifiers(
        setting, ver, {amp: factor * float(primary[f"READNSE{amp}"]) for amp in names}
    )


def _pedestals(setting: Setting, ver: int, options: Options, streams: Streams) -> dict[str, float]:
    """Draw the offset of each amplifier of a chip, those that read nothing of it included."""
    if not options.pedestals:
        return {}
    names = sorted(set("".join(setting.detector.amps[setting.windows[ver].extver])))
    drawn = streams.amps.normal(0.0, options.pedestals, len(names)).tolist()
    return dict(zip(names, drawn, strict=True))


def _over_amplifiers(setting: Setting, ver: int, figures: dict[str, float]) -> Float32Array:
    """Spread a figure per amplifier over the pixels of an extension."""
    window = setting.windows[ver]
    amps = setting.detector.amps[window.extver]
    return window.cut(amplifier_map(setting.detector.shape, amps, figures))
