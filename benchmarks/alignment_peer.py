"""Align visits with TweakReg, in an environment that has it; needs nothing of hapdask.

``python -P alignment_peer.py PARAMETERS FOLDER...`` runs it in each folder, on all its FLC or FLT
files together, with ``refcat.txt`` (RA, Dec in degrees, at the date of the visit); PARAMETERS is a
JSON file with the blocks ``tweakreg`` and ``imagefind``.  It writes to the files: they are to be
copies.  What goes wrong with one folder is told in its ``failed.txt``.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path


def main(parameters: str, *folders: str) -> None:
    from drizzlepac import tweakreg

    given = json.loads(Path(parameters).read_text())
    for folder in map(Path, folders):
        os.chdir(folder)
        try:
            tweakreg.TweakReg(
                [path.name for path in sorted(Path().glob("*_fl?.fits"))],
                imagefindcfg=given["imagefind"],
                refimagefindcfg=given["imagefind"],
                refcat="refcat.txt",
                refxcol=1,
                refycol=2,
                refxyunits="degrees",
                interactive=False,
                updatehdr=True,
                wcsname="TWEAK",
                reusename=True,
                see2dplot=False,
                residplot="No plot",
                writecat=False,
                clean=True,
                **given["tweakreg"],
            )
        except Exception:  # whatever it is, the other visits go on
            Path("failed.txt").write_text(traceback.format_exc())


if __name__ == "__main__":
    main(*sys.argv[1:])
