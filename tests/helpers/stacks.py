"""Small stacks of UVIS subarrays with cosmic rays, for tests of the steps of AstroDrizzle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hapdask.simulate import Mode, Pointing, Scene, SimulatedExposure, Subarray, simulate_exposure

RA, DEC = 150.1, 2.2
SIDE = 420
#: Dithers (arcsec) and rolls.
SET = (((0.0, 0.0), 10.0), ((0.9, 0.5), 10.0), ((-0.4, 0.7), 10.0), ((0.3, -0.6), 11.5))


def crowded(seed: int = 8, stars: int = 30) -> Scene:
    """Stars over the whole subarray."""
    rng = np.random.default_rng(seed)
    return Scene.stars(
        RA + rng.uniform(-0.004, 0.004, stars),
        DEC + rng.uniform(-0.004, 0.004, stars),
        rng.uniform(19.0, 24.0, stars),
    )


def observe_stack(
    folder: Path, count: int = 4, scene: Scene | None = None, seconds: float = 600.0
) -> tuple[list[Path], list[SimulatedExposure]]:
    """Simulate some dithered exposures and write them."""
    mode = Mode(subarray=Subarray(1, 1800, 900, SIDE, SIDE))
    made = [
        simulate_exposure(
            scene or crowded(), "WFC3", "UVIS", "F606W", Pointing(RA, DEC, roll, dither=dither),
            seconds, seed=k + 1, mode=mode, rootname=f"icr0{k}01aq",
        )
        for k, (dither, roll) in enumerate(SET[:count])
    ]  # fmt: skip
    return [exposure.write(folder) for exposure in made], made
