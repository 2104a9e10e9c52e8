"""All that a run changes of its exposures before any step, in AstroDrizzle's order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.observe.adjusting.alternate import with_wcs
from hapdask.observe.adjusting.figures import with_figures
from hapdask.observe.adjusting.groups import only_group
from hapdask.observe.adjusting.moving import follow_first, follow_track
from hapdask.observe.adjusting.track import read_track
from hapdask.observe.adjusting.undistorted import without_distortion
from hapdask.observe.inputs.entry import Input
from hapdask.observe.record import ExposureRecord


def adjust(
    exposures: Sequence[ExposureRecord],
    parameters: AstroDrizzleParameters,
    *,
    track: object = None,
    inputs: Iterable[Input] = (),
) -> tuple[ExposureRecord, ...]:
    """Change exposures as the parameters of a run ask.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
        As opened, with their header cards, in the order of the run.
    parameters : AstroDrizzleParameters
        ``wcskey``, ``group``, ``coeffs`` and the instrument's figures are looked at.
    track : optional
        Of a moving target, as `read_track` takes it; it goes before MTFLAG.
    inputs : iterable of Input, optional
        `Exposures.inputs`, for ``wcskey``.

    Returns
    -------
    tuple of ExposureRecord
        In the same order; their verdicts tell what was moved.

    Raises
    ------
    InputError, ParameterError, PlanError
        See the functions of this folder.
    """
    general = parameters.general
    path = None if track is None else read_track(track)
    found = with_wcs(exposures, general.wcskey, inputs)
    found = tuple(only_group(exposure, general.group) for exposure in found)
    found = tuple(with_figures(exposure, parameters.instrument) for exposure in found)
    found = follow_first(found) if path is None else follow_track(found, path)
    return found if general.coeffs else tuple(without_distortion(exposure) for exposure in found)
