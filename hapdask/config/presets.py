"""The presets of `DrizzleParameters`, and the fluxes of a user's file.

Every value remembers where it came from.  How tables, files and single values stand over each
other is in `hapdask.config.preset_tables`; what a value may be, in `hapdask.config.parameters`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from hapdask.config.parameters import DrizzleParameters
from hapdask.config.preset_tables import GIVEN, PHOTFLAM, PresetFamily, read_text, with_origin
from hapdask.errors import ParameterError

#: Packaged presets: ours, and what DrizzlePac does for sky cells and for visits.
PRESETS = ("default", "compat", "compat-svm")

_FAMILY = PresetFamily(tuple(field.name for field in fields(DrizzleParameters)), PRESETS)


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
    over = [(GIVEN, dict(overrides))] if overrides else []
    values, origin = _FAMILY.values(
        instrument, detector, n_exposures, preset=preset, file=file, over=over
    )
    try:
        parameters = DrizzleParameters(**values)  # type: ignore[arg-type]
    except ParameterError as error:
        raise ParameterError(with_origin(str(error), origin)) from None
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
        table = tomllib.loads(read_text(Path(file))).get(PHOTFLAM, {})
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{file} is not valid TOML: {error}") from error
    if not isinstance(table, dict):
        raise ParameterError(f"{file}: {PHOTFLAM} must be a table, [{PHOTFLAM}]")
    for layer, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            raise ParameterError(
                f"{file} [{PHOTFLAM}]: {layer} must be a positive number such as 1.5e-19, "
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
    _FAMILY.check_names([name], text)
    if name == "flux_scaling":
        return name, _boolean(name, value)
    if name in _NUMBERS:
        try:
            return name, _NUMBERS[name](value)
        except ValueError:
            raise ParameterError(f"{name} must be a number, not {value!r}") from None
    return name, value


_NUMBERS: dict[str, Callable[[str], object]] = {"pixfrac": float, "stepsize": int}


def _boolean(name: str, text: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ParameterError(f"{name} must be true or false, not {text!r}")
    return words[text.lower()]
