"""AstroDrizzle's run: lazy images of every step, the same bits however they are made, products."""

from copy import copy

import numpy as np
import pytest
from astropy.io import fits
from dask.base import compute
from stacks import SIDE, observe_stack

import hapdask as hd
from hapdask.errors import InputError, ParameterError, PlanError
from hapdask.recipes.astrodrizzle.final import window_tasks
from hapdask.recipes.astrodrizzle.keeping import KEPT

PLANES = ("sci", "wht", "err", "ctx")
#: The simulator tells cosmic rays and hot pixels in DQ, which the test is to find by itself.
#: Planes of a FITS product.
WRITTEN = ("sci", "wht", "err")
BLIND = {"sky_bits": None, "driz_sep_bits": None, "final_bits": None}


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    return observe_stack(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def files(observed):
    return observed[0]


@pytest.fixture
def run(files):
    return hd.astrodrizzle(files, threads=2, **BLIND)


@pytest.fixture(scope="module")
def rejected(files):
    """A run whose cosmic rays have been found, for tests that do not change it."""
    return hd.astrodrizzle(files, threads=2, **BLIND).reject()


def test_planning_reads_no_pixel_and_writes_nothing(files, monkeypatch, tmp_path, snapshot):
    from hapdask.observe import pixels

    def refuse(*args, **kwargs):
        raise AssertionError("pixels were read")

    monkeypatch.setattr(pixels, "open_source", refuse)
    before = snapshot(files[0].parent)
    run = hd.astrodrizzle(files, final_scale=0.05, where=tmp_path / "work")
    assert run.frame.pixel_scale == pytest.approx(0.05, abs=1e-9)
    assert run.output == "final"
    assert run.suffix == "drc"
    assert snapshot(files[0].parent) == before
    assert not (tmp_path / "work").exists()


def test_every_step_is_a_lazy_image(rejected):
    names = [e.name for e in rejected.exposures]
    assert rejected.median.shape == rejected.median_frame.shape
    one = rejected[names[0]]
    assert one.blot.shape == one.crmask.shape == one.staticmask.shape == (1, SIDE, SIDE)
    assert one.single["sci"].shape == rejected.median_frame.shape
    for image in (rejected.median, one.blot, one.crmask, one.single["sci"], rejected.mosaic.sci):
        assert image.chunks is not None
    blot, mask, median = compute(one.blot.data, one.crmask.data, rejected.median.data)
    assert mask.dtype == bool
    assert 0.001 < mask.mean() < 0.1
    # The blot is what the exposure should have been: its sky, and the stars; the lower middle one
    # of four values lies 0.3 sigma below their mean.
    sci = fits.getdata(one.record.url, ("SCI", 1))
    difference = (sci - blot[0])[~mask[0]]
    assert abs(np.median(difference)) < 2.0
    assert np.isfinite(median).all()


def test_the_lazy_mosaic_is_that_of_the_masks(run, rejected):
    """Found in the graph of the mosaic, or before and kept as masks: the same bytes."""
    lazy = run.mosaic[list(PLANES)].compute()
    kept = rejected.mosaic[list(PLANES)].compute()
    for name in PLANES:
        assert lazy[name].values.tobytes() == kept[name].values.tobytes(), name
    name = run.exposures[0].name
    assert np.array_equal(run[name].crmask.values, rejected[name].crmask.values)


def test_single_images_are_those_of_the_median(run, rejected):
    """Cosmic rays are in them, whether they have been found or not: they are what is compared."""
    name = run.exposures[0].name
    before, after = (r[name].single.load() for r in (run, rejected))
    assert np.array_equal(before["wht"], after["wht"])
    assert np.array_equal(before["sci"], after["sci"], equal_nan=True)


def test_exposures_that_are_lost_on_the_way_leave_the_others(tmp_path):
    paths, _ = observe_stack(tmp_path, 3)
    run = hd.astrodrizzle(paths, threads=2, **BLIND)
    assert len(run.measured.exposures) == 3
    paths[0].unlink()
    assert len(run.reject().exposures) == 2
    assert np.isfinite(run.mosaic["sci"].values).mean() > 0.5
    (lost,) = run.left_out
    assert str(paths[0]) in str(lost.error())


def test_a_window_of_the_median_is_a_part_of_the_whole(run, rejected):
    whole = rejected.median.values
    part = run.median[100:237, 50:311].values
    assert part.tobytes() == np.ascontiguousarray(whole[100:237, 50:311]).tobytes()


def test_looking_at_a_tile_computes_no_other(run):
    """Only the tiles that a window touches are in its optimised graph."""
    from dask.optimization import cull

    window = run.median[:10, :10]
    graph = dict(window.__dask_graph__())
    needed, _ = cull(graph, window.__dask_keys__())
    medians = [key for key in needed if str(key[0]).startswith("hapdask-median-tile")]
    assert len(medians) == 1


def test_cosmic_rays_are_gone_from_the_mosaic(rejected, files):
    found = rejected.mosaic[["sci", "err"]].compute()
    left_in = hd.astrodrizzle(files, driz_cr=False, **BLIND).mosaic["sci"].values
    assert np.isfinite(left_in).any()
    inner = (slice(120, 300), slice(120, 300))
    noise = np.nanmedian(found.err.values[inner])
    hit = np.nansum(left_in[inner] - found.sci.values[inner] > 5 * noise)
    assert hit > 500
    negative = np.nansum(left_in[inner] - found.sci.values[inner] < -5 * noise)
    assert negative < 0.03 * hit


def test_other_mosaics_take_the_records(rejected, recwarn):
    """Sky, static masks and cosmic rays are in them: the same bytes, and no warning."""
    assert all({"static", "cosmic rays"} <= {m.kind for m in e.chips[0].masks}
               for e in rejected.exposures)  # fmt: skip
    other = hd.mosaic(rejected.exposures, rejected.frame, parameters=rejected.plan.parameters)
    own = rejected.mosaic
    for name in PLANES:
        assert other[name].values.tobytes() == own[name].values.tobytes(), name
    assert not [w for w in recwarn if "sky levels" in str(w.message)]


def test_what_a_notebook_shows_is_short(rejected):
    shown = repr(rejected.sky)
    assert len(shown.splitlines()) < 12
    assert all(exposure.name in shown for exposure in rejected.exposures)
    assert f"{rejected.exposures[0].chips[0].sky:.6g}" in shown


def test_again_makes_another_frame_of_the_same_masks(rejected):
    other = rejected.again(final_scale=0.08, final_rot=0.0)
    assert other.measured is rejected.measured
    assert [e.chips[0].masks for e in other.exposures] == [
        e.chips[0].masks for e in rejected.exposures
    ]
    assert other.mosaic.sci.shape != rejected.mosaic.sci.shape
    assert other.frame.pixel_scale == pytest.approx(0.08, abs=1e-9)
    for earlier in ({"combine_type": "mean"}, {"stepsize": 10}):
        with pytest.raises(ParameterError, match=next(iter(earlier))):
            rejected.again(**earlier)


def test_a_second_run_finds_what_the_first_measured(files, tmp_path, monkeypatch):
    first = hd.astrodrizzle(files, where=tmp_path, **BLIND).reject()
    from hapdask.recipes.astrodrizzle import finding

    def refuse(*args, **kwargs):
        raise AssertionError("measured again")

    monkeypatch.setattr(finding, "measure", refuse)
    monkeypatch.setattr(finding, "reject_cosmic_rays", refuse)
    second = hd.astrodrizzle(files, where=tmp_path, final_scale=0.06, **BLIND).reject()
    assert second.exposures == first.exposures
    with pytest.raises(AssertionError, match="measured again"):
        hd.astrodrizzle(files, where=tmp_path, skymethod="localmin", **BLIND).reject()


def test_the_products_and_what_is_kept(files, tmp_path, snapshot):
    before = snapshot(files[0].parent)
    run = hd.astrodrizzle(files, threads=2, build=True, **BLIND)
    written = run.write(
        tmp_path, keep=tuple(KEPT), per_exposure=True, formats=("fits", "zarr"),
        dq_copies=True, dq_zarr=True,
    )  # fmt: skip
    names = {path.relative_to(tmp_path).as_posix() for path in written.files}
    one = run.exposures[0].name
    assert {
        "final_drc.fits", "final_drc.zarr", "final_med.fits", f"{one}_single_sci.fits",
        f"{one}_single_wht.fits", f"{one}_sci1_blt.fits", f"{one}_sci1_crmask.fits",
        f"{one}_sci1_skymask.fits", f"final_{SIDE}x{SIDE}_1_staticMask.fits", f"{one}_drc.fits",
        f"updated/{files[0].name}", "final_dq.zarr",
    } <= names  # fmt: skip
    assert all(path.exists() for path in written.files)
    assert snapshot(files[0].parent) == before
    mask = run[one].crmask.values[0]
    with fits.open(tmp_path / f"{one}_sci1_crmask.fits") as kept:
        assert np.array_equal(kept[0].data == 0, mask)
    with fits.open(tmp_path / "updated" / files[0].name) as copy:
        assert np.array_equal((copy["DQ", 1].data & 4096) > 0, mask)
        assert copy["SCI", 1].header["MDRIZSKY"] == pytest.approx(run.exposures[0].chips[0].sky)
    with fits.open(tmp_path / "final_drc.fits") as product:
        assert {hdu.name for hdu in product} >= {"SCI", "WHT", "CTX", "ERR", "HDRTAB"}
        product.verify("exception")
        header = product[0].header
        assert header["NDRIZIM"] == 4
        assert header["D001DATA"].startswith(files[0].name)
        sci = run.mosaic.sci.values
        assert product["SCI"].data.astype(np.float32).tobytes() == sci.tobytes()


def test_a_single_exposure_has_no_median_and_says_so(files):
    run = hd.astrodrizzle(files[:1], driz_cr_single=False)
    assert run.output == run.exposures[0].name
    assert not run.parameters.cosmic_rays.driz_cr
    assert "no exposure" in run.resolved.origin["driz_cr"]
    with pytest.raises(ParameterError, match="no exposure"):
        _ = run.median
    assert np.isfinite(run.mosaic.sci.values).any()


def test_one_bad_exposure_is_left_out(observed, tmp_path):
    made = observed[1]
    paths = [exposure.write(tmp_path) for exposure in made]
    run = hd.astrodrizzle(paths, **BLIND)
    with open(paths[2], "r+b") as file:
        file.truncate(400_000)
    kept = run.measured.exposures
    assert [e.name for e in kept] == [e.name for k, e in enumerate(run.planned.exposures) if k != 2]
    assert [each.file for each in run.left_out] == [str(paths[2])]
    assert np.isfinite(run.mosaic.sci.values).any()
    assert "icr0201aq" not in run.mosaic.attrs["records"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"combine_nhihg": 1}, "combine_nhigh"),
        ({"final_rot": 1e9}, "final_rot"),
        ({"combine_nlow": 2, "combine_nhigh": 2, "combine_type": "median"}, "combine_nlow"),
        ({"final_outnx": 100}, "final_outny"),
        ({"skyuser": "MYSKY"}, "skysub"),
        ({"final_kernel": "tophat"}, "square"),
        ({"group": "sci,3"}, "sci,1"),
    ],
)
def test_what_cannot_be_is_refused_before_any_pixel(files, monkeypatch, wrong, told):
    from hapdask.observe import pixels

    monkeypatch.setattr(pixels, "open_source", None)
    with pytest.raises((ParameterError, PlanError, InputError), match=told):
        hd.astrodrizzle(files, **wrong)


