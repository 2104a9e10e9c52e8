"""Answers of remote sources, kept in hapdask's cache as ECSV with their query and date.

One file per question; `hapdask.observe.cache` bounds the folder and writes whole files.
"""

from __future__ import annotations

import hashlib
import logging
from io import StringIO

import numpy as np

from hapdask.astrometry.references.catalog import UNITS, ReferenceCatalog
from hapdask.astrometry.references.standard import Answer
from hapdask.observe.cache import keep, open_cached

log = logging.getLogger(__name__)

#: Raised when what is kept changes in meaning.
_VERSION = 2
_FILE = "references.ecsv"


def key_of(source: object, question: str) -> str:
    """Key of a question: a hash of the source with its settings, and of what is asked."""
    return hashlib.sha256(f"{_VERSION}\n{source!r}\n{question}".encode()).hexdigest()


def load(key: str) -> Answer | None:
    """Return the kept answer to a question; None where there is none, or it is damaged."""
    from astropy.table import Table

    file = open_cached("references", key, _FILE)
    if file is None:
        return None
    try:
        with file:
            table = Table.read(file.read().decode().splitlines(), format="ascii.ecsv")
        meta = table.meta
        numbers = {k: np.ma.filled(np.ma.asarray(table[k], np.float64), np.nan) for k in UNITS}
        catalog = ReferenceCatalog(
            **numbers,
            ids=np.ma.filled(np.ma.asarray(table["id"].astype(np.str_)), ""),
            name=str(meta["name"]),
            origin=str(meta["origin"]),
            date=str(meta["date"]),
            published=None,
        )
        if len(catalog) != meta["stars"]:  # a disk that was full, a machine that went down
            raise ValueError(f"{len(catalog)} of {meta['stars']} stars are left")
        return Answer(catalog, tuple(str(note) for note in meta["notes"]))
    except (ValueError, KeyError, IndexError, TypeError, OSError) as error:
        log.warning("an answer in the cache is damaged and is asked for again: %s", error)
        return None


def save(key: str, answer: Answer) -> None:
    """Keep an answer; a cache that cannot be written is worth a warning only."""
    table = answer.catalog.to_table()
    table.meta["notes"], table.meta["stars"] = list(answer.notes), len(table)
    text = StringIO()
    table.write(text, format="ascii.ecsv")
    try:
        keep("references", key, _FILE, [text.getvalue().encode()]).close()
    except OSError as error:
        log.warning("the answer of %s cannot be kept: %s", answer.catalog.name, error)
