"""The extensions of a simulated file, in the order in which HST has them.

What lives here: which HDU follows which. Their cards are made in ``headers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hapdask.simulate import headers
from hapdask.simulate.chip import ChipTruth
from hapdask.simulate.readout import Readout
from hapdask.simulate.setting import Setting

if TYPE_CHECKING:
    from astropy.io.fits import HDUList, ImageHDU


def science_file(
    setting: Setting, truths: Mapping[int, ChipTruth], readouts: Mapping[int, Readout]
) -> HDUList:
    """Put together the file with SCI, and with ERR, DQ, SAMP and TIME where it has them.

    Parameters
    ----------
    setting : Setting
        How the exposure was taken.
    truths, readouts : mapping
        By EXTVER.

    Returns
    -------
    astropy.io.fits.HDUList
    """
    from astropy.io.fits import ImageHDU

    extensions: list[ImageHDU] = []
    for ver, readout in readouts.items():
        geometry = truths[ver].header_geometry
        science = headers.science_header(setting, geometry, readout)
        extensions.append(ImageHDU(readout.sci, science, name="SCI", ver=ver))
        planes = {} if setting.detector.separate_dq else {"ERR": readout.err, "DQ": readout.dq}
        if readout.time is not None:
            samples = int(setting.template.headers["PRIMARY", 1]["NSAMP"]) - 1
            used = np.ceil(samples * readout.time / np.float32(setting.exptime))
            planes |= {"SAMP": used.astype(np.int16), "TIME": readout.time}
        for name, plane in planes.items():
            card = headers.companion_header(setting, name, geometry, readout)
            extensions.append(ImageHDU(plane, card, name=name, ver=ver))
    wanted = _tables(setting, readouts)
    for (name, ver), table in setting.template.tables.items():
        if (name, ver) in wanted:
            card = setting.template.headers[name, ver].copy()
            extensions.append(ImageHDU(table, card, name=name, ver=ver))
    return _file(setting, extensions, setting.identity.filename)


def quality_file(
    setting: Setting, truths: Mapping[int, ChipTruth], readouts: Mapping[int, Readout]
) -> HDUList:
    """Put together a c1m file: the DQ of each chip, as SDQ; arguments as of `science_file`."""
    from astropy.io.fits import ImageHDU

    extensions = []
    for ver, readout in readouts.items():
        card = headers.companion_header(setting, "SDQ", truths[ver].header_geometry, readout)
        extensions.append(ImageHDU(readout.dq, card, name="SDQ", ver=ver))
    return _file(setting, extensions, setting.identity.companion)


def _tables(setting: Setting, readouts: Mapping[int, Readout]) -> set[tuple[str, int]]:
    """Distortion tables that the chips in the file refer to."""
    named = (
        (extname, setting.template.headers["SCI", ver].get(f"{record}{axis}.EXTVER"))
        for ver in readouts
        for record, extname in (("DP", "WCSDVARR"), ("D2IM", "D2IMARR"))
        for axis in (1, 2)
    )
    return {(extname, int(ver)) for extname, ver in named if ver is not None}


def _file(setting: Setting, extensions: list[ImageHDU], filename: str) -> HDUList:
    from astropy.io.fits import HDUList, PrimaryHDU

    for extension in extensions:
        extension.header.set("INHERIT", True, "inherit the primary header", after="GCOUNT")
    primary = PrimaryHDU(header=headers.primary_header(setting, len(extensions), filename))
    return HDUList([primary, *extensions])
