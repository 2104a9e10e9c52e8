"""Whether the telescope held still during an exposure, told from its sources.

`check_guiding` judges.  A drift draws all sources into one streak (`streaks`), from their `shapes`
or, where stars hardly fill a pixel, their `quadrupoles`; jitter gives all one width (`streaks`, and
`shaking` where nothing sharp is left); a lock lost and found again makes `doubles`.  How likely so
many agree by `chance` decides.
"""

from hapdask.astrometry.guiding.judging import Guiding, check_guiding

__all__ = ["Guiding", "check_guiding"]
