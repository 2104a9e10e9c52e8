"""What an alignment will do, decided from headers alone.

What contradicts itself is refused here, before any pixel is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hapdask.astrometry.references.files import FileSource
from hapdask.astrometry.references.finding import Source, source_of
from hapdask.astrometry.references.tables import read_table
from hapdask.astrometry.solution.release import Release
from hapdask.astrometry.sources import SourceList
from hapdask.config.tweakreg import TweakRegParameters
from hapdask.config.tweakreg_presets import ResolvedAlignment, load_align
from hapdask.errors import InputError, ParameterError, PlanError
from hapdask.observe.exposure import Exposures, open_exposures
from hapdask.observe.masking.sources import Masks, MaskSource, list_sources
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.alignment.fields import Field, fields_of
from hapdask.recipes.alignment.given import read_exclusions, read_given
from hapdask.recipes.alignment.images import image_source
from hapdask.recipes.alignment.outages import Outages
from hapdask.recipes.alignment.referring import Library, library_of_release
from hapdask.recipes.alignment.releases import read_release
from hapdask.recipes.reporting import LeftOut, none_left, rejected

Files = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks of an alignment; see `hapdask.recipes.alignment.run.align`."""

    preset: str = "default"
    file: str | Path | None = None
    overrides: Mapping[str, object]
    refcat: object = None
    exclude: Masks = ()
    sources: Mapping[str, object]
    published: Release | str | Path | None = None
    outages: Outages | None = None


@dataclass(frozen=True, kw_only=True)
class Planned:
    """An alignment, planned.

    Attributes
    ----------
    exposures : Exposures
        As opened, in the order given.
    fields : tuple of Field
    by_detector : dict of str to ResolvedAlignment
        Parameters by ``instrument/detector``.
    library : Library
        Where reference stars come from.
    exclude : tuple of MaskSource
    sources : dict of str to SourceList
        That users gave, by the name of the exposure.
    release : Release or None
        That is held.
    asked : bool
        Whether the user named reference stars, so that an alignment without them has failed.
    left_out : tuple of LeftOut
    """

    exposures: Exposures
    fields: tuple[Field, ...]
    by_detector: dict[str, ResolvedAlignment]
    library: Library
    exclude: tuple[MaskSource, ...]
    sources: dict[str, SourceList]
    release: Release | None
    asked: bool
    left_out: tuple[LeftOut, ...]

    def of(self, exposure: ExposureRecord) -> ResolvedAlignment:
        """Parameters of an exposure."""
        return self.by_detector[detector_of(exposure)]

    @property
    def options(self) -> TweakRegParameters:
        """Those of the first exposure's detector, for what holds for all."""
        return self.of(self.exposures[0]).options

    @property
    def joint(self) -> bool:
        """Whether exposures are solved together."""
        return self.options.general.joint

    @property
    def guiding(self) -> bool:
        """Whether guiding is looked at."""
        return self.options.general.guiding

    @cached_property
    def held(self) -> frozenset[str]:
        """Exposures that the published release has."""
        release = self.release
        return frozenset(
            e.name for e in self.exposures if release is not None and e.name in release
        )

    def library_of(self, field: Field) -> Library:
        """Where the stars of a field come from, with what its detector needs."""
        first = self.of(field.exposures[0])
        return self.library.needing(first.matching)


