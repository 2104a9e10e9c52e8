"""Pictures: what is where, what is transparent, which colour, and how little memory."""

import math
import tracemalloc

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from hapdask.errors import StoreError
from hapdask.products.index import attach_frame
from hapdask.products.overview import filter_wavelength, make_overview
from hapdask.products.preview import THUMBNAIL_SIDE, Picture, colour_picture, grey_picture
from hapdask.products.stretch import Stretch
from hapdask.sky.frame import Frame

SHAPE = (1100, 1500)
STAR = (900, 300)  # y, x: up and to the left in the picture


def plane(shape, stars=(), *, sky=0.05, seed=1, sigma=4.0):
    """Noise around a sky level, with stars of (y, x, flux)."""
    image = np.random.default_rng(seed).normal(sky, 0.002, shape)
    y, x = np.ogrid[: shape[0], : shape[1]]
    for cy, cx, flux in stars:
        image += flux * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2))
    return image.astype(np.float32)


def frame(shape=SHAPE, scale=0.04):
    return Frame.from_center(150.0, 2.0, scale, shape)


def mosaic(sci, wht=None, chunks=None, *, on=None, layer=""):
    wht = np.full(sci.shape, 500, np.float32) if wht is None else wht
    arrays = {"sci": sci, "wht": wht}
    if chunks:
        arrays = {name: da.from_array(a, chunks=chunks) for name, a in arrays.items()}
    ds = xr.Dataset({name: (("y", "x"), a) for name, a in arrays.items()})
    ds["sci"].attrs["units"] = "electron / s"
    words = dict(zip(("instrument", "detector", "filter"), layer.split("_"), strict=False))
    return attach_frame(ds.assign_attrs(words), on or frame(sci.shape))


def grey(ds, path, **options):
    return grey_picture(make_overview(ds, **options)).save(path)


def colour(layers, path, **options):
    return colour_picture([make_overview(ds, **options) for ds in layers]).save(path)


def read(path):
    return np.asarray(Image.open(path))


