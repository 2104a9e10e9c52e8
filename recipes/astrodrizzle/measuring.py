"""What must be known of every exposure before any tile: masks, static mask, sky, mean weight.

Each is read once and kept in the records; an exposure that cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from hapdask.config.astrodrizzle import AstroDrizzleParameters
from hapdask.drizzling import steps
from hapdask.drizzling.median import StackMember
from hapdask.drizzling.members import chips_without_pixels, stack_member
from hapdask.drizzling.single_image import lone_exposures, mask_single_images
from hapdask.drizzling.sky_levels.given import sky_from_file, sky_from_keyword
from hapdask.drizzling.sky_levels.mask_catalog import read_mask_catalog
from hapdask.drizzling.sky_levels.methods import solve_sky
from hapdask.drizzling.sky_levels.solution import SkySolution
from hapdask.drizzling.static_mask import attach_static_masks, find_static_masks
from hapdask.errors import InputError
from hapdask.observe.record import ExposureRecord
from hapdask.recipes.astrodrizzle.planning import Planned
from hapdask.recipes.prepare import attach_given, lost_by_masks
from hapdask.recipes.reporting import LeftOut, Listener, Step, timed

#: Names of the steps as AstroDrizzle's timing report has them.
STATIC_MASK, SUBTRACT_SKY = "Static Mask", "Subtract Sky"
SEPARATE_DRIZZLE, REJECT = "Separate Drizzle", "Driz_CR"
#: Not one of them.
BY_SHAPE = "Cosmic rays by shape"

_NOTHING = "no usable pixel: every one is flagged or masked"
_ACCEPT = "accept flags with driz_sep_bits and final_bits"
_EMPTY = "no pixel has any weight: SCI or ERR is not finite wherever flags and masks are good"
_FETCH = "fetch the file again, or leave it out"

Records = tuple[ExposureRecord, ...]


@dataclass(frozen=True)
class Measured:
    """Exposures as they are before any tile.

    Attributes
    ----------
    exposures : tuple of ExposureRecord
        With masks, static masks and sky levels, in the order of the run.
    members : tuple of StackMember
        Of the same exposures; none where there is no median.
    sky : SkySolution
    left_out : tuple of LeftOut
    lone : frozenset of str
        Names of the exposures without a partner whose cosmic rays were found by their shape.
    empty : mapping of str to list of int
        Exposures of which some chips (EXTVER) have no pixel to give.
    """

    exposures: Records
    members: tuple[StackMember, ...]
    sky: SkySolution
    left_out: tuple[LeftOut, ...] = ()
    lone: frozenset[str] = frozenset()
    empty: Mapping[str, list[int]] = field(default_factory=dict)

    @property
    def warned(self) -> Records:
        """The exposures, with what is missing of them in their verdicts."""
        return tuple(_warned(e, self.empty.get(e.name, ())) for e in self.exposures)


def _warned(record: ExposureRecord, empty: Sequence[int]) -> ExposureRecord:
    if not empty:
        return record
    chips = ", ".join(f"SCI,{extver}" for extver in empty)
    return record.with_verdict(record.verdict.warned(f"{chips}: {_EMPTY}"))


def attach(planned: Planned, where: Path) -> tuple[Records, tuple[LeftOut, ...]]:
    """Attach the masks and maps that the user gave; exposures whose own are broken are left out."""
    request, records = planned.request, tuple(planned.exposures)
    by_map = planned.parameters.final.final_wht_type == "IVM"
    weighted = {e.layer_name for e in records} if by_map else set()
    attached = attach_given(records, weighted, request.masks, request.ivm, where)
    lost = tuple(LeftOut.of(error) for error in lost_by_masks(records, attached))
    return attached.exposures, lost


def measure(
    records: Records,
    planned: Planned,
    where: Path,
    *,
    threads: int,
    progress: Listener,
    seconds: dict[str, float],
) -> Measured:
    """Measure the exposures of a run.

    Parameters
    ----------
    records : tuple of ExposureRecord
        Of the run, with the masks that `attach` gave them.
    planned : Planned
    where : Path
        Folder for masks that every worker sees.
    threads : int
    progress : callable
    seconds : dict of str to float
        Receives the wall time of each step.

    Raises
    ------
    InputError, ParameterError
        If files that parameters name cannot be used.
    StoreError
        If a mask cannot be written.
    """
    p, left_out = planned.parameters, []
    if p.static.static:
        with timed(seconds, STATIC_MASK):
            progress(Step("static masks", 0, len(records), "exposures"))
            records, lost = _with_static_masks(records, p, where, planned.output, threads)
            left_out += lost
    with timed(seconds, SUBTRACT_SKY):
        progress(Step("sky levels", 0, len(records), "exposures"))
        solution = find_sky(records, p, threads)
        records = solution.apply(records)
        left_out += [LeftOut.of(error) for error in solution.failures]
    with timed(seconds, SEPARATE_DRIZZLE):
        records, members, empty, lost = _members(records, planned, threads)
        left_out += lost
    lone: frozenset[str] = frozenset()
    if p.cosmic_rays.driz_cr_single:  # after losses, which may leave an exposure alone
        with timed(seconds, BY_SHAPE):
            known = dict(zip((e.name for e in records), members, strict=False))
            records, lone, lost = _mask_lone(records, p, where, progress)
            members = tuple(known[e.name] for e in records if e.name in known)
            left_out += lost
    return Measured(records, members, solution, tuple(left_out), lone, empty)


def find_sky(
    records: Sequence[ExposureRecord], p: AstroDrizzleParameters, threads: int
) -> SkySolution:
    """Find or take the sky levels that the parameters ask for."""
    sky, scaling = p.sky, p.general.flux_scaling
    if sky.skyfile or sky.skyuser.startswith("@"):
        return sky_from_file(records, sky.skyfile or sky.skyuser[1:], flux_scaling=scaling)
    if sky.skyuser:
        return sky_from_keyword(records, sky.skyuser, flux_scaling=scaling)
    if not sky.skysub:
        return SkySolution.zero(records)
    masks = read_mask_catalog(sky.skymask_cat) if sky.skymask_cat else ()
    return solve_sky(
        records, steps.sky_parameters(p), masks=masks, flux_scaling=scaling, threads=threads
    )


def _with_static_masks(
    records: Records, p: AstroDrizzleParameters, where: Path, output: str, threads: int
) -> tuple[Records, list[LeftOut]]:
    """Give exposures their static masks; those of one product share them."""

    def root(exposure: ExposureRecord) -> str:
        return output

    found = find_static_masks(records, sigma=p.static.static_sig, root=root, threads=threads)
    kept = [record for record in records if record.name not in found.left_out]
    return (
        attach_static_masks(kept, found, where, root=root),
        [LeftOut.of(error) for error in found.failures],
    )


def _mask_lone(
    records: Records, p: AstroDrizzleParameters, where: Path, progress: Listener
) -> tuple[Records, frozenset[str], list[LeftOut]]:
    """Find the cosmic rays of exposures that overlap with no other by their shape."""
    alone = lone_exposures(records)
    lone = [record for record, is_alone in zip(records, alone, strict=True) if is_alone]
    if not lone:
        return records, frozenset(), []
    progress(Step("cosmic rays of single exposures", 0, len(lone), "exposures"))
    bits = steps.good_bits(p, p.separate.driz_sep_bits)
    found = mask_single_images(lone, where, good_bits=bits)
    masked = {e.name: e for e in found.exposures}
    lost = {e.name for e in lone} - set(masked)
    kept = tuple(masked.get(e.name, e) for e in records if e.name not in lost)
    return kept, frozenset(masked), [LeftOut.of(error) for error in found.failures]


def _members(
    records: Records, planned: Planned, threads: int
) -> tuple[Records, tuple[StackMember, ...], dict[str, list[int]], list[LeftOut]]:
    """Find what the median needs to know of each exposure, and which have no pixel to give."""
    p = planned.parameters
    parameters = steps.separate_parameters(p)
    if not p.median.median:  # then only flags matter, of the step that is left
        final = steps.final_parameters(p)
        bits = None if final.good_bits is None else final.good_bits | final.doubtful_bits
        parameters = replace(parameters, good_bits=bits)
    upstream = p.cosmic_rays.driz_cr_test == "upstream"

    def attempt(record: ExposureRecord) -> tuple[StackMember, list[int]] | InputError:
        try:
            member = stack_member(record, planned.median_frame, parameters, upstream=upstream)
            if not member.mean_weight:
                return InputError(record.url, _NOTHING, remedy=_ACCEPT)
            empty = chips_without_pixels(record, planned.median_frame, parameters)
        except InputError as error:
            return error
        if len(empty) == len(record.chips):
            return InputError(record.url, _EMPTY, remedy=_FETCH)
        return member, empty

    with ThreadPoolExecutor(threads) as pool:
        found = list(zip(records, pool.map(attempt, records), strict=True))
    good = [(r, *each) for r, each in found if not isinstance(each, InputError)]
    lost = [LeftOut.of(error) for _, error in found if isinstance(error, InputError)]
    members = tuple(member for _, member, _ in good) if p.median.median else ()
    empty = {record.name: chips for record, _, chips in good if chips}
    return tuple(record for record, _, _ in good), members, empty, lost
