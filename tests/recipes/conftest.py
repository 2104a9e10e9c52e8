"""Small exposures of the drizzling tests, and files that can be looked at twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def files(fields: ModuleType, tmp_path: Path) -> list[Path]:
    """Three UVIS exposures of 12 x 28 arcsec and one of IR, in a line towards the north."""
    folder = tmp_path / "data"
    folder.mkdir()
    paths = [
        fields.write_exposure(
            folder, f"ia0a{k}1aaq", shape=(300, 700), roll=8.0 * k, offset=(0.0, 16.0 * k),
            start=58000.0 + 400.0 * k, exptime=200.0 + k, photflam=2e-19,
        )
        for k in range(3)
    ]  # fmt: skip
    paths.append(
        fields.write_exposure(folder, "ia0a91aaq", detector="IR", shape=(120, 150), start=58001.0)
    )
    return paths


Snapshot = dict[str, tuple[int, int, int, bytes]]


@pytest.fixture
def snapshot() -> Callable[[Path], Snapshot]:
    """``snapshot(folder)``: every file with inode, time, size and bytes."""

    def take(folder: Path) -> Snapshot:
        found = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                status = path.stat()
                facts = status.st_ino, status.st_mtime_ns, status.st_size
                found[str(path.relative_to(folder))] = (*facts, path.read_bytes())
        return found

    return take
