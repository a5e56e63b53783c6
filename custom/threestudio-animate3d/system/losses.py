"""The loss table: terms by the name of their weight ``system.loss.lambda_{name}``."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from animate3d.errors import InputError
from animate3d.motion.losses import LOSSES, StepTensors
from animate3d.rasterize import Splats

# Weights in the documented configs that belong to no term of the method.
WITHOUT_TERM = ("image_sds", "physical", "phy_rigid", "phy_rot", "phy_iso")
ON_FIRST_FRAME = ("first_frame_rgb", "first_frame_mask")
ON_GAUSSIANS = ("position", "opacity", "scales")


@dataclass
class Step:
    """One training step, before anything is drawn.

    Attributes:
        splats: the Gaussians at ``times``.
        times: ``[F]``
        frames: ``[F]`` their numbers in the video.
        trained: of the frames of ``splats``, those that are trained.
        moved: ``[F, N, 3]`` positions of the trained frames other than the static one.
        batch: the data module's.
        background: ``[3]`` of all images of the step.
    """

    splats: Splats
    times: Tensor
    frames: Tensor
    trained: slice
    moved: Tensor
    batch: dict[str, Any]
    background: Tensor


Term = Callable[[Step], Tensor]
ImageTerm = Callable[[StepTensors], Tensor]


def image_terms() -> dict[str, ImageTerm]:
    """The terms that compare images. Each is a mean over images, so that a part of them can be taken at a time."""
    return {name: term for name, term in LOSSES.items() if name not in ON_GAUSSIANS}


def gaussian_terms() -> dict[str, Term]:
    """The terms that see the Gaussians of the trained frames alone."""

    def on_gaussians(term: ImageTerm) -> Term:
        def value(step: Step) -> Tensor:
            part, images = step.splats, [step.moved.new_zeros(0)] * 4  # which these terms do not read
            means, scales = part.means[step.trained], part.scales[step.trained]
            return term(StepTensors(*images, means=means, scales=scales, opacities=part.opacities))

        return value

    return {name: on_gaussians(LOSSES[name]) for name in ON_GAUSSIANS}


def check_weights(loss: Any, names: Collection[str]) -> None:
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
        if name not in names:
            raise InputError(f"system.loss.{key} has no loss term; there are: {', '.join(sorted(names))}.")
