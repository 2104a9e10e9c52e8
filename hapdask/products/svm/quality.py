"""Figures of the quality of a visit, as JSON in the form of HAP's diagnostics: the container.

What HAP tells with source catalogs of its own has no place here yet.  Figures of the WCSs are in
`quality_wcs`, of positions of stars in `quality_stars`.  Not here: plots.

Source: facts of HAP's ``svm_quality_analysis`` and ``diagnostic_utils``.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hapdask.observe.cards import Cards
from hapdask.products.names import inside
from hapdask.products.side_file import appearing

#: Columns of a table by name: values, unit, meaning.
Columns = Mapping[str, tuple[Sequence[Any], str, str]]

_DRIZZLE = re.compile(r"D\d\d\d")
_SKIPPED = ("HISTORY", "COMMENT", "", "FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2")


@dataclass(frozen=True)
class Item:
    """One named thing that a diagnostic tells.

    Attributes
    ----------
    value : plain data
    meaning : str
        For people.
    unit : str or mapping
        Of the value, or of each entry of a mapping; empty where it has none.
    """

    value: Any
    meaning: str
    unit: str | Mapping[str, str] = ""


@dataclass(frozen=True)
class Subject:
    """What a diagnostic is about.

    Attributes
    ----------
    filename : str
        Of the FITS product.
    header : mapping
        Its primary header.
    date : datetime
        Of the making, UTC.
    software : str
    """

    filename: str
    header: Cards
    date: datetime.datetime
    software: str


def diagnostic(subject: Subject, description: str, items: Mapping[str, Item]) -> dict[str, Any]:
    """Put a diagnostic together.

    Parameters
    ----------
    subject : Subject
    description : str
        What was looked at.
    items : mapping of str to Item

    Returns
    -------
    dict
        Plain data with the sections ``header``, ``general information``, ``data``,
        ``descriptions`` and ``units``; what is no number is null.
    """
    return {
        "header": {
            key: _plain(value)
            for key, value in subject.header.items()
            if key not in _SKIPPED and not key.startswith("/") and not _DRIZZLE.match(key)
        },
        "general information": _general(subject, description),
        "data": {name: _plain(item.value) for name, item in items.items()},
        "descriptions": {name: item.meaning for name, item in items.items()},
        "units": {name: _plain(item.unit) for name, item in items.items()},
    }


def table_item(columns: Columns, meaning: str) -> Item:
    """Make an item of a table, stored by column with type, unit and values."""
    value = {
        name: {"dtype": str(np.asarray(values).dtype), "unit": unit, "data": list(values)}
        for name, (values, unit, _) in columns.items()
    }
    told = "; ".join(f"{name}: {what}" for name, (_, _, what) in columns.items())
    return Item(
        value, f"{meaning} ({told})", {name: unit for name, (_, unit, _) in columns.items()}
    )


def write_diagnostic(
    data: Mapping[str, Any], folder: str | os.PathLike[str], product: str, test: str
) -> Path:
    """Write a diagnostic beside its product, whole or not at all; one that is there is replaced.

    Parameters
    ----------
    data : mapping
        See `diagnostic`.
    folder : path
    product : str
        File name without its last word, for example ``hst_11665_06_wfc3_uvis_f606w_ib4606``.
    test : str
        For example ``wcs``.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    path = inside(Path(folder), f"{product}_svm_{test}.json")
    with appearing(path, overwrite=True) as out:
        out.write(json.dumps(data, indent=1, allow_nan=False).encode("utf-8"))
    return path


def statistics(values: Any) -> dict[str, float | int | None]:
    """Give the figures that HAP gives of a column: also clipped at 3 sigma, three times."""
    data = np.asarray(values, np.float64)
    data = data[np.isfinite(data)]
    clipped = data
    for _ in range(3):
        if len(clipped) > 1:
            away = np.abs(clipped - np.median(clipped))
            clipped = clipped[away <= 3.0 * clipped.std()]
    return {"number": int(data.size)} | {
        f"{head}{name}": float(function(part)) if part.size else None
        for head, part in (("", data), ("3x3 sigma-clipped ", clipped))
        for name, function in _FIGURES.items()
        if not head or name in ("mean", "median", "standard deviation")
    }


_FIGURES: Mapping[str, Any] = {
    "minimum": np.min,
    "maximum": np.max,
    "mean": np.mean,
    "median": np.median,
    "standard deviation": np.std,
}


def _general(subject: Subject, description: str) -> dict[str, Any]:
    name = subject.filename
    header = subject.header
    words = name.split("_")
    return {
        "telescope": _plain(header.get("TELESCOP")),
        "proposal_id": _plain(header.get("PROPOSID")),
        "instrument": _plain(header.get("INSTRUME")),
        "detector": words[4] if len(words) > 5 else _plain(header.get("DETECTOR")),
        "visit": words[2] if len(words) > 2 else "",
        "filter": words[5] if len(words) > 6 else "",
        "dataset": words[-2] if len(words) > 1 else "",
        "dataframe_index": name.rpartition("_")[0],
        "imgname": name,
        "generation date": subject.date.strftime("%m/%d/%Y"),
        "generation time": subject.date.strftime("%H:%M:%S"),
        "seconds since epoch": subject.date.timestamp(),
        "commit id": subject.software,
        "data_source": "hapdask.products.svm.quality",
        "description": description,
    }


def _plain(value: Any) -> Any:
    """Make plain data for JSON; numbers that are none become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.strip() if isinstance(value, str) else value
