"""A local server that speaks the protocol of the GSSS catalog service, and misbehaves on demand.

Cone and footprint questions, CSV with a first line that counts; with EPOCH the stars are
moved, as upstream asks.  Modes: ``good``, or one of MISBEHAVIOUR.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from hapdask.sky.footprint import Footprint
from hapdask.sky.tangent import unit_vectors

#: Mode to a piece of the reason that a client must give.
MISBEHAVIOUR = {
    "hang": "no whole answer",
    "drip": "no whole answer",
    "drip headers": "no whole answer",
    "reset": "cannot be read",
    "close": "cannot be read",
    "broken off": "cannot be read",
    "html": "a page, not a table",
    "html at 200": "a page, not a table",
    "error": "the service says: Error",
    "503": "answers 503",
    "404": "answers 404",
    "loop": "cannot be read",
    "nothing": "answers nothing",
    "nonsense": "no table of stars",
    "binary": "no table of stars",
    "short": "breaks off: 5 of",
    "huge": "longer than",
    "no position": "no table of stars",
    "text in numbers": "has a position",
}
COLUMNS = [
    "objID",
    "ra",
    "ra_error",
    "dec",
    "dec_error",
    "pmra",
    "pmra_error",
    "pmdec",
    "pmdec_error",
    "parallax",
    "mag",
    "epoch",
]


@dataclass
class Service:
    """What the server knows and how it behaves."""

    stars: dict[str, np.ndarray]
    mode: str = "good"
    root: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def rows(self, query: dict[str, str]) -> list[str]:
        ra, dec = self.stars["ra"], self.stars["dec"]
        if "EPOCH" in query:
            years = float(query["EPOCH"]) - self.stars["epoch"]
            ra = ra + years * self.stars["pmra"] / 3.6e6 / np.cos(np.radians(dec))
            dec = dec + years * self.stars["pmdec"] / 3.6e6
        if "STCS" in query:
            numbers = np.array(query["STCS"].split()[1:], dtype=float)
            inside = Footprint.from_vertices(numbers[::2], numbers[1::2]).contains(ra, dec)
        else:
            middle = unit_vectors(float(query["RA"]), float(query["DEC"]))
            chord = np.linalg.norm(unit_vectors(ra, dec) - middle, axis=-1)
            inside = np.degrees(2 * np.arcsin(chord / 2)) <= float(query["SR"])
        data = dict(self.stars, ra=ra, dec=dec)
        return [",".join(_said(data[c][i]) for c in COLUMNS) for i in np.flatnonzero(inside)]


def _said(value: Any) -> str:
    return "null" if isinstance(value, float) and np.isnan(value) else str(value)


@contextmanager
def serving(stars: dict[str, Any]) -> Iterator[Service]:
    """Run the service on loopback; ``stars`` holds the arrays of COLUMNS."""
    service = Service({name: np.asarray(values) for name, values in stars.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(parts.query).items()}
            service.asked.append(query)
            if not parts.path.endswith("/vo/CatalogSearch.aspx"):
                self.send_error(404)
            else:
                _answer(self, service, query)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    service.root = f"http://127.0.0.1:{server.server_address[1]}/webservices"
    try:
        yield service
    finally:
        service.released.set()
        server.shutdown()
        server.server_close()


def _answer(handler: Any, service: Service, query: dict[str, str]) -> None:
    mode = service.mode
    if mode in _ACTS:
        _ACTS[mode](handler, service)
        return
    if mode in ("503", "404"):
        handler.send_error(int(mode))
        return
    rows = service.rows(query)
    good = "\r\n".join([f"{len(rows)}", ",".join(COLUMNS), *rows, ""])
    page = "<!DOCTYPE html>\n<html><body>Under maintenance</body></html>"
    lines = good.split("\r\n")
    bodies = {
        "html": page,
        "html at 200": "\n  " + page,
        "error": "Error: the database is down\r\n",
        "nothing": "",
        "nonsense": "colourless green ideas\nsleep furiously\n",
        "binary": "\x00\x01\x02" * 300,
        "short": "\r\n".join(lines[:7]),
        "huge": good + "0,0\r\n" * 400_000,
        "no position": good.replace(",dec,", ",other,"),
        "text in numbers": "\r\n".join([*lines[:2], *[",".join(["x"] * len(COLUMNS))] * len(rows)]),
    }
    _send(handler, bodies.get(mode, good).encode(), "text/html" if mode == "html" else "text/csv")


def _send(handler: Any, body: bytes, kind: str = "text/csv") -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    try:
        handler.wfile.write(body)
    except OSError:  # the client had enough
        handler.close_connection = True


def _drip(handler: Any, service: Service) -> None:
    _head(handler, 10_000)
    _dripping(handler, service, b"1")


def _drip_headers(handler: Any, service: Service) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    _dripping(handler, service, b"a")


def _dripping(handler: Any, service: Service, drop: bytes) -> None:
    try:
        while not service.released.wait(0.02):
            handler.wfile.write(drop)
    except OSError:
        handler.close_connection = True


def _reset(handler: Any, service: Service) -> None:
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()
    handler.close_connection = True


def _broken_off(handler: Any, service: Service) -> None:
    _head(handler, 10_000)
    handler.wfile.write(b"100\r\nra,dec\r\n1.0,2.0\r\n")


def _head(handler: Any, size: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/csv")
    handler.send_header("Content-Length", str(size))
    handler.end_headers()


def _loop(handler: Any, service: Service) -> None:
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


_ACTS = {
    "hang": lambda handler, service: service.released.wait(60.0),
    "close": lambda handler, service: None,
    "drip": _drip,
    "drip headers": _drip_headers,
    "reset": _reset,
    "broken off": _broken_off,
    "loop": _loop,
}
