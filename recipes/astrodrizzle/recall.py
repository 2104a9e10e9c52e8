"""What earlier runs measured, kept beside the products: sky, static masks, mean weights, masks.

A run with another final frame, or one that was interrupted, finds them there.  The key is a hash of
everything that they depend on, so nothing outdated is ever found.  A set with losses is not kept:
the next run tries again.
"""

from __future__ import annotations

import atexit
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.drizzling.cosmic_rays import Stack
from hapdask.drizzling.median import StackMember
from hapdask.drizzling.rejecting import KIND as COSMIC_RAYS
from hapdask.drizzling.sky_levels.solution import SkySolution
from hapdask.drizzling.static_mask import KIND as STATIC
from hapdask.errors import StoreError
from hapdask.observe.parts import MaskRef, tupled
from hapdask.observe.record import ExposureRecord
from hapdask.products.objects import Objects
from hapdask.recipes.astrodrizzle.measuring import Measured
from hapdask.recipes.astrodrizzle.planning import OF_PRODUCT
from hapdask.sky.frame import Frame

#: Raised when what is measured may differ for the same inputs.
_VERSION = "astrodrizzle-4"
#: Groups of parameters that the measured figures depend on.
_GROUPS = ("general", "static", "sky", "separate")
#: Parameters of other groups that they depend on.
_SINGLES = ("median", "driz_cr_single", "driz_cr_test")
_FILES = ("skyfile", "skymask_cat", "skyuser")

Records = tuple[ExposureRecord, ...]


class Recall:
    """The measurements kept in a folder.

    Parameters
    ----------
    where : path
    """

    def __init__(self, where: str | Path) -> None:
        self._objects = Objects(str(where))

    def measured(self, key: str, exposures: Records) -> Measured | None:
        """Give what was measured of these exposures; None where nothing, or not all, is there."""
        data = self._read(f"measured-{key}.json")
        if data is None:
            return None
        try:
            sky = SkySolution.from_dict(data["sky"])
            members = tuple(StackMember(**member) for member in data["members"])
            records = _with_masks(exposures, data["masks"])
            lone, empty = frozenset(data["lone"]), dict(data["empty"])
        except (KeyError, TypeError, ValueError, StoreError):
            return None
        if records is None:
            return None
        return Measured(sky.apply(records), members, sky, lone=lone, empty=empty)

    def keep_measured(self, key: str, measured: Measured) -> None:
        """Keep what was measured; StoreError if that cannot be written."""
        if not measured.left_out:
            self._write(
                f"measured-{key}.json",
                {
                    "sky": measured.sky.to_dict(),
                    "members": [asdict(member) for member in measured.members],
                    "masks": _masks_of(measured.exposures, (STATIC, COSMIC_RAYS)),
                    "lone": sorted(measured.lone),
                    "empty": dict(measured.empty),
                },
            )

    def rejected(self, key: str, exposures: Records) -> Records | None:
        """Give the exposures with the cosmic-ray masks that were found; None where they are not."""
        data = self._read(f"rejected-{key}.json")
        if data is None:
            return None
        try:
            return _with_masks(exposures, data["masks"])
        except (KeyError, TypeError, ValueError):
            return None

    def keep_rejected(self, key: str, exposures: Records) -> None:
        """Keep which masks belong to a stack; StoreError if that cannot be written."""
        self._write(f"rejected-{key}.json", {"masks": _masks_of(exposures, (COSMIC_RAYS,))})

    def _read(self, name: str) -> dict[str, Any] | None:
        raw = self._objects.get(name)
        try:
            data = None if raw is None else json.loads(raw)
        except ValueError:
            return None
        return data if isinstance(data, dict) else None

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        self._objects.put(name, json.dumps(data).encode())


def key_of_measured(
    exposures: Iterable[ExposureRecord], p: AstroDrizzleParameters, frame: Frame
) -> str:
    """Hash of all that sky levels, static masks and mean weights depend on."""
    values = {
        name: value
        for group in _GROUPS
        for name, value in asdict(getattr(p, group)).items()
        if name not in OF_PRODUCT
    }
    files = [_content(str(values[name]).removeprefix("@")) for name in _FILES]
    values |= {name: p.values()[name] for name in _SINGLES}
    return _hash([e.digest for e in exposures], values, files, _grid(frame))


def key_of_rejected(stack: Stack, frame: Frame, how: Iterable[object] = ()) -> str:
    """Hash of all that the masks of cosmic rays depend on."""
    settings = (asdict(stack.combination), asdict(stack.test), asdict(stack.parameters))
    members = [asdict(member) for member in stack.members]
    digests = [exposure.digest for exposure in stack.exposures]
    return _hash(digests, members, settings, _grid(frame), list(how))


def _grid(frame: Frame) -> list[object]:
    return [frame.root_key, frame.box]


def _hash(*parts: object) -> str:
    text = json.dumps([_VERSION, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _content(path: str) -> str:
    """Hash of a small file that a parameter names; its name where it is none."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""
    except OSError:
        return path


Masks = dict[str, list[dict[str, Any]]]


def _masks_of(exposures: Iterable[ExposureRecord], kinds: Collection[str]) -> Masks:
    """Masks of some kinds, by exposure."""
    return {
        e.name: [
            {"extver": chip.extver, "mask": asdict(mask)}
            for chip in e.chips
            for mask in chip.masks
            if mask.kind in kinds
        ]
        for e in exposures
    }


def _with_masks(exposures: Records, masks: Masks) -> Records | None:
    """Give exposures their masks again; None where one is not known, or a file is gone."""
    done = []
    for exposure in exposures:
        if exposure.name not in masks:
            return None
        record = exposure
        for data in masks[exposure.name]:
            mask = MaskRef(**tupled(data["mask"]))
            if not Path(mask.url).exists():
                return None
            record = record.with_mask(data["extver"], mask)
        done.append(record)
    return tuple(done)


def temporary_folder() -> Path:
    """Make a folder that stays as long as lazy images that need it may: to the end."""
    folder = mkdtemp(prefix="hapdask-")
    atexit.register(rmtree, folder, ignore_errors=True)
    return Path(folder)
