"""Run AstroDrizzle's static mask and sky alone, in whatever environment has it; no hapdask needed.

``python -P sky_peer.py FOLDER METHOD`` works on every FLC or FLT of a folder, writes MDRIZSKY to
them, and says in ``sky.json`` what it found and how long it took (imports not counted).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main(folder: str, method: str) -> None:
    os.chdir(folder)
    import numpy as np
    from astropy.io import fits
    from drizzlepac import astrodrizzle
    from spherical_geometry.polygon import SphericalPolygon

    # skypac 1.0.12 calls what spherical_geometry 1.4 has no more; without it every match fails,
    # and AstroDrizzle falls back on localmin.
    if not hasattr(SphericalPolygon, "iter_polygons_flat"):
        SphericalPolygon.iter_polygons_flat = SphericalPolygon.__iter__
    names = [path.name for path in sorted(Path().glob("*_fl?.fits"))]
    wall, cpu = time.perf_counter(), time.process_time()
    astrodrizzle.AstroDrizzle(
        names,
        output="final",
        runfile="final",
        preserve=False,
        clean=False,
        num_cores=1,
        resetbits=0,
        static=True,
        skysub=True,
        skymethod=method,
        sky_bits=0,
        driz_separate=False,
        median=False,
        blot=False,
        driz_cr=False,
        driz_combine=False,
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sky, masks = {}, {}
    for name in names:
        with fits.open(name) as hdus:
            sci = [hdu for hdu in hdus if hdu.name == "SCI"]
            sky[name[:9]] = [hdu.header.get("MDRIZSKY", 0.0) for hdu in sci]
            low, high = np.percentile(sci[0].data, [16, 50])
    for path in Path().glob("*_staticMask.fits"):
        masks[path.name.split("_")[-2]] = int((fits.getdata(path) == 0).sum())
    found = {"sky": sky, "masks": masks, "sigma": float(high - low), "wall": wall, "cpu": cpu}
    Path("sky.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
