"""The working store, as the rest of hapdask uses it: `MosaicStore` writes, `open_mosaic` reads.

Layout below the root: ``<pPPPP>/<instrument_detector_filter>/<scale>/`` for projection cells and
``custom/<name>/<instrument_detector_filter>/`` for other frames, each a zarr v3 group. Not here:
anything but the two names (`writer`, `reader`).
"""

from __future__ import annotations

from hapdask.products.reader import open_mosaic
from hapdask.products.writer import MosaicStore

__all__ = ["MosaicStore", "open_mosaic"]
