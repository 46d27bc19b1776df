"""What a run says on the terminal: events of Snakemake's in, lines out."""

import logging
import os

import pytest
from snakemake.iocontainers import Wildcards
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.common import LogEvent

from truemap.runtime import terminal
from truemap.runtime.terminal import Terminal, attend, outcome, reasons, spoken


def record(event=None, msg="", level=logging.INFO, **more):
    return logging.makeLogRecord({"msg": msg, "levelno": level, "event": event, **more})


def said(shown, *records):
    return [shown.format(one) for one in records if shown.filter(one)]


def started(number, rule="train", reason="Missing output files: a, b", **wildcards):
    return record(
        LogEvent.JOB_INFO, f" Rule: {rule}, Jobid: {number}", jobid=number, rule_name=rule, reason=reason,
        wildcards=Wildcards(fromdict=wildcards),
    )  # fmt: skip


def ended(number, done, total):
    finished = record(LogEvent.JOB_FINISHED, f"Finished jobid: {number}", job_id=number)
    return finished, record(LogEvent.PROGRESS, "", done=done, total=total)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    return now


def test_a_job_is_a_line_with_its_wildcards_its_time_and_what_is_left(clock):
    shown = Terminal(None, False, dry=False)
    stats = {"train": 2, "score": 2, "total": 4}
    assert said(shown, record(LogEvent.RUN_INFO, "Job stats: ...", stats=stats)) == ["4 jobs: train 2, score 2"]
    assert said(shown, record(LogEvent.JOB_STARTED, "Execute 1 jobs..."), started(1, dataset="k", seed="0")) == []
    clock[0] += 90
    # One train and two scores at the same pace.
    assert said(shown, *ended(1, 1, 4)) == ["1 of 4  train dataset=k, seed=0  2 min  (about 4 min left)"]
    assert said(shown, started(2, dataset="k", seed="1"), started(3, "score", dataset="k")) == []
    clock[0] += 90
    lines = said(shown, *ended(2, 2, 4), *ended(3, 3, 4))
    # Three jobs of 90 s in 180 s: one of them takes a minute of the two side by side.
    assert lines[-1] == "3 of 4  score dataset=k  2 min  (about 1 min left)"
    said(shown, started(4, "all"))
    assert said(shown, *ended(4, 4, 4)) == ["4 of 4  all  0 s"]


def test_where_a_part_is_asked_for_its_jobs_alone_are_counted(clock):
    shown = Terminal(None, False, dry=False)
    said(shown, record(LogEvent.RUN_INFO, "Job stats: ...", stats={"train": 2, "total": 2}))
    said(shown, started(1), started(2))
    clock[0] += 10
    assert said(shown, *ended(1, 1, 40)) == ["1 of 2  train  10 s  (about 10 s left)"]
    assert said(shown, *ended(2, 2, 40)) == ["2 of 2  train  10 s"]


def test_no_warning_and_no_error_is_left_out():
    shown = Terminal(None, False, dry=False)
    assert said(shown, record(None, "Building DAG of jobs...")) == []
    assert said(shown, record(None, "Building DAG of jobs failed", logging.ERROR)) == ["Building DAG of jobs failed"]
    assert said(shown, record(None, "Nothing to be done.")) == ["Nothing to be done."]


def test_an_error_says_the_jobs_names_and_its_log_and_lists_no_inputs():
    shown = Terminal(None, False, dry=False)
    said(shown, started(7, dataset="k", seed="0"))
    broken = {
        "rule_name": "train", "rule_msg": None, "jobid": 7, "input": ["one", "two"], "output": ["out"],
        "log": ["logs/k.log"], "conda_env": None, "aux": {}, "indent": False, "shellcmd": None,
    }  # fmt: skip
    (text,) = said(shown, record(LogEvent.JOB_ERROR, "Error in rule train", logging.ERROR, **broken))
    assert "Error in rule train (dataset=k, seed=0):" in text and "log: logs/k.log" in text and "input" not in text
    assert "message" not in text
    words = "RuleException:\nCalledProcessError in file \"/a/train.smk\", line 3:\nCommand 'set -e; python {}' {}"
    script = words.format("/a/.snakemake/scripts/tmp1_ab.train.py", "died with <Signals.SIGKILL: 9>.")
    assert said(shown, record(LogEvent.ERROR, script, logging.ERROR)) == ["train.py died with <Signals.SIGKILL: 9>."]
    other = words.format("/a/other.py", "returned non-zero exit status 1.")
    assert said(shown, record(LogEvent.ERROR, other, logging.ERROR)) == [other]


def test_a_dry_run_says_why_by_reason_and_rule():
    shown = Terminal(None, False, dry=True)
    table = record(LogEvent.RUN_INFO, "Job stats:\njob count", stats={"train": 2, "total": 2})
    assert said(shown, table) == ["Job stats:\njob count"]
    changed = "Params have changed since last execution: Union of exclusive params before and now across all output: "
    code = (
        changed + "before: 'voxels = 1','truemap.a._loop@0a1b','on = [1, 2]' now: 'truemap.a._loop@2c3d', 'voxels = 2'"
    )
    said(shown, started(1, reason=f"Missing output files: x; {code}"), started(2, reason=code), started(3, "score"))
    # Said again at the end of a dry run.
    assert said(shown, table) == []
    (text,) = said(shown, record(None, "Reasons:\n    (check individual jobs above for details)"))
    assert text.splitlines()[1:] == [
        "  changed: code of truemap.a._loop, before: 'voxels = 1', 'on = [1, 2]' now: 'voxels = 2':",
        "    train (2)",
        "  missing output files:",
        "    score (1), train (1)",
    ]


def test_reasons_without_details_are_said_as_they_are():
    jobs = [{"reason": "Forced execution", "rule_name": "a"}, {"reason": "", "rule_name": "b"}]
    assert reasons(jobs).splitlines()[1:] == ["  forced execution:", "    a (1)", "  no reason given:", "    b (1)"]


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (150, "2 min"), (5400, "1 h 30 min")])
def test_times(seconds, words):
    assert spoken(seconds) == words


@pytest.mark.parametrize("more", [{}, {"verbose": True}, {"printshellcmds": True}, {"debug_dag": True}])
def test_who_asks_for_more_gets_snakemakes_own_words(more):
    logger, handler = logging.getLogger("snakemake.logging"), logging.StreamHandler()
    handler.name = "DefaultStreamHandler"
    logger.addHandler(handler)
    try:
        attend(OutputSettings(**more))
        assert isinstance(handler.formatter, Terminal) is not bool(more)
        assert len(handler.filters) == (not more)
    finally:
        logger.removeHandler(handler)


def test_the_end_counts_the_claims_and_names_the_page_that_was_made(tmp_path):
    page, claims = tmp_path / "index.html", tmp_path / "claims.tsv"
    assert outcome(page, claims) == ""
    page.write_text("")
    verdicts = ["reproduced", "reproduced", "not run: no such dataset", "holds on these data"]
    verdicts += ["not reproduced, the opposite came out", "not reproduced, nor the opposite", "not reproduced"]
    claims.write_text("id\tverdict\n" + "".join(f"{n}\t{verdict}\n" for n, verdict in enumerate(verdicts)))
    text = outcome(page, claims)
    assert "3 not reproduced (1 the opposite), 2 reproduced, 1 holds, 1 not run" in text and str(page) in text
    os.utime(page, (1, 1))
    assert outcome(page, claims) == ""
