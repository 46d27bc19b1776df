from types import SimpleNamespace

import pytest

from truemap.plan.record import line_params, settings_params


class Wildcards(SimpleNamespace):
    """As Snakemake hands them to a function."""

    def items(self):
        return vars(self).items()


@pytest.mark.parametrize("kind", [SimpleNamespace, Wildcards])
def test_jobs_that_differ_in_a_wildcard_nobody_knew_have_their_own_lines(kind):
    """A made-up rule with a wildcard `metric`: what one job recorded must not be another's."""
    jobs = [kind(dataset="d", metric=metric) for metric in "ab"]
    params = settings_params(lambda wildcards: {"metric": wildcards.metric, "dataset": wildcards.dataset}, jobs)
    lines = [[params[name](job) for name in sorted(params) if name != "settings"] for job in jobs]
    assert lines == [[f'metric = "{metric}"', 'dataset = "d"', None] for metric in "ab"]
    assert [params["settings"](job).metric for job in jobs] == ["a", "b"]


def test_a_job_with_more_lines_than_params_is_a_fault_and_no_line_is_lost():
    lines = {"a": ["m@1"], "b": ["m@1", "n@2"]}
    params = line_params("method", lambda wildcards: lines[wildcards.name], [SimpleNamespace(name="a")])
    assert [param(SimpleNamespace(name="a")) for param in params.values()] == ["m@1", None]
    with pytest.raises(RuntimeError, match=r"more lines \(method\) than params"):
        params["method_0"](SimpleNamespace(name="b"))
