"""Matplotlib, without what a user's environment says about it."""

from __future__ import annotations

import os

# Matplotlib takes its backend from here as it is imported, and a notebook's is an error where that is not installed.
os.environ["MPLBACKEND"] = "agg"

import matplotlib.pyplot as plt
from matplotlib.patheffects import withStroke

__all__ = ["plt", "withStroke"]
