import tomllib
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

from truemap.data.about import dataset_description, described, sidecar
from truemap.data.nifti import read_map, write_map
from truemap.runtime.versions import VERSION

ROOT = Path(__file__).parents[2]
SIMULATED = "simulated data, not HCP"


def test_the_version_is_that_of_the_project():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
    assert str(yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]) == VERSION


def test_a_description_has_what_bids_asks_of_derivatives():
    found = dataset_description("brains", SIMULATED)
    assert {"Name", "BIDSVersion", "DatasetType", "GeneratedBy"} == set(found)
    assert found["DatasetType"] == "derivative" and found["GeneratedBy"] == [{"Name": "truemap", "Version": VERSION}]
    assert SIMULATED in found["Name"] and "brains" in found["Name"]


def test_files_say_what_the_data_are_where_anybody_knows():
    assert described("brain mask", SIMULATED) == "simulated data, not HCP; brain mask"
    assert described("brain mask", "") == "brain mask"
    assert sidecar("brain mask", "", Labels={"1": "a"}) == {
        "Description": "brain mask",
        "Data": "n/a",
        "Labels": {"1": "a"},
    }


def test_a_header_holds_the_description_and_names_and_the_map_stays(tmp_path):
    values = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    write_map(tmp_path / "a.nii.gz", values, np.eye(4), "x" * 200, ["class A"])
    image = nib.load(tmp_path / "a.nii.gz")
    assert image.header["descrip"].item() == b"x" * 79
    (extension,) = image.header.extensions
    assert extension.get_code() == 6 and "volume 0: class A" in str(extension.get_content())
    np.testing.assert_array_equal(read_map(tmp_path / "a.nii.gz")[0], values)
