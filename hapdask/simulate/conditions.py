"""What changes from exposure to exposure: the instrument's sensitivity and the telescope's focus.

What lives here: which value holds at a date, or is drawn for a seed. What it does to the image is
in ``psf`` and ``drawing``; what the header says of it in ``headers``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hapdask.simulate.readout import Options

#: Date at which the sensitivity is the passband's: 2010-01-01, MJD.
NOMINAL_MJD = 55197.0
_YEAR = 365.25  # days
_FOCUS_STREAM = 0xF0C05


@dataclass(frozen=True, slots=True)
class Conditions:
    """State of telescope and instrument during an exposure.

    Parameters
    ----------
    sensitivity : float
        Electrons per photon relative to the passband's nominal; PHOTFLAM is divided by it.
    focus : float
        Secondary mirror's distance from best focus, micron.
    """

    sensitivity: float = 1.0
    focus: float = 0.0


def conditions_of(options: Options, mjd: float, seed: int) -> Conditions:
    """Conditions of an exposure.

    Parameters
    ----------
    options : Options
        Rates and scatter.
    mjd : float
        Middle of the exposure.
    seed : int
        Of the exposure.

    Returns
    -------
    Conditions
    """
    years = (mjd - NOMINAL_MJD) / _YEAR
    sensitivity = (1.0 - options.drift) ** years if options.drift else 1.0
    focus = 0.0
    if options.focus:
        focus = options.focus * float(np.random.default_rng([seed, _FOCUS_STREAM]).normal())
    return Conditions(sensitivity, focus)
