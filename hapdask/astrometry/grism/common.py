"""HAP's own rule for dispersed exposures: one a-priori WCS for all of a detector (``compat``).

The direct images lose their fit by it, and dispersed and direct light fit together as well as the
guide stars put them.  Not here: what is done by default (`carrying`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from hapdask.astrometry.following.guide_stars import place_of
from hapdask.astrometry.grism.names import common_name
from hapdask.astrometry.grism.starting import wcs_names
from hapdask.errors import InputError
from hapdask.observe.adjusting.alternate import with_wcs
from hapdask.observe.record import ExposureRecord

log = logging.getLogger(__name__)


def with_common_wcs(
    grism: Sequence[ExposureRecord], direct: Sequence[ExposureRecord]
) -> dict[str, ExposureRecord]:
    """Give dispersed and direct exposures the a-priori WCS that all of their files have.

    Parameters
    ----------
    grism, direct : sequence of ExposureRecord
        Of any visits and detectors, as they were opened: uncorrected.

    Returns
    -------
    dict of str to ExposureRecord
        By name; of a detector without dispersed exposures, or whose files have no such WCS in
        common, or cannot be read, none.
    """
    found: dict[str, ExposureRecord] = {}
    for place in dict.fromkeys(place_of(record) for record in grism):
        own = [record for record in grism if place_of(record) == place]
        others = [record for record in direct if place_of(record) == place]
        try:
            name = common_name([wcs_names(r) for r in own], [wcs_names(r) for r in others])
            changed = () if name is None else with_wcs([*own, *others], name)
        except InputError as error:
            log.warning("no common WCS for %s: %s", "/".join(place), error)
            continue
        if name is None:
            log.warning("the exposures of %s have no a-priori WCS in common", "/".join(place))
        found |= {record.name: record for record in changed}
    return found
