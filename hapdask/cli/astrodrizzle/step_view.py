"""AstroDrizzle's seven steps as its own timing report tells them: on or off and why, seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hapdask.cli.console import make_table, show_table, time_text

if TYPE_CHECKING:
    from hapdask.config import ResolvedAstroDrizzle

#: The steps by AstroDrizzle's names, each with the parameter that turns it on.
_SWITCHES = {
    "Static Mask": "static",
    "Subtract Sky": "skysub",
    "Separate Drizzle": "driz_separate",
    "Create Median": "median",
    "Blot": "blot",
    "Driz_CR": "driz_cr",
    "Final Drizzle": "driz_combine",
}
#: Steps that run tile by tile inside another, whose seconds hold theirs.
_WITHIN = {"Create Median": "Driz_CR", "Blot": "Driz_CR"}
#: Seconds that something beside the steps must take to be told.
_WORTH = 0.05


@dataclass(frozen=True, slots=True)
class StepLine:
    """A step: whether it is on, why not, and its wall time where it has one of its own."""

    name: str
    on: bool
    reason: str
    seconds: float | None = None


def step_lines(
    resolved: ResolvedAstroDrizzle, seconds: Mapping[str, float] | None = None
) -> tuple[StepLine, ...]:
    """List the steps of a run, and what else took time."""
    values, origin, taken = resolved.parameters.values(), resolved.origin, dict(seconds or {})
    lines = tuple(
        StepLine(
            name,
            bool(values[switch]),
            "" if values[switch] else f"{switch} = False, {origin[switch].removeprefix('off: ')}",
            taken.pop(name, None),
        )
        for name, switch in _SWITCHES.items()
    )
    return lines + tuple(
        StepLine(name, True, "", value) for name, value in taken.items() if value > _WORTH
    )


def show_steps(lines: Sequence[StepLine], *, done: bool) -> None:
    """Show the steps on stdout; of a run that is done, with their seconds."""
    on = "done" if done else "on"
    table = make_table(("step", ""), ("seconds",) if done else ())
    for line in lines:
        words = [line.name, on if line.on else f"off: {line.reason}"]
        table.add_row(*words, *([_seconds(line, lines)] if done else []))
    show_table(table)


def step_documents(lines: Sequence[StepLine]) -> list[dict[str, Any]]:
    """Make plain data of them."""
    return [
        {
            "step": line.name,
            "status": "on" if line.on else "off",
            "reason": line.reason,
            "seconds": None if line.seconds is None else round(line.seconds, 3),
        }
        for line in lines
    ]


def _seconds(line: StepLine, lines: Sequence[StepLine]) -> str:
    if line.seconds is not None:
        return time_text(line.seconds)
    around = {each.name: each for each in lines}.get(_WITHIN.get(line.name, ""))
    return f"in {around.name}" if line.on and around is not None and around.on else ""
