import csv
import io
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truemap.data.tables import alike, read_tsv
from truemap.runtime.files import DataError

quick = settings(deadline=None, max_examples=200)


@pytest.fixture
def table(tmp_path):
    """Rows of a table with this text (tabs as '|'), by the line of the file."""

    def read(text, encoding="utf-8", **options):
        path = tmp_path / "t.tsv"
        path.write_bytes(text if isinstance(text, bytes) else text.replace("|", "\t").encode(encoding))
        found = read_tsv(path, "table", "Check it.", **options)
        return {line + 2: list(cells) for line, cells in zip(found.index, found.to_numpy(), strict=True)}

    return read


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a|b\n1|2\n3|4\n", {2: ["1", "2"], 3: ["3", "4"]}),
        ("\ufeffa|b\r\n1|2\r\n\r\n3|4", {2: ["1", "2"], 4: ["3", "4"]}),
        ("a|b\r1|2\r3|4\r", {2: ["1", "2"], 3: ["3", "4"]}),
        ("a|b|\n1|2|\n3|4\n|||\n5|6||\n", {2: ["1", "2"], 3: ["3", "4"], 5: ["5", "6"]}),
        ('a|b\n"1"|"x ""y"" z"\n5\'|12"\n', {2: ["1", 'x "y" z'], 3: ["5'", '12"']}),
        (" a|\u2003b \n\u00a01\u3000|caf\u0065\u0301\u00a0\u2009noir\n", {2: ["1", "café noir"]}),
        ("a|b\nNA|null\nnan|\n", {2: ["NA", "null"], 3: ["nan", ""]}),
        ("a|b\n1|x#y\n2|,\n", {2: ["1", "x#y"], 3: ["2", ","]}),
    ],
    ids=[
        "plain",
        "windows",
        "old mac",
        "tabs at the end",
        "quotes",
        "white space",
        "missing values",
        "marks in a cell",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_of_editors_and_spreadsheets_are_read_exactly(table, text, rows, encoding):
    assert table(text.lstrip("\ufeff") if encoding == "utf-16" else text, encoding) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a|b\n1\n", "line 2: has fewer cells than the header"),
        ("a|b\n1|2\n\n1|2|3\n", "line 4: has more cells than the header"),
        ("a,b\n1,2\n", "line 1: has no tab; cells seem to be separated by commas"),
        ("a;b\n1;2\n", "separated by semicolons"),
        ("# mine\na|b\n1|2\n", "line 1: .*begins with '#'"),
        ("#a|b\n1|2\n", "line 1: .*begins with '#'"),
        ("\na|b\n1|2\n", "line 1: blank"),
        ("a|b\n1|2\n# 3|4\n", "line 3: begins with '#'"),
        ("a||b\n1|2|3\n", "line 1: column 2 has no name"),
        ("a|b|a \n1|2|3\n", "line 1: columns 1 and 3 have one name"),
        ('a|b\n"1|2\n3|4"\n5|6\n', "line 2: quotes that do not pair"),
        ('a|b\n1|"x\ny"\n', "line 2: quotes that do not pair"),
        ('a|b\n1|2\n "1"|2\n', "line 3: quotes that do not pair"),
        ('a|b\n1|"x"y\n', "line 2: quotes that do not pair"),
        ('a|b\n1|"x|y"\n', r"line 2, cell 2: holds U\+0009"),
        ("a|b\n1|2\u200b\n", r"line 2, cell 2: holds U\+200B \(ZERO WIDTH SPACE\)"),
        ("a|b\n1|2\n\ufeff3|4\n", r"line 3, cell 1: holds U\+FEFF"),
        ("a\u00ad|b\n1|2\n", r"line 1, cell 1: holds U\+00AD"),
        ("a|b\n1|x\u2028y\n", r"line 2, cell 2: holds U\+2028"),
        ("a|b\n1|x\x00\n", r"line 2, cell 2: holds U\+0000"),
        ("a|b\n1|caf\ufffd\n", r"line 2, cell 2: holds U\+FFFD"),
        ("a|b\n1|x\u3164\n", r"line 2, cell 2: holds U\+3164"),
        ("a|b\n1|2\n3|é\n".encode("latin-1").replace(b"|", b"\t"), "line 3: .*no UTF-8"),
        ("a|b\n1|2\n".encode("utf-16")[2:].replace(b"|", b"\t"), r"line 1, cell 1: holds U\+0000"),
        (b"PK\x03\x04\xff\xfe", "no UTF-8 text. Save it"),
        ("", "empty"),
        ("\ufeff \r\n", "empty"),
    ],
)
def test_what_cannot_be_read_exactly_is_refused_by_its_line(table, text, message):
    with pytest.raises(DataError, match=rf"t\.tsv.*{message}"):
        table(text)


@pytest.mark.parametrize(
    "text",
    [
        "Smith|Jones\n1|2|3\n",
        "Smith,Jones\n",
        "Smith|Smith\n",
        '"Smith|Jones\n',
        "a|b\nSmith\u200b|2\n",
        "a|b\n#Smith|2\n",
    ],
)
def test_errors_of_private_tables_show_no_cell(table, text):
    with pytest.raises(DataError) as caught:
        table(text, private=True)
    assert not {"Smith", "Jones"} & set(str(caught.value).replace("'", " ").split())


def test_names_of_files_are_stripped_but_stay_as_their_disk_has_them(table):
    name = unicodedata.normalize("NFD", "é") + "  two\u00a0blanks.nii"
    assert table(f"a|image\n1| {name}\u00a0\n", paths=["image"]) == {2: ["1", name]}


cells = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="\ufffd"), max_size=6)


@quick
@given(st.lists(st.tuples(cells, cells), max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
def test_no_row_is_lost_whatever_python_writes_or_a_line_is_named(tmp_path_factory, rows, end):
    path = tmp_path_factory.mktemp("table") / "t.tsv"
    file = io.StringIO()
    csv.writer(file, delimiter="\t", lineterminator=end).writerows([("a", "b"), *rows])
    path.write_bytes(file.getvalue().encode())
    try:
        found = read_tsv(path, "table", "")
    except DataError as error:
        # A quote or '#' at the start, or a filler that does not show.
        assert f"{path}, line " in str(error)
        return
    wanted = [[" ".join(unicodedata.normalize("NFC", cell).split()) for cell in row] for row in rows]
    assert found.to_numpy().tolist() == [row for row in wanted if any(row)]


@pytest.mark.parametrize(
    "words",
    [("Faces", "faces"), ("STRASSE", "straße"), ("run-1", "run–1", "run_1", "run 1"), ("01", "1"), ("s01", "S1"),
     ("ﬁnger", "finger"), ("Ａ", "a")],
)  # fmt: skip
def test_words_that_people_take_for_one_are_alike(words):
    assert alike([*words, "other"]) == [sorted(words)]


def test_other_words_are_not():
    assert alike(["10", "1", "100", "0-BACK", "2-BACK", "a", "b", "sim-0001", "sim-0010", "1.50", "1.5", "1.05"]) == []