def test_a_frame_and_parameters_of_it_contradict(files):
    frame = hd.astrodrizzle(files, final_scale=0.05).frame
    with pytest.raises(ParameterError, match="contradict"):
        hd.astrodrizzle(files, frame=frame, final_scale=0.04)
    sizes = dict(zip(("NAXIS2", "NAXIS1"), frame.shape, strict=True))
    run = hd.astrodrizzle(files, frame=dict(frame.to_header()) | sizes)
    assert run.frame == frame


def test_processes_of_a_cluster_make_the_same_bytes(files, rejected, tmp_path):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        lazy = hd.astrodrizzle(files, client=client, **BLIND).mosaic[list(PLANES)].compute()
        run = hd.astrodrizzle(files, client=client, where=tmp_path / "work", **BLIND).reject()
        kept = run.mosaic[list(PLANES)].compute()
        files_of_all = run.write(tmp_path / "out", keep=("blot",)).files
    written = [path for path in files_of_all if not path.name.endswith("_blt.fits")]
    assert len(files_of_all) - len(written) == len(run.exposures)
    for exposure in run.exposures:
        blot = fits.getdata(tmp_path / f"out/{exposure.name}_sci1_blt.fits").astype(np.float32)
        assert blot.tobytes() == rejected[exposure.name].blot.values[0].tobytes()
    here = rejected.mosaic[list(PLANES)].compute()
    for name in PLANES:
        assert lazy[name].values.tobytes() == here[name].values.tobytes(), name
        assert kept[name].values.tobytes() == here[name].values.tobytes(), name
        if name in WRITTEN:
            assert pixels_of(written, name).tobytes() == here[name].values.tobytes(), name


