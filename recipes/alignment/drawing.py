"""Pictures of an alignment under TweakReg's names.

Not here: how they are drawn (`hapdask.products.alignment.plots`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.astrometry.fitting.tweaked import TweakRegMatches
from hapdask.astrometry.headers.names import stem_of
from hapdask.products.alignment.plots import (
    ResidualPoints,
    draw_offsets,
    draw_residuals,
    draw_vectors,
    write_picture,
)

if TYPE_CHECKING:
    from hapdask.recipes.alignment.matches import Frames
    from hapdask.recipes.alignment.result import Aligned, Alignment


def write_pictures(
    alignment: Alignment, frames: Frames, folder: Path, *, overwrite: bool
) -> list[Path]:
    """Write the pictures that the parameters ask for; gives their paths."""
    options = next(iter(alignment.resolved.values())).options.plots
    files: list[Path] = []
    for exposure in alignment:
        root, scale = stem_of(exposure.opened.url), frames.of(exposure).pixel_scale
        histogram = frames.histogram(exposure) if options.see2dplot else None
        if histogram is not None:
            title = f"{root}: offsets of all pairs, by the header"
            figure = draw_offsets(histogram, title, scale, labelsize=options.labelsize)
            files.append(write_picture(folder, f"hist2d_{root}.png", figure, overwrite=overwrite))
        matches = frames.matches(exposure)
        if matches is None or not len(matches) or options.residplot == "none":
            continue
        points = _points(exposure, matches, root, scale)
        if options.residplot in ("both", "vector"):
            figure = draw_vectors(points, labelsize=options.labelsize)
            files.append(write_picture(folder, f"vector_{root}.png", figure, overwrite=overwrite))
        if options.residplot in ("both", "residuals"):
            figure = draw_residuals(
                points,
                bins=options.nbins,
                ylimit=None if options.ylimit is None else 1000.0 * scale * options.ylimit,
                labelsize=options.labelsize,
            )
            name = f"residuals_{root}.png"
            files.append(write_picture(folder, name, figure, overwrite=overwrite))
    return files


def _points(exposure: Aligned, matches: TweakRegMatches, root: str, scale: float) -> ResidualPoints:
    residuals = 1000.0 * scale * matches.residuals
    used = matches.used
    rms = residuals[used].std(axis=0) if used.any() else residuals.std(axis=0)
    count = (
        f"{int(used.sum())} of {len(used)} matches" if not used.all() else f"{len(used)} matches"
    )
    title = f"{root}: {exposure.placement.status}, {count}, rms {rms[0]:.2f}, {rms[1]:.2f} mas"
    return ResidualPoints(title, matches.reference, residuals, used)
