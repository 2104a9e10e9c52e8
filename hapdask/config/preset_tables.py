"""Presets as TOML tables by detector and number of exposures, for any set of parameters.

Layers stand over each other: the packaged preset, the user's TOML file, values given.  Here is
which value wins and where it came from.  What a value may be is checked by the dataclasses that
are made of them (`hapdask.config.parameters`, `hapdask.config.astrodrizzle`).
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from hapdask.errors import ParameterError

#: A table of other things than parameters: PHOTFLAM by layer (see `presets.load_photflams`).
PHOTFLAM = "photflam"
#: A table for data of any detector whose pixels were binned on the chip.
BINNED = "binned"
#: Origin of what no layer sets, and of what the caller set.
BUILT_IN, GIVEN = "built in", "given"

_COUNT = re.compile(r"n([1-9]\d*)")
_COUNTS = "n1, n2, ... (from so many exposures on)"

_LISTED = 20  # choices that a message can name all

Layer = tuple[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class PresetFamily:
    """The presets of one set of parameters.

    Parameters
    ----------
    names : tuple of str
        The parameters.
    presets : tuple of str
        The packaged tables; the first has one for every detector.
    folder : str, optional
        Where they are, below ``hapdask/config/tables``.
    knows_binned : bool
        Whether tables for binned data mean something.
    circumstances : tuple of str
        Names of tables below a detector's that hold under a circumstance, such as ``early``.
    """

    names: tuple[str, ...]
    presets: tuple[str, ...]
    folder: str = ""
    knows_binned: bool = False
    circumstances: tuple[str, ...] = ()

    def values(
        self,
        instrument: str,
        detector: str,
        n_exposures: int,
        *,
        preset: str,
        binned: bool = False,
        under: Collection[str] = (),
        file: str | Path | None = None,
        over: Sequence[Layer] = (),
    ) -> tuple[dict[str, object], dict[str, str]]:
        """Give the values for a detector and a number of exposures.

        Parameters
        ----------
        instrument, detector : str
            As in INSTRUME and DETECTOR; case does not matter.
        n_exposures : int
            At least 1.
        preset : str
            One of the packaged tables.
        binned : bool
            Whether the pixels were binned on the chip.
        under : collection of str
            The circumstances that there are.
        file : path, optional
            A TOML file of the same form.
        over : sequence of (str, mapping), optional
            Where values come from, and the values; the last stands over all.

        Returns
        -------
        values : dict
            Of the parameters that a layer sets.
        origin : dict of str to str
            Of every parameter.

        Raises
        ------
        ParameterError
            If a name is unknown (the nearest valid one is named), or the file cannot be read.
        """
        if isinstance(n_exposures, bool) or not isinstance(n_exposures, int) or n_exposures < 1:
            raise ParameterError(f"the number of exposures must be at least 1, not {n_exposures!r}")
        if preset not in self.presets:
            raise ParameterError(f"unknown preset {preset!r}{nearest(preset, self.presets)}")
        place = f"{instrument}.{detector}".upper()
        known = tuple(sorted({r.detector for r in self._packaged(self.presets[0]) if r.detector}))
        _check_detector(place, known, "the presets")
        rows = list(self._packaged(preset))
        if file is not None:
            rows += _read(str(file), read_text(Path(file)))
        for row in rows:
            # every table is checked, so that a misspelt name shows whatever the data are
            self.check_names(row.values, row.label)
            _check_detector(row.detector or place, known, row.label)
            if row.binned and not self.knows_binned:
                raise ParameterError(f"{row.label}: no parameter here depends on binning")
            if row.under and row.under not in self.circumstances:
                more = "".join(f", or {name}" for name in self.circumstances)
                raise ParameterError(f"{row.label}: expected {_COUNTS}{more}")
        layers = [r.layer for r in rows if r.applies(place, n_exposures, binned, under)]
        values: dict[str, object] = {}
        origin = dict.fromkeys(self.names, BUILT_IN)
        for label, table in (*layers, *over):
            self.check_names(table, "the values given" if label == GIVEN else label)
            values |= table
            origin |= dict.fromkeys(table, label)
        return values, origin

    def check_names(self, names: Iterable[str], label: str) -> None:
        """Refuse a name that is no parameter, naming the nearest one; ParameterError."""
        for name in names:
            if name not in self.names:
                known = nearest(name, self.names)
                raise ParameterError(f"unknown parameter {name!r} in {label}{known}")

    def _packaged(self, preset: str) -> tuple[_Row, ...]:
        return _packaged(self.folder, preset)


def nearest(name: str, choices: tuple[str, ...]) -> str:
    """Suggest what may have been meant, as the end of a message."""
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if close:
        return f": did you mean {close[0]!r}?"
    if len(choices) > _LISTED:
        return ": none of the names known is like it"
    return f": it must be one of {', '.join(choices)}"


def with_origin(message: str, origin: Mapping[str, str]) -> str:
    """Say where the offending value stands, when it was not given by itself."""
    name = re.match(r"\w+", message)
    place = origin.get(name[0]) if name else None
    return message if place in (None, GIVEN, BUILT_IN) else f"{message} (from {place})"


def read_text(path: Path) -> str:
    """Read a user's file of parameters; ParameterError where it cannot be."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"cannot read the parameter file {path}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Row:
    """One table of a TOML file: its values, and for what they hold."""

    label: str
    detector: str | None
    at_least: int
    values: dict[str, object]
    binned: bool = False
    under: str = ""

    @property
    def layer(self) -> Layer:
        return self.label, self.values

    def applies(
        self, detector: str, n_exposures: int, binned: bool, under: Collection[str]
    ) -> bool:
        here = self.detector in (None, detector) and binned >= self.binned
        return here and self.at_least <= n_exposures and (not self.under or self.under in under)


