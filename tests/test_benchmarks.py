"""The benchmarks run: each once, in its quick configuration, so that they never rot.

Their figures are not looked at, except where they do not depend on the machine: counts and
agreement.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

benchmarks = pytest.importorskip("benchmarks", reason="the repository is not on the path")

SCRIPTS = (
    "map", "square", "kernels", "threads", "memory", "cutout", "endtoend", "opening", "sky",
    "pipeline_memory", "stack", "guiding", "centroids",
)  # fmt: skip
PEERS = ("astrodrizzle", "realpixels", "pipeline", "steps", "alignment", "svm", "svm_pixels")
FOLDER = Path(benchmarks.__path__[0])


def load(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


def run_quick(name: str, workdir: Path, *options: str) -> dict[str, float]:
    figures = load(name).main(["--quick", "--workdir", str(workdir), *options])
    assert figures
    assert all(np.isfinite(figure.value) for figure in figures)
    return {figure.name: figure.value for figure in figures}


def test_cosmic_rays_are_found(workdir: Path) -> None:
    found = run_quick("cosmic_rays", workdir)
    assert found["UVIS, ours: found of those raised by 5 sigma"] >= 0.99
    assert found["UVIS, ours: clean ones marked"] <= 5e-5  # a few pixels of 850 000
    assert found["UVIS: mean change of the flux of bright stars"] <= 1e-3
    assert found["UVIS, one exposure: light of bright stars lost"] <= 5e-3


def test_map_is_accurate(workdir: Path) -> None:
    assert run_quick("map", workdir)["worst of 5 chips"] <= 1e-6


@pytest.mark.peer
def test_square_agrees_with_c(workdir: Path) -> None:
    pytest.importorskip("drizzle")
    found = run_quick("square", workdir)
    for pixfrac in ("1", "0.8"):
        assert found[f"pixfrac {pixfrac}: ctx, fraction of pixels that differ"] <= 1e-6
        assert found[f"pixfrac {pixfrac}: total flux, relative"] <= 1e-8


@pytest.mark.peer
def test_kernels_agree_with_c(workdir: Path) -> None:
    pytest.importorskip("drizzle")
    found = run_quick("kernels", workdir)
    for kernel in ("turbo", "point", "gaussian"):
        assert found[f"{kernel} 1: wht, 99.9 % within"] <= 2e-5


@pytest.mark.parametrize("name", ["threads", "memory", "endtoend", "opening", "pipeline_memory"])
def test_runs(name: str, workdir: Path) -> None:
    run_quick(name, workdir)
    assert {path.name for path in workdir.iterdir()} <= {"inputs"}


def test_the_pipeline_writes_nothing_but_products(workdir: Path) -> None:
    found = run_quick("pipeline", workdir, "--alone")
    assert found["products"] > 0.0
    assert found["bytes written, of those of the products"] <= 1.1
    assert {path.name for path in workdir.iterdir()} <= {"inputs"}


def test_exposures_are_aligned(workdir: Path) -> None:
    found = run_quick("alignment", workdir, "--alone")
    assert found["hundreds of stars: worst exposure"] <= 0.3
    assert found["15 stars, UVIS: worst exposure"] <= 2.0  # one visit alone
    assert found["no stars, 10 months after: worst exposure, relative"] <= 2.0
    assert found["within a visit, from data alone: worst exposure"] <= 0.5


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_errors_of_headers_are_measured(shift: float, tmp_path: Path) -> None:
    import hapdask as hd

    visits = load("visits")
    scene = visits.make_scene(3, references=20, others=0, galaxies=0, radius=0.01)
    visit = visits.simulate_visit(
        tmp_path,
        scene,
        visits.reference_catalog(scene, 20, 3),
        [visits.Observation("WFC3", "IR", "F160W", (0.0, 0.0), exptime=50.0)],
        seed=3,
        errors=visits.Errors(shift, 0.0, 0.0, 0.0),
    )
    (record,) = hd.open_exposures(str(visit.exposures[0]), strict=True)
    found = visits.residuals(record, visit.truth(visit.exposures[0]))
    assert len(found) > 10
    assert visits.typical(found) == pytest.approx(1000.0 * shift, abs=1e-3)
    assert visit.poller.read_text().startswith(f"{visit.exposures[0].name},11665,B46,06,50.0,F160W")


def test_a_visit_is_made(workdir: Path) -> None:
    found = run_quick("svm", workdir, "--alone")
    assert found["IR: worst exposure from the truth"] <= 1.0
    assert {path.name for path in workdir.iterdir()} <= {"inputs"}


def test_medians_and_blots_agree(workdir: Path) -> None:
    found = run_quick("stack", workdir)
    assert found.get("median of 8: worst difference", 0.0) <= 1e-7
    assert found.get("blot poly5: 99.9 % within, sigma", 0.0) <= 1e-3


def test_sky_levels_are_right(workdir: Path) -> None:
    found = run_quick("sky", workdir)
    assert found["median, distance from astropy's"] < 1e-3
    assert found["median: differences, of what is allowed"] <= 1.0


def test_cutout_computes_only_its_tiles(workdir: Path) -> None:
    found = run_quick("cutout", workdir)
    assert found["tiles computed by that"] == 0
    assert found["tiles computed, inside a tile"] == 1
    assert found["tiles computed, across a corner"] == 4


@pytest.mark.peer
def test_astrodrizzle_agrees(workdir: Path) -> None:
    if not importlib.util.find_spec("drizzlepac") and not os.environ.get("HAPDASK_PEER_PYTHON"):
        pytest.skip("needs drizzlepac, here or in HAPDASK_PEER_PYTHON")
    found = run_quick("astrodrizzle", workdir)
    assert found["IR, stepsize 10: SCI, median |difference| / noise"] < 1e-3
    assert found["IR, stepsize 10: SCI, 99.9 % outside cores"] < 0.05


def test_comparison_with_astrodrizzle_sees_what_differs() -> None:
    script = load("astrodrizzle")
    rng = np.random.default_rng(3)
    shape = (200, 200)
    sci = rng.normal(0.0, 1.0, shape).astype(np.float32)
    wht, ctx = np.full(shape, 500.0, np.float32), np.ones(shape, np.int32)
    mine = script.Mosaic(sci, wht, ctx, np.ones(shape, np.float32))
    assert by_name(script.compare(mine, mine, "")) == dict.fromkeys(
        by_name(script.compare(mine, mine, "")), 0.0
    )
    other = script.Mosaic(sci + np.float32(0.5), wht * np.float32(1.01), ctx + 1)
    found = by_name(script.compare(mine, other, ""))
    assert found[" SCI, median |difference| / noise"] == pytest.approx(0.5, abs=1e-3)
    assert found[" WHT, 99.9 % within"] == pytest.approx(1.0 - 1.0 / 1.01, abs=1e-6)
    assert found[" CTX, pixels that differ"] == sci.size


def by_name(figures: Sequence[object]) -> dict[str, float]:
    return {figure.name: figure.value for figure in figures}  # type: ignore[attr-defined]


def test_readme_lists_every_script() -> None:
    listed = set(re.findall(r"python benchmarks/(\w+)\.py", (FOLDER / "README.md").read_text()))
    assert {*SCRIPTS, *PEERS} <= listed
    assert all((FOLDER / f"{name}.py").is_file() for name in listed)


@pytest.mark.parametrize("name", [*SCRIPTS, *PEERS])
def test_scripts_explain_themselves(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        load(name).main(["--help"])
    assert stop.value.code == 0
    assert "--quick" in capsys.readouterr().out
