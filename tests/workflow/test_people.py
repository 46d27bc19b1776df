"""No ID of a person of HCP leaves `private/`: neither in a run that succeeds nor in one that fails."""

import gzip
import hashlib
import re
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT, Clone, clone

from truemap.datasets._layouts import map_path
from truemap.datasets._simulation import build_template, read_tables, write_subject
from truemap.datasets.hcp import Simulate

#: Made up, and found nowhere in the checkout.
IDS = [str(731_906 + 1_111 * number) for number in range(9)]
#: In the config, so that Snakemake's own record of settings (.snakemake) has it; results, logs and report must not.
EXCLUDED = IDS[-1]
#: Not as part of a longer number or hash, nor after a decimal point: those are all over in figures and tables.
ID = re.compile(rf"(?<![0-9A-Za-z.])(?:{'|'.join(IDS)})(?![0-9A-Za-z])".encode())
TWO = (("MOTOR", "LF"), ("LANGUAGE", "MATH"))
PSEUDONYM = re.compile(r"sub-[0-9a-f]{8}\b")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree in HCP's layout, of simulated people with HCP's kind of IDs."""
    root, options = tmp_path_factory.mktemp("people") / "hcp", Simulate(resolution=8)
    tables = read_tables(*(ROOT / f"config/simulation/task_{name}.tsv" for name in ("peaks", "components")))
    template = build_template(*tables, options.resolution, options.blob_fwhm)
    for subject in IDS:
        write_subject(root, template, subject, 0, options.model_dump())
    return root


def run(copy: Clone, root: Path, *arguments: str, **dataset: object):
    """Run the workflow on a tree; return the finished process."""
    definition = {
        "source": {"name": "hcp", "root": str(root), "exclude": [EXCLUDED]},
        "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
        "models": {"linear": {"network": "linear", "training": {"name": "standard", "epochs": 2}}},
        **dataset,
    }
    file = copy.path / "people.yaml"
    file.write_text(yaml.safe_dump({"run": ["people"], "datasets": {"people": definition}}))
    return copy.snakemake(*arguments, config=str(file))


def content(path: Path) -> bytes:
    """Return what a file holds, uncompressed."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        texts = [table[field.name] for field in table.schema if "string" in str(field.type)]
        lists = [pa.types.is_nested(column.type) for column in texts]
        texts = [pc.list_flatten(column) if nested else column for column, nested in zip(texts, lists, strict=True)]
        words = [str(column.unique().to_pylist()) for column in texts]
        return "\n".join([str(table.schema), str(table.schema.metadata), *words]).encode()
    return path.read_bytes()


def files_with_ids(copy: Clone) -> list[str]:
    """Return the files that name somebody, by path or content, of all but those that are private."""
    files = [path for path in copy.path.rglob("*") if path.is_file()]
    public = [path for path in files if path.relative_to(copy.path).parts[0] not in ("private", ".snakemake")]
    public += list((copy.path / ".snakemake/log").iterdir())
    public.remove(copy.path / "people.yaml")
    assert len(public) > 50
    return [
        str(path) for path in public
        if ID.search(str(path.relative_to(copy.path)).encode()) or ID.search(content(path))
    ]  # fmt: skip


def private(copy: Clone, name: str) -> pd.DataFrame:
    return pd.read_csv(copy.path / "private/people" / name, sep="\t", dtype=str, keep_default_na=False)


@pytest.fixture
def spoilt(people: Path, tmp_path: Path) -> Path:
    """A copy of the tree, in which a test spoils a map (`bad_map`)."""
    return Path(shutil.copytree(people, tmp_path / "spoilt"))


def bad_map(root: Path) -> Path:
    return map_path(root, IDS[3], "MOTOR", "LF")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def test_a_whole_run_names_nobody(people: Path, tmp_path: Path) -> None:
    copy, influence = clone(tmp_path / "copy"), {"maps": 4, "train": 8, "epsilon": [0.1]}
    result = run(copy, people, influence=influence)
    assert result.returncode == 0, result.stdout
    report = run(copy, people, "--report", "report.html", influence=influence)
    assert report.returncode == 0, report.stdout
    assert "sub-" not in str(pq.read_table(copy.path / "results/people/influence/linear/seed-0.example.parquet"))
    assert not ID.search((result.stdout + report.stdout).encode())
    assert (copy.path / "report.html").is_file()
    assert files_with_ids(copy) == []
    images = private(copy, "images.tsv")
    assert set(images["subject"]) == set(IDS) - {EXCLUDED}
    assert all(Path(path).is_file() for path in images["path"])
    stored = pd.concat(map(pd.read_parquet, copy.path.glob("results/people/volumes/*/*.parquet")))["sha256"]
    assert not set(stored) & {hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in images["path"]}
    assert stored.nunique() == len(images)
    samples = pd.read_csv(copy.path / "results/people/samples.tsv", sep="\t", dtype=str)
    assert set(samples["image"]) == set(images["image"])
    assert samples["subject"].str.fullmatch(PSEUDONYM.pattern).all()
    assert (copy.path / "private/salt").stat().st_mode & 0o777 == 0o600
    assert "Nothing to be done" in run(copy, people, influence=influence).stdout


def test_a_run_that_fails_at_a_truncated_map_names_its_pseudonym_only(spoilt: Path, tmp_path: Path) -> None:
    copy = clone(tmp_path / "copy")
    truncate(bad_map(spoilt))
    result = run(copy, spoilt)
    assert result.returncode != 0
    assert "truncated or unreadable" in result.stdout
    assert not ID.search(result.stdout.encode())
    assert files_with_ids(copy) == []
    assert "private/people/images.tsv says what they stand for" in result.stdout
    images = private(copy, "images.tsv").set_index("path")["image"]
    assert f"{images[str(bad_map(spoilt))]}: truncated" in result.stdout


