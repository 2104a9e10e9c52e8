"""Every imager opens, and its map is astropy's: real headers, or synthetic ones where none is."""

import shutil
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from imagers import SYNTHETIC, make_hrc, make_synthetic, make_wfpc2, set_cards

from hapdask.errors import InputError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.pixels import read_chip_rows
from hapdask.observe.record import ExposureRecord

LAYERS = {
    "sbc": ("acs_sbc_f150lp", "electron", "accepted"),
    "ccd": ("stis_ccd_f28x50lp", "count", "accepted"),
    "nuv-mama": ("stis_nuv-mama_f25qtz", "count", "accepted"),
    "fuv-mama": ("stis_fuv-mama_25mama", "count", "accepted"),
    "nic1": ("nicmos_nic1_f160w", "count / s", "accepted"),
    "nic2": ("nicmos_nic2_f160w", "count / s", "accepted"),
    "nic3": ("nicmos_nic3_f160w", "count / s", "accepted"),
}
GATE = 1e-6  # pixels


def opened(path):
    """Open one exposure; the record and the verdict on it."""
    exposures = open_exposures(path, strict=True)
    return exposures[0], exposures.verdicts[0][1]


def reason_of(path):
    exposures = open_exposures(path)
    assert len(exposures) == 0
    return exposures.verdicts[0][1].reason


def worst_pixel(path, record):
    """Largest distance between our map and astropy's, pixels."""
    rng = np.random.default_rng(9)
    worst = 0.0
    with fits.open(path) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        for chip in record.chips:
            ny, nx = chip.shape
            x, y = rng.uniform(-0.5, nx - 0.5, 5000), rng.uniform(-0.5, ny - 0.5, 5000)
            x[:5], y[:5] = [0, nx - 1, 0, nx - 1, nx / 2], [0, 0, ny - 1, ny - 1, ny / 2]
            wcs = WCS(hdus["SCI", chip.extver].header, fobj=hdus)
            ra, dec = wcs.all_pix2world(x, y, 0)
            our_ra, our_dec = chip.distortion.pixel_to_sky(x, y)
            off_ra = (np.remainder(our_ra - ra + 180, 360) - 180) * np.cos(np.radians(dec))
            off = np.hypot(off_ra, our_dec - dec) * 3600 / chip.distortion.pixel_scale
            worst = max(worst, float(off.max()))
    return worst


@pytest.mark.parametrize("name", SYNTHETIC)
def test_synthetic_exposures_open_and_map_as_astropy(tmp_path, name):
    path = make_synthetic(tmp_path, name)
    record, verdict = opened(path)
    assert (record.layer_name, record.unit, verdict.status) == LAYERS[name]
    assert len(record.chips) == 1
    assert record.chips[0].bin == 1
    assert record.exptime == 500.0
    assert worst_pixel(path, record) < GATE
    assert ExposureRecord.from_dict(record.to_dict()) == record


def test_the_real_hrc(tmp_path):
    path = make_hrc(tmp_path)
    record, verdict = opened(path)
    assert (record.layer_name, record.unit, verdict.status) == (
        "acs_hrc_f606w",
        "electron",
        "accepted",
    )
    (chip,) = record.chips
    assert (chip.gain, chip.read_noise, chip.idcscale) == (1.0, 4.71, 0.025)
    assert chip.dark == pytest.approx(0.0719769)
    assert worst_pixel(path, record) < GATE


def test_the_real_wfpc2(tmp_path):
    path = make_wfpc2(tmp_path)
    record, verdict = opened(path)
    assert (record.layer_name, record.unit) == ("wfpc2_pc_f555w", "count")
    assert verdict.status == "accepted"
    assert [c.chip for c in record.chips] == [1, 2, 3, 4]
    assert [c.gain for c in record.chips] == [7.12, 7.12, 6.90, 7.10]
    assert [c.read_noise for c in record.chips] == [5.24, 5.51, 5.22, 5.19]
    assert [c.dark for c in record.chips] == [0.5] * 4
    assert [round(c.idcscale, 4) for c in record.chips] == [0.0455, 0.0996, 0.0996, 0.0996]
    assert record.chips[0].distortion.d2im_y is not None
    assert all(len(c.shadow) == 6 and c.err is None for c in record.chips)
    assert worst_pixel(path, record) < GATE
    assert ExposureRecord.from_dict(record.to_dict()) == record


