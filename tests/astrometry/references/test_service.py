"""The GSSS service and TAP: what is asked, what is read, and every way in which they fail."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import gsss_server
import numpy as np
import pytest

from hapdask.astrometry.references import gsss
from hapdask.astrometry.references.finding import find_references
from hapdask.astrometry.references.gsss import VARIABLE, GsssSource, parse
from hapdask.astrometry.references.region import Cone
from hapdask.astrometry.references.tap import TapSource
from hapdask.astrometry.references.web import Limits, address
from hapdask.errors import InputError, ParameterError
from hapdask.sky.footprint import Footprint

MJD = 59945.25
FIELD = Cone(359.99, -45.0, 0.05)
MOVES = ("1.5", "-2.0", "null", "")
QUICK = Limits(seconds=0.4, silence=0.3, megabytes=1.0)


def made_stars(n=60, ra=359.99, dec=-45.0):
    rng = np.random.default_rng(8)
    spread = 0.06 * np.sqrt(rng.uniform(0, 1, n)), rng.uniform(0, 2 * np.pi, n)
    known = rng.uniform(size=n) < 0.8
    return {
        "objID": np.arange(n) + 2**61,
        "ra": (ra + spread[0] * np.cos(spread[1]) / np.cos(np.radians(dec))) % 360.0,
        "dec": dec + spread[0] * np.sin(spread[1]),
        "ra_error": np.full(n, 0.2),
        "dec_error": np.full(n, 0.3),
        "pmra": np.where(known, rng.normal(0, 5, n), np.nan),
        "pmdec": np.where(known, rng.normal(0, 5, n), np.nan),
        "pmra_error": np.where(known, 0.1, np.nan),
        "pmdec_error": np.where(known, 0.1, np.nan),
        "parallax": np.where(known, 1.0, np.nan),
        "mag": rng.uniform(15, 20, n),
        "epoch": np.full(n, 2016.0),
    }


@pytest.fixture
def service(monkeypatch):
    with gsss_server.serving(made_stars()) as running:
        monkeypatch.setenv(VARIABLE, running.root)
        yield running


def test_a_cone_is_asked_for_and_read(service):
    stars, notes = GsssSource("gaiaedr3").ask(FIELD)
    truth = made_stars()
    assert stars.name == "GAIAeDR3"
    (asked,) = service.asked
    assert asked["CAT"] == "GAIAEDR3"
    assert asked["FORMAT"] == "CSV"
    assert asked["MINDET"] == "5"
    assert "EPOCH" not in asked
    assert float(asked["SR"]) == pytest.approx(0.06, abs=0.002)
    order = [list(truth["objID"].astype(str)).index(i) for i in stars.ids]
    np.testing.assert_array_equal(stars.ra, truth["ra"][order])
    np.testing.assert_array_equal(stars.pmra, truth["pmra"][order])
    assert len(stars) > 50
    assert notes == ()
    assert stars.origin.startswith(service.root)
    assert stars.date.endswith("Z")


def test_a_footprint_is_asked_for_by_its_outline(service):
    ra, dec = FIELD.ra, FIELD.dec
    square = Footprint.from_vertices(
        [ra - 0.04, ra + 0.04, ra + 0.04, ra - 0.04], [dec - 0.03] * 2 + [dec + 0.03] * 2
    )
    stars, _ = find_references(GsssSource(), square, MJD, cache="off")
    assert service.asked[0]["STCS"].startswith("polygon ")
    assert "RA" not in service.asked[0]
    by_cone, _ = find_references(GsssSource(), FIELD, MJD, cache="off")
    assert stars.ids.tolist() == by_cone.within(square).ids.tolist()
    both = square | Footprint.from_sregion(f"CIRCLE ICRS {ra} {dec} 0.01")
    GsssSource().ask(both)
    assert "SR" in service.asked[-1]


def test_the_stars_found_stand_at_the_date(service):
    found, (told,) = find_references("GAIAeDR3", FIELD, MJD, cache="off")
    assert told.status == "found"
    truth = made_stars()
    order = [list(truth["objID"].astype(str)).index(i) for i in found.ids]
    moving = np.isfinite(truth["pmdec"][order])
    years = found.epoch[0] - 2016.0
    shift = (found.dec - truth["dec"][order]) * 3.6e6
    expected = years * np.nan_to_num(truth["pmdec"][order])
    assert np.abs(shift - expected)[moving].max() < 1.01  # the parallax
    assert np.abs(shift)[~moving].max() == 0.0
    assert found.dec_error[~moving].min() > 40.0
    assert found.published.epoch[0] == 2016.0


@pytest.mark.parametrize("mode", sorted(gsss_server.MISBEHAVIOUR))
def test_a_service_that_misbehaves_is_a_verdict_and_the_next_is_asked(service, mode):
    service.mode = mode
    good = {"ra": [FIELD.ra, FIELD.ra + 0.01], "dec": [FIELD.dec, FIELD.dec]}
    never_ends = gsss_server.MISBEHAVIOUR[mode] == "no whole answer"
    limits = QUICK if never_ends else Limits(seconds=30.0, silence=30.0, megabytes=1.0)
    sources = [GsssSource("GAIAeDR3", limits=limits), good]
    stars, (first, second) = find_references(sources, FIELD, MJD, cache="off")
    assert first.status == "failed"
    assert gsss_server.MISBEHAVIOUR[mode] in first.reason
    assert second.status == "found"
    assert len(stars) == 2


def test_no_service_at_all(monkeypatch):
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:9/x")
    stars, (told,) = find_references("GSC242", FIELD, MJD, cache="off")
    assert stars is None
    assert told.status == "failed"
    assert "cannot be read" in told.reason
    assert told.to_dict()["question"].startswith("http://127.0.0.1:9/x/vo/CatalogSearch.aspx?RA=")
    for root in ("file:///etc", "gsss"):
        monkeypatch.setenv(VARIABLE, root)
        _, (told,) = find_references("GSC242", FIELD, MJD, cache="off")
        assert "no address of a web service" in told.reason


def test_a_field_without_stars(service):
    stars, (told,) = find_references("GAIAeDR3", Cone(10.0, 10.0, 0.02), MJD, cache="off")
    assert stars is None
    assert (told.status, told.stars, told.reason) == ("empty", 0, "the catalog has no star here")


@pytest.mark.parametrize(
    ("body", "n", "noted"),
    [
        ("2\r\nRA,DEC\r\n1.0,2.0\r\n3.0,4.0\r\n", 2, 0),
        ("Objects found: 2\nra,dec\n1.0,2.0\n3.0,4.0\n", 2, 0),
        ("ra,dec\n1.0,2.0", 1, 0),
        ("\ufeff1\nra,dec\n1.0,2.0\n", 1, 0),
        ("0\r\n", 0, 0),
        ("0\r\nra,dec\r\n", 0, 0),
        ("3\nra,dec\n1.0,2.0\n3.0,4.0\n5.0\n", 2, 1),
        ('1\nname,ra,dec,ra\n"a, b",1.0,2.0,9\n', 1, 0),
    ],
)
def test_answers_of_several_shapes(body, n, noted):
    table, notes = parse(body.encode(), "here")
    assert len(table) == n
    assert len(notes) == noted
    if n:
        assert table[next(c for c in table.colnames if c.lower() == "ra")][0] == "1.0"


@pytest.mark.parametrize("unit", [1.0, 1e-3])
def test_errors_of_gsc_are_safe_whatever_their_unit(monkeypatch, unit):
    rows = [
        f"{150 + 0.01 * k},0.{k}1,2.0,{0.3 * unit},{m},0.1,{m},0.1" for k, m in enumerate(MOVES)
    ]
    body = "ra,raErr,dec,decErr,rapm,rapmErr,decpm,decpmErr\n" + "\n".join(rows)
    monkeypatch.setattr(gsss, "fetch", lambda *_, **__: f"{len(rows)}\n{body}".encode())
    stars, notes = GsssSource("GSC242").ask(Cone(150.0, 2.0, 0.1))
    assert stars.ra_error.tolist() == stars.dec_error.tolist() == [2.0, 2.0, 200.0, 200.0]
    assert "errors taken as 2 mas with a motion, 200 mas without" in notes


def test_parameters():
    with pytest.raises(ParameterError, match="no catalog of the service, only GAIAeDR3"):
        GsssSource("GAIA")
    with pytest.raises(ParameterError, match="above 0"):
        Limits(seconds=0.0)
    assert address("http://h/p", {"a": "b c"}) == "http://h/p?a=b%20c"


VOTABLE = """<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE type="results"><INFO name="QUERY_STATUS" value="{status}">{why}</INFO><TABLE>
<FIELD name="source_id" datatype="long"/><FIELD name="ra" datatype="double" unit="deg"/>
<FIELD name="ra_error" datatype="float" unit="mas"/><FIELD name="dec" datatype="double" unit="deg"/>
<FIELD name="dec_error" datatype="float" unit="mas"/>
<FIELD name="pmra" datatype="double" unit="mas.yr**-1"/>
<FIELD name="pmdec" datatype="double" unit="mas.yr**-1"/>
<FIELD name="ref_epoch" datatype="double" unit="yr"/>
<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""
CELLS = ("4611686018427387905", "359.99", "0.1", "-45.0", "0.1", "5.0", "", "2016.0")
ROW = "<TR>" + "".join(f"<TD>{cell}</TD>" for cell in CELLS) + "</TR>"


