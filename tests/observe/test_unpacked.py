"""Compressed inputs: read through one cache, that may go at any moment."""

import gzip
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from hapdask.errors import InputError, ParameterError
from hapdask.observe import cache, unpacked
from hapdask.observe.exposure import open_exposures
from hapdask.observe.pixels import read_chip_rows
from hapdask.observe.source import open_source


@pytest.fixture
def pack(make):
    def packed(rootname="ia0a01aaq", **kwargs):
        path = make(rootname, **kwargs)
        out = path.with_name(f"{path.name}.gz")
        out.write_bytes(gzip.compress(path.read_bytes(), 1))
        return path, out

    return packed


def kept(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_it_reads_as_the_plain_file(pack, cache_folder):
    plain, packed = pack()
    listing = sorted(os.listdir(packed.parent))
    (a,), (b,) = open_exposures(plain), open_exposures(packed)
    assert b.url == str(packed)
    assert (a.name, a.suffix, a.chips[0].distortion) == (b.name, b.suffix, b.chips[0].distortion)
    assert (a.identity.size, a.identity.header_hash) == (b.identity.size, b.identity.header_hash)
    for x, y in zip(
        read_chip_rows(a, a.chips[1], 3, 99), read_chip_rows(b, b.chips[1], 3, 99), strict=True
    ):
        np.testing.assert_array_equal(x, y)
    assert sorted(os.listdir(packed.parent)) == listing  # nothing beside the input
    assert [p.name for p in kept(cache_folder)] == [plain.name]


def test_the_record_outlives_the_cache(pack, cache_folder):
    _, packed = pack()
    (record,) = open_exposures(packed)
    before = read_chip_rows(record, record.chips[0], 0, 130)
    for path in kept(cache_folder):
        path.unlink()
    after = read_chip_rows(record, record.chips[0], 0, 130)
    np.testing.assert_array_equal(before[0], after[0])
    assert open_exposures(packed)[0].digest == record.digest


def test_it_is_decompressed_once(pack, cache_folder, monkeypatch):
    _, packed = pack()
    (record,) = open_exposures(packed)
    monkeypatch.setattr(unpacked, "_decompress", None)
    read_chip_rows(record, record.chips[0], 0, 9)
    assert len(open_exposures(packed, strict=True)) == 1


def test_a_changed_file_is_noticed(pack, make):
    plain, packed = pack()
    (record,) = open_exposures(packed)
    make(primary={"TARGNAME": "NGC-1"})
    packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
    os.utime(packed, ns=(1, 1))
    with pytest.raises(InputError, match="changed"):
        read_chip_rows(record, record.chips[0], 0, 9)
    assert open_exposures(packed)[0].target == "NGC-1"


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda raw: raw[: len(raw) // 2], "truncated or damaged"),
        (lambda raw: raw[:-4], "truncated or damaged"),
        (lambda raw: raw[:500] + b"\xff" * 500 + raw[1000:], "truncated or damaged"),
        (lambda raw: raw[:-8] + bytes(8), "truncated or damaged"),
        (lambda raw: b"SIMPLE  = no gzip", "truncated or damaged"),
        (lambda raw: b"", "empty"),
    ],
)
def test_a_damaged_file_is_told_and_the_rest_opened(pack, make, cache_folder, spoil, match):
    _, packed = pack()
    packed.write_bytes(spoil(packed.read_bytes()))
    exposures = open_exposures([packed, make("ia0a02aaq")])
    assert [e.name for e in exposures] == ["ia0a02aaq"]
    assert match in exposures.verdicts[0][1].reason
    assert not [p for p in kept(cache_folder) if p.stat().st_size]  # nothing half made stays


def test_a_bomb(pack, monkeypatch):
    _, packed = pack()
    monkeypatch.setattr(unpacked, "MAX_UNPACKED", 100_000)
    with pytest.raises(InputError, match="decompresses to more"):
        open_exposures(packed, strict=True)


