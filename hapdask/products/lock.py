"""The writer lock of a group: one coordinator at a time, and workers that know theirs.

The lock is one small object that names host, process and a random token. Its workers carry
the token and check it before they touch a tile: workers that survive a dead coordinator
cannot spoil the run of the next one. Not here: what is protected.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from hapdask.errors import StoreError
from hapdask.products.objects import Objects

log = logging.getLogger(__name__)

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    ``started`` is the start time of the process in clock ticks since boot (0 where the system
    does not tell): a process number that was given out again is not mistaken for the holder.
    """

    host: str
    pid: int
    started: int
    token: str

    @classmethod
    def me(cls) -> Holder:
        """Make a holder for this process, with a token of its own."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _started(pid), uuid.uuid4().hex)

    @property
    def gone(self) -> bool:
        """Whether the process is known to be dead; never true of another host."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        # A zombie still has a number, but its start time reads as -1.
        return _started(self.pid) != self.started

    def to_bytes(self) -> bytes:
        """Return the JSON form."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Holder | None:
        """Read the JSON form; None if it is damaged."""
        try:
            fields = json.loads(data)
            return cls(
                str(fields["host"]),
                int(fields["pid"]),
                int(fields["started"]),
                str(fields["token"]),
            )
        except (ValueError, TypeError, KeyError):
            return None


def acquire(objects: Objects, name: str) -> Holder:
    """Take the lock, from a dead process if need be.

    Parameters
    ----------
    objects : Objects
        Where the lock lives.
    name : str
        Name of the lock object.

    Raises
    ------
    StoreError
        Another process, or another run in this one, holds it.
    """
    me = Holder.me()
    for _ in range(_ATTEMPTS):
        if objects.put_new(name, me.to_bytes()):
            return me
        data = objects.get(name)
        if data is None:
            continue
        holder = Holder.from_bytes(data)
        if holder is not None and not holder.gone:
            raise StoreError(
                f"{objects.root}: process {holder.pid} on {holder.host} is writing here "
                f"(wait for it; if it is dead, delete {objects.root}/{name})"
            )
        log.warning("%s: taking over the lock of a dead writer", objects.root)
        _remove_stale(objects, name, data)
    raise StoreError(f"{objects.root}: several processes want to write here (run one at a time)")


def release(objects: Objects, name: str, holder: Holder) -> None:
    """Give the lock up, if it is still ours and this is the process that took it.

    A forked child inherits its parent's objects and must not give up the parent's lock.
    """
    if os.getpid() == holder.pid and holds(objects, name, holder.token):
        objects.delete(name)


def holds(objects: Objects, name: str, token: str) -> bool:
    """Whether the lock carries this token."""
    data = objects.get(name)
    holder = None if data is None else Holder.from_bytes(data)
    return holder is not None and holder.token == token


def _remove_stale(objects: Objects, name: str, judged: bytes) -> None:
    """Remove a lock that was judged stale, but not one that a faster process put there since.

    On a local directory the lock is moved aside first, and only one process can move it; a
    lock that proves fresh is put back.
    """
    if objects.local is None:
        objects.delete(name)
        return
    aside = f"{name}.{uuid.uuid4().hex}.partial"
    try:
        os.rename(objects.local / name, objects.local / aside)
    except FileNotFoundError:
        return
    moved = objects.get(aside)
    if moved is not None and moved != judged:
        objects.put_new(name, moved)
    objects.delete(aside)


def _started(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        # Fields 3 and 22; the command in field 2 may hold blanks and brackets.
        fields = stat.rpartition(")")[2].split()
        return -1 if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0
