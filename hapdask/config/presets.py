"""Presets and their order: packaged TOML tables, a user's TOML file, then single settings.

Every value remembers where it came from.  What a value may be is checked by the dataclass
in `hapdask.config.parameters`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path

from hapdask.config.parameters import DrizzleParameters
from hapdask.errors import ParameterError

#: Packaged presets: ours, and what DrizzlePac does for sky cells and for visits.
PRESETS = ("default", "compat", "compat-svm")

_FIELDS = tuple(field.name for field in fields(DrizzleParameters))
_COUNT = re.compile(r"n([1-9]\d*)")
_PHOTFLAM = "photflam"


@dataclass(frozen=True, slots=True)
class Resolved:
    """Parameters, and for each name the place its value came from."""

    parameters: DrizzleParameters
    origin: dict[str, str]


def load_parameters(
    instrument: str,
    detector: str,
    n_exposures: int,
    *,
    preset: str = "default",
    file: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Resolved:
    """Give the parameters of a layer.

    Parameters
    ----------
    instrument, detector : str
        As in INSTRUME and DETECTOR, for example ``"WFC3"``, ``"UVIS"``; case does not matter.
    n_exposures : int
        Number of exposures of the layer, at least 1.
    preset : {"default", "compat", "compat-svm"}
        Packaged table to start from.
    file : path, optional
        A TOML file of the same form, which stands over the preset.
    overrides : mapping, optional
        Single values, which stand over everything.

    Returns
    -------
    Resolved
        The parameters and the origin of each.

    Raises
    ------
    ParameterError
        If a name is unknown (the nearest valid one is named), a value has the wrong type
        or is out of range, or the file cannot be read.

    Examples
    --------
    >>> resolved = load_parameters("WFC3", "UVIS", 1, preset="compat", overrides={"pixfrac": 0.8})
    >>> resolved.parameters.good_bits, resolved.origin["good_bits"], resolved.origin["pixfrac"]
    (65535, 'compat.toml [WFC3.UVIS.n1]', 'given')
    """
    if isinstance(n_exposures, bool) or not isinstance(n_exposures, int) or n_exposures < 1:
        raise ParameterError(f"the number of exposures must be at least 1, not {n_exposures!r}")
    if preset not in PRESETS:
        raise ParameterError(f"unknown preset {preset!r}{_nearest(preset, PRESETS)}")
    detector = f"{instrument}.{detector}".upper()
    default = _packaged("default")
    known = tuple(sorted({row.detector for row in default if row.detector}))
    _check_detector(detector, known, "the presets")
    rows = default if preset == "default" else _packaged(preset)
    if file is not None:
        rows = [*rows, *_read(str(file), _text(Path(file)))]
    for row in rows:
        # every table is checked, so that a misspelt name shows whatever the data are
        _check_names(row.values, row.label)
        _check_detector(row.detector or detector, known, row.label)
    layers = [(row.label, row.values) for row in rows if row.applies(detector, n_exposures)]
    if overrides:
        _check_names(overrides, "the values given")
        layers.append(("given", dict(overrides)))
    values: dict[str, object] = {}
    origin = dict.fromkeys(_FIELDS, "built in")
    for label, table in layers:
        values |= table
        origin |= dict.fromkeys(table, label)
    try:
        parameters = DrizzleParameters(**values)  # type: ignore[arg-type]
    except ParameterError as error:
        raise ParameterError(_with_origin(str(error), origin)) from None
    return Resolved(parameters, origin)


def load_photflams(file: str | Path) -> dict[str, float]:
    """Give the table ``[photflam]`` of a user's parameter file: PHOTFLAM by layer name.

    Parameters
    ----------
    file : path
        For example with ``[photflam]`` and below it ``wfc3_uvis_f606w = 1.15e-19``.

    Raises
    ------
    ParameterError
        If the file cannot be read, or a figure is no positive number.
    """
    try:
        table = tomllib.loads(_text(Path(file))).get(_PHOTFLAM, {})
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{file} is not valid TOML: {error}") from error
    if not isinstance(table, dict):
        raise ParameterError(f"{file}: {_PHOTFLAM} must be a table, [{_PHOTFLAM}]")
    for layer, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            raise ParameterError(
                f"{file} [{_PHOTFLAM}]: {layer} must be a positive number such as 1.5e-19, "
                f"not {value!r}"
            )
    return {layer: float(value) for layer, value in table.items()}


def parse_setting(text: str) -> tuple[str, object]:
    """Read one ``name=value`` as given on a command line.

    Parameters
    ----------
    text : str
        For example ``"pixfrac=0.8"``, ``"good_bits=16+64"``, ``"flux_scaling=no"``.

    Returns
    -------
    name, value
        The value in the type that the parameter has.

    Raises
    ------
    ParameterError
        If there is no ``=``, the name is unknown or the value cannot be read.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise ParameterError(f"{text!r} is not of the form name=value")
    _check_names([name], text)
    if name == "flux_scaling":
        return name, _boolean(name, value)
    if name == "pixfrac":
        try:
            return name, float(value)
        except ValueError:
            raise ParameterError(f"{name} must be a number, not {value!r}") from None
    return name, value


