"""The program as such: what it costs to start, how it says what is wrong."""

import json
import subprocess
import sys

import pytest

from hapdask import __version__
from hapdask.cli.app import main

COMMANDS = ("demo", "mosaic", "plan", "info", "cells", "export", "report", "cutout", "simulate")


def test_starting_loads_nothing_heavy():
    code = (
        "import sys\nfrom hapdask.cli.app import main\nassert main(['mosaic', '--help']) == 0\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "numba", "scipy", "astropy", "dask", "distributed", "xarray", "zarr"}
    assert "hapdask" in done.stderr.split()
    assert not set(done.stderr.split()) & (heavy | {"matplotlib", "PIL"})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(hapdask, command):
    run = hapdask(command, "--help")
    assert run.code == 0
    assert f"hapdask {command}" in run.out


def test_help_lists_the_commands_and_exit_codes(hapdask):
    run = hapdask("--help")
    assert run.code == 0
    assert all(command in run.out for command in COMMANDS)
    assert "3 made, but some inputs" in " ".join(run.out.split())


@pytest.mark.parametrize("command", ["info", "plan", "cells", "mosaic"])
def test_commands_that_take_files_say_how_they_are_read(hapdask, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    panel = hapdask(command, "--help").out.split("─ Inputs ─")[1].split("╰")[0]
    for option in ("--wcs", "--headerlets", "--reference-files"):
        assert option in panel
    assert ("--mask" in panel) == ("--ivm" in panel) == (command == "mosaic")


def test_version(hapdask):
    assert hapdask("--version").out.split() == ["hapdask", __version__]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "nonsense"),
        (["mosaic", "a_flc.fits"], "--out"),
        (["mosaic", "a_flc.fits", "-o", "x", "--nonsense"], "--nonsense"),
        (["mosaic", "a_flc.fits", "-o", "x", "--center", "10", "20"], "--size"),
        (["mosaic", "a_flc.fits", "-o", "x", "--size", "20"], "--center"),
        (["mosaic", "a_flc.fits", "-o", "x", "--center", "1", "2", "--size", "-3"], "no size"),
        (["mosaic", "a_flc.fits", "-o", "x", "--center", "1", "2", "--size", "9parsec"], "no size"),
        (["mosaic", "a_flc.fits", "-o", "x", "--center", "1", "99", "--size", "9"], "--center"),
        (["mosaic", "a_flc.fits", "-o", "x", "--auto", "--cell", "p1889x07y19"], "choose one"),
        (["mosaic", "a_flc.fits", "-o", "x", "--name", "field"], "--center or --like"),
        (["mosaic", "a_flc.fits", "-o", "x", "--scale", "medium"], "fine or coarse"),
        (["mosaic", "a_flc.fits", "-o", "x", "--tile", "1500"], "chunks"),
        (["mosaic", "a_flc.fits", "-o", "x", "--threads", "0"], "--threads"),
        (["mosaic", "a_flc.fits", "-o", "x", "--set", "pixfrc=0.8"], "did you mean 'pixfrac'"),
        (["mosaic", "a_flc.fits", "-o", "x", "--set", "pixfrac"], "name=value"),
        (["mosaic", "a_flc.fits", "-o", "x", "--set", "pixfrac=1", "--pixfrac", "0.5"], "twice"),
        (["mosaic", "a_flc.fits", "-o", "x", "--cell", "skycell-p9999x01y01"], "9999"),
        (["mosaic", "a_flc.fits", "-o", "x", "--cell", "p1889x99y01"], "99"),
        (["mosaic", "a_flc.fits", "-o", "x", "--cell", "somewhere"], "somewhere"),
        (["cells"], "--at"),
        (["cells", "--at", "10", "95"], "95"),
        (["cutout", "x", "10", "20", "30", "-o", "picture.gif"], ".fits"),
        (["export", "x", "-o", "y", "--format", "gif"], "gif"),
        (["demo", "--size", "huge"], "huge"),
    ],
)
def test_wrong_usage_is_explained(hapdask, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    run = hapdask(*arguments)
    assert run.code == 2
    assert said in run.err
    assert "Traceback" not in run.err
    assert not list(tmp_path.iterdir())


def test_errors_are_one_message(hapdask, tmp_path):
    run = hapdask("mosaic", tmp_path / "none_flc.fits", "-o", tmp_path / "out")
    assert run.code == 1
    assert run.err.splitlines()[-1].startswith("error: ")
    assert "No such file" in run.err
    assert "Traceback" not in run.err


def test_errors_are_json_where_asked(hapdask, tmp_path):
    run = hapdask("mosaic", tmp_path / "none*.fits", "-o", tmp_path / "out", "--json")
    assert run.code == 1
    document = json.loads(run.out)
    assert document["status"] == "error"
    assert document["exit_code"] == 1
    assert "no file matches" in document["error"]


def test_debug_shows_where_an_error_comes_from(hapdask, tmp_path):
    from hapdask.errors import InputError

    with pytest.raises(InputError):
        hapdask("mosaic", tmp_path / "none*.fits", "-o", tmp_path / "out", "--debug")


def test_a_negative_declination_is_no_option(hapdask, tmp_path):
    run = hapdask("cutout", tmp_path, "10.5", "-30.25", "5", "-o", tmp_path / "x.fits")
    assert run.code == 1
    assert "is not the mosaic of one layer" in run.err


def test_the_entry_point_reads_the_processes_arguments(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hapdask", "--version"])
    assert main() == 0
    assert __version__ in capsys.readouterr().out
