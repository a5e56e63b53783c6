"""A Gaussian model in motion: its trajectory as one file, renders from the test cameras, a turntable."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from animate3d.cameras import TESTSET_AZIMUTHS_DEG, Cameras, orbit_cameras, testset_cameras
from animate3d.files import atomic_directory, atomic_file
from animate3d.frames import contact_sheet, save_frames, save_image, save_mp4
from animate3d.gaussians import Gaussians, sh
from animate3d.gaussians.placement import inverse
from animate3d.meshes.placement import Placement
from animate3d.orbits import frame_times, turntable_azimuths
from animate3d.rasterize import Splats, render
from animate3d.rotations import matrix_to_quaternion, quaternion_multiply

_TURN = 48  # images of a whole turn, at least
_ELEVATION = 15.0
_ROWS, _COLUMNS = 2, 8
_SHEET_SIZE = 256


@dataclass(frozen=True)
class GaussianMotion:
    """Where and how the Gaussians of a model are in every frame.

    Attributes:
        model: opacities and colours, which do not move; with means, rotations and sizes at rest.
        means: ``[F, N, 3]``
        quats: ``[F, N, 4]`` w x y z, unit.
        scales: ``[F, N, 3]`` standard deviations.
    """

    model: Gaussians
    means: Tensor
    quats: Tensor
    scales: Tensor

    @property
    def frames(self) -> int:
        """F"""
        return len(self.means)

    def in_file_of(self, model: Gaussians, placement: Placement) -> GaussianMotion:
        """From the placed frame to that of the file which ``model`` was read from."""
        back = inverse(placement)
        turn = matrix_to_quaternion(torch.from_numpy(back.rotation)).to(self.quats)
        quats = quaternion_multiply(turn.expand_as(self.quats), self.quats)
        return GaussianMotion(model, back.apply(self.means), quats, self.scales * back.scale)

    def splats(self, frame: int, camera: Tensor) -> Splats:
        """One frame as a camera at ``[3]`` sees it, view-dependent colours included."""
        part = slice(frame, frame + 1)
        colors = self.model.colors
        if self.model.sh_degree > 0:
            # The lobes do not turn with the motion: the object is lit from where it was.
            colors = sh.evaluate(self.model.sh, self.means[frame] - camera).clamp_min(0)
        return Splats(self.means[part], self.quats[part], self.scales[part], self.model.opacities, colors)


def save_trajectory(
    motion: GaussianMotion,
    path: str | os.PathLike[str],
    *,
    fps: float,
    placement: Placement,
    source_rows: np.ndarray | None = None,
) -> None:
    """Write an ``.npz``; docs/gaussians.md lists the keys.

    Args:
        motion: in the coordinates of the model's file.
        placement: from there to the world of the cameras.
        source_rows: ``[N]`` the row of the ply file that each Gaussian stood in; all rows when None.
    """
    frames, count = motion.means.shape[:2]
    arrays: dict[str, Any] = {
        "means": motion.means.cpu().numpy().astype(np.float32, copy=False),
        "quats": motion.quats.cpu().numpy().astype(np.float32, copy=False),
        "scales": motion.scales.cpu().numpy().astype(np.float32, copy=False),
        "times": (np.arange(frames) / fps).astype(np.float32),
        "field_times": frame_times(frames).numpy(),
        "fps": np.float32(fps),
        "N": np.int64(count),
        "placement": placement.matrix(),
        "source_rows": np.arange(count) if source_rows is None else source_rows.astype(np.int64),
    }
    with atomic_file(path) as temporary:
        np.savez(temporary, **arrays)


def render_testset(motion: GaussianMotion, folder: str | os.PathLike[str], *, size: int) -> None:
    """The twelve test cameras as ``elv_{i}_azi_{j}/{f}.png``, RGBA on grey; replaces the folder.

    Args:
        motion: in the placed frame.
    """
    cameras = testset_cameras(size)
    names = [f"elv_{i}_azi_{j}" for i, row in enumerate(TESTSET_AZIMUTHS_DEG) for j in range(len(row))]
    with atomic_directory(folder) as temporary:
        for name, camera in zip(tqdm(names, desc="renders", unit="view"), range(len(names)), strict=True):
            view = np.stack([draw(motion, frame, cameras[camera]) for frame in range(motion.frames)])
            save_frames(temporary / name, view[None])


def render_turntable(
    motion: GaussianMotion, video: str | os.PathLike[str], sheet: str | os.PathLike[str], *, fps: float, size: int
) -> None:
    """One turn of the camera while the motion repeats, as an MP4 and as a picture of evenly spread images.

    Args:
        motion: in the placed frame.
        video, sheet: files to write.
    """
    count = motion.frames * -(-_TURN // motion.frames)
    cameras = orbit_cameras(_ELEVATION, turntable_azimuths(count).tolist(), size=size)
    every = tqdm(range(count), desc="turntable", unit="image")
    images = np.stack([draw(motion, i % motion.frames, cameras[i])[..., :3] for i in every])
    save_mp4(video, images, fps)
    chosen = np.linspace(0, count - 1, _ROWS * _COLUMNS).round().astype(int)
    step = max(1, size // _SHEET_SIZE)
    save_image(
        sheet, contact_sheet(images[chosen, ::step, ::step].reshape(_ROWS, _COLUMNS, *images[0, ::step, ::step].shape))
    )


@torch.no_grad()
def draw(motion: GaussianMotion, frame: int, camera: Cameras) -> np.ndarray:
    """One image on mid-grey with its coverage as alpha, uint8 ``[H, W, 4]``."""
    camera = replace(camera, c2w=camera.c2w[None], fovy=camera.fovy[None]).to(motion.means.device)
    drawn = render(motion.splats(frame, camera.positions[0]), camera)
    rgba = torch.cat([drawn.color, drawn.alpha], dim=-1)[0, 0]
    return (rgba.clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()
