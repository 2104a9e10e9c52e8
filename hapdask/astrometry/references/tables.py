"""Reading a table: ECSV, FITS, CSV, Parquet, VOTable, plain text, local or remote.

Here: bytes to an astropy Table.  Not here: what its columns are (`columns`, `standard`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.parsers.expat import ExpatError

from hapdask.errors import InputError
from hapdask.observe import remote

if TYPE_CHECKING:
    from astropy.table import Table

#: Suffix to the format of astropy; a name that ends otherwise is plain text.
FORMATS: Mapping[str, str] = {
    ".ecsv": "ascii.ecsv",
    ".fits": "fits",
    ".fit": "fits",
    ".csv": "csv",
    ".parquet": "parquet",
    ".parq": "parquet",
    ".pq": "parquet",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
}
#: What the readers of tables raise at a file that is damaged or not what its name says.
_DAMAGE = (ValueError, OSError, KeyError, IndexError, TypeError, EOFError, ExpatError)
#: Tables before that of the stars: headers in SExtractor's and SCAMP's FITS_LDAC.
_NO_STARS = ("LDAC_IMHEAD", "FIELDS")
#: Bytes of a remote file that is read as a whole.
_MOST_BYTES = 512 << 20


def read_table(path: str) -> Table:
    """Read the table of a file; of a FITS file or VOTable the first.

    Parameters
    ----------
    path : str
        Local, or http(s):// or s3://.

    Returns
    -------
    astropy Table

    Raises
    ------
    InputError
        It is not there, is damaged, or holds no table.
    """
    suffix = next(
        (s for s in reversed(PurePosixPath(path.lower()).suffixes) if s not in (".gz", ".bz2")), ""
    )
    kind = FORMATS.get(suffix, "text")
    if kind == "parquet":
        return read_parquet(path)
    with opened(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of astropy's readers: units are checked by `columns`
        try:
            table = _READERS.get(kind, _read_text)(file, kind)
        except _DAMAGE as error:
            raise _unreadable(path, error) from error
    if not table.colnames:
        raise InputError(path, "holds no table")
    return table


def read_parquet(
    path: str,
    wanted: Callable[[list[str]], list[str]] | None = None,
    filters: list[tuple[str, str, int]] | None = None,
) -> Table:
    """Read columns of a Parquet file, of the row groups that may hold what is asked for.

    Parameters
    ----------
    path : str
    wanted : callable, optional
        Takes the file's columns and returns those to read; else all.
    filters : list of (column, operator, value), optional
        Rows to read, in pyarrow's form; left out where the file has not the column.

    Returns
    -------
    astropy Table
        Integers and texts stay what they are, null numbers are NaN.

    Raises
    ------
    InputError
        It is not there or damaged.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile, read_table

    with opened(path, whole=False) as file:

        def read() -> Any:
            try:
                names = list(ParquetFile(file).schema_arrow.names)
                usable = [f for f in filters or () if f[0] in names] or None
                file.seek(0)
                chosen = None if wanted is None else wanted(names)
                return read_table(file, columns=chosen, filters=usable)
            except (ArrowException, EOFError) as error:
                raise _unreadable(path, error) from error

        if remote.is_remote(path):
            table = remote.retrying(path, read, "read", remedy="check the network")
        else:
            table = read()
    return _of_arrow(table)


@contextmanager
def opened(path: str, *, whole: bool = True) -> Iterator[BinaryIO]:
    """Open a local or remote file; a remote one that is read as a whole comes in one piece.

    Raises
    ------
    InputError
        It is not there or cannot be read.
    """
    if not remote.is_remote(path):
        try:
            file = open(path, "rb")  # noqa: SIM115 (closed below)
        except OSError as error:
            told = error.strerror or str(error)
            raise InputError(path, f"cannot be read: {told}", remedy="check the path") from error
        with file:
            yield file
        return
    handle, size, _ = remote.open_remote(path)
    with handle:
        if not whole:
            yield handle
            return
        if size > _MOST_BYTES:
            raise InputError(path, f"is larger than {_MOST_BYTES >> 20} MB")
        body = remote.retrying(path, lambda: _body(handle), "read", remedy="check the network")
        yield BytesIO(body)


def _body(handle: Any) -> bytes:
    handle.seek(0)
    return bytes(handle.read())


def _unreadable(path: str, error: Exception) -> InputError:
    told = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(path, f"cannot be read as a table: {told}", remedy="check the format")


def _read_fits(file: BinaryIO, kind: str) -> Table:
    from astropy.io import fits
    from astropy.table import Table

    with fits.open(file, memmap=False) as hdus:
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
        if not tables:
            raise ValueError("no table among its extensions")
        stars = [hdu for hdu in tables if hdu.name not in _NO_STARS] or tables
        return Table.read(stars[0])


def _read_votable(file: BinaryIO, kind: str) -> Table:
    from astropy.io import votable

    tree = votable.parse(file, verify="ignore")
    return tree.get_first_table().to_table(use_names_over_ids=True)


def _read_ascii(file: BinaryIO, kind: str) -> Table:
    from astropy.table import Table

    body = _plain(file).decode("utf-8-sig", "replace")
    return Table.read(body.splitlines(), format=kind)


def _read_text(file: BinaryIO, kind: str) -> Table:
    """Read plain text; without a line of names the first two columns are RA and Dec, degrees."""
    from astropy.io import ascii as text

    lines = _plain(file).decode("utf-8-sig", "replace").splitlines()
    table = text.read(lines)
    if any(_is_number(name) for name in table.colnames):
        table = text.read(lines, format="no_header")
    if table.colnames[:2] == ["col1", "col2"]:
        table.rename_columns(["col1", "col2"], ["ra", "dec"])
    return table


def _plain(file: BinaryIO) -> bytes:
    """Return the whole file, decompressed where it is compressed."""
    import bz2
    import gzip

    body = file.read()
    if body.startswith(b"\x1f\x8b"):
        return gzip.decompress(body)
    return bz2.decompress(body) if body.startswith(b"BZh") else body


def _is_number(name: str) -> bool:
    try:
        float(name.replace(":", ""))  # as 10:00:01.3
    except ValueError:
        return False
    return True


_READERS = {
    "fits": _read_fits,
    "votable": _read_votable,
    "ascii.ecsv": _read_ascii,
    "csv": _read_ascii,
}


def _of_arrow(arrow: Any) -> Table:
    """Make an astropy Table of plain columns; nested ones are left out."""
    import pyarrow as pa
    from astropy.table import Column, Table

    plain = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_string,
        pa.types.is_large_string,
    )
    columns = []
    for name in arrow.column_names:
        values, kind = arrow.column(name), arrow.schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
            values = values.cast(kind)
        if pa.types.is_integer(kind) and values.null_count:
            values = values.cast(pa.string())  # as float64 the names of stars would lose digits
        if not any(is_kind(values.type) for is_kind in plain):
            continue
        numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
        data = (
            values.to_numpy() if numeric else ["" if v is None else v for v in values.to_pylist()]
        )
        metadata = arrow.schema.field(name).metadata or {}
        unit = metadata.get(b"unit", b"").decode("utf-8", "replace") or None
        columns.append(Column(data, name=name, unit=unit))
    return Table(columns)
