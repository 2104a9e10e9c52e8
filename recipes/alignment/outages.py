"""Services that do not answer: known to all alignments of a run, so that not each waits for them.

Not here: asking (`referring`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: Times that a service may fail before it is asked no more.
_PATIENCE = 2
#: After so long it is asked again, seconds.
_FORGIVEN = 900.0


@dataclass(eq=False)
class Outages:
    """When services have failed.  Threads share it; of other processes it learns by `learn`.

    Attributes
    ----------
    failures : dict of str to list of float
        Seconds since 1970, by the name of the service.
    """

    failures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str) -> None:
        """Remember that a service has just failed."""
        self.failures.setdefault(name, []).append(time.time())

    def learn(self, failures: Mapping[str, Sequence[float]]) -> None:
        """Take over what another process has noted; what is known already counts once."""
        for name, times in failures.items():
            self.failures[name] = sorted({*self.failures.get(name, ()), *times})

    def is_down(self, name: str) -> bool:
        """Whether a service has failed so often of late that it is not worth waiting for."""
        since = time.time() - _FORGIVEN
        return sum(when > since for when in self.failures.get(name, ())) >= _PATIENCE
