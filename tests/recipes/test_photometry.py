"""One photometric system per layer: a constant star through everything that changes its counts.

WFPC2 on its real distortion: PHOTFLAM drifts by 3 % over three epochs, differs between the chips on
which the star falls, and doubles with the gain.  Measured: flux within 9e-6 of truth.
"""

import numpy as np
import pytest
from astropy.io import fits
from imagers import make_wfpc2, real_headers, set_cards
from scipy.special import erf

from hapdask.config import load_photflams
from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.plan import Layer, make_plan
from hapdask.drizzling.tile import drizzle_tile
from hapdask.errors import ParameterError
from hapdask.observe.exposure import open_exposures
from hapdask.recipes.prepare import layer_parameters, measure
from hapdask.recipes.recall import Recall
from hapdask.recipes.sky_cells import prepare
from hapdask.sky.frame import Frame

FLUX = 4e-15  # erg / s / cm2 / Angstrom
SIGMA = 1.3  # pixels
#: MJD, gain setting, seconds, drift of PHOTFLAM, EXTVER and pixel (x, y) on which the star falls.
EPOCHS = (
    (49500.0, 7.0, 100.0, 1.000, 2, (400.3, 421.8)),
    (51000.0, 15.0, 230.0, 1.014, 2, (402.9, 418.1)),
    (53000.0, 7.0, 160.0, 1.030, 3, (377.4, 452.6)),
)
LAYER = "wfpc2_pc_f702w"
CHIPS = (3.48e-18, 3.396e-18, 3.439e-18, 3.507e-18)  # PHOTFLAM by EXTVER, gain 7


def photflam(extver, gain, drift):
    return CHIPS[extver - 1] * drift * (2.0 if gain == 15.0 else 1.0)


def pixel_area(distortion, x, y, idcscale):
    """Area of a pixel on the sky over that of the nominal one, over 16 x 16 pixels."""
    px, py = np.array([x - 8, x + 8, x + 8, x - 8]), np.array([y - 8, y - 8, y + 8, y + 8])
    ra, dec = distortion.pixel_to_sky(px, py)
    e, n = (ra - ra[0]) * np.cos(np.radians(dec.mean())) * 3600.0, (dec - dec[0]) * 3600.0
    diagonals = (e[2] - e[0]) * (n[3] - n[1]) - (e[3] - e[1]) * (n[2] - n[0])
    return abs(diagonals) / 2.0 / (16.0 * idcscale) ** 2


def star(shape, x, y, counts):
    """A Gaussian integrated over pixels."""

    def along(size, centre):
        edges = (np.arange(size + 1) - 0.5 - centre) / (SIGMA * np.sqrt(2))
        return np.diff(0.5 * erf(edges))

    return counts * along(shape[0], y)[:, None] * along(shape[1], x)[None, :]


def write_epoch(folder, number, sky, filter_name="F702W"):
    """Write a c0m and its c1m in which a star at ``sky`` falls on its pixel of that epoch."""
    start, gain, seconds, drift, extver, (x, y) = EPOCHS[number]
    cards = real_headers("wfpc2")[1:]
    primary = {
        "ROOTNAME": f"u40x0{number}0hm", "ATODGAIN": gain, "EXPTIME": seconds, "EXPSTART": start,
        "EXPEND": start + seconds / 86400.0, "FILTNAM1": filter_name, "DARKTIME": seconds,
    }  # fmt: skip
    home = folder / f"u40x0{number}0hm"
    home.mkdir()
    (plain,) = open_exposures(make_wfpc2(home))
    chip = plain.chip(extver)
    ra, dec = (float(v) for v in chip.distortion.pixel_to_sky(x, y))
    area = pixel_area(chip.distortion, x, y, chip.idcscale)

    def change(hdus):
        for header, hdu in zip(cards, hdus[1:5], strict=True):
            moved = {
                "CRVAL1": header["CRVAL1"] + sky[0] - ra, "CRVAL2": header["CRVAL2"] + sky[1] - dec
            }  # fmt: skip
            set_cards(hdu.header, {**moved, "PHOTFLAM": photflam(hdu.ver, gain, drift)})
            hdu.data[...] = 0.0
        counts = FLUX / photflam(extver, gain, drift) * seconds / area
        hdus["SCI", extver].data += star((800, 800), x, y, counts).astype(np.float32)

    path = make_wfpc2(home, primary=primary, change=change)
    fits.setval(home / "u40x010hm_c1m.fits", "ROOTNAME", value=primary["ROOTNAME"])
    return path


@pytest.fixture(scope="module")
def epochs(tmp_path_factory):
    """Three exposures of one star, and where it is."""
    folder = tmp_path_factory.mktemp("epochs")
    header = real_headers("wfpc2")[2]
    sky = header["CRVAL1"], header["CRVAL2"]
    paths = [write_epoch(folder, k, sky) for k in range(3)]
    return list(open_exposures(paths, strict=True)), sky


