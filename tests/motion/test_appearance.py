from __future__ import annotations

import torch
from moving_shapes import footage, patterned_capsule

from animate3d.frames import composite
from animate3d.gaussians import from_mesh
from animate3d.motion.appearance import fit_appearance
from animate3d.rasterize import Splats, render


def test_fitted_gaussians_look_like_the_images_and_stay_in_place() -> None:
    mesh = patterned_capsule()
    frames, cameras = footage(mesh, mesh.vertices[None], size=48)
    images = torch.from_numpy(frames[:, 0])
    before = from_mesh(mesh)
    after = fit_appearance(before, images, cameras, steps=40)

    def error(gaussians) -> float:  # type: ignore[no-untyped-def]
        splats = Splats(
            gaussians.means[None], gaussians.quats[None], gaussians.scales[None], gaussians.opacities, gaussians.colors
        )
        return float((render(splats, cameras).color[0] - composite(images, 0.5)).square().mean())

    assert error(after) < 0.4 * error(before)
    assert torch.equal(after.means, before.means) and torch.equal(after.quats, before.quats)
