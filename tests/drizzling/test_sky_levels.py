"""Sky levels of sets: AstroDrizzle's figures, true differences, invariances, bad inputs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skies

from hapdask.config.sky import SkyParameters
from hapdask.drizzling.sky_levels.methods import solve_sky
from hapdask.drizzling.sky_levels.solution import SkySolution
from hapdask.drizzling.static_mask import attach_static_masks, find_static_masks
from hapdask.errors import ParameterError, StoreError
from hapdask.observe.exposure import open_exposures

DATA = Path(__file__).parents[1] / "data" / "drizzling" / "skymatch_truth.json"
TRUTH = {k: v for k, v in json.loads(DATA.read_text())["truth"].items() if k != "static"}
SIGMA = 6.5  # electrons, of the pixels of the set
OPTIONS = {
    "bits16": {"bits": 16},
    "limits": {"clip": 2, "lsigma": 3.0, "usigma": 2.0, "lower": 10.0, "upper": 100.0},
    "nostatic": {"use_static": False},
    "one": {},
}
#: Of an overlap of some thousand pixels, one or two of its border more or less: in sigma.
NEAR = {"median": 1e-4, "mean": 1e-4, "mode": 0.01}


def one_root(exposure):
    return "final"


@pytest.fixture(scope="module")
def exposures(fields, tmp_path_factory):
    folder = tmp_path_factory.mktemp("skies")
    records = list(open_exposures(skies.write_set(fields, folder), strict=True))
    masks = find_static_masks(records, root=one_root)
    return attach_static_masks(records, masks, folder / "static", root=one_root)


def skies_of(solution):
    return {sky.name: [chip.sky for chip in sky.chips] for sky in solution.exposures}


@pytest.mark.parametrize("case", TRUTH)
def test_astrodrizzle(case, exposures):
    method, stat, *more = case.split("/")
    truth = {name: [v or 0.0 for v in values] for name, values in TRUTH[case].items()}
    some = [e for e in exposures if e.name in truth]
    options = OPTIONS[more[0]] if more else {}
    parameters = SkyParameters(method=method, stat=stat, convention="upstream", **options)
    found = skies_of(solve_sky(some, parameters, flux_scaling=False))
    # A corner of a chip lies half way between two pixels: which is chosen is a matter of luck.
    near = NEAR[stat] * SIGMA if parameters.matches else 1e-5
    for name, values in truth.items():
        assert found[name] == pytest.approx(values, abs=near), name


@pytest.mark.parametrize("stat", ["median", "mean"])
def test_match_finds_the_levels_beneath_a_structured_sky(exposures, stat):
    """Levels are per exposure time and pixel area; sky structure is as bright in all."""
    solution = solve_sky(exposures, SkyParameters(method="match", stat=stat), threads=2)
    area = 0.0396**2
    truth = {name: level / (seconds * area) for name, _, _, level, seconds in skies.SET}
    names = list(truth)
    lowest = min(truth.values())
    assert min(sky.brightness for sky in solution.exposures) == 0.0
    for name in names:
        error = solution.error_of_difference(name, min(truth, key=truth.get))
        unit = 1.0 / (100.0 * area)  # about one electron
        assert 0 <= error < 0.2 * unit
        # Stars are not common here: they move the statistic by a part of their own scatter.
        off = solution[name].brightness - (truth[name] - lowest)
        assert abs(off) < 3 * error + 0.12 * unit
    assert len(solution.overlaps) == 6
    assert {sky.group for sky in solution.exposures} == {0}


def shifted(record, constant, tmp_path):
    """Copy an exposure with a constant added to all chips."""
    from astropy.io import fits

    path = tmp_path / Path(record.url).name
    with fits.open(record.url) as hdus:
        for chip in record.chips:
            hdus["SCI", chip.extver].data += np.float32(constant)
        hdus.writeto(path)
    (copy,) = open_exposures(path, strict=True)
    return copy


@pytest.mark.parametrize("convention", ["own", "upstream"])
@pytest.mark.parametrize("method", ["match", "globalmin+match", "localmin"])
def test_a_constant_moves_one_exposure(exposures, tmp_path, method, convention):
    parameters = SkyParameters(method=method, convention=convention, use_static=False)
    before = skies_of(solve_sky(exposures, parameters))
    moved = shifted(exposures[2], 16.0, tmp_path)
    after = skies_of(solve_sky([*exposures[:2], moved, exposures[3]], parameters))
    rate = 16.0 / exposures[2].exptime
    changes = {e.name: (after[e.name][0] - before[e.name][0]) / e.exptime for e in exposures}
    others = [changes[e.name] for e in exposures if e.name != moved.name]
    assert others == pytest.approx([others[0]] * 3, abs=2e-6)
    assert changes[moved.name] - others[0] == pytest.approx(rate, abs=2e-6)


def test_order_does_not_matter(exposures):
    parameters = SkyParameters(method="globalmin+match")
    one = solve_sky(exposures, parameters)
    two = solve_sky(exposures[::-1], parameters, threads=3)
    for name, values in skies_of(one).items():
        assert skies_of(two)[name] == pytest.approx(values, abs=2e-6)


@pytest.fixture(scope="module")
def apart(fields, tmp_path_factory):
    """Two pairs far from each other, and one alone; levels 50, 55; 80, 90; 30."""
    folder = tmp_path_factory.mktemp("apart")
    levels = {"ia0t01aaq": 50, "ia0t01abq": 55, "ia0t02aaq": 80, "ia0t02abq": 90, "ia0t03aaq": 30}
    paths = []
    for k, (name, level) in enumerate(levels.items()):

        def fill(rng, shape, level=level):
            sci = level + rng.normal(0.0, 5.0, shape)
            return replace(fields.clean(rng, shape), sci=sci.astype(np.float32))

        offset = (60.0 * (k // 2), 1.0 * (k % 2))
        paths.append(
            fields.write_exposure(folder, name, shape=(100, 120), offset=offset, fill=fill)
        )
    return list(open_exposures(paths, strict=True))


def test_groups_have_their_own_zero(apart):
    own = solve_sky(apart, SkyParameters(method="match"))
    first = [skies_of(own)[e.name][0] for e in apart]
    assert first == pytest.approx([0, 5, 0, 10, 0], abs=0.3)
    assert [sky.group for sky in own.exposures] == [0, 0, 1, 1, -1]
    assert any("2 groups" in note for note in own.notes)
    assert any("ia0t03aaq" in note for note in own.notes)
    assert "cannot be matched" in own["ia0t03aaq"].verdict.reason
    assert np.isnan(own.error_of_difference("ia0t01aaq", "ia0t02aaq"))
    both = solve_sky(apart, SkyParameters(method="globalmin+match"))
    levels = [skies_of(both)[e.name][0] for e in apart]
    assert levels == pytest.approx([50, 55, 80, 90, 30], abs=0.4)


def test_groups_upstream_share_one_zero(apart):
    """A mean of zero per group, then one shift for all: half of 10 here."""
    found = solve_sky(apart, SkyParameters(method="match", convention="upstream"))
    first = [skies_of(found)[e.name][0] for e in apart]
    assert first == pytest.approx([2.5, 7.5, 0, 10, 0], abs=0.3)


def test_held_levels_stay(apart):
    parameters = SkyParameters(method="globalmin+match")
    all_at_once = solve_sky(apart, parameters)
    published = {n: all_at_once[n].brightness for n in ("ia0t01aaq", "ia0t02abq")}
    later = solve_sky(apart, parameters, held=published)
    for sky in all_at_once.exposures:
        assert later[sky.name].brightness == pytest.approx(sky.brightness, rel=1e-9)
    raised = {"ia0t01aaq": published["ia0t01aaq"] + 100.0}
    moved = solve_sky(apart, parameters, held=raised)
    for name, change in (("ia0t01aaq", 100), ("ia0t01abq", 100), ("ia0t02aaq", 0)):
        difference = moved[name].brightness - all_at_once[name].brightness
        assert difference == pytest.approx(change, abs=1e-6)
    with pytest.raises(ParameterError, match="held"):
        solve_sky(apart, SkyParameters(method="localmin"), held=published)


def test_few_partners_still_connect(exposures):
    all_pairs = solve_sky(exposures, SkyParameters(method="match"))
    some = solve_sky(exposures, SkyParameters(method="match", partners=1))
    assert 3 <= len(some.overlaps) < len(all_pairs.overlaps)
    assert {sky.group for sky in some.exposures} == {0}


def test_plain_data_and_records(exposures):
    solution = solve_sky(exposures, SkyParameters(method="globalmin+match"))
    again = SkySolution.from_dict(json.loads(json.dumps(solution.to_dict())))
    assert again == solution
    done = solution.apply(exposures)
    for record in done:
        assert [c.sky for c in record.chips] == skies_of(solution)[record.name]
    with pytest.raises(ParameterError, match="no level"):
        solution.apply([replace(exposures[0], name="ia0x99zzq")])
    with pytest.raises(StoreError):
        SkySolution.from_dict(solution.to_dict() | {"format": 99})


def test_flux_factors(exposures):
    """One sky on a chip of half the sensitivity is half the counts."""
    half = [e.with_flux_factors({1: 1.0, 2: 2.0}) for e in exposures]
    for scaling, ratio in ((True, 0.5), (False, 1.0)):
        for sky in solve_sky(half, SkyParameters(), flux_scaling=scaling).exposures:
            assert sky.chips[1].sky == pytest.approx(ratio * sky.chips[0].sky, abs=2e-6)


@pytest.mark.parametrize("method", ["localmin", "globalmin", "match", "globalmin+match"])
@pytest.mark.parametrize("convention", ["own", "upstream"])
def test_bad_inputs(expose, fields, exposures, method, convention):
    def flagged(rng, shape):
        return replace(fields.clean(rng, shape), dq=np.full(shape, 4, np.int16))

    blind = expose("ia0a01aaq", shape=skies.SHAPE, fill=flagged)
    gone = replace(exposures[0], url=exposures[0].url + ".gone")
    parameters = SkyParameters(method=method, convention=convention)
    solution = solve_sky([gone, blind, *exposures[1:]], parameters)
    assert [error.path for error in solution.failures] == [gone.url]
    assert [sky.name for sky in solution.exposures] == [
        "ia0a01aaq",
        *(e.name for e in exposures[1:]),
    ]
    assert solution["ia0a01aaq"].verdict.status == "warning"
    assert len(solution.apply([gone, blind, *exposures[1:]])) == 4
    rest = skies_of(solve_sky(exposures[1:], parameters))
    assert all(skies_of(solution)[name] == pytest.approx(v, abs=2e-6) for name, v in rest.items())
    for some in ([], [blind], exposures[:1]):
        alone = solve_sky(some, parameters)
        assert len(alone.exposures) == len(some)
        assert np.isfinite([c.sky for e in alone.exposures for c in e.chips]).all()
    with pytest.raises(ParameterError, match="one name"):
        solve_sky([exposures[0], exposures[0]], parameters)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"method": "globalmax"}, "method must be one of"),
        ({"stat": "midpt"}, "stat must be"),
        ({"width": 0}, "width must be > 0"),
        ({"lsigma": float("nan")}, "lsigma"),
        ({"lower": "a"}, "lower"),
        ({"lower": 5.0, "upper": 5.0}, "not below"),
        ({"clip": -1}, "clip"),
        ({"partners": 0}, "partners"),
        ({"bits": "16+3"}, "sky bits"),
        ({"use_static": 1}, "use_static"),
    ],
)
def test_parameters_check_themselves(values, words):
    with pytest.raises(ParameterError, match=words):
        SkyParameters(**values)
