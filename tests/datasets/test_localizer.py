import hashlib
import logging
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from localizer_server import NAMES, Localizer
from methods import as_method

from truemap.config.registry import options_of
from truemap.datasets import _fetch as http
from truemap.datasets import localizer
from truemap.datasets._listing import list_samples
from truemap.datasets.localizer import CONTRASTS, SUBJECTS, Options, files, index, prepare, read, subjects_of
from truemap.runtime.files import DataError, IncompleteSubjects, SourceError
from truemap.runtime.privacy import Scrubber

ROOT = Path(__file__).parents[2]
CONDITIONS = [(task, name) for task, names in CONTRASTS.items() for name in names]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(http, "PAUSE", 0.01)
    with Localizer() as serving:
        serving.redirect(monkeypatch)
        yield serving


@pytest.fixture
def options(tmp_path):
    return lambda **changes: Options(**{"subjects": 2, "cache": str(tmp_path / "cache")} | changes)


def chosen(options):
    """Who is chosen, in the order in which they are fetched."""
    order = sorted(SUBJECTS, key=lambda who: (localizer.derive_seed(0, "localizer", who), who))
    return order[: options.subjects]


def test_options_can_be_read_without_importing_the_module():
    assert options_of("datasets", "localizer")().model_dump() == Options().model_dump()
    assert "replication on other data" in Options().kind()


def test_contrasts_are_called_as_nilearn_calls_them():
    from nilearn.datasets.func import CONTRAST_NAME_WRAPPER

    assert [len(names) for names in CONTRASTS.values()] == [2, 2, 2, 4]
    for names in CONTRASTS.values():
        assert names.items() <= CONTRAST_NAME_WRAPPER.items()


def test_samples_are_all_conditions_of_a_seeded_choice_of_subjects(server, options):
    samples = index(options(), 0)
    assert list(samples.columns) == ["image", "subject", "label", "condition", "negated", "split"]
    assert samples.groupby("subject").size().tolist() == [10, 10]
    assert set(zip(samples["label"], samples["condition"], strict=True)) == set(CONDITIONS)
    assert set(samples["subject"]) == set(chosen(options()))
    assert set(samples["subject"]) < set(index(options(subjects=3), 0)["subject"])
    assert len({tuple(index(options(subjects=1), seed)["subject"].unique()) for seed in range(4)}) > 1
    assert not samples["negated"].any() and (samples["split"] == "").all()


def test_each_row_has_the_map_of_its_subject_and_condition(server, options):
    samples = index(options(subjects=1), 0)
    for row in samples.itertuples():
        values, affine, checksum = read(row.image, options(), 0)
        expected = server.values(row.subject, CONTRASTS[row.label][row.condition])
        np.testing.assert_array_equal(values, expected)
        assert np.isnan(expected).any()
        assert affine[0, 0] == -3
        assert files(row.image, options()) == [row.image]
        assert checksum == hashlib.sha256(Path(row.image).read_bytes()).hexdigest()


def test_each_file_is_fetched_once_and_a_second_call_asks_for_nothing(server, options):
    samples = index(options(), 0)
    assert set(server.requests.values()) == {1}
    wanted = {server.path(who, name) for who in chosen(options()) for name in NAMES}
    assert {path for path in server.requests if path in server.maps} == wanted
    server.requests.clear()
    assert index(options(), 0).equals(samples)
    assert index(options(subjects=1), 0)["subject"].isin(samples["subject"]).all()
    prepare(samples["image"].tolist(), options(), 0)
    assert not server.requests


def test_a_map_that_is_gone_is_fetched_again_and_it_alone(server, options):
    samples = index(options(), 0)
    image = Path(samples["image"][3])
    content = image.read_bytes()
    image.unlink()
    server.requests.clear()
    prepare(samples["image"].tolist(), options(), 0)
    assert image.read_bytes() == content
    assert sum(path in server.maps for path in server.requests) == 1


@pytest.fixture
def larger(server):
    server.shape = (30, 30, 30)
    return server