def _boolean(name: str, text: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ParameterError(f"{name} must be true or false, not {text!r}")
    return words[text.lower()]


def _text(path: Path) -> str:
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

    def applies(self, detector: str, n_exposures: int) -> bool:
        return self.detector in (None, detector) and self.at_least <= n_exposures


def _packaged(preset: str) -> list[_Row]:
    name = f"{preset}.toml"
    table = files("hapdask.config") / "tables" / name
    return _read(name, table.read_text(encoding="utf-8"))


def _read(label: str, text: str) -> list[_Row]:
    """Flatten a TOML text into its tables, weakest first."""
    try:
        whole = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{label} is not valid TOML: {error}") from error
    whole.pop(_PHOTFLAM, None)  # see `load_photflams`
    rows = [_Row(label, None, 0, _plain(whole))]
    for instrument, detectors in _tables(whole):
        if _plain(detectors):
            raise ParameterError(
                f"{label} [{instrument}]: values must stand at the top or under a detector, "
                f"for example [{instrument}.UVIS]"
            )
        for name, table in _tables(detectors):
            detector = f"{instrument}.{name}"
            rows.append(_Row(f"{label} [{detector}]", detector.upper(), 0, _plain(table)))
            counted = [_counted_row(label, detector, *item) for item in _tables(table)]
            rows += sorted(counted, key=lambda row: row.at_least)
    return rows


def _counted_row(label: str, detector: str, name: str, values: dict[str, object]) -> _Row:
    where = f"{label} [{detector}.{name}]"
    match = _COUNT.fullmatch(name)
    if match is None:
        raise ParameterError(f"{where}: expected n1, n2, ... (from so many exposures on)")
    return _Row(where, detector.upper(), int(match[1]), values)


def _plain(table: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in table.items() if not isinstance(value, dict)}


def _tables(table: Mapping[str, object]) -> list[tuple[str, dict[str, object]]]:
    return [(name, value) for name, value in table.items() if isinstance(value, dict)]


def _check_detector(detector: str, known: tuple[str, ...], label: str) -> None:
    if detector not in known:
        raise ParameterError(f"unknown detector {detector} in {label}{_nearest(detector, known)}")


def _check_names(names: Iterable[str], label: str) -> None:
    for name in names:
        if name not in _FIELDS:
            nearest = _nearest(name, _FIELDS)
            raise ParameterError(f"unknown parameter {name!r} in {label}{nearest}")


def _nearest(name: str, choices: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if close:
        return f": did you mean {close[0]!r}?"
    return f": it must be one of {', '.join(choices)}"


def _with_origin(message: str, origin: Mapping[str, str]) -> str:
    """Say where the offending value stands, when it was not given by itself."""
    name = re.match(r"\w+", message)
    place = origin.get(name[0]) if name else None
    return f"{message} (from {place})" if place not in (None, "given") else message
