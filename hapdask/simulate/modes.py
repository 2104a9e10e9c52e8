"""How a detector is read: whole or a subarray, binned or not, at which gain.

What lives here: which pixels of which chip each extension holds, and the header cards that tell
it (CRPIX, CD, SIP, LTV, LTM, the tables' reference points), as HST's pipeline writes them. The
sky that is simulated obeys those cards: stwcs gives the tables of a subarray a CRVAL of the wrong
sign (CRVAL - LTV instead of CRVAL + LTV), and so does this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hapdask.errors import ParameterError
from hapdask.simulate.detectors import Detector
from hapdask.simulate.templates import FloatTable, Template

if TYPE_CHECKING:
    from astropy.io.fits import Header

Combine = Callable[..., Any]
_TABLES = (("DP", "WCSDVARR"), ("D2IM", "D2IMARR"))


@dataclass(frozen=True, slots=True)
class Subarray:
    """A part of one chip that is read out alone; it becomes SCI,1 of its file.

    Parameters
    ----------
    extver : int
        The chip, by its EXTVER in a full frame.
    x0, y0 : int
        First column and row, 0-based, unbinned detector pixels.
    nx, ny : int
        Size in unbinned detector pixels.
    """

    extver: int
    x0: int
    y0: int
    nx: int
    ny: int


@dataclass(frozen=True, slots=True)
class Mode:
    """How a detector is read.

    Parameters
    ----------
    binning : int
        Detector pixels per side of an image pixel. On WFPC2, 2 is its AREA mode.
    subarray : Subarray or None
        None for the whole detector.
    gain : int or None
        Commanded gain, where a detector has several (WFPC2: 7 or 15); None for the first.
    """

    binning: int = 1
    subarray: Subarray | None = None
    gain: int | None = None

    def check(self, detector: Detector) -> None:
        """Refuse what the detector cannot do.

        Raises
        ------
        ParameterError
            Naming what it can.
        """
        label = f"{detector.instrument}/{detector.detector}"
        if self.binning not in detector.binnings:
            known = ", ".join(map(str, detector.binnings))
            raise ParameterError(f"binning={self.binning}: {label} offers {known}")
        if self.gain is not None and self.gain not in detector.gains:
            known = ", ".join(map(str, detector.gains)) or "none to choose"
            raise ParameterError(f"gain={self.gain}: {label} has {known}")
        if self.subarray is not None:
            part, (ny, nx) = self.subarray, detector.shape
            inside = (
                part.extver in detector.amps
                and 0 <= part.x0 < part.x0 + part.nx <= nx
                and 0 <= part.y0 < part.y0 + part.ny <= ny
            )
            if not inside or min(part.nx, part.ny) < self.binning or detector.separate_dq:
                raise ParameterError(
                    f"{part}: not a part of a chip of {label}, whose EXTVERs are "
                    f"{tuple(detector.amps)} with {nx} x {ny} pixels"
                    + (" and which has no subarrays" if detector.separate_dq else "")
                )

    def gain_of(self, detector: Detector, extver: int) -> tuple[float, float] | None:
        """Electrons per count and read noise (electrons) of a chip; None for files in electrons."""
        if not detector.gains:
            return None
        return detector.gains[self.commanded(detector)][extver]

    def commanded(self, detector: Detector) -> int:
        """Gain in force; 0 for files in electrons."""
        return self.gain or next(iter(detector.gains), 0)


#: The whole detector, unbinned, at its first gain.
WHOLE = Mode()


@dataclass(frozen=True, slots=True)
class Window:
    """The pixels of a chip that an extension holds.

    Parameters
    ----------
    extver : int
        The chip, by its EXTVER in a full frame.
    shape : tuple of int
        ``(ny, nx)`` of the image.
    x0, y0 : int
        First column and row, 0-based, unbinned detector pixels.
    binning : int
        Detector pixels per side of an image pixel.
    """

    extver: int
    shape: tuple[int, int]
    x0: int = 0
    y0: int = 0
    binning: int = 1

    @property
    def detector_shape(self) -> tuple[int, int]:
        """Size in unbinned detector pixels, ``(ny, nx)``."""
        return self.shape[0] * self.binning, self.shape[1] * self.binning

    def share(self, chip: tuple[int, int]) -> float:
        """Part of a chip of that shape which the window holds."""
        ny, nx = self.detector_shape
        return ny * nx / (chip[0] * chip[1])

    def cut(self, chip: npt.NDArray[Any], combine: Combine = np.mean) -> npt.NDArray[Any]:
        """Take the window out of an array of the whole chip.

        Parameters
        ----------
        chip : ndarray, shape (ny, nx)
            Of the unbinned chip.
        combine : callable
            Reduces the pixels that are binned into one, given ``axis``.

        Returns
        -------
        ndarray of the same dtype, shape of the window
            The same array where nothing is left out.
        """
        ny, nx = self.detector_shape
        if self.binning == 1 and chip.shape == (ny, nx):
            return chip
        part = chip[self.y0 : self.y0 + ny, self.x0 : self.x0 + nx]
        return self.bin(part, combine)

    def bin(self, part: npt.NDArray[Any], combine: Combine = np.mean) -> npt.NDArray[Any]:
        """Combine the unbinned pixels of the window; arguments as those of `cut`."""
        if self.binning == 1:
            return part
        b, (ny, nx) = self.binning, self.shape
        return np.asarray(combine(part.reshape(ny, b, nx, b), axis=(1, 3))).astype(part.dtype)


class Layout(NamedTuple):
    """What the extensions of a file hold.

    Parameters
    ----------
    template : Template
        With the cards of the mode; EXTVERs are those of the file.
    windows : dict
        `Window` by EXTVER in the file.
    """

    template: Template
    windows: dict[int, Window]


def lay_out(
    detector: Detector, template: Template, mode: Mode, chips: Sequence[int] | None
) -> Layout:
    """Say which pixels each extension holds.

    Parameters
    ----------
    detector : Detector
        Its figures.
    template : Template
        Of the full, unbinned frame.
    mode : Mode
        How it is read.
    chips : sequence of int or None
        EXTVERs wanted of a full frame; None for all.

    Returns
    -------
    Layout

    Raises
    ------
    ParameterError
        If the detector has no such mode or chip.
    """
    mode.check(detector)
    if mode.subarray is not None:
        if chips is not None:
            raise ParameterError("a subarray names its chip: give no chips")
        part = mode.subarray
        shape = part.ny // mode.binning, part.nx // mode.binning
        windows = {1: Window(part.extver, shape, part.x0, part.y0, mode.binning)}
    else:
        chosen = tuple(template.chips if chips is None else chips)
        if not chosen or not set(chosen) <= set(template.chips):
            raise ParameterError(f"chips={chips}: the detector has {template.chips}")
        shape = detector.shape[0] // mode.binning, detector.shape[1] // mode.binning
        windows = {v: Window(v, shape, binning=mode.binning) for v in chosen}
        if mode.binning == 1:
            return Layout(template, windows)
    return Layout(_told(template, windows, whole=mode.subarray is None), windows)


def _told(template: Template, windows: dict[int, Window], *, whole: bool) -> Template:
    """Return the template with the cards of a mode.

    Of a full frame every chip is kept, made or not, for the attitude is told by the first.
    """
    sample = next(iter(windows.values()))
    if whole:
        windows = {
            v: windows.get(v, Window(v, sample.shape, binning=sample.binning))
            for v in template.chips
        }
    primary = template.headers["PRIMARY", 1].copy()
    if "MODE" in primary and sample.binning == 2:
        primary["MODE"] = "AREA"
    headers = {("PRIMARY", 1): primary}
    tables: dict[tuple[str, int], FloatTable] = {}
    for ver, window in windows.items():
        for (name, old), header in template.headers.items():
            if old == window.extver and (name, old) != ("PRIMARY", 1) and name not in _NAMES:
                headers[name, ver] = _readout_cards(header.copy(), window)
        science = headers["SCI", ver]
        _linear_cards(science, window)
        for record, extname in _TABLES:
            for axis in (1, 2):
                key = f"{record}{axis}.EXTVER"
                if key not in science:
                    continue
                old, new = int(science[key]), int(science[key])
                if not whole:
                    new = 1 + sum(name == extname for name, _ in tables)
                    science[key] = new
                tables[extname, new] = template.tables[extname, old]
                card = template.headers[extname, old].copy()
                headers[extname, new] = _table_cards(card, science)
    return Template(template.name, headers, tables)


_NAMES = {extname for _, extname in _TABLES}


def _shift(window: Window) -> tuple[float, float]:
    """LTV1, LTV2: what is added to a 1-based detector position times LTM."""
    b = window.binning
    return tuple(-start / b + 0.5 * (b - 1) / b for start in (window.x0, window.y0))  # type: ignore[return-value]


def _readout_cards(header: Header, window: Window) -> Header:
    """Cards that tell the readout; only those that the template has."""
    ny, nx = window.detector_shape
    told = {
        "LTM1_1": 1.0 / window.binning, "LTM2_2": 1.0 / window.binning,
        "BINAXIS1": window.binning, "BINAXIS2": window.binning,
        "SIZAXIS1": nx, "SIZAXIS2": ny,
    }  # fmt: skip
    for i, (shift, start, size) in enumerate(
        zip(_shift(window), (window.x0, window.y0), (nx, ny), strict=True), start=1
    ):
        told |= {f"LTV{i}": shift, f"CENTERA{i}": start + size // 2}
    for key, value in told.items():
        if key in header:
            header[key] = value
    return header


def _linear_cards(header: Header, window: Window) -> None:
    """CRPIX, CD, SIP and figures of the distortion table, in pixels of the image."""
    b = window.binning
    for i, shift in enumerate(_shift(window), start=1):
        header[f"CRPIX{i}"] = float(header[f"CRPIX{i}"]) / b + shift
        for key in (f"CD{i}_1", f"CD{i}_2"):
            header[key] = float(header[key]) * b
    for key in ("IDCSCALE", "OCX10", "OCX11", "OCY10", "OCY11"):
        header[key] = float(header[key]) * b
    for axis in "AB":
        order = int(header[f"{axis}_ORDER"])
        for p in range(order + 1):
            for q in range(order + 1 - p):
                key = f"{axis}_{p}_{q}"
                if key in header:
                    header[key] = float(header[key]) * float(b) ** (p + q - 1)


def _table_cards(header: Header, science: Header) -> Header:
    """Set the reference point and step of a look-up table, by the rule of stwcs."""
    for i in (1, 2):
        header[f"CDELT{i}"] = float(header[f"CDELT{i}"]) * float(science.get(f"LTM{i}_{i}", 1.0))
        header[f"CRVAL{i}"] = float(header[f"CRVAL{i}"]) - float(science.get(f"LTV{i}", 0.0))
    return header
