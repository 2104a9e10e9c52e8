"""Parameters of a visit's products: those of a filter's exposures, and what follows for the others.

A product of one exposure, or of all filters, is made of what was found with the filters: of its
parameters those of the final step alone count.  `compat` gives each level the archive's own.  Not
here: AstroDrizzle's parameters as such (`hapdask.config.astrodrizzle`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hapdask.config.astrodrizzle import CustomFrame, SkyStep
from hapdask.config.astrodrizzle_presets import OFF, ResolvedAstroDrizzle, load_astrodrizzle
from hapdask.config.preset_tables import nearest
from hapdask.errors import ParameterError
from hapdask.observe.masking.sources import Masks
from hapdask.observe.record import ExposureRecord

PRESETS = ("default", "compat")
Level = Literal["exposure", "total"]

#: Preset of AstroDrizzle for the exposures of a filter, by that of the visit.
_OF_FILTER = {"default": "default", "compat": "compat-svm"}
_OF_LEVEL = {"exposure": "compat-svm-exposure", "total": "compat-svm-total"}
_FRAME = tuple(f"final_{name}" for name in CustomFrame._fields)
_NO_SKY: Mapping[str, Any] = {"skysub": False, "skyfile": "", "skyuser": ""}
_FOUND = f"{OFF} done with the exposures of the filter"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a user asks of the drizzled products of visits.

    Attributes
    ----------
    preset : {"default", "compat"}
        Ours, or the archive's.
    file : path, optional
        AstroDrizzle's parameters over the preset: TOML or .cfg.
    overrides : mapping
        AstroDrizzle's parameters, by its names, over everything.
    masks
        Pixels not to be used; see `hapdask.measure`.

    Raises
    ------
    ParameterError
        If there is no such preset, or a parameter of the frame is given that all products share.
    """

    preset: str = "default"
    file: str | Path | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)
    masks: Masks = ()

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ParameterError(f"unknown preset {self.preset!r}{nearest(self.preset, PRESETS)}")
        allowed = {"final_scale"}
        if given := [n for n in (*_FRAME, "final_wcs") if n in self.overrides and n not in allowed]:
            raise ParameterError(
                f"{given[0]} cannot be given: all products of a detector share the grid around "
                "its exposures, north up; give final_scale, or use hapdask astrodrizzle"
            )

    @property
    def engine_preset(self) -> str:
        """AstroDrizzle's preset for the exposures of a filter."""
        return _OF_FILTER[self.preset]

    @property
    def is_archive(self) -> bool:
        """Whether products are made as the archive's are."""
        return self.preset == "compat"

    @property
    def engine_overrides(self) -> dict[str, object]:
        """Parameters for the exposures of a filter, whose frame is given."""
        kept = {name: value for name, value in self.overrides.items() if name not in _FRAME}
        return kept | {"final_wcs": False, "build": True}

    def of_filter(self, records: Sequence[ExposureRecord]) -> ResolvedAstroDrizzle:
        """Give the parameters of the exposures of a filter; ParameterError."""
        return self._load(self.engine_preset, records, len(records))

    def scale(self, records: Sequence[ExposureRecord]) -> float | None:
        """Give the pixel scale that a detector's products have, arcsec; None for its own."""
        return self.of_filter(records).parameters.final.final_scale

    def of_level(
        self,
        level: Level,
        found: ResolvedAstroDrizzle,
        records: Sequence[ExposureRecord],
        count: int,
    ) -> ResolvedAstroDrizzle:
        """Give the parameters of a product that is made of what was found with filters.

        Parameters
        ----------
        level : {"exposure", "total"}
        found : ResolvedAstroDrizzle
            Of a filter.
        records : sequence of ExposureRecord
            Of the product.
        count : int
            Exposures that decide on the preset: for an exposure's product those of its filter.
        """
        if not self.is_archive:
            return _final_only(found, replace(found.parameters.sky, **_NO_SKY))
        loaded = self._load(_OF_LEVEL[level], records, count)
        loaded = _final_only(loaded, loaded.parameters.sky)
        if level == "exposure":
            return loaded
        # the flags that a filter's exposures had before count no more than there
        general = replace(loaded.parameters.general, resetbits=found.parameters.general.resetbits)
        return ResolvedAstroDrizzle(
            replace(loaded.parameters, general=general),
            loaded.origin | {"resetbits": found.origin["resetbits"]},
            loaded.ignored,
        )

    def _load(
        self, preset: str, records: Sequence[ExposureRecord], count: int
    ) -> ResolvedAstroDrizzle:
        return load_astrodrizzle(
            records[0].instrument,
            records[0].detector,
            count,
            preset=preset,
            binned=any(record.binned for record in records),
            filter_name=records[0].filter,
            expstart=min(record.expstart for record in records),
            file=self.file,
            overrides=self.overrides,
        )


def _final_only(found: ResolvedAstroDrizzle, sky: SkyStep) -> ResolvedAstroDrizzle:
    """Turn off the steps before the final one: they are done, but for the sky where it is on."""
    p = found.parameters
    parameters = replace(
        p,
        static=replace(p.static, static=False),
        sky=sky,
        separate=replace(p.separate, driz_separate=False),
        median=replace(p.median, median=False),
        blot=replace(p.blot, blot=False),
        cosmic_rays=replace(p.cosmic_rays, driz_cr=False, driz_cr_single=False),
    )
    before, after = p.values(), parameters.values()
    changed = {name: _FOUND for name, value in after.items() if value != before[name]}
    return ResolvedAstroDrizzle(parameters, found.origin | changed, found.ignored)
