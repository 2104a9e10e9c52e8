"""Opening exposures: files to records, by their headers alone, with a verdict for every file.

One bad file never loses the rest: it is reported and left out, unless ``strict``.  Nothing is
written, no handle stays open.  Lives here: the list of exposures.  Not here: one file
(`opening`), pixels (`pixels`).
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import overload

from hapdask.errors import InputError
from hapdask.observe.cards import Value
from hapdask.observe.chips import TableCache
from hapdask.observe.opening import open_exposure
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import Verdict
from hapdask.observe.source import is_remote, resolve

log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]

_REMOTE_THREADS = 8
_RECORD_COLUMNS = ("name", "exptime", "expstart", "visit", "target", "suffix", "wcsname")
_COLUMNS = ("file", "status", "reason", "layer", "chips", *_RECORD_COLUMNS)


class Exposures(Sequence[ExposureRecord]):
    """The exposures that can be used, in the order given, and a verdict for every file.

    Attributes
    ----------
    verdicts : tuple of (str, Verdict)
        Address and verdict of every file, also of those left out.
    """

    def __init__(
        self, records: Iterable[ExposureRecord], verdicts: Iterable[tuple[str, Verdict]]
    ) -> None:
        self._records = tuple(records)
        self.verdicts = tuple(verdicts)

    @overload
    def __getitem__(self, index: int) -> ExposureRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Exposures: ...
    def __getitem__(self, index: int | slice) -> ExposureRecord | Exposures:
        if isinstance(index, slice):
            return Exposures(self._records[index], self.verdicts)
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
        latest = {record.url: record.verdict for record in changed}
        return Exposures(
            changed,
            ((u, v if v.status == "rejected" else latest.get(u, v)) for u, v in self.verdicts),
        )

    def table(self) -> list[dict[str, Value]]:
        """Tabulate every file: one plain row each, with the verdict."""
        by_url = {r.url: r for r in self._records}
        rows: list[dict[str, Value]] = []
        for url, verdict in self.verdicts:
            row: dict[str, Value] = dict.fromkeys(_COLUMNS)
            row |= {"file": url, "status": verdict.status, "reason": verdict.reason}
            if verdict.status != "rejected" and url in by_url:
                record = by_url[url]
                row |= {key: getattr(record, key) for key in _RECORD_COLUMNS}
                row |= {"layer": record.layer_name, "chips": len(record.chips)}
            rows.append(row)
        return rows


def open_exposures(paths: PathLike | Iterable[PathLike], *, strict: bool = False) -> Exposures:
    """Open exposures by their headers.

    Parameters
    ----------
    paths : str, path-like, or several
        Files, glob patterns (``"data/*_fl[ct].fits"``, sorted) and http(s) addresses.
    strict : bool
        Raise where a file would be left out, instead of reporting it.  A FLT beside the FLC of
        the same exposure is no reason to raise.

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
    urls = _expand([paths] if isinstance(paths, str | os.PathLike) else list(paths))
    cache: TableCache = {}

    def attempt(url: str) -> ExposureRecord | Verdict | InputError:
        try:
            return open_exposure(url, cache)
        except InputError as error:
            return error

    if any(is_remote(url) for url in urls):
        with ThreadPoolExecutor(_REMOTE_THREADS) as pool:
            found = list(pool.map(attempt, urls))
    else:
        found = [attempt(url) for url in urls]
    return _collect(urls, found, strict)


def _expand(paths: Sequence[PathLike]) -> list[str]:
    urls: list[str] = []
    for path in paths:
        url = resolve(path)
        if is_remote(url) or os.path.exists(url) or not glob.has_magic(url):
            urls.append(url)
            continue
        matches = sorted(glob.glob(url))
        if not matches:
            raise InputError(url, "no file matches", remedy="check the pattern and the directory")
        urls.extend(matches)
    return urls


def _collect(
    urls: Sequence[str], found: Sequence[ExposureRecord | Verdict | InputError], strict: bool
) -> Exposures:
    """Sort out duplicates and failures."""
    verdicts: list[tuple[str, Verdict]] = []
    records: list[ExposureRecord] = []
    errors: list[InputError] = []
    chosen = _choose([r for r in found if isinstance(r, ExposureRecord)])
    for url, result in zip(urls, found, strict=True):
        if isinstance(result, InputError):
            verdict = Verdict("rejected", _reason(result))
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


def _reason(error: InputError) -> str:
    """Tell an error without the file, which stands beside the verdict."""
    where = f"{error.ext}: " if error.ext else ""
    return where + error.problem + (f" ({error.remedy})" if error.remedy else "")


def _left_out(url: str, verdict: Verdict) -> InputError:
    card = f"{verdict.keyword} = {verdict.value}" if verdict.keyword else "see the verdict"
    return InputError(url, verdict.reason, remedy=f"{card}; leave it out of the list")
