"""AstroDrizzle's parameters check themselves; presets, files and values stand over each other."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from hapdask.config import load_parameters
from hapdask.config.astrodrizzle import (
    GROUPS,
    NAMES,
    AstroDrizzleParameters,
    CustomFrame,
    MedianStep,
)
from hapdask.config.astrodrizzle_presets import (
    ASTRODRIZZLE_PRESETS,
    for_exposures,
    load_astrodrizzle,
    parse_astrodrizzle_setting,
)
from hapdask.config.upstream_names import WITHOUT_MEANING
from hapdask.errors import ParameterError
from hapdask.observe.instruments import INSTRUMENTS

PLACES = [(row.hap_instrument, row.hap_detector) for row in INSTRUMENTS.values()]
CCDS = [("ACS", "WFC"), ("ACS", "HRC"), ("WFC3", "UVIS")]
OURS = {"flux_scaling", "sky_convention", "final_doubtful_bits", "driz_cr_test", "driz_cr_single"}

make = AstroDrizzleParameters.from_values


def flat(place, n, preset, **overrides):
    return load_astrodrizzle(*place, n, preset=preset, overrides=overrides).parameters.values()


# Names, types and limits


def test_the_names_are_upstreams_and_ours():
    assert len(NAMES) == len(set(NAMES)) == 92
    assert set(NAMES) >= OURS
    assert not set(NAMES) & set(WITHOUT_MEANING)
    assert all(why and not why.endswith(".") for why in WITHOUT_MEANING.values())


def test_defaults_are_upstreams():
    values = AstroDrizzleParameters().values()
    assert tuple(values) == NAMES
    some = {
        "proc_unit": "native", "crbit": 4096, "stepsize": 10, "resetbits": 4096, "static_sig": 4.0,
        "skymethod": "localmin", "skystat": "median", "skywidth": 0.1, "skyclip": 5,
        "sky_bits": 0, "driz_sep_kernel": "turbo", "combine_type": "minmed",
        "combine_nsigma": (4.0, 3.0), "combine_maskpt": 0.3, "combine_grow": 1,
        "blot_interp": "poly5", "driz_cr_snr": (3.5, 3.0), "driz_cr_scale": (1.2, 0.7),
        "final_wht_type": "EXP", "final_kernel": "square", "final_wt_scl": "exptime",
        "final_fillval": None, "final_bits": 0, "final_units": "cps", "gain": (), "build": False,
    }  # fmt: skip
    assert {name: values[name] for name in some} == some


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("driz_cr_snr", "3.5 3.0", (3.5, 3.0)),
        ("driz_cr_snr", "3.5,3.0", (3.5, 3.0)),
        ("driz_cr_snr", "3.5; 3", (3.5, 3.0)),
        ("combine_nsigma", [4, 3], (4.0, 3.0)),
        ("final_bits", "~4096+8192", 0xFFFF - 12288),
        ("final_bits", "None", None),
        ("final_bits", -13, 0xFFFF - 12),
        ("build", "Yes", True),
        ("build", "0", False),
        ("final_scale", "0.04", 0.04),
        ("final_scale", "INDEF", None),
        ("final_rot", -0.0, 0.0),
        ("final_pixfrac", 0, 0.0),
        ("final_wht_type", "ivm", "IVM"),
        ("final_wt_scl", "ExpTime", "exptime"),
        ("final_wt_scl", "2", 2.0),
        ("gain", "1.5,2", (1.5, 2.0)),
        ("gain", 2, (2.0,)),
        ("gain", "", ()),
        ("group", "sci,1", "sci,1"),
        ("group", 4, "4"),
        ("skyuser", None, ""),
        ("skyclip", 5.0, 5),
    ],
)
def test_values_of_any_form_come_to_one(name, text, value):
    extra = {"skysub": False} if name == "skyuser" else {}
    found = make({name: text, **extra}).values()[name]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("final_kernel", "sqare"),
        ("final_kernel", "tophat"),
        ("driz_sep_kernel", "TOPHAT"),
        ("final_pixfrac", 1.2),
        ("final_pixfrac", -0.1),
        ("final_scale", 0),
        ("final_scale", 1e4),
        ("final_scale", True),
        ("final_rot", 1e9),
        ("final_outnx", 10.5),
        ("final_outnx", 0),
        ("final_dec", 91),
        ("driz_cr_snr", "3.5"),
        ("driz_cr_snr", "3.5 -3"),
        ("driz_cr_snr", "a b"),
        ("driz_cr_snr", None),
        ("driz_cr_grow", 0),
        ("combine_nlow", -1),
        ("combine_maskpt", "nan"),
        ("skymethod", "localmax"),
        ("skymethod", ["match"]),
        ("static", "maybe"),
        ("static", 1),
        ("static_sig", 0),
        ("sky_bits", "3+4"),
        ("final_doubtful_bits", 4096),
        ("group", "sci"),
        ("gain", "1,x"),
        ("rdnoise", -1),
        ("final_wt_scl", "err"),
        ("crbit", 1 << 16),
        ("final_refimage", 3.5),
    ],
)
def test_impossible_values_name_their_parameter(name, value):
    with pytest.raises(ParameterError, match=f"^{name}"):
        make({name: value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gain": 2, "gnkeyword": "ATODGNA"}, "gain and gnkeyword"),
        ({"rdnoise": 2, "rnkeyword": "READNSEA"}, "rdnoise and rnkeyword"),
        ({"exptime": 2, "expkeyword": "EXPTIME"}, "exptime and expkeyword"),
        ({"final_outnx": 100}, "final_outnx needs final_outny"),
        ({"final_dec": 1.0}, "final_dec needs final_ra"),
        ({"driz_sep_crpix2": 1.0}, "driz_sep_crpix2 needs driz_sep_crpix1"),
        ({"skylower": 3, "skyupper": 3}, "skylower = 3 must be below"),
        ({"combine_lthresh": 5, "combine_hthresh": 3}, "combine_lthresh"),
        ({"skyuser": "MDRIZSKY"}, "skysub = False"),
        ({"skyfile": "a.txt", "skysub": False}, "skysub = True"),
        ({"skyfile": "a.txt", "skyuser": "X"}, "skyfile and skyuser"),
    ],
)
def test_contradictions_are_refused(values, message):
    with pytest.raises(ParameterError, match=message):
        make(values)


def test_groups_are_values():
    one, other = make({"final_scale": 0.04}), make({"final_scale": "4e-2"})
    assert one == other
    assert hash(one) == hash(other)
    assert one.median == AstroDrizzleParameters().median  # another final frame, the same median
    assert make(one.values()) == one
    with pytest.raises(FrozenInstanceError):
        one.final.final_scale = 0.1
    assert set(GROUPS) == {field.name for field in fields(AstroDrizzleParameters)}
    assert MedianStep(combine_type="MEDIAN").combine_type == "median"


def test_a_custom_frame_is_there_only_when_it_is_on():
    given = {"final_scale": 0.04, "final_outnx": 3, "final_outny": 4, "driz_sep_rot": 0}
    assert make(given).final.frame is None
    on = make(given | {"final_wcs": True})
    assert on.final.frame == CustomFrame("", None, 0.04, 3, 4, None, None, None, None)
    assert on.separate.frame is None


# Presets


@pytest.mark.parametrize("preset", ASTRODRIZZLE_PRESETS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 400])
def test_every_preset_serves_every_detector(preset, place, n):
    found = load_astrodrizzle(*place, n, preset=preset)
    assert set(found.origin) == set(NAMES)
    values = found.parameters.values()
    if n == 1:
        assert not any(values[step] for step in ("median", "blot", "driz_cr"))
    if place[1].lower() == "sbc":
        assert not values["driz_cr"]


@pytest.mark.parametrize("place", PLACES)
def test_compat_is_upstreams_bare_default(place):
    values = flat(place, 4, "compat")
    bare = AstroDrizzleParameters().values()
    steps = {"median", "blot", "driz_cr"} if place[1].lower() == "sbc" else set()
    assert {name for name in NAMES if values[name] != bare[name]} == steps


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("n", [1, 4])
def test_our_bits_are_those_of_the_other_recipes(place, n):
    values = flat(place, n, "default")
    same = load_parameters(*place, n).parameters
    assert values["final_bits"] == same.good_bits
    assert values["final_doubtful_bits"] & ~values["final_bits"] == same.doubtful_bits
    assert values["driz_sep_bits"] == values["final_bits"] | values["final_doubtful_bits"]
    assert values["sky_bits"] == values["final_bits"]
    assert values["flux_scaling"] is same.flux_scaling is True
    assert values["stepsize"] == 0


@pytest.mark.parametrize(
    ("place", "n", "sep", "final", "combination", "snr", "scale", "sky"),
    [
        # facts of DrizzlePac 3.11: its tables for the filter products of a visit
        (("ACS", "WFC"), 1, 336, 65535, "minmed", (3.5, 3.0), (1.5, 1.2), "match"),
        (("ACS", "WFC"), 2, 336, 336, "minmed", (3.5, 3.0), (1.5, 1.2), "match"),
        (("ACS", "WFC"), 6, 336, 336, "median", (3.5, 3.0), (1.2, 0.7), "match"),
        (("ACS", "HRC"), 1, 336, 65535, "minmed", (3.5, 3.0), (1.5, 1.2), "match"),
        (("ACS", "HRC"), 5, 64, 64, "minmed", (3.5, 3.0), (1.5, 1.2), "match"),
        (("ACS", "HRC"), 6, 64, 64, "median", (3.5, 3.0), (1.2, 0.7), "match"),
        (("WFC3", "UVIS"), 1, 336, 65535, "minmed", (3.5, 3.0), (1.5, 1.2), "match"),
        (("WFC3", "UVIS"), 5, 336, 336, "minmed", (3.5, 3.0), (1.5, 1.2), "match"),
        (("WFC3", "UVIS"), 7, 336, 336, "median", (3.5, 3.0), (1.2, 0.7), "match"),
        (("WFC3", "IR"), 1, 16, 528, "minmed", (5.0, 4.0), (3.0, 2.4), "match"),
        (("WFC3", "IR"), 3, 65535, 528, "minmed", (5.0, 4.0), (3.0, 2.4), "match"),
        (("WFC3", "IR"), 4, 528, 528, "median", (5.0, 4.0), (3.0, 2.4), "match"),
        (("WFPC2", "PC"), 1, 1024, 65533, "minmed", (5.5, 3.5), (2.0, 1.5), "localmin"),
        (("WFPC2", "PC"), 2, 1024, 61437, "minmed", (5.5, 3.5), (2.0, 1.5), "localmin"),
        (("WFPC2", "PC"), 3, 1024, 1024, "minmed", (5.5, 3.5), (2.0, 1.5), "localmin"),
        (("WFPC2", "PC"), 4, 1024, 1024, "median", (5.5, 3.5), (2.0, 1.5), "localmin"),
    ],
)
def test_compat_svm_is_upstreams_table(place, n, sep, final, combination, snr, scale, sky):
    values = flat(place, n, "compat-svm")
    assert (values["driz_sep_bits"], values["final_bits"]) == (sep, final)
    assert (values["combine_type"], values["combine_nhigh"]) == (combination, 1)
    assert (values["driz_cr_snr"], values["driz_cr_scale"]) == (snr, scale)
    assert (values["skymethod"], values["skysub"]) == (sky, n > 1)
    assert values["driz_cr"] is (n > 1)
    assert (values["final_wcs"], values["final_rot"]) == (True, 0.0)
    assert values["final_scale"] == (0.025 if place[1] == "HRC" else None)
    assert values["final_pixfrac"] == (0.8 if n >= 6 and place in CCDS else 1.0)
    assert all(values[name] == AstroDrizzleParameters().values()[name] for name in OURS)


def test_compat_svm_of_sbc_has_no_sky_and_no_cosmic_rays():
    values = flat(("ACS", "SBC"), 4, "compat-svm")
    assert (values["final_scale"], values["skysub"], values["driz_cr"]) == (0.025, False, False)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("n", "scale", "table"), [(2, (5.0, 3.0), ""), (7, (4.0, 2.4), ".n6")])
def test_binned_pixels_have_wide_slopes_and_no_single_image_test(place, n, scale, table):
    found = load_astrodrizzle(*place, n, binned=True)
    label = "astrodrizzle/default.toml [binned"
    assert found.parameters.cosmic_rays.driz_cr_scale == scale
    assert found.origin["driz_cr_scale"] == f"{label}{table}]"
    assert not found.parameters.cosmic_rays.driz_cr_single
    if found.parameters.cosmic_rays.driz_cr:
        assert found.origin["driz_cr_single"] == f"{label}]"
    changed = {"driz_cr_scale", "driz_cr_single"}
    values, whole = found.parameters.values(), flat(place, n, "default")
    assert {name for name in NAMES if values[name] != whole[name]} <= changed


@pytest.mark.parametrize("preset", ["compat", "compat-svm"])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_upstream_does_not_know_binning(preset, n):
    for place in PLACES:
        found = load_astrodrizzle(*place, n, preset=preset, binned=True)
        assert found == load_astrodrizzle(*place, n, preset=preset)


# Who wins


def test_a_users_file_has_tables_for_binned_pixels(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        "driz_cr_scale = '2 1'\n[binned.n3]\ndriz_cr_grow = 3\n"
        "[binned]\ndriz_cr_grow = 2\n[WFC3.UVIS.n2]\ndriz_cr_grow = 4\n"
    )
    for n, grow, table in ((2, 2, "[binned]"), (3, 3, "[binned.n3]")):
        found = load_astrodrizzle("WFC3", "UVIS", n, binned=True, file=file)
        assert found.parameters.cosmic_rays.driz_cr_grow == grow
        assert found.origin["driz_cr_grow"] == f"{file} {table}"
        assert found.origin["driz_cr_scale"] == str(file)  # over the packaged [binned]
    assert load_astrodrizzle("WFC3", "UVIS", 3, file=file).parameters.cosmic_rays.driz_cr_grow == 4
    for text, message in (
        ("[binned]\ndriz_cr_snrs = 1\n", r"driz_cr_snr.*"),
        ("[binned.WFC3]\ndriz_cr_grow = 1\n", r"\[binned.WFC3\]: expected n1, n2"),
        ("binned = true\n", "unknown parameter 'binned'"),
    ):
        file.write_text(text)
        with pytest.raises(ParameterError, match=message):
            load_astrodrizzle("WFC3", "UVIS", 3, file=file)
    file.write_text("[binned]\npixfrac = 0.8\n")
    with pytest.raises(ParameterError, match=r"\[binned\]: no parameter here depends on binning"):
        load_parameters("WFC3", "UVIS", 3, file=file)


def test_values_stand_over_files_and_files_over_presets(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("final_pixfrac = 0.7\ndriz_cr_grow = 3\n[WFC3.UVIS.n2]\nfinal_bits = 5\n")
    found = load_astrodrizzle("wfc3", "uvis", 4, file=file, overrides={"final_pixfrac": 0.5})
    values = found.parameters.values()
    assert (values["final_pixfrac"], values["driz_cr_grow"], values["final_bits"]) == (0.5, 3, 5)
    assert found.origin["final_pixfrac"] == "given"
    assert found.origin["driz_cr_grow"] == str(file)
    assert found.origin["final_bits"] == f"{file} [WFC3.UVIS.n2]"
    assert found.origin["driz_cr_test"] == "astrodrizzle/default.toml"
    assert found.origin["blot_interp"] == "built in"


def test_a_cfg_stands_over_a_preset_and_names_what_means_nothing(tmp_path):
    file = tmp_path / "mine.cfg"
    file.write_text(
        "_task_name_ = astrodrizzle\nnum_cores = 4\nclean = True\nfinal_bits = 16\n"
        "final_wcs = False\nfinal_rot = 0.0\n"
    )
    found = load_astrodrizzle("ACS", "WFC", 4, file=file, overrides={"preserve": False})
    assert found.parameters.final.final_bits == 16
    assert found.origin["final_bits"] == str(file)
    assert set(found.ignored) == {"num_cores", "clean", "preserve"}
    assert found.parameters.final.frame is None  # off in the file, as AstroDrizzle reads it


def test_a_frame_that_is_given_is_turned_on():
    found = load_astrodrizzle("ACS", "WFC", 4, overrides={"final_rot": 0})
    assert found.parameters.final.frame.rot == 0.0
    assert found.origin["final_wcs"] == "implied by final_rot"
    assert (
        load_astrodrizzle("ACS", "WFC", 4, overrides={"final_rot": None}).parameters.final.frame
        is None
    )
    with pytest.raises(ParameterError, match="final_wcs = False and final_rot"):
        load_astrodrizzle("ACS", "WFC", 4, overrides={"final_rot": 0, "final_wcs": False})


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("final_scl", "final_scale"), ("driz_cr_snrs", "driz_cr_snr"), ("skymethd", "skymethod")],
)
def test_unknown_names_suggest_the_nearest(name, suggestion, tmp_path):
    with pytest.raises(ParameterError, match=suggestion):
        load_astrodrizzle("ACS", "WFC", 4, overrides={name: 1})
    file = tmp_path / "mine.cfg"
    file.write_text(f"{name} = 1\n")
    with pytest.raises(ParameterError, match=f"{name}.*mine.cfg.*{suggestion}"):
        load_astrodrizzle("ACS", "WFC", 4, file=file)
    with pytest.raises(ParameterError, match=suggestion):
        parse_astrodrizzle_setting(f"{name}=1")


def test_errors_say_which_file_the_value_is_from(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[ACS.WFC]\nfinal_kernel = 'tophat'\n")
    with pytest.raises(ParameterError, match=r"does not keep flux.*mine.toml \[ACS.WFC\]"):
        load_astrodrizzle("ACS", "WFC", 4, file=file)
    with pytest.raises(ParameterError, match=r"unknown preset 'compt'.*compat"):
        load_astrodrizzle("ACS", "WFC", 4, preset="compt")
    with pytest.raises(ParameterError, match=r"unknown detector ACS.WFD.*ACS.WFC"):
        load_astrodrizzle("ACS", "WFD", 4)


def test_settings_of_a_command_line_are_texts():
    assert parse_astrodrizzle_setting("driz_cr_snr = 5 4") == ("driz_cr_snr", "5 4")
    assert parse_astrodrizzle_setting("clean=yes") == ("clean", "yes")
    with pytest.raises(ParameterError, match="name=value"):
        parse_astrodrizzle_setting("build")


# Steps


def test_steps_turn_on_what_they_need():
    wanted = make({"blot": False, "median": False, "driz_separate": False})
    parameters, changed = for_exposures(wanted, 2)
    assert parameters == AstroDrizzleParameters()
    assert changed == {
        "blot": "on: driz_cr needs it",
        "median": "on: blot needs it",
        "driz_separate": "on: median needs it",
    }
    off = make({"blot": False, "median": False, "driz_separate": False, "driz_cr": False})
    assert for_exposures(off, 2) == (off, {})


def test_one_exposure_has_no_partner():
    found = load_astrodrizzle("ACS", "WFC", 1, preset="compat", overrides={"combine_nhigh": 1})
    values = found.parameters.values()
    assert not any(values[step] for step in ("median", "blot", "driz_cr"))
    assert values["driz_separate"]
    assert found.origin["driz_cr"] == "off: no exposure has a partner"


def test_a_median_of_nothing_is_refused():
    values = {"combine_nlow": 1, "combine_nhigh": 1}
    with pytest.raises(ParameterError, match="2 exposures"):
        load_astrodrizzle("ACS", "WFC", 2, overrides=values)
    load_astrodrizzle("ACS", "WFC", 3, overrides=values)
    without = {"median": False, "blot": False, "driz_cr": False}
    load_astrodrizzle("ACS", "WFC", 2, overrides=values | without)
