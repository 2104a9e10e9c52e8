"""The program ``hapdask``: its commands, and how errors become messages and exit codes.

Nothing heavy is imported before a command runs, so that ``--help`` is instant.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from hapdask import __version__
from hapdask.cli import cells, cutout, demo, export, info, mosaic, plan, presets, report, simulate
from hapdask.cli.alignment.command import align
from hapdask.cli.astrodrizzle.command import astrodrizzle
from hapdask.cli.console import complain
from hapdask.cli.exits import ERROR, INTERRUPTED, USAGE
from hapdask.cli.memory import collect_rarely, keep_freed_memory
from hapdask.cli.svm.command import svm
from hapdask.errors import HapdaskError, ParameterError

_HELP = """Lazy, exact mosaics of Hubble images on one all-sky grid.

Exit codes: 0 all made; 1 error, nothing useful made; 2 wrong usage; 3 made, but some inputs
were left out; 130 interrupted. With --debug anywhere, errors show where they come from.
"""

app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("mosaic")(mosaic.mosaic)
app.command("astrodrizzle")(astrodrizzle)
app.command("svm")(svm)
app.command("align")(align)
app.command("plan")(plan.plan)
app.command("presets")(presets.presets)
app.command("info")(info.info)
app.command("cells")(cells.cells)
app.command("export")(export.export)
app.command("report")(report.report)
# A declination such as -30.2 is no option.
app.command("cutout", context_settings={"ignore_unknown_options": True})(cutout.cutout)
app.command("simulate")(simulate.simulate)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"hapdask {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Options of the program itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process if absent.

    Returns
    -------
    int
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [word for word in given if word != "--debug"]
    if arguments is None:  # a process of our own
        keep_freed_memory()
        collect_rarely()
        _set_up_logging(debug)
    try:
        app(given, prog_name="hapdask", obj=["hapdask", *given])
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else ERROR
    except (HapdaskError, OSError) as error:
        if debug:
            raise
        return _fail(error, as_json="--json" in given)
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    return 0


def _fail(error: Exception, *, as_json: bool) -> int:
    code = USAGE if isinstance(error, ParameterError) else ERROR
    complain(f"error: {error or type(error).__name__}")
    if as_json:
        typer.echo(json.dumps({"status": "error", "exit_code": code, "error": str(error)}))
    return code


def _set_up_logging(debug: bool) -> None:
    """Keep the library quiet: what it warns of is in the report at the end."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.CRITICAL,
        format="%(levelname)s %(name)s: %(message)s",
        force=True,
    )
    for handler in logging.getLogger().handlers:
        # Loggers with levels of their own, as those of distributed, pass the root's by.
        handler.setLevel(logging.NOTSET if debug else logging.CRITICAL)
    for name in ("numba", "matplotlib", "PIL", "asyncio", "fsspec"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if not debug:
        warnings.simplefilter("ignore")


if __name__ == "__main__":
    sys.exit(main())
