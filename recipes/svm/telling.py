"""Files that tell of a visit: colour pictures, trailers, figures of quality, outcome, manifest.

Not here: what stands in them (`hapdask.products.svm`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hapdask.photometry.fluxfactor import layer_photflams
from hapdask.products.fits_reader import open_fits
from hapdask.products.names import inside
from hapdask.products.overview import Overview, filter_wavelength, make_overview
from hapdask.products.preview import colour_picture
from hapdask.products.svm.names import colour_names, manifest_name
from hapdask.products.svm.outcome import VisitOutcome, write_outcome
from hapdask.recipes.pictures import choose_three
from hapdask.recipes.svm.ledger import content_of, digest_of
from hapdask.recipes.svm.mosaics import Studio
from hapdask.recipes.svm.products import DetectorRun, Product

if TYPE_CHECKING:
    from hapdask.recipes.svm.visit import VisitMaking


def tell_visit(making: VisitMaking, studio: Studio) -> list[Path]:
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
    files.append(write_manifest(making, studio, files))
    return [*files, write_outcome(outcome_of(making), studio.out, overwrite=True)]


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


def outcome_of(making: VisitMaking) -> VisitOutcome:
    """Put together what later mosaics need of a visit."""
    from hapdask import __version__

    made = making.made()
    release = made.alignment.get("release") or {}
    found = [steps for run in making.runs for steps in run.steps]
    scaled = [steps for steps in found if steps.run.parameters.general.flux_scaling]
    return VisitOutcome(
        tree=made.tree,
        records=made.records,
        release=str(release.get("digest", "")),
        photflam=layer_photflams(r for steps in scaled for r in steps.of_filter()),
        left_out=tuple((item.file, item.reason) for item in made.left_out),
        told={"alignment": made.alignment, "files": [path.name for path in made.files]},
        software=f"hapdask {__version__}",
    )


def write_manifest(making: VisitMaking, studio: Studio, others: Sequence[Path]) -> Path:
    """Write the names of all files of a visit, one a line."""
    from hapdask.products.side_file import appearing

    path = inside(studio.out, manifest_name(making.tree))
    names = [file.name for file in (*making.made().files, *others)]
    with appearing(path, overwrite=True) as out:
        out.write("".join(f"{name}\n" for name in names).encode())
    return path
