import codecs
from pathlib import Path

import pytest
from snakemake.common.configfile import load_configfile

from truemap.config.keys import refuse_repeated
from truemap.config.schema import ConfigError

CONFIGS = sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("run: [a]\nseed: 1\nrun: [b]\n", 3, "run"),
        ("models:\n  cnn: {network: linear}\n  mlp: {}\n  cnn:\n    network: mlp\n", 4, "cnn"),
        ("a:\n- b: 1\n- {c: 1,\n   c: 2}\n", 4, "c"),
        ('{"a": 1,\n "a": 2}', 2, "a"),
        ("a: 1\n'a': 2\n", 2, "a"),
        ("x: &x {b: 1}\ny: *x\nz:\n  <<: *x\n  c: 1\n  c: 2\n", 6, "c"),
    ],
)
def test_a_key_that_is_given_twice_is_refused_by_its_line(tmp_path, text, line, key):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"c\.yaml, line {line}: '{key}' is there a second time"):
        refuse_repeated(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1\nb: {a: 1}\n",
        "x: &x {b: 1}\ny: {<<: *x, b: 2}\nz: [*x, *x]\n",
        "x: &x {b: 1}\ny: &y {c: 1}\nz:\n  <<: *x\n  <<: *y\n",
        "a: [",
        "\t",
    ],
)
def test_other_files_are_not(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    refuse_repeated(tmp_path / "c.yaml")
    refuse_repeated(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_presets_repeat_no_key(path):
    refuse_repeated(path)


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path):
    (tmp_path / "plain.yaml").write_bytes(text := b"run: [a]\nseed: 1\n")
    (tmp_path / "windows.yaml").write_bytes(codecs.BOM_UTF8 + text.replace(b"\n", b"\r\n"))
    (tmp_path / "twice.yaml").write_bytes(codecs.BOM_UTF8 + b"run: [a]\r\nrun: [b]\r\n")
    assert load_configfile(tmp_path / "windows.yaml") == load_configfile(tmp_path / "plain.yaml")
    refuse_repeated(tmp_path / "windows.yaml")
    with pytest.raises(ConfigError, match="line 2: 'run' is there a second time"):
        refuse_repeated(tmp_path / "twice.yaml")
