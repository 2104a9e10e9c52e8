"""Headers of products: rules on real headers, the template, HDRTAB, cards of every chip."""

import gzip
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from hapdask.config import load_astrodrizzle, load_parameters
from hapdask.errors import ParameterError
from hapdask.observe.cards import parse_cards
from hapdask.observe.chips import export_cards
from hapdask.observe.distortion import Correction
from hapdask.observe.record import ChipRecord, ExposureRecord, FileIdentity
from hapdask.products.drizzle_cards import drizzle_cards
from hapdask.products.fits_cards import render
from hapdask.products.fits_table import Column, table_hdu
from hapdask.products.hdrtab import hdrtab, hdrtab_columns
from hapdask.products.header_rules import FUNCTIONS, check_table, read_table, rules_for
from hapdask.products.header_source import HeaderSource
from hapdask.products.header_template import fill_template
from hapdask.products.headers import ProductCards
from hapdask.products.names import product_suffix
from hapdask.products.told import Told
from hapdask.sky.frame import Frame

DATA = Path(__file__).parents[1] / "data" / "observe"
FRAME = Frame.from_center(137.85, -64.9, 0.04, (200, 300), 30.0)


def real_cards(name):
    """PRIMARY and the SCI headers of a real file, as they are kept for export."""
    raw = gzip.decompress((DATA / f"{name}_headers.bin.gz").read_bytes())
    headers, start = [], 0
    while start < len(raw):
        stop = start
        while not any(
            raw[card : card + 80].rstrip() == b"END" for card in range(stop, stop + 2880, 80)
        ):
            stop += 2880
        headers.append(parse_cards(raw[start : stop + 2880]))
        start = stop + 2880
    science = [h for h in headers if h.get("EXTNAME") == "SCI"]
    return export_cards(headers[0]), [export_cards(h) for h in science]


def exposure(name="uvis", n=0, **changes):
    primary, science = real_cards(name)
    cards = dict(primary)
    factor = 1.0 + 0.01 * n
    chips = tuple(
        ChipRecord(
            extver=k,
            chip=int(dict(c).get("CCDCHIP", k)),
            shape=(2051, 4096),
            distortion=None,
            sci=None,
            err=None,
            dq=None,
            sky=12.5 + n,
            flux_factor=factor,
            photflam=2.5e-18 * factor,
            idcscale=0.0396,
            keywords=c,
        )
        for k, c in enumerate(science, start=1)
    )
    fields = {
        "name": f"ib46{n:02d}c5q",
        "url": f"/data/ib46{n:02d}c5q_flc.fits",
        "identity": FileIdentity(1, "0", "0"),
        "instrument": str(cards["INSTRUME"]).strip().lower(),
        "detector": str(cards.get("DETECTOR", "pc")).strip().lower(),
        "filter": "f475w",
        "exptime": 100.0 + n,
        "expstart": 55611.1 + n,
        "expend": 55611.2 + n,
        "unit": "electron",
        "proposal": str(cards["PROPOSID"]),
        "visit": f"ib46{n:02d}",
        "target": "ANY",
        "suffix": "flc",
        "wcsname": "IDC_x-FIT_SVM_GAIAeDR3",
        "chips": chips,
        "keywords": primary,
    }
    return ExposureRecord(**(fields | changes))


def cards_of(source, name="x_drc.fits"):
    product = ProductCards(source, FRAME, name, {"SCI": name, "WHT": name})
    return (
        {c.keyword: c.value for c in product.primary(None, 3)},
        {c.keyword: c.value for c in product.image("SCI", "")},
    )


# Rules


def test_every_line_of_the_table_can_be_applied():
    check_table()
    lines = read_table()
    assert len({line.keyword for line in lines}) > 300
    for line in lines:
        assert line.keyword.startswith("/") or len(line.keyword) <= 8
        assert not line.column or rules_for(line.column.split()[0], "visit").columns
    with pytest.raises(ValueError, match="no function 'median'"):
        check_table([line.__class__("A", "", "median", "all", "all", "", "") for line in lines[:1]])


