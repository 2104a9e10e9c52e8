"""Files of parameters as TEAL writes them are read, and broken ones refused with their line."""

import pytest

from hapdask.config.astrodrizzle_presets import load_astrodrizzle
from hapdask.config.cfg_file import read_cfg
from hapdask.errors import ParameterError

TEXT = """\
_task_name_ = astrodrizzle# TEAL puts comments like this
input = "*flt.fits"# Input files
! a note
@list.txt
output = ""# Rootname
runfile = 'run.log'
num_cores = None# Max CPU cores
build = no
resetbits = 4096

[STEP 2: SKY SUBTRACTION]
skymethod = match# Sky computation method
skylower = INDEF  # none
sky_bits = 16,64

[ STEP 3a: CUSTOM WCS FOR SEPARATE OUTPUTS ]
driz_sep_refimage = "a b#1.fits[SCI,1]"  # quotes keep a hash
driz_sep_scale =

[STEP 4: CREATE MEDIAN IMAGE]
combine_nsigma = 4 3
[STEP 6: REMOVE COSMIC RAYS WITH DERIV, DRIZ_CR]
driz_cr_snr = "5.0 4.0"
#mode,s,h,"al",,,
[_RULES_]
_rule1_ = ""
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="a.cfg"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_names_and_texts(write):
    assert read_cfg(write(TEXT)) == {
        "input": "*flt.fits",
        "output": None,
        "runfile": "run.log",
        "num_cores": None,
        "build": "no",
        "resetbits": "4096",
        "skymethod": "match",
        "skylower": None,
        "sky_bits": "16,64",
        "driz_sep_refimage": "a b#1.fits[SCI,1]",
        "driz_sep_scale": None,
        "combine_nsigma": "4 3",
        "driz_cr_snr": "5.0 4.0",
    }


def test_texts_become_values(write):
    found = load_astrodrizzle("WFC3", "UVIS", 4, preset="compat", file=write(TEXT))
    values = found.parameters.values()
    assert values["build"] is False
    assert values["sky_bits"] == 80
    assert values["driz_cr_snr"] == (5.0, 4.0)
    assert values["skylower"] is None
    assert set(found.ignored) == {"input", "output", "runfile", "num_cores"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("build = yes\nnonsense\n", "line 2: 'nonsense'"),
        ("build = 'yes\n", "line 1"),
        ("build = yes\n[A]\nbuild = no\n", "line 3: build is given again"),
        ("_task_name_ = tweakreg\n", "'tweakreg'"),
        ("a = 1\n" * 300_000, "too long"),
    ],
)
def test_broken_files_are_refused(write, text, problem):
    with pytest.raises(ParameterError, match=problem):
        read_cfg(write(text))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ParameterError, match="cannot read"):
        read_cfg(tmp_path / "none.cfg")
    (tmp_path / "bin.cfg").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ParameterError, match="cannot read"):
        read_cfg(tmp_path / "bin.cfg")
