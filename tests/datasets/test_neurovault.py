import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import nibabel as nib
import numpy as np
import pytest

from truemap.config.registry import options_of
from truemap.datasets import _fetch as http
from truemap.datasets import neurovault
from truemap.datasets.neurovault import CONDITIONS, Fetch, Options, contrasts, index, prepare, read, subjects_of
from truemap.runtime.files import DataError

#: fetch_hcp of github.com/arthurmensch/cogspaces, cogspaces/datasets/contrasts.py: what the collection holds.
CONTRASTS = """
EMOTION FACES SHAPES
GAMBLING PUNISH REWARD
LANGUAGE MATH STORY
RELATIONAL MATCH REL
SOCIAL RANDOM TOM
MOTOR LF RF LH RH CUE
WM 0BK_BODY 0BK_FACE 0BK_PLACE 0BK_TOOL 2BK_BODY 2BK_FACE 2BK_PLACE 2BK_TOOL
"""
MAPS = [(task, name) for line in CONTRASTS.strip().split("\n") for task, *names in [line.split()] for name in names]
SUBJECTS = ["100307", "100408", "101107", "101309", "101915", "103111"]
INCOMPLETE = "103111"
LIST = "/api/collections/4337/images/"
AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])


def values(subject, task, contrast):
    seed = int(hashlib.sha256(f"{subject}{task}{contrast}".encode()).hexdigest()[:8], 16)
    return np.random.default_rng(seed).standard_normal((3, 4, 5)).astype("float32")


def content(subject, task, contrast):
    return gzip.compress(nib.Nifti1Image(values(subject, task, contrast), AFFINE).to_bytes(), mtime=0)


