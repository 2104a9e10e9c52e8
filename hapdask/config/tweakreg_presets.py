"""The parameters of an alignment for a detector: TweakReg's names, and those of the parts.

Presets, a user's TOML or .cfg file and single values stand over each other.  What TweakReg's names
mean to matching is worked out here: a `searchrad` becomes the radius of every search, `minobj` what
every geometry needs.  Every value remembers where it came from.  Not here: what values may be
(`tweakreg`, `alignment`, `detection`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hapdask.config import alignment, tweakreg
from hapdask.config.alignment import AlignmentParameters, TweakRegMatching, load_alignment
from hapdask.config.cfg_file import read_cfg
from hapdask.config.detection import PRESETS as DETECTIONS
from hapdask.config.detection import DetectionParameters, load_detection
from hapdask.config.preset_tables import BUILT_IN, GIVEN, Layer, PresetFamily, with_origin
from hapdask.config.tweakreg import TweakRegParameters
from hapdask.config.upstream_names import TWEAKREG_WITHOUT_MEANING
from hapdask.errors import ParameterError

#: Ours; what HAP's visit pipeline does; what TweakReg does.
ALIGN_PRESETS = ("default", "compat", "tweakreg")

_OF_DETECTION = {p: tuple(f.name for f in fields(kind)) for p, kind in DETECTIONS.items()}
_OF_TWEAKREG = tuple(f.name for f in fields(TweakRegMatching))
#: What says nothing where exposures are matched our way, and why.
_OURS = {
    "expand_refcat": "exposures are tied to each other before they are tied to a catalog",
    "separation": "matches that chance may explain are told from the density of both lists",
}
#: Names that TweakReg and matching share are TweakReg's, and are passed on.
_OF_MATCHING = tuple(n for n in alignment.NAMES if n not in tweakreg.NAMES)
#: Every name that can be given: TweakReg's, of matching, of all ways of detection.
ALIGN_NAMES = (
    *tweakreg.NAMES,
    *_OF_MATCHING,
    *dict.fromkeys(name for names in _OF_DETECTION.values() for name in names),
)
_FAMILY = PresetFamily(ALIGN_NAMES, ALIGN_PRESETS, "tweakreg")
_CFG = "imagefindcfg"


@dataclass(frozen=True, slots=True)
class ResolvedAlignment:
    """Parameters, and for each name the place its value came from.

    Attributes
    ----------
    options : TweakRegParameters
        By TweakReg's names.
    matching : AlignmentParameters
        Of the preset ``tweakreg`` the acceptance alone.
    tweakreg : TweakRegMatching or None
        How to match and fit as TweakReg does; None for the other presets.
    detection : DetectionParameters
    origin : dict of str to str
        By name of parameter.
    ignored : dict of str to str
        Names that were given and mean nothing here, and why.
    """

    options: TweakRegParameters
    matching: AlignmentParameters
    tweakreg: TweakRegMatching | None
    detection: DetectionParameters
    origin: dict[str, str]
    ignored: dict[str, str]

    def plain(self) -> dict[str, Any]:
        """Give every value by its name, as plain data."""
        values = asdict(self.matching) | asdict(self.detection) | self.options.values()
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def load_align(
    instrument: str,
    detector: str,
    *,
    pixel_scale: float,
    preset: str = "default",
    file: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> ResolvedAlignment:
    """Give the parameters of an alignment.

    Parameters
    ----------
    instrument, detector : str
        As in INSTRUME and DETECTOR; case does not matter.
    pixel_scale : float, arcsec
        Of the detector: TweakReg's lengths are pixels.
    preset : {"default", "compat", "tweakreg"}
    file : path, optional
        A TOML file of the same form as the presets, or a .cfg file of TweakReg.
    overrides : mapping, optional
        Single values by name, which stand over everything.

    Raises
    ------
    ParameterError
        If a name is unknown (the nearest valid one is named), a value has the wrong type or is
        out of range, values contradict each other, or a file cannot be read.

    Examples
    --------
    >>> found = load_align("ACS", "WFC", pixel_scale=0.05, overrides={"minobj": 8, "snr": 20})
    >>> found.matching.min_shift, found.detection.snr, found.origin["min_shift"]
    (8, 20.0, 'minobj')
    """
    layers = _layers(file, overrides)
    given = {name for _, table in layers for name in table}
    values, origin = _FAMILY.values(
        instrument,
        detector,
        1,
        preset=preset,
        file=None if file is None or _is_cfg(file) else file,
        over=[(label, _meaning(table)) for label, table in layers],
    )
    options = _options(values, origin)
    its = _as_tweakreg(options) if preset == "tweakreg" else None
    translated = {} if its else _translated(options, pixel_scale)
    own = {name: values[name] for name in _OF_MATCHING if name in values}
    matching, _ = load_alignment(
        instrument,
        detector,
        preset="compat" if preset == "compat" else "default",
        overrides={n: v for n, (v, _) in translated.items()} | own,
    )
    detection = _detection(instrument, detector, options.general.detection, values, origin)
    origin |= {n: why for n, (_, why) in translated.items() if n not in own}
    known = TWEAKREG_WITHOUT_MEANING
    if its is None:
        known = known | _OURS
        _refuse_offsets(options)
    ignored = {name: why for name, why in known.items() if name in given}
    return ResolvedAlignment(options, matching, its, detection, origin, ignored)


def parse_align_setting(text: str) -> tuple[str, str]:
    """Read one ``name=value`` as given on a command line; ParameterError if it is none."""
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise ParameterError(f"{text!r} is not of the form name=value")
    if name not in TWEAKREG_WITHOUT_MEANING and name != _CFG:
        _FAMILY.check_names([name], text)
    return name, value


def _is_cfg(file: str | Path) -> bool:
    return Path(file).suffix.lower() == ".cfg"


def _layers(file: str | Path | None, overrides: Mapping[str, object] | None) -> list[Layer]:
    """Values of .cfg files, where there are some, and those of the caller."""
    layers: list[Layer] = []
    if file is not None and _is_cfg(file):
        layers.append((str(file), read_cfg(file, "tweakreg")))
    layers.append((GIVEN, dict(overrides or {})))
    found: list[Layer] = []
    for label, table in layers:
        cfg = table.get(_CFG)
        if cfg:
            if not isinstance(cfg, str | Path):
                raise ParameterError(f"{_CFG} must be the path of a .cfg file, not {cfg!r}")
            finding: dict[str, object] = {**read_cfg(cfg, "imagefindpars"), "detection": "tweakreg"}
            found.append((str(cfg), finding))
        found.append((label, {n: v for n, v in table.items() if n != _CFG}))
    return found


def _meaning(table: Mapping[str, object]) -> dict[str, object]:
    return {name: v for name, v in table.items() if name not in TWEAKREG_WITHOUT_MEANING}


def _options(values: Mapping[str, object], origin: Mapping[str, str]) -> TweakRegParameters:
    try:
        return TweakRegParameters.from_values({n: values[n] for n in tweakreg.NAMES if n in values})
    except ParameterError as error:
        raise ParameterError(with_origin(str(error), origin)) from None


def _detection(
    instrument: str,
    detector: str,
    preset: str,
    values: Mapping[str, object],
    origin: Mapping[str, str],
) -> DetectionParameters:
    """Take the values that are parameters of the chosen way; refuse those of others."""
    mine = _OF_DETECTION[preset]
    others = dict.fromkeys(n for names in _OF_DETECTION.values() for n in names if n not in mine)
    wrong = [n for n in others if origin.get(n, BUILT_IN) != BUILT_IN]
    if wrong:
        owner = next(p for p, names in _OF_DETECTION.items() if wrong[0] in names)
        raise ParameterError(
            f"{wrong[0]} is a parameter of detection {owner!r}, and {preset!r} is used: set "
            f"detection = {owner!r}, or leave it out"
        )
    over = {n: values[n] for n in mine if n in values}
    return load_detection(instrument, detector, preset=preset, overrides=over)[0]


def _as_tweakreg(options: TweakRegParameters) -> TweakRegMatching:
    """Take the parameters of TweakReg's own matching; what is None or empty is its default."""
    values = options.values()
    given = {n: values[n] for n in _OF_TWEAKREG if values[n] not in (None, "")}
    return TweakRegMatching(**given)


