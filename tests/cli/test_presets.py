"""``hapdask presets``: every parameter with its origin, files that read back, nearest names."""

from __future__ import annotations

import tomllib
from dataclasses import fields

import pytest

from hapdask.config import (
    ASTRODRIZZLE_PRESETS,
    PRESETS,
    DrizzleParameters,
    load_astrodrizzle,
    load_parameters,
)
from hapdask.config.astrodrizzle import NAMES
from hapdask.observe.instruments import INSTRUMENTS

DETECTORS = [row.label for row in INSTRUMENTS.values()]


def test_lists_presets_and_detectors(hapdask):
    for command, known in (("astrodrizzle", ASTRODRIZZLE_PRESETS), ("mosaic", PRESETS)):
        shown = hapdask("presets", "--for", command)
        assert shown.code == 0
        found = hapdask("presets", "--for", command, "--json").json
        assert tuple(found["presets"]) == known
        assert found["detectors"] == DETECTORS
        for word in (*known, *DETECTORS):
            assert word in shown.out


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("count", [1, 6])
def test_every_parameter_has_a_value_and_an_origin(hapdask, detector, count):
    found = hapdask("presets", detector, count, "--json").json
    assert tuple(found["parameters"]) == NAMES
    resolved = load_astrodrizzle(*detector.split("/"), count)
    for name, told in found["parameters"].items():
        value = resolved.parameters.values()[name]
        assert told["value"] == (list(value) if isinstance(value, tuple) else value)
        assert told["origin"] == resolved.origin[name]
    names = {word for line in hapdask("presets", detector, count).out.splitlines()[2:]
             for word in line.split()[:3]}  # fmt: skip
    assert set(NAMES) <= names


@pytest.mark.parametrize("short", [(), ("--short",)])
@pytest.mark.parametrize("preset", ASTRODRIZZLE_PRESETS)
@pytest.mark.parametrize("count", [1, 7])
def test_a_file_of_it_reads_back(hapdask, tmp_path, preset, count, short):
    file = tmp_path / "mine.toml"
    for detector in ("WFC3/UVIS", "WFC3/IR", "WFPC2/PC", "NICMOS/NIC3"):
        words = ("presets", detector, count, "--preset", preset, "--set", "skyuser=")
        words += ("--set", 'final_refimage=a "b" \\c.fits[1]', "--set", "driz_sep_rot=-3.25")
        words += ("--set", "gain=1.5 1.6", "--set", "final_bits=None")
        shown = hapdask(*words, "--toml", *short)
        assert shown.code == 0
        file.write_text(shown.out)
        assert tomllib.loads(shown.out)["final_refimage"] == 'a "b" \\c.fits[1]'
        parts = detector.split("/")
        base = preset if short else "compat"  # a whole file needs no preset
        again = load_astrodrizzle(*parts, count, preset=base, file=file)
        given = {"final_refimage": 'a "b" \\c.fits[1]', "driz_sep_rot": -3.25, "gain": (1.5, 1.6)}
        given |= {"final_bits": None}
        wanted = load_astrodrizzle(*parts, count, preset=preset, overrides=given)
        assert again.parameters == wanted.parameters


@pytest.mark.parametrize("preset", PRESETS)
def test_a_file_for_mosaic_reads_back(hapdask, tmp_path, preset):
    file = tmp_path / "mine.toml"
    for detector in DETECTORS:
        file.write_text(
            hapdask("presets", detector, 3, "--for", "mosaic", "--preset", preset, "--toml").out
        )
        parts = detector.split("/")
        wanted = load_parameters(*parts, 3, preset=preset).parameters
        assert load_parameters(*parts, 3, file=file).parameters == wanted
    ignoring = hapdask("presets", "ir", "--for", "mosaic", "--set", "good_bits=None", "--toml").out
    file.write_text(ignoring)
    assert load_parameters("WFC3", "IR", 4, file=file).parameters.good_bits is None
    run = hapdask("presets", "ir", "--for", "mosaic", "--json", "--set", "stepsize=10")
    shown = run.json["parameters"]
    assert shown["stepsize"] == {"value": 10, "origin": "given", "step": "drizzle", "set": True}
    assert list(shown) == [field.name for field in fields(DrizzleParameters)]


def test_a_cfg_file_is_translated(hapdask, tmp_path):
    cfg = tmp_path / "astrodrizzle.cfg"
    cfg.write_text(
        "_task_name_ = astrodrizzle\nclean = yes\n[STEP 7: DRIZZLE FINAL]\n"
        'final_pixfrac = 0.8\nfinal_bits = "64, 16"\n'
    )
    run = hapdask("presets", "uvis", 4, "--preset", "compat", "--parameters", cfg, "--toml")
    assert run.code == 0
    assert "not used: clean: no intermediate file" in run.err
    values = tomllib.loads(run.out)
    assert (values["final_pixfrac"], values["final_bits"]) == (0.8, 80)
    assert f"final_pixfrac = 0.8 # {cfg}" in " ".join(run.out.split())


def test_what_the_number_of_exposures_turns_off_says_so(hapdask):
    one = hapdask("presets", "uvis", 1, "--json").json["parameters"]
    for step in ("median", "blot", "driz_cr"):
        assert one[step]["value"] is False
        assert one[step]["origin"] == "off: no exposure has a partner"
    assert "off: no exposure has a partner" in hapdask("presets", "uvis", 1).out


def test_binned_pixels_have_their_own(hapdask):
    found = hapdask("presets", "uvis", 3, "--binned", "--json").json
    assert found["binned"] is True
    told = found["parameters"]["driz_cr_scale"]
    assert told["origin"] == "astrodrizzle/default.toml [binned]"
    assert told["value"] != hapdask("presets", "uvis", 3, "--json").json["parameters"][
        "driz_cr_scale"]["value"]  # fmt: skip
    shown = hapdask("presets", "uvis", 3, "--binned").out
    assert "3 exposures, preset default, binned\n" in shown
    assert "default.toml [binned]" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("uvs",), "unknown detector 'uvs': did you mean 'WFC3/UVIS'?"),
        (("acs/uvis",), "unknown detector 'acs/uvis': did you mean 'WFC3/UVIS'?"),
        (("ir", 4, "--preset", "compta"), "unknown preset 'compta': did you mean 'compat'?"),
        (("ir", 4, "--set", "final_scal=1"), "did you mean 'final_scale'?"),
        (("ir", 4, "--for", "mosaic", "--set", "kernl=square"), "did you mean 'kernel'?"),
        (("ir", 4, "--set", "final_rot=7000"), "final_rot must be at least -360 and at most 360"),
        (("ir", 4, "--for", "mosaic", "--set", "stepsize=x"), "stepsize must be a number, not 'x'"),
        (("ir", 0), "the number of exposures must be at least 1"),
        (("ir", 2, "--parameters", "none.toml"), "cannot read the parameter file none.toml"),
        (("ir", 2, "--for", "nothing"), "neither astrodrizzle nor mosaic"),
        (("ir", 2, "--toml", "--json"), "choose --toml or --json"),
        (("--preset", "compat"), "DETECTOR"),
        (("--binned",), "DETECTOR"),
        (("ir", 2, "--for", "mosaic", "--binned"), "no parameter of mosaic depends on it"),
    ],
)
def test_wrong_words(hapdask, words, message):
    run = hapdask("presets", *words)
    assert run.code == 2
    assert message in " ".join(run.err.split())