class Server(ThreadingHTTPServer):
    """NeuroVault's API, as far as it is used, with one made-up collection."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lock = threading.Lock()
        self.requests = Counter()
        #: Path -> what goes wrong with the next requests of it.
        self.faults = {}
        self.delay = 0.0
        self.files = {}
        self.images = []
        keys = [(subject, *key) for subject in SUBJECTS for key in MAPS]
        keys.remove((INCOMPLETE, "SOCIAL", "TOM"))
        for number, (subject, task, contrast) in enumerate(keys, 50001):
            path = f"/media/images/4337/z_{contrast}_{number}.nii.gz"
            self.files[path] = content(subject, task, contrast)
            self.images.append(
                {
                    "url": f"{self.url}/images/{number}/",
                    "id": number,
                    "file": self.url + path,
                    "file_size": len(self.files[path]),
                    "name": f"{subject}_{task}_{contrast}",
                    "contrast_definition": contrast,
                    "task": task,
                    "cognitive_paradigm_cogatlas": f"{task.lower()} fMRI task paradigm",
                    "map_type": "Z map",
                    "image_type": "statistic_map",
                    "number_of_subjects": 1,
                }
            )

    def path(self, subject, task, contrast):
        return next(
            urlsplit(image["file"]).path for image in self.images if image["name"] == f"{subject}_{task}_{contrast}"
        )

    def asked(self, start):
        return {path: count for path, count in self.requests.items() if path.startswith(start)}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, parts = self.server, urlsplit(self.path)
        with server.lock:
            server.requests[self.path] += 1
            faults = server.faults.get(parts.path) or server.faults.get(self.path)
            fault = faults.pop(0) if faults else None
        time.sleep(server.delay)
        if isinstance(fault, int):
            self.send_error(fault)
        elif parts.path == LIST:
            query = {key: int(number) for key, (number,) in parse_qs(parts.query).items() if key != "format"}
            limit, offset = min(query["limit"], 1000), query["offset"]
            page = {"count": len(server.images), "next": None, "previous": None}
            page["results"] = server.images[offset : offset + limit]
            self.answer(json.dumps(page).encode() if fault is None else fault)
        elif parts.path in server.files:
            self.answer(server.files[parts.path], fault)
        else:
            self.send_error(404)

    def answer(self, body, fault=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) - (20 if fault == "shorter" else 0)))
        self.end_headers()
        if fault == "slow":
            time.sleep(1.0)
        self.wfile.write(body[:-20] if fault in ("truncated", "shorter") else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(http, "PAUSE", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    neurovault._listed.cache_clear()
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()


@pytest.fixture
def options(server, tmp_path, monkeypatch):
    """Options for the made-up collection on the server that is the default; each call forgets what was read before."""
    monkeypatch.setattr(Options.model_fields["url"], "default", server.url)

    def made(**changes):
        neurovault._listed.cache_clear()
        fetch = {"page": 40} | {key: changes.pop(key) for key in Fetch.model_fields if key in changes}
        return Options(**{"url": server.url, "cache": str(tmp_path / "nv"), "subjects": 3, "fetch": fetch} | changes)

    return made


def images(samples, *keys):
    return [f"neurovault/{samples['subject'].iloc[0]}/{key}" for key in keys]


def test_options_can_be_read_without_importing_the_module():
    assert options_of("datasets", "neurovault")().model_dump() == Options().model_dump()
    assert (Options().collection, Options().url) == (4337, "https://neurovault.org")


def test_only_motor_t_is_lacking_among_hcps_conditions():
    from truemap.datasets._layouts import COPES

    assert len(CONDITIONS) == 24
    assert {(task, name) for task in COPES for name in COPES[task]} - set(CONDITIONS) == {("MOTOR", "T")}
    used = {(task, contrast) for task, condition in CONDITIONS for contrast in contrasts(task, condition)}
    assert len(MAPS) == 23
    assert set(MAPS) - used == {("MOTOR", "CUE")}


def test_samples_are_all_conditions_of_the_chosen_complete_subjects(options):
    samples = index(options(), 0)
    assert list(samples.columns) == ["image", "subject", "label", "condition", "negated", "split"]
    assert len(samples) == 3 * 24
    assert samples.groupby("subject").size().tolist() == [24] * 3
    assert set(zip(samples["label"], samples["condition"], strict=True)) == set(CONDITIONS)
    assert set(samples.loc[samples["negated"], "condition"]) == {"NEG_MATCH", "NEG_REL", "NEG_FACES", "NEG_SHAPES"}
    assert samples["image"].is_unique
    assert samples["image"][0] == f"neurovault/{samples['subject'][0]}/WM/2-BACK"
    assert (samples["split"] == "").all()


@pytest.mark.parametrize("page", [1, 7, 40, 137, 1000, 5000])
def test_the_list_is_read_in_pages_each_once(server, options, page):
    index(options(page=page), 0)
    step = min(page, 1000)
    offsets = range(0, len(server.images), step)
    asked = server.asked(LIST)
    assert sorted(int(parse_qs(urlsplit(path).query)["offset"][0]) for path in asked) == list(offsets)
    assert set(asked.values()) == {1}
    assert server.asked("/media") == {}


def test_a_second_call_asks_for_nothing(server, options):
    first = index(options(), 0)
    server.requests.clear()
    assert index(options(), 0).equals(first)
    assert index(options(page=13), 0).equals(first)
    assert not server.requests


def test_a_list_that_broke_off_goes_on_where_it_stopped(server, options):
    third = f"{LIST}?format=json&limit=40&offset=80"
    server.faults[third] = [500]
    with pytest.raises(DataError, match="offset=80: the server answered 500"):
        index(options(attempts=1), 0)
    assert len(server.requests) == 3
    index(options(attempts=1), 0)
    assert server.requests.pop(third) == 2
    assert set(server.requests.values()) == {1}


def test_the_choice_is_seeded_and_does_not_depend_on_the_order_of_the_list(server, options, tmp_path):
    first = index(options(), 0)
    random.Random(1).shuffle(server.images)
    assert index(options(cache=str(tmp_path / "other")), 0).equals(first)
    choices = {tuple(index(options(), seed)["subject"].unique()) for seed in range(20)}
    assert len(choices) > 1
    assert set(index(options(subjects=2), 0)["subject"]) < set(first["subject"])


def test_a_subject_that_lacks_a_map_or_is_excluded_is_not_chosen(options):
    everyone = set(index(options(subjects=None), 0)["subject"])
    assert everyone == set(SUBJECTS) - {INCOMPLETE}
    assert set(index(options(subjects=None, exclude=["100307"]), 0)["subject"]) == everyone - {"100307"}


def test_a_name_to_exclude_that_no_image_has_is_refused_with_the_nearest(options):
    assert set(subjects_of(options())) == set(SUBJECTS)
    assert index(options(subjects=None, exclude=[INCOMPLETE]), 0)["subject"].nunique() == len(SUBJECTS) - 1
    with pytest.raises(DataError, match=r"has no subject '1003O7' \(number 2 of the list\); did you mean '100307'\?"):
        index(options(exclude=[INCOMPLETE, "1003O7"]), 0)


def test_a_lacking_cue_map_matters_to_nobody(server, options):
    server.images = [image for image in server.images if not image["name"].endswith("CUE")]
    assert len(index(options(subjects=5), 0)) == 5 * 24


def test_too_few_complete_subjects_are_counted(options):
    with pytest.raises(DataError, match=r"collections/4337/images/: 5 of 6 subjects have all 22 contrasts, 6 are ask"):
        index(options(subjects=6), 0)


def test_images_twice_in_the_list_and_others_than_subjects_maps_do_no_harm(server, options, tmp_path, caplog):
    first = index(options(), 0)
    twice = dict(server.images[0], id=99999, file=f"{server.url}/wrong")
    server.images += [dict(server.images[0], id=1, name="group mean"), twice, dict(server.images[0])]
    changed = options(cache=str(tmp_path / "other"), subjects=None)
    assert index(changed, 0)["subject"].nunique() == 5
    read(f"neurovault/{SUBJECTS[0]}/EMOTION/FACES", changed, 0)
    assert index(options(cache=str(tmp_path / "other")), 0).equals(first)
    assert "139 of 140 images are listed" in caplog.text


def test_only_files_of_the_chosen_subjects_are_fetched_each_once(server, options):
    samples = index(options(), 0)
    prepare(samples["image"].tolist(), options(), 0)
    chosen = set(samples["subject"])
    wanted = {server.path(subject, *key) for subject in chosen for key in MAPS if key != ("MOTOR", "CUE")}
    assert server.asked("/media") == dict.fromkeys(wanted, 1)
    server.requests.clear()
    prepare(samples["image"].tolist(), options(), 0)
    for image in samples["image"]:
        read(image, options(), 0)
    assert not server.requests


def test_without_preparation_what_is_missing_is_fetched(server, options):
    image, *_ = images(index(options(), 0), "WM/FACE")
    read(image, options(), 0)
    assert len(server.asked("/media")) == 2


@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        ("2-BACK", ["2BK_BODY", "2BK_FACE", "2BK_PLACE", "2BK_TOOL"]),
        ("0-BACK", ["0BK_BODY", "0BK_FACE", "0BK_PLACE", "0BK_TOOL"]),
        ("BODY", ["2BK_BODY", "0BK_BODY"]),
        ("FACE", ["2BK_FACE", "0BK_FACE"]),
        ("PLACE", ["2BK_PLACE", "0BK_PLACE"]),
        ("TOOL", ["2BK_TOOL", "0BK_TOOL"]),
    ],
)
def test_working_memory_maps_are_means(server, options, condition, parts):
    samples = index(options(), 0)
    subject = samples["subject"][0]
    got, affine, checksum = read(f"neurovault/{subject}/WM/{condition}", options(), 0)
    np.testing.assert_allclose(got, sum(values(subject, "WM", part).astype(float) for part in parts) / len(parts))
    np.testing.assert_array_equal(affine, AFFINE)
    sums = [hashlib.sha256(content(subject, "WM", part)).hexdigest() for part in parts]
    assert checksum == hashlib.sha256("".join(sums).encode()).hexdigest()


def test_other_maps_are_those_of_the_file_and_negated_ones_minus_them(options):
    samples = index(options(), 0)
    subject = samples["subject"][0]
    for task, condition in CONDITIONS:
        if task == "WM":
            continue
        contrast = condition.removeprefix("NEG_")
        got, _, checksum = read(f"neurovault/{subject}/{task}/{condition}", options(), 0)
        expected = values(subject, task, contrast)
        np.testing.assert_array_equal(got, -expected if condition != contrast else expected)
        assert checksum == hashlib.sha256(content(subject, task, contrast)).hexdigest()


def test_a_mean_over_two_grids_is_refused(server, options):
    image, *_ = images(index(options(), 0), "WM/FACE")
    path = server.path(image.split("/")[1], "WM", "0BK_FACE")
    other = nib.Nifti1Image(np.ones((3, 4, 5), "float32"), 2 * AFFINE).to_bytes()
    server.files[path] = other
    for listed in server.images:
        if listed["file"].endswith(path):
            listed["file_size"] = len(other)
    for page in Path(options().cache).glob("*/index/*"):
        page.unlink()
    with pytest.raises(
        DataError, match=rf"{image}: its part 0BK_FACE is on another grid than its part 2BK_FACE"
    ) as told:
        read(image, options(), 0)
    assert "image_" not in str(told.value)


def test_a_bad_file_is_named_by_its_map_and_not_by_its_number(server, options):
    """The number says in NeuroVault's open list whose map it is; the name of the map gets a pseudonym."""
    image, *_ = images(index(options(), 0), "SOCIAL/TOM")
    prepare([image], options(), 0)
    (file,) = Path(options().cache).rglob("*.nii.gz")
    listed = next(entry for entry in server.images if file.name == f"image_{entry['id']}.nii.gz")
    file.write_bytes(gzip.compress(b"x" * (listed["file_size"] or 9))[:40].ljust(file.stat().st_size, b"x"))
    with pytest.raises(DataError, match=rf"^{image} \(TOM\): ") as told:
        read(image, options(), 0)
    assert file.stem not in str(told.value)


