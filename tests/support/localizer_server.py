"""Brainomics/Localizer as OSF has it for nilearn: an index, maps, tables of people; the maps are made up."""

import gzip
import hashlib
import io
import json

import nibabel as nib
import numpy as np
import pandas as pd
from redirected import Server
from scipy.ndimage import gaussian_filter

from truemap.datasets.localizer import CONTRASTS, SUBJECTS

AFFINE = np.array([[-3.0, 0, 0, 78], [0, 3, 0, -111], [0, 0, 3, -51], [0, 0, 0, 1]])
#: What nilearn's index calls a contrast's map, by the study's name (nilearn's `localizer_index.json`).
FIRST_LEVEL = "/localizer/derivatives/spm_1st_level/sub-{0}/sub-{0}_task-localizer_acq-{1}_cmaps.nii.gz"
TABLES = ("/localizer/participants.tsv", "/localizer/phenotype/behavioural.tsv")
NAMES = [contrast for names in CONTRASTS.values() for contrast in names.values()]


class Localizer(Server):
    """OSF's files of the study. Maps are made when they are asked for, and kept.

    Parameters
    ----------
    shape : tuple of int
        53 x 63 x 46 are the real ones'.
    lacking : sequence of (subject, contrast)
        Not in the index.
    """

    def __init__(self, shape=(7, 8, 6), lacking=()):
        super().__init__()
        self.shape, self.made = shape, {}
        paths = [FIRST_LEVEL.format(who, name.title().replace(" ", "")) for who in SUBJECTS for name in NAMES]
        keys = [(who, name) for who in SUBJECTS for name in NAMES]
        self.index, self.maps = {}, {}
        for key, path in zip(keys, paths, strict=True):
            if key not in lacking:
                self.maps[self._place(path)] = key
        for path in TABLES:
            table = pd.DataFrame({"participant_id": SUBJECTS, path.rpartition("/")[2]: 1})
            self.files[self._place(path)] = table.to_csv(sep="\t", index=False).encode()
        self.files["osf.io/hwbm2/download"] = json.dumps(self.index).encode()

    def path(self, subject, contrast):
        """Where a map is stored."""
        return next(path for path, key in self.maps.items() if key == (subject, contrast))

    def content(self, path):
        if path not in self.maps:
            return super().content(path)
        with self.lock:
            if path not in self.made:
                self.made[path] = stored(self.values(*self.maps[path]))
            return self.made[path]

    def values(self, subject, contrast):
        """A map: what the contrast is for everybody, and what differs in the subject and in the map; NaN outside."""
        rough = min(self.shape) < 20
        fields = [
            2.0 * _field(self.shape, 3 - 2 * rough, contrast),
            0.5 * _field(self.shape, 3 - 2 * rough, subject),
            1.0 * _field(self.shape, 1.5 - rough, subject, contrast),
        ]
        inside = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in self.shape), indexing="ij"))
        return np.where((inside**2).sum(axis=0) < 0.9, np.sum(fields, axis=0), np.nan).astype("float32")

    def _place(self, path):
        """Enter a file in the index, as OSF's API names files; return where its address leads to."""
        name = hashlib.sha256(path.encode()).hexdigest()[:24]
        self.index[path] = f"/{name}"
        self.moved[f"osf.io/download/{name}/"] = f"files.osf.io/v1/{name}"
        return f"files.osf.io/v1/{name}"


def stored(values):
    """Return the bytes of a compressed NIfTI file."""
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0) as file:
        file.write(nib.Nifti1Image(values, AFFINE).to_bytes())
    return raw.getvalue()


def _field(shape, width, *names):
    seed = int(hashlib.sha256("/".join(names).encode()).hexdigest()[:8], 16)
    field = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), width)
    return field / field.std()
