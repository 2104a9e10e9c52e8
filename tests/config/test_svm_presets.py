"""The presets of visits against the whole table of HAP's own parameter files, cell by cell."""

import csv
from pathlib import Path

import pytest

from hapdask.config.astrodrizzle import NAMES
from hapdask.config.astrodrizzle_presets import load_astrodrizzle
from hapdask.errors import ParameterError

TABLE = Path(__file__).parents[1] / "data" / "config" / "svm_astrodrizzle.csv"
#: Parameters that mean nothing here: how arrays are held, what becomes of copies of the inputs.
MEANINGLESS = {"file", "in_memory", "preserve"}
#: Files that no product takes: every detector has its own.  Grisms are not drizzled.
NOT_TAKEN = {"any_filter_hap_basic", "any_total_hap_basic", "wfc3_ir_grism_n2", "wfc3_ir_grism_n4"}
NEW, OLD = 56239.13, 56239.12
FILTER, TOTAL, EXPOSURE = "compat-svm", "compat-svm-total", "compat-svm-exposure"

#: File, and every product that takes it: preset, detector, numbers of exposures, filter, time.
TAKEN = [
    ("acs_hrc_any_n1", FILTER, "ACS.HRC", (1,), "f606w", NEW),
    ("acs_hrc_any_n1", EXPOSURE, "ACS.HRC", (1,), "f606w", NEW),
    ("acs_hrc_any_n1", TOTAL, "ACS.HRC", (1,), "f606w", NEW),
    ("acs_hrc_any_n2", FILTER, "ACS.HRC", (2, 5), "f606w", NEW),
    ("acs_hrc_any_n6", FILTER, "ACS.HRC", (6, 9), "f606w", NEW),
    ("acs_hrc_any_total", TOTAL, "ACS.HRC", (2, 9), "", NEW),
    ("acs_sbc_any_any", FILTER, "ACS.SBC", (2, 6, 9), "f150lp", NEW),
    ("acs_sbc_any_total", TOTAL, "ACS.SBC", (2, 9), "", NEW),
    ("acs_sbc_blue_n2", FILTER, "ACS.SBC", (2, 5), "f122m", NEW),
    ("acs_sbc_blue_n6", FILTER, "ACS.SBC", (6, 7), "F115LP", NEW),
    ("any_n1", FILTER, "ACS.SBC", (1,), "f150lp", NEW),
    ("any_n1", FILTER, "ACS.SBC", (1,), "f122m", NEW),
    ("any_n1", EXPOSURE, "ACS.SBC", (1,), "f122m", NEW),
    ("any_n1", TOTAL, "ACS.SBC", (1,), "", NEW),
    ("acs_wfc_any_n1", FILTER, "ACS.WFC", (1,), "f606w", NEW),
    ("acs_wfc_any_n1", EXPOSURE, "ACS.WFC", (1,), "f606w", NEW),
    ("acs_wfc_any_n1", TOTAL, "ACS.WFC", (1,), "", NEW),
    ("acs_wfc_any_n2", FILTER, "ACS.WFC", (2, 5), "f606w", NEW),
    ("acs_wfc_any_n6", FILTER, "ACS.WFC", (6, 20), "f606w", NEW),
    ("acs_wfc_any_total", TOTAL, "ACS.WFC", (2, 20), "", NEW),
    *(
        ("any_single_hap_basic", EXPOSURE, place, (2, 9), "f606w", NEW)
        for place in ("ACS.HRC", "ACS.SBC", "ACS.WFC", "WFC3.IR", "WFC3.UVIS")
    ),
    ("wfc3_ir_any_n1", FILTER, "WFC3.IR", (1,), "f160w", NEW),
    ("wfc3_ir_any_n1", EXPOSURE, "WFC3.IR", (1,), "f160w", NEW),
    ("wfc3_ir_any_n1", TOTAL, "WFC3.IR", (1,), "", NEW),
    ("wfc3_ir_any_n2", FILTER, "WFC3.IR", (2, 3), "f160w", NEW),
    ("wfc3_ir_any_n4", FILTER, "WFC3.IR", (4, 9), "f160w", NEW),
    ("wfc3_ir_any_total", TOTAL, "WFC3.IR", (2, 9), "", NEW),
    ("wfc3_uvis_any_n1", FILTER, "WFC3.UVIS", (1,), "f606w", NEW),
    ("wfc3_uvis_any_n1", FILTER, "WFC3.UVIS", (1,), "f606w", OLD),
    ("wfc3_uvis_any_n1", EXPOSURE, "WFC3.UVIS", (1,), "f606w", OLD),
    ("wfc3_uvis_any_n1", TOTAL, "WFC3.UVIS", (1,), "", OLD),
    ("wfc3_uvis_any_n2", FILTER, "WFC3.UVIS", (2, 5), "f606w", NEW),
    ("wfc3_uvis_any_n2", FILTER, "WFC3.UVIS", (2, 5), "f606w", None),
    ("wfc3_uvis_any_n6", FILTER, "WFC3.UVIS", (6, 12), "f606w", NEW),
    ("wfc3_uvis_any_pre2012_n2", FILTER, "WFC3.UVIS", (2, 5), "f606w", OLD),
    ("wfc3_uvis_any_pre2012_n6", FILTER, "WFC3.UVIS", (6, 12), "f606w", OLD),
    ("wfc3_uvis_any_total", TOTAL, "WFC3.UVIS", (2, 9), "", NEW),
    ("wfc3_uvis_any_total_pre2012", TOTAL, "WFC3.UVIS", (2, 9), "", OLD),
    ("wfpc2_pc_any_n1", FILTER, "WFPC2.PC", (1,), "f555w", OLD),
    ("wfpc2_pc_any_n1", EXPOSURE, "WFPC2.PC", (1, 4), "f555w", OLD),
    ("wfpc2_pc_any_n1", TOTAL, "WFPC2.PC", (1,), "", OLD),
    ("wfpc2_pc_any_n2", FILTER, "WFPC2.PC", (2,), "f555w", OLD),
    ("wfpc2_pc_any_n3", FILTER, "WFPC2.PC", (3,), "f555w", OLD),
    ("wfpc2_pc_any_n4", FILTER, "WFPC2.PC", (4, 8), "f555w", OLD),
    ("wfpc2_pc_any_total", TOTAL, "WFPC2.PC", (2, 8), "", OLD),
]
#: What is the same in all files, of what means something here.
CONSTANT = {
    "wcskey": "", "proc_unit": "native", "coeffs": True, "context": True, "group": "",
    "build": True, "crbit": 4096, "stepsize": 10, "static_sig": 4.0, "skywidth": 0.1,
    "skylower": -100.0, "skyupper": None, "skyclip": 5, "skylsigma": 4.0, "skyusigma": 4.0,
    "skymask_cat": "", "skyfile": "", "skyuser": "", "driz_sep_wt_scl": "exptime",
    "driz_sep_pixfrac": 1.0, "driz_sep_fillval": None, "combine_nlow": 0, "combine_nhigh": 1,
    "combine_maskpt": 0.3, "combine_nsigma": (4.0, 3.0), "combine_lthresh": None,
    "combine_hthresh": None, "combine_grow": 1, "blot_interp": "poly5", "blot_sinscl": 1.0,
    "blot_addsky": True, "blot_skyval": 0.0, "driz_cr_grow": 1, "driz_cr_ctegrow": 0,
    "driz_cr_corr": False, "driz_combine": True, "final_maskval": None, "final_wht_type": "EXP",
    "final_kernel": "square", "final_wt_scl": "exptime", "final_units": "cps", "final_wcs": True,
    "final_rot": 0.0, "final_refimage": "", "final_outnx": None, "final_outny": None,
    "final_ra": None, "final_dec": None, "final_crpix1": None, "final_crpix2": None,
    "driz_sep_refimage": "", "driz_sep_outnx": None, "driz_sep_outny": None, "driz_sep_ra": None,
    "driz_sep_dec": None, "driz_sep_crpix1": None, "driz_sep_crpix2": None, "gain": (),
    "rdnoise": (), "exptime": (),
}  # fmt: skip


