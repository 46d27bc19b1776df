"""What files say of themselves to those who find them alone: JSON beside images, and a description of a dataset."""

from __future__ import annotations

from typing import Any

from truemap.runtime.versions import VERSION

#: Version of BIDS whose derivatives describe themselves so.
BIDS = "1.10.0"


def described(what: str, data: str) -> str:
    """Return one line on a file: what the data are, which is what must not be lost, and what is in it."""
    return f"{data}; {what}" if data else what


def sidecar(what: str, data: str, **more: Any) -> dict[str, Any]:
    """Return the JSON beside an image.

    Parameters
    ----------
    what : str
        What is in it.
    data : str
        What the data are called, ``simulated data, not HCP`` say; empty where nobody knows.
    more
        What else is to be known, as JSON.
    """
    return {"Description": what, "Data": data or "n/a", **more}


def volume_name(label: str, target: str) -> str:
    """Return the name of the mean of a class's maps, explained for a class."""
    return f"class {label}, explained for {target}"


def dataset_description(dataset: str, data: str) -> dict[str, Any]:
    """Return ``dataset_description.json`` of a dataset's results, as BIDS derivatives have it (BIDS 1.10, 3.1.1)."""
    return {
        "Name": described(f"{dataset}: saliency maps of decoders, and their agreement with the truth", data),
        "BIDSVersion": BIDS,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "truemap", "Version": VERSION}],
    }
