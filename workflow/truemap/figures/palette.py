"""One colour and hatch for each way to explain, wherever it is drawn; which letters can be read on which ground."""

from __future__ import annotations

from typing import Any

import numpy as np

from truemap.figures.backend import plt

#: Okabe and Ito's colours (Wong 2011, Nature Methods 8:441), which the colour-blind can tell apart, by kinds of ways
#: to explain: there are more ways than colours that all can tell, so kin share one and differ by `HATCHES`.
KINDS = {
    "#0072b2": ("gradient", "absolute_gradient"),
    "#56b4e9": ("smoothgrad",),
    "#009e73": ("weights", "pattern"),
    "#e69f00": ("gradient_x_input", "integrated_gradients", "gradient_shap"),
    "#cc79a7": ("deeplift", "deeplift_shap", "lrp_epsilon"),
    "#d55e00": ("guided_backprop", "deconvnet", "guided_grad_cam"),
    "#f0e442": ("grad_cam",),
}
#: Of kin, in the order in which they stand above.
HATCHES = ("", "/////", "....")
#: Of methods that a user adds, and of what knows nothing of a network.
OTHER, KNOWS_NOTHING = "#666666", "#bbbbbb"
#: Outlines, so that a light bar ends somewhere on white; marks; words beside.
EDGE, INK, SOFT = "#262626", "#111111", "#555555"
#: What letters must have against their ground, and lines against theirs (WCAG 2.2, 1.4.3 and 1.4.11).
LETTERS, LINES = 4.5, 3.0


def colour_of(method: str) -> str:
    """Return the colour of a way to explain, by its module's name."""
    return next((colour for colour, methods in KINDS.items() if method in methods), OTHER)


def hatch_of(method: str) -> str:
    """Return the hatch of a way to explain among those of its colour, by its module's name; of others none."""
    return next((HATCHES[kin.index(method)] for kin in KINDS.values() if method in kin), "")


def lighter(colour: Any, share: float) -> tuple[float, ...]:
    """Return a colour mixed with white: 0 is the colour, 1 is white."""
    return tuple((1 - share) * np.array(plt.matplotlib.colors.to_rgb(colour)) + share)


def luminance(colour: Any) -> float:
    """Return a colour's relative luminance, 0 to 1 (WCAG 2.2)."""
    rgb = np.array(plt.matplotlib.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: Any, other: Any) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2): (L1 + .05) / (L2 + .05), the lighter above."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ink_on(ground: Any) -> str:
    """Return black or white, whichever is read better on a ground: one of them has a contrast of 4.58 or more."""
    return max(("black", "white"), key=lambda ink: contrast(ink, ground))
