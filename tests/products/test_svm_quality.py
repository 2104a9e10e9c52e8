"""Figures of quality and texts of a visit: right on known data, plain for JSON, deterministic."""

import datetime
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from imagers import make_hrc

import hapdask as hd
from hapdask.config.astrodrizzle_presets import load_astrodrizzle
from hapdask.observe.distortion import Correction
from hapdask.products.svm.logs import Log, log_text, manifest_text
from hapdask.products.svm.quality import (
    Item,
    Subject,
    diagnostic,
    statistics,
    table_item,
    write_diagnostic,
)
from hapdask.products.svm.quality_stars import (
    distribution_items,
    interfilter_items,
    merged_positions,
    reference_items,
)
from hapdask.products.svm.quality_wcs import (
    alignment_items,
    header_warnings,
    wcs_items,
    wcs_kind,
)
from hapdask.products.told import Told

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
NAME = "hst_11665_06_wfc3_uvis_f606w_ib4606_drc.fits"
FITTED = "IDC_x-FIT_SVM_GAIAeDR3"


@pytest.fixture(scope="module")
def hrc(tmp_path_factory):
    (record,) = hd.open_exposures([make_hrc(tmp_path_factory.mktemp("hrc") / "in")])
    return record


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def fitted(record, name=FITTED, **cards):
    chip = record.chips[0]
    own = replace(
        chip, keywords=(*((k, v) for k, v in chip.keywords if k not in cards), *cards.items())
    )
    return replace(record, wcsname=name, chips=(own,))


def field(rng, n=200):
    frame = hd.Frame.from_center(150.0, 2.0, 0.04, (2000, 2000))
    x, y = rng.uniform(100, 1900, (2, n))
    return frame, frame.pixel_to_sky(x, y)


class TestContainer:
    def test_its_sections_are_haps(self, tmp_path):
        header = {
            "TELESCOP": "HST", "PROPOSID": 11665, "INSTRUME": "WFC3", "FILTER": "F606W",
            "D001DATA": "x", "HISTORY": "y", "EXPTIME": float("nan"), "/ TITLE": None,
        }  # fmt: skip
        items = {
            "number": Item(np.int64(3), "how many"),
            "table": table_item({"RA": ([1.0, 2.0], "degrees", "place")}, "stars"),
        }
        found = diagnostic(Subject(NAME, header, NOW, "hapdask 0"), "a test", items)
        assert list(found) == [
            "header", "general information", "data", "descriptions", "units",
        ]  # fmt: skip
        assert found["header"] == {
            "TELESCOP": "HST", "PROPOSID": 11665, "INSTRUME": "WFC3", "EXPTIME": None,
        }  # fmt: skip
        general = found["general information"]
        assert general["dataframe_index"] == NAME[:-9]
        assert (general["detector"], general["visit"], general["filter"]) == ("uvis", "06", "f606w")
        assert general["dataset"] == "ib4606"
        assert found["data"]["table"]["RA"]["data"] == [1.0, 2.0]
        assert found["units"]["table"] == {"RA": "degrees"}
        path = write_diagnostic(found, tmp_path, NAME[:-9], "gaia_sources")
        assert path.name == f"{NAME[:-9]}_svm_gaia_sources.json"
        assert json.loads(path.read_text()) == found

    def test_statistics_leave_outliers_and_nan_out(self, rng):
        values = np.concatenate([rng.normal(5, 1, 1000), [1e4, np.nan]])
        found = statistics(values)
        assert found["number"] == 1001
        assert found["maximum"] == 1e4
        assert found["3x3 sigma-clipped mean"] == pytest.approx(5, abs=0.1)
        assert found["3x3 sigma-clipped standard deviation"] == pytest.approx(1, abs=0.1)
        assert statistics([])["mean"] is None


