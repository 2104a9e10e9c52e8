"""AstroDrizzle's parameters for a detector and a number of exposures: what MDRIZTAB was for.

Presets, a user's TOML or .cfg file and single values stand over each other; a run of several
exposures then turns on the steps that others need, and a run of one those off that need two.
Every value remembers where it came from.  Not here: what values may be
(`hapdask.config.astrodrizzle`), and DrizzlePac's names that mean nothing here
(`hapdask.config.upstream_names`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hapdask.config.astrodrizzle import NAMES, AstroDrizzleParameters, CustomFrame
from hapdask.config.cfg_file import read_cfg
from hapdask.config.fields import is_blank
from hapdask.config.preset_tables import (
    GIVEN,
    Layer,
    PresetFamily,
    with_origin,
)
from hapdask.config.upstream_names import WITHOUT_MEANING
from hapdask.errors import ParameterError

#: Ours; AstroDrizzle's own defaults; its parameters for the filter products of a visit.
ASTRODRIZZLE_PRESETS = ("default", "compat", "compat-svm")
#: Those of a visit's other products: `hapdask svm` takes them where it does as the archive does.
OF_VISITS = ("compat-svm-exposure", "compat-svm-total")

#: Circumstances in which other values hold, as tables below a detector's: a single exposure;
#: WFC3/UVIS before a time (MJD); ACS/SBC through some filters.
CIRCUMSTANCES = ("alone", "early", "blue")
_EARLY_BEFORE = {"WFC3.UVIS": 56239.0 + (2 * 3600 + 59 * 60 + 15) / 86400}  # 2012-11-08T02:59:15
_BLUE_FILTERS = {"ACS.SBC": ("f115lp", "f122m")}

_FAMILY = PresetFamily(
    NAMES,
    (*ASTRODRIZZLE_PRESETS, *OF_VISITS),
    "astrodrizzle",
    knows_binned=True,
    circumstances=CIRCUMSTANCES,
)
_CUSTOM = {
    "driz_sep_wcs": tuple(f"driz_sep_{name}" for name in CustomFrame._fields),
    "final_wcs": tuple(f"final_{name}" for name in CustomFrame._fields),
}
#: Each step needs the one after it; in this order, so that the first turns on all.
_NEEDS = (("driz_cr", "blot"), ("blot", "median"), ("median", "driz_separate"))
_NEED_TWO = ("median", "blot", "driz_cr")
#: Begins the origin of what nothing given turned off.
OFF = "off:"


@dataclass(frozen=True, slots=True)
class ResolvedAstroDrizzle:
    """Parameters, and for each name the place its value came from.

    Attributes
    ----------
    parameters : AstroDrizzleParameters
    origin : dict of str to str
        By name of parameter.
    ignored : dict of str to str
        Names that were given and mean nothing here, and why.
    """

    parameters: AstroDrizzleParameters
    origin: dict[str, str]
    ignored: dict[str, str]


def load_astrodrizzle(
    instrument: str,
    detector: str,
    n_exposures: int,
    *,
    preset: str = "default",
    binned: bool = False,
    filter_name: str = "",
    expstart: float | None = None,
    file: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> ResolvedAstroDrizzle:
    """Give the parameters of a run.

    Parameters
    ----------
    instrument, detector : str
        As in INSTRUME and DETECTOR, for example ``"WFC3"``, ``"UVIS"``; case does not matter.
    n_exposures : int
        Number of exposures of the run, at least 1.
    preset : {"default", "compat", "compat-svm", "compat-svm-exposure", "compat-svm-total"}
        Packaged table to start from.
    binned : bool
        Whether pixels were binned on the chip.
    filter_name : str, optional
        HAP name of the filter, and
    expstart : float, MJD, optional
        the begin of the first exposure, where values depend on them.
    file : path, optional
        A TOML file of the same form as the presets, or a .cfg file of AstroDrizzle, which stands
        over the preset.
    overrides : mapping, optional
        Single values by AstroDrizzle's names, which stand over everything.

    Returns
    -------
    ResolvedAstroDrizzle

    Raises
    ------
    ParameterError
        If a name is unknown (the nearest valid one is named), a value has the wrong type or is
        out of range, values contradict each other, or the file cannot be read.

    Examples
    --------
    >>> found = load_astrodrizzle("ACS", "WFC", 4, overrides={"final_scale": 0.04, "clean": True})
    >>> found.parameters.final.frame.scale, found.origin["final_wcs"], sorted(found.ignored)
    (0.04, 'implied by final_scale', ['clean'])
    """
    over = _layers(file, overrides)
    values, origin = _FAMILY.values(
        instrument,
        detector,
        n_exposures,
        preset=preset,
        binned=binned,
        under=_circumstances(instrument, detector, n_exposures, filter_name, expstart),
        file=None if len(over) > 1 else file,
        over=[(label, _without(table)) for label, table in over],
    )
    _imply_frames(values, origin)
    parameters, changed = for_exposures(_parameters(values, origin), n_exposures)
    given = {name for _, table in over for name in table}
    ignored = {name: why for name, why in WITHOUT_MEANING.items() if name in given}
    return ResolvedAstroDrizzle(parameters, origin | changed, ignored)


def parse_astrodrizzle_setting(text: str) -> tuple[str, str]:
    """Read one ``name=value`` as given on a command line.

    Parameters
    ----------
    text : str
        For example ``"final_scale=0.04"``, ``"driz_cr_snr=3.5 3.0"``, ``"build=yes"``.

    Returns
    -------
    name, value
        The value as it was written: every parameter can be read from a text.

    Raises
    ------
    ParameterError
        If there is no ``=``, or the name is unknown.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise ParameterError(f"{text!r} is not of the form name=value")
    if name not in WITHOUT_MEANING:
        _FAMILY.check_names([name], text)
    return name, value


