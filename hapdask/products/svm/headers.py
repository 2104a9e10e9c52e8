"""What the headers of a visit's files say of the visit: sky cells, level, names.

Products of the visit are refined where all products are (`hapdask.products.headers`, by the rules
of `header_rules.csv`).  Here is what they and the copies of the inputs have in common.

Source: facts of HAP's ``processing_utils``.  Not followed: upstream's products repeat SKYCELL of
their first input; here it is that of their own pixels.
"""

from __future__ import annotations

import numpy as np

from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.products.fits_cards import Card
from hapdask.sky.footprint import Footprint
from hapdask.sky.grid import SkyGrid
from hapdask.sky.sregion import write as write_region

SKYCELL = "SKYCELL"
#: Cells that are named at most; no file of a visit reaches so many.
MOST_CELLS = 64
_LONGEST = "; ".join(["p0000x00y00"] * MOST_CELLS)


def sky_cell_text(footprint: Footprint) -> str:
    """Name the sky cells that a footprint overlaps, as the card SKYCELL does.

    Examples
    --------
    >>> sky_cell_text(Footprint.from_vertices([182.6, 182.6, 182.5], [28.2, 28.21, 28.21]))
    'p1889x01y20; p1889x02y20; p1890x18y20; p1970x10y03'
    """
    cells = SkyGrid().overlapping(footprint)[:MOST_CELLS]
    return "; ".join(cell.name.removeprefix("skycell-") for cell in cells)


def sky_cell_card(s_region: str) -> Card:
    """Make SKYCELL of an S_REGION; of an empty one, a card of the greatest length."""
    text = sky_cell_text(Footprint.from_sregion(s_region)) if s_region else _LONGEST
    return Card(SKYCELL, text, "sky cells that this image overlaps")


def copy_cards(record: ExposureRecord, name: str) -> list[Card]:
    """Make the cards of PRIMARY that a visit's copy of an exposure has of its own.

    Parameters
    ----------
    record : ExposureRecord
    name : str
        Of the copy.
    """
    return [
        Card("HAPLEVEL", 1, "1 exposure, 2 visit, 4 sky cell"),
        Card("IPPPSSOO", record.name.partition("-")[0], "exposure of this file"),
        Card("FILENAME", name, "name of this file"),
    ]


def chip_cards(record: ExposureRecord, chip: ChipRecord) -> list[Card]:
    """Make the cards of SCI that a visit's copy of an exposure has of its own.

    S_REGION is the outline of the centres of the corner pixels, as the archive has it; SKYCELL is
    the same in all chips of an exposure.
    """
    ny, nx = chip.shape
    x, y = np.array([0.0, 0.0, nx - 1.0, nx - 1.0]), np.array([0.0, ny - 1.0, ny - 1.0, 0.0])
    ra, dec = chip.distortion.pixel_to_sky(x, y)
    region = write_region([(tuple(ra.tolist()), tuple(dec.tolist()))])
    return [
        Card("S_REGION", region, "outline of the chip on the sky"),
        Card(SKYCELL, sky_cell_text(record.footprint), "sky cells that this exposure overlaps"),
    ]
