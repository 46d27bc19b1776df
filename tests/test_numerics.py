import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from truemap.numerics import derive_seed, pearson, zscore

quick = settings(deadline=None, max_examples=60)


@st.composite
def pairs(draw, dtypes):
    shape = draw(st.tuples(st.integers(1, 4), st.integers(2, 40)))
    width = draw(st.sampled_from(dtypes))
    values = st.floats(width=width, allow_nan=False, allow_infinity=False)
    return tuple(draw(arrays(f"float{width}", shape, elements=values)) for _ in range(2))


@quick
@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning", "ignore::scipy.stats.NearConstantInputWarning")
@given(pairs([16, 32]), st.integers(1, 50))
def test_pearson_is_scipys_whatever_the_block(rows, block):
    expected = [stats.pearsonr(*pair).statistic for pair in zip(*(a.astype(np.float64) for a in rows), strict=True)]
    np.testing.assert_allclose(pearson(*rows, block=block), expected, atol=1e-6)


@quick
@given(
    arrays("int16", (2, 12)),
    st.integers(-1000, 1000).filter(bool),
    st.integers(-1000, 1000),
)
def test_pearson_ignores_shift_and_scale_but_for_the_sign(rows, scale, shift):
    a, b = rows[:1].astype(np.float64), rows[1:].astype(np.float64)
    np.testing.assert_allclose(pearson(scale * a + shift, b), np.sign(scale) * pearson(a, b), atol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -700.7])
def test_pearson_of_a_constant_row_is_nan(dtype, value):
    constant = np.full((1, 1003), value, dtype=dtype)
    other = np.random.default_rng(0).standard_normal((1, 1003)).astype(dtype)
    assert np.isnan(pearson(constant, other)).all()
    assert np.isnan(pearson(other, constant)).all()


def test_zscore_is_scipys_with_the_population_sd():
    volume = np.random.default_rng(0).normal(3.0, 7.0, (5, 6, 7))
    result = zscore(volume)
    np.testing.assert_allclose(result, stats.zscore(volume, axis=None, ddof=0), atol=1e-12)
    assert result.mean() == pytest.approx(0.0, abs=1e-12)
    assert result.std(ddof=0) == pytest.approx(1.0)


def test_a_tenth_of_a_sd_a_voxel_is_the_papers_95_on_hcps_grid():
    volume = np.zeros((91, 109, 91))
    volume[20:70, 20:90, 20:70] = np.random.default_rng(0).standard_normal((50, 70, 50))
    assert volume.size == 902629
    assert 0.1 * np.linalg.norm(zscore(volume)) == pytest.approx(95.0, abs=0.1)


@pytest.mark.parametrize("exponent", [-30, -14, 0, 14, 30])
def test_zscore_does_not_depend_on_the_unit(exponent):
    volume = np.random.default_rng(0).standard_normal((4, 4, 4))
    np.testing.assert_allclose(zscore(volume * 10.0**exponent), zscore(volume), rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_zscore_counts_voxels_that_are_not_finite(bad):
    volume = np.arange(8.0).reshape(2, 2, 2)
    volume[0, 0] = bad
    with pytest.raises(ValueError, match="2 of 8 voxels are NaN or infinite"):
        zscore(volume)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9, -3.3])
def test_zscore_refuses_a_constant_map(value):
    with pytest.raises(ValueError, match="constant"):
        zscore(np.full((3, 7, 11), value, dtype=np.float32))


def test_a_seed_is_the_same_on_every_machine_and_in_every_release():
    assert derive_seed(0, "split") == 306515425121480513
    assert derive_seed(7, "image", 12) == 5162291462508091096


@pytest.mark.parametrize(
    "other",
    [(1, "image", 3), (0, "images", 3), (0, "image", 4), (0, "image"), (0, 3, "image"), (0, "image", 3, 0)],
)
def test_a_seed_depends_on_every_part_and_their_order(other):
    assert derive_seed(*other) != derive_seed(0, "image", 3)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc"), ("ab", "c")),
        (("1",), (1,)),
        ((1,), (1, "")),
        (("",), ("", "")),
        (("ab",), (97 + (98 << 32),)),
    ],
    ids=["cut elsewhere", "text or number", "empty part", "empty parts", "a number with the bytes of a text"],
)
def test_different_parts_never_give_one_seed(one, other):
    assert derive_seed(*one) != derive_seed(*other)


def test_every_bit_of_a_large_number_counts():
    numbers = [1, 1 + 2**31, 1 + 2**32, 1 + 2**53, 1 + 2**63, 1 + 2**64]
    assert len({derive_seed(number) for number in numbers}) == len(numbers)


@quick
@given(st.lists(st.integers(0, 2**63) | st.text("aé0", max_size=5), min_size=1, max_size=4))
def test_a_seed_fits_what_torch_and_numpy_take(parts):
    assert 0 <= derive_seed(*parts) < 2**63
