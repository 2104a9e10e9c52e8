"""Sky levels of mosaics: one constant per chip, measured once and kept in the records.

Each exposure has its own level, measured on its own pixels, so the zero level of a layer never
depends on which visit arrived later.  Masks do not enter (flags do, and pixels without light): the
median is robust, and a mask given later must change the tiles that it touches, no others.
Not here: how a level is measured, and levels that couple exposures (`sky_levels`).
"""

from __future__ import annotations

from hapdask.config.parameters import DrizzleParameters
from hapdask.config.sky import SkyParameters
from hapdask.drizzling.sky_levels.methods import solve_sky
from hapdask.observe.record import ExposureRecord


def set_sky(exposure: ExposureRecord, parameters: DrizzleParameters) -> ExposureRecord:
    """Give a record the sky levels that the parameters ask for.

    Parameters
    ----------
    exposure : ExposureRecord
    parameters : DrizzleParameters
        ``sky`` is ``"measure"`` (clipped median; the lowest surface brightness among the chips
        serves all of them, as AstroDrizzle's ``localmin``), ``"header"`` (MDRIZSKY, 0 where
        absent) or ``"none"``.  Where fluxes are scaled, brightness is in the layer's system:
        one sky gives unlike counts on chips of unlike sensitivity.

    Returns
    -------
    ExposureRecord
        With a warning in its verdict where no pixel was left to measure the sky on.

    Raises
    ------
    InputError
        If pixels cannot be read.
    """
    if parameters.sky == "none":
        return exposure.with_sky(0.0)
    if parameters.sky == "header":
        levels = exposure.header_sky()
        return exposure.with_sky({c.extver: levels.get(c.extver, 0.0) for c in exposure.chips})
    how = SkyParameters(method="localmin", bits=parameters.good_bits, use_static=False)
    solution = solve_sky([exposure], how, flux_scaling=parameters.flux_scaling)
    for error in solution.failures:
        raise error
    (record,) = solution.apply([exposure])
    return record
