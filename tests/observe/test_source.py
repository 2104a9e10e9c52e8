"""Bytes by range: into arrays of the caller's, from files and from memory; what is no file."""

import os

import numpy as np
import pytest

from hapdask.errors import InputError
from hapdask.observe.source import memory_source, open_source

DATA = bytes(range(200))


@pytest.mark.parametrize("at_place", [True, False])
def test_bytes_come_into_an_array_from_a_file_and_from_memory(tmp_path, monkeypatch, at_place):
    monkeypatch.setattr("hapdask.observe.source._PREADV", at_place)  # not every system has it
    path = tmp_path / "bytes"
    path.write_bytes(DATA)
    out = np.zeros(50, np.uint8)
    with open_source(str(path)) as source:
        source.read_into(out, 120)
        assert out.tobytes() == DATA[120:170]
        source.read_into(out[:3], 0)  # any order
        assert out[:4].tobytes() == DATA[:3] + DATA[123:124]
    memory_source("memory", DATA).read_into(out, 150)
    assert out.tobytes() == DATA[150:]


def test_a_file_that_ends_early_is_named(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(DATA)
    out = np.zeros(50, np.uint8)
    with open_source(str(path)) as source:
        os.truncate(path, 160)  # behind its back
        with pytest.raises(InputError, match=r"truncated.*40 of 50"):
            source.read_into(out, 120, ext="SCI,1")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with (
            pytest.raises(InputError, match="not a regular file"),
            open_source(str(tmp_path / name)),
        ):
            pass
