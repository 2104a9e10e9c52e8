"""How kernels are compiled: their bits must not depend on what Numba had in its cache."""

import importlib
import pkgutil
import subprocess
import sys

import pytest
from numba.core.dispatcher import Dispatcher

import hapdask.kernels

MODULES = [module.name for module in pkgutil.iter_modules(hapdask.kernels.__path__)]


def called_by(dispatcher):
    """Compiled functions that a compiled function names."""
    names = dispatcher.py_func.__code__.co_names
    found = (dispatcher.py_func.__globals__.get(name) for name in names)
    return [function for function in found if isinstance(function, Dispatcher)]


@pytest.mark.parametrize("module", MODULES)
def test_kernels_call_nothing_that_is_not_inlined(module):
    """Else its last bits depend on whether the other was compiled in this process."""
    for function in vars(importlib.import_module(f"hapdask.kernels.{module}")).values():
        if isinstance(function, Dispatcher):
            for other in called_by(function):
                inlined = other.targetoptions.get("forceinline", False)
                assert inlined, (function.__name__, other.__name__)


LOADS = """
import sys
import numpy as np
from hapdask.kernels.blocks import chip_reach
from hapdask.kernels.chains import make_chain
chain = make_chain(np.eye(3), (0.0, 0.0), np.zeros((1, 1)), np.zeros((1, 1)), (None,) * 4)
print(chip_reach(chain, (70, 40), 1.0).bounds.tolist())
print("scipy.linalg" in sys.modules)
from numba import njit
print(njit(lambda a: a.sum() + np.linalg.det(a))(np.eye(2)))
"""


def test_compiled_kernels_are_loaded_without_a_compiler():
    """And one that is needed afterwards knows all that it must."""
    runs = [
        subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, check=True)
        for _ in range(2)  # the first one may compile
    ]
    first, second = (run.stdout.splitlines() for run in runs)
    assert second == [first[0], "False", "3.0"]


CALLS = """
import numpy as np
from numba import njit
from hapdask.kernels import jit
from outer import add
print(add(1.0))
"""
OUTER = """
from hapdask.kernels.jit import kernel
from inner import one

@kernel
def add(x):
    return x + one()
"""
INNER = """
from hapdask.kernels.jit import inline

@inline
def one():
    return {}
"""


def test_a_change_in_any_source_compiles_anew(tmp_path):
    """Numba alone looks at the file of the kernel, not at those of what it inlines."""
    change = "jit._SOURCES = open('inner.py').read()"
    program = CALLS.replace("from outer", change + "\nfrom outer")
    (tmp_path / "outer.py").write_text(OUTER)
    (tmp_path / "main.py").write_text(program)
    for value in ("1.0", "2.0"):
        (tmp_path / "inner.py").write_text(INNER.format(value))
        run = [sys.executable, "-B", "main.py"]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert float(done.stdout) == 1.0 + float(value)
