"""The loss table: terms by the name of their weight ``system.loss.lambda_{name}``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from animate3d.errors import InputError
from animate3d.motion.losses import LOSSES, StepTensors

# Weights in the documented configs that belong to no term of the method.
WITHOUT_TERM = ("image_sds", "physical", "phy_rigid", "phy_rot", "phy_iso")


@dataclass
class Step:
    """One training step.

    Attributes:
        tensors: images and Gaussians of the trained frames.
        moved: ``[F, N, 3]`` positions of the trained frames other than the static one.
        batch: the data module's.
        drawn: the renderer's result for all frames of the step.
        times: ``[F]`` of ``drawn``.
    """

    tensors: StepTensors
    moved: Tensor
    batch: dict[str, Any]
    drawn: Any
    times: Tensor


Term = Callable[[Step], Tensor]


def image_terms() -> dict[str, Term]:
    """The terms that depend on the images and Gaussians alone."""
    return {name: lambda step, term=term: term(step.tensors) for name, term in LOSSES.items()}


def check_weights(loss: Any, terms: dict[str, Term]) -> None:
    """Refuse weights that would silently do nothing.

    Raises:
        InputError: a weight that is not zero and has no term.
    """
    for key, value in loss.items():
        name = str(key).removeprefix("lambda_")
        if name == key or name in WITHOUT_TERM or value == 0:
            continue
        if name == "normal_tv":
            raise InputError("system.loss.lambda_normal_tv must be 0: the Gaussians carry no normals.")
        if name not in terms:
            raise InputError(f"system.loss.{key} has no loss term; there are: {', '.join(sorted(terms))}.")