def for_exposures(
    parameters: AstroDrizzleParameters, n_exposures: int
) -> tuple[AstroDrizzleParameters, dict[str, str]]:
    """Turn steps on and off as a number of exposures wants it, as AstroDrizzle does.

    Parameters
    ----------
    parameters : AstroDrizzleParameters
    n_exposures : int
        At least 1.

    Returns
    -------
    AstroDrizzleParameters
    changed : dict of str to str
        Names of the steps that were turned on or off, and why.

    Raises
    ------
    ParameterError
        If a median is wanted, and ``combine_nlow`` and ``combine_nhigh`` leave it nothing.
    """
    on = {name: bool(value) for name, value in parameters.values().items() if name in _STEPS}
    changed: dict[str, str] = {}
    if n_exposures == 1:
        alone = {n: f"{OFF} no exposure has a partner" for n in _NEED_TWO if on[n]}
        on |= dict.fromkeys(alone, False)
        changed |= alone
    for step, needed in _NEEDS:
        if on[step] and not on[needed]:
            on[needed], changed[needed] = True, f"on: {step} needs it"
    nlow, nhigh = parameters.median.combine_nlow, parameters.median.combine_nhigh
    if on["median"] and n_exposures - nlow - nhigh < 1:
        raise ParameterError(
            f"combine_nlow = {nlow} and combine_nhigh = {nhigh} reject every pixel of "
            f"{n_exposures} exposures: make them smaller, or set median, blot and driz_cr to False"
        )
    return (
        replace(
            parameters,
            separate=replace(parameters.separate, driz_separate=on["driz_separate"]),
            median=replace(parameters.median, median=on["median"]),
            blot=replace(parameters.blot, blot=on["blot"]),
            cosmic_rays=replace(parameters.cosmic_rays, driz_cr=on["driz_cr"]),
        ),
        changed,
    )


_STEPS = ("driz_separate", *_NEED_TWO)


def _parameters(values: Mapping[str, object], origin: dict[str, str]) -> AstroDrizzleParameters:
    """Make the parameters; without cosmic rays, none are looked for in single exposures either."""
    try:
        parameters = AstroDrizzleParameters.from_values(values)
    except ParameterError as error:
        raise ParameterError(with_origin(str(error), origin)) from None
    _check_frames(parameters, origin)
    step = parameters.cosmic_rays
    if step.driz_cr or not step.driz_cr_single:
        return parameters
    origin["driz_cr_single"] = f"{OFF} driz_cr is"
    return replace(parameters, cosmic_rays=replace(step, driz_cr_single=False))


def _circumstances(
    instrument: str, detector: str, n_exposures: int, filter_name: str, expstart: float | None
) -> list[str]:
    """Tell which of `CIRCUMSTANCES` there are."""
    place = f"{instrument}.{detector}".upper()
    true = (
        n_exposures == 1,
        expstart is not None and expstart < _EARLY_BEFORE.get(place, -math.inf),
        filter_name.lower() in _BLUE_FILTERS.get(place, ()),
    )
    return [name for name, holds in zip(CIRCUMSTANCES, true, strict=True) if holds]


def _layers(file: str | Path | None, overrides: Mapping[str, object] | None) -> list[Layer]:
    """Give the values of a .cfg file, where there is one, and those of the caller."""
    given: list[Layer] = [(GIVEN, dict(overrides or {}))]
    if file is None or Path(file).suffix.lower() != ".cfg":
        return given
    return [(str(file), read_cfg(file)), *given]


def _without(table: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in table.items() if name not in WITHOUT_MEANING}


def _imply_frames(values: dict[str, object], origin: dict[str, str]) -> None:
    """Turn on the output frame whose parameters the caller gave, as AstroDrizzle does."""
    for switch, names in _CUSTOM.items():
        given = [n for n in names if origin[n] == GIVEN and not is_blank(values[n])]
        if given and origin[switch] != GIVEN:
            values[switch], origin[switch] = True, f"implied by {given[0]}"


def _check_frames(parameters: AstroDrizzleParameters, origin: Mapping[str, str]) -> None:
    """Refuse parameters of an output frame that the caller turned off as well."""
    values = parameters.values()
    for switch, names in _CUSTOM.items():
        given = [n for n in names if origin[n] == GIVEN and not is_blank(values[n])]
        if given and origin[switch] == GIVEN and not values[switch]:
            raise ParameterError(
                f"{switch} = False and {given[0]} = {values[given[0]]} contradict each other: "
                f"leave out {switch}"
            )
