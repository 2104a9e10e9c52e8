"""The exposures of a visit: to each other, then to a reference catalog.

Catalogs in order, and for each the methods in order (facts 3.2), until every exposure has a
solution: the visit as one, then exposures one by one.  An exposure without one keeps its header,
or follows the others of its group where that was shown to be right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.attempts import Attempt
from hapdask.astrometry.fitting.grouped import Grouped, apart_mas
from hapdask.astrometry.fitting.overlaps import alignment_groups, shared_sources
from hapdask.astrometry.fitting.pairing import fit_lists
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.fitting.relative import RelativeAlignment, align_group, without_fixed
from hapdask.astrometry.fitting.result import Fit
from hapdask.astrometry.fitting.tasks import Outcome, Task, points_over
from hapdask.astrometry.matching.places import Places, center_of
from hapdask.config.alignment import AlignmentParameters
from hapdask.errors import ParameterError

Floats = NDArray[np.float64]


def align_visit(
    exposures: Sequence[Places],
    catalogs: Iterable[Places],
    parameters: AlignmentParameters,
    *,
    outlines: Sequence[tuple[Floats, Floats]] | None = None,
    pixel_scale: float = 0.04,
) -> list[Placement]:
    """Align the exposures of a visit.

    Parameters
    ----------
    exposures : sequence of Places
        Sources of each, by the headers.
    catalogs : iterable of Places
        References at the epoch of the visit, best first; the next is drawn only when needed, so
        that a generator asks its service no sooner.
    parameters : AlignmentParameters
    outlines : sequence of (ra, dec), degrees, optional
        Points around each exposure; its sources if not given.
    pixel_scale : float, arcsec
        Of the tangent plane's pixels, for upstream's rules.

    Returns
    -------
    list of Placement
        One for each exposure, in their order; the same bits for any order.

    Raises
    ------
    ParameterError
        If exposures share a name, or outlines are not one for each.
    """
    if len({each.name for each in exposures}) < len(exposures):
        raise ParameterError("two exposures have one name")
    if outlines is not None and len(outlines) != len(exposures):
        raise ParameterError(f"{len(outlines)} outlines for {len(exposures)} exposures")
    # so that nothing depends on the order given: what is equal otherwise goes by sources and name
    order = sorted(range(len(exposures)), key=lambda k: (-len(exposures[k]), exposures[k].name))
    skies = None if outlines is None else [outlines[k] for k in order]
    visit = _Visit([exposures[k] for k in order], parameters, skies, pixel_scale)
    visit.tie_exposures()
    drawn = iter(catalogs)
    while visit.open and (catalog := next(drawn, None)) is not None:
        visit.try_catalog(catalog)
    visit.follow_neighbours()
    by_place = dict(zip(order, visit.finished(), strict=True))
    return [by_place[k] for k in range(len(exposures))]


class _Visit:
    """The state of one visit while it is aligned."""

    def __init__(
        self,
        exposures: Sequence[Places],
        rules: AlignmentParameters,
        outlines: Sequence[tuple[Floats, Floats]] | None,
        pixel_scale: float,
    ) -> None:
        self.exposures = without_fixed(exposures)
        self.rules, self.pixel_scale = rules, pixel_scale
        self.skies = outlines
        self.placements = [Placement(each.name, reason="nothing was tried") for each in exposures]
        self.attempts: list[list[Attempt]] = [[] for _ in exposures]
        self.groups: list[RelativeAlignment] = []

    @property
    def open(self) -> list[int]:
        """Exposures without a tie to a catalog."""
        return [
            k
            for k, placement in enumerate(self.placements)
            if placement.status not in ("aligned", "confirmed") and len(self.exposures[k])
        ]

    def outline(self, k: int, center: tuple[float, float]) -> Floats:
        """Points all over an exposure in a plane, arcsec."""
        if self.skies is not None:
            corners = Places.make("outline", *self.skies[k], 0.0).in_plane(center).xy
            middle = corners.mean(axis=0)
            inner = [middle + f * (corners - middle) for f in (1.0, 0.66, 0.33)]
            return np.concatenate([*inner, middle[None]])
        return points_over(self.exposures[k].in_plane(center).xy)

    def tie_exposures(self) -> None:
        """Align the exposures to each other, group by group."""
        usable = [k for k, each in enumerate(self.exposures) if len(each)]
        for k, each in enumerate(self.exposures):
            if not len(each):
                self.placements[k] = replace(self.placements[k], reason="no source")
        if "relative" not in self.rules.methods or len(usable) < 2:
            return
        center = center_of(*(self.exposures[k] for k in usable))
        planes = [self.exposures[k].in_plane(center).xy for k in usable]
        shared = shared_sources(planes, [self.outline(k, center) for k in usable])
        least = min(self.rules.least(g) for g in self.rules.geometries)
        for found in alignment_groups(shared, least):
            left = [usable[k] for k in found]
            while len(left) > 1:
                left = self._tie_group(left)

    def _tie_group(self, order: list[int]) -> list[int]:
        """Align one group; what could not be tied is left for a group of its own."""
        center = center_of(*(self.exposures[k] for k in order))
        group = align_group(
            self.exposures,
            order,
            center,
            self.rules,
            outlines={k: self.outline(k, center) for k in order},
            pixel_scale=self.pixel_scale,
        )
        for attempt in group.attempts:
            k = next(k for k in order if self.exposures[k].name == attempt.exposure)
            self.attempts[k].append(attempt)
        if len(group.members) > 1:
            self.groups.append(group)
        return [k for k in order if k not in group.members]

    def try_catalog(self, catalog: Places) -> None:
        """Try every method with a catalog, for the exposures that have no tie yet."""
        for method in self.rules.methods:
            if method == "relative":
                for group in self.groups:
                    if any(k in self.open for k in group.members):
                        self._place_group(group, catalog)
                continue
            for k in self.open:
                self._place_alone(k, catalog, method)

    def _place_group(self, group: RelativeAlignment, catalog: Places) -> None:
        """Fit all stars of a group as one."""
        names = [self.exposures[k].name for k in group.members]
        points = np.concatenate([self.outline(k, group.center) for k in group.members])
        task = Task(
            group.stars.as_places(names[0]),
            catalog,
            group.center,
            self.rules,
            # ours searches as far as for one exposure: all have the pointing error of the first
            "relative" if self.rules.upstream else "histogram",
            points,
            self.pixel_scale,
        )
        outcome = fit_lists(task)
        tried = tuple(replace(a, method="relative") for a in outcome.attempts)
        for k in group.members:
            self.attempts[k] += tried
        if outcome.sound and outcome.fit is not None:
            self._follow(group, outcome)

    def _follow(self, group: RelativeAlignment, outcome: Outcome) -> None:
        """Place the members of a group that is tied to a catalog: all of them move, or none.

        Were those left whose headers are right within the error, which is that of the catalog, they
        would stand beside the others.  The fit counts even where it only confirms the header of
        the reference exposure: that header's own error must not pass to the others.
        """
        assert outcome.fit is not None
        assert outcome.judgement is not None
        grouped = self._grouped(group)
        totals = grouped.after(outcome.fit)
        members = [k for k in group.members if k in self.open]
        moved = {k: grouped.header_mas(k, totals[k]) for k in members}
        errors = {k: grouped.error_mas(k, outcome.fit) for k in members}
        better = _rms(moved.values()) >= self.rules.better * _rms(errors.values())
        # the headers are right on the whole, and yet may disagree
        corrections = totals if better else grouped.to_each_other()
        for k in members:
            stays = apart_mas(grouped.points[k], corrections[k], totals[k])
            self.placements[k] = Placement(
                exposure=self.exposures[k].name,
                status="aligned" if better else "confirmed",
                reason=_told(outcome.fit, moved[k], errors[k], better=better),
                correction=corrections[k],
                catalog=outcome.attempts[-1].catalog,
                method="relative",
                geometry=outcome.fit.geometry,
                matches=outcome.fit.matches,
                rms_mas=outcome.fit.total_rms_mas,
                error_mas=math.hypot(errors[k], stays),
                relative_mas=grouped.relative_mas(k, corrections[k]),
                chi2=outcome.fit.chi2,
                header_mas=moved[k],
                grade=outcome.judgement.grade,
                reference=self.exposures[group.members[0]].name,
                fit=outcome.fit,
            )

    def _grouped(self, group: RelativeAlignment) -> Grouped:
        points = {k: self.outline(k, group.center) for k in group.members}
        return Grouped(group, points, self.rules.better)

    def _place_alone(self, k: int, catalog: Places, method: str) -> None:
        """Fit one exposure to a catalog."""
        mine = [group for group in self.groups if k in group.members]
        center = mine[0].center if mine else center_of(self.exposures[k])
        task = Task(
            self.exposures[k],
            catalog,
            center,
            self.rules,
            method,
            self.outline(k, center),
            self.pixel_scale,
            self.exposures[k].name,
        )
        outcome = fit_lists(task)
        self.attempts[k] += outcome.attempts
        if not outcome.sound or outcome.fit is None or outcome.judgement is None:
            self.placements[k] = replace(self.placements[k], reason=self._why_not(k))
            return
        self.placements[k] = Placement(
            exposure=self.exposures[k].name,
            status="aligned" if outcome.accepted else "confirmed",
            reason=outcome.attempts[-1].reason,
            correction=outcome.fit.correction if outcome.accepted else None,
            catalog=catalog.name,
            method=method,
            geometry=outcome.fit.geometry,
            matches=outcome.fit.matches,
            rms_mas=outcome.fit.total_rms_mas,
            error_mas=outcome.error
            if outcome.accepted
            else math.hypot(outcome.error, outcome.header),
            chi2=outcome.fit.chi2,
            header_mas=outcome.header,
            grade=outcome.judgement.grade,
            fit=outcome.fit,
        )

    def _why_not(self, k: int) -> str:
        """Give the reason of the try with a catalog that came farthest."""
        others = {each.name for each in self.exposures}
        tried = [a for a in self.attempts[k] if a.catalog not in others]
        least = min(self.rules.least(g) for g in self.rules.geometries)

        def farthest(a: Attempt) -> tuple[bool, bool, int]:
            return bool(a.geometry) and a.matches >= least, a.method != "header", a.matches

        return max(tried, key=farthest).reason

    def follow_neighbours(self) -> None:
        """Let exposures without a tie follow those of their group that have one, or each other."""
        for group in self.groups:
            open_ones = [k for k in group.members if k in self.open]
            tied = [k for k in group.members if k not in self.open]
            if not open_ones:
                continue
            if tied:
                leader = min(tied, key=lambda k: (self.placements[k].error_mas, k))
                for k in open_ones:
                    self._follow_leader(k, group, leader)
            else:
                self._settle(group)

    def _follow_leader(self, k: int, group: RelativeAlignment, leader: int) -> None:
        """Place an exposure by another of its group that was tied alone."""
        grouped, led = self._grouped(group), self.placements[leader]
        total = grouped.beside(leader, led.correction)[k]
        header = grouped.header_mas(k, total)
        # beside a leader that stays a follower moves where the two headers are shown to disagree
        between = math.hypot(group.errors[k], group.errors[leader])
        better = led.correction is not None or header >= self.rules.better * between
        stays = 0.0 if better else header
        self.placements[k] = replace(
            led,
            exposure=self.exposures[k].name,
            reason=f"follows {led.exposure}" if better else "the header is as good",
            correction=total if better else None,
            method="relative",
            error_mas=math.hypot(led.error_mas, between, stays),
            relative_mas=math.hypot(between, stays),
            header_mas=header,
            reference=led.exposure,
        )

    def _settle(self, group: RelativeAlignment) -> None:
        """Bring a group that no catalog ties onto the middle of its headers."""
        grouped = self._grouped(group)
        corrections = grouped.to_each_other()
        for k in group.members:
            correction = corrections[k]
            stays = "" if correction is not None else ", where its header has it"
            self.placements[k] = replace(
                self.placements[k],
                status="relative",
                reason=f"tied to the visit alone{stays}; {self.placements[k].reason}",
                correction=correction,
                method="relative",
                relative_mas=grouped.relative_mas(k, correction),
                header_mas=grouped.header_mas(k, correction),
                reference=self.exposures[group.members[0]].name,
            )

    def finished(self) -> list[Placement]:
        """Give the placements with all that was tried."""
        return [
            replace(placement, attempts=tuple(tried))
            for placement, tried in zip(self.placements, self.attempts, strict=True)
        ]


def _rms(values: Iterable[float]) -> float:
    return math.sqrt(float(np.mean([v**2 for v in values])))


def _told(fit: Fit, header: float, error: float, *, better: bool) -> str:
    """Say why a member of a group that was fitted as one is moved, or kept."""
    if better:
        return f"{fit.matches} matches of the visit to {fit.total_rms_mas:.2f} mas"
    return f"the header is as good: moved by {header:.2f} mas with an error of {error:.2f} mas"