@pytest.mark.parametrize("max_side", [2048, 500, 499, 37])
@pytest.mark.parametrize("chunks", [None, (400, 401), (1100, 64)])
def test_shrinking_is_the_weighted_mean(max_side, chunks):
    rng = np.random.default_rng(3)
    sci = rng.normal(1, 1, SHAPE).astype(np.float32)
    wht = rng.uniform(0, 5, SHAPE).astype(np.float32)
    wht[:, :700] = 0
    sci[:, :650] = np.nan
    sci[5, 800] = np.inf
    made = make_overview(mosaic(sci, wht, chunks), max_side=max_side)
    image, step = made.image, made.step
    assert step == math.ceil(1500 / max_side)
    assert image.shape == tuple(-(-n // step) for n in SHAPE)
    assert max(image.shape) <= max_side
    for row, column in ((0, 0), (3, image.shape[1] - 1), (image.shape[0] - 1, image.shape[1] // 2)):
        part = np.s_[row * step : (row + 1) * step, column * step : (column + 1) * step]
        f, w = sci[part].astype(float), wht[part].astype(float)
        use = np.isfinite(f) & (w > 0)
        expected = (f[use] * w[use]).sum() / w[use].sum() if use.any() else np.nan
        np.testing.assert_allclose(image[row, column], expected, rtol=1e-6)


def test_grey_shows_up_up_and_nothing_as_nothing(tmp_path):
    wht = np.full(SHAPE, 500, np.float32)
    wht[:200] = 0
    path = grey(mosaic(plane(SHAPE, [(*STAR, 1.0)]), wht), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == [path]
    picture = read(path)
    assert picture.shape == (*SHAPE, 2)
    light, alpha = picture[..., 0], picture[..., 1]
    assert (alpha[-200:] == 0).all()
    assert (alpha[:-200] == 255).all()
    row, column = np.unravel_index(np.argmax(light), light.shape)
    assert (abs(row - (SHAPE[0] - 1 - STAR[0])) <= 12) & (abs(column - STAR[1]) <= 12)
    assert light.max() == 255
    sky = light[:-200][:, 600:]
    assert 10 < np.median(sky) < 100  # dark but not black
    assert 0.02 < np.mean(sky == 0) < 0.4  # noise is seen


def test_large_mosaics_are_shrunk(tmp_path):
    picture = read(grey(mosaic(plane(SHAPE)), tmp_path / "a.png", max_side=300))
    assert picture.shape == (220, 300, 2)


def test_colours_follow_wavelengths(tmp_path):
    red, green, blue = (200, 1200), (600, 1200), (900, 1200)
    layers = [
        mosaic(plane(SHAPE, [(*STAR, 1.0), (*own, 1.0)], seed=n), layer=f"wfc3_uvis_{name}")
        for n, (own, name) in enumerate([(green, "f606w"), (red, "f814w"), (blue, "f475w")])
    ]
    picture = read(colour(layers, tmp_path / "a.png"))
    assert picture.shape == (*SHAPE, 4)
    for band, (y, x) in enumerate((red, green, blue)):
        r_g_b = picture[SHAPE[0] - 1 - y, x, :3].astype(int)
        assert np.argmax(r_g_b) == band
        assert r_g_b[band] > 200
        assert np.delete(r_g_b, band).max() < 60
    white = picture[SHAPE[0] - 1 - STAR[0], STAR[1], :3].astype(int)
    assert white.min() > 230
    # the order in which layers are given does not matter
    again = read(colour(layers[::-1], tmp_path / "b.png"))
    np.testing.assert_array_equal(picture, again)


def test_layers_of_other_scales_fall_in_place(tmp_path):
    fine = frame()
    coarse = fine.pad(90).coarsen(3)
    ra, dec = fine.pixel_to_sky(STAR[1], STAR[0])
    x, y = coarse.sky_to_pixel(ra, dec)
    layers = [
        mosaic(plane(SHAPE, [(*STAR, 1.0)]), on=fine, layer="wfc3_uvis_f475w"),
        mosaic(plane(coarse.shape, [(y, x, 1.0)], sigma=4 / 3), on=coarse, layer="wfc3_ir_f160w"),
    ]
    picture = read(colour(layers, tmp_path / "a.png", max_side=750)).astype(float)
    assert picture.shape == (550, 750, 4)
    assert (picture[..., 3] == 255).all()
    rows, columns = np.mgrid[:550, :750]
    for band in (0, 1, 2):
        near = (abs(rows - 99) < 20) & (abs(columns - 150) < 20)
        light = np.where(near & (picture[..., band] > 150), picture[..., band], 0)
        row, column = (np.average(at, weights=light) for at in (rows, columns))
        assert abs(2 * (549 - row) + 0.5 - STAR[0]) < 1.5
        assert abs(2 * column + 0.5 - STAR[1]) < 1.5


def test_where_a_layer_has_no_data_the_others_show_grey(tmp_path):
    half = np.full(SHAPE, 500, np.float32)
    half[:, 750:] = 0
    none = half.copy()
    none[:300] = 0
    other = np.full(SHAPE, 500, np.float32)
    other[:300] = 0
    layers = [
        mosaic(plane(SHAPE, seed=1), none, layer="acs_wfc_f475w"),
        mosaic(plane(SHAPE, [(500, 1200, 1.0)], seed=2), other, layer="acs_wfc_f814w"),
    ]
    picture = read(colour(layers, tmp_path / "a.png"))
    assert (picture[-300:, :, 3] == 0).all()
    assert (picture[:-300, :, 3] == 255).all()
    star = picture[SHAPE[0] - 1 - 500, 1200, :3].astype(int)
    assert star.min() > 200
    assert star.max() - star.min() <= 2


def test_one_layer_makes_a_grey_picture(tmp_path):
    picture = read(colour([mosaic(plane(SHAPE, [(*STAR, 1.0)]))], tmp_path / "a.png")).astype(int)
    assert (picture[..., :3].max(axis=-1) == picture[..., :3].min(axis=-1)).all()


@pytest.mark.parametrize(
    "sci",
    [
        np.full((30, 40), np.nan, np.float32),
        np.zeros((30, 40), np.float32),
        np.full((30, 40), 7, np.float32),
        np.ones((1, 1), np.float32),
        np.eye(30, 40, dtype=np.float32) * 1e30,
    ],
)
def test_odd_mosaics_make_pictures_too(sci, tmp_path):
    path = grey(mosaic(sci), tmp_path / "a.png")
    assert read(path).shape == (*sci.shape, 2)
    assert (read(path)[..., 1] == 255).all() == bool(np.isfinite(sci).all())
    layers = [mosaic(sci, layer=f"acs_wfc_{band}") for band in ("f435w", "f606w", "f814w")]
    assert read(colour(layers, path)).shape == (*sci.shape, 4)


def test_a_whole_mosaic_is_never_in_memory(tmp_path):
    lazy = da.random.default_rng(1).normal(0, 1, (6000, 6000), chunks=500).astype("f4")
    dataset = mosaic(lazy, abs(lazy) + 1)
    make_overview(mosaic(plane((30, 40))))  # compiles
    tracemalloc.start()
    with dask.config.set(scheduler="synchronous"):
        made = make_overview(dataset, max_side=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6000 * 6000 * 4  # less than one of the two planes
    assert made.image.shape == (200, 200)


@pytest.mark.parametrize(
    ("name", "detector", "wavelength"),
    [
        ("f475w", "uvis", 475.0),
        ("F850LP", "WFC", 850.0),
        ("f098m", "ir", 980.0),
        ("f160w", "ir", 1600.0),
        ("f606w-pol0v", "wfc", 606.0),
        ("pol60uv-f435w", "wfc", 435.0),
        ("f1042m", "pc", 1042.0),
        ("f160w", "nic2", 1600.0),
        ("fq508n", "uvis", 508.0),
        ("f28x50lp", "ccd", 723.0),
        ("25mama", "fuv-mama", 137.0),
        ("clear", "sbc", math.inf),
    ],
)
def test_wavelengths_of_filters(name, detector, wavelength):
    assert filter_wavelength(name, detector) == wavelength


def test_every_block_is_computed_once():
    computed = []

    def block(block_info=None):
        computed.append(block_info[None]["chunk-location"])
        return np.ones((100, 100), np.float32)

    lazy = da.map_blocks(block, chunks=((100,) * 4, (100,) * 3), dtype="f4", meta=np.empty((0, 0)))
    make_overview(mosaic(lazy, np.ones((400, 300), "f4")), max_side=37)
    assert sorted(computed) == [(y, x) for y in range(4) for x in range(3)]


def test_files_state_how_flux_became_light(tmp_path):
    """From the text of a PNG and its bytes, flux comes back."""
    sci = plane((300, 400), [(150, 200, 1.0)])
    ds = mosaic(sci, layer="wfc3_uvis_f475w")
    image = Image.open(grey(ds, tmp_path / "a.png"))
    text = image.text
    assert text["Layer"] == "wfc3_uvis_f475w"
    assert text["Unit"] == "electron / s"
    assert text["Software"].startswith("hapdask ")
    assert text["Shows"] == "400 x 300 pixels of 0.04 arcsec"
    black, white, soft = (float(text[key]) for key in ("Black", "White", "Softening"))
    light = np.asarray(image)[::-1, :, 0] / 255.0
    flux = black + soft * np.sinh(light * np.arcsinh((white - black) / soft))
    shown = (sci > black) & (sci < white)
    step = np.abs(np.gradient(flux)).max() + soft
    np.testing.assert_allclose(flux[shown], sci[shown], atol=0.02 * step, rtol=0.03)
    comment = Image.open(grey(ds, tmp_path / "a.jpg")).info["comment"].decode()
    assert comment.splitlines() == [f"{key}: {value}" for key, value in text.items()]
    several = [ds, mosaic(sci * 2, layer="wfc3_uvis_f814w")]
    text = Image.open(colour(several, tmp_path / "c.png", max_side=100)).text
    assert "weighted means over 4 x 4" in text["Shows"]
    assert text["Red"].startswith("wfc3_uvis_f814w: level = (flux - ")
    assert text["Blue"].startswith("wfc3_uvis_f475w: level = (flux - ")


def test_limits():
    rng = np.random.default_rng(1)
    image = rng.normal(3.0, 0.1, (500, 500))
    stretch = Stretch.of_image(image)
    assert abs(stretch.black - 2.9) < 0.005
    assert abs(stretch.white - 5.0) < 0.1  # no sources: 20 scatters
    image[:20] = 1000.0  # 4 % of the pixels
    assert Stretch.of_image(image).white == 1000.0
    light = stretch.apply(np.array([-1e9, stretch.black, stretch.white, 1e9, np.nan]))
    np.testing.assert_array_equal(light, [0, 0, 1, 1, np.nan])


@pytest.mark.parametrize(("shape", "small"), [((2000, 1000), (128, 64)), ((90, 128), (90, 128))])
def test_thumbnails(tmp_path, shape, small):
    wht = np.full(shape, 500, np.float32)
    wht[:, : shape[1] // 2] = 0
    picture = grey_picture(make_overview(mosaic(plane(shape), wht)))
    thumbnail = picture.thumbnail()
    assert thumbnail.pixels.shape == (*small, 2)
    assert max(small) == THUMBNAIL_SIDE
    shown = read(thumbnail.save(tmp_path / "a_thumb.jpg")).astype(int)
    assert shown.shape == small
    left, right = np.split(shown, 2, axis=1)
    assert left[:, :-8].max() < 8  # no data: black
    assert right[:, 8:].mean() > 20
    assert read(picture.save(tmp_path / "a.jpg")).shape == shape


def test_what_fails(tmp_path):
    ds = mosaic(plane((30, 40)))
    for layers in ([], [ds] * 4):
        with pytest.raises(StoreError, match="1 to 3 layers"):
            colour(layers, tmp_path / "a.png")
    with pytest.raises(StoreError, match="missing"):
        grey(ds, tmp_path / "missing" / "a.png")
    with pytest.raises(StoreError, match=r"\.png or \.jpg"):
        Picture(np.zeros((2, 2, 2), np.uint8), {}).save(tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []
