"""Parameters check themselves, and presets give the tables that they promise."""

from dataclasses import FrozenInstanceError, fields

import pytest

from hapdask.config import PRESETS, DrizzleParameters, load_parameters, parse_setting
from hapdask.errors import ParameterError

NAMES = {field.name for field in fields(DrizzleParameters)}
DETECTORS = [("ACS", "WFC"), ("WFC3", "UVIS"), ("WFC3", "IR")]


def test_defaults_are_strict_first():
    p = DrizzleParameters()
    assert (p.kernel, p.pixfrac, p.weight, p.sky, p.flux_scaling) == (
        "square",
        1.0,
        "EXP",
        "measure",
        True,
    )
    assert (p.good_bits, p.doubtful_bits) == (0, 848)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pixfrac", 0),
        ("pixfrac", 1.01),
        ("pixfrac", float("nan")),
        ("pixfrac", float("inf")),
        ("pixfrac", "0.8"),
        ("pixfrac", True),
        ("kernel", "gauss"),
        ("kernel", ["square"]),
        ("weight", "exp"),
        ("sky", "match"),
        ("flux_scaling", "yes"),
        ("flux_scaling", 1),
        ("stepsize", -1),
        ("stepsize", 2.5),
        ("good_bits", "4,8+16"),
        ("doubtful_bits", 2.5),
        ("doubtful_bits", 4096),
        ("doubtful_bits", "16+8192"),
    ],
)
def test_impossible_values_name_their_parameter(name, value):
    with pytest.raises(ParameterError, match=name):
        DrizzleParameters(**{name: value})


def test_parameters_are_values():
    p = DrizzleParameters(pixfrac=1, good_bits="16+64")
    assert p == DrizzleParameters(good_bits=80)
    assert hash(p) == hash(DrizzleParameters(good_bits=80))
    assert isinstance(p.pixfrac, float)
    with pytest.raises(FrozenInstanceError):
        p.pixfrac = 0.5


def test_a_good_bit_is_not_doubtful():
    assert DrizzleParameters(good_bits=16).doubtful_bits == 64 | 256 | 512
    assert DrizzleParameters(good_bits=None).doubtful_bits == 0
    assert DrizzleParameters(doubtful_bits=None).doubtful_bits == 0


def test_digest_items_tell_any_difference():
    base = dict(DrizzleParameters().digest_items())
    assert set(base) == NAMES
    changed = {
        "kernel": None,  # one kernel so far
        "pixfrac": 0.8,
        "weight": "ERR",
        "good_bits": 4,
        "doubtful_bits": 0,
        "sky": "none",
        "flux_scaling": False,
        "stepsize": 10,
    }
    for name, value in changed.items():
        if value is not None:
            other = DrizzleParameters(**{name: value}).digest_items()
            assert other != DrizzleParameters().digest_items(), name
    assert list(base) == sorted(base)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("place", DETECTORS)
@pytest.mark.parametrize("n", [1, 2, 3, 6, 100])
def test_every_preset_sets_every_parameter(preset, place, n):
    resolved = load_parameters(*place, n, preset=preset)
    assert set(resolved.origin) == NAMES
    assert all(origin.startswith(f"{preset}.toml") for origin in resolved.origin.values())


@pytest.mark.parametrize(
    ("preset", "place", "n", "good", "pixfrac"),
    [
        # facts of DrizzlePac 3.11: final_bits and final_pixfrac of its MVM tables
        ("compat", ("ACS", "WFC"), 1, 65535, 1.0),
        ("compat", ("ACS", "WFC"), 2, 80, 1.0),
        ("compat", ("WFC3", "UVIS"), 1, 65535, 1.0),
        ("compat", ("WFC3", "UVIS"), 9, 80, 1.0),
        ("compat", ("WFC3", "IR"), 1, 65535, 1.0),
        ("compat", ("WFC3", "IR"), 2, 528, 1.0),
        ("compat", ("ACS", "HRC"), 1, 65535, 1.0),
        ("compat", ("ACS", "HRC"), 9, 80, 1.0),
        ("compat", ("ACS", "SBC"), 1, 65535, 1.0),
        ("compat", ("ACS", "SBC"), 2, 528, 1.0),
        ("compat", ("WFPC2", "PC"), 1, 65535, 1.0),
        ("compat", ("WFPC2", "PC"), 4, 2 + 8 + 1024, 1.0),
        # and of its SVM tables
        ("compat-svm", ("ACS", "WFC"), 1, 65535, 1.0),
        ("compat-svm", ("ACS", "WFC"), 5, 336, 1.0),
        ("compat-svm", ("ACS", "WFC"), 6, 336, 0.8),
        ("compat-svm", ("WFC3", "UVIS"), 2, 336, 1.0),
        ("compat-svm", ("WFC3", "UVIS"), 6, 336, 0.8),
        ("compat-svm", ("WFC3", "IR"), 1, 528, 1.0),
        ("compat-svm", ("WFC3", "IR"), 4, 528, 1.0),
        ("compat-svm", ("ACS", "HRC"), 1, 65535, 1.0),
        ("compat-svm", ("ACS", "HRC"), 2, 64, 1.0),
        ("compat-svm", ("ACS", "HRC"), 6, 64, 0.8),
        ("compat-svm", ("ACS", "SBC"), 1, 65535, 1.0),
        ("compat-svm", ("WFPC2", "PC"), 1, 65533, 1.0),
        ("compat-svm", ("WFPC2", "PC"), 2, 61437, 1.0),
        ("compat-svm", ("WFPC2", "PC"), 3, 1024, 1.0),
        ("compat-svm", ("WFPC2", "PC"), 7, 1024, 1.0),
    ],
)
def test_compat_has_upstreams_bits(preset, place, n, good, pixfrac):
    p = load_parameters(*place, n, preset=preset).parameters
    assert (p.good_bits, p.pixfrac) == (good, pixfrac)
    assert (p.doubtful_bits, p.flux_scaling) == (0, False)
    assert p.sky == ("none" if n == 1 else "measure")


def test_the_sky_of_sbc_is_kept_in_upstreams_visits():
    p = load_parameters("ACS", "SBC", 4, preset="compat-svm").parameters
    assert (p.good_bits, p.sky) == (0, "none")


@pytest.mark.parametrize("preset", ["compat", "compat-svm"])
@pytest.mark.parametrize("place", [("STIS", "CCD"), ("STIS", "FUV-MAMA"), ("NICMOS", "NIC2")])
def test_detectors_without_hap_products_have_astrodrizzles_default(preset, place):
    assert load_parameters(*place, 3, preset=preset).parameters.good_bits == 0


@pytest.mark.parametrize("place", DETECTORS)
def test_default_never_accepts_cosmic_rays(place):
    p = load_parameters(*place, 1).parameters
    assert (p.good_bits | p.doubtful_bits) & (4096 | 8192) == 0
    assert p.doubtful_bits & (16 | 64 | 256) == 16 | 64 | 256
    assert bool(p.doubtful_bits & 512) == (place[1] == "IR")
    assert bool(p.doubtful_bits & 2048) == (place[1] != "IR")  # the converter of a CCD


def test_order_of_sources_and_their_origins(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'pixfrac = 0.9\nsky = "none"\n[wfc3.uvis]\nsky = "header"\n[ACS.WFC]\npixfrac=0.2'
    )
    resolved = load_parameters("wfc3", "uvis", 3, file=file, overrides={"weight": "ERR"})
    p, origin = resolved.parameters, resolved.origin
    assert (p.pixfrac, p.sky, p.weight, p.kernel) == (0.9, "header", "ERR", "square")
    assert origin["pixfrac"] == str(file)
    assert origin["sky"] == f"{file} [wfc3.uvis]"
    assert origin["weight"] == "given"
    assert origin["kernel"] == "default.toml"


def test_counted_tables_merge_in_order_of_count(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[ACS.WFC.n10]\npixfrac = 0.5\n[ACS.WFC.n2]\npixfrac = 0.8\n")
    got = [load_parameters("ACS", "WFC", n, file=file).parameters.pixfrac for n in (1, 2, 9, 10)]
    assert got == [1.0, 0.8, 0.8, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pixfracc = 0.8", "pixfracc.*did you mean 'pixfrac'"),
        ("[ACS.WFC]\ngood_bit = 1", r"good_bit.*\[ACS.WFC\].*did you mean 'good_bits'"),
        ("[ACS.WFC.n2]\nkernal = 'square'", r"n2.*did you mean 'kernel'"),
        ("[ACS.WCF]\npixfrac = 0.8", "ACS.WCF.*did you mean 'ACS.WFC'"),
        ("[ACS]\npixfrac = 0.8", r"\[ACS\].*under a detector"),
        ("[ACS.WFC.two]\npixfrac = 0.8", "expected n1"),
        ("pixfrac = '0.8'", "pixfrac must be a number.*mine.toml"),
        ("[WFC3.UVIS]\nweight = 'IVW'", r"weight.*mine.toml \[WFC3.UVIS\]"),
        ("pixfrac = ", "not valid TOML"),
    ],
)
def test_bad_files_say_what_and_where(tmp_path, text, message):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ParameterError, match=message):
        load_parameters("WFC3", "UVIS", 2, file=file)


def test_bad_arguments():
    with pytest.raises(ParameterError, match="did you mean 'compat'"):
        load_parameters("ACS", "WFC", 2, preset="compatt")
    with pytest.raises(ParameterError, match="at least 1"):
        load_parameters("ACS", "WFC", 0)
    with pytest.raises(ParameterError, match="did you mean 'pixfrac'"):
        load_parameters("ACS", "WFC", 2, overrides={"pix_frac": 1.0})
    with pytest.raises(ParameterError, match=r"ACS\.XYZ"):
        load_parameters("ACS", "XYZ", 2)
    with pytest.raises(ParameterError, match="cannot read the parameter file"):
        load_parameters("ACS", "WFC", 2, file="/no/such/file.toml")


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("pixfrac=0.8", ("pixfrac", 0.8)),
        ("good_bits = 16+64", ("good_bits", "16+64")),
        ("flux_scaling=no", ("flux_scaling", False)),
        ("weight=ERR", ("weight", "ERR")),
    ],
)
def test_settings_of_the_command_line(text, setting):
    name, value = parse_setting(text)
    assert (name, value) == setting
    load_parameters("ACS", "WFC", 2, overrides={name: value})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pixfrac", "name=value"),
        ("pixfrac=big", "number"),
        ("flux_scaling=maybe", "true or false"),
        ("pixfrc=1", "did you mean 'pixfrac'"),
    ],
)
def test_bad_settings(text, message):
    with pytest.raises(ParameterError, match=message):
        parse_setting(text)
