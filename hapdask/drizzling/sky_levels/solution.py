"""What a sky solution is: frozen, plain data, rounded as records are; applied to records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from hapdask.config.sky import SkyParameters
from hapdask.errors import InputError, ParameterError, StoreError
from hapdask.observe.record import SKY_DECIMALS, ExposureRecord
from hapdask.observe.selection import ACCEPTED, Verdict

#: Significant digits kept of brightness and of covariances: no last bits of a processor.
_DIGITS = 10
_SHOWN = 20  # exposures
FORMAT = 1


@dataclass(frozen=True, slots=True)
class ChipSky:
    """The sky of one chip, in the unit of SCI.

    Attributes
    ----------
    extver : int
    sky : float
        To be subtracted from every pixel.
    factor : float
        Brightness per unit of SCI: see `hapdask.drizzling.sky_levels.measuring`.
    measured : float or None
        The statistic of the whole chip; None where it was not measured or no pixel was left.
    n : int
        Pixels behind it.
    removed : float
        What the user says was subtracted before the file was written; it has no part in ``sky``,
        but it made noise.
    """

    extver: int
    sky: float
    factor: float = 1.0
    measured: float | None = None
    n: int = 0
    removed: float = 0.0


@dataclass(frozen=True, slots=True)
class ExposureSky:
    """The sky of one exposure.

    Attributes
    ----------
    name : str
    brightness : float
        SCI units / s / arcsec^2, of the layer's system of flux where fluxes are scaled.
    group : int
        Exposures whose levels are tied to each other, from 0; -1 where nothing ties it.
    chips : tuple of ChipSky
    verdict : Verdict
    """

    name: str
    brightness: float
    group: int
    chips: tuple[ChipSky, ...]
    verdict: Verdict = ACCEPTED


@dataclass(frozen=True, slots=True)
class OverlapSky:
    """One pair of exposures: levels on their common sky (brightness), pixels, and the misfit."""

    first: str
    second: str
    first_level: float
    second_level: float
    first_n: int
    second_n: int
    weight: float
    residual: float


@dataclass(frozen=True, slots=True, repr=False)
class SkySolution:
    """Levels of a set of exposures.

    Attributes
    ----------
    parameters : SkyParameters or None
        None where the user gave the levels.
    exposures : tuple of ExposureSky
    overlaps : tuple of OverlapSky
    covariance : tuple of tuple of float
        Of the brightness that ``match`` found, in the order of ``exposures``, about the mean of
        each group; empty without it.
    notes : tuple of str
        What a reader must know of the whole: groups, zero levels, steps that fell back.
    failures : tuple of InputError
        Exposures that could not be read; they are not in ``exposures``.
    """

    parameters: SkyParameters | None
    exposures: tuple[ExposureSky, ...]
    overlaps: tuple[OverlapSky, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    notes: tuple[str, ...] = ()
    failures: tuple[InputError, ...] = ()

    @classmethod
    def zero(cls, exposures: Iterable[ExposureRecord]) -> Self:
        """Take the sky of all exposures as it is: nothing is subtracted."""
        return cls(
            None,
            tuple(
                ExposureSky(e.name, 0.0, -1, tuple(ChipSky(c.extver, 0.0) for c in e.chips))
                for e in exposures
            ),
        )

    def __repr__(self) -> str:
        how = "given" if self.parameters is None else self.parameters.method
        lines = [f"<SkySolution: {how}, {len(self.exposures)} exposures; sky of chips, SCI units"]
        for sky in self.exposures[:_SHOWN]:
            levels = ", ".join(f"{chip.sky:.6g}" for chip in sky.chips)
            lines.append(f"  {sky.name} (group {sky.group})  {levels}")
        lines += [f"  ... and {len(self.exposures) - _SHOWN} more"] * (len(self.exposures) > _SHOWN)
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)]) + ">"

    def __getitem__(self, name: str) -> ExposureSky:
        """Return the sky of an exposure; KeyError if it has none."""
        for sky in self.exposures:
            if sky.name == name:
                return sky
        raise KeyError(name)

    def apply(self, exposures: Iterable[ExposureRecord]) -> tuple[ExposureRecord, ...]:
        """Give records their levels, and the warnings that go with them.

        Exposures that could not be read are left out.

        Raises
        ------
        ParameterError
            If an exposure is not in the solution.
        """
        found = {sky.name: sky for sky in self.exposures}
        lost = {error.path for error in self.failures}
        done = []
        for exposure in exposures:
            if exposure.url in lost and exposure.name not in found:
                continue
            if exposure.name not in found:
                raise ParameterError(f"{exposure.name} has no level in this sky solution")
            sky = found[exposure.name]
            record = exposure.with_sky(
                {c.extver: c.sky for c in sky.chips}, {c.extver: c.removed for c in sky.chips}
            )
            if sky.verdict.reason:
                record = record.with_verdict(record.verdict.warned(sky.verdict.reason))
            done.append(record)
        return tuple(done)

    def error_of_difference(self, first: str, second: str) -> float:
        """Statistical error of a difference of brightness; NaN where nothing ties the two."""
        names = [sky.name for sky in self.exposures]
        i, j = names.index(first), names.index(second)
        tied = self.exposures[i].group == self.exposures[j].group >= 0
        if not (tied and self.covariance):
            return math.nan
        c = self.covariance
        return math.sqrt(max(c[i][i] + c[j][j] - 2.0 * c[i][j], 0.0))

    def to_dict(self) -> dict[str, Any]:
        """Make plain data for JSON; `from_dict` gives back an equal solution, without failures."""
        data = asdict(self) | {"format": FORMAT}
        del data["failures"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SkySolution:
        """Rebuild the solution that `to_dict` was called on.

        Raises
        ------
        StoreError
            If the data are no such solution.
        """
        try:
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']!r}")
            given = data["parameters"]
            return cls(
                None if given is None else SkyParameters(**given),
                tuple(_exposure(e) for e in data["exposures"]),
                tuple(OverlapSky(**o) for o in data["overlaps"]),
                tuple(tuple(row) for row in data["covariance"]),
                tuple(data["notes"]),
            )
        except (KeyError, TypeError, ValueError, ParameterError) as error:
            raise StoreError(
                f"the data are not a sky solution of format {FORMAT}: {error!r}"
            ) from error


def _exposure(data: Mapping[str, Any]) -> ExposureSky:
    chips = tuple(ChipSky(**chip) for chip in data["chips"])
    return ExposureSky(**(dict(data) | {"chips": chips, "verdict": Verdict(**data["verdict"])}))


def rounded(value: float) -> float:
    """Keep the significant digits of brightness."""
    return float(f"{value:.{_DIGITS - 1}e}") + 0.0


def rounded_sky(value: float) -> float:
    """Keep the decimals that records keep of a sky."""
    return round(value, SKY_DECIMALS) + 0.0
