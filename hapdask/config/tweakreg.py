"""TweakReg's parameters, by its names, grouped as there; and some of ours.

Users give names flat: no two groups share one.  Here stand names, types and limits, and which
combinations contradict each other.  What a preset takes, and what these mean to the parameters of
detection and matching, stands in `hapdask.config.tweakreg_presets`; TweakReg's names that mean
nothing here in `hapdask.config.upstream_names`.

``services``, ``offline``, ``guiding``, ``joint``, ``detection`` and ``label`` are not TweakReg's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hapdask.config.fields import Declared, choice, number, switch, text, whole
from hapdask.config.grouped import Grouped
from hapdask.errors import ParameterError

_MOST = 1_000_000
_COLUMN = r"[^\s,]*"
GEOMETRIES = ("", "shift", "rshift", "rscale", "general")
UNITS = ("pixels", "degrees")
PLOTS = ("both", "vector", "residuals", "none")
LABELS = ("", "REL", "IMG", "EVM", "SVM", "MVM")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralOptions(Declared):
    """What holds for all steps.

    Attributes
    ----------
    refimage : str
        An image whose sources are the references: an exposure, or an undistorted mosaic.
    expand_refcat : bool
        Sources of exposures aligned so far join the references; by default exposures are aligned
        to each other first, and all of them to the catalog.
    enforce_user_order : bool
        The first exposure is the reference of the others, instead of the one that shares most sky.
    exclusions : str
        File with a line for each exposure: its name, then DS9 regions or masks, one for each SCI.
    services : bool
        Whether catalog services are asked where no ``refcat`` is given.
    offline : bool
        Ask nothing of the network.
    guiding : bool
        Whether exposures that trail are set aside.
    joint : bool
        Whether all exposures are solved together at the end.
    verify : bool
        Whether fits are judged; only the preset ``tweakreg`` can believe all that have ``minobj``
        matches, as TweakReg does.
    detection : {"default", "hap", "tweakreg"}
        Whose way of finding sources.
    """

    refimage: str = text()
    expand_refcat: bool = switch(False)
    enforce_user_order: bool = switch(False)
    exclusions: str = text()
    writecat: bool = switch(True)
    clean: bool = switch(False)
    services: bool = switch(True)
    offline: bool = switch(False)
    guiding: bool = switch(True)
    joint: bool = switch(True)
    verify: bool = switch(True)
    detection: str = choice("default", ("default", "hap", "tweakreg"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderOptions(Declared):
    """The new WCS in copies of the inputs, or in place; ``label`` stands in the archive's name.

    An empty ``wcsname`` is the archive's usual one, such as ``IDC_...-FIT_REL_GAIAeDR3``.
    """

    updatehdr: bool = switch(True)
    wcsname: str = text("", r"[ -~]{1,60}", "a name of 1 to 60 ASCII characters")
    reusename: bool = switch(True)
    label: str = choice("", LABELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderletOptions(Declared):
    """Headerlets, as files and in copies; ``history`` is a file, or the text itself."""

    headerlet: bool = switch(False)
    attach: bool = switch(True)
    hdrname: str = text()
    author: str = text()
    descrip: str = text()
    catalog: str = text()
    history: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftOptions(Declared):
    """The shift file and the WCS that its pixels are of."""

    shiftfile: bool = switch(True)
    outshifts: str = text("shifts.txt", r"[^/\\]+", "a file's name without folder")
    outwcs: str = text("shifts_wcs.fits", r"[^/\\]+", "a file's name without folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions(Declared):
    """Source lists of the user, and which sources are taken.

    Columns are numbers from 1 or names; pixels of ``xyunits`` are 1-based, as in FITS.  Of
    magnitudes ``maxflux`` is the bright limit and ``minflux`` the faint one, as in TweakReg.
    """

    catfile: str = text()
    xcol: str = text("1", _COLUMN, "a column's number or name")
    ycol: str = text("2", _COLUMN, "a column's number or name")
    fluxcol: str = text("", _COLUMN, "a column's number or name")
    maxflux: float | None = number(None)
    minflux: float | None = number(None)
    fluxunits: str = choice("counts", ("counts", "cps", "mag"))
    xyunits: str = choice("pixels", UNITS)
    nbright: int | None = whole(None, 1, _MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceOptions(Declared):
    """How a reference catalog is read; columns that are not given are recognised by their names."""

    refcat: str = text()
    refxcol: str = text("", _COLUMN, "a column's number or name")
    refycol: str = text("", _COLUMN, "a column's number or name")
    refxyunits: str = choice("degrees", UNITS)
    rfluxcol: str = text("", _COLUMN, "a column's number or name")
    rmaxflux: float | None = number(None)
    rminflux: float | None = number(None)
    rfluxunits: str = choice("mag", ("mag", "counts", "cps"))
    refnbright: int | None = whole(None, 1, _MOST)

    def _check(self) -> None:
        if self.refxyunits == "pixels":
            raise ParameterError(
                "refxyunits = 'pixels' is refused: a reference catalog needs positions on the sky; "
                "give its RA and Dec, or the image as refimage"
            )
        if self.rfluxunits != "mag" and (self.rmaxflux, self.rminflux) != (None, None):
            raise ParameterError(
                f"rfluxunits = {self.rfluxunits!r}: reference stars are limited by magnitude; give "
                "rmaxflux (bright) and rminflux (faint) as magnitudes, or leave them out"
            )
        if bool(self.refxcol) != bool(self.refycol):
            raise ParameterError("refxcol and refycol go together: give both or neither")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchOptions(Declared):
    """Matching and fitting; what is None or empty stays as the preset of alignment has it.

    ``searchrad`` in ``searchunits``; ``separation``, ``tolerance`` and the offsets in pixels.
    """

    minobj: int | None = whole(None, 2, _MOST)
    searchrad: float | None = number(None, 0.0, 10_000.0, above=True)
    searchunits: str = choice("arcseconds", ("arcseconds", "pixels"))
    use2dhist: bool = switch(True)
    separation: float | None = number(None, 0.0, 1000.0)
    tolerance: float | None = number(None, 0.0, 1000.0, above=True)
    xoffset: float = number(0.0, -10_000.0, 10_000.0)
    yoffset: float = number(0.0, -10_000.0, 10_000.0)
    fitgeometry: str = choice("", GEOMETRIES)
    nclip: int | None = whole(None, 0, 100)
    sigma: float | None = number(None, 1.0, 20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotOptions(Declared):
    """Pictures: of the 2-D histogram, of residuals; limits in pixels, sizes in points."""

    see2dplot: bool = switch(True)
    residplot: str = choice("both", PLOTS)
    ylimit: float | None = number(None, 0.0, above=True)
    labelsize: int = whole(8, 4, 40)
    nbins: int = whole(30, 3, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class TweakRegParameters(Grouped):
    """All of them, one group for each part of TweakReg.

    Examples
    --------
    >>> p = TweakRegParameters.from_values({"searchrad": "2.5", "minobj": 8, "wcsname": "TWEAK"})
    >>> p.match.searchrad, p.match.minobj, p.header.wcsname
    (2.5, 8, 'TWEAK')
    """

    general: GeneralOptions = field(default_factory=GeneralOptions)
    header: HeaderOptions = field(default_factory=HeaderOptions)
    headerlet: HeaderletOptions = field(default_factory=HeaderletOptions)
    shifts: ShiftOptions = field(default_factory=ShiftOptions)
    sources: SourceOptions = field(default_factory=SourceOptions)
    reference: ReferenceOptions = field(default_factory=ReferenceOptions)
    match: MatchOptions = field(default_factory=MatchOptions)
    plots: PlotOptions = field(default_factory=PlotOptions)


#: All names of parameters.
NAMES: tuple[str, ...] = TweakRegParameters.names()
