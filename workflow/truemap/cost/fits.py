"""Whether a model's network and methods fit each other and the data, before anything trains."""

from __future__ import annotations

from truemap.config.options import suggest
from truemap.config.registry import method
from truemap.cost.trial import Given, Settings, Trial
from truemap.exemplars.influence import check_held
from truemap.map_attacks._contract import MapAttack
from truemap.metrics._contract import Metric
from truemap.metrics._roar import removed_voxels
from truemap.networks._decoder import Decoder
from truemap.networks._last import last_layer
from truemap.networks._look import look
from truemap.networks._structure import require
from truemap.runtime.files import DataError
from truemap.saliency._contract import Saliency


def check_methods(trial: Trial) -> None:
    """Look at the network, and refuse methods that would be wrong for it, or that are asked for too much or little.

    Raises
    ------
    DataError
    """
    given, model = trial.given, trial.model
    x, kind = trial.some(2)[0], model["network"]["name"]
    looked = look(trial.network.eval(), x, len(given.classes), kind)
    decoder = Decoder(trial.network, 1.0, given.classes, kind, frozenset(looked.traits), looked.others)
    for label, chosen in model["saliency"].items():
        require(decoder, method("saliency", chosen["method"], Saliency).options.needs(), label)
    for part in model["retrained"]:
        if "ranked" in part:
            _removable(given, part)
    for label, settings in given.settings["metrics"].items():
        require(decoder, method("metrics", settings, Metric).options.needs(), label)
    if model["influenced"]:
        _features_held(trial, "influence")
    if model["angled"]:
        require(decoder, {"relu", "relu only"}, "angles")
        _features_held(trial, "angles")
    if any(chosen["attacked"] for chosen in model["saliency"].values()):
        for label, settings in given.settings["fragility"]["attacks"].items():
            require(decoder, method("map_attacks", settings, MapAttack).options.needs(), label)
            region = settings.get("region")
            if region is not None and region not in given.regions:
                raise DataError(f"fragility.attacks.{label}: no region '{region}'{suggest(region, given.regions)}")


def _features_held(trial: Trial, asking: str) -> None:
    """Refuse more training maps than the last layer's features can be held of."""
    given = trial.given
    width = last_layer(trial.network, trial.some(1)[0], asking).weights.shape[1]
    check_held(given.of_split("train", given.settings[asking]["train"]), width, len(given.classes))


def _removable(given: Given, part: Settings) -> None:
    """Refuse to remove and retrain on too few maps or voxels."""
    for split in ("train", "test"):
        if given.of_split(split, part[split]) < len(given.classes):
            raise DataError(
                f"roar: {part[split]} maps ({split}) are fewer than the {len(given.classes)} classes. Take more."
            )
    for fraction in part["fractions"]:
        removed_voxels(fraction, int(given.grid.mask.sum()))
