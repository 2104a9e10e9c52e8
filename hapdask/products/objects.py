"""Small named objects under one root: a local directory, or any fsspec URL.

Here: atomic bytes in and out for receipts, manifests and locks, the zarr store on the same
root, and the translation of operating-system errors. Not here: what the objects mean.
"""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hapdask.errors import StoreError

if TYPE_CHECKING:
    from zarr.abc.store import Store

#: Temporary files of ours and of zarr's LocalStore: `<name>.<32 hex digits>.partial`.
_PARTIAL = re.compile(r"\.[0-9a-f]{32}\.partial$")

_REMEDIES = {
    errno.ENOSPC: "free space on that disk and run again, finished tiles are kept",
    errno.EDQUOT: "free space within your quota and run again, finished tiles are kept",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f) and run again",
    errno.EACCES: "choose a directory that you may write to",
    errno.EPERM: "choose a directory that you may write to",
    errno.EROFS: "the file system is read-only, choose another directory",
    errno.ENOTDIR: "a part of that path is a file, choose another directory",
    errno.EEXIST: "a part of that path is a file, choose another directory",
    errno.EMFILE: "raise the limit on open files (ulimit -n) and run again",
}


@contextmanager
def storage_errors(path: str) -> Iterator[None]:
    """Turn an operating-system error into a `StoreError` that names the path and a remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check that path and run again")
        where = error.filename or path
        reason = error.strerror or str(error)
        raise StoreError(f"{path}: cannot use the store at {where}: {reason} ({remedy})") from error


def clean_url(path: str | os.PathLike[str]) -> str:
    """Bring a path or URL into one form: absolute for local paths, no slash at the end."""
    text = os.fspath(path)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if "://" in text:
        return text.rstrip("/")
    return os.path.abspath(text)


class Objects:
    """Bytes by name under one root.

    Parameters
    ----------
    root : str
        Directory or URL, as `clean_url` gives it. Nothing is created before a `put`.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.local = None if "://" in root else Path(root)
        self._fs: Any = None

    def __reduce__(self) -> tuple[object, ...]:
        return (Objects, (self.root,))

    def get(self, name: str) -> bytes | None:
        """Read an object; None if there is none."""
        with storage_errors(self.root), suppress(FileNotFoundError, NotADirectoryError):
            if self.local is not None:
                return (self.local / name).read_bytes()
            return bytes(self._remote().cat_file(self._key(name)))
        return None

    def put(self, name: str, data: bytes) -> None:
        """Write an object whole: readers see the old bytes or the new ones, never a part."""
        with storage_errors(self.root):
            if self.local is None:
                self._remote().pipe_file(self._key(name), data)
                return
            temporary = self._write_temporary(name, data)
            try:
                os.replace(temporary, self.local / name)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise

    def put_new(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one; say whether it was written.

        Two processes cannot both succeed on a local directory; object stores offer fsspec no
        such promise.
        """
        with storage_errors(self.root):
            if self.local is None:
                if self.get(name) is not None:
                    return False
                self.put(name, data)
                return True
            temporary = self._write_temporary(name, data)
            try:
                os.link(temporary, self.local / name)
            except FileExistsError:
                return False
            finally:
                temporary.unlink(missing_ok=True)
            return True

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        with storage_errors(self.root), suppress(FileNotFoundError):
            if self.local is not None:
                (self.local / name).unlink()
            else:
                self._remote().rm_file(self._key(name))

    def remove_partials(self, folder: str) -> int:
        """Remove what killed writers left in one folder; returns how many files."""
        if self.local is None:
            return 0
        count = 0
        with storage_errors(self.root), suppress(FileNotFoundError):
            for entry in list(os.scandir(self.local / folder)):
                if _PARTIAL.search(entry.name):
                    Path(entry.path).unlink(missing_ok=True)
                    count += 1
        return count

    def zarr_store(self, *, read_only: bool) -> Store:
        """Open the zarr store whose root is this root."""
        from zarr.storage import FsspecStore, LocalStore

        if self.local is not None:
            return LocalStore(self.local, read_only=read_only)
        return FsspecStore.from_url(self.root, read_only=read_only)

    def _write_temporary(self, name: str, data: bytes) -> Path:
        assert self.local is not None
        target = self.local / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
        try:
            temporary.write_bytes(data)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _remote(self) -> Any:
        if self._fs is None:
            from fsspec.core import url_to_fs

            self._fs, _ = url_to_fs(self.root)
        return self._fs

    def _key(self, name: str) -> str:
        return f"{self.root}/{name}"
