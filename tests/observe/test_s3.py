"""Reading from S3 buckets by byte range: a local moto server stands for Amazon's."""

import gzip
import logging
import socket
import sys
import threading

import numpy as np
import pytest

from hapdask.errors import InputError, ParameterError
from hapdask.observe import remote
from hapdask.observe.exposure import open_exposures
from hapdask.observe.fits import scan
from hapdask.observe.pixels import read_chip_rows
from hapdask.observe.remote import public_url

KEY = "hst/public/ia0a/ia0a01aaq/ia0a01aaq_flc.fits"


@pytest.fixture(scope="module")
def server():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """Put files into the public bucket; the client that does it is not hapdask's."""
    import botocore.session

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server)
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0))
    client = botocore.session.get_session().create_client(
        "s3", endpoint_url=server, aws_access_key_id="x", aws_secret_access_key="x"
    )
    client.create_bucket(Bucket="stpubdata", ACL="public-read")

    def put(path, key=KEY):
        client.put_object(Bucket="stpubdata", Key=key, Body=path.read_bytes(), ACL="public-read")
        return f"s3://stpubdata/{key}"

    yield put
    for item in client.list_objects_v2(Bucket="stpubdata").get("Contents", []):
        client.delete_object(Bucket="stpubdata", Key=item["Key"])
    client.delete_bucket(Bucket="stpubdata")


def test_where_mast_keeps_an_exposure():
    assert public_url("IB4606C5Q", "flt") == (
        "s3://stpubdata/hst/public/ib46/ib4606c5q/ib4606c5q_flt.fits"
    )
    for rootname, suffix in (("../x", "flc"), ("ib4606c5", "flc"), ("ib4606c5q", "a/b")):
        with pytest.raises(ParameterError):
            public_url(rootname, suffix)


def test_the_record_and_pixels_are_those_of_the_local_file(make, bucket):
    path = make()
    url = bucket(path)
    assert url == public_url("ia0a01aaq")
    (far,), (near,) = open_exposures(url, strict=True), open_exposures(path)
    assert (far.url, far.identity.size) == (url, path.stat().st_size)
    assert far.identity.stamp.strip('"') not in ("", near.identity.stamp)
    assert far.identity.header_hash == near.identity.header_hash
    for a, b in zip(
        read_chip_rows(far, far.chips[1], 5, 70),
        read_chip_rows(near, near.chips[1], 5, 70),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_many_at_once_and_packed(make, bucket, tmp_path):
    urls = []
    for i in range(6):
        path = make(f"ia0a0{i}aaq", shape=(8, 8), tables=False)
        packed = tmp_path / f"{path.name}.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        urls.append(bucket(packed, f"x/{packed.name}"))
    exposures = open_exposures(urls, strict=True)
    assert [e.name for e in exposures] == [f"ia0a0{i}aaq" for i in range(6)]
    read_chip_rows(exposures[3], exposures[3].chips[0], 0, 8)


def test_a_key_that_is_not_there_and_the_rest_is_opened(make, bucket):
    url = bucket(make())
    lost = url.replace("01aaq", "02aaq")
    exposures = open_exposures([lost, url, "s3://no-such-bucket/a_flc.fits", "s3://stpubdata/hst"])
    assert [e.url for e in exposures] == [url]
    told = dict(exposures.verdicts)
    assert told[lost].reason.startswith("cannot be opened: no such file (check the address")
    assert told["s3://no-such-bucket/a_flc.fits"].status == "rejected"
    assert told["s3://stpubdata/hst"].status == "rejected"


def test_a_file_that_changed(make, bucket):
    (record,) = open_exposures(bucket(make()))
    bucket(make(primary={"TARGNAME": "NGC-1"}))
    with pytest.raises(InputError, match="changed"):
        read_chip_rows(record, record.chips[0], 0, 9)


def test_a_poller_names_addresses(make, bucket, tmp_path):
    poller = tmp_path / "x.out"
    poller.write_text(f"{bucket(make())}\n")
    assert len(open_exposures(poller, strict=True)) == 1


def test_an_association_in_the_bucket(make, bucket, tmp_path):
    from tests.observe.test_inputs import ROWS, association

    folder = "hst/public/ia0a/ia0a01010"
    for i in (1, 2):
        path = make(f"ia0a0{i}aaq", shape=(8, 8), tables=False)
        bucket(path, f"{folder}/{path.name}")
    url = bucket(association(tmp_path / "x_asn.fits", ROWS), f"{folder}/ia0a01010_asn.fits")
    exposures = open_exposures(url)
    assert [e.name for e in exposures] == ["ia0a01aaq", "ia0a02aaq"]
    assert dict(exposures.verdicts)["ia0a09aaq"].status == "rejected"


def test_without_s3fs_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError, match="needs the package s3fs") as caught:
        scan("s3://stpubdata/a_flc.fits")
    assert "pip install 'hapdask[s3]'" in caught.value.remedy
    assert "https://stpubdata.s3.amazonaws.com/a_flc.fits" in caught.value.remedy


def test_no_network(make, bucket, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    exposures = open_exposures([public_url("ia0a01aaq"), make()])
    assert len(exposures) == 1
    assert "cannot be opened" in exposures.verdicts[0][1].reason
    assert "network" in exposures.verdicts[0][1].reason


class Resetting:
    """Stands before a server and breaks connections off; counts them."""

    def __init__(self, target, failures):
        self.target, self.failures, self.met = target, failures, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.met += 1
            if self.failures > 0:
                self.failures -= 1
                near.recv(10)
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                near.close()  # with data unread and no lingering: a reset
                continue
            far = socket.create_connection(self.target)
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(a, b), daemon=True).start()

    def _copy(self, source, sink):
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
        except OSError:
            pass
        finally:
            sink.close()

    def close(self):
        self._listener.close()


@pytest.mark.parametrize(("failures", "works"), [(2, True), (10**6, False)])
def test_a_server_that_resets(make, bucket, server, monkeypatch, failures, works):
    url = bucket(make())
    host, port = server.removeprefix("http://").split(":")
    between = Resetting((host, int(port)), failures)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{between.port}")
    exposures = open_exposures([url, make("ia0a02aaq")])
    assert len(exposures) == 1 + works
    assert between.met > 2
    if not works:
        assert "cannot be opened" in exposures.verdicts[0][1].reason
    between.close()