@pytest.mark.parametrize("fault", [503, 500, 429, "truncated", "shorter"])
def test_a_fault_that_passes_is_waited_for(server, options, fault):
    samples = index(options(), 0)
    subject = samples["subject"][0]
    path = server.path(subject, "SOCIAL", "TOM")
    server.faults[path] = [fault] * 2
    prepare([f"neurovault/{subject}/SOCIAL/TOM"], options(), 0)
    assert server.asked("/media") == {path: 3}
    np.testing.assert_array_equal(
        read(f"neurovault/{subject}/SOCIAL/TOM", options(), 0)[0], values(subject, "SOCIAL", "TOM")
    )


def test_a_slow_answer_is_asked_for_again(server, options):
    image, *_ = images(index(options(), 0), "SOCIAL/TOM")
    path = server.path(image.split("/")[1], "SOCIAL", "TOM")
    server.faults[path] = ["slow"]
    prepare([image], options(timeout=0.2), 0)
    assert server.asked("/media") == {path: 2}


@pytest.mark.parametrize(("fault", "reason"), [(503, "503"), ("truncated", "IncompleteRead"), ("shorter", "announced")])
def test_a_fault_that_stays_ends_with_the_address_and_leaves_no_file(server, options, fault, reason):
    image, *_ = images(index(options(), 0), "SOCIAL/TOM")
    path = server.path(image.split("/")[1], "SOCIAL", "TOM")
    server.faults[path] = [fault] * 99
    with pytest.raises(DataError, match=rf"{path}: .*{reason}.* \(asked 3 times\).*run again.*`cache`"):
        prepare([image], options(attempts=3), 0)
    assert server.asked("/media") == {path: 3}
    assert {file.suffix for file in Path(options().cache).rglob("*") if file.is_file()} == {".json"}