#: Bytes that nilearn takes at a time: what came of a piece that broke off it does not keep.
PIECE = 8192


def test_a_download_that_breaks_off_is_gone_on_with(larger, options):
    server = larger
    path = server.path(chosen(options())[0], NAMES[4])
    server.faults[path] = [2 * PIECE + 100]
    index(options(subjects=1), 0)
    assert server.requests[path] == 2
    assert server.sent[path] == len(server.content(path)) + 100
    assert server.requests[server.path(chosen(options())[0], NAMES[3])] == 1


def test_a_server_that_cannot_resume_costs_the_file_that_broke_off_and_no_other(larger, options):
    server, path = larger, larger.path(chosen(options())[0], NAMES[4])
    server.ranges, server.faults[path] = False, [2 * PIECE]
    image = index(options(subjects=1), 0)["image"][4]
    twice = {path: sent - len(server.content(path)) for path, sent in server.sent.items() if path in server.maps}
    # Asked for the rest it gives the whole, which nilearn leaves after a piece or more, and asks for again.
    assert twice.pop(path) >= 2 * PIECE
    assert set(twice.values()) == {0}
    assert Path(image).read_bytes() == server.content(path)


def test_what_was_fetched_stays_where_the_server_gives_up(server, options):
    broken = server.path(chosen(options())[1], NAMES[4])
    server.faults[broken] = ["503"] * 4
    with pytest.raises(SourceError, match=r"Localizer: the server answered 503 .*asked 4 times.*goes on where it st"):
        index(options(), 0)
    before = server.sent.copy()
    assert sum(path in server.maps for path in before) == 14
    index(options(), 0)
    assert {path: server.sent[path] for path in before} == before


@pytest.mark.parametrize(
    ("fault", "words"),
    [(["404"], "the server answered 404 .*newer nilearn"), ([0] * 9, r"IncompleteRead\(0 bytes read.*asked 4 times")],
)
def test_a_server_that_refuses_is_no_fault_of_a_subjects(server, options, fault, words):
    server.faults[server.path(chosen(options())[0], NAMES[0])] = fault
    with pytest.raises(SourceError, match=words):
        index(options(), 0)


@pytest.mark.parametrize("content", [b"<html>", b"{}", b'{"/localizer/participants.tsv": "/gone"}'])
def test_a_list_that_is_none_ends_with_the_place_to_look(server, options, content):
    server.files["osf.io/hwbm2/download"] = content
    with pytest.raises(DataError, match=r"nilearn cannot store or use .* delete what is broken in .*cache|404"):
        index(options(), 0)


def lacking(who, *names):
    return [(who, name) for name in names]


@pytest.fixture
def incomplete(monkeypatch, options):
    first, second, third = chosen(options(subjects=3))
    gone = lacking(first, NAMES[2], NAMES[7]) + lacking(third, *NAMES)
    with Localizer(lacking=gone) as serving:
        serving.redirect(monkeypatch)
        yield first, second, third


def test_maps_that_the_index_lacks_are_named_and_counted(incomplete, options):
    first, _, third = incomplete
    with pytest.raises(
        IncompleteSubjects, match=r"12 maps of 2 subjects are\. nilearn's index does not list"
    ) as caught:
        index(options(subjects=3), 0)
    assert {who: reason for who, (_, reason) in caught.value.lacking.items()} == {
        first: "2 of its maps are missing",
        third: "10 of its maps are missing",
    }
    assert caught.value.lacking[first][0].endswith(f"{first}/cmaps_AuditorySentences.nii.gz")
    with pytest.raises(DataError) as all_of_them:
        index(options(subjects=1), 0)
    assert not isinstance(all_of_them.value, IncompleteSubjects)


def listed(options, scrub=None, **changes):
    settings = {
        "split": {"train": 0.4, "validation": 0.3, "test": 0.3},
        "seed": 0,
        "family": None,
        "on_bad_subject": "stop",
    }
    return list_samples(as_method(localizer, options), settings | changes, None, "salt", scrub or Scrubber())


