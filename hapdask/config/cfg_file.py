"""DrizzlePac's .cfg files: sections of ``name = value``, as ConfigObj and TEAL write them.

Here: text to names and values, with suspicion.  Not here: which names mean something
(`hapdask.config.astrodrizzle_presets`) and what values may be (`hapdask.config.astrodrizzle`).
"""

from __future__ import annotations

import re
from pathlib import Path

from hapdask.config.fields import is_blank
from hapdask.config.preset_tables import read_text
from hapdask.errors import ParameterError

_TASK = "_task_name_"
_LONGEST = 1 << 20  # characters; the real ones have some 4000

_SECTION = re.compile(r"\[+\s*[^\[\]]*?\s*\]+\s*(?:#.*)?")
_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<value>.*)")
_VALUE = re.compile(
    r"""(?: "(?P<double>[^"]*)" | '(?P<single>[^']*)' | (?P<bare>[^#"']*) )\s*,?\s*(?:[#!].*)?""",
    re.VERBOSE,
)


def read_cfg(path: str | Path, task: str = "astrodrizzle") -> dict[str, str | None]:
    """Read the parameters of a .cfg file of AstroDrizzle, or of another task.

    Parameters
    ----------
    path : path-like
        As TEAL saves it, or as DrizzlePac ships it.
    task : str
        Whose file it must be: ``astrodrizzle``, ``tweakreg``, ``imagefindpars``.

    Returns
    -------
    dict of str to str or None
        Texts as they stand there, without quotes; None for blanks (nothing, ``""``, ``None``,
        ``INDEF``).  What begins with an underscore (the name of the task, buttons, rules) is
        left out; sections tell nothing, since names are unique.

    Raises
    ------
    ParameterError
        If the file cannot be read, is another task's, or a line is neither a section nor
        ``name = value``, or gives a name again; with the number of the line.
    """
    text = read_text(Path(path))
    if len(text) > _LONGEST:
        raise ParameterError(f"{path} is too long for a parameter file")
    values: dict[str, str | None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        # lists of files (@...) and notes may stand between parameters
        if not line or line[0] in "#!@" or _SECTION.fullmatch(line):
            continue
        name, value = _assignment(line, f"{path}, line {number}")
        if name == _TASK and value not in (None, task):
            raise ParameterError(f"{path} is for the task {value!r}, not for {_titles(task)}")
        if name.startswith("_"):
            continue
        if name in values:
            raise ParameterError(f"{path}, line {number}: {name} is given again")
        values[name] = value
    return values


def _titles(task: str) -> str:
    return {"astrodrizzle": "AstroDrizzle", "tweakreg": "TweakReg"}.get(task, task)


def _assignment(line: str, where: str) -> tuple[str, str | None]:
    found = _ASSIGNMENT.fullmatch(line)
    value = _VALUE.fullmatch(found["value"]) if found else None
    if found is None or value is None:
        raise ParameterError(f"{where}: {line[:60]!r} is not of the form name = value")
    text = next(part for part in value.group("double", "single", "bare") if part is not None)
    text = text.strip()
    return found["name"], None if is_blank(text) else text
