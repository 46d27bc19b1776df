import numpy as np
import pytest

from truemap.datasets.synthetic import Options, index, read, templates

#: Figure 1 of the paper, pixel by pixel: each letter is a 3x3 square of the class, at rows and columns 7, 15, 23.
DRAWING = {
    "A": ("A..", "A.A", "AAA"),
    "B": (".B.", "BB.", "BBB"),
    "C": ("..C", ".CC", "CCC"),
}


def drawn(label):
    rows = [[float(cell != ".") for cell in line] for line in DRAWING[label]]
    squares = np.kron(rows, np.pad(np.ones((3, 3)), ((0, 5), (0, 5))))  # a square every 8 pixels
    return np.pad(squares, ((7, 1), (7, 1)))


@pytest.mark.parametrize("label", "ABC")
def test_templates_are_the_squares_of_the_papers_figure(label):
    template = templates(Options())[label]
    assert template.shape == (32, 32, 1)
    np.testing.assert_array_equal(template[..., 0], drawn(label))
    assert template.sum() == 54


def test_noise_has_the_sd_that_is_asked_for():
    options = Options(noise=0.5)
    names = [f"synthetic/B/{number:06d}" for number in range(100)]
    noise = np.stack([read(name, options, 0)[0] for name in names]) - drawn("B")[..., None]
    count = noise.size
    assert noise.mean() == pytest.approx(0.0, abs=5 * 0.5 / np.sqrt(count))
    assert noise.std() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(2 * count))
    between = np.corrcoef(noise.reshape(100, -1))[np.triu_indices(100, 1)]
    assert np.abs(between).max() < 6 / np.sqrt(32 * 32)


def test_an_image_depends_on_its_name_and_the_seed_alone():
    options = Options()
    names = index(options, 0)["image"].iloc[[0, 1500, 8999]].tolist()
    forward = {name: read(name, options, 0)[0] for name in names}
    backward = {name: read(name, options, 0)[0] for name in reversed(names)}
    for name in names:
        np.testing.assert_array_equal(forward[name], backward[name])
        assert not np.array_equal(forward[name], read(name, options, 1)[0])


def test_an_image_has_a_grid_and_no_checksum():
    values, affine, checksum = read("synthetic/A/000000", Options(), 0)
    assert values.shape == (32, 32, 1)
    np.testing.assert_array_equal(affine, np.eye(4))
    assert checksum == ""


def test_by_default_each_split_has_1000_images_of_each_class():
    samples = index(Options(), 0)
    counts = samples.groupby(["split", "label"]).size()
    assert len(counts) == 9
    assert (counts == 1000).all()
    assert samples["image"].is_unique
    assert (samples["image"].str.split("/").str[1] == samples["label"]).all()


def test_shuffled_classes_are_even_in_all_but_not_in_each_split():
    options = Options(images=[300, 60, 60], shuffle=True)
    samples = index(options, 0)
    assert samples["label"].value_counts().to_dict() == {"A": 140, "B": 140, "C": 140}
    assert samples["split"].value_counts().to_dict() == {"train": 300, "validation": 60, "test": 60}
    assert samples.groupby(["split", "label"]).size()["train"].nunique() > 1
    assert index(options, 0)["label"].tolist() == samples["label"].tolist()
    assert index(options, 1)["label"].tolist() != samples["label"].tolist()
