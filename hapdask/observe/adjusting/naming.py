"""The name of a run's products, before their suffix (`hapdask.products.names`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hapdask.observe.inputs.entry import Input, product_of
from hapdask.observe.record import ExposureRecord

_SEVERAL = "final"


def run_name(inputs: Iterable[Input], exposures: Sequence[ExposureRecord]) -> str:
    """Name the products of a run as AstroDrizzle does.

    Parameters
    ----------
    inputs : iterable of Input
        What the lists say that named the files (`Exposures.inputs`).
    exposures : sequence of ExposureRecord
        Of the run.

    Returns
    -------
    str
        The name of the association's product, in lower case, where all exposures come from one;
        the rootname of a single file; else ``final``.

    Examples
    --------
    >>> run_name((), ())
    'final'
    """
    urls = {exposure.url for exposure in exposures}
    product = product_of(inputs, urls)
    if product:
        return product
    if len(urls) != 1:
        return _SEVERAL
    name = exposures[0].name
    return name.partition("-")[0] if len(exposures) > 1 else name
