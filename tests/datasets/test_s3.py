import hashlib
import http.client
import logging
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from truemap.data.nifti import write_map
from truemap.data.reading import BadMap, usable
from truemap.datasets import _s3 as s3
from truemap.datasets import _servers as servers
from truemap.datasets import hcp
from truemap.datasets._layouts import COPES, LAYOUTS
from truemap.datasets._s3_cache import cached
from truemap.datasets.hcp import Options
from truemap.runtime.files import DataError, SourceError

boto3 = pytest.importorskip("boto3")
server = pytest.importorskip("moto.server")
pytest.importorskip("s3fs")

KEY, SECRET, TOKEN = "NotAKey8431Loop", "not-a-secret/5127+loopback", "not-a-token-9902-loopback"
ROOT = "s3://hcp-openaccess/HCP_1200"
SUBJECTS = ("100307", "100408")
EMOTION = "FACES\nSHAPES\nFACES-SHAPES\nneg_FACES\nneg_SHAPES\nSHAPES-FACES\n"


class Proxy(BaseHTTPRequestHandler):
    """Passes requests on to the S3 server; `faults` maps the end of a path to what goes wrong, one a request."""

    protocol_version = "HTTP/1.1"
    target = ("", 0)
    faults = {}  # noqa: RUF012
    seen = []  # noqa: RUF012

    def do_GET(self):
        self.seen.append((self.command, self.path))
        fault = next((todo.pop(0) for end, todo in self.faults.items() if self.path.endswith(end) and todo), None)
        if fault == "drop":
            self.close_connection = True
            return
        if isinstance(fault, tuple):
            status, code = fault
            body = f"<Error><Code>{code}</Code><Message>{code}, {KEY}</Message></Error>".encode()
            headers = {}
        else:
            upstream = http.client.HTTPConnection(*self.target)
            upstream.request(self.command, self.path, headers=dict(self.headers))
            answer = upstream.getresponse()
            status, body, headers = answer.status, answer.read(), dict(answer.getheaders())
        length = headers.pop("Content-Length", len(body))
        headers = {name: value for name, value in headers.items() if name not in ("Connection", "Date", "Server")}
        if fault in ("cut", "short", "swap"):
            length = len(body) // 2 if fault == "short" else length
            body = body[: len(body) // 2] if fault != "swap" else body[:-1] + b"!"
            headers = {name: value for name, value in headers.items() if "checksum" not in name.lower()}
        self.send_response(status)
        for name, value in {**headers, "Content-Length": length}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        self.close_connection = fault == "cut"

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def moto():
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield running.get_host_and_port()
    running.stop()


@pytest.fixture(scope="module")
def proxy(moto):
    Proxy.target = moto
    running = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    running.daemon_threads = True
    Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()


@pytest.fixture
def keys(monkeypatch, tmp_path):
    """Give fake keys, and nothing of this machine's own."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setattr(s3, "PAUSE", 0.0)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    s3.connect.cache_clear()
    yield
    s3.connect.cache_clear()


@pytest.fixture
def bucket(moto, proxy, keys, monkeypatch, caplog):
    """Give a client of an S3 server on loopback; afterwards no key may be in what was logged."""
    caplog.set_level(logging.DEBUG)
    Proxy.faults, Proxy.seen = {}, []
    client = boto3.client("s3", endpoint_url="http://{}:{}".format(*moto), region_name="us-east-1")
    client.create_bucket(Bucket="hcp-openaccess")
    caplog.clear()  # boto3 of this test itself logs its requests
    yield client
    logged = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    assert not any(secret in logged for secret in (KEY, SECRET, TOKEN))
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="hcp-openaccess"):
        for entry in page.get("Contents", []):
            client.delete_object(Bucket="hcp-openaccess", Key=entry["Key"])
    client.delete_bucket(Bucket="hcp-openaccess")


def put(bucket, name, content, caplog=None):
    bucket.put_object(Bucket="hcp-openaccess", Key=name, Body=content)
    if caplog:
        caplog.clear()
    return f"s3://hcp-openaccess/{name}"


@pytest.fixture
def map_bytes(tmp_path):
    path = tmp_path / "map.nii.gz"
    write_map(path, np.random.default_rng(0).standard_normal((4, 5, 6)), np.eye(4))
    return path.read_bytes()


@pytest.fixture
def tree(bucket, map_bytes, caplog):
    """Give two subjects' maps, and what else lies in such a bucket."""
    for subject in SUBJECTS:
        for task, copes in COPES.items():
            for cope in copes.values():
                name = LAYOUTS["volume"].format(subject=subject, task=task, cope=cope, statistic="cope")
                put(bucket, f"HCP_1200/{name}", map_bytes)
    put(bucket, "HCP_1200/code/notes.txt", b"no subject")
    put(bucket, "HCP_1200/release.txt", b"a file")
    caplog.clear()
    return bucket


def place(subject, task, condition):
    return f"{ROOT}/" + LAYOUTS["volume"].format(
        subject=subject, task=task, cope=COPES[task][condition], statistic="cope"
    )


def test_an_object_comes_whole_in_one_request(bucket, proxy, caplog):
    url = put(bucket, "a/b.bin", b"0123456789" * 1000, caplog)
    assert s3.fetch(url, proxy) == b"0123456789" * 1000
    assert [command for command, _ in Proxy.seen] == ["GET"]


@pytest.mark.parametrize(
    "faults", [[(503, "SlowDown")] * 2, [(500, "InternalError")] * 2, ["drop"] * 2, ["cut"], ["short"], ["swap"]]
)
def test_faults_that_pass_are_tried_again(bucket, proxy, caplog, faults):
    content = np.random.default_rng(0).bytes(20000)
    url = put(bucket, "a/b.bin", content, caplog)
    Proxy.faults["/b.bin"] = list(faults)
    assert s3.fetch(url, proxy) == content
    assert len(Proxy.seen) == len(faults) + 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [((503, "SlowDown"), "SlowDown"), ("drop", "Error"), ("cut", ""), ("short", "MD5"), ("swap", "MD5")],
)
def test_faults_that_stay_end_with_the_object_the_reason_and_no_key(bucket, proxy, caplog, monkeypatch, fault, said):
    monkeypatch.setattr(s3, "TRIES", 2)
    url = put(bucket, "a/b.bin", bytes(20000), caplog)
    Proxy.faults["/b.bin"] = [fault] * 99
    with pytest.raises(DataError) as caught:
        s3.fetch(url, proxy)
    message = str(caught.value)
    assert message.startswith(f"{url}: 2 tries failed")
    assert said in message
    assert "endpoint_url" in message
    assert not any(secret in message for secret in (KEY, SECRET, TOKEN))