def _refuse_offsets(options: TweakRegParameters) -> None:
    for name in ("xoffset", "yoffset"):
        if getattr(options.match, name):
            raise ParameterError(
                f"{name} is a first guess of TweakReg's matching: use preset = 'tweakreg', or "
                "leave it out (offsets are searched for within searchrad)"
            )
    if not options.general.verify:
        raise ParameterError("verify = False is possible with preset = 'tweakreg' alone")


def _translated(options: TweakRegParameters, scale: float) -> dict[str, tuple[object, str]]:
    """Say what TweakReg's names mean to matching: value, and the name that it follows from."""
    m = options.match
    found: dict[str, tuple[object, str]] = {}

    def follow(name: str, **values: object) -> None:
        found.update({n: (v, name) for n, v in values.items()})

    if m.minobj is not None:
        n = m.minobj
        follow("minobj", min_shift=n, min_rshift=max(n, 3), min_rscale=max(n, 3))
        follow("minobj", min_general=max(n, 4))
    if m.searchrad is not None:
        arcsec = m.searchrad * (scale if m.searchunits == "pixels" else 1.0)
        pixels = arcsec / scale
        follow("searchrad", searchrad=arcsec, relative_searchrad=arcsec)
        follow("searchrad", use2dhist_searchrad=pixels, default_searchrad=pixels)
        follow("searchrad", relative_pixels=pixels)
    if m.separation is not None:
        # tweakwcs refuses 0: what lies closer than a millionth of a pixel is one source
        apart = max(m.separation, 1e-6)
        follow("separation", use2dhist_separation=apart, default_separation=apart)
    if m.tolerance is not None:
        follow("tolerance", use2dhist_tolerance=m.tolerance, default_tolerance=m.tolerance)
        follow("tolerance", header_tolerance=m.tolerance * scale)
    if m.fitgeometry:
        follow("fitgeometry", geometries=(m.fitgeometry,), relative_geometry=m.fitgeometry)
    for name in ("nclip", "sigma"):
        if getattr(m, name) is not None:
            follow(name, **{name: getattr(m, name)})
    if not m.use2dhist:
        follow("use2dhist", methods=("header",))
    return found