def pixels_of(files, name):
    """A plane of a product that was written, in the machine's own order."""
    with fits.open(files[0]) as first:
        if len(first) > 2:
            return first[name.upper()].data.astype(np.float32)
    (path,) = (path for path in files if path.name.endswith(f"_{name}.fits"))
    return fits.getdata(path).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_product_is_the_lazy_mosaic_whatever_its_windows(
    rejected, tmp_path, monkeypatch, threads
):
    """It is made without xarray and Dask, in windows that no tile of the lazy one equals."""
    monkeypatch.setattr("hapdask.recipes.astrodrizzle.final._SMALLEST", 1000)
    monkeypatch.setattr("hapdask.recipes.astrodrizzle.final._LARGEST", 40_000)
    monkeypatch.setattr("hapdask.recipes.astrodrizzle.final._WIDEST", 150)
    rejected = copy(rejected)
    rejected.threads = threads
    written = rejected.write(tmp_path).files
    for name in WRITTEN:
        lazy = rejected.mosaic[name].values
        assert pixels_of(written, name).tobytes() == lazy.tobytes(), name


def test_windows_are_a_partition_of_the_frame(rejected):
    plan = rejected.plan
    for threads in (1, 2, 7):
        covered = np.zeros(plan.frame.shape, int)
        for task in window_tasks(plan, threads):
            window = task.work.frame
            assert task.place == tuple(s.start for s in window.slices_in(plan.frame))
            covered[window.slices_in(plan.frame)] += 1
        assert (covered == 1).all()