def test_an_upload_in_parts_has_no_md5_to_compare(bucket, proxy, caplog):
    parts = [b"a" * 5 * 2**20, b"b"]
    upload = bucket.create_multipart_upload(Bucket="hcp-openaccess", Key="big")["UploadId"]
    request = {"Bucket": "hcp-openaccess", "Key": "big", "UploadId": upload}
    tags = [bucket.upload_part(**request, PartNumber=n, Body=part)["ETag"] for n, part in enumerate(parts, 1)]
    done = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    bucket.complete_multipart_upload(**request, MultipartUpload={"Parts": done})
    caplog.clear()
    assert hashlib.md5(s3.fetch("s3://hcp-openaccess/big", proxy)).digest() == hashlib.md5(b"".join(parts)).digest()


def test_a_missing_object_is_not_tried_again(bucket, proxy):
    with pytest.raises(s3.MissingError, match=r"s3://hcp-openaccess/a/none.nii.gz: no such object"):
        s3.fetch("s3://hcp-openaccess/a/none.nii.gz", proxy)
    assert len(Proxy.seen) == 1
    assert s3.size("s3://hcp-openaccess/a/none.nii.gz", proxy) is None


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"])
def test_refused_keys_are_said_at_once_and_not_shown(bucket, proxy, code):
    Proxy.faults["/b.bin"] = [(403, code)] * 9
    with pytest.raises(DataError, match="the server refused the keys") as caught:
        s3.fetch("s3://hcp-openaccess/a/b.bin", proxy)
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)
    assert "***" in str(caught.value)
    assert KEY not in str(caught.value)


