"""Rasterisation on an NVIDIA GPU: all frames and views in one call of gsplat.

gsplat agrees with the reference in everything but the cap of alpha, which is 0.999 there instead of 0.99: up to a
hundredth of a colour step at the very centre of opaque Gaussians.
"""

from __future__ import annotations

import torch
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.rasterize import gsplat_extension
from animate3d.rasterize.splats import LOW_PASS, Splats, without_broken


def rasterize(
    splats: Splats, cameras: Cameras, background: Tensor, grad_mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Render every frame from every view; arguments and results as `reference.rasterize`."""
    gsplat = gsplat_extension.load()
    frames, views = cameras.shape
    gaussians = splats.means.shape[1]
    splats = without_broken(splats)
    means, quats, scales, opacities = splats.means, splats.quats, splats.scales, splats.opacities
    colors = splats.colors.expand(frames, views, gaussians, 3)
    viewmats, Ks = cameras.viewmats, cameras.Ks
    if grad_mask is not None:
        # Only a frame can have Gaussians of its own in gsplat: every image becomes a frame with one view.
        means, quats, scales = (
            torch.where(grad_mask[..., None], t[:, None], t[:, None].detach()).flatten(0, 1)
            for t in (means, quats, scales)
        )
        opacities = opacities[:, None].expand(frames, views, gaussians).flatten(0, 1)
        colors, viewmats, Ks = (t.flatten(0, 1)[:, None] for t in (colors, viewmats, Ks))
    batch = viewmats.shape[:2]
    image, alpha, meta = gsplat.rasterization(
        means=means,
        quats=quats,
        scales=scales,
        opacities=opacities,
        colors=colors,
        viewmats=viewmats,
        Ks=Ks,
        width=cameras.width,
        height=cameras.height,
        near_plane=cameras.near,
        far_plane=cameras.far,
        eps2d=LOW_PASS,
        packed=False,
        backgrounds=background.expand(*batch, 3),
        render_mode="RGB+D",
    )
    shape = (frames, views, cameras.height, cameras.width)
    image = image.reshape(*shape, 4)
    radii = meta["radii"].reshape(frames, views, gaussians, 2).amax(-1)
    return image[..., :3], alpha.reshape(*shape, 1), image[..., 3:], radii
