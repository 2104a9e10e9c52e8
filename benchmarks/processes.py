"""Programs as processes: what one took, with all that it started.

A launcher of a few megabytes starts it and waits for it: what the kernel then tells is its own,
whatever the size of the process that measures.

Programs keep the bytecode of their modules, as those do that pip installed, even where the
environment forbids it (PYTHONDONTWRITEBYTECODE): else a working copy would be compiled at every
start, and the packages that it is compared with not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hapdask.errors import HapdaskError

_LAUNCHER = """
import json, os, sys, time
start = time.monotonic()
environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], environment)
_, status, used = os.wait4(child, 0)
wall = time.monotonic() - start
found = [os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime]
print("\\n" + json.dumps([*found, 1024 * used.ru_maxrss, 512 * used.ru_oublock]))
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a program took: seconds, bytes.

    ``cpu`` is user and system time with all processes that it waited for, ``peak`` the resident
    set of the largest of them, ``written`` the bytes of file pages that they made dirty (nothing
    on a file system in memory).
    """

    wall: float
    cpu: float
    peak: float
    written: float


def run_program(command: Sequence[str | Path], *, accept: Sequence[int] = (0,)) -> Usage:
    """Run a program to its end.

    Raises
    ------
    HapdaskError
        If it ends with another code than those of ``accept``.
    """
    words = [sys.executable, "-S", "-E", "-c", _LAUNCHER, *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    code, *figures = json.loads(done.stdout.splitlines()[-1])
    if code not in accept:
        raise HapdaskError(
            f"{' '.join(map(str, command))} ended with {code}:\n{done.stderr[-2000:]}"
        )
    return Usage(*figures)