def test_without_keys_the_message_says_where_they_go(keys, proxy, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    Proxy.seen = []
    with pytest.raises(DataError, match=r"HCP_1200: no AWS keys .*Set AWS_ACCESS_KEY_ID.*never in the config"):
        hcp.index(Options(root=ROOT, endpoint_url=proxy), 0)
    assert Proxy.seen == []


def test_a_server_that_is_not_there_is_named_as_a_fault_of_the_network(keys, monkeypatch):
    monkeypatch.setattr(s3, "TRIES", 2)
    with pytest.raises(DataError, match="Check the network and `endpoint_url`"):
        s3.fetch("s3://hcp-openaccess/a", "http://127.0.0.1:9")


def test_without_s3fs_the_message_says_what_to_install(keys, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(DataError, match=r"pip install 'truemap\[s3\]'"):
        s3.fetch("s3://hcp-openaccess/a")


def test_keys_are_taken_out_of_any_text(keys, tmp_path):
    (tmp_path / "credentials").write_text("[hcp]\naws_access_key_id = FileKey77\naws_secret_access_key = file/secret\n")
    text = f"{KEY} {SECRET} {TOKEN} FileKey77 file/secret AKIAIOSFODNN7EXAMPLE Credential=abc/2026, Signature=0f0f"
    assert s3.scrub(text) == "*** *** *** *** *** *** Credential=***, Signature=***"


def test_a_bucket_is_listed_like_a_tree(tree, proxy):
    samples = hcp.index(Options(root=ROOT + "/", endpoint_url=proxy), 0)
    assert len(samples) == 50
    assert set(samples["subject"]) == set(SUBJECTS)
    assert samples["image"].str.startswith(ROOT).all()
    assert place("100408", "EMOTION", "NEG_SHAPES") in set(samples["image"])
    assert not any(command == "HEAD" for command, _ in Proxy.seen)
    assert not any("100408" in path and "level1" in path for _, path in Proxy.seen)
    assert len(hcp.index(Options(root=ROOT, endpoint_url=proxy, exclude=["100307"]), 0)) == 25


def test_listings_of_many_pages_are_read_to_their_end(tree, proxy, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    assert len(hcp.index(Options(root=ROOT, endpoint_url=proxy), 0)) == 50
    assert any("continuation-token" in path for _, path in Proxy.seen)


def test_a_map_that_the_bucket_lacks_is_named(tree, proxy, caplog):
    url = place("100408", "WM", "FACE")
    tree.delete_object(Bucket="hcp-openaccess", Key=s3.split(url)[1])
    caplog.clear()
    with pytest.raises(DataError, match=r"task WM, condition FACE.*1 maps of 1 subjects") as caught:
        hcp.index(Options(root=ROOT, endpoint_url=proxy), 0)
    assert str(caught.value).startswith(url)
    with pytest.raises(DataError, match="set `layout: volume`"):
        hcp.index(Options(root=ROOT, endpoint_url=proxy, layout="standard_volume"), 0)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_cope_numbers_are_checked_in_a_bucket_too(tree, proxy, caplog, subject):
    for name in SUBJECTS:
        feat = place(name, "EMOTION", "FACES").rpartition("/cope1.feat")[0]
        put(tree, s3.split(f"{feat}/Contrasts.txt")[1], EMOTION.encode(), caplog)
    hcp.index(Options(root=ROOT, endpoint_url=proxy), 0)
    feat = place(subject, "EMOTION", "FACES").rpartition("/cope1.feat")[0]
    put(tree, s3.split(f"{feat}/Contrasts.txt")[1], b"SHAPES\nFACES\n", caplog)
    with pytest.raises(DataError, match=f"{subject}.*Contrasts.txt: EMOTION FACES is expected as cope 1.*'SHAPES'"):
        hcp.index(Options(root=ROOT, endpoint_url=proxy), 0)


def test_a_level_1_design_in_a_bucket_is_read_for_the_first_subject(tree, proxy, caplog):
    name = "HCP_1200/100307/MNINonLinear/Results/tfMRI_SOCIAL_LR/tfMRI_SOCIAL_LR_hp200_s4_level1.fsf"
    put(tree, name, b'set fmri(conname_real.1) "TOM"\nset fmri(conname_real.2) "RANDOM"\n', caplog)
    with pytest.raises(DataError, match=r"level1.fsf: SOCIAL RANDOM is expected as cope 1"):
        hcp.index(Options(root=ROOT, endpoint_url=proxy), 0)


def test_maps_are_streamed_into_the_job(tree, proxy, map_bytes, tmp_path):
    url = place("100307", "MOTOR", "T")
    values, affine, checksum = hcp.read(url, Options(root=ROOT, endpoint_url=proxy), 0)
    np.testing.assert_array_equal(values, hcp.read(str(tmp_path / "map.nii.gz"), Options(root=str(tmp_path)), 0)[0])
    np.testing.assert_array_equal(affine, np.eye(4))
    # In a bucket an object is known by its ETag, which a listing shows without reading it.
    assert checksum == "etag:" + hashlib.md5(map_bytes).hexdigest()
    assert [command for command, _ in Proxy.seen] == ["GET"]
    assert s3.tags([url, f"{url}.gone"], proxy) == {url: checksum, f"{url}.gone": ""}


def test_a_map_that_is_truncated_in_the_bucket_itself_is_refused_by_name(bucket, proxy, caplog, map_bytes):
    url = put(bucket, "half.nii.gz", map_bytes[: len(map_bytes) // 2], caplog)
    with pytest.raises(DataError, match=r"s3://hcp-openaccess/half.nii.gz: truncated"):
        hcp.read(url, Options(root=ROOT, endpoint_url=proxy), 0)


def test_the_cache_fetches_once_and_mends_what_has_another_size(tree, proxy, tmp_path, map_bytes):
    options = Options(root=ROOT, endpoint_url=proxy, cache=str(tmp_path / "cache"))
    urls = [place("100307", "WM", condition) for condition in COPES["WM"]]
    hcp.prepare(urls, options, 0)
    server = tmp_path / "cache" / proxy.replace(":", "%3A").replace("/", "%2F")
    files = [cached(url, options.cache, proxy) for url in urls]
    assert files[0] == server / "hcp-openaccess" / s3.split(urls[0])[1]
    assert [file.read_bytes() for file in files] == [map_bytes] * 6
    files[2].write_bytes(map_bytes[:100])
    files[3].unlink()
    Proxy.seen.clear()
    hcp.prepare(urls + urls, options, 0)
    gets = [path for command, path in Proxy.seen if command == "GET"]
    assert sorted(gets) == sorted("/" + "/".join(s3.split(urls[number])) for number in (2, 3))
    assert [file.read_bytes() for file in files] == [map_bytes] * 6
    assert not list((tmp_path / "cache").rglob(".partial*"))
    Proxy.seen.clear()
    assert hcp.read(urls[0], options, 0)[0].shape == (4, 5, 6)
    assert Proxy.seen == []
    # A cache is a tree that can be a root.
    assert files[0].is_relative_to(server / "hcp-openaccess/HCP_1200")


@pytest.fixture
def configured(keys):
    servers.configured_endpoint.cache_clear()
    yield
    servers.configured_endpoint.cache_clear()


def test_amazons_buckets_lie_in_the_cache_itself_and_no_other_servers_do(configured, tmp_path):
    url, plain = "s3://bucket/a/b.nii.gz", tmp_path / "bucket/a/b.nii.gz"
    assert cached(url, tmp_path) == plain
    others = ("http://one:9000", "https://one:9000", "http://one:9000/x", "http://one:9000-x", "http://two:9000", "x")
    places = [cached(url, tmp_path, other) for other in others]
    assert len({plain, *places}) == 1 + len(others)
    assert cached(url, tmp_path, "http://one:9000/") == places[0]
    for bucket in others:
        assert cached(f"s3://{bucket}/a/b.nii.gz", tmp_path) not in places


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CONFIG_FILE"])
def test_a_server_of_the_users_environment_has_its_own_folder_too(configured, tmp_path, monkeypatch, name):
    mine = "http://mine:9000"
    (tmp_path / "aws-config").write_text(f"[default]\nendpoint_url = {mine}\n" if name == "AWS_CONFIG_FILE" else "")
    if name != "AWS_CONFIG_FILE":
        monkeypatch.setenv(name, mine)
    assert s3.connect(None).s3.meta.endpoint_url.rstrip("/") == mine
    url = "s3://bucket/a/b.nii.gz"
    assert cached(url, tmp_path) == cached(url, tmp_path, mine) != tmp_path / "bucket/a/b.nii.gz"


def test_the_cache_gets_a_map_that_nobody_prepared(tree, proxy, tmp_path):
    options = Options(root=ROOT, endpoint_url=proxy, cache=str(tmp_path / "cache"))
    for _ in range(2):
        assert hcp.read(place("100307", "MOTOR", "T"), options, 0)[0].shape == (4, 5, 6)
    assert [command for command, _ in Proxy.seen] == ["GET"]


def test_what_was_changed_in_the_cache_is_fetched_again(tree, proxy, tmp_path, map_bytes):
    options = Options(root=ROOT, endpoint_url=proxy, cache=str(tmp_path / "cache"))
    url = place("100307", "MOTOR", "T")
    whole, _, tag = hcp.read(url, options, 0)
    (file,) = [path for path in (tmp_path / "cache").rglob("cope1.nii.gz") if path.is_file()]
    assert tag == s3.tags([url], proxy)[url]
    for spoil in (
        lambda: file.write_bytes(map_bytes[:-1] + b"x"),
        lambda: file.with_name(f".{file.name}.etag").unlink(),
    ):
        spoil()
        hcp.prepare([url], options, 0)
        values, _, again = hcp.read(url, options, 0)
        np.testing.assert_array_equal(values, whole)
        assert again == tag
        assert file.read_bytes() == map_bytes


def test_a_damaged_transfer_leaves_nothing_in_the_cache(tree, proxy, tmp_path, monkeypatch):
    monkeypatch.setattr(s3, "TRIES", 2)
    Proxy.faults["cope1.nii.gz"] = ["short"] * 100
    options = Options(root=ROOT, endpoint_url=proxy, cache=str(tmp_path / "cache"))
    with pytest.raises(DataError, match="2 tries failed"):
        hcp.prepare([place("100307", "MOTOR", condition) for condition in COPES["MOTOR"]], options, 0)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_without_a_cache_nothing_is_prepared(keys):
    hcp.prepare([place("100307", "MOTOR", "T")], Options(root=ROOT), 0)


@pytest.mark.parametrize("code", ["ExpiredToken", "AccessDenied"])
def test_refused_keys_leave_no_subject_out(tree, proxy, code):
    """With on_bad_subject: skip, everybody after the keys expired would be gone."""
    options = Options(root=ROOT, endpoint_url=proxy)
    url = place("100307", "WM", "FACE")
    Proxy.faults[s3.split(url)[1]] = [(403, code)] * 9
    with pytest.raises(SourceError, match="refused the keys"):
        usable(url, lambda image: hcp.read(image, options, 0))


def test_a_missing_object_is_a_fault_of_the_subjects(tree, proxy):
    url = place("100307", "WM", "FACE")
    tree.delete_object(Bucket="hcp-openaccess", Key=s3.split(url)[1])
    with pytest.raises(BadMap, match="no such object"):
        usable(url, lambda image: hcp.read(image, Options(root=ROOT, endpoint_url=proxy), 0))


def test_an_endpoint_is_an_address():
    with pytest.raises(ValueError, match="'endpoint_url' is an address like"):
        Options(root=ROOT, endpoint_url="localhost:9000")
