"""Numerical kernels: NumPy and Numba only.

Nothing here knows of files, headers, Dask or xarray.  Positions are 0-based with
integer values at pixel centres, geometry and sums are float64.  Importing a module
compiles nothing; the first call does, once per machine, into Numba's cache.
"""
