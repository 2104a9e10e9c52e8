"""Small simulated visits through several filters, whose headers are wrong, for tests of SVM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.table import Table

from hapdask.simulate import (
    Mode,
    Options,
    Pointing,
    PointingError,
    Scene,
    Subarray,
    simulate_exposure,
)
from hapdask.simulate.scene import EPOCH

RA, DEC = 150.1, 2.2
SIDE = 400
DITHERS = ((0.0, 0.0), (1.3, 0.7))
DATE = "2016-01-01T00:00:00"  # the epoch of the reference stars
UVIS = Mode(subarray=Subarray(1, 1800, 900, SIDE, SIDE))
#: From the target to the middle of the subarray, degrees: RA, Dec.
_MIDDLE = (-0.0108, -0.0083)


def field_stars(seed: int = 8, stars: int = 45, center: tuple[float, float] = (RA, DEC)) -> Scene:
    """Bright stars over the whole subarray."""
    rng = np.random.default_rng(seed)
    return Scene.stars(
        center[0] + _MIDDLE[0] + rng.uniform(-0.0022, 0.0022, stars),
        center[1] + _MIDDLE[1] + rng.uniform(-0.0022, 0.0022, stars),
        rng.uniform(18.5, 22.0, stars),
    )


def reference_stars(scene: Scene) -> Table:
    """Tell where the stars are, to a tenth of a mas."""
    count = len(scene.ra)
    small = np.full(count, 0.1)
    zero = np.zeros(count)
    return Table(
        {
            "ra": scene.ra, "dec": scene.dec, "ra_error": small, "dec_error": small,
            "pmra": zero, "pmdec": zero, "pmra_error": small, "pmdec_error": small,
            "phot_g_mean_mag": scene.mag, "ref_epoch": np.full(count, EPOCH),
        }
    )  # fmt: skip


@dataclass(frozen=True)
class SmallVisit:
    """Files of a visit, its reference stars, its poller."""

    folder: Path
    paths: tuple[Path, ...]
    scene: Scene = field(repr=False)

    @property
    def catalog(self) -> Path:
        return self.folder / "refcat.ecsv"

    @property
    def poller(self) -> Path:
        return self.folder / "poller.out"


def observe_visit(
    folder: Path,
    filters: Sequence[str] = ("F606W", "F814W"),
    *,
    visit: str = "06",
    count: int = 2,
    scene: Scene | None = None,
    error: PointingError | None = None,
    seconds: float = 400.0,
    center: tuple[float, float] = (RA, DEC),
    first: int = 1,
    options: Options | None = None,
) -> SmallVisit:
    """Simulate a visit of UVIS subarrays: some dithers through each filter, in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    sky = field_stars(center=center) if scene is None else scene
    wrong = PointingError(0.35, -0.25, 0.005) if error is None else error
    paths = []
    for number in range(len(filters) * count):
        name, dither = filters[number // count], DITHERS[number % count]
        made = simulate_exposure(
            sky, "WFC3", "UVIS", name,
            Pointing(*center, 10.0, DATE, dither=dither, error=wrong, aligned=False),
            seconds + 10.0 * number, seed=number + first, mode=UVIS, options=options,
            rootname=f"ib46{visit}{number + first:02d}q", proposal=11665,
        )  # fmt: skip
        paths.append(made.write(folder))
    reference_stars(sky).write(folder / "refcat.ecsv", overwrite=True)
    (folder / "poller.out").write_text("".join(f"{path.name}\n" for path in paths))
    return SmallVisit(folder, tuple(paths), sky)