class TestWcs:
    def test_an_exposures_wcs_beside_its_others(self, hrc):
        crval = hrc.chips[0].distortion.crval
        solved = replace(hrc.corrected(Correction(crval, shift=(0.3, -0.2))), wcsname=FITTED)
        items = wcs_items(solved, [hrc, replace(hrc, wcsname="IDC_y")])
        assert sorted(items) == ["AlternateWCS_default", "DeltaWCS_default", "PrimaryWCS"]
        delta = items["DeltaWCS_default"].value
        assert delta["delta_wcsname"] == f"{FITTED} - {hrc.wcsname}"
        assert (delta["east"], delta["north"]) == pytest.approx((300, -200), abs=0.1)
        assert delta["d_crval2"] == pytest.approx(-0.2 / 3600, rel=1e-4)
        assert delta["d_scale"] == pytest.approx(0, abs=1e-9)
        assert delta["rest"] < 0.1
        primary = items["PrimaryWCS"].value
        assert primary["primary_wcsname"] == FITTED
        assert primary["scale"] == pytest.approx(0.025, rel=0.2)

    def test_kinds(self):
        kinds = {FITTED: "aposteriori", "IDC_x-GSC240": "apriori", "IDC_x": "default"}
        assert {name: wcs_kind(name) for name in kinds} == kinds
        assert wcs_kind("OPUS") == "default"

    def test_the_whole_visit(self, hrc):
        good = fitted(hrc, NMATCHES=100, RMS_RA=3.0, RMS_DEC=4.0)
        items = alignment_items([good, replace(hrc, name="j8bt06nzq")], {"j8bt06nyq": 0.4})
        assert items["number of exposures"].value == 2
        assert items["number aligned"].value == 1
        assert items["catalogs"].value == ["GAIAeDR3"]
        assert items["median fit rms"].value == 5.0
        row = items["exposures"].value["j8bt06nyq"]
        assert (row["matches"], row["relative_mas"]) == (100, 0.4)
        assert row["error_mas"] == pytest.approx(5 / math.sqrt(200))
        assert items["exposures"].value["j8bt06nzq"]["kind"] == "pointing"

    def test_headers_that_do_not_fit_together(self, hrc):
        assert header_warnings([hrc, hrc]) == []
        changed = tuple((k, "other") if k == "IDCTAB" else (k, v) for k, v in hrc.keywords)
        others = [
            hrc, replace(fitted(hrc), keywords=changed), fitted(hrc, "IDC_x-FIT_SVM_GSC242"),
        ]  # fmt: skip
        found = header_warnings(others)
        assert len(found) == 3
        assert "different ways" in found[0]
        assert "GAIAeDR3, GSC242" in found[1]
        assert found[2].startswith("IDCTAB differs")


