"""Pictures of a place: which there are, and that each layer is read once for all of them."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from hapdask.products.index import attach_frame
from hapdask.products.names import sky_cell_name
from hapdask.recipes.export import FORMATS, count_files
from hapdask.recipes.pictures import Album, choose_three, picture_files
from hapdask.sky.frame import Frame

CELL = "skycell-p1889x07y19"
BANDS = ("f435w", "f606w", "f814w")


@pytest.fixture
def shown():
    """Lazy layers by name, and how often the blocks of each were computed."""
    counts = dict.fromkeys(BANDS, 0)
    frame = Frame.from_center(150.0, 2.0, 0.04, (300, 200))

    def show(band):
        def block(block_info=None):
            counts[band] += 1
            return np.random.default_rng(1).normal(0, 1, (100, 100)).astype("f4")

        sci = da.map_blocks(
            block, chunks=((100,) * 3, (100,) * 2), dtype="f4", meta=np.empty((0, 0), "f4")
        )
        ds = xr.Dataset({"sci": (("y", "x"), sci), "wht": (("y", "x"), np.ones((300, 200), "f4"))})
        words = {"instrument": "acs", "detector": "wfc", "filter": band}
        return attach_frame(ds.assign_attrs(words), frame)

    return show, counts


def product(band):
    return sky_cell_name(CELL, "acs", "wfc", band)


def test_each_layer_is_read_once(shown, tmp_path):
    show, counts = shown
    album = Album(show, BANDS)
    formats = ("fits", "jpg", "png")
    files = [f for band in BANDS for f in picture_files(album, [band], product(band), formats)]
    files += picture_files(album, BANDS, product("total"), formats)
    for file in files:
        assert file.write(tmp_path / file.name).is_file()
    assert counts == dict.fromkeys(BANDS, 6)
    stem = f"hst_{CELL}_acs_wfc_f435w_all_drc"
    assert [f.name for f in files[:3]] == [f"{stem}.jpg", f"{stem}_thumb.jpg", f"{stem}.png"]
    assert [f.kind for f in files[:3]] == ["jpg", "thumbnail", "png"]
    assert [f.kind for f in files[-3:]] == ["colour", "thumbnail", "colour"]
    assert Image.open(tmp_path / files[-2].name).size == (85, 128)
    assert len(files) == count_files(3, formats) - count_files(3, ["fits"])


def test_only_layers_of_the_colour_picture_are_kept(shown):
    show, counts = shown
    album = Album(show, BANDS[:1])
    for band in (*BANDS, BANDS[1], BANDS[0]):
        album.picture([band])
    assert counts == {"f435w": 6, "f606w": 12, "f814w": 6}


@pytest.mark.parametrize(
    ("layers", "chosen"),
    [([], ()), ([1], (1,)), ([1, 2, 3], (1, 2, 3)), ([1, 2, 3, 4, 5], (1, 3, 5))],
)
def test_three_layers_are_chosen(layers, chosen):
    assert choose_three(layers) == chosen


def test_files_are_counted():
    assert count_files(1, ("fits", "jpg")) == 3
    assert count_files(2, ("fits", "jpg")) == 8
    assert count_files(2, FORMATS) == 2 * 5 + 3
    assert count_files(0, ()) == 0
