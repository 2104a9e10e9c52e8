"""Parameters with their origins, for people (a table), for files (TOML), for machines (JSON).

Here: what a resolved set of parameters looks like.  Not here: where values come from
(`hapdask.config`), and commands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import typer

from hapdask.cli.console import make_table, show_table
from hapdask.config.astrodrizzle_presets import OFF
from hapdask.config.preset_tables import BUILT_IN

if TYPE_CHECKING:
    from hapdask.config import Resolved, ResolvedAstroDrizzle

Value = str | int | float | bool | tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Line:
    """One parameter: its group (the step it belongs to), name, value, origin."""

    group: str
    name: str
    value: Value
    origin: str

    @property
    def is_set(self) -> bool:
        """Whether a preset, a file, the user or the number of exposures sets it."""
        return self.origin != BUILT_IN


def lines_of(resolved: Resolved | ResolvedAstroDrizzle) -> tuple[Line, ...]:
    """List every parameter in the order of the steps."""
    from hapdask.config import AstroDrizzleParameters, DrizzleParameters
    from hapdask.config.astrodrizzle import GROUPS

    parameters, origin = resolved.parameters, resolved.origin
    if isinstance(parameters, AstroDrizzleParameters):
        groups = {field.name: group for group, kind in GROUPS.items() for field in fields(kind)}
        values: dict[str, Value] = parameters.values()
    else:
        names = [field.name for field in fields(DrizzleParameters)]
        groups = dict.fromkeys(names, "drizzle")
        values = {name: getattr(parameters, name) for name in names}
    return tuple(Line(groups[name], name, value, origin[name]) for name, value in values.items())


def show_lines(lines: Iterable[Line]) -> None:
    """Show a table on stdout, a blank line between steps; what is set stands out."""
    from rich.text import Text

    table = make_table(("step", "parameter", "value", "from"))
    before = ""
    for line in lines:
        if before and line.group != before:
            table.add_row("", "", "", "")
        first = "" if line.group == before else line.group.replace("_", " ")
        style = "bold" if line.is_set else ""
        table.add_row(
            Text(first, style="dim"),
            Text(line.name, style=style),
            Text(value_text(line.value), style=style),
            Text(line.origin, style="dim"),
        )
        before = line.group
    show_table(table)


def value_text(value: Value) -> str:
    """Write a value as ``--set`` reads it.

    Examples
    --------
    >>> value_text((3.5, 3.0)), value_text(None), value_text(True), value_text("")
    ('3.5 3.0', 'None', 'true', '')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def show_toml(lines: Sequence[Line], title: str) -> None:
    """Show on stdout a file for ``--parameters``, with the origin of each value beside it."""
    typer.echo(toml_text(lines, title))


def toml_text(lines: Sequence[Line], title: str) -> str:
    """Write a file for ``--parameters``.

    Parameters
    ----------
    lines : sequence of Line
        The origins become comments, and so does what only the number of exposures turned off:
        with another number it is not to stay off.
    title : str
        Comment at the top, of one line.
    """
    assignments = [
        f"{'# ' * line.origin.startswith(OFF)}{line.name} = {_toml(line.value)}" for line in lines
    ]
    width = min(max(map(len, assignments), default=0), 40)
    parts = [f"# {title}"]
    before = ""
    for line, assignment in zip(lines, assignments, strict=True):
        if line.group != before:
            parts.append("")
            before = line.group
        parts.append(f"{assignment:{width}}  # {' '.join(line.origin.split())}")
    return "\n".join(parts)


def documents_of(lines: Iterable[Line]) -> dict[str, dict[str, Any]]:
    """Make plain data: value, origin and step by name."""
    return {
        line.name: {
            "value": list(line.value) if isinstance(line.value, tuple) else line.value,
            "origin": line.origin,
            "step": line.group,
            "set": line.is_set,
        }
        for line in lines
    }


def _toml(value: Value) -> str:
    if value == ():
        return '""'
    if isinstance(value, str | bool):
        return json.dumps(value)  # a TOML basic string is written as JSON writes it
    if isinstance(value, tuple):
        return f"[{', '.join(map(repr, value))}]"
    return '"None"' if value is None else repr(value)
