import pickle
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.base import tokenize
from hypothesis import given, settings
from hypothesis import strategies as st

from hapdask.errors import FrameError
from hapdask.products.index import FrameIndex, attach_frame, frame_of
from hapdask.sky.frame import Frame

SCALE = 0.04 / 3600.0
ROOT = Frame(
    (181.25, 28.0), (225144.0, 225144.0), (-SCALE, 0.0, 0.0, SCALE), (450794, 450794), name="p1889"
)
SMALL = ROOT[2000:2060, 1000:1080]


def mosaic(frame):
    zeros = da.zeros(frame.shape, chunks=2048, dtype="float32")
    return attach_frame(xr.Dataset({"sci": (("y", "x"), zeros)}), frame)


def test_whole_cell_has_coordinates_that_are_never_made(monkeypatch):
    ds = mosaic(ROOT)
    asked = []
    original = Frame.pixel_to_sky
    monkeypatch.setattr(
        Frame,
        "pixel_to_sky",
        lambda self, x, y: asked.append(np.broadcast(x, y).size) or original(self, x, y),
    )
    assert ds.ra.shape == ds.dec.shape == (450794, 450794)
    repr(ds)
    ds._repr_html_()
    window = ds.isel(y=slice(1000, 400000), x=slice(5, None)).isel(y=slice(10, -10))
    ds.copy(deep=True)
    ds[["sci"]].sci.astype("float64")
    xr.merge([ds, ds.rename(sci="err")])
    assert sum(asked) < 1000
    assert frame_of(window) == ROOT[1010:399990, 5:]


def test_values_are_the_frames_own():
    ds = mosaic(SMALL)
    y, x = np.mgrid[:60, :80]
    ra, dec = SMALL.pixel_to_sky(x, y)
    np.testing.assert_array_equal(ds.ra.values, ra)
    np.testing.assert_array_equal(ds.dec.values, dec)
    np.testing.assert_array_equal(ds.transpose("x", "y").dec.values, dec.T)
    picked = ds.isel(y=[3, 59, 0], x=7)
    np.testing.assert_array_equal(picked.ra.values, ra[[3, 59, 0], 7])
    assert ds.ra.attrs["units"] == "deg"