def test_functions_combine_as_their_names_say():
    values = [3, 1.5, 1.5]
    expected = {
        "first": 3, "last": 1.5, "float_one": 1.0, "int_one": 1, "zero": 0, "multi": "MULTIPLE",
        "multi?": "?", "mean": 2.0, "sum": 6.0, "max": 3, "min": 1.5,
    }  # fmt: skip
    assert {name: FUNCTIONS[name](values) for name in expected} == expected
    assert FUNCTIONS["stddev"](values) == pytest.approx(np.std(values))
    assert FUNCTIONS["multi"](["a", "a"]) == FUNCTIONS["multi?"](["a", "a"]) == "a"
    assert FUNCTIONS["mean"]([1e-19 / 3] * 7) == 1e-19 / 3
    assert FUNCTIONS["sum"](["no", "number"]) is None


def test_rules_differ_by_instrument_and_product():
    assert ("FILTER", "FILTER1", "first") in rules_for("acs", "visit").functions
    assert ("FILTER", "FILTNAM1", "first") in rules_for("wfpc2", "visit").functions
    assert ("PA_V3", "PA_V3", "first") in rules_for("wfc3", "visit").functions
    assert ("PA_V3", "PA_V3", "zero") in rules_for("wfc3", "cell").functions
    assert ("FLATCORR", "FLATCORR", "multi") in rules_for("wfc3", "visit").functions
    assert "FLATCORR" in rules_for("wfc3", "cell").removed
    # an instrument without lines of its own has those that hold for all
    assert ("PHOTFLAM", "PHOTFLAM", "mean") in rules_for("stis", "visit").functions
    assert rules_for("nicmos", "visit").columns[:3] == ("ROOTNAME", "EXTNAME", "EXTVER")
    lengths = {name: len(rules_for(name, "cell").columns) for name in ("acs", "wfc3", "wfpc2")}
    assert lengths == {"acs": 313, "wfc3": 276, "wfpc2": 274}


def test_of_several_sources_the_last_that_is_there_counts():
    rules = rules_for("wfpc2", "visit")
    assert rules.blend([{"FILTNAM1": "F555W"}])["FILTER"] == "F555W"
    assert rules.blend([{"FILTNAM1": "F555W", "FILTER": "F606W"}])["FILTER"] == "F606W"


# Real headers


def test_a_header_of_a_visit_on_real_cards():
    exposures = tuple(exposure(n=n) for n in range(3))
    source = HeaderSource(
        exposures=exposures, level=2, parameters=Told.of_drizzle(load_parameters("WFC3", "UVIS", 3))
    )
    primary, science = cards_of(source, "hst_11665_06_wfc3_uvis_f475w_ib4606_drc.fits")
    first = dict(exposures[0].keywords)
    for keyword in ("TELESCOP", "INSTRUME", "RA_TARG", "APERTURE", "FLATFILE", "CCDGAIN"):
        assert primary.get(keyword) == first.get(keyword)
    assert primary["EXPTIME"] == primary["TEXPTIME"] == 303.0
    assert list(primary).index("TEXPTIME") == list(primary).index("EXPTIME") + 1
    assert (primary["EXPSTART"], primary["EXPEND"]) == (55611.1, 55613.2)
    assert primary["ASN_MTYP"] == "PROD-DTH"
    assert primary["NDRIZIM"] == 6
    assert primary["NUMEXP"] == 3
    assert primary["ROOTNAME"] == "hst_11665_06_wfc3_uvis_f475w_ib4606"
    assert primary["PROPOSID"] == first["PROPOSID"]
    assert primary["DRIZCORR"] == "COMPLETE"
    assert not {"GYROMODE", "SUNANGLE", "EXPFLAG", "LINENUM", "PHOTFLAM"} & set(primary)
    assert science["NCOMBINE"] == 3
    assert science["CCDCHIP"] == "-999"
    assert science["PHOTFLAM"] == 2.5e-18  # the layer's, to the last bit
    assert science["WCSNAME"] == "IDC_x-FIT_SVM_GAIAeDR3"
    assert science["ORIENTAT"] == pytest.approx(30.0, abs=0.1)
    assert science["VAFACTOR"] == 1.0


def test_nothing_of_the_detectors_wcs_is_left():
    source = HeaderSource(exposures=(exposure(), exposure(n=1)))
    _, science = cards_of(source)
    kept = {k for k in dict(source.exposures[0].chips[0].keywords) if k in science}
    assert len(kept) > 20
    before = dict(source.exposures[0].chips[0].keywords)
    for keyword in ("A_2_0", "B_0_2", "CPDIS1", "D2IMERR1", "IDCSCALE", "CRPIX1O", "OCX10"):
        assert keyword in before or keyword in ("CPDIS1", "D2IMERR1", "CRPIX1O", "OCX10")
        assert keyword not in science
    for keyword, value in FRAME.to_header().items():
        assert science[keyword] == value
    header = fits.Header.fromstring(
        render([*ProductCards(source, FRAME, "x", {}).image("SCI", "")])
    )
    assert not [k for k in header if k.startswith(("CTYPE", "CRVAL")) and k[-1] not in "12"]


