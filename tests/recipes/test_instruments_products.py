"""Every detector and mode through a run: store, FITS with the archive's names, pictures.

Exposures as they come: noise, cosmic rays, hot and bad pixels, saturation.
"""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits
from observing import CASES, observe

import hapdask as hd
from hapdask.recipes.batch import Request, plan_batch, run_batch
from hapdask.simulate import Options

NAMES = ("uvis-2x2", "uvis-quad", "ir", "wfc-sub", "hrc", "sbc", "wfpc2-15", "stis-4", "nicmos")


@pytest.mark.parametrize("name", NAMES)
def test_a_run(name, tmp_path):
    case = CASES[name]
    seen = observe(case, tmp_path / "data", options=Options())
    out = tmp_path / "out"
    request = Request(out=out, frame=seen.frame, name="field", tile=1024)
    report = run_batch(plan_batch(seen.exposures, request))
    assert not report.left_out
    (result,) = report.results
    stem = f"field_{case.layer}_all_{case.suffix}"
    assert {file.path.name for file in report.files} == {
        f"{stem}.fits", f"{stem}.jpg", f"{stem}_thumb.jpg",
    }  # fmt: skip
    path = out / "field" / f"{stem}.fits"
    verify(path)
    stored = hd.open_mosaic(result.store)
    lazy = hd.mosaic(result.job.plan.exposures, seen.frame, parameters=result.job.plan.parameters)
    covered = stored.wht.values > 0
    with fits.open(path) as hdus:
        primary, sci = hdus[0].header, hdus["SCI"].header
        assert (primary["INSTRUME"], primary["DETECTOR"]) == (case.instrument, case.detector)
        assert (primary["NUMEXP"], primary["EXPTIME"]) == (2, 800.0)
        assert primary["ROOTNAME"] == f"field_{case.layer}_all"
        unit = ("COUNTS" if case.unit.startswith("count") else "ELECTRONS") + "/S"
        assert sci["BUNIT"] == hdus["ERR"].header["BUNIT"] == unit
        photflam = sci.get("PHOTFLAM", primary.get("PHOTFLAM"))
        assert photflam == pytest.approx(photflam_of(seen), rel=1e-7)
        assert len(hdus["HDRTAB"].data) == sum(len(e.chips) for e in seen.exposures)
        for key in ("sci", "wht", "err"):
            plane = stored[key].values
            np.testing.assert_array_equal(plane, lazy[key].values)
            assert (np.isfinite(plane) == (covered | (key == "wht"))).all()
            found = hdus[key.upper()].data
            assert np.nansum(found, dtype=float) == np.nansum(plane, dtype=float)
            assert np.isfinite(found).sum() >= covered.sum()
    assert covered.mean() > 0.4


def photflam_of(seen):
    """PHOTFLAM of the layer, as the run froze it."""
    return seen.prepared().photflams[seen.case.layer]


def verify(path):
    """Run fitsverify, where it is there: it minds nothing but the hyphens of HST's keywords."""
    if shutil.which("fitsverify"):
        done = subprocess.run(["fitsverify", str(path)], capture_output=True, text=True)
        hyphens = re.findall(r'Warning: Column #\d+: Name "[A-Z]+-[A-Z]+" contains', done.stdout)
        assert f"{len(hyphens)} warning(s) and 0 error(s)" in done.stdout, done.stdout[-2000:]
