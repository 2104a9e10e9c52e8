"""Opening exposures: files to records, by their headers alone, with a verdict for every file.

One bad file never loses the rest: it is reported and left out, unless ``strict``.  Nothing is
written, no handle stays open.  Lives here: the list of exposures.  Not here: one file
(`opening`), pixels (`pixels`).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import overload

from hapdask.errors import InputError
from hapdask.observe.cards import Value
from hapdask.observe.chips import TableCache
from hapdask.observe.inputs.entry import Entry, Input, Unusable, product_of
from hapdask.observe.inputs.expand import read_files, read_inputs
from hapdask.observe.opening import open_exposure
from hapdask.observe.record import ExposureRecord
from hapdask.observe.remote import is_remote
from hapdask.observe.selection import Select, Verdict
from hapdask.observe.solutions.choose import Solutions
from hapdask.observe.solutions.headerlets import Headerlet, scan_headerlets
from hapdask.observe.solutions.reference import References
from hapdask.observe.source import PathLike, resolve

log = logging.getLogger(__name__)

Opened = ExposureRecord | Verdict | InputError

_REMOTE_THREADS = 8
_RECORD_COLUMNS = ("name", "exptime", "expstart", "visit", "target", "suffix", "wcsname")
_COLUMNS = ("file", "status", "reason", "layer", "chips", *_RECORD_COLUMNS)


class Exposures(Sequence[ExposureRecord]):
    """The exposures that can be used, in the order given, and a verdict for every file.

    A pattern stands for its files sorted, a list or an association for its own order.  A run keeps
    this order; the first exposure gives AstroDrizzle's default frame its scale and orientation.

    Attributes
    ----------
    verdicts : tuple of (str, Verdict)
        Address and verdict of every file, also of those left out.
    inputs : tuple of Input
        What the lists that named the files say about them: products, sky cells, maps.
    """

    def __init__(
        self,
        records: Iterable[ExposureRecord],
        verdicts: Iterable[tuple[str, Verdict]],
        inputs: Iterable[Input] = (),
    ) -> None:
        self._records = tuple(records)
        self.verdicts = tuple(verdicts)
        self.inputs = tuple(inputs)

    @overload
    def __getitem__(self, index: int) -> ExposureRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Exposures: ...
    def __getitem__(self, index: int | slice) -> ExposureRecord | Exposures:
        if isinstance(index, slice):
            return Exposures(self._records[index], self.verdicts, self.inputs)
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        left_out = sum(v.status == "rejected" for _, v in self.verdicts)
        layers = ", ".join(sorted({r.layer_name for r in self._records}))
        return f"<Exposures: {len(self)} of {layers or 'no layer'}; {left_out} left out>"

    def with_records(self, records: Iterable[ExposureRecord]) -> Exposures:
        """Put changed records in place of these; their verdicts show in the list."""
        changed = tuple(records)
        latest = _by_url(changed)
        verdicts = []
        for url, verdict in self.verdicts:
            record = None if verdict.status == "rejected" else next(latest[url], None)
            verdicts.append((url, verdict if record is None else record.verdict))
        return Exposures(changed, verdicts, self.inputs)

    @property
    def product(self) -> str:
        """Product of the association that all of them come from, lower case; else empty."""
        return product_of(self.inputs, {record.url for record in self._records})

    @property
    def ivm_maps(self) -> dict[str, str]:
        """Inverse-variance maps that an @list names, by rootname, as `attach_ivm` takes them."""
        maps = {entry.url: entry.ivm for entry in self.inputs if entry.ivm is not None}
        return {r.name: maps[r.url] for r in self._records if r.url in maps}

    def table(self) -> list[dict[str, Value]]:
        """Tabulate every file: one plain row each, with the verdict."""
        by_url = _by_url(self._records)
        rows: list[dict[str, Value]] = []
        for url, verdict in self.verdicts:
            row: dict[str, Value] = dict.fromkeys(_COLUMNS)
            row |= {"file": url, "status": verdict.status, "reason": verdict.reason}
            record = None if verdict.status == "rejected" else next(by_url[url], None)
            if record is not None:
                row |= {key: getattr(record, key) for key in _RECORD_COLUMNS}
                row |= {"layer": record.layer_name, "chips": len(record.chips)}
            rows.append(row)
        return rows


def open_exposures(
    paths: PathLike | Iterable[PathLike],
    *,
    strict: bool = False,
    select: Select = True,
    wcs: str | None = None,
    headerlets: PathLike | Iterable[PathLike] | None = None,
    reference_files: PathLike | None = None,
) -> Exposures:
    """Open exposures by their headers.

    Parameters
    ----------
    paths : str, path-like, or several
        Files, plain or .gz, glob patterns (``"data/*_fl[ct].fits"``, sorted), ``http(s)://`` and
        ``s3://`` addresses, pollers of 1, 2, 8 or 10 columns, association tables
        (``*_asn.fits``), and ``@lists`` with an optional column of inverse-variance maps.
    strict : bool
        Raise where a file would be left out, instead of reporting it.  A FLT beside the FLC of
        the same exposure is no reason to raise.
    select : bool or "visit", default True
        Leave out what does not belong into a layer: moving targets, dispersed light, scans, ramp
        filters, calibrations.  ``"visit"`` keeps of these, with a warning, what a visit aligns
        (ramps, quads) and what shares its solution (grisms, prisms).  ``False`` keeps, as
        AstroDrizzle does, all that can be drizzled; what has no exposure time is left out all the
        same.
    wcs : str, optional
        The WCS to use instead of the primary one: the key of an alternate WCS (one letter), or a
        WCSNAME or HDRNAME, of an alternate WCS or of a headerlet in the file or in
        ``headerlets``.
    headerlets : str, path-like, or several, optional
        Headerlet files (or patterns), each applied to the exposure that it is for (DESTIM).
    reference_files : str or path-like, optional
        Folder of reference tables (IDCTAB, NPOLFILE, D2IMFILE, OFFTAB, ..., plain or .gz), for
        files that have no distortion yet.  Folders that the environment names (``jref``, ...)
        are searched too.

    Returns
    -------
    Exposures
        The usable ones; ``.verdicts`` tells what became of every file.

    Raises
    ------
    InputError
        If a pattern matches nothing; with ``strict``, if any file is left out.

    Examples
    --------
    >>> exposures = open_exposures("data/*_fl[ct].fits")  # doctest: +SKIP
    >>> exposures.table()  # doctest: +SKIP
    """
    entries = read_inputs(paths)
    known, broken = scan_headerlets(read_files([] if headerlets is None else headerlets))
    folder = None if reference_files is None else resolve(reference_files)
    solutions = Solutions((wcs or "").strip(), known, References(folder))
    exposures = _collect([*_open_all(entries, solutions, select), *broken], strict)
    return Exposures(
        exposures,
        (*exposures.verdicts, *_idle(known, exposures)),
        [entry for entry in entries if isinstance(entry, Input)],
    )


def _open_all(
    entries: Sequence[Entry], solutions: Solutions, select: Select
) -> list[tuple[str, Opened]]:
    """Open every entry, remote ones many at a time; what became of each, in their order."""
    cache: TableCache = {}

    def attempt(entry: Entry) -> tuple[Opened, ...]:
        if isinstance(entry, Unusable):
            return (entry.error,)
        changes = {"APERTURE": entry.aperture} if entry.aperture else {}
        try:
            return open_exposure(entry.url, cache, solutions, changes, select=select)
        except InputError as error:
            return (error,)

    if any(is_remote(entry.url) for entry in entries):
        with ThreadPoolExecutor(_REMOTE_THREADS) as pool:
            found = list(pool.map(attempt, entries))
    else:
        found = [attempt(entry) for entry in entries]
    return [(e.url, result) for e, each in zip(entries, found, strict=True) for result in each]


def _idle(
    headerlets: Iterable[Headerlet], exposures: Iterable[ExposureRecord]
) -> list[tuple[str, Verdict]]:
    """Tell the headerlets that are for none of the exposures."""
    names = {record.name.split("-")[0] for record in exposures}
    return [
        (h.url, Verdict("warning", f"is for {h.destim}, which is not among the exposures"))
        for h in headerlets
        if h.destim not in names
    ]


def _collect(found: Sequence[tuple[str, Opened]], strict: bool) -> Exposures:
    """Sort out duplicates and failures."""
    verdicts: list[tuple[str, Verdict]] = []
    records: list[ExposureRecord] = []
    errors: list[InputError] = []
    chosen = _choose([r for _, r in found if isinstance(r, ExposureRecord)])
    for url, result in found:
        if isinstance(result, InputError):
            verdict = Verdict("rejected", _reason(result, url))
            errors.append(result)
        elif isinstance(result, Verdict):
            verdict = result
            errors.append(_left_out(url, result))
        elif chosen[result.name] is result:
            verdict = result.verdict
            records.append(result)
        else:
            verdict = _duplicate(result, chosen[result.name])
            if chosen[result.name].suffix == result.suffix:
                errors.append(_left_out(url, verdict))
        if verdict.status != "accepted":
            log.info("%s: %s: %s", url, verdict.status, verdict.reason)
        verdicts.append((url, verdict))
    if strict and errors:
        raise errors[0]
    return Exposures(records, verdicts)


def _by_url(records: Iterable[ExposureRecord]) -> dict[str, Iterator[ExposureRecord]]:
    """Exposures of each file, in order: a STIS file has several."""
    found: defaultdict[str, list[ExposureRecord]] = defaultdict(list)
    for record in records:
        found[record.url].append(record)
    return defaultdict(lambda: iter(()), {url: iter(each) for url, each in found.items()})


def _choose(records: Iterable[ExposureRecord]) -> dict[str, ExposureRecord]:
    """One record per exposure: the CTE-corrected one before the other, else the first."""
    chosen: dict[str, ExposureRecord] = {}
    for record in records:
        held = chosen.setdefault(record.name, record)
        if (held.suffix, record.suffix) == ("flt", "flc"):
            chosen[record.name] = record
    return chosen


def _duplicate(record: ExposureRecord, kept: ExposureRecord) -> Verdict:
    reason = f"duplicate: the same exposure is used from {kept.url}"
    return Verdict("rejected", reason, "ROOTNAME", record.name)


def _reason(error: InputError, url: str) -> str:
    """Tell an error without the file where it is the one beside the verdict (a c1m is not)."""
    other = "" if error.path == url else error.path
    ext = f"[{error.ext}]" if other and error.ext else error.ext or ""
    where = f"{other}{ext}: " if other or ext else ""
    return where + error.problem + (f" ({error.remedy})" if error.remedy else "")


def _left_out(url: str, verdict: Verdict) -> InputError:
    card = f"{verdict.keyword} = {verdict.value}" if verdict.keyword else "see the verdict"
    return InputError(url, verdict.reason, remedy=f"{card}; leave it out of the list")
