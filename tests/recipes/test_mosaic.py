"""Lazy mosaics: what one gets without computing, and that only what is looked at is computed."""

from dataclasses import replace

import dask
import numpy as np
import pytest

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling import build
from hapdask.drizzling.plan import Layer, sort_exposures
from hapdask.drizzling.tile import drizzle_tile
from hapdask.errors import ParameterError, PlanError
from hapdask.observe.distortion import Correction
from hapdask.observe.exposure import open_exposures
from hapdask.recipes.mosaic import mosaic
from hapdask.schema import ALL, VARIABLES
from hapdask.sky.frame import Frame
from hapdask.sky.grid import SkyGrid

CENTER = (150.1, 2.2)

pytestmark = pytest.mark.filterwarnings("ignore:the exposures' sky levels")


class ComputedError(AssertionError):
    pass


def never(*_args, **_kwargs):
    raise ComputedError("something was computed behind the user's back")


@pytest.fixture
def counted(monkeypatch):
    frames, real = [], build.drizzle_tile

    def counting(exposures, frame, *rest):
        frames.append(frame)
        return real(exposures, frame, *rest)

    monkeypatch.setattr(build, "drizzle_tile", counting)
    return frames


def test_a_mosaic_is_lazy_and_complete(files):
    with dask.config.set(scheduler=never):
        ds = mosaic(open_exposures(files), Frame.from_center(*CENTER, 0.04, (900, 800)),
                    "wfc3_uvis_f606w", tile=256)  # fmt: skip
        assert list(ds.data_vars) == [*ALL, "pixel_area"]
        for name in ALL:
            assert ds[name].dtype == VARIABLES[name].dtype
            assert ds[name].attrs["long_name"] == VARIABLES[name].meaning
            assert ds[name].attrs["units"] == VARIABLES[name].units.format(flux="electron / s")
        assert ds.hap.frame.shape == (900, 800)
        assert ds.attrs["filter"] == "f606w"
        assert sorted(ds.attrs["records"]) == ["ia0a01aaq", "ia0a11aaq", "ia0a21aaq"]
        part = ds.hap.cutout(*CENTER, size="4 arcsec")
        repr(ds), ds._repr_html_()
    with pytest.raises(ComputedError), dask.config.set(scheduler=never):
        part.sci.compute()
    area = part.pixel_area.compute().values
    np.testing.assert_allclose(area, part.hap.frame.pixel_area(), rtol=1e-7)


def test_the_bytes_are_those_of_the_eager_leaf(files):
    records = sort_exposures(open_exposures(files[:3]))
    frame = Frame.from_center(*CENTER, 0.04, (700, 500))
    parameters = DrizzleParameters(pixfrac=0.8, weight="ERR")
    ds = mosaic(records, frame, parameters=parameters, tile=256).compute(scheduler="threads")
    for name, plane in drizzle_tile(records, frame, parameters).planes():
        assert ds[name].values.tobytes() == plane.tobytes()


def test_places_and_layers(files):
    exposures = open_exposures(files)
    cell = SkyGrid().at(ra=CENTER[0], dec=CENTER[1])[0]
    with dask.config.set(scheduler=never):
        by_name = mosaic(exposures, cell.name, "WFC3_UVIS_F606W")
        assert by_name.hap.frame == cell.frame()
        coarse = mosaic(exposures, cell, "wfc3_ir_f160w", scale="coarse")
        assert coarse.hap.frame == cell.frame("coarse")
        assert coarse.attrs["scale"] == "coarse"
        only = mosaic(exposures[:3], cell)  # one layer: need not be told
        assert only.attrs["detector"] == "uvis"
        told = mosaic(exposures, cell, Layer("wfc3", "uvis", "f606w", "fine"))
        assert told.sci.data.name == by_name.sci.data.name


def test_what_cannot_be_a_mosaic(files):
    exposures = open_exposures(files)
    frame = Frame.from_center(*CENTER, 0.04, (90, 80))
    with pytest.raises(
        PlanError, match="say which layer: there are wfc3_ir_f160w, wfc3_uvis_f606w"
    ):
        mosaic(exposures, frame)
    with pytest.raises(PlanError, match="no exposure of layer acs_wfc_f606w; there are wfc3_ir"):
        mosaic(exposures, frame, "acs_wfc_f606w")
    with pytest.raises(PlanError, match="no exposures"):
        mosaic([], frame)
    with pytest.raises(ParameterError, match="'p1889' is no sky cell name"):
        mosaic(exposures, "p1889", "wfc3_uvis_f606w")


def test_a_cutout_of_a_whole_cell_computes_only_its_tiles(files, counted):
    """A hundred exposures (one file under many headers) all over a cell of 21954 pixels."""
    cell = SkyGrid()["skycell-p1889x07y19"]
    frame = cell.frame()
    (record,) = open_exposures(files[0])
    center = tuple(frame.center)
    # To the middle of the cell first, then all over it: 0.24 degrees.
    chips = tuple(
        replace(
            chip,
            distortion=replace(
                chip.distortion,
                crval=(center[0], center[1] + chip.distortion.crval[1] - CENTER[1]),
            ),
        )
        for chip in record.chips
    )
    record = replace(record, chips=chips)
    rng = np.random.default_rng(6)
    crowd = []
    for k in range(100):
        reach = 8.0 if k < 12 else 430.0  # arcsec: twelve of them where the cutout is
        correction = Correction(center, shift=tuple(rng.uniform(-reach, reach, 2)))
        moved = record.corrected(correction)
        crowd.append(replace(moved, name=f"ia0a{k:02d}aaq", expstart=58000.0 + k))
    ds = mosaic(crowd, cell)
    assert ds.sizes == {"y": 21954, "x": 21954}
    assert len(ds.attrs["records"]) == 100
    part = ds.hap.cutout(*center, size="8 arcsec")
    assert dict(part.sizes) == {"y": 200, "x": 200}
    assert not counted
    sci = part.sci.compute(scheduler="threads").values
    window = part.hap.frame
    touched = {index for index, _ in window.tiles(2048)}
    assert 1 <= len(counted) <= len(touched) <= 4
    assert {f.origin for f in counted} <= {
        (max(ty * 2048, frame.origin[0]), max(tx * 2048, frame.origin[1])) for ty, tx in touched
    }
    assert np.isfinite(sci).mean() > 0.3
    eager = drizzle_tile(
        sort_exposures(crowd), window, DrizzleParameters(doubtful_bits="16+64+256+2048")
    )
    assert eager.plane("sci").tobytes() == sci.tobytes()
    assert part.nexp.compute(scheduler="threads").max() > 3
