"""Exposure records: all that is known of an exposure short of its pixels.

Small, immutable, serialisable as plain data.  Everything downstream reads records and measures
nothing again; what changes an exposure (sky, flux factor, masks, alignment) makes a new record.
Not here: their parts (`parts`), reading files (`exposure`, `pixels`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from hapdask.errors import ParameterError, StoreError
from hapdask.observe.distortion import Correction
from hapdask.observe.parts import ChipRecord as ChipRecord
from hapdask.observe.parts import FileIdentity as FileIdentity
from hapdask.observe.parts import Keywords, listed, tupled
from hapdask.observe.parts import MaskRef as MaskRef
from hapdask.observe.parts import PixelSource as PixelSource
from hapdask.observe.selection import ACCEPTED, Verdict
from hapdask.sky.footprint import Footprint

#: Version of the plain form written by `ExposureRecord.to_dict`.
FORMAT = 2
#: Decimals kept of solved values before they are hashed: sky in SCI units, flux factor.
SKY_DECIMALS = 6
FLUX_DECIMALS = 9


@dataclass(frozen=True)
class ExposureRecord:
    """One exposure, without its pixels.

    Attributes
    ----------
    name : str
        Rootname, for example ``ib4606c5q``.
    url : str
        Absolute path, or http(s) address.
    identity : FileIdentity
    instrument, detector : str
        HAP names: ``wfc3``, ``uvis``.
    filter : str
        HAP name: ``f606w-pol0v``.
    exptime : float, s
    expstart, expend : float, MJD
    unit : str
        Of SCI: ``electron``, ``electron / s``, ``count`` or ``count / s``.
    proposal, visit, target : str
        PROPOSID, ``ipppss``, TARGNAME.
    suffix : str
        ``flc`` or ``flt``.
    wcsname : str
    correction : Correction or None
    verdict : Verdict
    chips : tuple of ChipRecord
        By EXTVER.
    keywords : tuple of (str, value)
        Cards of PRIMARY; gone after `strip`.
    """

    name: str
    url: str
    identity: FileIdentity
    instrument: str
    detector: str
    filter: str
    exptime: float
    expstart: float
    expend: float
    unit: str
    proposal: str
    visit: str
    target: str
    suffix: str
    wcsname: str
    chips: tuple[ChipRecord, ...]
    correction: Correction | None = None
    verdict: Verdict = ACCEPTED
    keywords: Keywords = ()

    @property
    def mid_mjd(self) -> float:
        """Middle of the exposure, MJD."""
        return 0.5 * (self.expstart + self.expend)

    @property
    def layer_name(self) -> str:
        """Instrument, detector and filter, for example ``wfc3_uvis_f475w``."""
        return f"{self.instrument}_{self.detector}_{self.filter}"

    @property
    def binned(self) -> bool:
        """Whether its pixels were binned on the chip."""
        return any(chip.bin > 1 for chip in self.chips)

    @property
    def footprint(self) -> Footprint:
        """The chips' outlines, with their distortion; no pixel is read."""
        borders = (chip.border() for chip in self.chips)
        return Footprint(tuple((tuple(ra.tolist()), tuple(dec.tolist())) for ra, dec in borders))

    @property
    def files(self) -> frozenset[str]:
        """Addresses of all files that its pixels, flags, masks and weights come from."""
        found = {self.url}
        for chip in self.chips:
            found |= {s.url for s in (chip.sci, chip.err, chip.dq) if s is not None and s.url}
            found |= {mask.url for mask in chip.masks}
            found |= {chip.ivm.url} if chip.ivm else set()
        return frozenset(found)

    def strip(self) -> ExposureRecord:
        """Return the minimal copy that may enter a graph: no header cards."""
        chips = tuple(replace(chip, keywords=()) for chip in self.chips)
        return replace(self, chips=chips, keywords=())

    def header_sky(self) -> dict[int, float]:
        """Return MDRIZSKY of each chip that has it, by EXTVER, SCI units (not after `strip`)."""
        found = ((c.extver, dict(c.keywords).get("MDRIZSKY")) for c in self.chips)
        return {e: float(s) for e, s in found if isinstance(s, int | float)}

    def with_sky(
        self, sky: float | Mapping[int, float], removed: float | Mapping[int, float] = 0.0
    ) -> ExposureRecord:
        """Return a copy with a constant sky per chip, rounded to `SKY_DECIMALS`.

        Parameters
        ----------
        sky : float or mapping of EXTVER to float
            SCI units per pixel.
        removed : float or mapping of EXTVER to float
            What was subtracted before the file was written.
        """
        record = self
        for name, given in (("sky", sky), ("removed", removed)):
            values = self._by_chip(given, "sky")
            record = record._with_chips(
                {e: {name: round(v, SKY_DECIMALS) + 0.0} for e, v in values.items()}
            )
        return record

    def with_flux_factors(self, factors: float | Mapping[int, float]) -> ExposureRecord:
        """Return a copy with a flux factor per chip, rounded to `FLUX_DECIMALS`."""
        values = self._by_chip(factors, "flux factor")
        if any(v <= 0 for v in values.values()):
            raise ParameterError(f"{self.name}: a flux factor must be positive: {values}")
        return self._with_chips(
            {e: {"flux_factor": round(v, FLUX_DECIMALS)} for e, v in values.items()}
        )

    def with_mask(self, extver: int, mask: MaskRef) -> ExposureRecord:
        """Return a copy with one more mask on a chip, in place of one of the same kind and url."""
        chip = self.chip(extver)
        kept = tuple(m for m in chip.masks if (m.kind, m.url) != (mask.kind, mask.url))
        return self._with_chips({extver: {"masks": (*kept, mask)}})

    def with_ivm(self, extver: int, ivm: MaskRef | None) -> ExposureRecord:
        """Return a copy with another inverse-variance map on a chip."""
        return self._with_chips({self.chip(extver).extver: {"ivm": ivm}})

    def with_verdict(self, verdict: Verdict) -> ExposureRecord:
        """Return a copy with another verdict."""
        return replace(self, verdict=verdict)

    def corrected(self, correction: Correction | None) -> ExposureRecord:
        """Return a copy whose chips are moved by an alignment.

        Raises
        ------
        ParameterError
            If the record carries a correction already: corrections do not add up.
        """
        if correction is None:
            return self
        if self.correction is not None:
            raise ParameterError(f"{self.name} is corrected already; start from the record opened")
        moved = tuple(replace(c, distortion=c.distortion.corrected(correction)) for c in self.chips)
        return replace(self, chips=moved, correction=correction)

    def chip(self, extver: int) -> ChipRecord:
        """Return the chip of that EXTVER.

        Raises
        ------
        ParameterError
            If there is none.
        """
        for chip in self.chips:
            if chip.extver == extver:
                return chip
        raise ParameterError(f"{self.name} has no chip SCI,{extver}")

    def _by_chip(self, values: float | Mapping[int, float], what: str) -> dict[int, float]:
        if not isinstance(values, Mapping):
            values = {chip.extver: values for chip in self.chips}
        if not all(math.isfinite(v) for v in values.values()):
            raise ParameterError(f"{self.name}: the {what} must be finite, not {dict(values)}")
        return {self.chip(extver).extver: float(v) for extver, v in values.items()}

    def _with_chips(self, changes: Mapping[int, Mapping[str, Any]]) -> ExposureRecord:
        return replace(
            self, chips=tuple(replace(c, **changes.get(c.extver, {})) for c in self.chips)
        )

    @cached_property
    def digest(self) -> str:
        """Hash of all that can change a pixel, or a figure, made from this exposure.

        Neither the place of files and extensions, nor verdicts, nor the cards kept for export
        enter (the identity holds a hash of all headers).
        """
        data = self.strip().to_dict(whole=False)
        for key in ("url", "keywords", "verdict"):
            del data[key]
        for chip, packed in zip(self.chips, data["chips"], strict=True):
            for name in ("sci", "err", "dq"):
                (packed[name] or {}).pop("url", None)
            del packed["hdu"]
            packed["masks"] = sorted([m.kind, *m.hashes] for m in chip.masks)
            packed["ivm"] = chip.ivm and list(chip.ivm.hashes)
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    def __dask_tokenize__(self) -> tuple[str, str, str]:
        return ("ExposureRecord", self.digest, self.url)

    def to_dict(self, *, whole: bool = True) -> dict[str, Any]:
        """Make plain data for JSON; `from_dict` gives back an equal record.

        Without ``whole``, digests stand for the distortions.
        """
        skipped = ("chips", "keywords", "identity", "verdict", "correction")
        data = {k: getattr(self, k) for k in self.__dataclass_fields__ if k not in skipped}
        return data | {
            "format": FORMAT,
            "identity": asdict(self.identity),
            "verdict": asdict(self.verdict),
            "correction": None if self.correction is None else listed(asdict(self.correction)),
            "keywords": [list(card) for card in self.keywords],
            "chips": [chip.to_dict(whole=whole) for chip in self.chips],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExposureRecord:
        """Rebuild the record that `to_dict` was called on.

        Raises
        ------
        StoreError
            If the data are no such record.
        """
        try:
            return cls._from_dict(data)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the data are not an exposure record of format {FORMAT}: {error!r}"
            ) from error

    @classmethod
    def _from_dict(cls, data: Mapping[str, Any]) -> ExposureRecord:
        fields = dict(data)
        if fields.pop("format") != FORMAT:
            raise ValueError(f"format {data['format']!r}")
        correction = fields["correction"]
        changed = {
            "identity": FileIdentity(**fields["identity"]),
            "verdict": Verdict(**fields["verdict"]),
            "correction": None if correction is None else Correction(**tupled(correction)),
            "keywords": tuple((k, v) for k, v in fields["keywords"]),
            "chips": tuple(ChipRecord.from_dict(chip) for chip in fields["chips"]),
        }
        return cls(**(fields | changed))
