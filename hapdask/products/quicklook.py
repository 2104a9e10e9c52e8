"""A quick look at one variable with matplotlib: asinh stretch, sky-aware labels.

Not here: pictures as products (PNG), which need no matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hapdask.errors import ParameterError
from hapdask.products.index import frame_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAXIMUM_SIDE = 4096


def draw(
    ds: xr.Dataset,
    variable: str = "sci",
    *,
    ax: Axes | None = None,
    softening: float | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str = "gray",
) -> Axes:
    """Draw a variable of a mosaic; computes it.

    Parameters
    ----------
    ds : Dataset
        A mosaic with a frame. Of more than 4096 pixels on a side every n-th is drawn.
    variable : str, default "sci"
        Which one.
    ax : matplotlib Axes, optional
        Where; a new figure where not given.
    softening : float, optional
        Value at which the stretch turns from linear to logarithmic; three times the scatter
        (from the median absolute deviation) where not given.
    vmin, vmax : float, optional
        Limits; the median less the softening, and the 99.9 % quantile.
    cmap : str, default "gray"
        Colour map of matplotlib.

    Raises
    ------
    ParameterError
        No such variable.
    """
    if variable not in ds.data_vars:
        names = ", ".join(map(str, ds.data_vars))
        raise ParameterError(f"the mosaic has no variable {variable!r} (it has {names})")
    import matplotlib.pyplot as plt
    from matplotlib.colors import AsinhNorm

    frame = frame_of(ds)
    step = -(-max(frame.shape) // _MAXIMUM_SIDE)
    array = ds[variable].isel(y=slice(None, None, step), x=slice(None, None, step))
    values: np.ndarray[Any, Any] = np.asarray(array.data, dtype=np.float64)
    median, scatter, top = _limits(values)
    soft = 3.0 * scatter if softening is None else softening
    low = median - soft if vmin is None else vmin
    high = max(top, low + soft) if vmax is None else vmax
    if ax is None:
        _, ax = plt.subplots(layout="constrained")  # else the colour bar's label is cut off
    ny, nx = frame.shape
    image = ax.imshow(
        values,
        origin="lower",
        cmap=cmap,
        interpolation="nearest",
        norm=AsinhNorm(soft, low, high),
        extent=(-0.5, nx - 0.5, -0.5, ny - 0.5),
    )
    unit = ds[variable].attrs.get("units")
    ax.figure.colorbar(image, ax=ax, label=f"{variable} ({unit})" if unit else variable)
    ra, dec = frame.center
    ax.set(xlabel="x (pixel)", ylabel="y (pixel)", title=f"RA {ra:.5f}, Dec {dec:.5f}")
    return ax


def _limits(values: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    """Median, scatter and 99.9 % quantile of the finite values; 0, 1, 1 where there are none."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0, 1.0
    median = float(np.median(finite))
    scatter = 1.4826 * float(np.median(np.abs(finite - median)))
    return median, scatter if scatter > 0.0 else 1.0, float(np.quantile(finite, 0.999))
