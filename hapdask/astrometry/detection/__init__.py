"""Detection of point-like sources on calibrated exposures, for alignment.

`detect_sources` finds them, by our own way or by TweakReg's or HAP's; `check_guiding` tells from
their shapes whether the telescope held still.
"""

from hapdask.astrometry.detection.guiding import Guiding, check_guiding
from hapdask.astrometry.detection.run import default_parameters, detect_sources

__all__ = ["Guiding", "check_guiding", "default_parameters", "detect_sources"]
