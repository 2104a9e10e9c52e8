"""Run AstroDrizzle's final step alone, in whatever environment has it; needs nothing of hapdask.

``python -P astrodrizzle_peer.py FOLDER SCALE STEPSIZE`` drizzles every FLC, FLT or c0m of a folder
onto a north-up grid, of the scale of its own choice where SCALE is 0; AstroDrizzle writes to its
inputs, so they are to be copies.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(folder: str, scale: str, stepsize: str) -> None:
    os.chdir(folder)
    from drizzlepac import astrodrizzle

    astrodrizzle.AstroDrizzle(
        [path.name for path in sorted(Path().glob("*_*.fits")) if not path.match("*_c1m.fits")],
        output="final",
        runfile="final",
        preserve=False,
        clean=True,
        num_cores=1,
        resetbits=0,
        stepsize=int(stepsize),
        static=False,
        skysub=False,
        driz_separate=False,
        median=False,
        blot=False,
        driz_cr=False,
        driz_combine=True,
        build=False,
        context=True,
        final_wht_type="EXP",
        final_kernel="square",
        final_pixfrac=1.0,
        final_fillval=None,
        final_bits=0,
        final_units="cps",
        final_wcs=True,
        final_scale=float(scale) or None,
        final_rot=0.0,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
