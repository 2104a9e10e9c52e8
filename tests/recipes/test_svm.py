"""The products of a visit: names, content, headers, what exposures get back."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from svm_visits import observe_visit

import hapdask as hd
from hapdask.astrometry.headers.ties import judge_tie, tie_of
from hapdask.errors import ParameterError, PlanError
from hapdask.observe.pixels import open_chip
from hapdask.products.svm.outcome import read_outcome
from hapdask.recipes.prepare import layer_parameters

HEAD = "hst_11665_06_wfc3_uvis"


def _content(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    return observe_visit(tmp_path_factory.mktemp("visit"))


@pytest.fixture(scope="module")
def made(visit, tmp_path_factory):
    before = _content(visit.folder)
    out = tmp_path_factory.mktemp("svm") / "out"
    run = hd.svm(visit.poller, refcat=visit.catalog, threads=2)
    result = run.write(out, err=True)
    assert _content(visit.folder) == before  # no input is touched
    return run, result, out


def test_the_products_have_the_archives_names(made):
    _, result, out = made
    drizzled = [f"{HEAD}_{f}_ib4606{n}" for f, n in (
        ("f606w", ""), ("f606w", "01"), ("f606w", "02"),
        ("f814w", ""), ("f814w", "03"), ("f814w", "04"), ("total", ""),
    )]  # fmt: skip
    expected = {f"{stem}_drc{end}" for stem in drizzled for end in (".fits", ".jpg", "_thumb.jpg")}
    expected |= {
        f"{stem}_{end}.fits" for stem in drizzled if len(stem.split("_")[-1]) == 8
        for end in ("flc", "hlet")
    }  # fmt: skip
    expected |= {f"{HEAD}_total_ib4606_f606w-f814w_drc{e}" for e in (".jpg", "_thumb.jpg")}
    expected |= {"wfc3_b46_06_manifest.txt", "wfc3_b46_06_visit.json"}
    names = {path.name for path in out.iterdir() if path.is_file()}
    assert expected <= names
    assert {path.name for path in result.files} == names
    listed = (out / "wfc3_b46_06_manifest.txt").read_text().split()
    assert {f"{stem}_drc.fits" for stem in drizzled} <= set(listed) <= names
    assert not result.left_out
    assert not result.failed


def test_all_products_share_a_grid_with_north_up(made):
    _, _, out = made
    grids = set()
    for path in out.glob("*_drc.fits"):
        with fits.open(path) as hdus:
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "WHT", "CTX", "ERR", "HDRTAB"]
            header = hdus["SCI"].header
            wcs = WCS(header)
            grids.add((*hdus["SCI"].shape, *wcs.wcs.crval, *wcs.wcs.crpix))
            cd = wcs.pixel_scale_matrix
            assert cd[0, 0] < 0 < cd[1, 1]
            assert abs(cd[0, 1]) + abs(cd[1, 0]) < 1e-9 * cd[1, 1]
    assert len(grids) == 1


def test_headers_tell_the_visit(made):
    _, _, out = made
    total = fits.getheader(out / f"{HEAD}_total_ib4606_drc.fits")
    assert (total["HAPLEVEL"], total["FILTER"], total["NUMEXP"]) == (2, "detection", 4)
    assert total["DRIZPARS"] == f"{HEAD}_total_ib4606_trl.txt"
    assert total["MEANEXPT"] > 400.0
    told = {total[f"D{k:03d}DATA"].partition("[")[0] for k in range(1, total["NDRIZIM"] + 1)}
    assert told == {path.name for path in out.glob("*_flc.fits")}  # which have its WCS
    one = fits.getheader(out / f"{HEAD}_f814w_ib460603_drc.fits")
    assert (one["HAPLEVEL"], one["IPPPSSOO"], one["NUMEXP"]) == (1, "ib460603q", 1)
    science = fits.getheader(out / f"{HEAD}_f606w_ib4606_drc.fits", "SCI")
    assert science["WCSNAME"].endswith("-FIT_SVM_refcat")
    assert science["S_REGION"].startswith("POLYGON ICRS")
    table = fits.getdata(out / f"{HEAD}_f606w_ib4606_drc.fits", "HDRTAB")
    assert set(table["HAPEXPNAME"]) == {f"{HEAD}_f606w_ib46060{k}" for k in (1, 2)}


def test_stars_lie_where_they_are(made, visit):
    """To a tenth of a pixel, in every product: headers were wrong by 0.4 arcsec."""
    _, _, out = made
    bright = np.argsort(visit.scene.mag)[:8]
    for name in ("f606w_ib4606", "f814w_ib460604", "total_ib4606"):
        with fits.open(out / f"{HEAD}_{name}_drc.fits") as hdus:
            image, wcs = np.nan_to_num(hdus["SCI"].data), WCS(hdus["SCI"].header)
        x, y = wcs.all_world2pix(visit.scene.ra[bright], visit.scene.dec[bright], 0)
        offsets = []
        for px, py in zip(x, y, strict=True):
            column, row = round(float(px)), round(float(py))
            box = image[row - 3 : row + 4, column - 3 : column + 4]
            if box.shape == (7, 7) and box.min() > -1.0 and box.max() > 1.0:
                dy, dx = np.mgrid[-3:4, -3:4]
                weight = np.clip(box, 0, None)
                centroid = [(weight * d).sum() / weight.sum() for d in (dx, dy)]
                offsets.append(np.hypot(centroid[0] + column - px, centroid[1] + row - py))
        assert len(offsets) >= 4
        assert np.median(offsets) < 0.2


def test_cosmic_rays_are_in_dq_of_the_copies(made, visit):
    _, _, out = made
    for path in visit.paths[:2]:
        copy = next(out.glob(f"*_{path.name[:8]}_flc.fits"))
        with fits.open(path) as old, fits.open(copy) as new:
            assert np.array_equal(old["SCI"].data, new["SCI"].data)
            assert np.array_equal(old["ERR"].data, new["ERR"].data)
            hit = (new["DQ"].data & 4096) > 0
            assert 50 < hit.sum() < 0.1 * hit.size
            assert np.array_equal(old["DQ"].data & ~4096, new["DQ"].data & ~4096)
            header = new[0].header
            assert (header["HAPLEVEL"], header["FILENAME"]) == (1, copy.name)
            science = new["SCI"].header
            assert science["WCSNAME"].endswith("-FIT_SVM_refcat")
            assert science["HDRNAME"].startswith(copy.name.removesuffix(".fits"))
            assert science["S_REGION"].startswith("POLYGON ICRS")
            assert science["SKYCELL"].startswith("p")


def test_masks_of_the_filter_hold_in_the_exposures_own_products(made):
    """Nothing in an exposure's product is brighter than in that of both, but for cores of stars."""
    _, _, out = made
    with fits.open(out / f"{HEAD}_f606w_ib460601_drc.fits") as hdus:
        one, weight = hdus["SCI"].data, hdus["WHT"].data
    with fits.open(out / f"{HEAD}_f606w_ib4606_drc.fits") as hdus:
        both, depth = hdus["SCI"].data, hdus["CTX"].data
    shared = (weight > 0) & (depth == 3)
    assert shared.sum() > 0.5 * (weight > 0).sum()
    excess = (one - both - 0.3 * np.abs(both))[shared]
    assert (excess > 1.0).mean() < 1e-4  # e/s: of 400 s, far above noise and sky