@pytest.mark.parametrize("same", [True, False])
def test_sci_tells_the_solution_of_the_first_input_where_its_header_does(same):
    """WCSTYPE and the errors of the fit stand beside WCSNAME, if they are said of that one."""
    record = exposure()
    told = {
        "WCSNAME": record.wcsname if same else "IDC_x", "WCSTYPE": "aligned by visit",
        "RMS_RA": 3.0, "RMS_DEC": 4.0, "CRDER1": 8e-10,
    }  # fmt: skip
    chips = tuple(
        replace(chip, keywords=tuple((dict(chip.keywords) | told).items())) for chip in record.chips
    )
    _, science = cards_of(HeaderSource(exposures=(replace(record, chips=chips), exposure(n=1))))
    assert science["WCSNAME"] == record.wcsname
    for keyword in told.keys() - {"WCSNAME"}:
        assert science.get(keyword) == (told[keyword] if same else None)


def test_sections_stay_in_order_and_empty_ones_go():
    template = (
        ("A", 1), ("/ FIRST", None), ("B", 2), ("C", 3), ("/ EMPTY", None), ("EXPFLAG", "T"),
        ("/ CALIBRATION REFERENCE FILES", None), ("D", 4), ("/ LAST", None), ("E", 5),
    )  # fmt: skip
    rules = rules_for("wfc3", "cell")
    cards = [c.keyword or c.value for c in fill_template(template, {"C": 30, "F": 6}, rules)]
    assert cards == ["A", "/ FIRST", "B", "C", "/ LAST", "E", "F"]
    header = fits.Header.fromstring(render(list(fill_template(template, {}, rules))))
    assert [str(v).strip() for k, v in header.items() if not k and v] == ["/ FIRST", "/ LAST"]


def test_a_sky_cell_tells_less_and_names_all_proposals():
    exposures = tuple(exposure(n=n, proposal=p) for n, p in enumerate(("11665", "9019", "11665")))
    primary, _ = cards_of(HeaderSource(exposures=exposures, cell="skycell-p0121x12y16"))
    assert primary["PROPOSID"] == "9019; 11665"
    assert primary["SCELLID"] == "p0121x12y16"
    assert primary["PA_V3"] == 0
    assert not {"FLATCORR", "PFLTFILE", "EXPFLAG"} & set(primary)


def test_photflam_is_the_mean_where_chips_are_not_brought_together():
    exposures = tuple(exposure(n=n) for n in range(3))
    off = load_parameters("WFC3", "UVIS", 3, overrides={"flux_scaling": False})
    _, science = cards_of(HeaderSource(exposures=exposures, parameters=Told.of_drizzle(off)))
    assert science["PHOTFLAM"] == pytest.approx(2.5e-18 * 1.01, rel=1e-12)


def test_photometry_of_ir_moves_to_sci():
    (ir,) = (exposure("ir"),)
    assert {"PHOTMODE", "PHOTFLAM"} <= set(dict(ir.keywords))
    primary, science = cards_of(HeaderSource(exposures=(ir,)))
    assert not {"PHOTMODE", "PHOTFLAM", "PHOTFNU"} & set(primary)
    assert science["PHOTMODE"] == dict(ir.keywords)["PHOTMODE"]


def test_photometry_of_a_run_stays_in_primary_and_agrees_with_sci():
    """As in AstroDrizzle's, where inputs have it there; with what was done to the chips."""
    pair = (exposure("ir"), exposure("ir", 1))
    run, science = cards_of(HeaderSource(exposures=pair, level=None))
    assert {"PHOTMODE", "PHOTFLAM", "PHOTPLAM"} <= set(run)
    for keyword in {k for k in run if k.startswith("PHOT")} & set(science):
        assert run[keyword] == science[keyword], keyword
    (acs, _) = cards_of(HeaderSource(exposures=(exposure("acs"),), level=None))
    assert "PHOTFLAM" not in acs


