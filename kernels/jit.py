"""How every kernel is compiled: one place for Numba's options.

``fastmath`` without ``nnan`` and ``ninf`` lets LLVM fuse and reorder arithmetic but keeps
NaN and infinity honest.  ``nogil`` lets threads run kernels side by side; ``cache`` shares the
compiled code between processes.  Neither ``parallel=True`` nor guvectorize: a tile is the unit of
parallel work, and a kernel's result must not depend on the number of threads.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.runtime.nrt import rtsys

_FAST = {"nsz", "arcp", "contract", "afn", "reassoc"}
_FILES = sorted(Path(__file__).parent.glob("*.py"))
_SOURCES = sha256(b"".join(path.read_bytes() for path in _FILES)).hexdigest()


class _KernelCache(FunctionCache):
    """Compiled kernels on disk, loaded without what only a compiler needs.

    Numba learns how to compile everything that it knows, SciPy's linear algebra included, before it
    looks whether there is anything to compile: a quarter of a second at the start of every program.
    Compiled code needs its runtime alone; a compiler that is called later learns the rest itself.

    Numba compiles anew when the kernel's own file has changed, and here also when one has that it
    inlines: what is on disk is of these sources, all of them.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._cache_file._source_stamp = _SOURCES

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load the code compiled for a signature; None where there is none."""
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]


def kernel(function: Any) -> Any:
    """Compile a function called from Python; no other kernel may call it."""
    compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)(function)
    # Not where compilation is disabled, nor where a Numba to come has another cache.
    if isinstance(compiled, Dispatcher) and hasattr(FunctionCache, "_load_overload"):
        compiled._cache = _KernelCache(function)  # type: ignore[attr-defined]
    return compiled


#: A function that only kernels call, inlined by LLVM: not for speed alone.  LLVM rounds a function
#: that stands alone otherwise than the copy that it makes in a caller's module, and which of them a
#: call reached would depend on what this process compiled and what came from Numba's cache.
#: In a loop over pixels it must not take arrays, nor may the loop slice any: Numba counts a
#: reference each time, ten times the work.
inline = njit(nogil=True, error_model="numpy", fastmath=_FAST, forceinline=True)