def test_headerlets_can_be_used_on_the_inputs(made, visit):
    _, result, out = made
    headerlets = sorted(out.glob("*_hlet.fits"))
    assert len(headerlets) == 4
    exposures = hd.open_exposures(visit.paths, headerlets=[str(h) for h in headerlets])
    records = {record.name: record for record in result.visits[0].records}
    for exposure in exposures:
        chip, other = exposure.chips[0], records[exposure.name].chips[0]
        x, y = np.array([0.0, 200.0, 399.0]), np.array([399.0, 200.0, 0.0])
        ra, dec = chip.distortion.pixel_to_sky(x, y)
        ra2, dec2 = other.distortion.pixel_to_sky(x, y)
        assert np.abs([ra - ra2, dec - dec2]).max() < 1e-9  # degrees: 4 microarcsec


def test_the_outcome_is_what_later_mosaics_need(made):
    run, result, out = made
    outcome = read_outcome(out / "wfc3_b46_06_visit.json")
    assert [r.name for r in outcome.records] == [e.name for e in run.visits[0].exposures]
    for record in outcome.records:
        assert record.correction is not None
        assert all(chip.sky > 1.0 for chip in record.chips)
        kinds = {mask.kind for chip in record.chips for mask in chip.masks}
        assert "cosmic rays" in kinds
    assert outcome.records == result.visits[0].records
    assert outcome.photflam.keys() == {"wfc3_uvis_f606w", "wfc3_uvis_f814w"}