@pytest.mark.parametrize("name", ["acs", "hrc", "wfpc2", "ir", "uvis"])
@pytest.mark.parametrize("level", [1, 2, 4, None])
def test_every_instrument_has_valid_headers(name, level):
    source = HeaderSource(exposures=(exposure(name), exposure(name, 1)), level=level)
    product = ProductCards(source, FRAME, "x_drz.fits", {"SCI": "x_drz_sci.fits"})
    for cards in (
        product.primary(None, 2),
        product.image("SCI", ""),
        product.alone("SCI", None, ""),
    ):
        header = fits.Header.fromstring(render(cards))
        names = [k for k in header if k not in ("", "HISTORY")]
        assert len(names) == len(set(names))
    assert product.alone("SCI", None, "")[0].value == "SCI"
    with fits.HDUList.fromstring(_file(hdrtab(source))) as hdus:
        hdus.verify("exception")
        assert len(hdus[1].data) == len(source.chips)


def test_a_product_of_a_run_keeps_what_astrodrizzle_keeps():
    exposures = tuple(exposure(n=n) for n in range(2))
    run, _ = cards_of(HeaderSource(exposures=exposures, level=None))
    visit, _ = cards_of(HeaderSource(exposures=exposures, level=2))
    kept = {"GYROMODE", "SUNANGLE", "MOONANGL", "EXPFLAG", "LINENUM", "ASN_ID", "ASN_TAB"}
    assert kept <= set(run)
    assert not kept & set(visit)
    assert not {"HAPLEVEL", "NPIXFRAC", "MEDWHT"} & set(run)


def test_there_are_three_levels():
    for level in (0, 3, "2"):
        with pytest.raises(ParameterError, match=r"no HAPLEVEL: it must be one of 1 \(exposure\)"):
            HeaderSource(exposures=(), level=level)


@pytest.mark.parametrize("mjd", [1e9, float("nan"), float("-inf")])
def test_impossible_dates_are_not_told(mjd):
    primary, _ = cards_of(HeaderSource(exposures=(exposure(expstart=mjd, expend=mjd),)))
    assert primary["DATE-BEG"] is None
    assert primary["DATE-END"] is None


def test_detector_of_wfpc2_is_the_number_of_the_chip():
    columns = {
        c.name: c.values for c in hdrtab_columns(HeaderSource(exposures=(exposure("wfpc2"),)))
    }
    assert columns["DETECTOR"] == [1, 2, 3, 4]
    columns = {
        c.name: c.values for c in hdrtab_columns(HeaderSource(exposures=(exposure("uvis"),)))
    }
    assert columns["DETECTOR"] == ["UVIS", "UVIS"]


def test_units_are_those_of_the_layer():
    source = HeaderSource(exposures=(exposure("wfpc2"),), flux_unit="count / s")
    product = ProductCards(source, FRAME, "x_drw.fits", {})
    units = {
        name: {c.keyword: c.value for c in product.image(name, None)}["BUNIT"]
        for name in ("SCI", "ERR", "WHT")
    }
    assert units == {"SCI": "COUNTS/S", "ERR": "COUNTS/S", "WHT": "UNITLESS"}
    assert product_suffix([exposure("wfpc2")]) == "drw"
    assert product_suffix([exposure("uvis")]) == "drc"
    assert product_suffix([exposure("uvis"), exposure("uvis", suffix="flt")]) == "drz"


# HDRTAB


def _file(table):
    primary = fits.PrimaryHDU()
    primary.header["EXTEND"] = True
    return primary.header.tostring().encode() + table


