"""Run AstroDrizzle with all its steps, in whatever environment has it; needs nothing of hapdask.

``python -P steps_peer.py FOLDER`` drizzles every FLC, FLT or c0m of a folder with the values of its
``parameters.json``, keeps every intermediate file, and says in ``times.json`` how long it took
(imports not counted).  AstroDrizzle writes to its inputs, so they are to be copies.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main(folder: str) -> None:
    os.chdir(folder)
    from drizzlepac import astrodrizzle
    from spherical_geometry.polygon import SphericalPolygon

    # skypac 1.0.12 calls what spherical_geometry 1.4 has no more; without it every match fails,
    # and AstroDrizzle falls back on localmin.
    if not hasattr(SphericalPolygon, "iter_polygons_flat"):
        SphericalPolygon.iter_polygons_flat = SphericalPolygon.__iter__
    names = [path.name for path in sorted(Path().glob("*_*.fits")) if not path.match("*_c1m.fits")]
    wall, cpu = time.perf_counter(), time.process_time()
    astrodrizzle.AstroDrizzle(
        names,
        output="final",
        runfile="final",
        preserve=False,
        clean=False,
        num_cores=1,
        **json.loads(Path("parameters.json").read_text()),
    )
    times = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    Path("times.json").write_text(json.dumps(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