def test_aligned_copies_alone_are_the_same_records(made):
    """As MAST's SVM files are: WCS and cosmic rays of their headers and DQ, and what ties them."""
    _, _, out = made
    for record in read_outcome(out / "wfc3_b46_06_visit.json").records:
        (path,) = out.glob(f"*_{record.name[:8]}_flc.fits")
        (copy,) = hd.open_exposures(path, strict=True)
        assert (copy.name, copy.visit, copy.wcsname) == (record.name, record.visit, record.wcsname)
        assert tie_of(copy) == tie_of(record)
        assert judge_tie(copy).status == judge_tie(record).status
        (mine,), (theirs,) = record.chips, copy.chips
        x, y = np.array([0.0, 200.0, 399.0]), np.array([5.0, 300.0, 100.0])
        ours, back = (np.stack(c.distortion.pixel_to_sky(x, y)) for c in (mine, theirs))
        assert np.abs(ours - back).max() < 1e-6 * 0.04 / 3600.0  # a millionth of a pixel
        with open_chip(record, mine) as one, open_chip(copy, theirs) as other:
            masked, flags = one.read(0, 400).masked, other.read(0, 400).dq
            ray = flags & 4096 > 0
            assert ray.any()
            assert masked[ray].all()


def test_later_mosaics_of_the_stored_records_have_the_same_pixels(made):
    """Nothing is measured again: alignment, sky, flux and masks are those of the records."""
    _, _, out = made
    outcome = read_outcome(out / "wfc3_b46_06_visit.json")
    flags = set(outcome.replaced_flags.values())
    assert flags == {4096}
    with fits.open(out / f"{HEAD}_f606w_ib4606_drc.fits") as hdus:
        product = hdus["SCI"].data.copy()
        frame = hd.Frame.from_header(hdus["SCI"].header, product.shape)
    parameters = layer_parameters(outcome.records)["wfc3_uvis_f606w"].parameters
    parameters = replace(parameters, good_bits=parameters.good_bits | flags.pop())
    mosaic = hd.mosaic(outcome.records, frame, "wfc3_uvis_f606w", parameters=parameters, tile=256)
    assert np.array_equal(mosaic.sci.values, product, equal_nan=True)


def test_a_second_run_makes_nothing_again(made, visit):
    _, _, out = made
    before = {p: p.stat().st_mtime_ns for p in out.glob("*.fits")}
    again = hd.svm(visit.poller, refcat=visit.catalog, threads=1).write(out, err=True)
    assert all(product.made.kept for product in again.visits[0].products)
    assert all(returned.kept for returned in again.visits[0].returned)
    assert {p: p.stat().st_mtime_ns for p in out.glob("*.fits")} == before


def test_the_plan_tells_what_will_be_made(made):
    run, result, _ = made
    plan = run.visits[0]
    assert set(plan.products) == {p.mosaic.name.fits for p in result.visits[0].products}
    assert plan.memory(2) > plan.memory(1) > 0
    json.dumps(plan.to_dict())
    assert repr(run) == "<SvmRun: 1 visits (ib4606), 4 exposures>"


def test_parameters_of_the_shared_grid_cannot_be_given(visit):
    with pytest.raises(ParameterError, match="final_rot cannot be given"):
        hd.svm(visit.poller, final_rot=10.0)
    with pytest.raises(ParameterError, match=r"unknown preset 'compt'.*compat"):
        hd.svm(visit.poller, preset="compt")
    with pytest.raises(ParameterError, match="unknown parameter"):
        hd.svm(visit.poller, final_scal=0.04)
    with pytest.raises(ParameterError, match="searchrat"):
        hd.svm(visit.poller, alignment={"searchrat": 2.0})


def test_no_exposure_is_no_run(tmp_path):
    with pytest.raises(PlanError, match="no exposure is left"):
        hd.svm(tmp_path / "nothing_flc.fits")