def test_computing_the_data_leaves_the_coordinates_alone(monkeypatch):
    ds = mosaic(SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(Frame, "pixel_to_sky", None)
        computed = ds.compute()
        ds.isel(x=slice(5)).load().copy(deep=True)
        ds.sci.compute()
        ds.persist()
    assert isinstance(computed.sci.data, np.ndarray)
    np.testing.assert_array_equal(computed.ra.values, ds.ra.values)
    assert (computed.ra + 1.0).values[0, 0] == ds.ra.values[0, 0] + 1.0
    assert computed.isel(y=3).compute().ra.shape == (80,)
    assert frame_of(computed.isel(y=slice(2, 5))) == SMALL[2:5]


def test_many_rows_are_evaluated_in_parts(monkeypatch):
    ds = mosaic(SMALL)
    whole = ds.ra.values
    monkeypatch.setattr("hapdask.products.coordinates._AT_ONCE", 7 * 80)
    np.testing.assert_array_equal(ds.ra.values, whole)
    np.testing.assert_array_equal(ds.transpose("x", "y").ra.values, whole.T)


steps = st.sampled_from([1, 1, 2, 3, -1, -2, None])
bounds = st.one_of(st.none(), st.integers(-90, 90))
slices = st.builds(slice, bounds, bounds, steps)


@settings(max_examples=60, deadline=None)
@given(rows=slices, columns=slices, more=slices)
def test_any_chain_of_slices(rows, columns, more):
    ds = mosaic(SMALL)
    y, x = np.mgrid[:60, :80]
    ra, dec = SMALL.pixel_to_sky(x, y)
    part = ds.isel(y=rows, x=columns).isel(y=more)
    np.testing.assert_array_equal(part.ra.values, ra[rows, columns][more])
    np.testing.assert_array_equal(part.dec.values, dec[rows, columns][more])
    plain = all(s.step in (None, 1) for s in (rows, columns, more))
    if plain:
        expected = SMALL[rows, columns][more, :]
        assert frame_of(part) == expected
    if part.sizes["y"] and part.sizes["x"]:
        pick = part.isel(y=-1, x=0)
        same = part.sel(ra=float(pick.ra), dec=float(pick.dec), method="nearest")
        assert (float(same.ra), float(same.dec)) == (float(pick.ra), float(pick.dec))


def test_skipped_pixels_have_no_frame():
    with pytest.raises(FrameError, match="every n-th"):
        frame_of(mosaic(SMALL).isel(y=slice(None, None, 2)))
    with pytest.raises(FrameError, match="no frame"):
        frame_of(mosaic(SMALL).isel(y=3))
    with pytest.raises(FrameError, match="attach_frame"):
        frame_of(xr.Dataset())


@settings(max_examples=50, deadline=None)
@given(y=st.floats(-0.499, 59.499), x=st.floats(-0.499, 79.499))
def test_nearest_is_the_pixel_that_holds_the_position(y, x):
    ds = mosaic(SMALL).assign(row=("y", np.arange(60)), column=("x", np.arange(80)))
    ra, dec = SMALL.pixel_to_sky(x, y)
    pixel = ds.sel(ra=float(ra), dec=float(dec), method="nearest")
    # Within 1e-6 pixel of a border both neighbours are right.
    assert abs(int(pixel.row) - y) <= 0.5 + 1e-6
    assert abs(int(pixel.column) - x) <= 0.5 + 1e-6


def test_many_positions():
    ds = mosaic(SMALL)
    ra, dec = SMALL.pixel_to_sky([0, 5, 79], [1, 2, 59])
    points = ds.sel(ra=ra, dec=dec, method="nearest")
    assert points.sci.dims == ("points",)
    np.testing.assert_array_equal(points.ra, ra)
    stars = ds.sel(
        ra=xr.DataArray(ra, dims="star"), dec=xr.DataArray(dec, dims="star"), method="nearest"
    )
    assert stars.sci.dims == ("star",)
    grid = xr.DataArray(np.stack([ra, ra]), dims=("a", "b"))
    assert ds.sel(
        ra=grid, dec=grid.copy(data=np.stack([dec, dec])), method="nearest"
    ).sci.shape == (2, 3)


def test_positions_that_cannot_be():
    ds = mosaic(SMALL)
    ra, dec = (float(v) for v in SMALL.pixel_to_sky(5, 5))
    far, _ = SMALL.pixel_to_sky(-1, 5)
    for bad in (float(far), ra + 180.0, float("nan")):
        with pytest.raises(KeyError, match="1 of 1 positions are outside"):
            ds.sel(ra=bad, dec=dec, method="nearest")
    with pytest.raises(KeyError, match="2 of 3 positions"):
        ds.sel(ra=[ra, 0.0, 1.0], dec=[dec] * 3, method="nearest")
    with pytest.raises(ValueError, match="method"):
        ds.sel(ra=ra, dec=dec)
    with pytest.raises(ValueError, match="both of ra, dec"):
        ds.sel(ra=ra, method="nearest")
    with pytest.raises(ValueError, match="one shape"):
        ds.sel(ra=[ra, ra], dec=dec, method="nearest")
    with pytest.raises(ValueError, match="named dims"):
        ds.sel(ra=[[ra]], dec=[[dec]], method="nearest")


def test_alignment_is_by_window():
    ds = mosaic(SMALL)
    assert (ds + ds).sci.shape == SMALL.shape
    other = Frame((10.0, 5.0), SMALL.crpix, SMALL.cd, SMALL.shape, SMALL.origin)
    assert not FrameIndex(SMALL).equals(FrameIndex(other))
    assert FrameIndex(SMALL).equals(FrameIndex(replace(SMALL, name="other")))
    assert ds.isel(y=slice(2, 5)).xindexes["ra"].equals(FrameIndex(SMALL[2:5]))
    with pytest.raises((ValueError, NotImplementedError)):
        ds.isel(y=slice(0, 5)) + ds.isel(y=slice(1, 6))


def test_renamed_dims_and_coordinates():
    ds = mosaic(SMALL).rename(y="row", x="column", ra="alpha", dec="delta")
    part = ds.isel(row=slice(3, 9))
    np.testing.assert_array_equal(part.delta.values, mosaic(SMALL).dec.values[3:9])
    alpha, delta = SMALL.pixel_to_sky(4, 5)
    pixel = part.sel(alpha=float(alpha), delta=float(delta), method="nearest")
    assert float(pixel.alpha) == float(alpha)


def test_pickle_and_token():
    ds = mosaic(SMALL)
    back = pickle.loads(pickle.dumps(ds))
    assert frame_of(back) == SMALL
    assert tokenize(FrameIndex(SMALL)) == tokenize(FrameIndex(SMALL))
    assert tokenize(FrameIndex(SMALL)) != tokenize(FrameIndex(SMALL[1:]))


def test_attach_frame_checks_the_shape_and_replaces():
    ds = mosaic(SMALL)
    with pytest.raises(FrameError, match="shape"):
        attach_frame(ds, SMALL[1:])
    moved = replace(SMALL, origin=(0, 0))
    assert frame_of(attach_frame(ds, moved)) == moved
    assert frame_of(attach_frame(ds.sci.reset_coords(drop=True), moved)) == moved