def test_a_run_that_fails_at_a_missing_map_names_its_pseudonym_only(spoilt: Path, tmp_path: Path) -> None:
    copy = clone(tmp_path / "copy")
    bad_map(spoilt).unlink()
    result = run(copy, spoilt)
    assert result.returncode != 0
    assert "condition LF" in result.stdout
    assert not ID.search(result.stdout.encode())
    assert files_with_ids(copy) == []
    found = private(copy, "subjects.tsv").set_index("subject")["pseudonym"]
    assert found[IDS[3]] in result.stdout


def test_a_subject_that_is_skipped_is_listed_by_its_pseudonym(spoilt: Path, tmp_path: Path) -> None:
    copy = clone(tmp_path / "copy")
    truncate(bad_map(spoilt))
    result = run(copy, spoilt, "results/people/models/linear/seed-0/model.json", on_bad_subject="skip")
    assert result.returncode == 0, result.stdout
    assert not ID.search(result.stdout.encode())
    assert files_with_ids(copy) == []
    images = private(copy, "images.tsv").set_index("path")["image"]
    lists = [
        pd.read_csv(path, sep="\t", dtype=str) for path in copy.path.glob("results/people/volumes/*/*.skipped.tsv")
    ]
    assert pd.concat(lists)["image"].tolist() == [images[str(bad_map(spoilt))]]


def test_subjects_that_lack_maps_are_listed_with_their_own_reasons(spoilt: Path, tmp_path: Path) -> None:
    """IDs of another kind than HCP's six digits, as newer pipelines have them."""
    copy = clone(tmp_path / "copy")
    strange = f"HCA{IDS[3]}4_V1_MR"
    (spoilt / IDS[3]).rename(spoilt / strange)
    for subject, conditions in ((strange, ("LF", "RF")), (IDS[5], ("T",))):
        for condition in conditions:
            map_path(spoilt, subject, "MOTOR", condition).unlink()
    result = run(copy, spoilt)
    assert result.returncode != 0 and "3 maps of 2 subjects are" in result.stdout
    assert strange not in result.stdout and not ID.search(result.stdout.encode())
    result = run(copy, spoilt, "results/people/quality.html", on_bad_subject="skip")
    assert result.returncode == 0, result.stdout
    assert strange not in result.stdout
    skipped = pd.read_csv(copy.path / "results/people/skipped.tsv", sep="\t", dtype=str)
    assert sorted(skipped["reason"]) == ["1 of its maps are missing", "2 of its maps are missing"]
    page = (copy.path / "results/people/quality.html").read_text()
    for row in skipped.itertuples():
        assert PSEUDONYM.fullmatch(row.subject) and row.subject in row.image and row.subject in page
    assert files_with_ids(copy) == []
    assert not any(strange in path.read_text(errors="ignore") for path in (copy.path / "results/people").glob("*.*"))


def test_where_all_subjects_lack_maps_the_remedy_is_told_although_bad_ones_are_skipped(
    people: Path, tmp_path: Path
) -> None:
    copy = clone(tmp_path / "copy")
    source = {"name": "hcp", "root": str(people), "layout": "standard_volume"}
    result = run(copy, people, "results/people/samples.tsv", on_bad_subject="skip", source=source)
    assert result.returncode != 0
    assert "set `layout: volume`" in result.stdout
    assert not ID.search(result.stdout.encode())


def test_a_sheet_that_lists_a_map_twice_is_refused_for_that_and_by_its_name(people: Path, tmp_path: Path) -> None:
    copy = clone(tmp_path / "copy")
    rows = [(map_path(people, who, task, c), who, task, c) for who in IDS[:3] for task, c in TWO]
    lines = ["image\tsubject\tlabel\tcondition", *("\t".join(map(str, row)) for row in [*rows, rows[0]])]
    sheet = tmp_path / "sheet.tsv"
    sheet.write_text("\n".join(lines) + "\n")
    source = {"name": "sheet", "sheet": str(sheet)}
    result = run(copy, people, "results/people/samples.tsv", source=source, pseudonyms=True)
    assert result.returncode != 0
    assert re.search(rf"({PSEUDONYM.pattern}/MOTOR/LF) and \1: same subject, label and condition", result.stdout)
    assert not ID.search(result.stdout.encode())


@pytest.mark.parametrize("wrong", ["exclude", "backup", "link"])
def test_a_copy_of_a_person_or_a_mistyped_exclusion_is_refused_and_nobody_named(
    spoilt: Path, tmp_path: Path, wrong: str
) -> None:
    copy = clone(tmp_path / "copy")
    source = {"name": "hcp", "root": str(spoilt), "exclude": [EXCLUDED]}
    strange = f"HCA{IDS[3]}4_V1_MR"
    (spoilt / IDS[3]).rename(spoilt / strange)
    if wrong == "exclude":
        # One letter less: as good as the name itself.
        source["exclude"] += [strange[:-1]]
    elif wrong == "backup":
        (spoilt / IDS[1]).rename(spoilt / f"x.{IDS[1]}_old")
    else:
        (spoilt / "latest").symlink_to(strange)
    result = run(copy, spoilt, "results/people/samples.tsv", source=source)
    assert result.returncode != 0
    said = {
        "exclude": "number 2 of the list); did you mean 'sub-",
        "backup": "a copy perhaps",
        "link": "a link to sub-",
    }
    assert said[wrong] in result.stdout
    assert "private/people/subjects.tsv says what they stand for" in result.stdout
    assert not ID.search(result.stdout.encode())
    assert strange[:-1] not in result.stdout.replace(str(copy.path), "")
    assert len(private(copy, "subjects.tsv"))
