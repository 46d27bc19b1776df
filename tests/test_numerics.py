import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from truemap.numerics import SAMPLE, derive_seed, empty_value, filled, pearson, ranks, rounded, zscore

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


@quick
@given(pairs([32, 64]), st.sampled_from([1.0, 1e-250]))
def test_ranks_are_scipys_however_small_the_values(rows, scale):
    for values in rows:
        values = np.round(values.astype(np.float64) % 5, 1) * scale
        np.testing.assert_array_equal(ranks(values), stats.rankdata(values, axis=1))


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


@pytest.mark.parametrize("dtype", ["i1", "u2", ">i2", ">f4", "f2", "f8"])
@pytest.mark.parametrize("lay", [np.ascontiguousarray, np.asfortranarray, lambda x: np.repeat(x, 2, axis=1)[:, ::2]])
def test_zscore_in_given_memory_is_bit_for_bit_that_in_its_own(dtype, lay):
    volume = lay((40 * np.random.default_rng(5).standard_normal((7, 9, 11)) + 900 * (dtype == "u2")).astype(dtype))
    work = np.full((2, volume.size), np.nan)
    kept = volume.copy()
    found = zscore(volume, work)
    np.testing.assert_array_equal(found, zscore(volume))
    np.testing.assert_allclose(found, stats.zscore(volume.astype("f8"), axis=None), rtol=1e-10, atol=1e-12)
    assert np.shares_memory(found, work) and found.dtype == np.float64
    np.testing.assert_array_equal(volume, kept)


@pytest.mark.parametrize("exponent", [-30, -14, 0, 14, 30])
def test_zscore_does_not_depend_on_the_unit(exponent):
    volume = np.random.default_rng(0).standard_normal((4, 4, 4))
    np.testing.assert_allclose(zscore(volume * 10.0**exponent), zscore(volume), rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_zscore_counts_voxels_that_are_not_finite(bad):
    volume = np.arange(8.0).reshape(2, 2, 2)
    volume[0, 0] = bad
    with pytest.raises(ValueError, match=r"2 of 8 voxels are NaN or infinite \(25\.0%; "):
        zscore(volume)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9, -3.3])
def test_zscore_refuses_a_constant_map(value):
    with pytest.raises(ValueError, match="constant"):
        zscore(np.full((3, 7, 11), value, dtype=np.float32))


def brain(shape=(12, 14, 10), seed=0):
    """Normal numbers in an ellipsoid, 0 around it, and where that is."""
    grid = np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij")
    inside = np.square(grid).sum(axis=0) < 0.8
    return np.where(inside, np.random.default_rng(seed).standard_normal(shape), 0.0), inside


SENTINELS = [-np.finfo("f4").max, np.finfo("f4").max, -np.finfo("f8").max, -(2.0**31), 1e200, -1e200, 1e20, -99999.0]


@pytest.mark.parametrize("value", SENTINELS)
@pytest.mark.parametrize("where", ["outside", "a slab", "two voxels", "both signs", "most, beside zeros"])
def test_zscore_refuses_values_that_make_all_others_the_same_and_names_them(value, where):
    volume, inside = brain()
    places = {
        "outside": ~inside,
        "a slab": np.arange(12)[:, None, None] < 2,
        "two voxels": np.arange(volume.size).reshape(volume.shape) < 2,
        "both signs": np.arange(volume.size).reshape(volume.shape) < 2,
        "most, beside zeros": np.arange(12)[:, None, None] > 5,
    }
    volume[np.broadcast_to(places[where], volume.shape)] = value
    if where == "both signs":
        volume[0, 0, 0] = -value
    with pytest.raises(ValueError, match=r"as far off as -?[0-9.e+]+ \([0-9.]+% of the voxels\)") as caught:
        zscore(volume)
    assert f"{abs(value):g}" in str(caught.value)


def test_zscore_refuses_a_spike_that_a_sample_of_the_voxels_misses():
    volume = np.random.default_rng(0).standard_normal(20 * SAMPLE)
    volume[3] = 1e6
    with pytest.raises(ValueError, match=r"as far off as 1e\+06 \(0\.0% of the voxels\)"):
        zscore(volume.reshape(20, 100, 100))


def test_an_integers_minimum_is_negative_and_far_off():
    """In int32 its absolute value is itself."""
    volume = (100 * brain()[0]).astype("int32")
    volume[0, 0, 0] = np.iinfo("int32").min
    with pytest.raises(ValueError, match=r"-2\.14748e\+09"):
        zscore(volume)