def test_hdrtab_has_a_row_per_chip_with_what_was_done_to_it():
    moved = Correction((137.8, -64.9), (1.0, 1e-5, -1e-5, 1.0), (0.012, -0.034))
    exposures = (exposure(), exposure(n=1, correction=moved))
    source = HeaderSource(exposures=exposures, cell="skycell-p0121x12y16")
    with fits.HDUList.fromstring(_file(hdrtab(source)), checksum=True) as hdus:
        table = hdus["HDRTAB"]
        assert table.verify_checksum() == table.verify_datasum() == 1
        data, names = table.data, table.columns.names
        assert names[:2] == ["SVMROOTNAME", "GENDATE"]
        assert set(rules_for("wfc3", "cell").columns) < set(names)
        assert list(zip(data["ROOTNAME"], data["EXTVER"], strict=True)) == list(source.chips)
        np.testing.assert_allclose(data["PHOTFLAM"], np.repeat([2.5e-18, 2.525e-18], 2))
        np.testing.assert_allclose(data["FLUXFACT"], [1.0, 1.0, 1.01, 1.01])
        np.testing.assert_allclose(data["SKYLEVEL"], [12.5, 12.5, 13.5, 13.5])
        np.testing.assert_array_equal(data["MDRIZSKY"], data["SKYLEVEL"])
        assert np.isnan(data["COR_XI"][:2]).all()
        np.testing.assert_array_equal(data["COR_ETA"][2:], -0.034)
        assert data["HAPEXPNAME"][0] == "hst_skycell-p0121x12y16_wfc3_uvis_f475w_all-ib4600c5"
        assert table.columns["HAPEXPNAME"].format == "51A" or len(data["HAPEXPNAME"][0]) > 51
        cards = dict(exposures[0].keywords) | dict(exposures[0].chips[1].keywords)
        for name in ("CRPIX1", "CD1_1", "TARGNAME", "FLSHCORR", "A_2_0", "CCDGAIN"):
            assert data[name][1] == cards[name]
    assert hdrtab_columns(HeaderSource(exposures=())) == []


def test_types_of_columns():
    columns = [
        Column("INT", [1, -5, 2**40]),
        Column("SOME", [1, None, 3]),
        Column("TEXT", ["a", None, "long text \u00e9"]),
        Column("YES", [True, False, True]),
        Column("MAYBE", [True, None, False]),
        Column("NONE", [None, None, None]),
        Column("MIXED", [1, "x", 2.5]),
        Column("REAL", [1.5, 2, math.inf], unit="deg", comment="with a unit"),
        Column("HUGE", [2**70, 1, 2]),
    ]
    with fits.HDUList.fromstring(_file(table_hdu("T", columns))) as hdus:
        hdus.verify("exception")
        formats = {c.name: c.format for c in hdus[1].columns}
        data = hdus[1].data
        assert formats == {
            "INT": "1K", "SOME": "1D", "TEXT": "11A", "YES": "1L", "MAYBE": "1D", "NONE": "1D",
            "MIXED": "3A", "REAL": "1D", "HUGE": "1D",
        }  # fmt: skip
        assert data["INT"].tolist() == [1, -5, 2**40]
        np.testing.assert_array_equal(data["SOME"], [1, np.nan, 3])
        assert data["TEXT"].tolist() == ["a", "", "long text ?"]
        assert data["YES"].tolist() == [True, False, True]
        np.testing.assert_array_equal(data["NONE"], [np.nan] * 3)
        assert data["MIXED"].tolist() == ["1", "x", "2.5"]
        assert hdus[1].columns["REAL"].unit == "deg"


# Cards of every chip


def test_cards_of_chips_tell_the_truth():
    resolved = load_parameters("WFC3", "UVIS", 2)
    outputs = {"SCI": "x[SCI,1]", "WHT": "x[WHT,1]"}
    cards = drizzle_cards([exposure()], Told.of_drizzle(resolved), 0.04, outputs, "hapdask 9")
    values = {c.keyword: c.value for c in cards}
    assert values["NDRIZIM"] == 2
    assert [k for k in values if k.startswith("D001")][:4] == [
        "D001VER", "D001GEOM", "D001DATA", "D001DEXP",
    ]  # fmt: skip
    assert values["D001VER"] == "hapdask 9"
    assert values["D002DATA"] == "ib4600c5q_flc.fits[sci,2]"
    named = drizzle_cards([exposure()], None, 0.04, {}, "x", {"ib4600c5q": "hst_flc.fits"})
    assert {c.keyword: c.value for c in named}["D002DATA"] == "hst_flc.fits[sci,2]"
    assert (values["D002KERN"], values["D002PIXF"]) == ("square", resolved.parameters.pixfrac)
    assert values["D002SCAL"] == 0.04
    assert values["D002OUCO"] == ""


def test_a_thousand_chips_have_cards_as_far_as_keywords_reach():
    many = [exposure(n=n) for n in range(2)] * 300
    cards = drizzle_cards(many, None, 0.04, {}, "hapdask 9")
    assert cards[0].value == 1200
    assert max(len(card.keyword) for card in cards) == 8
    assert cards[-1].value == "D cards end with chip 999 of 1200; HDRTAB has them all"


