"""The quick look: every label is inside the figure."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from hapdask.products.index import attach_frame
from hapdask.products.quicklook import draw
from hapdask.sky.frame import Frame


@pytest.fixture(autouse=True)
def no_screen():
    with mpl.rc_context(), plt.ioff():
        plt.switch_backend("agg")
        yield
    plt.close("all")


@pytest.mark.parametrize("size", [(6.4, 4.8), (3.0, 3.0), (8.0, 3.0)])
def test_labels_are_inside(size):
    shape = (40, 60)
    ds = xr.Dataset({"sci": (("y", "x"), np.random.default_rng(1).normal(0, 1, shape))})
    ds["sci"].attrs["units"] = "electron / s"
    mpl.rcParams["figure.figsize"] = size
    ax = draw(attach_frame(ds, Frame.from_center(150.0, 2.0, 0.04, shape)))
    figure = ax.figure
    figure.canvas.draw()
    bar = figure.axes[1]
    assert bar.get_ylabel() == "sci (electron / s)"
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label, bar.yaxis.label):
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height
