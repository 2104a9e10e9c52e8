"""The images of one exposure of a run, lazily: alone, blotted, its masks, its own mosaic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hapdask.drizzling import steps
from hapdask.drizzling.rejecting import KIND as COSMIC_RAYS
from hapdask.drizzling.sky_levels.mask_catalog import read_mask_catalog
from hapdask.drizzling.sky_levels.sampling import read_usable
from hapdask.drizzling.static_mask import KIND as STATIC
from hapdask.errors import ParameterError
from hapdask.observe.masks import read_mask_rows
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    import xarray as xr

    from hapdask.drizzling.step_graphs import StepGraphs
    from hapdask.recipes.astrodrizzle.run import AstroDrizzleRun


class ExposureSteps:
    """What the steps make of one exposure.

    Parameters
    ----------
    run : AstroDrizzleRun
    name : str
    graphs : StepGraphs, optional
        That make its images, where they are not the run's own.
    """

    def __init__(self, run: AstroDrizzleRun, name: str, graphs: StepGraphs | None = None) -> None:
        self._run, self.name, self._given = run, name, graphs

    def __repr__(self) -> str:
        return f"<steps of {self.name}: single, blot, crmask, staticmask, skymask, mosaic>"

    @property
    def record(self) -> ExposureRecord:
        """The exposure, as known so far."""
        return next(e for e in self._run.exposures if e.name == self.name)

    @property
    def has_partner(self) -> bool:
        """Whether the exposure is compared with others; if not, its shapes tell cosmic rays."""
        return self.name not in self._run.measured.lone

    @property
    def _graphs(self) -> StepGraphs:
        return self._given or self._run.graphs

    @property
    def single(self) -> xr.Dataset:
        """``sci`` (electron / s) and ``wht`` of the exposure on `median_frame`, as it was combined.

        Cosmic rays are in it, also when they have been found.
        """
        import xarray as xr

        self._run.require("driz_separate")
        frame = self._run.median_frame
        known = next(e for e in self._run.measured.exposures if e.name == self.name)
        planes = self._graphs.single(known)
        return xr.Dataset(
            {
                "sci": on_frame(planes["sci"], frame, "sci", "electron / s"),
                "wht": on_frame(planes["wht"], frame, "wht", "s"),
            }
        )

    @property
    def blot(self) -> xr.DataArray:
        """The median at the exposure's pixels, in its unit, with its sky; dims chip, y, x.

        Raises
        ------
        ParameterError
            If the run makes none, or the exposure is in no median.
        """
        self._run.require("blot")
        if not self.has_partner:
            raise ParameterError(f"{self.name} overlaps with no other exposure: there is no blot")
        return self._of_chips(
            "blot", lambda chip: self._graphs.blot(self.name, chip.extver), self.record.unit
        )

    @property
    def crmask(self) -> xr.DataArray:
        """Cosmic rays: bool, True = hit; dims chip, y, x."""
        if any(m.kind == COSMIC_RAYS for c in self.record.chips for m in c.masks):
            return self._of_chips("crmask", lambda chip: _lazily(_masked, chip, COSMIC_RAYS))
        self._run.require("driz_cr")
        return self._of_chips(
            "crmask", lambda chip: self._graphs.cosmic_rays(self.name, chip.extver)
        )

    @property
    def staticmask(self) -> xr.DataArray:
        """The static mask: bool, True = bad; dims chip, y, x."""
        self._run.require("static")
        return self._of_chips("staticmask", lambda chip: _lazily(_masked, chip, STATIC))

    @property
    def skymask(self) -> xr.DataArray:
        """Pixels on which the sky was not measured: bool, True = left out; dims chip, y, x."""
        record, parameters = self.record, self._run.parameters
        wanted = steps.sky_parameters(parameters)
        catalog = parameters.sky.skymask_cat
        masks = read_mask_catalog(catalog) if catalog else ()

        def unused(chip: ChipRecord) -> np.ndarray:
            return ~read_usable(record, chip, wanted, masks, every=True).use

        return self._of_chips("skymask", lambda chip: _lazily(unused, chip))

    @property
    def mosaic(self) -> xr.Dataset:
        """The exposure alone on the frame of the product."""
        return self._run.mosaic_of([self.record])

    def _of_chips(
        self, name: str, of_chip: Callable[[ChipRecord], Any], unit: str = ""
    ) -> xr.DataArray:
        """Put the chips on one another; smaller ones are padded."""
        import dask.array as da
        import xarray as xr

        chips = self.record.chips
        ny, nx = (max(sizes) for sizes in zip(*(chip.shape for chip in chips), strict=True))
        planes = []
        for chip in chips:
            plane = of_chip(chip)
            missing = ((0, ny - chip.shape[0]), (0, nx - chip.shape[1]))
            planes.append(da.pad(plane, missing) if any(map(any, missing)) else plane)
        return xr.DataArray(
            da.stack(planes),
            dims=("chip", "y", "x"),
            coords={"chip": [chip.extver for chip in chips]},
            name=name,
            attrs={"units": unit} if unit else {},
        )


def on_frame(array: Any, frame: Frame, name: str, unit: str) -> xr.DataArray:
    """Give a lazy image its frame, with ``ra`` and ``dec``."""
    import xarray as xr

    from hapdask.products.index import attach_frame

    return attach_frame(
        xr.DataArray(array, dims=("y", "x"), name=name, attrs={"units": unit}), frame
    )


def _lazily(function: Callable[..., np.ndarray], chip: ChipRecord, *arguments: Any) -> Any:
    """Make a lazy bool array of a chip of a function of it."""
    import dask.array as da
    from dask.delayed import delayed

    return da.from_delayed(delayed(function)(chip, *arguments), chip.shape, np.bool_)


def _masked(chip: ChipRecord, kind: str) -> np.ndarray:
    """Read the masks of a kind."""
    bad = np.zeros(chip.shape, np.bool_)
    for mask in chip.masks:
        if mask.kind == kind:
            bad |= read_mask_rows(mask, chip.shape, 0, chip.shape[0])
    return bad
