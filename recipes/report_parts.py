"""Parts that reports of runs and of stores share: lines of the report made from what recipes know.

Not here: which parts a report has (`run_report`, `store_report`), how it looks
(`hapdask.products.report`).
"""

from __future__ import annotations

import io
import logging
import os
import platform
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from hapdask.observe.exposure import Exposures
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import Verdict
from hapdask.products.receipts import Index, Receipt
from hapdask.products.report.model import (
    ChipLine,
    FileLine,
    InputLine,
    LayerLine,
    Outline,
    ParameterLine,
    PictureLine,
    PlaceLine,
)
from hapdask.products.report.words import size_text
from hapdask.recipes.reporting import LeftOut
from hapdask.recipes.sky_cells import Place
from hapdask.sky.footprint import Footprint
from hapdask.sky.frame import Frame

log = logging.getLogger(__name__)

#: Pictures in a report at most, and their longest side in pixels: some 30 kB each.
MOST_PICTURES = 60
PICTURE_SIDE = 480

_QUALITY = 82
_POINTS = 16  # kept of an outline
_DECIMALS = 6  # of a position in degrees: 4 mas
_KINDS = ("colour", "jpg", "png")
_PACKAGES = ("numpy", "numba", "astropy", "dask", "distributed", "xarray", "zarr")


def input_line(record: ExposureRecord, status: str, reason: str, remedy: str = "") -> InputLine:
    """Tell of an exposure."""
    used = status in ("accepted", "warning")
    return InputLine(
        file=record.url,
        status=status,
        reason=reason,
        remedy=remedy,
        name=record.name,
        layer=record.layer_name,
        target=record.target,
        proposal=record.proposal,
        wcsname=record.wcsname,
        unit=record.unit,
        exptime=record.exptime,
        start=record.expstart,
        chips=tuple(
            ChipLine(
                extver=chip.extver,
                sky=chip.sky,
                flux_factor=chip.flux_factor,
                masks=tuple(dict.fromkeys(mask.kind for mask in chip.masks)),
            )
            for chip in record.chips
        )
        * used,
        outline=outline_of(record.footprint) if used else (),
    )


def input_lines(
    given: Exposures,
    left_out: Sequence[LeftOut],
    used: Collection[str],
    masks: Iterable[tuple[str, Verdict]] = (),
) -> tuple[InputLine, ...]:
    """Give every file that was given, masks to look at, and failures that are of no file.

    Parameters
    ----------
    given : Exposures
        All inputs with their verdicts.
    left_out : sequence of LeftOut
    used : collection of str
        Names of the exposures that are in the products.
    masks : iterable of (str, Verdict)
        Address and verdict of masks and maps.
    """
    missing = {item.file: item for item in left_out}
    records: dict[str, deque[ExposureRecord]] = defaultdict(deque)
    for record in given:
        records[record.url].append(record)
    lines = []
    for url, verdict in given.verdicts:
        item = missing.get(url)
        if verdict.status == "rejected" or not records[url]:
            # a headerlet may be for none of the exposures
            spare = "idle" if verdict.status == "warning" else "unused"
            status = spare if item is None else "rejected"
            reason, remedy = (verdict.reason, "") if item is None else (item.reason, item.remedy)
            lines.append(InputLine(file=url, status=status, reason=reason, remedy=remedy))
        else:
            lines.append(_used(records[url].popleft(), item, used))
    lines += [
        InputLine(file=url, status="idle", reason=verdict.reason)
        for url, verdict in masks
        if verdict.status == "warning"
    ]
    told = {line.file for line in lines}
    lines += [
        InputLine(file=item.file, status="rejected", reason=item.reason, remedy=item.remedy)
        for item in left_out
        if item.file not in told
    ]
    return tuple(lines)


def _used(record: ExposureRecord, item: LeftOut | None, used: Collection[str]) -> InputLine:
    if record.name in used:
        # an input may fail in one layer's tiles only after others were made of it
        reason = record.verdict.reason if item is None else item.reason
        status = record.verdict.status if item is None else "warning"
        return input_line(record, status, reason, "" if item is None else item.remedy)
    if item is not None:
        return input_line(record, "rejected", item.reason, item.remedy)
    return input_line(record, "unused", "its layer was not asked for")


