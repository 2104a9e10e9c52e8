"""``hapdask demo``: a small simulated field, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hapdask.cli import options
from hapdask.cli.console import complain, show_json
from hapdask.cli.runs import finish, resumable


def demo(
    typed: typer.Context,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where all goes.")] = Path(
        "hapdask-demo"
    ),
    size: options.DemoSize = "full",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Simulate a field and make its mosaics, with pictures.

    Two visits at different rolls with WFC3/UVIS, ACS/WFC and WFC3/IR, on the border of two sky
    cells. Needs some minutes on two cores and about 5 GB of disk.
    """
    from hapdask.cli.options import thread_count
    from hapdask.cli.progress import ProgressView
    from hapdask.cli.reports import report_document, show_report, write_page
    from hapdask.recipes.demo import demo as run_demo

    number = thread_count(threads)
    complain(f"simulating a field and making its mosaics in {out}/ with {number} threads")
    with resumable(), ProgressView() as progress:
        report = run_demo(out, size=size, threads=number, progress=progress)
        page = write_page(report, typed)
    if as_json:
        show_json(report_document(report, page))
    else:
        show_report(report, out, page)
    finish(report.left_out)
