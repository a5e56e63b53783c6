from __future__ import annotations

from dataclasses import replace

import torch
from moving_shapes import footage, patterned_capsule
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.frames import composite
from animate3d.gaussians import Gaussians, from_mesh
from animate3d.motion.appearance import fit_appearance
from animate3d.rasterize import Splats, render


def test_fitted_gaussians_look_like_the_images_and_stay_in_place() -> None:
    mesh = patterned_capsule()
    frames, cameras = footage(mesh, mesh.vertices[None], size=48)
    images = torch.from_numpy(frames[:, 0])
    before = from_mesh(mesh)
    after = fit_appearance(before, images, cameras, steps=40)

    assert error(after, images, cameras) < 0.4 * error(before, images, cameras)
    assert torch.equal(after.means, before.means) and torch.equal(after.quats, before.quats)


def test_what_merged_gaussians_learn_holds_for_all() -> None:
    mesh = patterned_capsule()
    frames, cameras = footage(mesh, mesh.vertices[None], size=48)
    images = torch.from_numpy(frames[:, 0])
    before = from_mesh(mesh)
    grey = replace(before, sh=torch.zeros_like(before.sh))
    after = fit_appearance(grey, images, cameras, steps=40, at_once=len(grey) // 2)
    assert len(after) == len(grey) and torch.equal(after.means, grey.means)
    assert error(after, images, cameras) < 0.5 * error(grey, images, cameras)


def error(gaussians: Gaussians, images: Tensor, cameras: Cameras) -> float:
    """Mean squared difference to the images on grey."""
    splats = Splats(
        gaussians.means[None], gaussians.quats[None], gaussians.scales[None], gaussians.opacities, gaussians.colors
    )
    return float((render(splats, cameras).color[0] - composite(images, 0.5)).square().mean())
