"""The report as HTML and JSON: valid, escaped, self-contained, complete, and of bounded size."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from hapdask.errors import StoreError
from hapdask.products.report.model import (
    ChipLine,
    FileLine,
    InputLine,
    LayerLine,
    ParameterLine,
    PictureLine,
    PlaceLine,
    RunReport,
)
from hapdask.products.report.render import depth_bars, href, read_report, render, write_report
from hapdask.products.report.sky_map import MOST, SIDE, sky_maps

EVIL = '/data/<script>alert("1")</script>&\'x_flt.fits'
VOID = {"meta", "img", "br", "path", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks nesting; collects tags, text, links and ids."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag, f"</{tag}> in the wrong place"

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag, attribute):
        return [a[attribute] for name, a in self.tags if name == tag and attribute in a]

    @property
    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))


def square(ra, dec, half=0.02):
    return (
        (ra - half, ra + half, ra + half, ra - half),
        (dec - half, dec - half, dec + half, dec + half),
    )


def input_line(number, *, ra=150.0, dec=2.0, **changes):
    fields = {
        "file": f"/data/ia0a{number:02d}aaq_flt.fits", "status": "accepted",
        "name": f"ia0a{number:02d}aaq", "layer": "wfc3_uvis_f606w", "target": "NGC-1",
        "proposal": "12345", "wcsname": "IDC-FIT_SVM_GAIA", "unit": "electron",
        "exptime": 300.0 + number, "start": 58000.0 + number,
        "chips": (ChipLine(extver=1, sky=12.345, flux_factor=0.998, masks=("static", "user")),),
        "outline": (square(ra, dec),),
    } | changes  # fmt: skip
    return InputLine(**fields)


def jpeg(side=8):
    buffer = io.BytesIO()
    Image.new("L", (side, side), 99).save(buffer, format="jpeg")
    return buffer.getvalue()


@pytest.fixture
def report():
    layer = LayerLine(
        place="skycell-p1889x07y19", layer="wfc3_uvis_f606w", scale="fine", store="p1889/x",
        exposures=3, tiles=4, finished=4, made=3, left_out=1, bytes_in=3_000_000, bytes_out=2000,
        task_memory=1_000_000, seconds_planned=3.25, seconds_taken=4.75, covered=400, area=1.5,
        mean_weight=900.0, depth=((1, 100), (3, 300)), deepest=3,
    )  # fmt: skip
    return RunReport(
        title="out <&>",
        finished="2026-01-02 03:04 UTC",
        command="hapdask mosaic '<b>.fits'",
        seconds={"plan": 1.0, "drizzle": 60.0},
        machine={"made by": "2 threads", "peak memory": "1.0 GB"},
        versions={"hapdask": "0.1", "numpy": "2.0"},
        inputs=(
            input_line(1),
            input_line(2, status="warning", reason="guided without <fine> lock"),
            InputLine(file=EVIL, status="rejected", reason="it ends early", remedy="fetch it"),
            InputLine(file="/other/ia0a07aaq_flt.fits", status="unused", reason="a duplicate"),
        ),
        parameters=(
            ParameterLine(name="pixfrac", value="0.8", origin="given", layers=(layer.layer,)),
        ),
        places=(
            PlaceLine(
                name=layer.place, scale="fine", shape=(10, 10), pixel_scale=0.04,
                outline=(square(150.01, 2.01),),
            ),
        ),
        layers=(layer,),
        files=(
            FileLine(
                path="a b/pre#view?.jpg", kind="jpg", place=layer.place, layer=layer.layer,
                scale="fine", size=12345, written=True,
            ),
        ),
        pictures=(
            PictureLine(
                place=layer.place, title="wfc3_uvis_f606w, fine", href="a b/pre#view?.jpg",
                width=8, height=8, data=jpeg(),
            ),
        ),
    )  # fmt: skip


def test_it_is_valid_and_accessible(report):
    text = render(report)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    page = Page(text)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("h1") == tags.count("main") == tags.count("title") - 4 == 1
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name in attributes.get("aria-labelledby", "").split():
            assert name in ids
    assert all(page.all("img", "alt"))
    assert tags.count("img") == len(page.all("img", "alt")) == 1
    assert tags.count("th") == len(page.all("th", "scope"))
    assert 'content="width=device-width' in text
    assert "prefers-color-scheme: dark" in text


def test_it_needs_nothing_from_elsewhere(report):
    text = render(report)
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    assert not any(name.startswith("on") for _, a in page.tags for name in a)
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.all("img", "src"))
    for link in page.all("a", "href"):
        assert link.startswith(("./", "#"))
    for link in page.all("a", "href"):
        if link.startswith("#"):
            assert any(a.get("id") == link[1:] for _, a in page.tags)
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_everything_given_is_escaped(report):
    page = Page(render(report))
    for evil in (EVIL.rpartition("/")[2], "out <&>", "hapdask mosaic '<b>.fits'", "<fine>"):
        assert evil in page.words
    assert not {tag for tag, _ in page.tags} & {"script", "b", "fine"}


def test_every_input_is_named_with_its_verdict(report):
    words = Page(render(report)).words
    table = words[words.index("Start (UTC)") : words.index("As they were used")]
    for line, verdict in zip(
        report.inputs, ("✓ used", "! used", "✕ left out", "○ not needed"), strict=True
    ):
        name = line.file.rpartition("/")[2]
        start = table.index(name)
        assert verdict in table[start : start + 200]
        assert line.reason in table
    problems = words[words.index("Problems") : words.index("Start (UTC)")]
    assert "it ends early (fetch it)" in problems
    assert "a duplicate" not in problems
    used = words[words.index("As they were used") :]
    assert "ia0a01aaq wfc3_uvis_f606w IDC-FIT_SVM_GAIA SCI,1 12.35 electron 0.998000" in used
    assert "static, user" in used


def test_plan_stands_against_actual(report):
    words = Page(render(report)).words
    assert "wfc3_uvis_f606w 1 input failed 3 4 3 1 3.0 MB 2.0 kB 1.0 MB 3.2 s 4.8 s" in words
    assert "1.5 arcmin² 2.5 3 3 900" in words
    assert "pixfrac 0.8 given all" in words
    assert "Time to drizzle 1:00 min" in words
    assert "Made by 2 threads" in words
    assert "numpy 2.0" in words


@pytest.mark.parametrize(
    ("changes", "pill"),
    [
        ({}, "✕ made in part"),
        ({"inputs": ()}, "✓ complete"),
        ({"inputs": (input_line(1, status="warning", reason="look"),)}, "! complete, with warn"),
    ],
)
def test_what_it_says_first(report, changes, pill):
    words = Page(render(replace(report, **changes))).words
    assert pill in words[: words.index("Inputs used")]


def test_an_unfinished_layer_is_not_complete(report):
    layer = replace(report.layers[0], finished=3)
    assert "✕ made in part" in render(replace(report, inputs=(), layers=(layer,)))


def test_an_empty_report(tmp_path):
    page = Page(render(RunReport(title="nothing")))
    assert "nothing" in page.words


def test_links_lead_to_the_files(report, tmp_path):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b/pre#view?.jpg").write_bytes(b"x")
    page = Page(write_report(report, tmp_path).read_text())
    from urllib.parse import unquote

    for link in page.all("a", "href"):
        if not link.startswith("#"):
            assert (tmp_path / unquote(link)).is_file(), link
    assert href("javascript:alert(1)") == "./javascript%3Aalert%281%29"


def test_json_gives_the_same_report(report, tmp_path):
    write_report(report, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"report.html", "report.json"}
    again = read_report(tmp_path)
    assert again == replace(report, pictures=(replace(report.pictures[0], data=b""),))
    assert json.loads((tmp_path / "report.json").read_text())["inputs"][2]["file"] == EVIL


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 9}', '{"format": 1, "title": 3}', '{"format": 1, "x": 1}'],
)
def test_a_damaged_json_is_told(tmp_path, content):
    assert read_report(tmp_path) is None
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(StoreError, match=r"report\.json.*damaged"):
        read_report(tmp_path)


def test_names_that_are_no_text_can_be_written(report, tmp_path):
    name = b"/data/caf\xe9.fits".decode("utf-8", "surrogateescape")
    odd = replace(report, inputs=(InputLine(file=name, status="rejected", reason="no"),))
    text = write_report(odd, tmp_path).read_text()
    assert "caf\\udce9.fits" in text
    assert read_report(tmp_path).inputs[0].file == name


def test_hundreds_of_exposures_stay_small(report):
    inputs = tuple(input_line(n % 100, ra=150 + n / 1e4) for n in range(800))
    text = render(replace(report, inputs=inputs))
    assert len(text) < 800 * 1500 + 40_000
    Page(text)


class TestSkyMap:
    def places(self, report):
        return report.places

    def test_north_is_up_and_east_left(self):
        lines = [input_line(1), input_line(2, ra=150.1), input_line(3, dec=2.1)]
        ((field,), more) = sky_maps((), lines)
        assert more == 0
        middle, east, north = (self.corners(shape).mean(axis=0) for shape in field.exposures)
        assert east[0] < middle[0] - 100
        assert abs(east[1] - middle[1]) < 2
        assert north[1] < middle[1] - 100
        assert abs(north[0] - middle[0]) < 2
        assert abs(field.ra - 150.033) < 0.01

    @staticmethod
    def corners(shape):
        import numpy as np

        return np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", shape.path), float)

    @pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.99, -60.0), (12.0, 89.99), (5, -90)])
    def test_all_exposures_are_inside(self, ra, dec):
        lines = [input_line(n, ra=ra + 0.01 * n, dec=max(dec - 0.01 * n, -89.9)) for n in range(5)]
        ((field,), _) = sky_maps((), lines)
        for shape in field.exposures:
            corners = self.corners(shape)
            assert (corners > 0).all()
            assert (corners < SIDE).all()

    def test_places_are_drawn_where_they_are_seen(self, report):
        far = replace(report.places[0], name="far", outline=(square(200.0, 2.0),))
        coarse = replace(report.places[0], scale="coarse")
        ((field,), _) = sky_maps((*report.places, coarse, far), report.inputs)
        assert [shape.title for shape in field.places] == ["skycell-p1889x07y19"]
        assert 0 < field.places[0].x < SIDE

    def test_fields_far_apart_have_maps_of_their_own(self):
        lines = [input_line(n, ra=10.0 * n) for n in range(1, 13)] + [input_line(13, ra=10.01)]
        maps, more = sky_maps((), lines)
        assert (len(maps), more) == (MOST, 12 - MOST)
        assert len(maps[0].exposures) == 2


@pytest.mark.parametrize("depth", [((1, 5),), ((2, 1), (900, 3)), tuple((n, 1) for n in range(70))])
def test_bars_of_any_depth(report, depth):
    bars = depth_bars(replace(report.layers[0], depth=depth))
    assert 1 <= len(bars) <= 30
    assert sum(float(bar.percent) for bar in bars) == pytest.approx(100, abs=2)
    assert max(bar.height for bar in bars) == 34


def test_depth_figures(report):
    line = report.layers[0]
    assert (line.mean_depth, line.median_depth) == (2.5, 3)
    assert replace(line, depth=((1, 2), (2, 2))).median_depth == 1
    none = replace(line, depth=())
    assert (none.mean_depth, none.median_depth) == (None, None)
