"""TweakReg's parameters: names and defaults, their meaning to matching, where they come from."""

from __future__ import annotations

import pytest

from hapdask.config.tweakreg import NAMES, TweakRegParameters
from hapdask.config.tweakreg_presets import ALIGN_PRESETS, load_align, parse_align_setting
from hapdask.config.upstream_names import TWEAKREG_WITHOUT_MEANING
from hapdask.errors import ParameterError


def load(preset="default", detector="UVIS", **overrides):
    return load_align("WFC3", detector, pixel_scale=0.04, preset=preset, overrides=overrides)


def test_tweakregs_defaults():
    found = load("tweakreg")
    t, options = found.tweakreg, found.options
    assert (t.minobj, t.searchrad, t.separation, t.tolerance) == (15, 1.0, 0.5, 1.0)
    assert (t.fitgeometry, t.nclip, t.sigma, t.use2dhist) == ("rscale", 3, 3.0, True)
    assert (options.header.wcsname, options.header.reusename) == ("TWEAK", False)
    assert found.detection.conv_width == 3.5
    assert load("tweakreg", detector="IR").detection.conv_width == 2.5
    assert not options.general.joint


@pytest.mark.parametrize("preset", ALIGN_PRESETS)
def test_every_value_has_an_origin(preset):
    found = load(preset)
    assert set(found.options.values()) <= set(found.origin)
    assert set(NAMES) == set(TweakRegParameters().values())
    assert found.plain()["detection"] in ("default", "hap", "tweakreg")


def test_what_tweakregs_names_mean_to_our_matching():
    found = load(minobj=8, searchrad=50, searchunits="pixels", fitgeometry="shift", sigma=5)
    m = found.matching
    assert (m.min_shift, m.min_rscale, m.min_general) == (8, 8, 8)
    assert m.searchrad == m.relative_searchrad == pytest.approx(2.0)
    assert m.use2dhist_searchrad == pytest.approx(50.0)
    assert m.geometries == ("shift",)
    assert m.sigma == 5.0
    assert found.origin["min_shift"] == "minobj"
    assert found.tweakreg is None
    assert load(minobj=8, min_shift=4).matching.min_shift == 4  # said of itself
    assert load(use2dhist=False).matching.methods == ("header",)
    assert load(tolerance=2.5).matching.header_tolerance == pytest.approx(0.1)
    assert load("compat").matching.upstream


def test_names_without_meaning_are_told():
    found = load(interactive=True, separation=0.5)
    assert set(found.ignored) == {"interactive", "separation"}
    assert set(load("tweakreg", separation=0.5, clobber=True).ignored) == {"clobber"}
    assert all(len(why) > 10 for why in TWEAKREG_WITHOUT_MEANING.values())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"serchrad": 1}, "did you mean 'searchrad'"),
        ({"xoffset": 1}, "use preset = 'tweakreg'"),
        ({"verify": False}, "tweakreg"),
        ({"conv_width": 3}, "is a parameter of detection 'tweakreg'"),
        ({"refxyunits": "pixels"}, "needs positions on the sky"),
        ({"refxcol": 1}, "go together"),
        ({"rfluxunits": "counts", "rmaxflux": 3}, "limited by magnitude"),
        ({"minobj": 1}, "minobj must be from 2"),
        ({"wcsname": "é"}, "ASCII"),
        ({"outshifts": "a/b.txt"}, "without folder"),
        ({"imagefindcfg": 3}, "path of a .cfg file"),
    ],
)
def test_what_is_refused(values, words):
    with pytest.raises(ParameterError, match=words):
        load(**values)


def test_cfg_files_are_read(tmp_path):
    path, finding = tmp_path / "tweakreg.cfg", tmp_path / "finding.cfg"
    finding.write_text("_task_name_ = imagefindpars\nthreshold = 25.0\nconv_width = 2.0\n")
    path.write_text(
        "_task_name_ = tweakreg\ninteractive = no\n[UPDATE HEADER]\nwcsname = 'GAIA'\n"
        f"[OBJECT MATCHING PARAMETERS]\nsearchrad = 2.0 # radius\nimagefindcfg = {finding}\n"
    )
    found = load_align("WFC3", "UVIS", pixel_scale=0.04, preset="tweakreg", file=path)
    assert found.options.header.wcsname == "GAIA"
    assert found.tweakreg.searchrad == 2.0
    assert found.detection.threshold == 25.0
    assert found.origin["searchrad"] == str(path)
    assert found.origin["conv_width"] == str(finding)
    assert "interactive" in found.ignored
    wrong = tmp_path / "astrodrizzle.cfg"
    wrong.write_text("_task_name_ = astrodrizzle\n")
    with pytest.raises(ParameterError, match="not for TweakReg"):
        load_align("WFC3", "UVIS", pixel_scale=0.04, file=wrong)
    toml = tmp_path / "mine.toml"
    toml.write_text("snr = 12\n[WFC3.UVIS]\nminobj = 9\n")
    mine = load_align("WFC3", "UVIS", pixel_scale=0.04, file=toml)
    assert (mine.detection.snr, mine.matching.min_shift) == (12.0, 9)
    assert mine.origin["minobj"] == "mine.toml [WFC3.UVIS]" or "UVIS" in mine.origin["minobj"]


def test_settings_of_a_command_line():
    assert parse_align_setting("minobj = 8") == ("minobj", "8")
    assert parse_align_setting("runfile=a.log") == ("runfile", "a.log")
    with pytest.raises(ParameterError, match="did you mean"):
        parse_align_setting("minob=8")
    assert load(minobj="8").matching.min_shift == 8
