"""Header cards of a simulated exposure: the template's, edited to tell the simulated truth.

What lives here: which card gets which value. Numbers come from ``pointing``, ``geometry`` and
``readout``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hapdask.simulate.geometry import ChipGeometry
from hapdask.simulate.readout import Readout
from hapdask.simulate.setting import Setting

if TYPE_CHECKING:
    from astropy.io.fits import Header

Value = str | int | float | bool

_FIT_RMS = 3.0  # mas: RMS_RA and RMS_DEC that an aligned header claims


def primary_header(setting: Setting, n_extensions: int, filename: str) -> Header:
    """Make the primary header.

    Parameters
    ----------
    setting : Setting
        How the exposure was taken.
    n_extensions : int
        For NEXTEND.
    filename : str
        Of the file, without folder.

    Returns
    -------
    astropy.io.fits.Header
    """
    header = setting.template.headers["PRIMARY", 1].copy()
    identity, pointing = setting.identity, setting.pointing
    date, clock = _clock(setting)
    _set(header, {
        "ORIGIN": "hapdask.simulate", "DATE": date, "NEXTEND": n_extensions,
        "FILENAME": filename, "ROOTNAME": identity.rootname,
        "TARGNAME": identity.target, "RA_TARG": pointing.ra, "DEC_TARG": pointing.dec,
        "PROPOSID": identity.proposal, "LINENUM": f"{identity.rootname[4:6]}.001",
        "PR_INV_L": "Simulated", "PR_INV_F": "", "PR_INV_M": "",
        "PRIMESI": setting.detector.instrument, "OBSTYPE": "IMAGING", "FGSLOCK": "FINE",
        "MTFLAG": "", "REFFRAME": "ICRS", **_mode_cards(setting),
        "DATE-OBS": date, "TIME-OBS": clock, "EXPSTART": setting.expstart,
        "EXPEND": setting.expend, "EXPTIME": setting.exptime, "EXPFLAG": "NORMAL",
        "PA_V3": setting.attitude.pa_v3,
        "POSTARG1": pointing.dither[0], "POSTARG2": pointing.dither[1],
        "ASN_ID": "NONE", "ASN_TAB": "NONE", "ASN_MTYP": "",
    })  # fmt: skip
    if filename == identity.companion:
        _set(header, {"FILETYPE": "SDQ"})
    if setting.detector.suffix == "flc":
        _set(header, {"PCTECORR": "COMPLETE"})
    _set(header, _filter_cards(setting))
    band, first = setting.passband, next(iter(setting.windows))
    _update(header, {
        "DARKTIME": setting.exptime, "UEXPODUR": round(setting.exptime),
        "CENTRWV": band.photplam, "BANDWID": band.photbw, **_photometry(setting, first, ""),
    })  # fmt: skip
    for name in ("DISTNAME", "SIPNAME"):
        _, _, model = str(header[name]).partition("_")
        header[name] = f"{identity.rootname}_{model}"
    header["SIMULATE"] = (True, "made by hapdask.simulate, not observed")
    header.add_history("Simulated by hapdask.simulate: no photon of this file came from the sky.")
    return header


def science_header(setting: Setting, geometry: ChipGeometry, readout: Readout) -> Header:
    """Make the header of a SCI extension, WCS and statistics included.

    Parameters
    ----------
    setting : Setting
        How the exposure was taken.
    geometry : ChipGeometry
        The header's map of this chip.
    readout : Readout
        Its pixels.

    Returns
    -------
    astropy.io.fits.Header
    """
    header = setting.template.headers["SCI", geometry.extver].copy()
    _common(header, setting)
    _update(header, {
        **_photometry(setting, geometry.extver, _chip(header)),
        "BUNIT": setting.detector.bunit,
        "SAMPTIME": setting.exptime, "ROUTTIME": setting.expend, "MEANDARK": readout.dark,
    })  # fmt: skip
    _set(header, {
        **_tangent_cards(geometry), "RADESYS": "ICRS",
        "WCSNAME": setting.wcsname, "WCSTYPE": "undistorted not aligned",
        "S_REGION": _s_region(geometry),
    })  # fmt: skip
    if setting.pointing.aligned:
        fit = "undistorted a posteriori solution aligned by visit to GAIAEDR3"
        degrees = _FIT_RMS / 3.6e6
        _set(header, {
            "WCSTYPE": fit, "CRDER1": degrees, "CRDER2": degrees, "RMS_RA": _FIT_RMS,
            "RMS_DEC": _FIT_RMS, "NMATCHES": 100, "FITGEOM": "rscale",
        })  # fmt: skip
    _update(header, _statistics(readout.sci, readout, header, ratios=True))
    return header


def companion_header(
    setting: Setting, extname: str, geometry: ChipGeometry, readout: Readout
) -> Header:
    """Make the header of an ERR, DQ, SAMP or TIME extension: linear WCS, no distortion.

    Parameters
    ----------
    setting : Setting
        How the exposure was taken.
    extname : str
        ``"ERR"``, ``"DQ"``, ``"SDQ"``, ``"SAMP"`` or ``"TIME"``.
    geometry : ChipGeometry
        The header's map of this chip.
    readout : Readout
        Its pixels.

    Returns
    -------
    astropy.io.fits.Header
    """
    header = setting.template.headers[extname, geometry.extver].copy()
    _common(header, setting)
    science = setting.template.headers["SCI", geometry.extver]
    _set(header, {
        "WCSAXES": 2, "CRPIX1": science["CRPIX1"], "CRPIX2": science["CRPIX2"],
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
        **_tangent_cards(geometry), "RADESYS": "ICRS", "WCSNAME": setting.wcsname,
    })  # fmt: skip
    if extname == "SDQ":
        _update(header, _photometry(setting, geometry.extver, _chip(header)))
    if extname == "ERR":
        _set(header, {"BUNIT": setting.detector.bunit})
        _update(header, _statistics(readout.err, readout, science, ratios=False))
    return header


def _chip(header: Header) -> int:
    """Read the number of the chip, by whichever name the instrument has for it."""
    return int(header.get("CCDCHIP", header.get("DETECTOR", 1)))


def _clock(setting: Setting) -> tuple[str, str]:
    """DATE-OBS and TIME-OBS."""
    from astropy.time import Time

    date, _, clock = Time(setting.expstart, format="mjd", precision=0).isot.partition("T")
    return date, clock


def _common(header: Header, setting: Setting) -> None:
    """Cards that any extension may have."""
    ra, dec = setting.attitude.aperture
    date, clock = _clock(setting)
    _update(header, {
        "ORIGIN": "hapdask.simulate", "DATE": setting.pointing.date[:10],
        "ROOTNAME": setting.identity.rootname, "EXPNAME": setting.identity.rootname,
        "DATE-OBS": date, "TIME-OBS": clock, "EXPSTART": setting.expstart,
        "EXPEND": setting.expend, "EXPTIME": setting.exptime,
        "RA_APER": ra, "DEC_APER": dec, "PA_APER": setting.attitude.pa_aperture,
    })  # fmt: skip


def _tangent_cards(geometry: ChipGeometry) -> dict[str, Value]:
    frame = geometry.frame
    cards: dict[str, Value] = {"CRVAL1": frame.crval[0], "CRVAL2": frame.crval[1]}
    for i in (1, 2):
        for j in (1, 2):
            cards[f"CD{i}_{j}"] = float(frame.cd[i - 1, j - 1])
    cards["ORIENTAT"] = frame.orientat
    return cards


def _filter_cards(setting: Setting) -> dict[str, Value]:
    name, wheels = setting.passband.filter, setting.detector.wheels
    at = next((i for i, (_, _, own) in enumerate(wheels) if name in own), 0)
    return {key: name if i == at else clear for i, (key, clear, _) in enumerate(wheels)}


def _mode_cards(setting: Setting) -> dict[str, Value]:
    """Cards of the primary header that tell how the detector was read."""
    cards: dict[str, Value] = {"SUBARRAY": setting.mode.subarray is not None}
    known = setting.template.headers["PRIMARY", 1]
    commanded = setting.mode.commanded(setting.detector)
    given = setting.mode.gain_of(setting.detector, 1)
    if given and "READNSE" in known:  # STIS tells the calibrated figures, WFPC2 the setting alone
        cards |= {"ATODGAIN": given[0], "READNSE": given[1], "CCDGAIN": commanded}
    elif given and "ATODGAIN" in known:
        cards["ATODGAIN"] = float(commanded)
    if setting.mode.subarray is not None:
        cards["CCDAMP"] = "".join(setting.amplifiers(1))
    return cards


def _photometry(setting: Setting, ver: int, chip: int | str) -> dict[str, Value]:
    """Photometric cards of an extension; `chip` is empty for the primary header."""
    band, photflam = setting.passband, setting.photflam(ver)
    mode = setting.detector.photmode.format(
        chip=chip, filter=band.filter, gain=setting.mode.commanded(setting.detector),
        day=f"MJD#{setting.expstart:.4f}",
    )  # fmt: skip
    ratio = float(setting.template.headers["PRIMARY", 1].get("PHTRATIO", 1.0))
    return {
        "PHOTMODE": mode, "PHOTFLAM": photflam,
        "PHOTFNU": band.photfnu * (photflam / band.photflam), "PHOTPLAM": band.photplam,
        "PHOTBW": band.photbw, "PHOTZPT": -21.1, "PHTFLAM1": photflam, "PHTFLAM2": photflam * ratio,
    }  # fmt: skip


def _statistics(
    data: np.ndarray, readout: Readout, header: Mapping[str, Value], *, ratios: bool
) -> dict[str, Value]:
    serious = np.int16(int(header.get("SDQFLAGS", 31743)))
    good = (readout.dq & serious) == 0
    if not good.any():
        return {"NGOODPIX": 0}
    values = data[good]
    cards: dict[str, Value] = {
        "NGOODPIX": int(values.size), "GPIXELS": int(values.size), "GOODMIN": float(values.min()),
        "GOODMAX": float(values.max()), "GOODMEAN": float(values.mean(dtype=np.float64)),
        "DATAMIN": float(data.min()), "DATAMAX": float(data.max()),
    }  # fmt: skip
    cards["DATAMEAN"] = cards["GOODMEAN"]
    if ratios:
        snr = values / readout.err[good]
        cards |= {
            "SNRMIN": float(snr.min()), "SNRMAX": float(snr.max()),
            "SNRMEAN": float(snr.mean(dtype=np.float64)), "SOFTERRS": 0,
        }  # fmt: skip
    return cards


def _s_region(geometry: ChipGeometry) -> str:
    ra, dec = geometry.corners()
    vertices = [f"{a!r} {d!r}" for a, d in zip(ra.tolist(), dec.tolist(), strict=True)]
    return "POLYGON ICRS " + " ".join([*vertices, vertices[0]])


def _set(header: Header, cards: Mapping[str, Value]) -> None:
    """Set cards, new ones at the end; comments of existing ones stay."""
    for key, value in cards.items():
        if isinstance(value, float) and not math.isfinite(value):
            continue
        header[key] = value


def _update(header: Header, cards: Mapping[str, Value]) -> None:
    """Set only cards that the template has."""
    _set(header, {key: value for key, value in cards.items() if key in header})
