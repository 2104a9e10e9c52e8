"""One drizzled product of a visit: its FITS file, preview and thumbnail, made in one pass.

The preview is summed up while the pixels are written, so that no product is read back.  Not here:
which records a product is made of (`steps`), its name and headers (`hapdask.products.svm`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.config.astrodrizzle_presets import ResolvedAstroDrizzle
from hapdask.drizzling.plan import Plan
from hapdask.drizzling.warm import compile_kernels
from hapdask.observe.record import ExposureRecord
from hapdask.products.blocks import Block, Blocks, Visitor
from hapdask.products.fits_export import write_blocks
from hapdask.products.names import ProductName, inside
from hapdask.products.overview import Overview, Overviewing
from hapdask.products.preview import grey_picture
from hapdask.recipes.astrodrizzle.final import final_blocks, plan_final
from hapdask.recipes.svm.ledger import Ledger, digest_of
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from distributed import Client

    from hapdask.drizzling.palette import Palette

#: Planes of the archive's products, beside CTX.
PLANES = ("sci", "wht")
#: HAPLEVEL of an exposure's product, and of one of several exposures.
OF_EXPOSURE, OF_VISIT = 1, 2


@dataclass(frozen=True, kw_only=True)
class Mosaic:
    """What one product is made of.

    Attributes
    ----------
    name : ProductName
    level : {1, 2}
        HAPLEVEL.
    records : tuple of ExposureRecord
        With sky levels, flux factors and masks, not stripped.
    frame : Frame
    resolved : ResolvedAstroDrizzle
        Of the final step; with what was done before it, and why not.
    notes : tuple of str
        For the header, one line each.
    """

    name: ProductName
    level: int
    records: tuple[ExposureRecord, ...]
    frame: Frame
    resolved: ResolvedAstroDrizzle
    notes: tuple[str, ...] = ()

    def plan(self, planes: Sequence[str]) -> Plan:
        """Plan its pixels; PlanError if no exposure reaches the frame."""
        figures = ("exptime",) if self.level == OF_VISIT else ()
        context = ("ctx",) * self.resolved.parameters.general.context
        variables = (*planes, *context, *figures)
        return plan_final(self.records, self.frame, self.resolved.parameters, variables)


@dataclass(frozen=True, kw_only=True)
class Studio:
    """Where products are made, and by whom.

    Attributes
    ----------
    out : Path
        Folder of the products.
    ledger : Ledger
    date : date
        Of all products of a visit, however often their making was interrupted.
    planes : tuple of str
        Beside CTX.
    copies : mapping of str to str
        Names of the aligned copies of exposures, by their names, where copies are made: headers
        tell these as inputs, for they have the WCS and the cosmic rays that the product has.
    pictures : bool
        Whether previews are made.
    threads : int
    client : distributed.Client or None
    """

    out: Path
    ledger: Ledger
    date: datetime.date
    planes: tuple[str, ...] = PLANES
    copies: Mapping[str, str] = field(default_factory=dict)
    pictures: bool = True
    threads: int = 1
    client: Client | None = None


@dataclass(frozen=True)
class Foreseen:
    """What the plan of a product said of its making."""

    tiles: int
    bytes_in: int
    bytes_out: int
    task_memory: int
    seconds: float


@dataclass(frozen=True)
class Made:
    """A product that is there: its files, that of FITS first, and whether they were before."""

    files: tuple[Path, ...]
    kept: bool
    foreseen: Foreseen
    overview: Overview | None = None


def make_mosaic(mosaic: Mosaic, studio: Studio) -> Made:
    """Make a product, unless it is there as it should be.

    Raises
    ------
    InputError
        If an input cannot be read.
    PlanError
        If no exposure reaches the frame.
    StoreError
        If a file cannot be written.
    """
    plan = mosaic.plan(studio.planes)
    digest, foreseen = _digest(mosaic, plan, studio), _foreseen(plan)
    held = studio.ledger.holds(mosaic.name.fits, digest)
    if held is not None:
        return Made(held, kept=True, foreseen=foreseen)
    compile_kernels(plan.patches, plan.parameters.kernel, plan.variables)
    used = {record.name for record in plan.exposures}
    blocks, source = final_blocks(
        plan,
        [record for record in mosaic.records if record.name in used],
        mosaic.resolved,
        mosaic.notes,
        threads=studio.threads,
        client=studio.client,
    )
    sums = Overviewing(plan.frame.shape)
    path = inside(studio.out, mosaic.name.fits)
    write_blocks(
        Blocks(blocks.frame, studio.planes, _watched(blocks, sums)),
        path,
        header_source=replace(source, level=mosaic.level, date=studio.date, files=studio.copies),
        context=mosaic.resolved.parameters.general.context,
        overwrite=True,
    )
    overview = sums.overview(plan.frame, _words(plan), source.flux_unit)
    files = (path, *_pictures(mosaic.name, overview, studio))
    studio.ledger.note(mosaic.name.fits, digest, files)
    return Made(files, kept=False, foreseen=foreseen, overview=overview)


def _foreseen(plan: Plan) -> Foreseen:
    figures = (plan.bytes_in, plan.bytes_out, plan.peak_memory, round(plan.seconds, 3))
    return Foreseen(len(plan.tiles), *figures)


def _watched(blocks: Blocks, sums: Overviewing) -> Callable[[Visitor], None]:
    """Let the overview see every block that is written."""

    def visit(visitor: Visitor) -> None:
        def both(block: Block, palette: Palette | None) -> None:
            visitor(block, palette)
            sums.add(block)

        blocks.visit(both)

    return visit


def _pictures(name: ProductName, overview: Overview, studio: Studio) -> list[Path]:
    if not studio.pictures:
        return []
    picture = grey_picture(overview)
    return [
        picture.save(inside(studio.out, name.jpg)),
        picture.thumbnail().save(inside(studio.out, name.thumbnail)),
    ]


def _words(plan: Plan) -> tuple[str, str, str]:
    layer = plan.layer
    return layer.instrument, layer.detector, layer.filter


def _digest(mosaic: Mosaic, plan: Plan, studio: Studio) -> str:
    """Hash all that the files depend on: pixels by the plan, headers by records and parameters."""
    resolved = mosaic.resolved
    return digest_of(
        [(tile.index, tile.digest) for tile in plan.tiles],
        [plan.frame.root_key, plan.frame.box],
        [_told(record) for record in mosaic.records],
        [resolved.parameters.values(), resolved.origin, resolved.ignored],
        [mosaic.level, mosaic.notes, studio.planes, studio.pictures, str(studio.date)],
        [studio.copies.get(record.name) for record in mosaic.records],
    )


def _told(record: ExposureRecord) -> list[object]:
    """Give what a header quotes of a record, beside what its pixels depend on."""
    chips = [[chip.extver, chip.sky, list(chip.keywords)] for chip in record.chips]
    return [record.digest, record.wcsname, list(record.keywords), chips]
