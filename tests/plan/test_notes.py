import json
import os
import shutil

import pytest

from truemap.plan import code as code_of
from truemap.plan import notes
from truemap.plan.code import Code
from truemap.runtime import sourcecode
from truemap.runtime.sourcecode import SCRIPTS

FILES = {
    "pack/__init__.py": "",
    "pack/used.py": "def used():\n    return 1\n",
    "pack/saliency/__init__.py": "",
    "pack/saliency/mine.py": "LIMIT = 1\n",
    "pack/script.py": "from pack.used import used\nused()\n",
}


class World:
    """A package of a user's, a script, and a place for notes; each `start` is a new process that has read nothing."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.place, self._patch = folder, folder / "notes/code.json", monkeypatch
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self):
        self._patch.setattr(sourcecode, "_read", {})
        return Code({"pack": self.folder / "pack"}, self.place)

    def ask(self, *methods):
        code = self.start()
        script = self.folder / "pack/script.py"
        answers = code.of_script(script), code.families(script), code.of_methods(script, methods)
        files = code.notes.hashed()
        code.notes.keep()
        return answers, files

    @property
    def read(self):
        return {path.name for path in sourcecode._read}


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


def test_what_was_noted_is_what_would_be_found_and_nothing_is_parsed_for_it(world):
    found = world.ask("pack.saliency.mine")
    assert {"used.py", "mine.py", "script.py"} <= world.read
    assert world.ask("pack.saliency.mine") == found
    assert not world.read
    world.place.unlink()
    assert world.ask("pack.saliency.mine") == found


def test_all_shipped_scripts_are_noted_as_they_are_found(world):
    scripts = sorted(SCRIPTS.glob("*.py"))
    fresh = [(Code().of_script(script), Code().families(script)) for script in scripts[:4]]
    first = Code({}, world.place)
    for script in scripts:
        first.of_script(script), first.families(script)
    first.notes.keep()
    second = Code({}, world.place)
    assert [(second.of_script(script), second.families(script)) for script in scripts[:4]] == fresh
    assert [second.of_script(script) for script in scripts] == [first.of_script(script) for script in scripts]


@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.write("pack/used.py", FILES["pack/used.py"].replace("1", "2")),
        lambda world: world.write("pack/saliency/mine.py", "LIMIT = 2\n"),
        lambda world: world.write("pack/__init__.py", "print()\n"),
    ],
)
def test_an_edit_is_noticed_though_size_and_time_stamp_are_the_same(world, change):
    before, _ = world.ask("pack.saliency.mine")
    stamps = {path: path.stat() for path in world.folder.rglob("*.py")}
    change(world)
    for path, stat in stamps.items():
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    now, _ = world.ask("pack.saliency.mine")
    assert now != before
    world.place.unlink()
    assert world.ask("pack.saliency.mine")[0] == now


def test_a_module_that_comes_or_goes_is_noticed(world):
    world.write("pack/script.py", "import pack.other\nimport pack.used\npack.other\n")
    before, _ = world.ask()
    world.write("pack/other.py", "print()\n")
    with_it, _ = world.ask()
    assert with_it != before
    (world.folder / "pack/other.py").unlink()
    assert world.ask()[0] == before


def test_what_lies_behind_a_link_is_noticed(world):
    shutil.move(world.folder / "pack/saliency", world.folder / "elsewhere")
    (world.folder / "pack/saliency").symlink_to("../elsewhere")
    (world.folder / "elsewhere/round").symlink_to("../pack")
    before, _ = world.ask("pack.saliency.mine")
    world.write("elsewhere/mine.py", "LIMIT = 2\n")
    assert world.ask("pack.saliency.mine")[0] != before


def test_files_that_only_a_second_start_asked_for_are_known_to_a_third(world):
    world.ask()
    world.ask("pack.saliency.mine")
    _, files = world.ask("pack.saliency.mine")
    assert not world.read
    assert any(path.endswith("mine.py") for path in files)
    assert all(seen == sourcecode.signature(path) for path, (_, seen) in files.items() if path.startswith("/"))


@pytest.mark.parametrize("put_back", [False, True])
def test_what_was_found_while_files_were_written_is_not_noted(world, put_back):
    old, code = FILES["pack/used.py"], world.start()
    world.write("pack/used.py", old.replace("1", "2"))
    edited = code.of_script(world.folder / "pack/script.py")
    if put_back:
        world.write("pack/used.py", old)
    code.notes.keep()
    world.write("pack/used.py", old)
    assert world.ask()[0][0] != edited


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"key": 1}', '{"answers": {}}'])
def test_notes_that_cannot_be_read_are_made_anew(world, text):
    found = world.ask()
    world.place.write_text(text)
    assert world.ask() == found
    assert json.loads(world.place.read_text())["answers"]


def test_notes_of_another_python_are_not_used(world, monkeypatch):
    found = world.ask()
    monkeypatch.setattr(notes.sys, "version_info", (3, 99))
    assert world.ask() == found
    assert "used.py" in world.read


def test_where_nothing_can_be_written_it_is_found_again(world):
    world.place.parent.write_text("a file")
    found = world.ask()
    assert world.ask() == found
    assert "used.py" in world.read


def test_without_a_place_nothing_is_kept(world):
    assert code_of.Code().notes.keep() is None
    assert not world.place.exists()