def test_a_file_that_is_gone_is_named_at_once_and_the_others_are_kept(server, options):
    samples = index(options(), 0)
    path = server.path(samples["subject"][0], "WM", "0BK_TOOL")
    body = server.files.pop(path)
    with pytest.raises(DataError, match=rf"{path}: the server answered 404.*`exclude`"):
        prepare(samples["image"].tolist(), options(), 0)
    assert server.requests[path] == 1
    here = len(list(Path(options().cache).rglob("*.nii.gz")))
    assert here > 0
    server.files[path] = body
    server.requests.clear()
    prepare(samples["image"].tolist(), options(), 0)
    assert sum(server.requests.values()) == 3 * 22 - here


def test_a_file_of_the_wrong_size_in_the_cache_is_fetched_again(server, options):
    image, *_ = images(index(options(), 0), "SOCIAL/TOM")
    prepare([image], options(), 0)
    (file,) = Path(options().cache).rglob("*.nii.gz")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    prepare([image], options(), 0)
    assert file.read_bytes() == whole


def test_images_that_nilearn_has_fetched_are_used(server, options):
    image, *_ = images(index(options(), 0), "SOCIAL/TOM")
    subject = image.split("/")[1]
    (listed,) = [entry for entry in server.images if entry["name"] == f"{subject}_SOCIAL_TOM"]
    (Path(options().cache) / "collection_4337" / f"image_{listed['id']}.nii.gz").write_bytes(
        content(subject, "SOCIAL", "TOM")
    )
    read(image, options(), 0)
    assert server.asked("/media") == {}


