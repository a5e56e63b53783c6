"""A textured mesh of 200 vertices with a known motion, for tests of whole runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.dragon import unit_times, write_frames
from animate3d.frames import save_frames
from animate3d.gaussians import Gaussians
from animate3d.meshes import Material, Mesh, load_mesh, save_obj
from animate3d.rasterize import Splats, render

FRAMES, SIZE = 4, 64
FEW_STEPS = ("trainer.max_steps=8", "trainer.val_check_interval=8", "checkpoint.every_n_train_steps=8")


def finned_tube(rings: int = 14, sides: int = 14) -> Mesh:
    """An upright tube of quads with closing ends and a fin, so that no two directions look alike."""
    t, angle = np.linspace(0, 1, rings), np.linspace(0, 2 * np.pi, sides, endpoint=False)
    radius = 0.25 * np.sqrt(np.clip(1 - (2 * t - 1) ** 4, 0, 1)) + 0.02
    x, z = radius[:, None] * np.cos(angle), 0.6 * radius[:, None] * np.sin(angle)
    y = np.repeat(1.6 * t[:, None] - 0.8, sides, axis=1)
    fin = np.array([[0.2, 0.3, 0], [0.7, 0.5, 0.05], [0.7, 0.1, 0.05], [0.2, -0.1, 0]])
    vertices = np.concatenate([np.stack([x, y, z], axis=-1).reshape(-1, 3), fin])
    i, j = (index.ravel() for index in np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij"))
    k = (j + 1) % sides
    quads = np.stack([i * sides + j, (i + 1) * sides + j, (i + 1) * sides + k, i * sides + k], axis=1)
    quads = np.concatenate([quads, rings * sides + np.arange(4)[None]])
    u, v = j / sides, t[i]
    wide, high = 1 / sides, t[i + 1] - v
    uvs = np.stack([np.stack([u, v], -1), np.stack([u, v + high], -1), np.stack([u + wide, v + high], -1)], axis=1)
    uvs = np.concatenate([uvs, np.stack([u + wide, v], -1)[:, None]], axis=1)
    uvs = np.concatenate([uvs, [[[0, 0], [1, 0], [1, 1], [0, 1]]]])
    cells = np.random.default_rng(0).integers(40, 240, (16, 16, 3), dtype=np.uint8)
    texture = np.kron(cells, np.ones((8, 8, 1), np.uint8))
    return Mesh.from_faces(vertices, quads, corner_uvs=uvs, material=Material("skin", textures={"diffuse": texture}))


def bend(vertices: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Leans over, about x, more with height. ``[F, N, 3]``"""
    x, y, z = vertices[:, 0], vertices[:, 1] + 0.8, vertices[:, 2]
    angle = 0.5 * np.sin(np.pi * times[:, None] / 2) * y / 1.6
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.broadcast_to(x, angle.shape), cos * y - sin * z - 0.8, sin * y + cos * z], axis=-1)


def write_asset(folder: Path, *, views: int = 4, size: int = SIZE, frames: int = FRAMES) -> tuple[Path, Path]:
    """The object folder and a folder of frames of the bending mesh, automatically placed."""
    save_obj(finned_tube(), folder / "tube")
    mesh = load_mesh(folder / "tube")
    write_frames(mesh, bend, mesh.automatic_placement(), folder / "frames", views=views, frames=frames, size=size)
    return folder / "tube", folder / "frames"


def truth(vertices: np.ndarray, frames: int = FRAMES) -> np.ndarray:
    """The motion of `write_asset`. ``[F, N, 3]``"""
    return bend(vertices, unit_times(frames))


def write_gaussian_frames(model: Gaussians, folder: Path, *, rise: float = 0.1, frames: int = FRAMES) -> Path:
    """Four videos of a placed Gaussian model that moves up by ``rise`` in all."""
    drift = torch.linspace(0, rise, frames)[:, None, None] * torch.tensor([0.0, 0.0, 1.0])
    quats, scales = (part.expand(frames, *part.shape) for part in (model.quats, model.scales))
    splats = Splats(model.means + drift, quats, scales, model.opacities, model.colors)
    drawn = render(splats, reconstruction_cameras(4, SIZE))
    rgba = torch.cat([drawn.color, drawn.alpha], dim=-1).transpose(0, 1)
    save_frames(folder, (rgba * 255 + 0.5).byte().numpy())
    return folder
