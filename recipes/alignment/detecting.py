"""One task for each exposure: its sources, and whether the telescope held still.

Not here: how sources are found (`hapdask.astrometry.detection`), source lists that users give
(`given`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hapdask.astrometry.detection import Guiding, check_guiding, detect_sources
from hapdask.astrometry.sources import COSMIC_RAY, EDGE, SourceList
from hapdask.config.detection import DetectionParameters, StarParameters
from hapdask.drizzling.running import run_tasks
from hapdask.errors import HapdaskError
from hapdask.observe.masking.sources import MaskSource
from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.roles import role_of

if TYPE_CHECKING:
    from distributed import Client

#: Guiding of an exposure that was not looked at.
UNCHECKED = Guiding("unknown", "not looked at")
_SPECTRA = "its sources are spectra (hapdask svm gives it the WCS of the images beside it)"


@dataclass(frozen=True, eq=False)
class Detected:
    """What the pixels of an exposure gave.

    Attributes
    ----------
    name : str
        Of the exposure.
    sources : SourceList
        Those that may be used for alignment.
    guiding : Guiding
    error : HapdaskError or None
        Why there is nothing else.
    aside : str
        Why nothing was looked for; empty where it was.
    """

    name: str
    sources: SourceList
    guiding: Guiding = UNCHECKED
    error: HapdaskError | None = None
    aside: str = ""


@dataclass(frozen=True, eq=False)
class Detection:
    """The task: picklable, and what can go wrong is part of its result.

    Attributes
    ----------
    record : ExposureRecord
        With its cards: regions and the guiding's keywords need them.
    parameters : DetectionParameters
    exclude : tuple of MaskSource
    guiding : bool
        Whether guiding is looked at.
    sources : SourceList or None
        Given by the user, so that nothing is detected.
    """

    record: ExposureRecord
    parameters: DetectionParameters
    exclude: tuple[MaskSource, ...] = ()
    guiding: bool = True
    sources: SourceList | None = None

    @property
    def key(self) -> str:
        """Name of the task on a cluster."""
        return f"hapdask-sources-{self.record.name}"

    def __call__(self) -> Detected:
        """Detect; an error of hapdask's is a result, so that the others go on."""
        name = self.record.name
        if role_of(self.record.filter) == "dispersed":
            return Detected(name, SourceList.empty(name), aside=_SPECTRA)
        try:
            found = self.sources
            if found is None:
                found = detect_sources(self.record, self.parameters, exclude=self.exclude)
            ours = isinstance(self.parameters, StarParameters) and self.sources is None
            stars = found if ours else None
            guiding = check_guiding(self.record, stars) if self.guiding else UNCHECKED
        except HapdaskError as error:
            return Detected(name, SourceList.empty(name), error=error)
        return Detected(name, found.without(COSMIC_RAY | EDGE), guiding)


def detect_all(
    records: Sequence[ExposureRecord],
    parameters: Mapping[str, DetectionParameters],
    *,
    exclude: Sequence[MaskSource] = (),
    guiding: bool = True,
    given: Mapping[str, SourceList] | None = None,
    client: Client | None = None,
    threads: int = 1,
) -> Iterator[Detected]:
    """Detect on exposures, on threads or a cluster; each is given as it comes.

    Parameters
    ----------
    records : sequence of ExposureRecord
    parameters : mapping of str to DetectionParameters
        By the name of the exposure.
    exclude : sequence of MaskSource
    guiding : bool
    given : mapping of str to SourceList, optional
        Sources of exposures on which nothing is detected.
    client : distributed.Client, optional
    threads : int
    """
    known = given or {}
    tasks = (
        Detection(record, parameters[record.name], tuple(exclude), guiding, known.get(record.name))
        for record in records
    )
    return run_tasks(tasks, client, threads)