def test_subjects_that_lack_maps_are_skipped_where_the_config_says_so(incomplete, options):
    first, _, third = incomplete
    four = options(subjects=5)
    with pytest.raises(IncompleteSubjects):
        listed(four)
    listing = listed(four, on_bad_subject="skip")
    assert set(listing.lacking) == {first, third}
    assert set(listing.samples["subject"]) == set(chosen(four)) - {first, third}


def test_the_excluded_leave_the_choice_as_it_is_and_nobody_comes_for_them(server, options):
    out = chosen(options())[0]
    left = index(options(subjects=3, exclude=[out]), 0)["subject"]
    assert set(left) == set(chosen(options(subjects=3))) - {out}
    assert not any(path in server.requests for path in [server.path(out, name) for name in NAMES])
    assert subjects_of(options(exclude=[out])) == list(SUBJECTS)
    with pytest.raises(DataError, match=r"has no subject 'S95' \(number 2 of the list\); did you mean 'S94'\?"):
        index(options(exclude=[out, "S95"]), 0)
    with pytest.raises(DataError, match="nobody is left"):
        index(options(subjects=1, exclude=[out]), 0)


def test_no_log_line_or_message_names_a_subject(incomplete, options, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    for changes in ({}, {"on_bad_subject": "skip"}):
        scrub = Scrubber()
        try:
            listed(options(subjects=5), scrub, **changes)
        except DataError as error:
            assert "S" in str(error)
            assert not re.search(r"\bS\d\d\b", scrub(str(error)))
    said = scrub(caplog.text) + "".join(capfd.readouterr())
    assert "left out: subject sub-" in said
    assert not re.search(r"\bS\d\d\b|sub-S", said)


def test_a_broken_file_is_named_with_what_to_do(server, options):
    image = index(options(subjects=1), 0)["image"][0]
    Path(image).write_bytes(Path(image).read_bytes()[:-40])
    with pytest.raises(
        DataError, match=r"cmaps_\w+\.nii\.gz: truncated[\s\S]* Delete the file, and the next run fetches"
    ):
        read(image, options(), 0)


def test_a_folder_that_was_filled_can_be_read_where_it_cannot_be_written(server, options, tmp_path):
    samples = index(options(), 0)
    (tmp_path / "cache/.lock").unlink()
    (tmp_path / "cache/.lock").mkdir()  # root may write anywhere, but not over a folder
    server.requests.clear()
    assert index(options(), 0).equals(samples)
    assert not server.requests


FETCH = "import sys; from truemap.datasets.localizer import *; index(Options(subjects=2, cache=sys.argv[1]), 0)"


def test_after_a_kill_no_byte_that_was_stored_is_fetched_again_and_two_at_a_time_do_no_harm(
    monkeypatch, tmp_path, options
):
    with Localizer(shape=(40, 40, 40)) as server:
        variables = {**server.redirected(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
        variables["PYTHONPATH"] += f":{ROOT / 'workflow'}"
        killed = server.path(chosen(options())[0], NAMES[7])
        # The connection stays, and nothing more comes.
        server.stalls[killed] = 10 * PIECE
        process = subprocess.Popen([sys.executable, "-c", FETCH, str(tmp_path / "cache")], env=variables)
        assert server.stalled.wait(60)
        time.sleep(0.2)
        process.kill()
        process.wait()
        (part,) = (tmp_path / "cache").rglob("*.part")
        stored, before = part.stat().st_size, set(server.requests)
        # But for what waited to be written.
        assert 10 * PIECE - stored < 2 * PIECE
        server.redirect(monkeypatch)
        server.requests.clear()
        server.sent.clear()
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda seed: index(options(), seed), [0, 0])
        assert first.equals(second)
        assert server.sent[killed] == len(server.made[killed]) - stored
        assert set(server.requests) & before <= {
            killed,
            next(old for old, new in server.moved.items() if new == killed),
        }
        assert set(server.requests.values()) == {1}
        assert [read(image, options(), 0)[0].shape for image in first["image"]] == [(40, 40, 40)] * 20
