"""The documentation: its links lead somewhere, its tables and commands are those of the code."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

import hapdask
from hapdask.cli.astrodrizzle.reading import KINDS
from hapdask.config import ASTRODRIZZLE_PRESETS, PRESETS
from hapdask.config.astrodrizzle import NAMES
from hapdask.config.parameters import DrizzleParameters
from hapdask.config.tweakreg_presets import ALIGN_NAMES, ALIGN_PRESETS
from hapdask.config.upstream_names import TWEAKREG_WITHOUT_MEANING, WITHOUT_MEANING
from hapdask.observe import selection
from hapdask.observe.instruments import INSTRUMENTS
from hapdask.schema import VARIABLES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
COMMAND = re.compile(r"(?:^|`)hapdask ([a-z]+)([^`\n]*)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_python_examples_use_public_names(page):
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "hd":
                assert node.attr in hapdask.__all__


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_have_these_options(hapdask, page, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for command, rest in COMMAND.findall(page.read_text()):
        run = hapdask(command, "--help")
        assert run.code == 0, f"{page.name}: hapdask {command}"
        for option in re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", rest.partition("#")[0]):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", run.out), f"{command} {option}"


def test_tables_are_those_of_the_code():
    python = (ROOT / "docs/api/python.md").read_text()
    for variable in VARIABLES.values():
        units = variable.units.format(flux="electron / s")
        cells = (f"`{variable.name}`", str(variable.dtype), units, variable.meaning)
        assert "| " + " | ".join(cells).replace("|  |", "| |") + " |" in python
    for name in hapdask.__all__:
        assert name == "__version__" or f"hd.{name}" in python
    parameters = (ROOT / "docs/how-to/parameters.md").read_text()
    for field in fields(DrizzleParameters):
        assert f"| `{field.name}` |" in parameters
    assert all(f"`{preset}`" in parameters for preset in PRESETS)
    steps = (ROOT / "docs/how-to/astrodrizzle.md").read_text()
    assert all(f"{preset}`" in steps for preset in ASTRODRIZZLE_PRESETS)
    assert f"`--keep {','.join(KINDS)}`" in steps


def test_what_is_passed_over_is_told():
    page = (ROOT / "docs/explanation/astrodrizzle.md").read_text()
    calls = {"input", "output", "wcsmap", "editpars", "configobj", "updatewcs"}
    assert all(f"`{name}`" in page for name in set(WITHOUT_MEANING) - calls)
    own = (
        "flux_scaling",
        "sky_convention",
        "final_doubtful_bits",
        "driz_cr_test",
        "driz_cr_single",
    )
    assert all(f"`{name}`" in page for name in own)


def test_what_is_passed_over_of_tweakreg_is_told():
    page = (ROOT / "docs/explanation/alignment.md").read_text()
    assert all(f"`{name}`" in page for name in TWEAKREG_WITHOUT_MEANING)
    how = (ROOT / "docs/how-to/align.md").read_text()
    assert all(f"{preset}`" in how for preset in ALIGN_PRESETS)


def test_the_page_of_instruments_is_that_of_the_table():
    page = (ROOT / "docs/explanation/instruments.md").read_text()
    rows = [line for line in page.splitlines() if re.match(r"\| [A-Z0-9]+/", line)]
    assert len(rows) == len(INSTRUMENTS)
    for row, line in zip(INSTRUMENTS.values(), rows, strict=True):
        sizes = ", ".join(f'{scale:.3g}"' for scale in dict.fromkeys(c.scale for c in row.chips))
        cells = (
            row.label,
            f"`{row.hap_instrument}_{row.hap_detector}_*`",
            f"{len(row.chips)} ({row.shape[1]} x {row.shape[0]})",
            sizes,
            row.unit,
            ", ".join(row.scales),
        )
        assert line.startswith("| " + " | ".join(cells) + " | ")


def test_the_page_of_instruments_names_every_reason():
    page = " ".join((ROOT / "docs/explanation/instruments.md").read_text().split())
    for card in selection._CARDS:
        assert card.keyword in page
        assert card.reason in page
    for element in selection._ELEMENTS:
        assert element.start in page
        assert element.status == "warning" or element.reason in page


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_pages_are_reached_from_the_index(page):
    index = (ROOT / "docs/README.md").read_text()
    if page.parent.parent == ROOT / "docs":
        assert f"]({page.relative_to(ROOT / 'docs')})" in index


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_keywords_of_calls_are_those_of_the_code(page):
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for node in ast.walk(ast.parse(code)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if ast.unparse(node.func.value) == "hd":
                known = inspect.signature(getattr(hapdask, node.func.attr)).parameters
                any_name = any(p.kind is p.VAR_KEYWORD for p in known.values())
                names = {*known, *((*NAMES, *ALIGN_NAMES) if any_name else ())}
                assert {word.arg for word in node.keywords} <= names


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_settings_are_of_parameters(page):
    known = {*NAMES, *ALIGN_NAMES, *(field.name for field in fields(DrizzleParameters))}
    assert set(re.findall(r"--set ([a-z]\w*)=", page.read_text())) <= known


def test_readme_names_the_two_commands():
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target} " in readme
        assert f"\n{target}:" in makefile
