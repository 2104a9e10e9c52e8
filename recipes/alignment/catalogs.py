"""TweakReg's text catalogs of an alignment: sources, matches, residuals.

Not here: their columns (`hapdask.products.tweakreg.catalogs`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hapdask.astrometry.fitting.tweaked import TweakRegMatches
from hapdask.astrometry.headers.names import stem_of
from hapdask.products.tweakreg.catalogs import (
    FittedSources,
    MatchedSources,
    write_chip_catalog,
    write_fit,
    write_matches,
    write_reference_catalog,
    write_sky_catalog,
)
from hapdask.products.tweakreg.shifts import shift_of
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from hapdask.recipes.alignment.matches import Frames
    from hapdask.recipes.alignment.result import Aligned, Alignment


def write_catalogs(
    alignment: Alignment, frames: Frames, folder: Path, *, overwrite: bool
) -> list[Path]:
    """Write the catalogs that the parameters ask for; gives their paths."""
    options = next(iter(alignment.resolved.values())).options
    files: list[Path] = []
    for exposure in alignment:
        root = stem_of(exposure.opened.url)
        if options.general.writecat and len(exposure.sources):
            files += _write_sources(exposure, root, folder, overwrite)
        matches = frames.matches(exposure)
        if not options.general.clean and matches is not None and len(matches):
            frame = frames.of(exposure)
            matched = _matched(exposure, matches, frames.origin(exposure))
            files.append(write_matches(folder, root, matched, overwrite=overwrite))
            files.append(_write_fit(exposure, matches, matched, frame, folder, overwrite))
    if options.general.expand_refcat:
        files += _write_references(alignment, folder, overwrite)
    return files


def _write_sources(exposure: Aligned, root: str, folder: Path, overwrite: bool) -> list[Path]:
    sources, first = exposure.sources, 1
    files = []
    for extver in np.unique(sources.extver).tolist():
        mine = sources.take(sources.extver == extver)
        ids = np.arange(first, first + len(mine))
        first += len(mine)  # numbers run on across the chips
        files.append(
            write_chip_catalog(
                folder, root, extver, (mine.x, mine.y), mine.flux, ids, overwrite=overwrite
            )
        )
    sky = sources.sky(exposure.record)
    return [*files, write_sky_catalog(folder, root, sky, overwrite=overwrite)]


def _matched(exposure: Aligned, matches: TweakRegMatches, origin: str) -> MatchedSources:
    """Give the matches that the fit used."""
    used = matches.take(matches.used) if matches.used.any() else matches
    sources = exposure.sources.take(used.sources)
    return MatchedSources(
        reference=(used.reference[:, 0], used.reference[:, 1]),
        found=(used.found[:, 0], used.found[:, 1]),
        original=(sources.x, sources.y),
        reference_id=used.references + 1,
        found_id=used.sources + 1,
        extver=sources.extver,
        origin=origin,
    )


def _write_fit(
    exposure: Aligned,
    matches: TweakRegMatches,
    matched: MatchedSources,
    frame: Frame,
    folder: Path,
    overwrite: bool,
) -> Path:
    used = matches.take(matches.used) if matches.used.any() else matches
    shift = shift_of(exposure.opened.name, exposure.placement.correction, frame)
    x, y = used.residuals.std(axis=0) if len(used) else (0.0, 0.0)
    figures = (
        ("FIT RMS", f"{x:.6f} {y:.6f} pixels"),
        ("SHIFT", f"{shift.dx:.6f} {shift.dy:.6f} pixels"),
        ("ROTATION", f"{shift.rotation:.8f} degrees"),
        ("SCALE", f"{shift.scale:.10f}"),
        ("GEOMETRY", exposure.placement.geometry or "none"),
        ("STATUS", exposure.placement.status),
    )
    fitted = FittedSources(
        matched, (used.fitted[:, 0], used.fitted[:, 1]), (used.ra, used.dec), figures
    )
    return write_fit(folder, stem_of(exposure.opened.url), fitted, overwrite=overwrite)


def _write_references(alignment: Alignment, folder: Path, overwrite: bool) -> list[Path]:
    """Write the references as they grew, of fields aligned as TweakReg does."""
    files = []
    for placed in alignment.fields:
        if placed.run is None:
            continue
        stars = placed.run.references
        root = stem_of(placed.field.exposures[0].url)
        ids = np.arange(1, len(stars) + 1)
        flux = np.where(np.isfinite(stars.mag), 10.0 ** (-0.4 * stars.mag), 0.0)
        origin = [name.replace(" ", "_") or "-" for name in placed.run.origin]
        files.append(
            write_reference_catalog(
                folder, root, (stars.ra, stars.dec), flux, ids, origin, overwrite=overwrite
            )
        )
    return files
