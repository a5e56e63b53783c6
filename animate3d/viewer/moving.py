"""What is looked at: a mesh or Gaussians in motion, in the placed frame, with the videos that the motion came from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image

from animate3d.cameras import Cameras
from animate3d.export.gaussian_motion import GaussianMotion
from animate3d.frames import GREY, FrameFolder
from animate3d.meshes.mesh import Mesh

_MOST_FRAMES = 300  # of the videos


@dataclass(frozen=True)
class MovingMesh:
    """A mesh and where its vertices are.

    Attributes:
        mesh: gives faces and materials; its own vertices are not shown.
        positions: ``[F, N, 3]`` placed: z up, the front to +x.
        fps: frames per second.
        closing: frame 0 follows the last frame.
        confidence: ``[F, N]`` 0..1 how well every vertex was followed; None where nobody knows.
        bones: ``[N, 3]`` 0..1 colours of the bones that move every vertex; None without a skeleton.
    """

    mesh: Mesh
    positions: np.ndarray
    fps: float
    closing: bool = False
    confidence: np.ndarray | None = None
    bones: np.ndarray | None = None

    @property
    def frames(self) -> int:
        """F"""
        return len(self.positions)


@dataclass(frozen=True)
class MovingGaussians:
    """Gaussians in motion, placed as a `MovingMesh` is.

    Attributes:
        motion: one frame is made at a time.
        fps: frames per second.
        closing: frame 0 follows the last frame.
    """

    motion: GaussianMotion
    fps: float
    closing: bool = False

    @property
    def frames(self) -> int:
        """F"""
        return self.motion.frames


@dataclass(frozen=True)
class Show:
    """A moving model and what is told about it.

    Attributes:
        moving: the model.
        title: its name.
        facts: label and value of what is known about it, in their order.
        videos: ``[V, F, H, W, 3]`` uint8 that the motion was found from; None where there are none.
        cameras: ``[V]`` that saw the videos.
    """

    moving: MovingMesh | MovingGaussians
    title: str
    facts: dict[str, str] = field(default_factory=dict)
    videos: np.ndarray | None = None
    cameras: Cameras | None = None


def facts_of(moving: MovingMesh | MovingGaussians) -> dict[str, str]:
    """What is told about a model by itself."""
    facts = {"frames": f"{moving.frames} at {moving.fps:g} per second"} if moving.frames > 1 else {}
    if isinstance(moving, MovingMesh):
        return facts | {"vertices": f"{moving.mesh.n_vertices:,}", "faces": f"{moving.mesh.n_faces:,}"}
    return facts | {"Gaussians": f"{len(moving.motion.model):,}"}


def video_pictures(frames: torch.Tensor | FrameFolder, side: int = 128) -> np.ndarray:
    """Videos as they are shown: on grey, at most ``side`` pixels along and `_MOST_FRAMES` frames, evenly chosen.

    Args:
        frames: ``[V, F, H, W, 4]`` RGBA 0..1.

    Returns:
        ``[V, f, h, w, 3]`` uint8
    """
    views, count = frames.shape[:2]
    chosen = np.unique(np.linspace(0, count - 1, _MOST_FRAMES).round().astype(int))
    shape = _small(torch.as_tensor(frames[0, 0]), side).shape
    pictures = np.empty((views, len(chosen), *shape), np.uint8)
    for v in range(views):
        for n, f in enumerate(chosen.tolist()):
            pictures[v, n] = _small(torch.as_tensor(frames[v, f]), side)
    return pictures


def _small(frame: torch.Tensor, side: int) -> np.ndarray:
    image = Image.fromarray((frame * 255).round().byte().numpy())
    image.thumbnail((side, side), Image.Resampling.BOX)
    grey = Image.new("RGBA", image.size, (round(255 * GREY),) * 3 + (255,))
    return np.asarray(Image.alpha_composite(grey, image).convert("RGB"))