def test_a_cache_filled_by_nilearn_is_the_default_servers(tmp_path):
    folder = tmp_path / "collection_4337"
    (folder / "index").mkdir(parents=True)
    images = [
        {"id": number, "name": f"7_{task}_{contrast}", "file": f"https://neurovault.org/{number}.nii.gz"}
        for number, (task, contrast) in enumerate(MAPS)
    ]
    (folder / "index/from-0.json").write_text(json.dumps({"count": len(images), "results": images}))
    for number, key in enumerate(MAPS):
        (folder / f"image_{number}.nii.gz").write_bytes(content("7", *key))
    neurovault._listed.cache_clear()
    for url in ("https://neurovault.org", "https://neurovault.org/"):
        found = read("neurovault/7/SOCIAL/TOM", Options(cache=str(tmp_path), url=url), 0)[0]
        np.testing.assert_array_equal(found, values("7", "SOCIAL", "TOM"))


def test_no_two_servers_and_no_two_collections_share_files(server, options):
    def folders(**changes):
        return {file.path.parent for file in neurovault._maps(options(**changes)).values()}

    image, *_ = images(index(options(), 0), "SOCIAL/TOM")
    prepare([image], options(), 0)
    subject = image.split("/")[1]
    with Server() as other:
        threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        path = other.path(subject, "SOCIAL", "TOM")
        other.files[path] = content(subject, "EMOTION", "FACES")
        for entry in other.images:
            entry["file_size"] = len(other.files[urlsplit(entry["file"]).path])
        found = read(image, options(url=other.url), 0)[0]
        assert folders(url=other.url).isdisjoint(folders())
        other.shutdown()
    np.testing.assert_array_equal(found, values(subject, "EMOTION", "FACES"))
    np.testing.assert_array_equal(read(image, options(), 0)[0], values(subject, "SOCIAL", "TOM"))


@pytest.mark.parametrize(
    "body",
    [
        b"<html>maintenance</html>",
        b"[]",
        b"{}",
        b'{"count": 3, "results": [{"id": 1}]}',
        b'{"count": "3", "results": []}',
        b'{"count": 1, "results": [{"id": "../x", "name": "a", "file": "b"}]}',
        b"\xff",
    ],
)
def test_what_is_no_list_of_images_is_refused_and_not_kept(server, options, body):
    server.faults[LIST] = [body]
    with pytest.raises(DataError, match=r"4337/images/\?format=json&limit=40&offset=0: is no page of a list"):
        index(options(), 0)
    assert len(index(options(), 0)) == 3 * 24


