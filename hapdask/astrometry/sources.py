"""Lists of point-like sources of one exposure: where they are, how sure, how bright.

Lives here: the type that detection makes and that matching and fitting read.  Not here: how sources
are found (`detection`), reference stars (`references`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError, ParameterError
from hapdask.observe.record import ExposureRecord

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]

#: Bits of `SourceList.flags`.
SATURATED = 1
"""Some of its pixels are saturated: its place comes from what is around them."""
EDGE = 2
"""Part of its image lies off the chip, or on pixels that cannot be used."""
COSMIC_RAY = 4
"""It may be a cosmic ray: it stands out from the telescope's images by its shape."""
BLENDED = 8
"""A neighbour sends light into its image."""
EXTENDED = 16
"""It is wider than a star: a galaxy, most likely."""

_COLUMNS = {
    "extver": "",
    "x": "pix",
    "y": "pix",
    "error": "pix",
    "flux": "electron / s",
    "snr": "",
    "flags": "",
}


@dataclass(frozen=True)
class SourceList:
    """Sources of one exposure, in the order of chips, then of brightness.

    Attributes
    ----------
    exposure : str
        Name of the record.
    extver : ndarray of int64, shape (n,)
        Chip of each.
    x, y : ndarray of float64, shape (n,), pixels
        0-based positions on the detector.
    error : ndarray of float64, shape (n,), pixels
        Standard deviation of a position along each axis; NaN where it is not known.
    flux : ndarray of float64, shape (n,), electron / s
    snr : ndarray of float64, shape (n,)
        Flux over its error.
    flags : ndarray of uint16, shape (n,)
        `SATURATED`, `EDGE`, `COSMIC_RAY`, `BLENDED`, `EXTENDED`.
    fwhm : float, pixels
        Of a point source as recorded, median over the chips; NaN where it is not known.
    """

    exposure: str
    extver: NDArray[np.int64]
    x: Floats
    y: Floats
    error: Floats
    flux: Floats
    snr: Floats
    flags: NDArray[np.uint16]
    fwhm: float

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype))
        shapes = {getattr(self, name).shape for name in _COLUMNS}
        if shapes != {(len(self),)}:
            raise ParameterError(f"a list of sources needs columns of one length, not {shapes}")

    def __len__(self) -> int:
        return int(np.size(self.x))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SourceList):
            return NotImplemented
        same = self.exposure == other.exposure and np.array_equal(
            [self.fwhm], [other.fwhm], equal_nan=True
        )
        return same and all(
            np.array_equal(getattr(self, n), getattr(other, n), equal_nan=True) for n in _COLUMNS
        )

    __hash__ = None  # type: ignore[assignment]  # arrays cannot be hashed

    @classmethod
    def empty(cls, exposure: str, fwhm: float = float("nan")) -> SourceList:
        """Make a list of no source."""
        columns: dict[str, Any] = {name: np.empty(0, dtype) for name, dtype in _DTYPES.items()}
        return cls(exposure, **columns, fwhm=fwhm)

    @classmethod
    def joined(cls, exposure: str, lists: list[SourceList]) -> SourceList:
        """Put lists of the chips of one exposure one after the other."""
        if not lists:
            return cls.empty(exposure)
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in lists]) for name in _COLUMNS
        }
        widths = [part.fwhm for part in lists if np.isfinite(part.fwhm)]
        return cls(exposure, **columns, fwhm=float(np.median(widths)) if widths else float("nan"))

    def sky(self, record: ExposureRecord) -> tuple[Floats, Floats]:
        """Sky positions through the distortion of each chip, corrected where the record is.

        Parameters
        ----------
        record : ExposureRecord
            Of this exposure.

        Returns
        -------
        ra, dec : ndarray of float64, shape (n,), degrees, ICRS

        Raises
        ------
        ParameterError
            If it is another exposure's, or lacks a chip.
        """
        if record.name != self.exposure:
            raise ParameterError(f"these are sources of {self.exposure}, not of {record.name}")
        ra, dec = np.empty(len(self)), np.empty(len(self))
        for extver in np.unique(self.extver).tolist():
            mine = self.extver == extver
            ra[mine], dec[mine] = record.chip(extver).distortion.pixel_to_sky(
                self.x[mine], self.y[mine]
            )
        return ra, dec

    def take(self, which: NDArray[Any] | slice) -> SourceList:
        """Keep some: by a mask, by indices (in their order) or by a slice."""
        return replace(self, **{name: getattr(self, name)[which] for name in _COLUMNS})

    def rescaled(self, factor: float) -> SourceList:
        """Multiply the fluxes."""
        return replace(self, flux=self.flux * factor)

    def brightest(self, n: int) -> SourceList:
        """Keep the ``n`` of the largest flux, brightest first; ties in the order of the list."""
        return self.take(np.argsort(-self.flux, kind="stable")[: max(n, 0)])

    def without(self, flags: int) -> SourceList:
        """Leave out those that carry any of some flags."""
        return self.take((self.flags & np.uint16(flags)) == 0)

    def having(self, flags: int) -> SourceList:
        """Keep those that carry any of some flags."""
        return self.take((self.flags & np.uint16(flags)) != 0)

    def table(self) -> Table:
        """Tabulate as astropy has it; name of the exposure and FWHM stand in its ``meta``."""
        from astropy.table import Table

        made = Table({name: getattr(self, name) for name in _COLUMNS})
        for name, unit in _COLUMNS.items():
            if unit:
                made[name].unit = unit
        made.meta.update(exposure=self.exposure, fwhm=self.fwhm)
        return made

    @classmethod
    def from_table(cls, table: Table) -> SourceList:
        """Read what `table` made, also from a file.

        Raises
        ------
        InputError
            If a column is missing or holds what is no number.
        """
        missing = [name for name in _COLUMNS if name not in table.colnames]
        meta = {str(key).lower(): value for key, value in table.meta.items()}
        path = str(meta.get("exposure", "table"))
        if missing:
            raise InputError(
                path,
                f"a table of sources without {', '.join(missing)}",
                remedy=f"columns are {', '.join(_COLUMNS)}",
            )
        try:
            columns: dict[str, Any] = {
                name: np.asarray(table[name]).astype(dtype) for name, dtype in _DTYPES.items()
            }
            return cls(path, **columns, fwhm=float(meta.get("fwhm", "nan")))
        except (TypeError, ValueError) as error:
            raise InputError(path, f"a table of sources with what is no number: {error}") from error


_DTYPES: dict[str, type[np.generic]] = dict.fromkeys(_COLUMNS, np.float64) | {
    "extver": np.int64,
    "flags": np.uint16,
}
