"""Synthetic clips with true masks: the demo dragon on grey, degraded as generated and compressed video is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.dragon import demo_asset, motion_named, unit_times
from animate3d.meshes import Mesh, load_mesh
from animate3d.rasterize.textured import render_mesh


@dataclass(frozen=True)
class Clip:
    """Attributes:
    frames: uint8 ``[V, F, H, W, 3]``, degraded from frame 1 on.
    alpha: uint8 ``[V, F, H, W]``, the truth.
    """

    frames: np.ndarray
    alpha: np.ndarray

    @property
    def templates(self) -> np.ndarray:
        """RGBA ``[V, H, W, 4]`` of frame 0."""
        return np.concatenate([self.frames[:, 0], self.alpha[:, 0, ..., None]], axis=-1)


def dragon(grey_patches: bool = False) -> Mesh:
    """The demo creature; optionally a third of its skin gets greys within a few levels of the background's."""
    mesh = load_mesh(demo_asset())
    if grey_patches:
        texture = mesh.materials[0].textures["diffuse"]
        generator = np.random.default_rng(5)
        noise = cv2.GaussianBlur(generator.standard_normal(texture.shape[:2]), (0, 0), texture.shape[0] / 28)
        share = np.clip((noise - np.quantile(noise, 0.66)) / noise.std() * 6, 0, 1)[..., None]
        grain = cv2.GaussianBlur(generator.standard_normal(texture.shape[:2]), (0, 0), 2)
        grey = (128 + 9 * grain / grain.std())[..., None]
        mesh.materials[0].textures["diffuse"] = (texture * (1 - share) + grey * share).clip(0, 255).astype(np.uint8)
    return mesh


def render(
    motion: str,
    *,
    views: int = 4,
    frames: int = 16,
    size: int = 128,
    travel: float = 0.0,
    grey_patches: bool = False,
    shading: bool = False,
) -> np.ndarray:
    """Clean RGBA ``[V, F, H, W, 4]``.

    Args:
        travel: the object also moves this far (in world units; it is about 1.5 wide) to one side and back.
    """
    mesh = dragon(grey_patches)
    times = unit_times(frames)
    positions = mesh.automatic_placement().apply(motion_named(motion)(mesh.vertices, times))
    positions += (travel * np.sin(np.pi * times) ** 2)[:, None, None] * np.array([0.6, 0.8, 0.1])
    return render_mesh(mesh, positions, reconstruction_cameras(views, size), supersample=2, shading=shading)


def degrade(
    rgba: np.ndarray,
    *,
    noise: float = 4.0,
    quality: int | None = 65,
    shadow: float = 0.28,
    drift: float = 2.0,
    background: float = 127.5,
) -> Clip:
    """Put clean frames ``[V, F, H, W, 4]`` on a grey that is not quite still.

    Args:
        noise: standard deviation in 8-bit levels.
        quality: of a JPEG round trip; None leaves it out.
        shadow: how much the core of a blurred contact shadow darkens, from frame 1 on.
        drift: 8-bit levels by which the background's colour wanders.
    """
    generator = np.random.default_rng(0)
    views, frames, height, width = rgba.shape[:4]
    alpha = rgba[..., 3:].astype(np.float32) / 255
    result = np.empty(rgba.shape[:4] + (3,), np.uint8)
    phase = generator.uniform(0, 2 * np.pi, (views, 3))
    for v in range(views):
        for f in range(frames):
            ground = background + drift * np.sin(phase[v] + 0.5 * f) * (f > 0) * np.ones((height, width, 3), np.float32)
            if f:
                ground *= 1 - shadow * _contact_shadow(alpha[v, f, ..., 0])[..., None]
            image = rgba[v, f, ..., :3] * alpha[v, f] + ground * (1 - alpha[v, f])
            if f:
                image += generator.normal(0, noise, image.shape)
            image = image.clip(0, 255).astype(np.uint8)
            if quality is not None and f:
                image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
            result[v, f] = image
    return Clip(result, rgba[..., 3].copy())


def _contact_shadow(alpha: np.ndarray) -> np.ndarray:
    """0..1, a soft ellipse under the object's feet. ``[H, W]``"""
    height, width = alpha.shape
    rows, columns = np.nonzero(alpha > 0.5)
    if not len(rows):
        return np.zeros_like(alpha)
    shadow = np.zeros((height, width), np.float32)
    low, high = np.quantile(columns, [0.1, 0.9])
    centre = (int((low + high) / 2), int(rows.max()))
    cv2.ellipse(shadow, centre, (int((high - low) * 0.7) + 1, int(height * 0.06) + 1), 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(shadow, (0, 0), height * 0.03)


def iou(alpha: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of the silhouettes, per image. ``[..., H, W]`` (0..255) to ``[...]``"""
    found, wanted = alpha > 127, truth > 127
    union = (found | wanted).sum(axis=(-1, -2))
    return np.where(union > 0, (found & wanted).sum(axis=(-1, -2)) / np.maximum(union, 1), 1.0)