@lru_cache(maxsize=16)
def _packaged(folder: str, preset: str) -> tuple[_Row, ...]:
    name = f"{folder}/{preset}.toml".lstrip("/")
    table = files("hapdask.config").joinpath("tables", *name.split("/"))
    return tuple(_read(name, table.read_text(encoding="utf-8")))


def _read(label: str, content: str) -> list[_Row]:
    """Flatten a TOML text into its tables, weakest first."""
    try:
        whole = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{label} is not valid TOML: {error}") from error
    whole.pop(PHOTFLAM, None)
    binned = whole.pop(BINNED) if isinstance(whole.get(BINNED), dict) else {}
    rows = [_Row(label, None, 0, _plain(whole))]
    for instrument, detectors in _tables(whole):
        if _plain(detectors):
            raise ParameterError(
                f"{label} [{instrument}]: values must stand at the top or under a detector, "
                f"for example [{instrument}.UVIS]"
            )
        for name, table in _tables(detectors):
            detector = f"{instrument}.{name}"
            rows += _rows_of(
                _Row(f"{label} [{detector}]", detector.upper(), 0, _plain(table)), table
            )
    if binned:
        rows += _rows_of(_Row(f"{label} [{BINNED}]", None, 0, _plain(binned), binned=True), binned)
    return rows


def _rows_of(whole: _Row, table: Mapping[str, object]) -> list[_Row]:
    """Give a table, those for numbers of exposures below it, and those under a circumstance."""
    counted, special = [], []
    for name, values in _tables(table):
        below = replace(whole, label=f"{whole.label[:-1]}.{name}]", values=_plain(values))
        match = _COUNT.fullmatch(name)
        if match is not None and not _tables(values):
            counted.append(replace(below, at_least=int(match[1])))
        elif whole.under or match is not None:
            raise ParameterError(f"{below.label}: expected {_COUNTS}")
        else:
            special += _rows_of(replace(below, under=name), values)
    return [whole, *sorted(counted, key=lambda row: row.at_least), *special]


def _plain(table: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in table.items() if not isinstance(value, dict)}


def _tables(table: Mapping[str, object]) -> list[tuple[str, dict[str, object]]]:
    return [(name, value) for name, value in table.items() if isinstance(value, dict)]


def _check_detector(detector: str, known: tuple[str, ...], label: str) -> None:
    if detector not in known:
        raise ParameterError(f"unknown detector {detector} in {label}{nearest(detector, known)}")