def outline_of(footprint: Footprint) -> Outline:
    """Keep some points of every polygon."""
    found = []
    for ra, dec in footprint.polygons:
        step = max(1, len(ra) // _POINTS)
        thin = (tuple(round(float(v), _DECIMALS) for v in values[::step]) for values in (ra, dec))
        found.append(tuple(thin))
    return tuple(found)  # type: ignore[arg-type]


def place_line(place: Place, scale: str) -> PlaceLine:
    """Tell of a place."""
    return PlaceLine(
        name=place.name,
        scale=scale,
        shape=place.window.shape,
        pixel_scale=place.window.pixel_scale,
        outline=outline_of(place.window.footprint),
    )


def with_depth(line: LayerLine, receipts: Iterable[Receipt], frame: Frame) -> LayerLine:
    """Add what the receipts of its finished tiles tell."""
    depth: Counter[int] = Counter()
    covered, weight, deepest = 0, 0.0, 0
    for receipt in receipts:
        figures = receipt.statistics
        pixels = int(figures.get("covered") or 0)
        covered += pixels
        weight += pixels * float(figures.get("mean_wht") or 0.0)
        deepest = max(deepest, int(figures.get("max_nexp") or 0))
        for n, count in figures.get("depth", ()):
            depth[int(n)] += int(count)
    return replace(
        line,
        covered=covered,
        area=covered * (frame.pixel_scale / 60.0) ** 2,
        mean_weight=weight / covered if covered else 0.0,
        deepest=deepest,
        depth=tuple(sorted(depth.items())),
    )


def finished_receipts(
    receipts: Iterable[Receipt | None], digests: Mapping[Index, str]
) -> list[Receipt]:
    """Keep the receipts of tiles that are as they should be."""
    return [r for r in receipts if r is not None and digests.get(r.index) == r.digest]


def parameter_lines(
    parameters: Mapping[str, tuple[Mapping[str, object], Mapping[str, str]]],
) -> tuple[ParameterLine, ...]:
    """Tell values and origins by layer; one line where both are those of several layers."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for layer, (values, origin) in sorted(parameters.items()):
        for name, value in values.items():
            key = (name, _value_text(value), origin.get(name, ""))
            lines.setdefault(key, []).append(layer)
    return tuple(
        ParameterLine(name=name, value=value, origin=place, layers=tuple(layers))
        for (name, value, place), layers in sorted(lines.items())
    )


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def file_line(
    path: Path, out: Path, kind: str, place: str, layer: str, scale: str, *, written: bool = False
) -> FileLine:
    """Tell of a file or of a folder (a zarr) below a root."""
    return FileLine(
        path=Path(os.path.relpath(path, out)).as_posix(),
        kind=kind,
        place=place,
        layer=layer,
        scale=scale,
        size=_size(path),
        written=written,
    )


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    return sum(
        Path(folder, name).stat().st_size for folder, _, names in os.walk(path) for name in names
    )


def picture_lines(files: Sequence[FileLine], out: Path) -> tuple[tuple[PictureLine, ...], int]:
    """Make small pictures of the pictures among some files; also count those left out.

    Colour pictures come first; a layer that has JPEG and PNG is shown once, and one that cannot be
    read is passed over.
    """
    shown: dict[tuple[str, str, str, bool], FileLine] = {}
    for file in sorted((f for f in files if f.kind in _KINDS), key=lambda f: _KINDS.index(f.kind)):
        shown.setdefault((file.place, file.layer, file.scale, file.kind == "colour"), file)
    chosen = list(shown.values())
    pictures = (_picture(file, out) for file in chosen[:MOST_PICTURES])
    return tuple(p for p in pictures if p is not None), max(len(chosen) - MOST_PICTURES, 0)


def _picture(file: FileLine, out: Path) -> PictureLine | None:
    from PIL import Image

    try:
        with Image.open(out / file.path) as image:
            image.draft("RGB", (PICTURE_SIDE, PICTURE_SIDE))  # a JPEG is decoded small
            small = image.convert("RGBA")
    except (OSError, Image.DecompressionBombError) as error:
        log.warning("%s is not shown: %s", out / file.path, error)
        return None
    small.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.BOX)
    ground = Image.new("RGBA", small.size, "black")
    buffer = io.BytesIO()
    Image.alpha_composite(ground, small).convert("RGB").save(
        buffer, format="jpeg", quality=_QUALITY, optimize=True
    )
    title = f"{file.layer}, {file.scale}" if file.scale != "custom" else file.layer
    return PictureLine(
        place=file.place,
        title=title,
        href=file.path,
        width=small.width,
        height=small.height,
        data=buffer.getvalue(),
    )


def versions() -> dict[str, str]:
    """Tell the versions of what made the products."""
    from hapdask import __version__

    found = {"hapdask": __version__, "Python": sys.version.split()[0]}
    return found | {name: metadata.version(name) for name in _PACKAGES}


def machine_lines(threads: int, workers: str) -> dict[str, str]:
    """Tell who made the products: threads of this process, or ``workers``."""
    told = {
        "made by": f"{threads} threads" if workers == "threads" else workers,
        "cores": str(os.cpu_count() or 1),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if memory := _peak_memory():
        told["peak memory"] = size_text(memory)
    return told


def _peak_memory() -> int:
    """Give the most that this process ever held, bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024
