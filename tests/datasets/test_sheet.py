import nibabel as nib
import numpy as np
import pytest
from methods import as_method

from truemap.datasets import sheet
from truemap.datasets._listing import list_samples
from truemap.datasets.sheet import Options, index, read
from truemap.runtime.files import DataError
from truemap.runtime.privacy import Scrubber


@pytest.fixture
def rows(tmp_path):
    """Index of a sheet with this text (tabs as '|')."""

    def indexed(text, encoding="utf-8"):
        (tmp_path / "sheet.tsv").write_bytes(text.replace("|", "\t").encode(encoding))
        return index(Options(sheet=str(tmp_path / "sheet.tsv")), 0)

    return indexed


def test_the_shortest_sheet_has_image_subject_and_label(rows, tmp_path):
    table = rows("image|subject|label\na.nii|s1|A\nsub/b.nii|s1|B\nc.nii|s1|A\n/d.nii|NA|A\n")
    assert table.to_dict("list") == {
        "image": [str(tmp_path / "a.nii"), str(tmp_path / "sub/b.nii"), str(tmp_path / "c.nii"), "/d.nii"],
        "subject": ["s1", "s1", "s1", "NA"],
        "label": ["A", "B", "A", "A"],
        "condition": ["map-001", "map-001", "map-002", "map-001"],
        "negated": [False] * 4,
        "split": [""] * 4,
    }


def test_every_column_may_be_given_in_any_order(rows):
    table = rows("negated|split|condition|label|subject|image\nTrue|test|go|A|01|a.nii\nfalse|train|go|B|02|b.nii\n")
    assert table["negated"].tolist() == [True, False]
    assert table["split"].tolist() == ["test", "train"]
    assert table["condition"].tolist() == ["go", "go"]
    assert table["subject"].tolist() == ["01", "02"]


@pytest.mark.parametrize("text", ["\ufeffimage|subject|label\r\na.nii|s1|Ä\r\n", "image|subject|label\na.nii|s1|Ä"])
def test_sheets_of_spreadsheet_programs_are_read(rows, text):
    assert rows(text)[["subject", "label"]].to_numpy().tolist() == [["s1", "Ä"]]


def test_cells_that_look_the_same_are_the_same(rows):
    table = rows(
        "image|subject|label|condition|split\na|s1 |cafe\u0301|run\u00a01|train\nb|\u2003s1|café |run  1|train \n"
    )
    assert table["subject"].unique().tolist() == ["s1"]
    assert table["label"].unique().tolist() == ["café"]
    assert table["condition"].unique().tolist() == ["run 1"]
    assert table["split"].unique().tolist() == ["train"]


def test_a_file_is_found_by_the_name_that_its_disk_has(rows, tmp_path):
    name = "cafe\u0301  1.nii"
    assert rows(f"image|subject|label\n {name} |s1|A\n")["image"].tolist() == [str(tmp_path / name)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("imag|subject|label\na|s|A\n", "has no column 'image'; did you mean 'imag'"),
        ("image|subject\na|s\n", "has no column 'label'"),
        ("image|subject|label|splits\na|s|A|x\n", "unknown column 'splits'; did you mean 'split'"),
        ("image|subject|label|label\na|s|A|A\n", "line 1: columns 3 and 4 have one name"),
        ("image|subject|label\na|s|A\nb||A\n", "line 3: empty 'subject'"),
        ("image|subject|label\na|s\n", "line 2: has fewer cells than the header"),
        ("image|subject|label\n\n\na|s|A\nb||A\n", "line 5: empty 'subject'"),
        ("image|subject|label\na|s| \n", "line 2: empty 'label'"),
        ("image|subject|label|negated\na|s|A|true\nb|s|A|yes\n", "line 3: negated is 'yes'"),
        ("", "cannot be read as a TSV sheet"),
        ("image|subject|label\na|s|A\nb|s|A|B\n", "line 3: has more cells than the header"),
        ("image|subject|label\na|s|A|B\nb|s|A|B\n", "line 2: has more cells than the header"),
        ("image|subject|label\n", ""),
    ],
    ids=[
        "misspelt column",
        "missing column",
        "unknown column",
        "column twice",
        "empty cell",
        "short line",
        "empty cell after blank lines",
        "blank cell",
        "neither true nor false",
        "empty file",
        "a line with a cell too many",
        "each line with a cell too many",
        "no lines",
    ],
)
def test_a_faulty_sheet_is_refused_by_name_with_the_fault(rows, text, message):
    with pytest.raises(DataError, match=r"sheet\.tsv") as caught:
        rows(text)
    assert message in str(caught.value)


def test_a_sheet_that_is_no_utf8_is_refused(rows):
    with pytest.raises(DataError, match=r"sheet\.tsv, line 2: cannot be read.*Save it as UTF-8"):
        rows("image|subject|label\na|s|Ä\n", "latin-1")


def test_a_sheet_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.tsv: cannot be read"):
        index(Options(sheet=str(tmp_path / "none.tsv")), 0)


def test_a_row_of_the_sheet_can_be_read(rows, tmp_path):
    values = np.arange(24, dtype="float32").reshape(2, 3, 4)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    table = rows("image|subject|label\na.nii.gz|s1|A\n")
    np.testing.assert_array_equal(read(table["image"][0], Options(sheet=""), 0)[0], values)


def test_of_a_label_in_two_spellings_it_is_said_that_they_are_two_where_one_of_them_is_too_rare(tmp_path, caplog):
    lines = [f"{who}-{label}.nii\ts{who}\t{label}" for who in range(6) for label in ("left", "right")]
    text = "\n".join(["image\tsubject\tlabel", *lines])
    (tmp_path / "s.tsv").write_text(text.replace("s0\tleft", "s0\tLeft"))
    wanted = {"split": {"train": 0.5, "validation": 0.25, "test": 0.25}, "seed": 0, "family": None}
    with pytest.raises(DataError, match="no map of class Left in the split"):
        list_samples(
            as_method(sheet, Options(sheet=str(tmp_path / "s.tsv"))),
            {**wanted, "on_bad_subject": "stop"}, None, None, Scrubber(),
        )  # fmt: skip
    assert "2 labels look like others but count by themselves: 'Left' and 'left'" in caplog.text
