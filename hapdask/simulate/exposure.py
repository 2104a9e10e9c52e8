"""One simulated exposure: a calibrated HST file with its truth.

What lives here: the order of the steps. One chip is made in ``chip``, the file's extensions in
``assembly``, fields of many exposures in ``field``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.errors import ParameterError
from hapdask.simulate.assembly import quality_file, science_file
from hapdask.simulate.chip import ChipTruth, simulate_chip
from hapdask.simulate.conditions import conditions_of
from hapdask.simulate.detectors import Detector, Passband, get_detector, get_passband
from hapdask.simulate.files import write_whole
from hapdask.simulate.modes import WHOLE, Mode, lay_out
from hapdask.simulate.names import hashed_rootname
from hapdask.simulate.pointing import Pointing, attitude
from hapdask.simulate.readout import Options
from hapdask.simulate.scene import Scene
from hapdask.simulate.setting import Identity, Setting, mid_exposure
from hapdask.simulate.templates import load_template

if TYPE_CHECKING:
    from astropy.io.fits import HDUList


@dataclass(frozen=True)
class SimulatedExposure:
    """A calibrated file in memory, and the truth about it.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The file's content.
    setting : Setting
        How it was taken: names, detector, filter, pointing, mode, conditions.
    options : Options
        What was simulated.
    scene : Scene
        The sources where they were then.
    chips : dict
        `ChipTruth` by EXTVER.
    quality : astropy.io.fits.HDUList or None
        Content of the file of DQ (c1m), where it is one of its own.
    """

    hdus: HDUList
    setting: Setting
    options: Options
    scene: Scene
    chips: dict[int, ChipTruth]
    quality: HDUList | None = None

    @property
    def filename(self) -> str:
        """``<rootname>_flc.fits``, ``<rootname>_flt.fits`` or ``<rootname>_c0m.fits``."""
        return self.setting.identity.filename

    @property
    def rootname(self) -> str:
        """``ipppssoot``."""
        return self.setting.identity.rootname

    @property
    def detector(self) -> Detector:
        """Figures of the detector."""
        return self.setting.detector

    @property
    def passband(self) -> Passband:
        """The filter, at nominal sensitivity."""
        return self.setting.passband

    @property
    def pointing(self) -> Pointing:
        """Where the telescope pointed."""
        return self.setting.pointing

    @property
    def exptime(self) -> float:
        """Seconds."""
        return self.setting.exptime

    def write(self, outdir: str | os.PathLike[str]) -> Path:
        """Write the file, uncompressed; it appears under its name only when it is whole.

        A file of DQ that belongs to it is written first, so that the one is never without the
        other.

        Parameters
        ----------
        outdir : path-like
            Folder, made when missing.

        Returns
        -------
        Path
            Of the file with SCI.
        """
        folder = Path(outdir)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.filename
        if self.quality is not None:
            write_whole(folder / self.setting.identity.companion, self.quality.writeto)
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
    mode: Mode | None = None,
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
    mode : Mode, optional
        Subarray, binning, gain; default the whole detector, unbinned.
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
    >>> scene, pointing = Scene.stars(ra=10.0, dec=-30.0, mag=20.0), Pointing(10.0, -30.0)
    >>> exposure = simulate_exposure(scene, "WFC3", "IR", "F160W", pointing, 300.0, seed=1)
    >>> [hdu.name for hdu in exposure.hdus]
    ['PRIMARY', 'SCI', 'ERR', 'DQ', 'SAMP', 'TIME']
    """
    figures = get_detector(instrument, detector)
    passband = get_passband(figures, filter_name)
    options, mode = options or Options(), mode or WHOLE
    layout = lay_out(figures, load_template(figures.template), mode, chips)
    if not exptime > 0.0:
        raise ParameterError(f"exptime={exptime} must be above 0 seconds")
    told = (passband, pointing, float(exptime), seed, *([mode] if mode != WHOLE else []))
    root = rootname or hashed_rootname(figures.prefix, *told)
    setting = Setting(
        Identity.of(root, figures, target, proposal), layout.template, figures, passband,
        pointing, attitude(layout.template, pointing, truth=False), float(exptime), mode,
        layout.windows, conditions_of(options, mid_exposure(pointing.date, exptime), seed),
    )  # fmt: skip
    return _expose(scene.at(setting.year), setting, seed, options)


def _expose(now: Scene, setting: Setting, seed: int, options: Options) -> SimulatedExposure:
    """Make every chip of the sky as it is now, and put the files together."""
    made = {ver: simulate_chip(now, setting, ver, seed, options) for ver in setting.windows}
    truths = {ver: truth for ver, (truth, _) in made.items()}
    readouts = {ver: readout for ver, (_, readout) in made.items()}
    return SimulatedExposure(
        science_file(setting, truths, readouts), setting, options, now, truths,
        quality_file(setting, truths, readouts) if setting.detector.separate_dq else None,
    )  # fmt: skip
