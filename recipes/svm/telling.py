"""Files that tell of a visit: colour pictures, logs, figures of quality, manifest, outcome.

Not here: what stands in them (`hapdask.products.svm`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.photometry.fluxfactor import layer_photflams
from hapdask.products.fits_reader import open_fits
from hapdask.products.names import inside
from hapdask.products.overview import Overview, filter_wavelength, make_overview
from hapdask.products.preview import colour_picture
from hapdask.products.side_file import appearing
from hapdask.products.svm.logs import Log, log_text, manifest_text
from hapdask.products.svm.names import colour_names, exposure_names, manifest_name
from hapdask.products.svm.outcome import VisitOutcome, write_outcome
from hapdask.products.told import Told
from hapdask.recipes.pictures import choose_three
from hapdask.recipes.svm.ledger import content_of, digest_of
from hapdask.recipes.svm.mosaics import Studio
from hapdask.recipes.svm.products import DetectorRun, Product
from hapdask.recipes.svm.quality import write_quality

if TYPE_CHECKING:
    from hapdask.recipes.svm.visit import VisitMaking


def tell_visit(making: VisitMaking, studio: Studio, *, quality: bool) -> list[Path]:
    """Write the files that tell of a visit whose products are made; the outcome last.

    Returns
    -------
    list of Path

    Raises
    ------
    StoreError
        If a file cannot be written.
    """
    files: list[Path] = []
    if studio.pictures:
        for run in making.runs:
            files += colour_pictures(run, studio)
    if quality and making.alignment is not None:
        opened = {record.name: record for record in making.task.exposures}
        for run in making.runs:
            files += write_quality(run, opened, making.alignment, studio)
    files += write_logs(making, studio)
    made = [*making.made().files, *files]
    # before the manifest: as long as that is the old one, an interrupted run comes here again
    making.removed += studio.ledger.sweep([*made, *making.task.beside])
    studio.ledger.note(manifest_name(making.tree), "", files)
    manifest = inside(studio.out, manifest_name(making.tree))
    _write(manifest, manifest_text(path.name for path in made))
    return [*files, manifest, write_outcome(outcome_of(making), studio.out, overwrite=True)]


def colour_pictures(run: DetectorRun, studio: Studio) -> list[Path]:
    """Make the colour picture and thumbnail of a detector; none of fewer than two filters."""
    products = {p.mosaic.records[0].filter: p for p in run.products if p.kind == "filter"}
    if len(products) < 2:
        return []
    detector = run.product.detector
    ordered = sorted(products, key=lambda name: (filter_wavelength(name, detector), name))
    chosen = choose_three(ordered)
    name = colour_names(run.tree, run.product, list(chosen))
    members = [products[each] for each in chosen]
    digest = digest_of(content_of(p.made.files[1] for p in members), chosen)
    held = studio.ledger.holds(name.jpg, digest)
    if held is not None:
        return list(held)
    picture = colour_picture([overview_of(product) for product in members])
    files = [
        picture.save(inside(studio.out, name.jpg)),
        picture.thumbnail().save(inside(studio.out, name.thumbnail)),
    ]
    studio.ledger.note(name.jpg, digest, files)
    return files


def overview_of(product: Product) -> Overview:
    """Give the overview of a product: that of its making, or of its file."""
    return product.made.overview or make_overview(open_fits(product.made.files[0]))


def write_logs(making: VisitMaking, studio: Studio) -> list[Path]:
    """Write the log of every product, and of exposures that are aligned alone."""
    files = []
    for name, log in _logs(making, studio):
        path = inside(studio.out, name)
        _write(path, log_text(log))
        files.append(path)
    return files


def _logs(making: VisitMaking, studio: Studio) -> Iterator[tuple[str, Log]]:
    from hapdask import __version__

    attempts, software = _attempts(making), f"hapdask {__version__}"
    told = set()
    for run in making.runs:
        for product in run.products:
            mosaic = product.mosaic
            told.add(mosaic.name.trailer)
            yield (
                mosaic.name.trailer,
                Log(
                    product=mosaic.name.fits,
                    records=mosaic.records,
                    date=studio.date,
                    software=software,
                    parameters=Told.of_astrodrizzle(mosaic.resolved, mosaic.notes),
                    attempts=attempts,
                    notes=making.tree.notes,
                ),
            )
    for record in making.final_records():
        names = exposure_names(making.tree, record)
        if names.trailer not in told:
            yield (
                names.trailer,
                Log(
                    product=names.copy,
                    records=(record,),
                    date=studio.date,
                    software=software,
                    attempts=attempts,
                    notes=("aligned, and not drizzled",),
                ),
            )


def _attempts(making: VisitMaking) -> Mapping[str, Sequence[str]]:
    """Tell what was tried to align each exposure, a line each."""
    if making.alignment is None:
        return {}
    return {
        line.name: [
            f"{a.catalog or 'no catalog'}, {a.method} {a.geometry}: "
            f"{'accepted' if a.accepted else 'refused'}: {a.reason}"
            for a in line.attempts
        ]
        for line in making.alignment.lines
    }


def outcome_of(making: VisitMaking) -> VisitOutcome:
    """Put together what later mosaics need of a visit."""
    from hapdask import __version__

    made = making.made()
    release = made.told.get("release") or {}
    found = [steps for run in making.runs for steps in run.steps]
    scaled = [steps for steps in found if steps.run.parameters.general.flux_scaling]
    return VisitOutcome(
        tree=made.tree,
        records=made.records,
        release=str(release.get("digest", "")),
        photflam=layer_photflams(r for steps in scaled for r in steps.of_filter()),
        replaced_flags={
            name: steps.run.parameters.general.resetbits or 0
            for steps in found
            for name in steps.names
        },
        left_out=tuple((item.file, item.reason) for item in made.left_out),
        told={"alignment": made.told, "files": [path.name for path in made.files]},
        software=f"hapdask {__version__}",
    )


def _write(path: Path, text: str) -> None:
    with appearing(path, overwrite=True) as out:
        out.write(text.encode())
