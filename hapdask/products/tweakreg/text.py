"""Columns of numbers and words as a text file with a header, which appears whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hapdask.errors import ParameterError
from hapdask.products.objects import storage_errors
from hapdask.products.side_file import appearing

#: Values of a column, and how each is written.
Column = tuple[npt.ArrayLike, str]


def write_columns(
    path: Path, header: Sequence[str], columns: Sequence[Column], *, overwrite: bool
) -> Path:
    """Write columns, separated by blanks, under lines that begin with ``#``.

    Raises
    ------
    ParameterError
        If the columns are of different lengths.
    StoreError
        If the file is there already and may not be replaced, or the disk fails.
    """
    values = [np.atleast_1d(np.asarray(column)) for column, _ in columns]
    if len({len(column) for column in values}) > 1:
        raise ParameterError(f"{path.name}: columns of {[len(column) for column in values]} rows")
    lines = [f"# {line}" for line in header]
    formats = [form for _, form in columns]
    for row in zip(*(column.tolist() for column in values), strict=True):
        lines.append("  ".join(form % value for form, value in zip(formats, row, strict=True)))
    text = "\n".join(lines) + "\n"
    with appearing(path, overwrite=overwrite) as out, storage_errors(str(path)):
        out.write(text.encode("utf-8", "replace"))
    return path
