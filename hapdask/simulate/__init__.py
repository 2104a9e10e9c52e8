"""Simulated calibrated exposures with known truth.

WFC3/UVIS and IR, ACS/WFC and HRC and WFPC2 on their real distortion; ACS/SBC, STIS and
NICMOS on an invented one (see ``data/README.md``). ``simulate_exposure`` makes one file in memory,
``simulate_field`` a field of several visits on disk. Nothing here reads or makes mosaics.
"""

from __future__ import annotations

from hapdask.simulate.exposure import SimulatedExposure, simulate_exposure
from hapdask.simulate.field import (
    DEMO_VISITS,
    PointingScatter,
    SimulatedField,
    Visit,
    simulate_field,
)
from hapdask.simulate.modes import Mode, Subarray
from hapdask.simulate.motion import Motion
from hapdask.simulate.pointing import Pointing, PointingError
from hapdask.simulate.readout import Options
from hapdask.simulate.scene import Scene
from hapdask.simulate.setups import Setup, parse_setup

__all__ = [
    "DEMO_VISITS",
    "Mode",
    "Motion",
    "Options",
    "Pointing",
    "PointingError",
    "PointingScatter",
    "Scene",
    "Setup",
    "SimulatedExposure",
    "SimulatedField",
    "Subarray",
    "Visit",
    "parse_setup",
    "simulate_exposure",
    "simulate_field",
]
