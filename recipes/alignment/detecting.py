"""One task for each exposure: its sources, and whether the telescope held still.

Not here: how sources are found (`hapdask.astrometry.detection`), source lists that users give
(`given`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hapdask.astrometry.detection import detect_sources
from hapdask.astrometry.guiding import Guiding, check_guiding
from hapdask.astrometry.sources import COSMIC_RAY, EDGE, EXTENDED, SourceList
from hapdask.config.detection import DetectionParameters, StarParameters
from hapdask.drizzling.running import run_tasks
from hapdask.errors import HapdaskError, InputError
from hapdask.observe.masking.sources import MaskSource
from hapdask.observe.record import ExposureRecord
from hapdask.observe.visits.roles import role_of
from hapdask.observe.visits.zeros import judge_zeros

if TYPE_CHECKING:
    from distributed import Client

#: Guiding of an exposure that was not looked at.
UNCHECKED = Guiding("unknown", "not looked at")
_SPECTRA = "its sources are spectra"


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
    galaxies : SourceList or None
        For the joint solution alone; None where nobody looked for them.
    """

    name: str
    sources: SourceList
    guiding: Guiding = UNCHECKED
    error: HapdaskError | None = None
    aside: str = ""
    galaxies: SourceList | None = None


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
        ours = isinstance(self.parameters, StarParameters) and self.sources is None
        galaxies = None
        try:
            found = self.sources
            if found is None:
                every = detect_sources(
                    self.record, self.parameters, exclude=self.exclude, galaxies=ours
                )
                _refuse_blank(self.record, every)
                found, galaxies = every.without(EXTENDED), every.having(EXTENDED)
            stars = found if ours else None
            guiding = check_guiding(self.record, stars) if self.guiding else UNCHECKED
        except HapdaskError as error:
            return Detected(name, SourceList.empty(name), error=error)
        sources = found.without(COSMIC_RAY | EDGE)
        return Detected(name, sources, guiding, galaxies=galaxies if ours else None)


def _refuse_blank(record: ExposureRecord, found: SourceList) -> None:
    """Refuse an exposure without pixels, which else would follow its visit as if it were good."""
    verdict = record.verdict if len(found) else judge_zeros(record)
    if verdict.status == "rejected":
        raise InputError(record.url, verdict.reason, remedy="leave it out, or fetch it again")


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
