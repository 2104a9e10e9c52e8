"""A report as one HTML file, without scripts or anything from elsewhere, and as JSON beside it.

Everything that comes from files or users is escaped by the template engine; links are relative
and quoted.  Not here: what is told (`model`), markup (`templates`).
"""

from __future__ import annotations

import base64
import logging
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hapdask.errors import StoreError
from hapdask.products.objects import storage_errors
from hapdask.products.report.model import (
    FileLine,
    InputLine,
    LayerLine,
    PictureLine,
    RunReport,
)
from hapdask.products.report.sky_map import SIDE, sky_maps
from hapdask.products.report.words import count_text, date_text, number_text, size_text, time_text

if TYPE_CHECKING:
    from jinja2 import Environment

log = logging.getLogger(__name__)

HTML = "report.html"
JSON = "report.json"

#: Colours of layers, told apart by people with any colour vision on light and dark ground.
_COLOURS = 8
#: Bars of a histogram at most, and the height of the highest, pixels.
_BARS = 30
_BAR_HEIGHT = 34


def render(report: RunReport) -> str:
    """Make the HTML of a report."""
    maps, maps_more = sky_maps(report.places, report.inputs)
    counts = {s: len(report.inputs_of(s)) for s in ("accepted", "warning", "rejected", "idle")}
    names = sorted({line.layer for line in report.inputs if line.layer})
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        maps=maps,
        maps_more=maps_more,
        side=SIDE,
        colours={name: number % _COLOURS for number, name in enumerate(names)},
        counts=counts,
        notes=counts["warning"] + counts["idle"],
        places=_by_place(report),
        layer_count=len({line.layer for line in report.layers}),
        totals=_totals(report.layers),
        home=_home(report.inputs),
        used=[line for line in report.inputs if line.chips],
    )


def write_report(report: RunReport, folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` and ``report.json`` into a folder; each appears whole.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    StoreError
        If they cannot be written.
    """
    folder = Path(folder)
    with storage_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / JSON, report.to_json())
        _write(folder / HTML, render(report))
    return folder / HTML


def read_report(folder: str | os.PathLike[str]) -> RunReport | None:
    """Read the ``report.json`` of a folder; None if there is none.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    path = Path(folder) / JSON
    with storage_errors(str(path)):
        try:
            return RunReport.from_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from error


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        # file names may hold bytes that are no text
        part.write_bytes(text.encode("utf-8", "backslashreplace"))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    log.info("wrote %s", path)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hapdask.products.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "size": size_text,
        "time": time_text,
        "count": count_text,
        "number": number_text,
        "href": href,
        "date": date_text,
        "data_uri": _data_uri,
        "depth_bars": depth_bars,
        "folder": _folder,
        "file_name": lambda path: path[len(_folder(path)) :],
    }
    return environment


def _folder(path: str) -> str:
    return path[: path.rstrip("/").rfind("/") + 1]


def _home(inputs: Sequence[InputLine]) -> str:
    """Give the folder of most inputs."""
    folders = Counter(_folder(line.file) for line in inputs if line.file)
    return folders.most_common(1)[0][0] if folders else ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a histogram: what it counts, its part of all, its height in pixels."""

    label: str
    percent: str
    height: int


def depth_bars(line: LayerLine) -> list[Bar]:
    """Make the histogram of a layer's depth; neighbours are joined where there are many.

    Examples
    --------
    >>> line = LayerLine(
    ...     place="", layer="", scale="", store="", exposures=2, tiles=1, finished=1,
    ...     depth=((1, 300), (3, 100)),
    ... )
    >>> [(bar.label, bar.percent) for bar in depth_bars(line)]
    [('1', '75.0'), ('2', '0.0'), ('3', '25.0')]
    """
    if not line.depth:
        return []
    counts = dict(line.depth)
    first, last = min(counts), max(counts)
    step = -(-(last - first + 1) // _BARS)
    total, bars = sum(counts.values()), []
    for low in range(first, last + 1, step):
        high = min(low + step - 1, last)
        bars.append((low, high, sum(counts.get(n, 0) for n in range(low, high + 1))))
    most = max(pixels for *_, pixels in bars)
    return [
        Bar(
            f"{low}" if low == high else f"{low}-{high}",
            f"{100 * pixels / total:.1f}",
            round(_BAR_HEIGHT * pixels / most),
        )
        for low, high, pixels in bars
    ]


@dataclass(frozen=True, slots=True)
class PlaceGroup:
    """What is shown together: the pictures and files of one place."""

    name: str
    pictures: tuple[PictureLine, ...]
    files: tuple[FileLine, ...]


def _by_place(report: RunReport) -> list[PlaceGroup]:
    names = dict.fromkeys(line.place for lines in (report.pictures, report.files) for line in lines)
    return [
        PlaceGroup(
            name,
            tuple(p for p in report.pictures if p.place == name),
            tuple(f for f in report.files if f.place == name),
        )
        for name in names
    ]


def _totals(layers: Iterable[LayerLine]) -> dict[str, float | None]:
    lines = list(layers)

    def total(name: str) -> Any:
        values = [getattr(line, name) for line in lines]
        known = [value for value in values if value is not None]
        return sum(known) if known else None

    names = ("tiles", "finished", "made", "bytes_in", "bytes_out", "left_out")
    times = ("seconds_planned", "seconds_taken")
    return {name: total(name) for name in (*names, *times)}


def _data_uri(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def href(path: str) -> str:
    """Make a relative link of a relative path; no path can be taken for a scheme.

    Examples
    --------
    >>> href("a b/c#1.fits")
    './a%20b/c%231.fits'
    """
    return "./" + quote(path.encode("utf-8", "surrogateescape"))
