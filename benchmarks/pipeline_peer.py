"""Run AstroDrizzle whole, files to files, in whatever environment has it; needs nothing of hapdask.

``python -P pipeline_peer.py FOLDER CORES PARAMETERS`` drizzles every FLC or FLT of a folder with
the parameters of a JSON file, and removes its intermediate files; AstroDrizzle writes to its
inputs, so they are to be copies.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(folder: str, cores: str, parameters: str) -> None:
    given = json.loads(Path(parameters).read_text())
    os.chdir(folder)
    from drizzlepac import astrodrizzle

    astrodrizzle.AstroDrizzle(
        [path.name for path in sorted(Path().glob("*_fl?.fits"))],
        output="final",
        runfile="final",
        preserve=False,
        clean=True,
        num_cores=int(cores),
        **given,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
