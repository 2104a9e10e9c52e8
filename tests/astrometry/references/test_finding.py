"""Sources in turn, the cache, offline, and verdicts that help."""

import json

import gsss_server
import numpy as np
import pytest
from astropy.table import Table

from hapdask.astrometry.references import caching, finding
from hapdask.astrometry.references.catalog import UNITS, ReferenceCatalog
from hapdask.astrometry.references.files import FileSource, TableSource
from hapdask.astrometry.references.finding import Source, find_references, source_of
from hapdask.astrometry.references.gsss import VARIABLE, GsssSource
from hapdask.astrometry.references.partitions import HatsSource
from hapdask.astrometry.references.region import Cone
from hapdask.astrometry.references.tap import TapSource
from hapdask.errors import ParameterError

MJD = 57000.0
FIELD = Cone(0.005, 89.99, 0.05)


def some_stars(n=12):
    rng = np.random.default_rng(4)
    return {
        "ra": rng.uniform(0, 360, n),
        "dec": 90 - 0.03 * rng.uniform(0, 1, n),
        "mag": np.arange(n),
    }


@pytest.fixture
def service(monkeypatch, tmp_path):
    monkeypatch.setenv("HAPDASK_CACHE", str(tmp_path / "cache"))
    given, n = some_stars(), 12
    empty = dict.fromkeys(
        ("pmra", "pmdec", "pmra_error", "pmdec_error", "parallax"), np.full(n, np.nan)
    )
    stars = given | empty | {
        "objID": np.arange(n), "ra_error": np.ones(n), "dec_error": np.ones(n),
        "epoch": np.full(n, 2015.5),
    }  # fmt: skip
    with gsss_server.serving(stars) as running:
        monkeypatch.setenv(VARIABLE, running.root)
        yield running


def test_answers_are_kept_with_question_and_date(service):
    first, (told,) = find_references("GAIAeDR3", FIELD, MJD)
    again, (kept,) = find_references("GAIAeDR3", FIELD, 55000.0)
    assert len(service.asked) == 1
    assert (told.cached, kept.cached) == (False, True)
    assert kept.date == told.date != ""
    assert kept.question == told.question == again.origin
    for name in UNITS:
        np.testing.assert_array_equal(getattr(again.at(MJD), name), getattr(first, name))
    assert again.ids.tolist() == first.ids.tolist()
    # the same question within the rounding of its cone; another catalog is another question
    find_references("GAIAeDR3", Cone(FIELD.ra, FIELD.dec + 1e-5, 0.0499), MJD)
    assert len(service.asked) == 1
    find_references("GSC242", FIELD, MJD)
    assert len(service.asked) == 2


def test_offline_and_failing_services_are_answered_from_the_cache(service):
    nothing, (told,) = find_references("GAIAeDR3", FIELD, MJD, offline=True)
    assert nothing is None
    assert (told.status, told.reason[:7]) == ("skipped", "offline")
    assert not service.asked
    find_references("GAIAeDR3", FIELD, MJD)
    assert find_references("GAIAeDR3", FIELD, MJD, offline=True)[1][0].cached
    service.mode = "503"
    stars, (told,) = find_references("GAIAeDR3", FIELD, MJD, cache="refresh")
    assert told.status == "found"
    assert told.cached
    assert len(stars) == 12
    assert "503" in told.notes[-1]
    service.mode = "good"
    assert not find_references("GAIAeDR3", FIELD, MJD, cache="refresh")[1][0].cached
    service.mode = "html"
    assert find_references("GAIAeDR3", FIELD, MJD, cache="off")[0] is None


def test_failures_and_damaged_answers_are_not_kept(service, tmp_path):
    service.mode = "html"
    assert find_references("GAIAeDR3", FIELD, MJD)[0] is None
    service.mode = "good"
    assert find_references("GAIAeDR3", FIELD, MJD)[0] is not None
    (file,) = (tmp_path / "cache" / "references").rglob("*.ecsv")
    whole = file.read_bytes()
    without_the_end = whole[: whole[:-1].rindex(b"\n") + 1]  # a table still, of fewer stars
    for damage in (whole[:900], without_the_end, b"", b"\xff\xfe"):
        file.write_bytes(damage)
        stars, (told,) = find_references("GAIAeDR3", FIELD, MJD)
        assert not told.cached
        assert len(stars) == 12


