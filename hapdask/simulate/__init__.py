"""Simulated calibrated exposures with known truth, on the real distortion of three detectors.

``simulate_exposure`` makes one FLC or FLT in memory, ``simulate_field`` a field of several visits
on disk. Nothing here reads or makes mosaics.
"""

from __future__ import annotations

from hapdask.simulate.exposure import SimulatedExposure, simulate_exposure
from hapdask.simulate.field import (
    DEMO_VISITS,
    PointingScatter,
    Setup,
    SimulatedField,
    Visit,
    simulate_field,
)
from hapdask.simulate.pointing import Pointing, PointingError
from hapdask.simulate.readout import Options
from hapdask.simulate.scene import Scene

__all__ = [
    "DEMO_VISITS",
    "Options",
    "Pointing",
    "PointingError",
    "PointingScatter",
    "Scene",
    "Setup",
    "SimulatedExposure",
    "SimulatedField",
    "Visit",
    "simulate_exposure",
    "simulate_field",
]
