"""Lazy, exact mosaics of Hubble images on one all-sky grid.

The public names live here, each imported when it is first asked for, so that
``import hapdask`` is fast and compiles nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hapdask import simulate as simulate
    from hapdask.config import load_parameters as load_parameters
    from hapdask.drizzling.plan import make_plan as make_plan
    from hapdask.drizzling.tile import drizzle_tile as drizzle_tile
    from hapdask.errors import HapdaskError as HapdaskError
    from hapdask.observe.exposure import open_exposures as open_exposures
    from hapdask.observe.masking.sources import MaskSource as MaskSource
    from hapdask.observe.remote import public_url as public_url
    from hapdask.products.reader import open_mosaic as open_mosaic
    from hapdask.recipes.alignment.run import align as align
    from hapdask.recipes.astrodrizzle.run import astrodrizzle as astrodrizzle
    from hapdask.recipes.mosaic import mosaic as mosaic
    from hapdask.recipes.prepare import measure as measure
    from hapdask.recipes.svm.run import svm as svm
    from hapdask.sky.cells import SkyCell as SkyCell
    from hapdask.sky.footprint import Footprint as Footprint
    from hapdask.sky.frame import Frame as Frame
    from hapdask.sky.grid import SkyGrid as SkyGrid

__version__ = "0.1.0"

#: Public name -> where it lives: ``module:attribute``, or a whole module.
_PUBLIC = {
    "Footprint": "hapdask.sky.footprint:Footprint",
    "Frame": "hapdask.sky.frame:Frame",
    "HapdaskError": "hapdask.errors:HapdaskError",
    "MaskSource": "hapdask.observe.masking.sources:MaskSource",
    "SkyCell": "hapdask.sky.cells:SkyCell",
    "SkyGrid": "hapdask.sky.grid:SkyGrid",
    "align": "hapdask.recipes.alignment.run:align",
    "astrodrizzle": "hapdask.recipes.astrodrizzle.run:astrodrizzle",
    "drizzle_tile": "hapdask.drizzling.tile:drizzle_tile",
    "load_parameters": "hapdask.config:load_parameters",
    "make_plan": "hapdask.drizzling.plan:make_plan",
    "measure": "hapdask.recipes.prepare:measure",
    "mosaic": "hapdask.recipes.mosaic:mosaic",
    "open_exposures": "hapdask.observe.exposure:open_exposures",
    "open_mosaic": "hapdask.products.reader:open_mosaic",
    "public_url": "hapdask.observe.remote:public_url",
    "simulate": "hapdask.simulate",
    "svm": "hapdask.recipes.svm.run:svm",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = import_module(module)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value  # next time without this detour
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