def test_without_idcscale_counts_are_kept(tmp_path):
    """AstroDrizzle takes the first column of CD for the scale: here 15 % of flux, for HRC's pixels
    are no squares.  The root of the determinant keeps what was counted.
    """
    linear = {"IDCSCALE": None, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
    cd = (-7.3605e-06, 1.8456e-06, 2.86858e-06, 6.64946e-06)  # of the plain j8bt06nyq_flt
    matrix = dict(zip(("CD1_1", "CD1_2", "CD2_1", "CD2_2"), cd, strict=True))
    record, _ = opened(make_hrc(tmp_path, science=linear | matrix))
    (chip,) = record.chips
    area = abs(cd[0] * cd[3] - cd[1] * cd[2])
    assert chip.idcscale == pytest.approx(3600.0 * np.sqrt(area), rel=1e-6)
    upstream = 3600.0 * np.hypot(cd[0], cd[2])
    assert (upstream / chip.idcscale) ** 2 == pytest.approx(1.15, abs=0.005)


def test_a_c0m_without_bunit_is_in_counts(tmp_path):
    """AstroDrizzle takes it for a rate: its products are too bright by the exposure time."""
    path = make_wfpc2(tmp_path)
    with fits.open(path) as hdus:
        assert all("BUNIT" not in hdu.header for hdu in hdus)
    record, _ = opened(path)
    assert record.unit == "count"
    assert record.exptime == 100.0


def test_the_data_quality_of_a_c0m_is_that_of_its_c1m(tmp_path):
    record, _ = opened(make_wfpc2(tmp_path))
    for chip in record.chips:
        assert chip.dq.url.endswith("u40x010hm_c1m.fits")
        rows = read_chip_rows(record, chip, 2, 6)
        assert rows.dq[1, 5 + chip.extver] == 8
        assert np.count_nonzero(rows.dq) == 1


def test_a_c0m_without_its_c1m_is_used_with_a_warning(tmp_path):
    record, verdict = opened(make_wfpc2(tmp_path, with_c1m=False))
    assert verdict.status == "warning"
    assert "no c1m file beside the c0m" in verdict.reason
    assert all(chip.dq is None for chip in record.chips)
    assert read_chip_rows(record, record.chips[0], 0, 5).dq is None


def test_a_c1m_that_changes_is_another_exposure(tmp_path):
    path = make_wfpc2(tmp_path)
    record, _ = opened(path)
    c1m = tmp_path / "u40x010hm_c1m.fits"
    with fits.open(c1m, mode="update") as hdus:
        hdus["SDQ", 2].header["HISTORY"] = "changed"
    assert opened(path)[0].digest != record.digest
    with pytest.raises(InputError, match="changed since") as caught:
        read_chip_rows(record, record.chips[0], 0, 5)
    assert caught.value.path == str(c1m)


def test_a_moved_pair_has_the_digest_it_had(tmp_path):
    path = make_wfpc2(tmp_path / "here")
    record, _ = opened(path)
    shutil.copytree(tmp_path / "here", tmp_path / "there", copy_function=shutil.copy2)
    moved, _ = opened(tmp_path / "there" / path.name)
    assert moved.chips[0].dq.url != record.chips[0].dq.url
    assert moved.digest == record.digest


def test_a_packed_pair(tmp_path):
    import gzip

    path = make_wfpc2(tmp_path)
    for name in ("u40x010hm_c0m.fits", "u40x010hm_c1m.fits"):
        plain = tmp_path / name
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(plain.read_bytes(), 1))
        plain.unlink()
    record, verdict = opened(f"{path}.gz")
    assert verdict.status == "accepted"
    assert record.chips[0].dq.url.endswith("_c1m.fits.gz")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda h: h.__delitem__(4), "SDQ,4"),
        (lambda h: set_cards(h[0].header, {"ROOTNAME": "u40x0101m"}), "not of u40x010hm"),
        (lambda h: setattr(h[2], "data", np.zeros((400, 800), np.int16)), "800 x 400"),
    ],
)
def test_a_c1m_that_does_not_fit_is_told(tmp_path, spoil, words):
    path = make_wfpc2(tmp_path)
    with fits.open(tmp_path / "u40x010hm_c1m.fits", mode="update") as hdus:
        spoil(hdus)
    assert words in reason_of(path)


