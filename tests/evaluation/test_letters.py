import itertools
import string

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from truemap.evaluation.letters import compact_letters, differing, letter_name

ENTRIES = [("m", name) for name in string.ascii_lowercase[:7]]
PAIRS = list(itertools.combinations(ENTRIES, 2))


@given(st.sets(st.sampled_from(PAIRS)))
def test_two_share_a_letter_if_and_only_if_they_do_not_differ(pairs):
    letters = compact_letters(ENTRIES, pairs)
    for pair in PAIRS:
        shared = set(letters[pair[0]]) & set(letters[pair[1]])
        assert bool(shared) == (pair not in pairs)


@given(st.sets(st.sampled_from(PAIRS)))
def test_no_letter_says_what_another_says(pairs):
    letters = compact_letters(ENTRIES, pairs)
    groups = {name: {entry for entry in ENTRIES if name in letters[entry]} for name in set("".join(letters.values()))}
    assert not any(a < b or (a == b and x != y) for (x, a), (y, b) in itertools.permutations(groups.items(), 2))


def test_letters_of_piephos_kind_start_with_the_first_entry():
    a, b, c = ENTRIES[:3]
    assert compact_letters([a, b, c], []) == {a: "a", b: "a", c: "a"}
    assert compact_letters([a, b, c], [(a, c)]) == {a: "a", b: "ab", c: "b"}
    assert compact_letters([a, b, c], [(a, b), (a, c), (b, c)]) == {a: "a", b: "b", c: "c"}
    assert [letter_name(number) for number in (0, 25, 26, 51, 52)] == ["a", "z", "A", "Z", "(53)"]


def test_the_test_over_trainings_decides_where_there_is_one():
    rows = [("m", "a", "m", "b", True, 0.5, False), ("m", "a", "m", "c", True, float("nan"), False),
            ("m", "b", "m", "c", False, 0.001, True)]  # fmt: skip
    columns = ["model_a", "method_a", "model_b", "method_b", "significant", "p_two_level", "significant_two_level"]
    table = pd.DataFrame(rows, columns=columns)
    a, b, c = ENTRIES[:3]
    assert differing(table) == [(a, c), (b, c)]
    assert differing(table.drop(columns=["p_two_level", "significant_two_level"])) == [(a, b), (a, c)]
