"""What a run changes of its exposures: one chip, no distortion, another WCS; names and checks."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from imagers import make_hrc, make_synthetic, make_wfpc2

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.errors import InputError, ParameterError, PlanError
from hapdask.observe.adjusting.adjust import adjust
from hapdask.observe.adjusting.alternate import with_wcs
from hapdask.observe.adjusting.groups import only_group
from hapdask.observe.adjusting.naming import run_name
from hapdask.observe.adjusting.together import check_together, overlapping
from hapdask.observe.adjusting.undistorted import without_distortion
from hapdask.observe.distortion import Correction
from hapdask.observe.exposure import open_exposures
from hapdask.observe.record import ExposureRecord, MaskRef

SMALL = (20, 30)


def opened(*paths, **options):
    return list(open_exposures(paths, strict=True, **options))


def extvers(exposure):
    return [chip.extver for chip in exposure.chips]


class TestGroup:
    @pytest.mark.parametrize(
        ("group", "kept"),
        [("", [1, 2]), ("sci,1", [1]), ("SCI , 2", [2]), ("1", [1]), ("4", [2]), ("1, 4", [1, 2])],
    )
    def test_extensions_are_counted_as_in_the_file(self, make, group, kept):
        path = make(shape=SMALL)
        (exposure,) = opened(path)
        found = only_group(exposure, group)
        assert extvers(found) == kept
        assert found.chips == tuple(c for c in exposure.chips if c.extver in kept)
        with fits.open(path) as hdus:
            for chip in found.chips:
                assert (hdus[chip.hdu].name, hdus[chip.hdu].ver) == ("SCI", chip.extver)
        if group:
            parameters = AstroDrizzleParameters.from_values({"group": group})
            assert adjust([exposure], parameters) == (found,)

    def test_it_changes_footprint_and_digest(self, make):
        (exposure,) = opened(make(shape=SMALL))
        found = only_group(exposure, "sci,2")
        assert len(found.footprint.polygons) == 1
        assert found.digest != exposure.digest

    @pytest.mark.parametrize("group", ["0", "2", "3", "99", "sci,3", "err,1", "dq,1"])
    def test_what_is_no_science_extension(self, make, group):
        path = make(shape=SMALL)
        (exposure,) = opened(path)
        with pytest.raises(InputError, match="no science extension") as caught:
            only_group(exposure, group)
        assert caught.value.path == str(path)
        assert caught.value.remedy == "it has 'sci,1' (extension 1), 'sci,2' (extension 4)"

    def test_one_that_an_exposure_lacks(self, make):
        whole, half = opened(make(shape=SMALL), make("ia0a02aaq", shape=SMALL, chips=1))
        parameters = AstroDrizzleParameters.from_values({"group": "sci,2"})
        with pytest.raises(InputError, match="ia0a02aaq_flc"):
            adjust([whole, half], parameters)

    @pytest.mark.parametrize("group", ["sci", "sci,", ",1", "1.5", "-1", "sci,1,2"])
    def test_what_is_no_group(self, make, group):
        (exposure,) = opened(make(shape=SMALL))
        with pytest.raises((ParameterError, InputError), match="group"):
            only_group(exposure, group)

    def test_each_imset_is_the_first_science_extension(self, tmp_path):
        exposures = opened(make_synthetic(tmp_path, "ccd", imsets=2))
        for group in ("sci,1", "1"):
            assert [extvers(only_group(e, group)) for e in exposures] == [[1], [2]]
        with pytest.raises(InputError, match="xccd"):
            only_group(exposures[1], "sci,2")

    def test_wfpc2(self, tmp_path):
        (exposure,) = opened(make_wfpc2(tmp_path))
        assert [c.hdu for c in exposure.chips] == [1, 2, 3, 4]
        assert [c.chip for c in only_group(exposure, "3").chips] == [3]

    def test_a_record_keeps_the_number(self, make):
        (exposure,) = opened(make(shape=SMALL))
        again = ExposureRecord.from_dict(exposure.to_dict())
        assert extvers(only_group(again, "4")) == [2]
        elsewhere = replace(exposure, chips=tuple(replace(c, hdu=9) for c in exposure.chips))
        assert elsewhere.digest == exposure.digest  # where an extension stands changes no pixel


class TestCoeffs:
    def test_sip_and_npol_go_and_d2im_stays(self, make):
        path = make()
        (exposure,) = opened(path)
        plain = without_distortion(exposure)
        assert plain.digest != exposure.digest
        x, y = np.array([0.0, 40.3, 95.0]), np.array([129.0, 3.7, 0.0])
        with fits.open(path) as hdus:
            for chip in plain.chips:
                wcs = WCS(hdus["SCI", chip.extver].header, fobj=hdus)
                assert None not in (wcs.sip, wcs.cpdis1, wcs.det2im1)
                wcs.sip = wcs.cpdis1 = wcs.cpdis2 = None
                wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
                expected = np.array(wcs.all_pix2world(x, y, 0))
                found = np.array(chip.distortion.pixel_to_sky(x, y))
                assert np.abs(found - expected).max() * 3600.0 < 1e-8
        before, after = (np.array(e.chips[0].border()) for e in (exposure, plain))
        assert np.abs(before - after).max() > 0
        assert plain.chips[0].idcscale == pytest.approx(0.0396, rel=1e-4)

    def test_twice_is_once(self, make):
        (exposure,) = opened(make())
        plain = without_distortion(exposure)
        assert without_distortion(plain) == plain

    def test_as_a_parameter(self, make):
        (exposure,) = opened(make())
        off = AstroDrizzleParameters.from_values({"coeffs": False})
        assert adjust([exposure], off) == (without_distortion(exposure),)
        assert adjust([exposure], AstroDrizzleParameters()) == (exposure,)


ALTERNATE = {
    "WCSNAMEA": "OTHER",
    "CTYPE1A": "RA---TAN-SIP",
    "CTYPE2A": "DEC--TAN-SIP",
    "CRPIX1A": 48.0,
    "CRPIX2A": 65.0,
    "CRVAL1A": 150.26,
    "CRVAL2A": 2.01,
    "CD1_1A": -1.1e-5,
    "CD1_2A": 0.0,
    "CD2_1A": 0.0,
    "CD2_2A": 1.1e-5,
}


class TestWcskey:
    @pytest.mark.parametrize("key", ["A", "OTHER", "other"])
    def test_open_exposures_are_read_again(self, make, key):
        path = make(shape=SMALL, science=ALTERNATE)
        (exposure,) = opened(path)
        (expected,) = opened(path, wcs=key)
        assert expected.digest != exposure.digest
        mask = MaskRef("user", "/m.npy", ("1",))
        changed = exposure.with_sky(2.0).with_mask(1, mask)
        (found,) = with_wcs([changed], key)
        assert found == expected.with_sky(2.0).with_mask(1, mask)
        assert found.wcsname == "OTHER"
        parameters = AstroDrizzleParameters.from_values({"wcskey": key})
        assert adjust([exposure], parameters) == (expected,)

    def test_blank_is_the_one_they_have(self, make):
        exposures = opened(make(shape=SMALL))
        assert with_wcs(exposures, "") == tuple(exposures)

    def test_one_that_is_not_there(self, make):
        with pytest.raises(InputError, match=r"there is no WCS 'Q'.*IDC_test"):
            with_wcs(opened(make(shape=SMALL)), "Q")

    def test_an_aligned_exposure_is_refused_with_a_remedy(self, make):
        (exposure,) = opened(make(shape=SMALL, science=ALTERNATE))
        aligned = exposure.corrected(Correction((150.25, 2.0), shift=(0.1, 0.0)))
        with pytest.raises(ParameterError, match=r"open_exposures\(..., wcs='A'\)"):
            with_wcs([aligned], "A")

    def test_a_file_that_changed(self, make):
        (exposure,) = opened(make(shape=SMALL, science=ALTERNATE))
        make(shape=SMALL, science={**ALTERNATE, "CRVAL1A": 150.27})
        with pytest.raises(InputError, match="changed since"):
            with_wcs([exposure], "A")

    def test_one_imset_of_several(self, tmp_path):
        exposures = opened(make_synthetic(tmp_path, "ccd", imsets=2, science=ALTERNATE))
        found = with_wcs(exposures[1:], "A")
        assert [(e.name, e.wcsname, extvers(e)) for e in found] == [("xccd01aaq-2", "OTHER", [2])]

    def test_the_aperture_of_a_poller_stays(self, tmp_path):
        path = make_wfpc2(tmp_path)
        poller = tmp_path / "poller.lst"
        poller.write_text(f"{path}, PC1-FIX;F160BN15\n")
        exposures = open_exposures(poller, strict=True)
        (found,) = with_wcs(exposures, exposures[0].wcsname, exposures.inputs)
        assert found == exposures[0]


def association(path, *rows):
    names, kinds = zip(*rows, strict=True)
    table = Table({"MEMNAME": names, "MEMTYPE": kinds, "MEMPRSNT": [True] * len(rows)})
    table.write(path, format="fits", overwrite=True)
    return path


class TestNames:
    MEMBERS = (("IA0A01AAQ", "EXP-DTH"), ("IA0A02AAQ", "EXP-DTH"), ("IA0A01010", "PROD-DTH"))

    @pytest.fixture
    def files(self, make):
        return [make(f"ia0a0{k}aaq", shape=SMALL, tables=False) for k in (1, 2)]

    def name(self, exposures):
        return run_name(exposures.inputs, exposures)

    def test_an_association_gives_its_product(self, files, tmp_path):
        exposures = open_exposures(association(tmp_path / "x_asn.fits", *self.MEMBERS))
        assert exposures.product == self.name(exposures) == "ia0a01010"
        assert exposures[:1].product == "ia0a01010"
        assert exposures.with_records(exposures).product == "ia0a01010"

    def test_one_file_gives_its_rootname_and_several_are_final(self, files):
        assert self.name(open_exposures(files[:1])) == "ia0a01aaq"
        both = open_exposures(files)
        assert (both.product, self.name(both)) == ("", "final")

    def test_an_association_and_another_file(self, files, make, tmp_path):
        asn = association(tmp_path / "x_asn.fits", *self.MEMBERS)
        third = make("ia0a03aaq", shape=SMALL, tables=False)
        assert self.name(open_exposures([asn, third])) == "final"

    def test_two_associations(self, files, tmp_path):
        one = association(tmp_path / "1_asn.fits", self.MEMBERS[0], ("IA0A01010", "PROD-DTH"))
        two = association(tmp_path / "2_asn.fits", self.MEMBERS[1], ("IA0A01020", "PROD-DTH"))
        assert self.name(open_exposures([one, two])) == "final"

    def test_a_missing_member_is_named_and_the_rest_has_the_name(self, files, tmp_path):
        rows = (*self.MEMBERS, ("IA0A09AAQ", "EXP-DTH"))
        exposures = open_exposures(association(tmp_path / "x_asn.fits", *rows))
        assert self.name(exposures) == "ia0a01010"
        (lost,) = (url for url, verdict in exposures.verdicts if verdict.status == "rejected")
        assert lost == "ia0a09aaq"

    def test_a_flt_beside_its_flc_is_told(self, files, make, tmp_path):
        flt = make("ia0a01aaq", suffix="flt", shape=SMALL, tables=False)
        asn = association(tmp_path / "x_asn.fits", *self.MEMBERS)
        exposures = open_exposures(asn, strict=True)
        assert [e.url for e in exposures] == [str(f) for f in files]
        assert "duplicate" in dict(exposures.verdicts)[str(flt)].reason
        assert self.name(exposures) == "ia0a01010"

    @pytest.mark.parametrize("product", ["../../etc", "a b", "a/b"])
    def test_a_product_that_is_no_name(self, files, tmp_path, product):
        rows = (*self.MEMBERS[:2], (product, "PROD-DTH"))
        exposures = open_exposures(association(tmp_path / "x_asn.fits", *rows), strict=True)
        assert self.name(exposures) == "final"

    def test_imsets_are_of_one_file(self, tmp_path):
        path = make_synthetic(tmp_path, "ccd", imsets=2)
        assert self.name(open_exposures(path)) == "xccd01aaq"

    def test_the_order_is_that_of_the_list(self, files, tmp_path):
        swapped = (self.MEMBERS[1], self.MEMBERS[0], self.MEMBERS[2])
        asn = association(tmp_path / "x_asn.fits", *swapped)
        assert [e.name for e in open_exposures(asn)] == ["ia0a02aaq", "ia0a01aaq"]
        assert [e.name for e in open_exposures(files[::-1])] == ["ia0a02aaq", "ia0a01aaq"]
        pattern = str(tmp_path / "ia0a0*_flc.fits")
        assert [e.name for e in open_exposures(pattern)] == ["ia0a01aaq", "ia0a02aaq"]


class TestTogether:
    def test_two_of_a_kind(self, make):
        exposures = opened(make(shape=SMALL), make("ia0a02aaq", shape=SMALL))
        assert check_together(exposures) == ()

    def test_none(self):
        with pytest.raises(PlanError, match="no exposure is left"):
            check_together([])

    def test_several_detectors(self, make, tmp_path):
        exposures = opened(
            make(shape=SMALL), make("ia0a02aaq", "IR", shape=SMALL), make_hrc(tmp_path)
        )
        with pytest.raises(PlanError, match="one mosaic") as caught:
            check_together(exposures)
        for name in ("WFC3/UVIS (ia0a01aaq)", "WFC3/IR (ia0a02aaq)", "ACS/HRC (j8bt06nyq)"):
            assert name in str(caught.value)
        assert "a run for each" in str(caught.value)

    def test_several_units(self, make):
        exposures = opened(
            make("ia0a01aaq", "IR", shape=SMALL),
            make("ia0a02aaq", "IR", shape=SMALL, science={"BUNIT": "ELECTRONS"}),
        )
        with pytest.raises(
            PlanError, match=r"units: electron / s \(ia0a01aaq\), electron \(ia0a02"
        ):
            check_together(exposures)

    def test_one_name_twice(self, make, tmp_path):
        (first,), (second,) = (
            opened(make(shape=SMALL, directory=tmp_path / folder)) for folder in ("a", "b")
        )
        with pytest.raises(PlanError, match=r"2 exposures have the name ia0a01aaq.*a/.*b/"):
            check_together([first, second])

    def test_several_filters_and_no_cte_correction_are_told(self, make):
        exposures = opened(
            make(shape=SMALL),
            make("ia0a02aaq", shape=SMALL, primary={"FILTER": "F814W"}),
            make("ia0a03aaq", shape=SMALL, suffix="flt"),
        )
        filters, cte = check_together(exposures)
        assert "f606w (ia0a01aaq and 1 more), f814w (ia0a02aaq)" in filters
        assert "flc (ia0a01aaq and 1 more), flt (ia0a03aaq)" in cte

    def test_groups_that_do_not_overlap_are_named(self, make):
        far = {"CRVAL2": 3.0}
        exposures = opened(
            make(shape=SMALL),
            make("ia0a02aaq", shape=SMALL, science=far),
            make("ia0a03aaq", shape=SMALL),
            make("ia0a04aaq", shape=SMALL, science=far),
            make("ia0a05aaq", shape=SMALL, science={"CRVAL2": 4.0}),
        )
        groups = [[e.name[4:6] for e in group] for group in overlapping(exposures)]
        assert groups == [["01", "03"], ["02", "04"], ["05"]]
        (warning,) = check_together(exposures)
        assert "3 groups" in warning
        assert "2: ia0a02aaq, ia0a04aaq" in warning

    def test_a_chain_of_overlaps_is_one_group(self, make):
        step = 20 * 0.1283 / 3600.0 * 0.7
        paths = [
            make(
                f"ia0a0{k}aaq", "IR", shape=SMALL, tables=False, science={"CRVAL2": 2.0 + k * step}
            )
            for k in (1, 4, 2, 3)
        ]
        exposures = opened(*paths)
        assert not exposures[0].footprint.overlaps(exposures[1].footprint)
        assert len(overlapping(exposures)) == 1


class TestLeftOut:
    @pytest.mark.parametrize(
        ("counts", "kept"), [((0, 0), 0), ((0, 5), 1), ((None, 0), 1), ((None, None), 1)]
    )
    def test_an_exposure_without_a_good_pixel(self, make, counts, kept):
        def count(hdus):
            for extver, value in enumerate(counts, 1):
                if value is not None:
                    hdus["SCI", extver].header["NGOODPIX"] = value

        exposures = open_exposures(make(shape=SMALL, change=count))
        assert len(exposures) == kept
        if not kept:
            assert exposures.verdicts[0][1].reason == "no good pixel in any chip"

    def test_one_of_several_imsets(self, tmp_path):
        def count(hdus):
            hdus["SCI", 1].header["NGOODPIX"] = 0

        exposures = open_exposures(make_synthetic(tmp_path, "ccd", imsets=2, change=count))
        assert [e.name for e in exposures] == ["xccd01aaq-2"]

    @pytest.mark.parametrize(
        "primary", [{"MTFLAG": "T"}, {"FILTER": "G280"}, {"SCAN_TYP": "C"}, {"DRIZCORR": "OMIT"}]
    )
    def test_all_that_can_be_drizzled_is_kept_on_request(self, make, primary):
        path = make(shape=SMALL, primary=primary)
        assert len(open_exposures(path)) == 0
        (exposure,) = open_exposures(path, select=False, strict=True)
        assert exposure.verdict.status == "warning"
        assert exposure.verdict.keyword == next(iter(primary))

    def test_but_not_what_has_no_time(self, make):
        path = make(shape=SMALL, primary={"EXPTIME": 0.0, "MTFLAG": "T"})
        assert len(open_exposures(path, select=False)) == 0