def test_an_exposure_without_a_partner_is_looked_at_alone(files, observed):
    """By the shape of what it holds (`driz_cr_single`), if cosmic rays are sought at all."""
    run = hd.astrodrizzle(files[:1], **BLIND)
    mask = run[run.exposures[0].name].crmask.values[0]
    truth = observed[1][0].chips[1].cosmic_rays
    assert (mask & truth).sum() / mask.sum() > 0.5
    assert 0.3 * truth.sum() < mask.sum() < 2 * truth.sum()
    plain = hd.astrodrizzle(files[:1], driz_cr=False, **BLIND)
    assert plain.resolved.origin["driz_cr_single"] == "off: driz_cr is"
    with_rays, without = plain.mosaic.sci.values, run.mosaic.sci.values
    assert np.nansum(with_rays) > np.nansum(without)


def test_bits_of_ctx_keep_the_order_of_the_run_through_zarr(files, tmp_path):
    """A run counts its bits in the order of its inputs, which need not be that of their names."""
    run = hd.astrodrizzle(list(reversed(files[:2])), driz_cr=False, **BLIND)
    done = run.write(tmp_path, formats=("fits", "zarr"))
    (store,) = (path for path in done.files if path.suffix == ".zarr")
    (ctx,) = (path for path in done.files if path.name.endswith("_ctx.fits"))
    stored = hd.open_mosaic(store)
    assert list(stored.attrs["records"]) == [e.name for e in run.exposures]
    assert [e.name for e in run.exposures] == [p.name[:9] for p in reversed(files[:2])]
    path = stored.hap.to_fits(tmp_path / "again_drc.fits", context=True)
    assert np.array_equal(fits.getdata(path, "CTX"), fits.getdata(ctx))
