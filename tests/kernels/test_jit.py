"""How kernels are compiled: their bits must not depend on what Numba had in its cache."""

import importlib
import pkgutil

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