def test_a_damaged_page_in_the_cache_is_named(options):
    index(options(), 0)
    (Path(options().cache) / "collection_4337/index/from-40.json").write_text("{")
    with pytest.raises(DataError, match=r"index/from-40\.json: is no page of a list.*Delete it"):
        index(options(), 0)


def test_an_empty_collection_has_too_few_subjects(server, options):
    server.images = []
    for subjects in (1, None):
        with pytest.raises(DataError, match="0 of 0 subjects"):
            index(options(subjects=subjects), 0)


def test_without_a_network_the_address_and_the_remedy_are_named(tmp_path, server, monkeypatch):
    dead = Server()
    dead.server_close()
    with pytest.raises(DataError, match=rf"{dead.url}{LIST}.*refused.*asked 2 times.*set `cache` to a folder"):
        index(Options(url=f"{dead.url}/", cache=str(tmp_path), fetch={"attempts": 2}), 0)
    with pytest.raises(DataError, match="not an http"):
        index(Options(url="file:///etc", cache=str(tmp_path)), 0)


@pytest.mark.parametrize(("pattern", "message"), [("(?P<subject>.*)", "lacks a group"), ("(", "Mend the regular")])
def test_a_pattern_that_cannot_work_is_refused(options, pattern, message):
    with pytest.raises(DataError, match=message):
        index(options(pattern=pattern), 0)


def test_other_names_are_read_by_another_pattern(server, options):
    for image in server.images:
        image["name"] = "sub-" + image["name"].replace("_", ": ", 1)
    with pytest.raises(DataError, match=r"0 of 0 subjects.*`pattern`"):
        index(options(), 0)
    pattern = r"sub-(?P<subject>\d+): (?P<task>[A-Z]+)_(?P<contrast>\w+)"
    assert len(index(options(pattern=pattern), 0)) == 3 * 24


def test_a_map_that_is_not_listed_is_named(options):
    with pytest.raises(DataError, match=r"neurovault/1/SOCIAL/TOM: .*lists no map 1_SOCIAL_TOM"):
        read("neurovault/1/SOCIAL/TOM", options(), 0)


def test_a_killed_fetch_goes_on_without_fetching_a_whole_file_again(server, options):
    server.delay = 0.1
    program = (
        "import sys; from truemap.datasets.neurovault import *\n"
        "options = Options.model_validate_json(sys.argv[1])\n"
        "Options.model_fields['url'].default = options.url\n"
        "prepare(index(options, 0)['image'].tolist(), options, 0)"
    )
    folder = Path(options().cache) / "collection_4337"
    process = subprocess.Popen(
        [sys.executable, "-c", program, options().model_dump_json()],
        env={**os.environ, "PYTHONPATH": "workflow"},
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while len(list(folder.glob("image_*"))) < 15 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finally:
        process.kill()
    time.sleep(2 * server.delay)
    here = {path.name: path for path in folder.glob("image_*")}
    assert 15 <= len(here) < 3 * 22
    listed = {f"image_{image['id']}.nii.gz": urlsplit(image["file"]).path for image in server.images}
    for name, path in here.items():
        assert path.read_bytes() == server.files[listed[name]]
    server.delay = 0.0
    server.requests.clear()
    prepare(index(options(), 0)["image"].tolist(), options(), 0)
    assert set(server.requests.values()) == {1}
    assert sum(server.requests.values()) == 3 * 22 - len(here)
    assert not server.requests.keys() & {listed[name] for name in here}
    assert server.asked(LIST) == {}


def test_the_data_are_called_a_replication():
    assert Options().kind() == "NeuroVault 4337, replication on open data"