def filters(**changes):
    """Two exposures of a visit through two filters."""
    return (exposure(filter="f606w"), exposure(n=1, filter="f814w", **changes))


def test_an_image_of_several_filters_has_no_sensitivity():
    """Upstream gives it the mean of theirs, which is no filter's."""
    total, science = cards_of(
        HeaderSource(exposures=filters(), level=2), "hst_1_01_a_total_b_drc.fits"
    )
    assert total["FILTER"] == "detection"
    gone = {"PHOTFLAM", "PHOTFNU", "PHOTPLAM", "PHOTBW", "PHTFLAM1", "PHTFLAM2", "PHTRATIO"}
    assert not gone & (science.keys() | total.keys())
    same = HeaderSource(exposures=(exposure(), exposure(n=1)), level=2)
    _, one = cards_of(same, "hst_1_01_a_total_b_drc.fits")
    assert one["PHOTFLAM"] > 0
    told = Told.of_astrodrizzle(load_astrodrizzle("WFC3", "UVIS", 2, preset="compat-svm-total"))
    _, archive = cards_of(HeaderSource(exposures=filters(), level=2, parameters=told))
    assert archive["PHOTFLAM"] == pytest.approx(2.5e-18 * 1.005)


@pytest.mark.parametrize("level", [1, 2, 4, None])
@pytest.mark.parametrize("cut", [False, True])
def test_every_image_tells_what_it_is_of_and_where(level, cut):
    """As upstream's, but ROOTNAME is the product's; a subarray's place is not the product's."""
    record = exposure()
    if cut:
        chips = tuple(
            replace(c, keywords=tuple((dict(c.keywords) | {"LTV1": -512.0, "LTM1_1": 2.0}).items()))
            for c in record.chips
        )
        record = replace(record, chips=chips)
    product = ProductCards(HeaderSource(exposures=(record,), level=level), FRAME, "x_drz.fits", {})
    primary = {c.keyword: c.value for c in product.primary(None, 3)}
    assert (primary["FILETYPE"], primary["ROOTNAME"]) == ("SCI", "x")
    assert primary["SIPNAME"] == dict(record.keywords)["SIPNAME"]
    assert primary["RULESVER"] == primary["PROD_VER"].removeprefix("hapdask ")
    assert "BLENDVER" not in primary  # fitsblender had no part in it
    science = {c.keyword: c.value for c in product.image("SCI", None)}
    for name in ("SCI", "WHT", "CTX", "ERR"):
        cards = {c.keyword: c.value for c in product.image(name, None)}
        assert (cards["INHERIT"], cards["ROOTNAME"]) == (True, "x")
        assert [cards[k] for k in ("LTV1", "LTV2", "LTM1_1", "LTM2_2")] == [0.0, 0.0, 1.0, 1.0]
        for keyword in ("EXPNAME", "PA_APER", "CCDCHIP", "WCSNAME"):
            assert cards[keyword] == science[keyword]
        assert name == "SCI" or "SDQFLAGS" not in cards


def test_a_file_of_one_image_inherits_nothing():
    product = ProductCards(HeaderSource(exposures=(exposure(),)), FRAME, "x_drz.fits", {"WHT": "w"})
    cards = {c.keyword: c.value for c in product.alone("WHT", None, None)}
    assert (cards["FILETYPE"], cards["FILENAME"]) == ("WHT", "w")
    assert "INHERIT" not in cards


@pytest.mark.parametrize(("level", "has"), [(1, True), (2, True), (4, False), (None, False)])
def test_products_of_a_visit_name_their_log_and_sky_cells(level, has):
    source = HeaderSource(exposures=(exposure(),), level=level)
    product = ProductCards(source, FRAME, "hst_x_drc.fits", {"SCI": "hst_x_drc.fits"})
    primary = {c.keyword: c.value for c in product.primary(None, 3)}
    assert primary.get("DRIZPARS") == ("hst_x_trl.txt" if has else None)
    region = "POLYGON ICRS 137.82 -64.91 137.83 -64.91 137.83 -64.905 137.82 -64.91"
    science = {c.keyword: c.value for c in product.image("SCI", region)}
    assert science.get("SKYCELL") == ("p0121x12y16" if has else None)
    assert ("MEANEXPT" in primary) == (level in (2, 4))
    room = {c.keyword: c.value for c in product.image("SCI", "")}
    assert not has or len(room["SKYCELL"]) > 700
