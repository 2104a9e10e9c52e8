"""How every kernel is compiled: one place for Numba's options.

``fastmath`` without ``nnan`` and ``ninf`` lets LLVM fuse and reorder arithmetic but keeps
NaN and infinity honest.  ``nogil`` lets threads run kernels side by side; ``cache`` shares the
compiled code between processes.  Neither ``parallel=True`` nor guvectorize: a tile is the unit of
parallel work, and a kernel's result must not depend on the number of threads.
"""

from __future__ import annotations

from numba import njit

_FAST = {"nsz", "arcp", "contract", "afn", "reassoc"}

#: A function called from Python; no other kernel may call it.
kernel = njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)

#: A function that only kernels call, inlined by LLVM: not for speed alone.  LLVM rounds a function
#: that stands alone otherwise than the copy that it makes in a caller's module, and which of them a
#: call reached would depend on what this process compiled and what came from Numba's cache.
#: In a loop over pixels it must not take arrays, nor may the loop slice any: Numba counts a
#: reference each time, ten times the work.
inline = njit(nogil=True, error_model="numpy", fastmath=_FAST, forceinline=True)