ODD = {
    "a mask": lambda volume, inside: inside,
    "two numbers to rounding": lambda volume, inside: np.where(inside, 0.3 + 1e-16 * np.sign(volume), 0.0),
    "one voxel": lambda volume, inside: np.arange(volume.size).reshape(volume.shape) == 77,
    "counts": lambda volume, inside: np.random.default_rng(0).poisson(0.4, volume.shape),
    "few labels": lambda volume, inside: np.random.default_rng(0).choice([0, 1, 1, 1, 1, 2, 50], volume.shape),
    "a peak with slopes": lambda volume, inside: np.exp(-np.square(np.indices(volume.shape) - 5).sum(axis=0) / 2.0),
    "heavy tails": lambda volume, inside: np.random.default_rng(0).standard_cauchy(volume.shape),
    "lognormal": lambda volume, inside: np.exp(5 * volume),
    "percent": lambda volume, inside: np.where(inside, 100 + 10 * volume, 0),
    "CT's air": lambda volume, inside: np.where(inside, 30 + 300 * volume, -1000),
    "a spike of 50 sd": lambda volume, inside: np.where(volume == volume.max(), 50, volume),
    "one value around": lambda volume, inside: np.where(inside, volume, -1.0),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_zscore_takes_odd_maps_that_are_sound(kind):
    volume = np.asarray(ODD[kind](*brain()), dtype=np.float64)
    np.testing.assert_allclose(zscore(volume), stats.zscore(volume, axis=None), atol=1e-9)


@pytest.mark.parametrize("unit", [1e-300, 1e-180, 1e200, 1e300])
def test_zscore_takes_units_whose_squares_are_no_numbers(unit):
    volume = brain()[0]
    np.testing.assert_allclose(zscore(volume * unit), zscore(volume), rtol=1e-9, atol=1e-12)


BACKGROUNDS = [0.0, 2e-6, -1.0, 1e-6, 100.0, -0.3]


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("noise", [0.0, 1e-7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_not_the_background_is_filled(background, noise, dtype):
    volume, inside = brain((20, 20, 20))
    values = np.where(
        inside, 3 * volume + 1, background + noise * np.random.default_rng(1).uniform(-1, 1, volume.shape)
    )
    np.testing.assert_array_equal(filled(values.astype(dtype).reshape(1, -1))[0], inside.ravel())


@pytest.mark.parametrize("dtype", ["int16", "uint8", "int32"])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_the_background_of_integers_is_found_too(dtype, endian):
    volume, inside = brain()
    values = np.where(inside, np.round(10 * volume) + 100, 7).astype(np.dtype(dtype).newbyteorder(endian))
    found = filled(values.reshape(1, -1))[0].reshape(inside.shape)
    # Voxels with data that have the background's number are not to be told from it: none here.
    np.testing.assert_array_equal(found, inside)


@pytest.mark.parametrize("levels", [16, 64, 255])
def test_a_map_of_integers_without_background_has_none(levels):
    values = np.random.default_rng(0).normal(levels / 2, levels / 8, 5000).round()
    assert empty_value(values) is None
    assert filled(values[None]).sum() == np.count_nonzero(values)


def test_two_voxels_that_are_equal_by_chance_are_no_background():
    values = np.random.default_rng(0).standard_normal(120)
    values[3] = values[90]
    assert empty_value(values) is None


@quick
@given(arrays("float64", 300, elements=st.floats(-1e6, 1e6), unique=True), st.sampled_from(["float16", "float32"]))
def test_what_is_stored_is_the_map_to_a_hundredth_of_its_sd_or_refused(values, precision):
    try:
        stored = rounded(values, precision)
    except ValueError as error:
        assert "overflow" in str(error) or "does not hold" in str(error)
        return
    assert np.isfinite(stored).all() and stored.dtype == precision
    assert np.sqrt(np.mean((stored - values) ** 2)) <= 0.01 * values.std() * (1 + 1e-9) or values.std() == 0


@pytest.mark.parametrize(
    ("scale", "shift", "precision", "words"),
    [
        (1e-9, 0, "float16", r"float16 does not hold .*: 100\.0% of those that are not 0 become 0"),
        (1e-7, 0, "float16", r"float16 does not hold .*rounding is [12]\d\.\d% of their SD"),
        (1e-3, 1.0, "float16", r"rounding is \d+\.\d% of their SD"),
        (1e-50, 0, "float32", r"float32 does not hold .*: 100\.0% "),
        (1e5, 0, "float16", "overflow float16"),
        (1e39, 0, "float32", "overflow float32"),
    ],
    ids=["vanish", "subnormal", "flat", "float32 vanish", "overflow", "float32 overflow"],
)
def test_a_type_that_does_not_hold_a_map_is_refused_at_both_ends(scale, shift, precision, words):
    volume, inside = brain()
    with pytest.raises(ValueError, match=words):
        rounded(np.where(inside, scale * volume + shift, 0), precision)


def test_an_integers_minimum_overflows_and_is_not_stored_as_minus_infinity():
    values = np.array([[[1, 2, np.iinfo("int32").min]]], dtype="int32")
    with pytest.raises(ValueError, match=r"values up to 2\.14748e\+09 overflow float16"):
        rounded(values, "float16")


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
