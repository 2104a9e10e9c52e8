"""Every error that hapdask raises on purpose.

A message says what is wrong, in which file and extension, and what to do about it.
"""

from __future__ import annotations


class HapdaskError(Exception):
    """Base of all errors raised by hapdask."""


class InputError(HapdaskError):
    """An input file cannot be used.

    Parameters
    ----------
    path : str
        The file, as the user named it.
    problem : str
        What is wrong.
    ext : str, optional
        The extension, for example ``"SCI,1"``.
    remedy : str, optional
        What the user can do about it.
    """

    def __init__(
        self, path: str, problem: str, *, ext: str | None = None, remedy: str | None = None
    ) -> None:
        self.path, self.problem, self.ext, self.remedy = path, problem, ext, remedy
        where = f"{path}[{ext}]" if ext else path
        super().__init__(f"{where}: {problem}" + (f" ({remedy})" if remedy else ""))

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_input_error, (self.path, self.problem, self.ext, self.remedy))


def _rebuild_input_error(
    path: str, problem: str, ext: str | None, remedy: str | None
) -> InputError:
    return InputError(path, problem, ext=ext, remedy=remedy)


class FrameError(HapdaskError):
    """A pixel grid is impossible or not supported."""


class ParameterError(HapdaskError):
    """A parameter has an unknown name, a wrong type or an impossible value."""


class PlanError(HapdaskError):
    """A run cannot be planned from what was given."""


class StoreError(HapdaskError):
    """A store cannot be read, or cannot be written safely."""


class ClusterError(HapdaskError):
    """A Dask cluster cannot do the work: its workers, or its scheduler, are gone."""
