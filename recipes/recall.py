"""What earlier runs measured, kept beside the store: sky levels, PHOTFLAM of each layer, masks.

A layer's PHOTFLAM is frozen when it is first made, so that a later visit moves nothing
(science.md "One photometric system per layer").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from hapdask.config import Resolved
from hapdask.errors import StoreError
from hapdask.observe.record import ExposureRecord
from hapdask.products.objects import Objects
from hapdask.products.provenance import read_record, write_records

_PHOTFLAM = "photflam.json"


class Recall:
    """The measurements kept below the root of a store.

    Attributes
    ----------
    root : str
    masks : str
        Folder for masks and inverse-variance maps by chip.
    """

    def __init__(self, out: str | Path) -> None:
        self.root = str(Path(out) / "records")
        self.masks = str(Path(out) / "records" / "masks")

    def sky(self, exposure: ExposureRecord, resolved: Resolved) -> ExposureRecord | None:
        """Return the exposure as it was measured; None if a file of its has changed.

        Masks do not enter: no sky level depends on them (`hapdask.drizzling.sky`).
        """
        before = read_record(self._skies(resolved), exposure.name)
        return before if before is not None and _files(before) == _files(exposure) else None

    def photflams(self) -> dict[str, float]:
        """Return the PHOTFLAM of every layer made so far, by layer name.

        Raises
        ------
        StoreError
            If the file is damaged.
        """
        data = Objects(self.root).get(_PHOTFLAM)
        if data is None:
            return {}
        try:
            return {str(layer): float(value) for layer, value in json.loads(data).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise StoreError(f"{self.root}/{_PHOTFLAM} is damaged: {error} (restore it)") from error

    def remember_skies(
        self, exposures: Iterable[ExposureRecord], parameters: Mapping[str, Resolved]
    ) -> None:
        """Keep the sky levels of some exposures."""
        by_layer: dict[str, list[ExposureRecord]] = {}
        for exposure in exposures:
            by_layer.setdefault(exposure.layer_name, []).append(exposure.strip())
        for layer, members in by_layer.items():
            write_records(self._skies(parameters[layer]), members)

    def remember_photflams(self, photflams: Mapping[str, float]) -> None:
        """Freeze the PHOTFLAM of layers; those known before stay as they are."""
        known = self.photflams()
        merged = {**photflams, **known}
        if merged != known:
            text = json.dumps(merged, sort_keys=True, indent=1)
            Objects(self.root).put(_PHOTFLAM, text.encode() + b"\n")

    def _skies(self, resolved: Resolved) -> Objects:
        p = resolved.parameters
        system = "flux" if p.flux_scaling else "counts"
        return Objects(f"{self.root}/levels-{p.sky}-{p.good_bits}-{system}")


def _files(exposure: ExposureRecord) -> tuple[object, ...]:
    """Identities of the files that an exposure's pixels and flags come from."""
    sources = (s for c in exposure.chips for s in (c.sci, c.dq) if s is not None)
    return (exposure.identity, *(s.identity for s in sources))