def total(exposures, sky, figure, weight="EXP"):
    """Mosaic flux times PHOTFLAM over truth."""
    frame = Frame.from_center(*sky, 0.08, (140, 140))
    tile = drizzle_tile(exposures, frame, DrizzleParameters(weight=weight, doubtful_bits=0))
    sci = tile.plane("sci").astype(float) * frame.pixel_area()
    assert np.isfinite(sci).all()
    return sci.sum() * figure / FLUX


def measured(exposures, **options):
    parameters = layer_parameters(exposures, overrides={"sky": "none", "good_bits": 0})
    return measure(exposures, parameters, **options)


@pytest.mark.parametrize("weight", ["EXP", "IVM"])
def test_a_constant_star_has_one_flux(epochs, weight):
    exposures, sky = epochs
    prepared = measured(exposures)
    figure = prepared.photflams[LAYER]
    assert figure in {c.photflam for e in exposures for c in e.chips}
    together = total(prepared.exposures, sky, figure, weight)
    assert together == pytest.approx(1.0, abs=1e-3)
    for exposure in prepared.exposures:
        assert total([exposure], sky, figure, weight) == pytest.approx(1.0, abs=1e-3)
    # Without flux factors it would be out by far more.
    assert total(exposures, sky, figure, weight) != pytest.approx(1.0, abs=0.02)


def test_a_published_figure_goes_before_the_user_s_and_that_before_the_packaged(epochs, tmp_path):
    exposures, sky = epochs
    file = tmp_path / "mine.toml"
    file.write_text(f'sky = "none"\n[photflam]\n{LAYER} = 3.3e-18\nwfc3_uvis_f606w = 1e-19\n')
    assert load_photflams(file)[LAYER] == 3.3e-18
    first = prepare(exposures[:2], tmp_path / "out", parameter_file=str(file))
    assert first.photflams == {LAYER: 3.3e-18}
    assert total(first.exposures, sky, 3.3e-18) == pytest.approx(1.0, abs=1e-3)
    file.write_text(f'sky = "none"\n[photflam]\n{LAYER} = 3.6e-18\n')
    later = prepare(exposures, tmp_path / "out", parameter_file=str(file))
    assert later.photflams == {LAYER: 3.3e-18}
    assert Recall(tmp_path / "out").photflams() == {LAYER: 3.3e-18}


@pytest.mark.parametrize(
    "table", ["photflam = 3", "[photflam]\nx = -1e-19", '[photflam]\nx = "1e-19"', "[photflam"]
)
def test_figures_that_are_no_figures(tmp_path, table):
    (tmp_path / "bad.toml").write_text(table)
    with pytest.raises(ParameterError, match=r"bad\.toml"):
        load_photflams(tmp_path / "bad.toml")


def test_a_later_visit_changes_no_tile_that_it_does_not_touch(epochs):
    exposures, sky = epochs
    frame = Frame.from_center(*sky, 0.1, (2000, 2000))
    layer = Layer("wfpc2", "pc", "f702w")

    def plan(records):
        return make_plan(records, frame, layer, DrizzleParameters(), tile=128)

    first = measured(exposures[:2])
    before = plan(first.exposures).digests
    after = plan(measured(exposures, photflams=first.photflams).exposures)
    new = {
        tile.index
        for tile in after.tiles
        if any(after.exposures[i.exposure].name == exposures[2].name for i in tile.inputs)
    }
    kept = set(before) - new
    assert len(kept) > 30
    assert len(set(before) & new) > 30
    for index, digest in before.items():
        assert (after.digests[index] == digest) == (index in kept)
    # A figure chosen anew would have moved them all.
    other = plan(measured(exposures, photflams={LAYER: 3.3e-18}).exposures).digests
    assert all(other[index] != digest for index, digest in before.items())


def test_without_flux_scaling_gains_bring_chips_together(epochs):
    """As AstroDrizzle does: to the gain of the last chip of the last exposure."""
    exposures, _ = epochs
    parameters = layer_parameters(exposures, overrides={"sky": "none", "flux_scaling": False})
    prepared = measure(exposures, parameters)
    assert prepared.photflams == {}
    factors = [[c.flux_factor for c in e.chips] for e in prepared.exposures]
    np.testing.assert_allclose(factors[0], np.array([7.12, 7.12, 6.90, 7.10]) / 7.10, atol=1e-9)
    np.testing.assert_allclose(factors[1], np.array([13.99, 14.5, 13.95, 13.95]) / 7.1, atol=1e-9)
    assert factors[2] == factors[0]
