"""Pictures of an alignment: residual vectors, residuals and their histograms, the 2-D histogram.

Drawn with matplotlib's objects alone: no state of pyplot, no display.  Not here: the figures that
are drawn, and which exposures get pictures.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.tweaked import OffsetHistogram
from hapdask.products.names import inside
from hapdask.products.objects import storage_errors
from hapdask.products.side_file import appearing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_DPI = 110
_DOTS, _LINES, _PEAK = "#1f5f99", "#c0392b", "#e67e22"
#: The longest arrow is this part of the picture's width.
_ARROW = 0.08
#: Pixels around the offset that a histogram shows at least.
_AROUND = 15


@dataclass(frozen=True, eq=False)
class ResidualPoints:
    """Residuals of one exposure.

    Attributes
    ----------
    title : str
    xy : ndarray of float64, shape (n, 2), pixels
        Places on the reference grid, 0-based.
    residuals : ndarray of float64, shape (n, 2), mas
        Along x and y of the grid, fitted less reference.
    used : ndarray of bool, shape (n,)
        False where a fit left them out.
    """

    title: str
    xy: Floats
    residuals: Floats
    used: NDArray[np.bool_]


def draw_vectors(points: ResidualPoints, *, labelsize: int = 8) -> Figure:
    """Draw residuals as arrows where they are, on axes of equal scale."""
    figure = _figure(6.4, 6.0)
    axes = figure.add_subplot()
    axes.set_aspect("equal")
    lengths = np.hypot(*points.residuals.T)
    typical = _round_up(float(np.median(lengths[points.used])) if points.used.any() else 1.0)
    extent = float(np.ptp(points.xy, axis=0).max()) if len(points.xy) > 1 else 1.0
    per_mas = _ARROW * max(extent, 1.0) / max(typical, 1e-9)
    for which, colour in ((points.used, _DOTS), (~points.used, "#999999")):
        x, y = points.xy[which].T
        dx, dy = points.residuals[which].T
        arrows = axes.quiver(
            x, y, dx * per_mas, dy * per_mas, color=colour, angles="xy", scale_units="xy",
            scale=1.0, width=0.003,
        )  # fmt: skip
        if which is points.used:
            axes.quiverkey(
                arrows, 0.86, 1.03, typical * per_mas, f"{typical:g} mas", labelpos="E",
                fontproperties={"size": labelsize + 1},
            )  # fmt: skip
    reach = 0.06 * extent + 1.0
    axes.set_xlim(points.xy[:, 0].min() - reach, points.xy[:, 0].max() + reach)
    axes.set_ylim(points.xy[:, 1].min() - reach, points.xy[:, 1].max() + reach)
    axes.set_title(points.title, fontsize=labelsize + 2, loc="left", pad=14)
    _label(axes, "x of the reference grid (pixels)", "y (pixels)", labelsize)
    return figure


def draw_residuals(
    points: ResidualPoints,
    *,
    bins: int = 30,
    ylimit: float | None = None,
    labelsize: int = 8,
) -> Figure:
    """Draw residuals along each axis against each axis, and their histograms.

    Parameters
    ----------
    points : ResidualPoints
    bins : int
        Of the histograms.
    ylimit : float, mas, optional
        Of the axes of residuals; what is needed if absent.
    labelsize : int
    """
    figure = _figure(9.6, 5.6)
    grid = figure.add_gridspec(2, 3, width_ratios=(1, 1, 0.8))
    used, left = points.used, ~points.used
    shown = points.residuals[used] if used.any() else points.residuals
    limit = ylimit or 1.15 * max(float(np.abs(shown).max(initial=0.0)), 0.1)
    for row, axis in enumerate("xy"):
        values = points.residuals[:, row]
        for column, along in enumerate("xy"):
            axes = figure.add_subplot(grid[row, column])
            axes.axhline(0.0, color="black", lw=0.6)
            axes.plot(points.xy[left, column], values[left], ".", ms=3, color="#bbbbbb")
            axes.plot(points.xy[used, column], values[used], ".", ms=4, color=_DOTS)
            axes.set_ylim(-limit, limit)
            _label(axes, f"{along} (pixels)", f"d{axis} (mas)", labelsize)
        _draw_histogram(
            figure.add_subplot(grid[row, 2]), values[used], limit, bins, axis, labelsize
        )
    figure.suptitle(points.title, fontsize=labelsize + 2, x=0.01, ha="left")
    return figure


def _draw_histogram(
    axes: Axes, values: Floats, limit: float, bins: int, axis: str, labelsize: int
) -> None:
    """Draw a histogram beside the normal distribution of the same mean and scatter."""
    axes.hist(values, bins=bins, range=(-limit, limit), color=_DOTS, alpha=0.7)
    mean, rms = (float(values.mean()), float(values.std())) if len(values) else (0.0, 0.0)
    if rms > 0:
        x = np.linspace(-limit, limit, 200)
        height = len(values) * 2.0 * limit / bins / (rms * math.sqrt(2.0 * math.pi))
        axes.plot(x, height * np.exp(-0.5 * ((x - mean) / rms) ** 2), color=_LINES, lw=1.0)
    axes.set_title(f"d{axis}: mean {mean:.2f}, rms {rms:.2f} mas", fontsize=labelsize)
    _label(axes, f"d{axis} (mas)", "matches", labelsize)


def draw_offsets(
    histogram: OffsetHistogram, title: str, scale: float, *, labelsize: int = 8
) -> Figure:
    """Draw the votes of all pairs for the offset, in bins of one pixel.

    Parameters
    ----------
    histogram : OffsetHistogram
    title : str
    scale : float, arcsec
        Of a pixel.
    labelsize : int
    """
    figure = _figure(6.0, 5.4)
    axes = figure.add_subplot()
    r = histogram.counts.shape[0] // 2
    x, y = histogram.peak
    near = min(r, 2 * max(abs(x), abs(y)) + _AROUND)
    image = axes.imshow(
        np.sqrt(histogram.counts), origin="lower", cmap="Blues", interpolation="nearest",
        extent=(-r - 0.5, r + 0.5, -r - 0.5, r + 0.5),
    )  # fmt: skip
    axes.set_xlim(-near - 0.5, near + 0.5)
    axes.set_ylim(-near - 0.5, near + 0.5)
    axes.plot([x], [y], "o", ms=16, mfc="none", mec=_PEAK, mew=1.6)
    told = "" if math.isnan(histogram.significance) else f", {histogram.significance:.1f} sigma"
    axes.annotate(
        f"({x}, {y}) pixels, {int(histogram.counts.max())} pairs{told}", (x, y),
        xytext=(0.02, 0.97), textcoords="axes fraction", fontsize=labelsize + 1, va="top",
        color=_LINES,
    )  # fmt: skip
    bar = figure.colorbar(image, ax=axes, shrink=0.9, pad=0.03)
    bar.ax.tick_params(labelsize=labelsize)
    bar.set_label("root of the number of pairs", fontsize=labelsize + 1)
    axes.set_title(title, fontsize=labelsize + 2, loc="left")
    _label(axes, f'dx, source less reference (pixels of {scale:.4g}")', "dy (pixels)", labelsize)
    return figure


def write_picture(folder: str | Path, name: str, figure: Figure, *, overwrite: bool) -> Path:
    """Write a figure as PNG, the same bytes for the same figure.

    Raises
    ------
    StoreError
        If it is there already and may not be replaced, or the disk fails.
    """
    path = inside(folder, name)
    buffer = io.BytesIO()
    told: Mapping[str, Any] = {"Software": None}  # the version would change the bytes
    figure.savefig(buffer, format="png", dpi=_DPI, metadata=dict(told))
    with appearing(path, overwrite=overwrite) as out, storage_errors(str(path)):
        out.write(buffer.getvalue())
    return path


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    # fixed margins: a layout that is worked out takes as long as all the rest
    figure.subplots_adjust(
        left=0.75 / width, right=1 - 0.2 / width, bottom=0.55 / height, top=1 - 0.5 / height,
        wspace=0.3, hspace=0.36,
    )  # fmt: skip
    return figure


def _label(axes: Axes, x: str, y: str, labelsize: int) -> None:
    axes.set_xlabel(x, fontsize=labelsize + 1)
    axes.set_ylabel(y, fontsize=labelsize + 1)
    axes.tick_params(labelsize=labelsize)


def _round_up(value: float) -> float:
    """Give the next of 1, 2, 5, 10, ... above a value."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(f * power for f in (1.0, 2.0, 5.0, 10.0) if f * power >= value * (1 - 1e-9))