def test_a_truncated_c1m_is_no_missing_one(tmp_path):
    path = make_wfpc2(tmp_path)
    c1m = tmp_path / "u40x010hm_c1m.fits"
    c1m.write_bytes(c1m.read_bytes()[:100_000])
    assert "truncated" in reason_of(path)


def test_a_c1m_given_as_an_exposure(tmp_path):
    make_wfpc2(tmp_path)
    exposures = open_exposures(str(tmp_path / "*.fits"))
    assert [e.name for e in exposures] == ["u40x010hm"]
    assert "give the c0m file" in exposures.verdicts[1][1].reason


def test_a_converted_flt_has_its_data_quality_inside(tmp_path):
    def convert(hdus):
        for extver in range(1, 5):
            hdus.append(fits.ImageHDU(np.zeros((800, 800), np.int32), name="DQ", ver=extver))
            hdus.append(fits.ImageHDU(np.ones((800, 800), np.float32), name="ERR", ver=extver))

    path = make_wfpc2(tmp_path, with_c1m=False, primary={"DETECTOR": "PC"}, change=convert)
    path = path.rename(tmp_path / "u40x010hm_flt.fits")
    record, verdict = opened(path)
    assert verdict.status == "accepted"
    assert all(c.dq is not None and not c.dq.url and c.err is None for c in record.chips)


def test_a_subset_of_chips_keeps_the_chips_numbers(tmp_path):
    def one_chip(hdus):
        del hdus["SCI", 1], hdus["SCI", 2], hdus["SCI", 4]
        hdus["SCI", 3].header["EXTVER"] = 1

    record, _ = opened(make_wfpc2(tmp_path, with_c1m=False, change=one_chip))
    (chip,) = record.chips
    assert (chip.chip, chip.gain) == (3, 6.90)


def test_an_unknown_gain_is_refused(tmp_path):
    path = make_wfpc2(tmp_path, primary={"ATODGAIN": 8.0})
    assert "ATODGAIN = 8.0, expected 7 or 15" in reason_of(path)


def test_imsets_of_stis_are_exposures_of_their_own(tmp_path):
    def times(hdus):
        for extver, seconds in ((1, 100.0), (2, 0.0), (3, 300.0)):
            header = hdus["SCI", extver].header
            header.update(EXPTIME=seconds, EXPSTART=54000.0 + extver, EXPEND=54000.1 + extver)
            header["DATE-OBS"] = f"2006-09-2{extver}"

    path = make_synthetic(tmp_path, "ccd", imsets=3, change=times)
    exposures = open_exposures(path)
    assert [e.name for e in exposures] == ["xccd01aaq-1", "xccd01aaq-3"]
    assert [e.exptime for e in exposures] == [100.0, 300.0]
    assert [e.expstart for e in exposures] == [54001.0, 54003.0]
    quoted = [dict(e.keywords) for e in exposures]  # as in files of their own
    assert [(q["EXPTIME"], q["DATE-OBS"]) for q in quoted] == [
        (100.0, "2006-09-21"),
        (300.0, "2006-09-23"),
    ]
    assert [c.extver for e in exposures for c in e.chips] == [1, 3]
    assert [c.dark for e in exposures for c in e.chips] == pytest.approx([0.9, 2.7])
    assert len({e.digest for e in exposures}) == 2
    with fits.open(path) as hdus:
        for exposure in exposures:
            (chip,) = exposure.chips
            sci = read_chip_rows(exposure, chip, 10, 20).sci
            np.testing.assert_array_equal(sci, hdus["SCI", chip.extver].data[10:20])
    rows = exposures.table()
    assert [row["name"] for row in rows] == ["xccd01aaq-1", None, "xccd01aaq-3"]
    assert (rows[1]["status"], rows[1]["reason"]) == ("rejected", "no exposure time")


