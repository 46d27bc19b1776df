"""Maps that take little of the disk: what is stored, what stays, and that it changes no score."""

from pathlib import Path

import nibabel as nib
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import Clone, copied

FOLDER = Path("results/tiny-hcp")


def with_maps(finished: Clone, path: Path, **maps: object) -> Clone:
    """A copy of the finished run whose config `small.yaml` runs the brains only, with other maps."""
    copy = copied(finished, path)
    raw = yaml.safe_load((copy.path / "tests/workflow/tiny.yaml").read_text())
    raw["run"], raw["maps"] = ["tiny-hcp"], maps
    (copy.path / "small.yaml").write_text(yaml.safe_dump(raw))
    return copy


@pytest.fixture(scope="module")
def small(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    copy = with_maps(finished, tmp_path_factory.mktemp("small") / "checkout", voxels="brain", keep=False)
    result = copy.snakemake(config="small.yaml")
    assert result.returncode == 0, result.stdout
    return copy


def files(copy: Clone, pattern: str) -> set[str]:
    return {str(path.relative_to(copy.path)) for path in (copy.path / FOLDER).glob(pattern)}


@pytest.mark.full
def test_maps_go_and_their_means_stay(small: Clone, finished: Clone) -> None:
    assert files(finished, "saliency/**/*.parquet")
    assert not files(small, "saliency/**/*.parquet")
    for pattern in ("saliency/**/*.mean.*", "subject_maps/**/*.parquet", "figures/*"):
        assert files(small, pattern) == files(finished, pattern) != set()
    for name in files(small, "saliency/**/*.mean.tsv"):
        assert (small.path / name).read_bytes() == (finished.path / name).read_bytes()


@pytest.mark.full
def test_scores_are_those_of_maps_that_are_stored_whole_and_kept(small: Clone, finished: Clone) -> None:
    names = files(small, "scores/**/*.parquet")
    assert names == files(finished, "scores/**/*.parquet") != set()
    for name in names:
        pd.testing.assert_frame_equal(
            pd.read_parquet(small.path / name), pd.read_parquet(finished.path / name), check_exact=True
        )


@pytest.mark.full
def test_nothing_is_left_to_do_and_a_new_colour_explains_nothing_again(small: Clone) -> None:
    assert "Nothing to be done" in small.snakemake(config="small.yaml").stdout
    raw = yaml.safe_load((small.path / "small.yaml").read_text())
    (small.path / "colour.yaml").write_text(yaml.safe_dump({**raw, "style": {"colormap": "PuOr_r"}}))
    output = small.snakemake("--dry-run", config="colour.yaml").stdout
    assert "figure_3" in output
    assert "rule explain" not in output


def test_a_file_of_the_brain_holds_its_voxels(finished: Clone, tmp_path: Path) -> None:
    copy = with_maps(finished, tmp_path / "brain", voxels="brain")
    target = FOLDER / "saliency/linear/seed-0/gradient.parquet"
    result = copy.snakemake(str(target), config="small.yaml")
    assert result.returncode == 0, result.stdout
    inside = nib.load(copy.path / FOLDER / "volumes/mask.nii.gz").get_fdata() > 0
    schema = pq.read_schema(copy.path / target)
    metadata = pq.read_metadata(copy.path / target).metadata
    assert schema.field("map").type.list_size == inside.sum() < inside.size
    assert metadata[b"voxels"] == b"brain"
