"""How an exposure was taken: what all its headers share.

What lives here: names, times, and which figures hold for which chip. The cards themselves are
written in ``headers``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hapdask.simulate.conditions import Conditions
from hapdask.simulate.detectors import Detector, Passband
from hapdask.simulate.effects import amplifier_map
from hapdask.simulate.modes import Mode, Window
from hapdask.simulate.names import check_rootname
from hapdask.simulate.pointing import Attitude, Pointing
from hapdask.simulate.templates import Template

_SECONDS_PER_DAY = 86400.0
_J2000 = 51544.5  # MJD


def mid_exposure(date: str, exptime: float) -> float:
    """MJD of the middle of an exposure that starts at a UT date (ISO 8601), for so many seconds."""
    from astropy.time import Time

    return float(Time(date, scale="utc").mjd) + 0.5 * exptime / _SECONDS_PER_DAY


@dataclass(frozen=True, slots=True)
class Identity:
    """What names an exposure.

    Parameters
    ----------
    rootname : str
        ``ipppssoot``, lower case.
    filename : str
        Without folder.
    companion : str
        Name of the file of DQ, where it is one of its own; else empty.
    target : str
        TARGNAME.
    proposal : int
        PROPOSID.
    """

    rootname: str
    filename: str
    companion: str
    target: str
    proposal: int

    @classmethod
    def of(cls, rootname: str, detector: Detector, target: str, proposal: int) -> Identity:
        """Names of the files of a rootname.

        Raises
        ------
        ParameterError
            If it is no rootname.
        """
        root = check_rootname(rootname)
        companion = f"{root}_c1m.fits" if detector.separate_dq else ""
        return cls(root, f"{root}_{detector.suffix}.fits", companion, target, proposal)


@dataclass(frozen=True, slots=True)
class Setting:
    """How an exposure was taken, shared by all its headers.

    Parameters
    ----------
    identity : Identity
        Names.
    template, detector, passband, pointing : Template, Detector, Passband, Pointing
        What was used.
    attitude : Attitude
        The header's (not the true) attitude.
    exptime : float
        Seconds.
    mode : Mode
        How the detector is read.
    windows : dict
        `Window` of each extension, by EXTVER in the file.
    conditions : Conditions
        Sensitivity, focus.
    """

    identity: Identity
    template: Template
    detector: Detector
    passband: Passband
    pointing: Pointing
    attitude: Attitude
    exptime: float
    mode: Mode
    windows: dict[int, Window]
    conditions: Conditions

    @property
    def expstart(self) -> float:
        """MJD of the start."""
        from astropy.time import Time

        return float(Time(self.pointing.date, scale="utc").mjd)

    @property
    def expend(self) -> float:
        """MJD of the end."""
        return self.expstart + self.exptime / _SECONDS_PER_DAY

    @property
    def middle(self) -> float:
        """MJD of the middle."""
        return mid_exposure(self.pointing.date, self.exptime)

    @property
    def year(self) -> float:
        """Julian year of the middle."""
        return 2000.0 + (self.middle - _J2000) / 365.25

    @property
    def wcsname(self) -> str:
        """WCSNAME of the header's WCS."""
        name = str(self.template.headers["SCI", 1]["WCSNAME"])
        return f"{name}-FIT_SVM_GAIAeDR3" if self.pointing.aligned else name

    def response(self, ver: int) -> float:
        """Sensitivity of a chip (EXTVER in the file) relative to the passband's."""
        chip = self.windows[ver].extver
        return self.detector.response.get(chip, 1.0) * self.conditions.sensitivity

    def gain(self, ver: int) -> float:
        """Electrons per unit of SCI (or of SCI times seconds) of a chip."""
        found = self.mode.gain_of(self.detector, self.windows[ver].extver)
        return 1.0 if found is None else found[0]

    def photflam(self, ver: int) -> float:
        """Inverse sensitivity of a chip, per unit of SCI."""
        return self.passband.photflam / self.response(ver) * self.gain(ver)

    def amplifiers(self, ver: int) -> tuple[str, ...]:
        """Names of the amplifiers that read the pixels of an extension, sorted."""
        amps = self.detector.amps[self.windows[ver].extver]
        names = sorted(set("".join(amps)))
        number = {name: float(i) for i, name in enumerate(names)}
        read = self.windows[ver].cut(amplifier_map(self.detector.shape, amps, number), np.min)
        return tuple(names[int(i)] for i in np.unique(read))
