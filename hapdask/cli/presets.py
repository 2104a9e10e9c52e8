"""``hapdask presets``: every parameter, its value for a detector, and where that comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hapdask.cli import options
from hapdask.cli.console import make_table, plural, show_json, show_table
from hapdask.errors import ParameterError

if TYPE_CHECKING:
    from hapdask.config import Resolved, ResolvedAstroDrizzle

_COMMANDS = ("astrodrizzle", "mosaic")
_MEANINGS = {
    "astrodrizzle": {
        "default": "ours: right borders, noise from ERR, cosmic rays of single exposures",
        "compat": "AstroDrizzle's own defaults",
        "compat-svm": "what DrizzlePac gives AstroDrizzle for the filter products of a visit",
    },
    "mosaic": {
        "default": "ours",
        "compat": "what DrizzlePac does for sky cells",
        "compat-svm": "what it does for visits",
    },
}


def presets(
    detector: Annotated[
        str | None,
        typer.Argument(
            metavar="[DETECTOR]", help="Such as WFC3/UVIS or uvis; lists all if absent."
        ),
    ] = None,
    count: Annotated[int, typer.Argument(metavar="[N]", help="Number of exposures.")] = 4,
    command: Annotated[
        str,
        typer.Option("--for", metavar="astrodrizzle|mosaic", help="The command that takes them."),
    ] = "astrodrizzle",
    preset: Annotated[str, typer.Option(metavar="P", help="The preset.")] = "default",
    binned: Annotated[
        bool, typer.Option("--binned", metavar="", help="For pixels binned on the chip.")
    ] = False,
    parameters: options.ParameterFile = None,
    settings: options.Set = None,
    only_set: Annotated[
        bool, typer.Option("--short", metavar="", help="Leave out values that are built in.")
    ] = False,
    toml: Annotated[
        bool, typer.Option("--toml", metavar="", help="As a file for --parameters.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show the parameters that a command would take, and where each value comes from.

    With a .cfg file of AstroDrizzle as --parameters, and --toml, this translates it.
    """
    _check_words(command, binned=binned, toml=toml, as_json=as_json)
    if detector is None:
        if toml or only_set or binned or settings or parameters or preset != "default":
            raise typer.BadParameter("say which: such as WFC3/UVIS", param_hint="DETECTOR")
        _list(command, as_json=as_json)
        return
    instrument, name = read_detector(detector)
    asked = {
        "for": command,
        "preset": preset,
        "instrument": instrument,
        "detector": name,
        "exposures": count,
        "binned": binned,
    }
    file = None if parameters is None else str(parameters)
    resolved = _resolve(asked, file, tuple(settings or ()))
    form = "json" if as_json else "toml" if toml else "table"
    _show(resolved, asked, file, form, only_set=only_set)


def _check_words(command: str, *, binned: bool, toml: bool, as_json: bool) -> None:
    """Refuse words that contradict each other."""
    if command not in _COMMANDS:
        raise typer.BadParameter(
            f"{command!r} is neither {' nor '.join(_COMMANDS)}", param_hint="--for"
        )
    if toml and as_json:
        raise typer.BadParameter("choose --toml or --json")
    if binned and command == "mosaic":
        raise typer.BadParameter("no parameter of mosaic depends on it", param_hint="--binned")


def _show(
    resolved: Resolved | ResolvedAstroDrizzle,
    asked: Mapping[str, Any],
    file: str | None,
    form: str,
    *,
    only_set: bool,
) -> None:
    """Show parameters as a table, as TOML or as JSON."""
    from hapdask.cli.parameter_view import documents_of, lines_of, show_lines, show_toml

    lines = [line for line in lines_of(resolved) if line.is_set or not only_set]
    ignored = getattr(resolved, "ignored", {})
    if form == "json":
        show_json({**asked, "parameters": documents_of(lines), "ignored": ignored})
        return
    title = (
        f"hapdask {asked['for']}: {asked['instrument']}/{asked['detector']}, "
        f"{plural(asked['exposures'], 'exposure')}, preset {asked['preset']}"
        + (", binned" if asked["binned"] else "")
        + (f", {file}" if file else "")
    )
    if form == "toml":
        show_toml(lines, title)
    else:
        typer.echo(f"{title}\n")
        show_lines(lines)
    for word, why in ignored.items():
        typer.echo(f"not used: {word}: {why}", err=True)


def read_detector(text: str) -> tuple[str, str]:
    """Find a detector by its name, with or without that of its instrument.

    Raises
    ------
    ParameterError
        If there is none of that name; the nearest one is named.

    Examples
    --------
    >>> read_detector("wfc3/uvis"), read_detector("hrc"), read_detector("stis_nuv-mama")
    (('WFC3', 'UVIS'), ('ACS', 'HRC'), ('STIS', 'NUV-MAMA'))
    """
    from hapdask.config.preset_tables import nearest
    from hapdask.observe.instruments import INSTRUMENTS

    known = {row.label: (row.instrume, row.detector) for row in INSTRUMENTS.values()}
    wanted = text.strip().upper()
    for sign in "_. ":
        wanted = wanted.replace(sign, "/")
    wanted = {"WFPC2": "WFPC2/PC"}.get(wanted, wanted)
    for label, found in known.items():
        if wanted in (label, found[1]):
            return found
    raise ParameterError(f"unknown detector {text!r}{nearest(wanted, tuple(known))}")


def _resolve(
    asked: Mapping[str, Any], file: str | None, settings: tuple[str, ...]
) -> Resolved | ResolvedAstroDrizzle:
    from hapdask import config

    place = asked["instrument"], asked["detector"], asked["exposures"]
    if asked["for"] == "mosaic":
        return config.load_parameters(
            *place,
            preset=asked["preset"],
            file=file,
            overrides=dict(config.parse_setting(text) for text in settings),
        )
    return config.load_astrodrizzle(
        *place,
        preset=asked["preset"],
        binned=asked["binned"],
        file=file,
        overrides=dict(config.parse_astrodrizzle_setting(text) for text in settings),
    )


def _list(command: str, *, as_json: bool) -> None:
    """Show which presets and detectors there are."""
    from hapdask.observe.instruments import INSTRUMENTS

    labels = [row.label for row in INSTRUMENTS.values()]
    if as_json:
        show_json({"for": command, "presets": _MEANINGS[command], "detectors": labels})
        return
    table = make_table((f"preset of {command}", "what it is"))
    for name, meaning in _MEANINGS[command].items():
        table.add_row(name, meaning)
    show_table(table)
    typer.echo(f"\ndetectors: {', '.join(labels)}")
    typer.echo(f"\nhapdask presets {labels[0]} 4 --for {command}  shows every value")
