"""Gaussians that look like the given frames before anything moves.

One blob per vertex with the spread of its edges shows a blurred model. A photometric loss then pulls the surface about
to make up for the blur. So the static model is first fitted to frame 0: colours, opacities and sizes; nothing moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.frames import GREY, composite
from animate3d.gaussians import Gaussians, merged, sh
from animate3d.rasterize import Splats, render

_OPACITY_LOGIT = 3.0  # start below opaque, where the sigmoid still passes gradient
_SHRINK = 0.25  # of the log-scale: the mean edge is too wide to show a texture
# Pulls towards the start. Without them Gaussians grow, flatten and take on garish colours that add up to the four
# images and to nothing else: they fall apart when the surface moves.
_STAY = {"colors": 0.005, "log_scales": 0.05, "opacity_logits": 1e-4}
_RATES = {"colors": 0.05, "log_scales": 0.02, "opacity_logits": 0.05}


def fit_appearance(
    gaussians: Gaussians,
    images: Tensor,
    cameras: Cameras,
    *,
    steps: int = 120,
    at_once: int | None = None,
    progress: Callable[[int], None] = lambda step: None,
) -> Gaussians:
    """Fit colours (degree 0), opacities and sizes to images of the static model.

    Args:
        gaussians: placed, where the cameras see them.
        images: ``[V, H, W, 4]`` RGBA 0..1.
        cameras: ``[V]`` with the size of the images.
        at_once: of more Gaussians than this, about as many merged ones are fitted and all others changed as the one
            they went into. As many as the images have pixels by default: there is no more to learn from them.
        progress: called after every step.

    Returns:
        The same Gaussians in a new guise, on the device of ``gaussians``.
    """
    count = images.shape[:-1].numel() if at_once is None else at_once
    few, owner = merged(gaussians, count)
    changes = _fitted_changes(few, images.to(few.means), cameras, steps, progress)
    if few is not gaussians:  # whose axes are others than those of the merged ones
        changes["log_scales"] = changes["log_scales"].mean(dim=1, keepdim=True).expand(-1, 3)
        changes = {name: change[owner] for name, change in changes.items()}
    start = _start(gaussians)
    return replace(
        gaussians,
        sh=torch.cat([(start["colors"] + changes["colors"])[:, None], gaussians.sh[:, 1:]], dim=1),
        opacity_logits=start["opacity_logits"] + changes["opacity_logits"],
        log_scales=start["log_scales"] + changes["log_scales"],
    )


def _start(gaussians: Gaussians) -> dict[str, Tensor]:
    """What is fitted, as it is at first."""
    return {
        "colors": gaussians.sh[:, 0],
        "log_scales": gaussians.log_scales - _SHRINK,
        "opacity_logits": torch.full_like(gaussians.opacity_logits, _OPACITY_LOGIT),
    }


def _fitted_changes(
    gaussians: Gaussians, images: Tensor, cameras: Cameras, steps: int, progress: Callable[[int], None]
) -> dict[str, Tensor]:
    """What the fit adds to `_start`."""
    target, mask = composite(images, GREY), images[..., 3:]
    start = _start(gaussians)
    values = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer = torch.optim.Adam([{"params": [values[name]], "lr": rate} for name, rate in _RATES.items()])
    for step in range(steps):
        splats = Splats(
            gaussians.means[None],
            gaussians.quats[None],
            values["log_scales"].exp()[None],
            values["opacity_logits"].sigmoid(),
            sh.to_rgb(values["colors"]),
        )
        drawn = render(splats, cameras, background=GREY)
        loss = (drawn.color[0] - target).square().mean() + (drawn.alpha[0] - mask).square().mean()
        loss = loss + sum(_STAY[name] * (values[name] - start[name]).square().mean() for name in values)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress(step)
    return {name: values[name].detach() - start[name] for name in values}
