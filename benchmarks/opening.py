"""A thousand exposures opened by their headers: descriptors, memory, time.

Gates: descriptors flat, < 200 MB of memory, header digest at most 30 ms each after the first.
The exposures are UVIS FLCs with headers of their own (every number with a fraction differs in
its last digit) and files with holes for pixels: a thousand take less than a gigabyte of disk.
"""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from benchmarks.report import Figure, make_parser, show
from hapdask.observe.fits import Hdu, scan

_FRACTION = re.compile(rb"([A-Z0-9_]{1,8} *= +-?\d+\.\d*?)(\d)((?:E[+-]\d+)? )")
_TABLES = ("D2IMARR", "WCSDVARR")
_SPARE_DESCRIPTORS = 3


def hollow_copies(template: Path, folder: Path, count: int) -> list[Path]:
    """Make files with the headers and tables of an exposure, each its own, and no pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with open(template, "rb") as source:
        parts = [(hdu, *_read(source.fileno(), hdu, after)) for hdu, after in _spans(template)]
    root = str(parts[0][0].header["ROOTNAME"]).encode()
    for k in range(count):
        name = b"ib%06dq" % k
        paths.append(folder / f"{name.decode()}_flc.fits")
        if paths[-1].exists():
            continue
        with open(paths[-1], "wb") as file:
            for hdu, header, data in parts:
                file.write(_own(header, k).replace(root, name))
                if hdu.name in _TABLES:
                    file.write(data)
                else:
                    file.seek(len(data), os.SEEK_CUR)
            file.truncate()
    return paths


def _spans(path: Path) -> list[tuple[Hdu, int]]:
    """HDUs of a file, and where the next one starts."""
    hdus = scan(str(path)).hdus
    return list(zip(hdus, [*(h.header_offset for h in hdus[1:]), path.stat().st_size], strict=True))


def _read(descriptor: int, hdu: Hdu, after: int) -> tuple[bytes, bytes]:
    header = os.pread(descriptor, hdu.data_offset - hdu.header_offset, hdu.header_offset)
    return header, os.pread(descriptor, after - hdu.data_offset, hdu.data_offset)


def _own(header: bytes, k: int) -> bytes:
    """Change the last digit of every number with a fraction."""
    cards = [header[i : i + 80] for i in range(0, len(header), 80)]

    def digit(match: re.Match[bytes]) -> bytes:
        changed = (int(match[2]) + k * (1 + len(match[1]) % 7)) % 10
        return match[1] + b"%d" % changed + match[3]

    return b"".join(_FRACTION.sub(digit, card, count=1) for card in cards)


def resident() -> float:
    """Memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def few_descriptors() -> Iterator[None]:
    """Let this process open only a few files more than it has open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + _SPARE_DESCRIPTORS, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Opening:
    """Exposures opened by their headers."""

    params = ([100, 1000],)
    param_names = ("count",)

    def setup(self, count: int) -> None:
        from benchmarks.inputs import simulated
        from benchmarks.report import CACHE

        template = simulated(CACHE, "WFC3", "UVIS")
        self.paths = hollow_copies(template, CACHE / "inputs" / "hollow", count)

    def time_open(self, count: int) -> None:
        from hapdask.observe.exposure import open_exposures

        open_exposures(self.paths, strict=True)


def measure(paths: Sequence[Path]) -> list[Figure]:
    """Open exposures, in a process that has done nothing else."""
    from hapdask.observe.exposure import open_exposures

    first = open_exposures(paths[0], strict=True)
    before, held = resident(), descriptors()
    with few_descriptors():
        start = time.process_time()
        exposures = open_exposures(paths, strict=True)
        opened = time.process_time() - start
        start = time.process_time()
        digests = {exposure.digest for exposure in exposures}
        digested = time.process_time() - start
    after, count = resident(), len(paths)
    assert len(digests) == len(exposures) == count
    assert first[0].digest in digests
    return [
        Figure("header digest and record, each", opened / count * 1e3, "ms", "<=", 30.0),
        Figure("digest of the record, each", digested / count * 1e3, "ms"),
        Figure(f"memory that {count} exposures add", after - before, "MB"),
        Figure("memory of the whole process", after, "MB", "<=", 200.0),
        Figure("descriptors more than before", descriptors() - held, "", "==", 0),
    ]


def main(argv: Sequence[str] | None = None) -> list[Figure]:
    from benchmarks.inputs import simulated

    parser = make_parser(__doc__)
    parser.add_argument("--exposures", type=int, default=1000)
    options = parser.parse_args(argv)
    count = 20 if options.quick else options.exposures
    template = simulated(options.workdir, "WFC3", "IR" if options.quick else "UVIS")
    folder = options.workdir / "inputs" / ("hollow-quick" if options.quick else "hollow")
    paths = hollow_copies(template, folder, count)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        figures = pool.submit(measure, paths).result()
    show(f"{count} exposures opened", figures, quick=options.quick)
    return figures


if __name__ == "__main__":
    main()
