"""Progress of a long run on stderr: live bars on a terminal, one line per finished task always."""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hapdask.cli.console import plural, screen, size_text, time_text

if TYPE_CHECKING:
    from rich.progress import TaskID

    from hapdask.recipes.reporting import Step

#: Tasks shorter than this are not worth a line, seconds.
_NOT_WORTH = 0.3


class ProgressView:
    """Shows the steps that a recipe tells; a listener and a context manager."""

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        console = screen()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TextColumn("{task.fields[size]}", justify="right"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._running: dict[str, tuple[TaskID, float]] = {}
        #: Last news of tasks whose number of parts is not known (a total of 0).
        self._endless: dict[str, Step] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish_endless()
        self._progress.stop()

    def __call__(self, step: Step) -> None:
        """Show a step; one without a total ends when the next task begins."""
        size = size_text(step.bytes) if step.bytes else ""
        total = step.total or None
        if step.task not in self._running:
            self._finish_endless()
            task = self._progress.add_task(step.task, total=total, unit=step.unit, size=size)
            self._running[step.task] = (task, time.perf_counter())
        task, _ = self._running[step.task]
        self._progress.update(task, completed=step.done, total=total, size=size)
        if not step.total:
            self._endless[step.task] = step
        elif step.done >= step.total:
            self._finish(step)

    def _finish_endless(self) -> None:
        for step in self._endless.values():
            self._finish(replace(step, total=step.done))
        self._endless.clear()

    def _finish(self, step: Step) -> None:
        task, start = self._running.pop(step.task)
        self._progress.remove_task(task)
        self._say_finished(step, time.perf_counter() - start)

    def _say_finished(self, step: Step, seconds: float) -> None:
        if step.unit == "layers":  # each layer has had its line
            return
        if step.unit == "times":
            if seconds > _NOT_WORTH:
                screen().print(f"{step.task}: {time_text(seconds)}", markup=False)
            return
        count = plural(step.total, step.unit.removesuffix("s"))
        kept = f", {step.kept} of them up to date" if step.kept else ""
        if step.kept and step.kept == step.total:
            kept = ", all up to date"
        size = f", {size_text(step.bytes)}" if step.bytes else ""
        line = f"{step.task}: {count}{kept}{size}, {time_text(seconds)}"
        screen().print(line, markup=False, soft_wrap=True)
