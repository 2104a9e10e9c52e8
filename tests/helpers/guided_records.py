"""Records of IR exposures without files, pointed alike, and corrections for them."""

import math

import numpy as np

from hapdask.observe.distortion import Correction, Distortion
from hapdask.observe.record import ChipRecord, ExposureRecord, FileIdentity

RA, DEC = 53.16, -27.79
SCALE = 0.128 / 3600
IDC = "IDC_w3m18525i"


def exposure(name, minute, *, filter_name="f140w", at=(RA, DEC), wcsname=IDC, roll=33.0, **changes):
    zero = np.zeros((1, 1))
    cd = (-SCALE, 1e-8, 1e-8, SCALE)
    distortion = Distortion((1014, 1014), at, (507.0, 507.0), cd, zero, zero)
    chip = ChipRecord(1, 1, (1014, 1014), distortion, None, None, None)
    start = 57000.0 + minute / 1440.0
    fields = {
        "name": name, "url": f"/data/{name}_flt.fits", "identity": FileIdentity(1, "0", "0"),
        "instrument": "wfc3", "detector": "ir", "filter": filter_name, "exptime": 300.0,
        "expstart": start, "expend": start + 300.0 / 86400, "unit": "electron / s",
        "proposal": "13420", "visit": name[:6], "target": "GOODS", "suffix": "flt",
        "wcsname": wcsname, "chips": (chip,), "keywords": (("PA_V3", roll),),
    }  # fmt: skip
    return ExposureRecord(**(fields | changes))


def off(east, north, turn=0.0, center=(RA, DEC)):
    """A correction: arcsec, degrees."""
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    return Correction(center, (c, s, -s, c), (east, north))
