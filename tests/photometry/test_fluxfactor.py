"""Flux factors: one photometric system per layer, fixed, whatever is added later."""

import random
from dataclasses import replace

import numpy as np
import pytest

from hapdask.errors import ParameterError
from hapdask.observe.distortion import Distortion
from hapdask.observe.record import ChipRecord, ExposureRecord, FileIdentity
from hapdask.photometry.fluxfactor import (
    apply_flux_factors,
    apply_gain_factors,
    layer_photflams,
    packaged_photflam,
)


def exposure(name, photflams, filter_name="f475w"):
    zero, cd = np.zeros((1, 1)), (-1e-5, 0.0, 0.0, 1e-5)
    distortion = Distortion((4, 4), (10.0, 20.0), (2.0, 2.0), cd, zero, zero)
    chips = tuple(
        ChipRecord(i, 3 - i, (4, 4), distortion, None, None, None, photflam=p)
        for i, p in enumerate(photflams, 1)
    )
    return ExposureRecord(
        name=name,
        url=f"/{name}",
        identity=FileIdentity(1, "h", "s"),
        instrument="wfc3",
        detector="uvis",
        filter=filter_name,
        exptime=1.0,
        expstart=55000.0,
        expend=55000.1,
        unit="electron",
        proposal="1",
        visit=name[:6],
        target="",
        suffix="flc",
        wcsname="",
        chips=chips,
    )


def factors(records):
    return [[chip.flux_factor for chip in record.chips] for record in records]


def test_factors_are_ratios_to_the_published_figure():
    records = [exposure("a", [2.0e-19, 2.1e-19]), exposure("b", [2.04e-19, 2.142e-19])]
    scaled = apply_flux_factors(records, {"wfc3_uvis_f475w": 2.0e-19})
    assert factors(scaled) == [[1.0, 1.05], [1.02, 1.071]]
    assert [r.verdict.status for r in scaled] == ["accepted", "accepted"]
    assert factors(records) == [[1.0, 1.0], [1.0, 1.0]]


def test_a_star_has_one_flux_in_all_chips():
    rng = np.random.default_rng(5)
    photflams = rng.uniform(1.9e-19, 2.1e-19, 6)
    flux = 3e-16
    counts = flux / photflams
    records = [exposure(f"x{i}", [p]) for i, p in enumerate(photflams)]
    figure = layer_photflams(records)["wfc3_uvis_f475w"]
    scaled = np.ravel(factors(apply_flux_factors(records))) * counts * figure
    np.testing.assert_allclose(scaled, flux, rtol=1e-8)


def test_a_new_layer_does_not_depend_on_order():
    records = [exposure(f"x{i}", [2e-19 + i * 1e-21, 2.2e-19 - i * 1e-21]) for i in range(7)]
    figure = layer_photflams(records)
    for seed in range(5):
        random.Random(seed).shuffle(records)
        assert layer_photflams(records) == figure


def test_a_later_visit_moves_nothing():
    first = [exposure("a", [2.0e-19, 2.1e-19])]
    frozen = layer_photflams(first)
    later = [*first, exposure("b", [1.8e-19, 1.9e-19]), exposure("c", [1.7e-19, 1.9e-19])]
    assert layer_photflams(later, frozen) == frozen
    assert apply_flux_factors(later, frozen)[0] == apply_flux_factors(first, frozen)[0]


def test_packaged_figures_go_after_published_ones():
    record = exposure("a", [1.85e-19], "f555w")
    packaged = packaged_photflam()["wfc3_uvis_f555w"]
    assert layer_photflams([record]) == {"wfc3_uvis_f555w": packaged}
    assert factors(apply_flux_factors([record])) == [[round(1.85e-19 / packaged, 9)]]
    assert layer_photflams([record], {"wfc3_uvis_f555w": 1.9e-19}) == {"wfc3_uvis_f555w": 1.9e-19}