class TestStars:
    def test_reference_stars_in_a_product(self, rng):
        frame, (ra, dec) = field(rng)
        inner = frame[500:1500, 500:1500]
        items = reference_items((ra, dec), np.full(200, 18.0), inner.footprint, "GAIAeDR3")
        x, y = frame.sky_to_pixel(ra, dec)
        inside = ((x > 499.5) & (x < 1499.5) & (y > 499.5) & (y < 1499.5)).sum()
        assert items["Number of GAIA sources"].value == inside
        assert len(items["GAIA sources"].value["RA"]["data"]) == inside

    def test_how_they_lie(self):
        """On a square of 3 x 3, every neighbour is 100 pixels away (not so upstream)."""
        frame = hd.Frame.from_center(150.0, 2.0, 0.04, (2000, 2000))
        x, y = (v.ravel() for v in np.meshgrid([900.0, 1000.0, 1100.0], [700.0, 800.0, 900.0]))
        value = distribution_items(frame.pixel_to_sky(x, y), frame)[
            "distribution characterization statistics"
        ].value
        assert value["Number of GAIA sources"] == 9
        assert (value["X centroid"], value["Y centroid"]) == pytest.approx((1001, 801))
        assert value["X offset"] == pytest.approx(frame.crpix[0] - 1001)
        for name in ("minimum", "maximum", "mean"):
            assert value[f"{name} neighbor distance"] == pytest.approx(100, abs=1e-3)
        empty = distribution_items((np.zeros(0), np.zeros(0)), frame)
        assert empty["distribution characterization statistics"].value["X centroid"] is None

    def test_two_filters_apart(self, rng):
        frame, (ra, dec) = field(rng)
        x, y = frame.sky_to_pixel(ra, dec)
        noise = rng.normal(0, 0.02, (2, 150))
        other = frame.pixel_to_sky(x[:150] + 0.5 + noise[0], y[:150] - 0.25 + noise[1])
        items = interfilter_items({"f814w": other, "f606w": (ra, dec)}, frame)
        assert items["reference filter"].value == "f606w"
        found = items["f814w - f606w"].value
        assert found["matches"] > 140
        assert found["x"]["median"] == pytest.approx(0.5, abs=0.01)
        assert found["y"]["median"] == pytest.approx(-0.25, abs=0.01)
        assert found["x"]["standard deviation"] == pytest.approx(0.02, rel=0.2)
        assert interfilter_items({"f814w": other}, frame) == {}

    def test_no_stars_in_one(self, rng):
        frame, (ra, dec) = field(rng)
        items = interfilter_items({"a": (ra[:0], dec[:0]), "b": (ra, dec)}, frame)
        assert items["a - b"].value["matches"] == 0
        assert items["a - b"].value["x"]["mean"] is None

    def test_lists_of_exposures_become_one(self, rng):
        frame, (ra, dec) = field(rng, 50)
        x, y = frame.sky_to_pixel(ra, dec)
        one = frame.pixel_to_sky(x[:40] + 0.1, y[:40])
        two = frame.pixel_to_sky(x[10:] - 0.1, y[10:])
        merged = merged_positions([one, two])
        mx, my = frame.sky_to_pixel(*merged)
        assert len(mx) == 50
        assert mx[10:40] == pytest.approx(x[10:40], abs=1e-3)
        assert my[10:40] == pytest.approx(y[10:40], abs=1e-3)
        assert len(merged_positions([])[0]) == 0


class TestTexts:
    def test_the_manifest_names_each_file_once(self):
        assert manifest_text(["b", "a", "b"]) == "b\na\n"
        assert manifest_text([]) == ""

    def test_a_log_tells_how_a_product_was_made(self, hrc):
        crval = hrc.chips[0].distortion.crval
        record = fitted(hrc, NMATCHES=100, RMS_RA=3.0, RMS_DEC=4.0)
        record = record.corrected(Correction(crval, shift=(0.3, -0.2))).with_sky(2.5)
        record = record.with_verdict(record.verdict.warned("without fine lock"))
        told = Told.of_astrodrizzle(load_astrodrizzle("ACS", "HRC", 2))
        log = Log(
            product="hst_9019_06_acs_hrc_f606w_j8bt06_drz.fits", records=(record,),
            parameters=told, date=NOW, software="hapdask 0",
            attempts={"j8bt06nyq": ["rscale to GAIAeDR3: 100 matches"]}, notes=("one note",),
        )  # fmt: skip
        text = log_text(log)
        for words in (
            "hst_9019_06_acs_hrc_f606w_j8bt06_drz.fits", "2026-01-02", "hapdask 0", "j8bt06nyq",
            "warning: without fine lock", "100 matches, rms 3.0 x 4.0 mas",
            "moved by 300.00 mas east, -200.00 mas north", "sky 2.5000", "rscale to GAIAeDR3",
            "final_pixfrac", "driz_cr_single", "default.toml", "one note",
        ):  # fmt: skip
            assert words in text
        assert log_text(log) == text
        bare = log_text(replace(log, parameters=None, notes=(), attempts={}))
        assert "Parameters" not in bare