@pytest.fixture
def tap():
    """Speak a little TAP: whatever ``body`` holds, and the queries that came."""
    pytest.importorskip("pyvo")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            body = self.server.body.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.body = [], VOTABLE.format(status="OK", why="", rows=ROW)
    server.root = f"http://127.0.0.1:{server.server_address[1]}/tap"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_tap_service(tap):
    stars, notes = TapSource(root=tap.root).ask(FIELD)
    assert stars.ids.tolist() == [CELLS[0]]
    assert stars.pmra[0] == 5.0
    assert np.isnan(stars.pmdec[0])
    assert stars.name == "GAIADR3"
    assert notes == ()
    path, query = tap.asked[0].split("?")
    asked = parse_qs(query)
    assert path == "/tap/sync"
    assert asked["REQUEST"] == ["doQuery"]
    assert "CIRCLE('ICRS', 359.98" in asked["QUERY"][0]
    cut = TapSource(root=tap.root, most=1).ask(FIELD).notes
    assert cut == ("only the 1 brightest stars",)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (VOTABLE.format(status="ERROR", why="no such table", rows=""), "no such table"),
        ("<html><body>busy</body></html>", "answers no VOTable|the service says"),
        ("nonsense", "answers no VOTable"),
        ("", "answers no VOTable"),
        (VOTABLE.format(status="OK", why="", rows=ROW)[:-60], "answers no VOTable"),
    ],
)
def test_a_tap_service_that_misbehaves(tap, body, said):
    tap.body = body
    with pytest.raises(InputError, match=said):
        TapSource(root=tap.root, limits=QUICK).ask(FIELD)


def test_without_pyvo_a_tap_service_is_a_verdict(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyvo.dal", None)
    _, (told,) = find_references("gaia-tap", FIELD, MJD, cache="off")
    assert told.status == "failed"
    assert "pip install 'hapdask[archives]'" in told.reason