def test_layers_do_not_mix():
    records = [exposure("a", [2e-19], "f475w"), exposure("b", [1e-19], "f814w")]
    assert layer_photflams(records) == {"wfc3_uvis_f475w": 2e-19, "wfc3_uvis_f814w": 1e-19}
    assert factors(apply_flux_factors(records)) == [[1.0], [1.0]]


def test_a_missing_photflam_is_warned_of():
    records = [exposure("a", [2e-19, 0.0]), exposure("b", [2.2e-19, 2.2e-19])]
    one, two = apply_flux_factors(records, {"wfc3_uvis_f475w": 2e-19})
    assert factors([one, two]) == [[1.0, 1.0], [1.1, 1.1]]
    assert (one.verdict.status, one.verdict.keyword) == ("warning", "PHOTFLAM")
    assert two.verdict.status == "accepted"


@pytest.mark.parametrize("absurd", [1.0, 1e-30])
def test_an_absurd_photflam_is_no_factor(absurd):
    """A factor of 5e18 would spoil the mosaic, one of 5e-12 (0 when rounded) add empty sky."""
    (record,) = apply_flux_factors([exposure("a", [2.1e-19, absurd])], {"wfc3_uvis_f475w": 2.0e-19})
    assert factors([record]) == [[1.05, 1.0]]
    assert "absurd" in record.verdict.reason


def test_a_layer_without_any_photflam():
    records = [exposure("a", [0.0])]
    assert layer_photflams(records) == {}
    assert factors(apply_flux_factors(records)) == [[1.0]]


@pytest.mark.parametrize("bad", [0.0, -1e-19, float("nan"), float("inf")])
def test_impossible_figures_are_refused(bad):
    with pytest.raises(ParameterError, match="wfc3_uvis_f475w"):
        apply_flux_factors([exposure("a", [2e-19])], {"wfc3_uvis_f475w": bad})


def test_applying_twice_is_applying_once():
    once = apply_flux_factors([exposure("a", [2e-19, 2.1e-19])])
    assert apply_flux_factors(once) == once


def in_counts(name, gains, photflams, start=55000.0):
    record = exposure(name, photflams, "f999w")
    chips = tuple(replace(c, gain=g) for c, g in zip(record.chips, gains, strict=True))
    return replace(record, unit="count", expstart=start, chips=chips)


def test_gains_bring_counts_together_where_no_photflam_is():
    """To the gain of the last chip of the last exposure, in time and not in order of the list."""
    late = in_counts("b", [14.0, 13.95], [0.0, 0.0], start=56000.0)
    early = in_counts("a", [7.0, 6.9], [0.0, 0.0])
    for records in ([late, early], [early, late]):
        scaled = {r.name: r for r in apply_flux_factors(records)}
        found = factors([scaled["a"], scaled["b"]])
        np.testing.assert_allclose(found, [[7 / 13.95, 6.9 / 13.95], [14 / 13.95, 1]], atol=1e-9)
        assert all("by gain alone" in r.verdict.reason for r in scaled.values())
        assert factors(apply_gain_factors(records)) == factors(scaled[r.name] for r in records)


def test_a_figure_per_count_needs_no_gain():
    """PHOTFLAM doubles with the gain, and counts halve."""
    one, two = in_counts("a", [7.0], [3.4e-18]), in_counts("b", [14.0], [6.8e-18])
    scaled = apply_flux_factors([one, two], {"wfc3_uvis_f999w": 3.4e-18})
    assert factors(scaled) == [[1.0], [2.0]]


def test_electrons_have_no_gain_left():
    records = [exposure("a", [2e-19, 2.1e-19]), exposure("b", [2.2e-19])]
    assert factors(apply_gain_factors(records)) == [[1.0, 1.0], [1.0]]


def test_packaged_figures_are_fluxes():
    for layer, value in packaged_photflam().items():
        assert 1e-21 < value < 1e-16, layer
        assert layer.count("_") == 2