def plan_alignment(
    given: Files | Iterable[Files] | Iterable[ExposureRecord], request: Request
) -> Planned:
    """Plan an alignment.

    Raises
    ------
    PlanError
        If no exposure can be used, or two have one name.
    ParameterError
        If parameters are unknown or contradict each other, or a record is corrected already.
    InputError
        If a file that a parameter names cannot be used.
    """
    opened = _opened(given)
    left_out = tuple(rejected(opened))
    if not opened:
        raise none_left(left_out)
    _check(opened)
    release = read_release(request.published)
    first = _resolve(opened[0], request).options
    wanted = _wanted(request, first, opened)
    by_detector = {
        detector_of(e): _resolve(e, request) for e in {detector_of(e): e for e in opened}.values()
    }
    matching = by_detector[detector_of(opened[0])].matching
    library = Library(
        sources=wanted,
        minimum=matching.least(matching.geometries[0]),
        radius=matching.searchrad,
        offline=first.general.offline,
        brightest=first.reference.rmaxflux,
        faintest=first.reference.rminflux,
        most=first.reference.refnbright or 0,
        outages=request.outages or Outages(),
    ).then(library_of_release(release, None))
    return Planned(
        exposures=opened,
        fields=tuple(fields_of(opened, together=request.preset == "tweakreg")),
        by_detector=by_detector,
        library=library,
        exclude=(
            *list_sources(request.exclude),
            *read_exclusions(first.general.exclusions, opened),
        ),
        sources=read_given(opened, request.sources, first.sources),
        release=release,
        asked=request.refcat is not None or bool(first.reference.refcat or first.general.refimage),
        left_out=left_out,
    )


def detector_of(exposure: ExposureRecord) -> str:
    """Name instrument and detector: ``wfc3/uvis``."""
    return f"{exposure.instrument}/{exposure.detector}"


def _resolve(exposure: ExposureRecord, request: Request) -> ResolvedAlignment:
    return load_align(
        exposure.instrument,
        exposure.detector,
        pixel_scale=exposure.chips[0].distortion.pixel_scale,
        preset=request.preset,
        file=request.file,
        overrides=request.overrides,
    )


def _opened(given: Files | Iterable[Files] | Iterable[ExposureRecord]) -> Exposures:
    if isinstance(given, Exposures):
        return given
    items = [given] if isinstance(given, str | os.PathLike) else list(given)
    records = [item for item in items if isinstance(item, ExposureRecord)]
    files = [item for item in items if not isinstance(item, ExposureRecord)]
    if records and files:
        raise ParameterError("give files, or exposures that are open, not both")
    if files:
        return open_exposures(files, select=False)
    return Exposures(records, ((e.url, e.verdict) for e in records))


def _check(opened: Exposures) -> None:
    """Refuse records that cannot be aligned as they are."""
    names: dict[str, str] = {}
    for e in opened:
        if e.correction is not None:
            raise ParameterError(f"{e.name} is corrected already; give the record as it was opened")
        if e.name in names:
            raise PlanError(f"{e.url} and {names[e.name]} are both exposure {e.name}: give one")
        names[e.name] = e.url


def _wanted(request: Request, options: TweakRegParameters, opened: Exposures) -> tuple[Source, ...]:
    """Give the sources of reference stars, in order."""
    image = options.general.refimage
    given = request.refcat if request.refcat is not None else (options.reference.refcat or None)
    if image and given is not None:
        raise ParameterError("refimage and refcat contradict each other here: give one of them")
    if image:
        return (image_source(image, opened),)
    if given is None:
        if not options.general.services:
            return ()
        found = _resolve(opened[0], request).matching
        return tuple(source_of(name) for name in found.catalogs)
    several = isinstance(given, Sequence) and not isinstance(given, str)
    return tuple(_source(each, options) for each in (given if several else [given]))  # type: ignore[attr-defined]


def _source(given: object, options: TweakRegParameters) -> Source:
    """Make a source; of a file with the columns that the user names."""
    source = source_of(given)
    if isinstance(source, FileSource) and not source.is_remote and not Path(source.path).exists():
        raise InputError(source.path, "there is no such reference catalog", remedy="check the path")
    reference = options.reference
    named = {
        field: column
        for field, column in (
            ("ra", reference.refxcol),
            ("dec", reference.refycol),
            ("mag", reference.rfluxcol),
        )
        if column
    }
    if named and isinstance(source, FileSource):
        columns = _named_columns(source.path, named)
        return FileSource(source.path, columns=columns, catalog=source.catalog)
    return source


def _named_columns(path: str, given: Mapping[str, str]) -> dict[str, str]:
    """Name the columns that are given by their number from 1."""
    if not any(column.isdecimal() for column in given.values()):
        return dict(given)
    names = read_table(path).colnames
    return {
        field: names[int(column) - 1]
        if column.isdecimal() and column not in names and 0 < int(column) <= len(names)
        else column
        for field, column in given.items()
    }