def rows():
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    return {row["file"]: row for row in csv.DictReader(lines)}


def read(text):
    words = {"T": True, "F": False, "-": None}
    if text in words:
        return words[text]
    parts = text.split()
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        return text
    return numbers if len(numbers) > 1 else numbers[0]


@pytest.mark.parametrize(
    ("file", "preset", "place", "n", "filter_name", "time"),
    [(f, p, place, n, name, t) for f, p, place, ns, name, t in TAKEN for n in ns],
)
def test_every_cell_of_the_table(file, preset, place, n, filter_name, time):
    found = load_astrodrizzle(
        *place.split("."), n, preset=preset, filter_name=filter_name, expstart=time
    ).parameters.values()
    expected = {k: read(v) for k, v in rows()[file].items() if k not in MEANINGLESS}
    assert {k: found[k] for k in expected} == expected


@pytest.mark.parametrize("preset", [FILTER, TOTAL, EXPOSURE])
@pytest.mark.parametrize("place", sorted({row[2] for row in TAKEN}))
@pytest.mark.parametrize("n", [1, 2, 6])
def test_what_all_files_have_in_common(preset, place, n):
    found = load_astrodrizzle(*place.split("."), n, preset=preset).parameters.values()
    assert {k: found[k] for k in CONSTANT} == CONSTANT


def test_the_table_is_whole():
    assert set(rows()) - NOT_TAKEN == {row[0] for row in TAKEN}
    columns = set(next(iter(rows().values()))) - MEANINGLESS
    keywords = {"gnkeyword", "rnkeyword", "expkeyword"}  # said by the instrument's table
    ours = {"flux_scaling", "sky_convention", "driz_cr_test", "driz_cr_single"}
    ours |= {"final_doubtful_bits"}
    assert set(NAMES) - columns - set(CONSTANT) - keywords == ours


def test_a_users_file_may_have_the_same_tables(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[WFC3.UVIS.early.n2]\nfinal_pixfrac = 0.7\n[ACS.SBC.blue]\nskysub = true\n")

    def load(place, n, **circumstances):
        return load_astrodrizzle(*place.split("."), n, file=path, **circumstances)

    old = load("WFC3.UVIS", 3, expstart=OLD)
    assert old.parameters.final.final_pixfrac == 0.7
    assert old.origin["final_pixfrac"] == f"{path} [WFC3.UVIS.early.n2]"
    assert load("WFC3.UVIS", 3, expstart=NEW).parameters.final.final_pixfrac == 1.0
    assert load("WFC3.UVIS", 1, expstart=OLD).parameters.final.final_pixfrac == 1.0
    assert load("ACS.SBC", 3, filter_name="f122m").origin["skysub"] == f"{path} [ACS.SBC.blue]"
    assert load("ACS.SBC", 3, filter_name="f150lp").origin["skysub"] == "built in"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[WFC3.UVIS.erly]\nskysub = true\n", "erly"),
        ("[WFC3.UVIS.n2.early]\nskysub = true\n", "n2"),
        ("[WFC3.UVIS.early.late]\nskysub = true\n", "expected n1"),
    ],
)
def test_a_misspelt_table_is_refused(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=words):
        load_astrodrizzle("WFC3", "UVIS", 2, file=path)