def test_the_oldest_goes(pack, cache_folder, monkeypatch):
    packed = [pack(f"ia0a0{i}aaq", shape=(300, 300), chips=1)[1] for i in range(4)]
    monkeypatch.setattr(cache, "MAX_BYTES", 2_500_000)  # room for two and a half
    for k, path in enumerate(packed[:2]):
        open_exposures(path, strict=True)
        for one in kept(cache_folder):
            if path.stem == one.name:
                os.utime(one, (k, k))
    open_exposures(packed[0], strict=True)  # used again: not the oldest any more
    open_exposures(packed[2], strict=True)
    assert sorted(p.name[:9] for p in kept(cache_folder)) == ["ia0a00aaq", "ia0a02aaq"]
    exposures = open_exposures(packed, strict=True)
    for record in exposures:
        read_chip_rows(record, record.chips[0], 0, 3)
    assert len(kept(cache_folder)) == 2


def test_what_is_not_the_cache_s_own_stays(pack, cache_folder, monkeypatch):
    """The folder may be one in which a user keeps other things."""
    others = [
        cache_folder / name
        for name in (
            "thesis.tex",
            "unpacked/data.fits",
            "unpacked/2019/data.fits",
            f"x/{'0' * 32}/y",
        )
    ]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(3_000_000))
        os.utime(path, (1, 1))
    monkeypatch.setattr(cache, "MAX_BYTES", 1_000_000)
    for name in ("ia0a01aaq", "ia0a02aaq"):
        open_exposures(pack(name, shape=(300, 300), chips=1)[1], strict=True)
    assert all(path.exists() for path in others)
    assert [p.name[:9] for p in kept(cache_folder) if p not in others] == ["ia0a02aaq"]


def test_a_limit_below_one_file_is_no_obstacle(pack, monkeypatch):
    monkeypatch.setenv("HAPDASK_CACHE_GB", "0.000001")
    assert len(open_exposures([pack("ia0a01aaq")[1], pack("ia0a02aaq")[1]], strict=True)) == 2
    monkeypatch.setenv("HAPDASK_CACHE_GB", "much")
    with pytest.raises(ParameterError, match="HAPDASK_CACHE_GB"):
        open_exposures(pack("ia0a03aaq")[1])


def test_a_cache_that_cannot_be_written(pack, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HAPDASK_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot be decompressed") as caught:
        open_exposures(pack()[1], strict=True)
    assert "HAPDASK_CACHE" in caught.value.remedy


def test_a_full_disk(pack, monkeypatch, cache_folder):
    def full(packed):
        yield b"start"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpacked, "_pieces", full)
    with pytest.raises(InputError, match="No space left") as caught:
        open_exposures(pack()[1], strict=True)
    assert "HAPDASK_CACHE" in caught.value.remedy
    assert not kept(cache_folder)


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("HAPDASK_CACHE", str(tmp_path))
    assert cache.cache_folder() == tmp_path
    monkeypatch.delenv("HAPDASK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "hapdask"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "hapdask"


def test_many_threads_share_one_copy(pack, monkeypatch):
    _, packed = pack(shape=(600, 500))
    calls = []
    usual = unpacked._decompress
    monkeypatch.setattr(unpacked, "_decompress", lambda *a: calls.append(1) or usual(*a))
    threads = [threading.Thread(target=open_exposures, args=(packed,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_processes_share_the_folder(pack, cache_folder):
    paths = [str(pack(f"ia0a0{i}aaq", shape=(300, 300))[1]) for i in range(4)]
    script = f"""
import os
from hapdask.observe.exposure import open_exposures
from hapdask.observe.pixels import read_chip_rows
os.environ["HAPDASK_CACHE_GB"] = "0.002"  # they throw out each other's files all the time
for _ in range(3):
    for record in open_exposures({paths!r}, strict=True):
        read_chip_rows(record, record.chips[0], 0, 9)
print("well")
"""
    run = [sys.executable, "-c", script]
    running = [subprocess.Popen(run, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0] for process in running] == ["well\n"] * 3
    assert not list(cache_folder.rglob("*.tmp"))


def test_a_copy_stays_readable_while_it_is_open(pack, cache_folder):
    plain, packed = pack()
    with open_source(str(packed)) as source:
        for path in kept(cache_folder):
            path.unlink()
        assert source.read(0, source.size) == plain.read_bytes()
