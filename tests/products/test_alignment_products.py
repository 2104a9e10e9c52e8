"""Pictures, tables and report lines of an alignment, also of next to nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hapdask.astrometry.attempts import Attempt
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.fitting.tweaked import OffsetHistogram
from hapdask.astrometry.guiding import Guiding
from hapdask.errors import StoreError
from hapdask.products.alignment import plots
from hapdask.products.alignment.verdicts import COLUMNS, verdict_table
from hapdask.products.report.model import AlignmentLine, AttemptLine, RunReport
from hapdask.products.report.render import render

LINE = AlignmentLine(
    name="ia0aaaaaq",
    visit="ia0aaa",
    detector="wfc3/ir f160w",
    status="unaligned",
    reason="none of <b>its</b> stars",
    attempts=(
        AttemptLine(
            catalog="GAIA", method="header", geometry="", matches=2, rms=None, accepted=False,
            reason="too few matches",
        ),
    ),
    catalogs=("GAIAeDR3: failed, 0 stars; <script>",),
)  # fmt: skip


def points(count, used=True):
    rng = np.random.default_rng(0)
    flags = np.full(count, used)
    return plots.ResidualPoints(
        "a title", rng.uniform(0, 500, (count, 2)), rng.normal(0, 2.0, (count, 2)), flags
    )


@pytest.mark.parametrize("count", [1, 2, 60])
@pytest.mark.parametrize("used", [True, False])
def test_residuals_are_drawn_however_few_there_are(tmp_path, count, used):
    for name, draw in (("v", plots.draw_vectors), ("r", plots.draw_residuals)):
        path = plots.write_picture(
            tmp_path, f"{name}.png", draw(points(count, used)), overwrite=False
        )
        assert path.read_bytes().startswith(b"\x89PNG")
        with pytest.raises(StoreError, match="exists already"):
            plots.write_picture(tmp_path, f"{name}.png", draw(points(count)), overwrite=False)


def test_the_histogram_shows_its_peak_and_the_bytes_repeat(tmp_path):
    counts = np.zeros((81, 81), np.int64)
    counts[30, 70] = 12
    histogram = OffsetHistogram(counts, 40.0, (30, -10), math.nan)
    figures = [plots.draw_offsets(histogram, "a title", 0.04) for _ in range(2)]
    axes = figures[0].axes[0]
    assert axes.get_xlim()[1] >= 31
    assert "(30, -10) pixels, 12 pairs" in axes.texts[0].get_text()
    one, two = (
        plots.write_picture(tmp_path, f"{k}.png", f, overwrite=False).read_bytes()
        for k, f in enumerate(figures)
    )
    assert one == two
    with pytest.raises(StoreError, match="hold no path"):
        plots.write_picture(tmp_path, "../a.png", figures[0], overwrite=False)


def test_the_table_has_units_and_takes_what_is_unknown():
    row = dict.fromkeys(COLUMNS, "")
    row |= {n: math.nan for n, (unit, _) in COLUMNS.items() if unit} | {"scale": 1.0}
    row |= {"matches": 0, "grade": 5, "sources": 3, "exposure": "a"}
    table = verdict_table([row, row | {"exposure": "a longer name"}])
    assert list(table["exposure"]) == ["a", "a longer name"]
    assert str(table["rms_mas"].unit) == "mas"
    assert np.isnan(table["rms_mas"]).all()
    assert all(table[name].description for name in COLUMNS)
    assert len(verdict_table([])) == 0


def test_the_report_has_a_section_and_escapes_it():
    report = RunReport(title="alignment", alignments=(LINE,))
    page = render(report)
    assert "none of &lt;b&gt;its&lt;/b&gt; stars" in page
    assert "<script>" not in page
    assert 'href="#alignment"' in page
    assert 'href="#layers"' not in page
    assert RunReport.from_json(report.to_json()) == report
    assert 'href="#layers"' in render(RunReport(title="other"))


def test_lines_are_made_of_placements():
    from types import SimpleNamespace

    from hapdask.products.alignment.lines import alignment_line

    record = SimpleNamespace(
        name="a", visit="v", instrument="acs", detector="wfc", filter="f814w", wcsname="W"
    )
    attempt = Attempt("GAIA", "header", "shift", 4, 2.5, True, "sound")
    placement = Placement("a", "aligned", "fine", rms_mas=2.5, attempts=(attempt,))
    line = alignment_line(record, placement, Guiding("good", ""))  # type: ignore[arg-type]
    assert (line.rms, line.error, line.guiding) == (2.5, None, "good")
    assert line.attempts[0].accepted
