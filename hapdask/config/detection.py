"""The parameters of source detection for alignment: ours, TweakReg's imagefind, and HAP's.

Here stand names, types and limits; what values they take by default, by detector, stands in the
presets ``tables/detection_*``.  Not here: what is done with them (`hapdask.astrometry.detection`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from hapdask.config.fields import Declared, bits, choice, number, switch, whole
from hapdask.config.preset_tables import GIVEN, PresetFamily, with_origin
from hapdask.errors import ParameterError

_MANY = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StarParameters(Declared):
    """Our own detection.

    Attributes
    ----------
    threshold : float
        Height of a peak's brightest pixel above the background, in its noise.
    snr : float
        Least signal to noise of a source.
    faint : float
        Below this signal to noise only half of ``left_out`` is granted.
    chi2 : float
        Largest chi-square per degree of freedom of a star's fit.
    left_out : int
        Pixels that a fit may leave out.
    blur : float, arcsec
        FWHM that the detector adds to the diffraction core: where the PSF is looked for.
    smooth : float, pixels
        Sigma by which the image is smoothed before peaks are looked for; of photon counters.
    box : int, pixels
        Side of the boxes of the background.
    good_bits : int, str or None
        DQ bits that do no harm.
    saturated_bits : int, str
        DQ bits of saturated pixels.
    saturated : bool
        Whether stars with saturated cores are listed, flagged.
    error_floor : float, pixels
        Added in quadrature to every centroid error.
    most : int
        Sources of a chip that are kept, the brightest; 0 for all.
    """

    threshold: float = number(5.0, 1.0)
    snr: float = number(8.0, 1.0)
    faint: float = number(40.0, 0.0)
    chi2: float = number(1.8, 1.0)
    left_out: int = whole(4, 0, 20)
    blur: float = number(0.05, 0.0, 1.0)
    smooth: float = number(0.0, 0.0, 20.0)
    box: int = whole(64, 8, 4096)
    good_bits: int | None = bits(0)
    saturated_bits: int | None = bits(256)
    saturated: bool = switch(True)
    error_floor: float = number(0.0, 0.0, 1.0)
    most: int = whole(0, 0, _MANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFindParameters(Declared):
    """TweakReg's imagefindpars, by its names and with its defaults.

    Attributes
    ----------
    computesig : bool
        Whether the noise is measured on the image; else it is ``skysigma``.
    skysigma : float, SCI units
    conv_width : float, pixels
        FWHM of the Gaussian kernel.
    peakmin, peakmax, fluxmin, fluxmax : float or None, SCI units
        Limits of a source's brightest pixel, and of the sum of its box, background included.
    threshold : float
        In units of the noise.
    nsigma : float
        Where the kernel is cut, sigma.
    ratio, theta : float, degrees
        Minor over major axis of the kernel, and the angle of the major axis from x.
    dqbits : int, str or None
        DQ bits that do no harm; None does not look at DQ.
    use_sharp_round : bool
    sharplo, sharphi, roundlo, roundhi : float
        DAOFIND's limits.
    """

    computesig: bool = switch(True)
    skysigma: float = number(0.0, 0.0)
    conv_width: float = number(3.5, 0.0, 100.0, above=True)
    peakmin: float | None = number(None)
    peakmax: float | None = number(None)
    threshold: float = number(4.0, 0.0, above=True)
    nsigma: float = number(1.5, 0.0, 20.0, above=True)
    ratio: float = number(1.0, 0.0, 1.0, above=True)
    theta: float = number(0.0, -360.0, 360.0)
    fluxmin: float | None = number(None)
    fluxmax: float | None = number(None)
    dqbits: int | None = bits(None)
    use_sharp_round: bool = switch(False)
    sharplo: float = number(0.2)
    sharphi: float = number(1.0)
    roundlo: float = number(-1.0)
    roundhi: float = number(1.0)

    def _check(self) -> None:
        for low, high in (
            ("peakmin", "peakmax"),
            ("fluxmin", "fluxmax"),
            ("sharplo", "sharphi"),
            ("roundlo", "roundhi"),
        ):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least >= most:
                raise ParameterError(f"{low} = {least} is not below {high} = {most}")
        if not self.computesig and self.skysigma == 0.0:
            raise ParameterError("skysigma must be above 0 where computesig is false")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentParameters(Declared):
    """HAP's detection for alignment, by the names of its block generate_source_catalogs.

    Attributes
    ----------
    box_size, win_size : int, pixels and boxes
        Of the background and its median filter.
    bkg_estimator : {"MedianBackground", "SExtractorBackground"}
    nsigma : float
        Of the detection threshold above the background.
    threshold : float
        A negative one multiplies that threshold, a positive one stands for a third of the noise.
    fwhmpsf : float, arcsec
    source_box : int, pixels
        Least area of a source.
    num_sources : int
        Sources of a chip that are kept, the brightest.
    classify : bool
        Whether what looks like a cosmic ray is left out.
    good_bits, saturated_bits : int or str
        DQ bits that do no harm, and those of saturated pixels.
    """

    box_size: int = whole(13, 3, 4096)
    win_size: int = whole(3, 1, 99)
    bkg_estimator: str = choice("MedianBackground", ("MedianBackground", "SExtractorBackground"))
    nsigma: float = number(3.0, 0.0, above=True)
    threshold: float = number(-1.1)
    fwhmpsf: float = number(0.13, 0.0, 10.0, above=True)
    source_box: int = whole(7, 1, 1000)
    num_sources: int = whole(250, 1, _MANY)
    classify: bool = switch(True)
    good_bits: int | None = bits(0)
    saturated_bits: int | None = bits(256)


DetectionParameters = StarParameters | ImageFindParameters | SegmentParameters

#: Packaged tables: of our own detection, of HAP's and of TweakReg's.
PRESETS: dict[str, type[DetectionParameters]] = {
    "default": StarParameters,
    "hap": SegmentParameters,
    "tweakreg": ImageFindParameters,
}
_FAMILIES = {
    preset: PresetFamily(tuple(f.name for f in fields(kind)), ("default",), f"detection/{preset}")
    for preset, kind in PRESETS.items()
}


def load_detection(
    instrument: str,
    detector: str,
    *,
    preset: str = "default",
    file: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> tuple[DetectionParameters, dict[str, str]]:
    """Give the parameters of detection on a detector, and where each came from.

    Parameters
    ----------
    instrument, detector : str
        As in INSTRUME and DETECTOR, for example ``"WFC3"``, ``"UVIS"``; case does not matter.
    preset : {"default", "hap", "tweakreg"}
        Our own detection, HAP's or TweakReg's.
    file : path, optional
        A TOML file of the same form, which stands over the preset.
    overrides : mapping, optional
        Single values, which stand over everything.

    Raises
    ------
    ParameterError
        If a name is unknown (the nearest valid one is named), a value has the wrong type or is out
        of range, or the file cannot be read.

    Examples
    --------
    >>> parameters, origin = load_detection("WFC3", "IR", overrides={"snr": 20})
    >>> parameters.snr, origin["snr"], parameters.good_bits
    (20.0, 'given', 512)
    """
    if preset not in PRESETS:
        raise ParameterError(f"unknown preset {preset!r}: it must be one of {', '.join(PRESETS)}")
    over = [] if overrides is None else [(GIVEN, overrides)]
    values, origin = _FAMILIES[preset].values(
        instrument, detector, 1, preset="default", file=file, over=over
    )
    try:
        return PRESETS[preset](**values), origin  # type: ignore[arg-type]  # they check themselves
    except ParameterError as error:
        raise ParameterError(with_origin(str(error), origin)) from None
