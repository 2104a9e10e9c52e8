"""Run runsinglehap without its catalogs, in an environment that has it; needs nothing of hapdask.

``python -P svm_peer.py FOLDER POLLER SERVICE`` makes the single-visit mosaic of the files of a
folder (copies: it writes to them), asking the astrometric catalog service of an URL.  Ends with 1
unless runsinglehap says that it succeeded.
"""

from __future__ import annotations

import os
import sys

_DETECTORS = ("SBC", "HRC", "WFC", "UVIS", "IR", "PC")


def main(folder: str, poller: str, service: str) -> int:
    os.chdir(folder)
    # read when drizzlepac is imported
    os.environ["ASTROMETRIC_CATALOG_URL"] = service
    os.environ |= {f"SVM_CATALOG_{detector}": "off" for detector in _DETECTORS}
    from drizzlepac import runsinglehap
    from spherical_geometry.polygon import SphericalPolygon

    # skypac 1.0.12 calls what spherical_geometry 1.4 has no more; without it every match fails,
    # and AstroDrizzle falls back on localmin.
    if not hasattr(SphericalPolygon, "iter_polygons_flat"):
        SphericalPolygon.iter_polygons_flat = SphericalPolygon.__iter__
    return 0 if runsinglehap.perform(poller, log_level="info") == 0 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
