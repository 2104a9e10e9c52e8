"""``hapdask export``: files from stored mosaics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hapdask.cli import options
from hapdask.cli.console import show_json
from hapdask.cli.groups import Fits, spelt_out
from hapdask.cli.reports import file_documents, show_files
from hapdask.cli.runs import resumable


@spelt_out
def export(
    store: Annotated[
        Path,
        typer.Argument(
            metavar="STORE", help="The DIR of mosaic -o DIR, a layer in it, or an exported zarr."
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where files go.")],
    fits: Fits,
    cell: Annotated[
        list[str] | None,
        typer.Option("--cell", metavar="NAME", help="Only this sky cell; may be repeated."),
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option(
            "--format", metavar="fits|jpg|png|zarr", help="May be repeated (default: fits)."
        ),
    ] = None,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Write FITS files with the archive's names, pictures or plain zarr from stored mosaics.

    All layers of a sky cell are trimmed to the box that holds their data. Files that are up to
    date are not written again.
    """
    from hapdask.cli.progress import ProgressView
    from hapdask.cli.reading import read_cells
    from hapdask.products.fits_export import FitsOptions
    from hapdask.recipes.export import FORMATS
    from hapdask.recipes.store_export import export_store

    forms = tuple(dict.fromkeys(form or ["fits"]))
    if unknown := set(forms) - set(FORMATS):
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: choose {', '.join(FORMATS)}", param_hint="--format"
        )
    with resumable(), ProgressView() as progress:
        files = export_store(
            store,
            out,
            read_cells(cell or ()),
            formats=forms,
            fits=FitsOptions(fits.context, fits.separate),
            threads=options.thread_count(threads),
            progress=progress,
        )
    if as_json:
        show_json({"status": "made", "exit_code": 0, "files": file_documents(files)})
    else:
        show_files(files)
