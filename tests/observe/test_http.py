"""Reading over HTTP by byte range, from servers that can and servers that cannot."""

import re
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from hapdask.errors import InputError
from hapdask.observe import remote
from hapdask.observe.exposure import open_exposures
from hapdask.observe.fits import scan
from hapdask.observe.masks import read_mask_rows, write_mask
from hapdask.observe.pixels import read_chip_rows


class Handler(BaseHTTPRequestHandler):
    """Serves a directory; ``ranges`` and ``failures`` are set per server."""

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, *, with_body):
        server = self.server
        if server.resets > 0:
            server.resets -= 1
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1] + [0] * 7))
            self.connection.close()  # without lingering: a reset
            return
        path = server.directory / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        if with_body and server.failures > 0:
            server.failures -= 1
            self.send_error(503)
            return
        data = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        part = data
        if wanted and server.ranges:
            first, last = int(wanted[1]), min(int(wanted[2]), len(data) - 1)
            part = data[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        else:
            self.send_response(200)
        if server.accept is not None:
            self.send_header("Accept-Ranges", server.accept)
        if server.sized:
            self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", server.etag)
        self.end_headers()
        if with_body:
            server.sent += len(part)
            self.wfile.write(part)

    def log_message(self, *args):
        pass


@contextmanager
def serve(directory):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.directory = directory
    server.ranges, server.accept, server.failures, server.sent = True, None, 0, 0
    server.resets = 0
    server.etag, server.sized = '"v1"', True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def web(tmp_path):
    with serve(tmp_path) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0))


def test_a_remote_exposure_is_the_local_one(make, web):
    _, base = web
    path = make()
    (remote,) = open_exposures(f"{base}/{path.name}")
    (local,) = open_exposures(path)
    assert remote.url == f"{base}/{path.name}"
    assert remote.identity.stamp == '"v1"'
    assert remote.identity.header_hash == local.identity.header_hash
    assert [c.distortion for c in remote.chips] == [c.distortion for c in local.chips]
    for mine, theirs in zip(remote.chips, local.chips, strict=True):
        for a, b in zip(
            read_chip_rows(remote, mine, 5, 70), read_chip_rows(local, theirs, 5, 70), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_only_the_bytes_needed_travel(make, web):
    server, base = web
    path = make(shape=(1500, 1000), tables=False, chips=1)
    (remote,) = open_exposures(f"{base}/{path.name}")
    assert server.sent < path.stat().st_size / 20
    before = server.sent
    read_chip_rows(remote, remote.chips[0], 100, 110)
    assert server.sent - before == 10 * 1000 * (4 + 4 + 2)


def test_many_at_once_keep_their_order(make, web):
    _, base = web
    names = [make(f"ia0a{i:02}aaq", shape=(8, 8), tables=False).name for i in range(20)]
    exposures = open_exposures([f"{base}/{name}" for name in names])
    assert [e.name for e in exposures] == [name[:9] for name in names]


def test_a_server_without_ranges_is_told_apart(make, web):
    server, base = web
    server.ranges = False
    path = make(shape=(400, 300))
    with pytest.raises(InputError, match="byte ranges") as caught:
        scan(f"{base}/{path.name}")
    assert "download" in caught.value.remedy


def test_a_server_that_says_it_has_no_ranges(make, web):
    server, base = web
    server.ranges, server.accept = False, "none"
    with pytest.raises(InputError, match="byte ranges"):
        scan(f"{base}/{make().name}")


def test_a_server_without_lengths(make, web):
    server, base = web
    server.sized = False
    with pytest.raises(InputError, match="byte ranges"):
        scan(f"{base}/{make().name}")


def test_pixels_from_a_server_that_lost_its_ranges(make, web):
    server, base = web
    (remote,) = open_exposures(f"{base}/{make(tables=False).name}")
    server.ranges = False
    with pytest.raises(InputError, match="byte ranges"):
        read_chip_rows(remote, remote.chips[0], 0, 10)


def test_a_passing_failure_is_passed_over(make, web):
    server, base = web
    path = make(tables=False)
    server.failures = 2
    assert len(scan(f"{base}/{path.name}").hdus) == 7


def test_a_lasting_failure_is_an_error(make, web):
    server, base = web
    path = make(tables=False)
    server.failures = 100
    with pytest.raises(InputError, match="503"):
        scan(f"{base}/{path.name}")


def test_a_server_that_resets_now_and_then(make, web):
    server, base = web
    path = make(tables=False)
    server.resets = 2
    (record,) = open_exposures(f"{base}/{path.name}", strict=True)
    server.resets = 2
    read_chip_rows(record, record.chips[0], 0, 10)


def test_a_server_that_always_resets_loses_only_its_own(make, web):
    server, base = web
    path = make(tables=False)
    (record,) = open_exposures(f"{base}/{path.name}")
    server.resets = 10**6
    exposures = open_exposures([f"{base}/{path.name}", make("ia0a02aaq")])
    assert [e.name for e in exposures] == ["ia0a02aaq"]
    assert "check the address and the network" in exposures.verdicts[0][1].reason
    with pytest.raises(InputError) as caught:
        read_chip_rows(record, record.chips[0], 0, 10)
    assert caught.value.remedy


@pytest.mark.parametrize("address", ["/none_flc.fits", None])
def test_nothing_there(web, address):
    _, base = web
    url = base + address if address else "http://127.0.0.1:9/a_flc.fits"
    with pytest.raises(InputError, match="cannot be opened"):
        scan(url)


def test_a_file_that_changed_on_the_server(make, web):
    server, base = web
    (remote,) = open_exposures(f"{base}/{make(tables=False).name}")
    server.etag = '"v2"'
    with pytest.raises(InputError, match="changed"):
        read_chip_rows(remote, remote.chips[0], 0, 10)


def test_a_file_cut_on_the_server(make, web):
    _, base = web
    path = make(tables=False)
    path.write_bytes(path.read_bytes()[:-8000])
    with pytest.raises(InputError, match="truncated"):
        scan(f"{base}/{path.name}")


def test_masks_may_be_remote(tmp_path, web):
    from dataclasses import replace

    _, base = web
    mask = np.random.default_rng(1).random((130, 96)) < 0.1
    ref = replace(write_mask(tmp_path / "m.mask", mask, "user"), url=f"{base}/m.mask")
    np.testing.assert_array_equal(read_mask_rows(ref, (130, 96), 60, 129), mask[60:129])
