"""The package as such: what importing it does, its public names, its doctests, its size."""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import hapdask

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    m.name for m in pkgutil.walk_packages(hapdask.__path__, "hapdask.") if "__main__" not in m.name
)
SOURCES = sorted(p for top in ("hapdask", "kernels", "recipes") for p in (ROOT / top).rglob("*.py"))

COMPILED_NOTHING = """
import gc, importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
dispatcher = sys.modules["numba"].core.registry.CPUDispatcher if "numba" in sys.modules else ()
compiled = [
    f"{o.py_func.__module__}.{o.__name__}"
    for o in gc.get_objects()
    if isinstance(o, dispatcher) and o.py_func.__module__.startswith("hapdask") and o.signatures
]
sys.exit(", ".join(compiled) or 0)
"""


def run_python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def test_import_loads_nothing_heavy():
    code = "import sys, hapdask; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = set(run_python(code).stdout.split())
    assert "hapdask" in loaded
    heavy = {"numpy", "numba", "scipy", "astropy", "dask", "distributed", "xarray", "zarr"}
    assert not loaded & (heavy | {"matplotlib", "PIL", "typer", "rich"})


def test_importing_any_module_compiles_nothing():
    done = run_python(COMPILED_NOTHING, *MODULES)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", hapdask.__all__)
def test_public_names_resolve(name):
    assert getattr(hapdask, name) is not None
    assert name in dir(hapdask)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'mosiac'"):
        hapdask.mosiac  # noqa: B018


def test_type_checkers_see_the_same_names():
    tree = ast.parse((ROOT / "hapdask/__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for statement in block.body:
        for alias in statement.names:
            where = statement.module
            whole = f"{where}.{alias.name}" in MODULES
            seen[alias.name] = f"{where}.{alias.name}" if whole else f"{where}:{alias.name}"
    assert seen == hapdask._PUBLIC


@pytest.mark.parametrize("folder", ["kernels", "recipes"])
def test_top_folders_ship_inside_the_package(folder):
    link = ROOT / "hapdask" / folder
    assert link.is_symlink()
    assert link.resolve() == ROOT / folder
    module = importlib.import_module(f"hapdask.{folder}")
    assert Path(module.__file__).resolve() == ROOT / folder / "__init__.py"


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what lives in it"
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, functions):
            size = node.end_lineno - node.lineno + 1
            assert size <= 70, f"{node.name} has {size} lines"
