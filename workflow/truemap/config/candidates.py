"""The points of a model's hyperparameter grid."""

from __future__ import annotations

import itertools
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from truemap.config.models import Model
from truemap.config.names import EPOCHS, STRENGTHS
from truemap.config.registry import resolved_class


def candidates(model: Model) -> dict[str, dict[str, Any]]:
    """Return the points of a model's hyperparameter grid: name of the candidate -> training options.

    Each option of the training method that may be a list and is one spans the grid; trained weights have no points.
    """
    if model.training is None:
        return {}
    fields = resolved_class("training", model.training).model_fields
    lists = {k: v for k, v in model.training.items() if k != "name" and isinstance(v, list) and _is_grid(fields[k])}
    if not lists:
        return {"single": model.training}
    points = itertools.product(*lists.values())
    return {
        "_".join(f"{key.replace('_', '-')}-{value:.12g}" for key, value in zip(lists, point, strict=True)): {
            **model.training,
            **dict(zip(lists, point, strict=True)),
        }
        for point in points
    }


def strength(model: Model) -> str:
    """Return the option of the model's training method that is its strength (see `truemap.config.names.STRENGTHS`)."""
    return next((name for name in STRENGTHS if name in (model.training or {})), STRENGTHS[-1])


def swept_point(model: Model, candidate: str) -> tuple[str, Any]:
    """Return the option that tells a sweep's points apart, and a candidate's value of it.

    The strength, or epochs where these alone are a list.
    """
    training = model.training or {}
    lists = [name for name in (*STRENGTHS, EPOCHS) if isinstance(training.get(name), list)]
    option = next(iter(lists), strength(model))
    return option, candidates(model)[candidate].get(option)


def _is_grid(field: Any) -> bool:
    if get_origin(field.annotation) not in (Union, UnionType):
        return False
    members = [get_args(m)[0] if get_origin(m) is Annotated else m for m in get_args(field.annotation)]
    return any(get_origin(member) is list for member in members)
