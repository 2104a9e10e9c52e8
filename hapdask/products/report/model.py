"""What a report of a run holds: plain data that recipes fill and that is written as JSON.

Paths of products are relative to the report; sky positions are ICRS degrees.  Not here: where the
figures come from (`hapdask.recipes.run_report`, `store_report`), and how they look (`render`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from types import UnionType
from typing import Any, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from hapdask.errors import StoreError

#: Version of the JSON form.
FORMAT = 1

T = TypeVar("T")
Polygon = tuple[tuple[float, ...], tuple[float, ...]]
Outline = tuple[Polygon, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipLine:
    """One chip as it was used.

    Attributes
    ----------
    extver : int
    sky : float
        Subtracted per pixel, in the unit of the input.
    flux_factor : float
    masks : tuple of str
        Their kinds.
    """

    extver: int
    sky: float
    flux_factor: float
    masks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLine:
    """One file that was given, and what became of it.

    Attributes
    ----------
    file : str
    status : str
        ``accepted``, ``warning`` (used, but look at it), ``rejected`` (left out), ``unused``
        (not needed, for example a FLT beside its FLC) or ``idle`` (a mask or headerlet that is
        for none of the exposures).
    reason, remedy : str
    name, layer, target, proposal, wcsname, unit : str
        Empty where the file could not be opened.
    exptime : float, s
    start : float, MJD
    chips : tuple of ChipLine
    outline : tuple of (ra, dec)
        Polygons of the chips.
    """

    file: str
    status: str
    reason: str = ""
    remedy: str = ""
    name: str = ""
    layer: str = ""
    target: str = ""
    proposal: str = ""
    wcsname: str = ""
    unit: str = ""
    exptime: float = 0.0
    start: float = 0.0
    chips: tuple[ChipLine, ...] = ()
    outline: Outline = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceLine:
    """A sky cell at one scale, or a custom frame, and its outline."""

    name: str
    scale: str
    shape: tuple[int, int]
    pixel_scale: float
    outline: Outline = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLine:
    """One layer at one place: the plan against what was done.

    Attributes
    ----------
    place, layer, scale, store : str
    exposures, tiles : int
        Planned.
    finished : int
        Tiles that are there.
    made : int or None
        Tiles made by the run; None where no run is known.
    left_out : int
        Inputs that turned out to be unusable while tiles were made.
    bytes_in, bytes_out : int
        Planned for all tiles: read, and written before compression; 0 where not known.
    task_memory : int
        Planned: held at most by one task.
    seconds_planned, seconds_taken : float or None
        Of the tiles made, summed over tasks.
    covered : int
        Pixels with data in those tiles.
    area : float, arcmin2
        Of these pixels.
    mean_weight : float
    depth : tuple of (int, int)
        Numbers of exposures, and pixels that have so many; empty where not known.
    deepest : int
    """

    place: str
    layer: str
    scale: str
    store: str
    exposures: int
    tiles: int
    finished: int
    made: int | None = None
    left_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    task_memory: int = 0
    seconds_planned: float | None = None
    seconds_taken: float | None = None
    covered: int = 0
    area: float = 0.0
    mean_weight: float = 0.0
    depth: tuple[tuple[int, int], ...] = ()
    deepest: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from other lines."""
        return (self.place, self.layer, self.scale)

    @property
    def mean_depth(self) -> float | None:
        """Mean number of exposures of the pixels with data."""
        pixels = sum(count for _, count in self.depth)
        return sum(n * count for n, count in self.depth) / pixels if pixels else None

    @property
    def median_depth(self) -> int | None:
        """Median (low) number of exposures of the pixels with data."""
        pixels, seen = sum(count for _, count in self.depth), 0
        for n, count in sorted(self.depth):
            seen += count
            if 2 * seen >= pixels:
                return n
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterLine:
    """A parameter, its value, where that came from, and for which layers it holds."""

    name: str
    value: str
    origin: str
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLine:
    """One try to align an exposure, and why it was accepted or refused; rms in mas."""

    catalog: str
    method: str
    geometry: str
    matches: int
    rms: float | None
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentLine:
    """The alignment of one exposure; figures in mas, None where there are none.

    Attributes
    ----------
    name, visit, detector, status, reason, catalog, method, geometry, guiding, wcsname : str
    matches : int
    rms, error, moved : float or None
        Of the fit; stated error; distance from the header.
    attempts : tuple of AttemptLine
    catalogs : tuple of str
        What became of every catalog that was asked.
    """

    name: str
    visit: str
    detector: str
    status: str
    reason: str
    catalog: str = ""
    method: str = ""
    geometry: str = ""
    guiding: str = ""
    wcsname: str = ""
    matches: int = 0
    rms: float | None = None
    error: float | None = None
    moved: float | None = None
    attempts: tuple[AttemptLine, ...] = ()
    catalogs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLine:
    """A product: ``path`` is relative to the report, ``written`` whether this run wrote it."""

    path: str
    kind: str
    place: str
    layer: str
    scale: str
    size: int
    written: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLine:
    """A picture that is shown: JPEG data, and the file (relative) that it was made from."""

    place: str
    title: str
    href: str
    width: int
    height: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """All that is told of a run, or of a store.

    Attributes
    ----------
    title : str
    finished : str
        When, ISO 8601, UTC; empty where no run is known.
    command : str
    seconds : mapping of str to float
        Wall time by part.
    machine : mapping of str to str
        Threads, cores, memory, ...
    versions : mapping of str to str
    inputs, parameters, places, layers, alignments, files, pictures
    pictures_more : int
        Pictures that are not shown, to keep the report small.
    """

    title: str
    finished: str = ""
    command: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[InputLine, ...] = ()
    parameters: tuple[ParameterLine, ...] = ()
    places: tuple[PlaceLine, ...] = ()
    layers: tuple[LayerLine, ...] = ()
    alignments: tuple[AlignmentLine, ...] = ()
    files: tuple[FileLine, ...] = ()
    pictures: tuple[PictureLine, ...] = ()
    pictures_more: int = 0

    def inputs_of(self, *statuses: str) -> tuple[InputLine, ...]:
        """Give the inputs of some statuses."""
        return tuple(line for line in self.inputs if line.status in statuses)

    @property
    def complete(self) -> bool:
        """Whether every tile is there and no input was left out."""
        there = all(line.finished == line.tiles for line in self.layers)
        return there and not self.inputs_of("rejected")

    def to_json(self) -> str:
        """Write the JSON form; pictures without their data."""
        content = {"format": FORMAT, **asdict(self)}
        for picture in content["pictures"]:
            del picture["data"]
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read the JSON form.

        Raises
        ------
        StoreError
            If it is damaged or of another version.
        """
        try:
            content = json.loads(text)
            if content.pop("format") != FORMAT:
                raise ValueError("another version")
            return _made(cls, content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(f"the report is damaged: {error!r} (make it again)") from error


def _made(kind: type[T], content: Any) -> T:
    """Rebuild a dataclass of plain data, and what is in it."""
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(content) - known:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], value) for name, value in content.items()})


def _value(hint: Any, value: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return None if value is None else _value(inner[0], value)
    if origin is tuple:
        of = inner if inner[-1] is not Ellipsis else (inner[0],) * len(value)
        return tuple(_value(h, v) for h, v in zip(of, value, strict=True))
    if origin is not None:  # a mapping of plain values
        return dict(value)
    if isinstance(hint, type) and is_dataclass(hint):
        return _made(hint, value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint):
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return value