@pytest.mark.parametrize(
    ("name", "primary", "words"),
    [
        ("ccd", {"OPT_ELEM": "G430L", "OBSTYPE": "SPECTROSCOPIC"}, "not an imaging"),
        ("ccd", {"OPT_ELEM": "G430L"}, "grating"),
        ("nuv-mama", {"OPT_ELEM": "PRISM"}, "prism"),
        ("ccd", {"OBSMODE": "ACQ/PEAK"}, "acquisition"),
        ("ccd", {"APERTURE": "0.2X0.2"}, "no filter name"),
        ("ccd", {"BINAXIS1": 2}, "not square"),
        ("ccd", {"BINAXIS1": 4, "BINAXIS2": 4}, "no binning"),
        ("sbc", {"FILTER1": "PR110L"}, "prism"),
        ("nic3", {"FILTER": "G141"}, "grism"),
        ("nic2", {"FILTER": "BLANK"}, "no light"),
        ("nic1", {"IMAGETYP": "DARK"}, "not an exposure of the sky"),
        ("nic1", {"CAMERA": 4}, "NICMOS/4"),
    ],
)
def test_what_is_no_image_is_left_out_with_a_reason(tmp_path, name, primary, words):
    assert words in reason_of(make_synthetic(tmp_path, name, primary=primary))


@pytest.mark.parametrize("filter_", ["FR533N18", "LRF", "FQUVN", "FQCH4N15"])
def test_filters_of_wfpc2_that_vary_over_the_field(tmp_path, filter_):
    reason = reason_of(make_wfpc2(tmp_path, primary={"FILTNAM1": filter_}))
    assert "ramp" in reason or "quad" in reason


def test_polarisers_are_flagged(tmp_path):
    for path in (
        make_wfpc2(tmp_path, primary={"FILTNAM2": "POLQ"}),
        make_synthetic(tmp_path, "nic1", primary={"FILTER": "POL120S"}),
    ):
        record, verdict = opened(path)
        assert verdict.status == "warning"
        assert "polariser" in verdict.reason
        assert "pol" in record.filter


def test_a_product_is_no_exposure(tmp_path):
    def drizzled(hdus):
        hdus.append(fits.ImageHDU(np.ones((1024, 1024), np.float32), name="WHT", ver=1))

    assert "drizzled product" in reason_of(make_hrc(tmp_path, change=drizzled))


def test_no_file_needs_more_than_its_rows_say(tmp_path):
    """SBC counts photons; of STIS and NICMOS the row says what the header does not."""
    chips = {name: opened(make_synthetic(tmp_path, name))[0].chips[0] for name in SYNTHETIC}
    assert (chips["sbc"].gain, chips["sbc"].read_noise, chips["sbc"].dark) == (1.0, 0.0, 0.02)
    assert (chips["ccd"].gain, chips["ccd"].read_noise) == (4.016, 7.9)
    assert chips["ccd"].dark == pytest.approx(4.5)
    assert (chips["nuv-mama"].gain, chips["nuv-mama"].read_noise) == (1.0, 0.0)
    assert (chips["nic3"].gain, chips["nic3"].read_noise) == (6.5, 29.0)
    assert chips["nic3"].photflam == 1e-18
