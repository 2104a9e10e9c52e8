"""Figures of positions of stars: of the reference catalog in a product, and between filters.

Not here: where the positions come from.

Not followed: upstream reshapes a table of positions without turning it, so that its distances of
nearest neighbours are those of other points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.matching.nearest import match_nearest
from hapdask.products.svm.quality import Columns, Item, statistics, table_item
from hapdask.sky.footprint import Footprint
from hapdask.sky.frame import Frame

Floats = NDArray[np.float64]
#: Positions on the sky: ra, dec in degrees.
Positions = tuple[Floats, Floats]

#: Two filters see one star where its positions differ by less, arcsec.
TOLERANCE = 0.1


def reference_items(
    positions: Positions, magnitudes: Floats, footprint: Footprint, name: str
) -> dict[str, Item]:
    """Tell the stars of a reference catalog that lie in a product.

    Parameters
    ----------
    positions : (ra, dec)
        At the date of the exposures.
    magnitudes : ndarray of float64
    footprint : Footprint
        Of the exposures of the product.
    name : str
        Of the catalog.
    """
    ra, dec = positions
    inside = footprint.contains(ra, dec)
    columns: Columns = {
        "RA": (ra[inside].tolist(), "degrees", "right ascension at the date of the exposures"),
        "DEC": (dec[inside].tolist(), "degrees", "declination at the date of the exposures"),
        "mag": (magnitudes[inside].tolist(), "mag", "in the band of the catalog"),
    }
    return {
        "GAIA sources": table_item(columns, f"stars of {name} in the product"),
        "Number of GAIA sources": Item(int(inside.sum()), f"stars of {name} in the product"),
    }


def distribution_items(positions: Positions, frame: Frame) -> dict[str, Item]:
    """Tell how reference stars lie in a product.

    Parameters
    ----------
    positions : (ra, dec)
        Of those in it.
    frame : Frame
        Of the product.
    """
    x, y = frame.sky_to_pixel(*positions)
    near = _nearest(np.stack([x, y], axis=1))
    value: dict[str, float | int | None] = {"Number of GAIA sources": len(x)}
    for axis, places, crpix in zip("XY", (x, y), frame.crpix_window, strict=True):
        centroid = float(places.mean()) + 1.0 if len(places) else None
        value[f"{axis} centroid"] = centroid
        value[f"{axis} offset"] = None if centroid is None else float(crpix) - centroid
        value[f"{axis} standard deviation"] = float(places.std()) if len(places) else None
    figures = statistics(near)
    for name in ("minimum", "maximum", "mean", "standard deviation"):
        value[f"{name} neighbor distance"] = figures[name]
    units = {name: "pixels" for name in value if name != "Number of GAIA sources"}
    meaning = "how the stars lie in the product; positions counted from 1"
    return {"distribution characterization statistics": Item(value, meaning, units)}


def merged_positions(lists: Sequence[Positions], tolerance: float = TOLERANCE) -> Positions:
    """Make one list of those of exposures: a star's mean position over those that see it.

    Parameters
    ----------
    lists : sequence of (ra, dec)
        In order; stars that the first has not come from the next.
    tolerance : float, arcsec
    """
    if not lists:
        return np.zeros(0), np.zeros(0)
    center = float(lists[0][0].mean() if len(lists[0][0]) else 0.0), _middle(lists[0][1])
    plane = Frame(center, (1.0, 1.0), _CD, (1, 1))
    places, counts = np.zeros((0, 2)), np.zeros(0)
    for ra, dec in lists:
        own = np.stack(plane.sky_to_pixel(ra, dec), axis=1)
        pairs = match_nearest(own, places, tolerance)
        held = counts[pairs.references, None]
        places[pairs.references] = (places[pairs.references] * held + own[pairs.sources]) / (
            held + 1.0
        )
        counts[pairs.references] += 1
        new = np.setdiff1d(np.arange(len(own)), pairs.sources)
        places = np.concatenate([places, own[new]])
        counts = np.concatenate([counts, np.ones(len(new))])
    return plane.pixel_to_sky(places[:, 0], places[:, 1])


def interfilter_items(
    filters: dict[str, Positions], frame: Frame, tolerance: float = TOLERANCE
) -> dict[str, Item]:
    """Tell how far the stars of filters lie apart, in the frame that they share.

    Parameters
    ----------
    filters : dict of str to (ra, dec)
        Stars of each filter; the one with most is the reference.
    frame : Frame
    tolerance : float, arcsec

    Returns
    -------
    dict of str to Item
        Nothing where there are fewer than two filters.
    """
    if len(filters) < 2:
        return {}
    reference = max(sorted(filters), key=lambda name: len(filters[name][0]))
    items = {"reference filter": Item(reference, "the filter with most stars")}
    limit = tolerance / frame.pixel_scale
    there = np.stack(frame.sky_to_pixel(*filters[reference]), axis=1)
    for name in sorted(set(filters) - {reference}):
        here = np.stack(frame.sky_to_pixel(*filters[name]), axis=1)
        pairs = match_nearest(here, there, limit, separation=limit)
        apart = here[pairs.sources] - there[pairs.references]
        share = 100.0 * len(pairs) / max(1, min(len(here), len(there)))
        value = {
            "stars": len(here),
            "reference stars": len(there),
            "matches": len(pairs),
            "percent matched": share,
            "x": statistics(apart[:, 0]),
            "y": statistics(apart[:, 1]),
            "plate scale": frame.pixel_scale,
        }
        units = {"x": "pixels", "y": "pixels", "plate scale": "arcseconds/pixel"}
        items[f"{name} - {reference}"] = Item(value, "positions in one less the other", units)
    return items


_CD = (-1.0 / 3600.0, 0.0, 0.0, 1.0 / 3600.0)


def _middle(values: Floats) -> float:
    return float(np.median(values)) if len(values) else 0.0


def _nearest(places: Floats) -> Floats:
    """Distance of each point to its nearest neighbour."""
    from scipy.spatial import KDTree

    if len(places) < 2:
        return np.zeros(0)
    distance, _ = KDTree(places).query(places, k=2)
    return np.asarray(distance[:, 1], np.float64)