def test_that_nothing_was_found_is_not_kept(service):
    nowhere = Cone(10.0, 10.0, 0.02)
    for times in (1, 2):
        assert find_references("GAIAeDR3", nowhere, MJD)[1][0].status == "empty"
        assert len(service.asked) == times


def test_a_cache_that_cannot_be_written_is_no_failure(service, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HAPDASK_CACHE", str(tmp_path / "file"))
    assert len(find_references("GAIAeDR3", FIELD, MJD)[0]) == 12
    assert "cannot be kept" in caplog.text


def test_the_first_source_with_enough_stars_wins():
    few, many = some_stars(3), some_stars(12)
    elsewhere = {"ra": [10.0], "dec": [10.0]}
    sources = ["not/there.ecsv", elsewhere, few, many, many]
    stars, told = find_references(sources, FIELD, MJD, minimum=5)
    assert len(stars) == 12
    assert [t.status for t in told] == ["failed", "empty", "few", "found"]
    assert [t.stars for t in told] == [0, 0, 3, 12]
    assert "3 stars in the field, 5 are needed" in told[2].reason
    assert told[0].source == "there"
    json.dumps([t.to_dict() for t in told])
    nothing, told = find_references(sources, FIELD, MJD, minimum=50)
    assert nothing is None
    assert len(told) == 5
    assert find_references([], FIELD, MJD) == (None, ())


@pytest.mark.parametrize(
    ("ra", "dec", "said"),
    [
        (150.0 / 15.0, 2.0, "RA is in hours"),
        (np.radians(150.0), np.radians(2.0), "radians"),
        (2.0, 150.0, None),
        (2.0, -30.0, "exchanged"),
        (20.0, -30.0, "the nearest is"),
    ],
)
def test_a_catalog_in_wrong_units_is_told(ra, dec, said):
    field = Cone(330.0, 2.0, 0.1) if dec == -30.0 else Cone(150.0, 2.0, 0.1)
    stars, (told,) = find_references({"ra": [ra], "dec": [dec]}, field, MJD)
    assert stars is None
    assert told.status == ("failed" if said is None else "empty")
    assert (said or "beyond the sky") in told.reason


def test_what_sources_may_be(tmp_path):
    path = tmp_path / "gaia.ecsv"
    Table(some_stars()).write(path)
    catalog = ReferenceCatalog.of([1.0], [2.0], name="mine")
    hats = tmp_path / "hats"
    hats.mkdir()
    (hats / "hats.properties").write_text("")
    kinds = {
        "gaiaEDR3": GsssSource, "gaia-tap": TapSource, str(path): FileSource, "x.csv": FileSource,
        path: FileSource, str(hats): HatsSource, "s3://b/gaia/": HatsSource,
        "https://h/a.fits": FileSource,
    }  # fmt: skip
    for what, kind in kinds.items():
        source = source_of(what)
        assert isinstance(source, kind)
        assert isinstance(source, Source)
        if kind is not TapSource:  # which needs pyvo
            assert isinstance(source.question(FIELD), str)
    assert isinstance(source_of(Table(some_stars())), TableSource)
    assert source_of(catalog).name == "mine"
    assert source_of(catalog).ask(FIELD).catalog is catalog
    with pytest.raises(ParameterError, match="neither a file nor a known catalog"):
        source_of("GAIADR9")
    assert len(find_references(path, FIELD, MJD)[0]) == 12
    assert len(find_references(str(path), FIELD, MJD, offline=True)[0]) == 12


def test_impossible_requests():
    with pytest.raises(ParameterError, match="at least one star"):
        find_references([], FIELD, MJD, minimum=0)
    with pytest.raises(ParameterError, match="'refresh'"):
        find_references([], FIELD, MJD, cache="maybe")
    with pytest.raises(ParameterError, match="not a date"):
        find_references(some_stars(), FIELD, np.nan)
    assert finding.PM_PRIOR == 7.0
    assert caching.key_of(GsssSource(), "a") != caching.key_of(GsssSource(), "b")
