"""Names of products: the archive's, and nothing that could leave its folder."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapdask.errors import StoreError
from hapdask.products.names import (
    ProductName,
    colour_name,
    custom_prefix,
    inside,
    sky_cell_name,
    visit_name,
)

CELL = "skycell-p1889x07y19"


def test_layers_of_a_sky_cell_have_the_archives_names():
    fine = sky_cell_name(CELL, "WFC3", "UVIS", "F475W")
    assert fine.fits == "hst_skycell-p1889x07y19_wfc3_uvis_f475w_all_drc.fits"
    assert fine.png == "hst_skycell-p1889x07y19_wfc3_uvis_f475w_all_drc.png"
    assert fine.jpg == "hst_skycell-p1889x07y19_wfc3_uvis_f475w_all_drc.jpg"
    assert fine.thumbnail == "hst_skycell-p1889x07y19_wfc3_uvis_f475w_all_drc_thumb.jpg"
    assert fine.trailer == "hst_skycell-p1889x07y19_wfc3_uvis_f475w_all_trl.txt"
    coarse = sky_cell_name(CELL, "wfc3", "ir", "f105w", scale="coarse", suffix="drz")
    assert coarse.fits == "hst_skycell-p1889x07y19_wfc3_ir_f105w_coarse-all_drz.fits"
    short = sky_cell_name(CELL, "acs", "wfc", "f606w-pol0v", exposure_class="short")
    assert short.fits == "hst_skycell-p1889x07y19_acs_wfc_f606w-pol0v_short_drc.fits"


def test_custom_mosaics():
    assert custom_prefix(1889, (180.0, 26.0)) == "hst_skycell-p1889-ra180d0-decn26d0"
    south = custom_prefix(80, (76.36363636363636, -70.0))
    assert south == "hst_skycell-p0080-ra76d36363636363636-decs70d0"
    pole = custom_prefix(0, (0.0, -89.999999999997))
    assert pole == "hst_skycell-p0000-ra0d0-decs89d999999999997"
    # upstream cuts two characters off a prefix that ends in "_"; one is meant
    name = sky_cell_name(CELL, "acs", "wfc", "f814w", prefix="mine_")
    assert name.fits == "mine_acs_wfc_f814w_all_drc.fits"


def test_single_visit_products():
    name = visit_name(11665, "06", "WFC3", "UVIS", "F555W", "ib4606")
    assert name.fits == "hst_11665_06_wfc3_uvis_f555w_ib4606_drc.fits"
    total = visit_name("11665", "06", "wfc3", "ir", "total", "ib4606", suffix="drz")
    assert total.fits == "hst_11665_06_wfc3_ir_total_ib4606_drz.fits"
    exposure = visit_name(10374, "97E", "acs", "wfc", "f814w", "j97e06j1", suffix="drz")
    assert exposure.fits == "hst_10374_97e_acs_wfc_f814w_j97e06j1_drz.fits"
    planetary = visit_name(5000, "01", "wfpc2", "pc", "f555w", "u2as01", suffix="drw")
    assert planetary.stem == "hst_5000_01_wfpc2_pc_f555w_u2as01"
    with pytest.raises(StoreError, match="neither a visit"):
        visit_name(11665, "06", "wfc3", "uvis", "f555w", "ib4606c5q")


def test_colour_pictures():
    colour = colour_name(CELL, ["F814W", "F475W"], suffix="drz")
    assert colour.jpg == f"hst_{CELL}_total_f814w-f475w_drz.jpg"
    assert colour.thumbnail == f"hst_{CELL}_total_f814w-f475w_drz_thumb.jpg"


HOSTILE = [
    "../../etc/passwd",
    "a/b",
    "..",
    "",
    " ",
    "a\\b",
    "a\0b",
    "f475w\n",
    ".hidden",
    "-rf",
    "é",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_word_from_outside_makes_a_path(text):
    for make in (
        lambda: sky_cell_name(text, "acs", "wfc", "f814w"),
        lambda: sky_cell_name(CELL, text, "wfc", "f814w"),
        lambda: sky_cell_name(CELL, "acs", text, "f814w"),
        lambda: sky_cell_name(CELL, "acs", "wfc", text),
        lambda: sky_cell_name(CELL, "acs", "wfc", "f814w", exposure_class=text),
        lambda: sky_cell_name(CELL, "acs", "wfc", "f814w", prefix=text),
        lambda: visit_name(text, "06", "acs", "wfc", "f814w", "ib4606"),
        lambda: visit_name(1, text, "acs", "wfc", "f814w", "ib4606"),
        lambda: colour_name(CELL, [text]),
        lambda: inside("/tmp", text),
        lambda: ProductName(text),
    ):
        with pytest.raises(StoreError):
            make()


@given(st.text(max_size=30))
def test_whatever_passes_is_a_plain_name(text):
    try:
        name = sky_cell_name(CELL, "acs", "wfc", text, prefix=text or None).fits
    except StoreError:
        return
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name)
    assert ".." not in name
    assert len(name.encode()) <= 255


def test_bad_choices():
    with pytest.raises(StoreError, match="scale"):
        sky_cell_name(CELL, "acs", "wfc", "f814w", scale="medium")
    with pytest.raises(StoreError, match="suffix"):
        sky_cell_name(CELL, "acs", "wfc", "f814w", suffix="fits")
    with pytest.raises(StoreError, match="no sky cell"):
        sky_cell_name("skycell-p1889", "acs", "wfc", "f814w")
    with pytest.raises(StoreError, match="file name"):
        sky_cell_name(CELL, "acs", "wfc", "f" + "1" * 300)
    assert str(inside("/tmp/out", "a.fits")) == "/tmp/out/a.fits"
