"""A Gaussian model in motion: its trajectory as one file, renders from the test cameras, a turntable."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from animate3d.cameras import TESTSET_AZIMUTHS_DEG, Cameras, orbit_cameras, testset_cameras
from animate3d.files import atomic_directory, atomic_file
from animate3d.frames import contact_sheet, save_image, save_mp4
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


class Pose(NamedTuple):
    """Where and how N Gaussians are at one time."""

    means: Tensor
    """``[N, 3]``"""
    quats: Tensor
    """``[N, 4]`` w x y z, unit."""
    scales: Tensor
    """``[N, 3]`` standard deviations."""


@dataclass(frozen=True)
class GaussianMotion:
    """Where and how the Gaussians of a model are in every frame; one frame is made at a time, when it is asked for.

    Attributes:
        model: opacities and colours, which do not move; with means, rotations and sizes at rest.
        frames: F
        pose: makes the pose of a frame.
    """

    model: Gaussians
    frames: int
    pose: Callable[[int], Pose]

    def in_file_of(self, model: Gaussians, placement: Placement) -> GaussianMotion:
        """From the placed frame to that of the file which ``model`` was read from."""
        back = inverse(placement)
        turn = matrix_to_quaternion(torch.from_numpy(back.rotation))

        def pose(frame: int) -> Pose:
            means, quats, scales = self.pose(frame)
            turned = quaternion_multiply(turn.to(quats).expand_as(quats), quats)
            return Pose(back.apply(means), turned, scales * back.scale)

        return GaussianMotion(model, self.frames, pose)

    def gaussians(self, frame: int) -> Gaussians:
        """The model in a frame."""
        pose = self.pose(frame)
        return replace(self.model, means=pose.means, quats=pose.quats, log_scales=pose.scales.log())


def save_trajectory(
    motion: GaussianMotion,
    path: str | os.PathLike[str],
    *,
    fps: float,
    placement: Placement,
    source_rows: np.ndarray | None = None,
) -> None:
    """Write an ``.npz``; docs/gaussians.md lists the keys. Only one frame is in memory at a time.

    Args:
        motion: in the coordinates of the model's file.
        placement: from there to the world of the cameras.
        source_rows: ``[N]`` the row of the ply file that each Gaussian stood in; all rows when None.
    """
    frames, count = motion.frames, len(motion.model)
    small: dict[str, Any] = {
        "times": (np.arange(frames) / fps).astype(np.float32),
        "field_times": frame_times(frames).numpy(),
        "fps": np.float32(fps),
        "N": np.int64(count),
        "placement": placement.matrix(),
        "source_rows": np.arange(count) if source_rows is None else source_rows.astype(np.int64),
    }
    with atomic_file(path) as temporary, tempfile.TemporaryDirectory(dir=temporary.parent, prefix=".poses-") as folder:
        np.savez(temporary, **small)
        # Three arrays grow side by side, frame by frame: each in a file of its own before it goes into the archive.
        arrays = {name: Path(folder) / f"{name}.npy" for name in Pose._fields}
        with ExitStack() as stack:
            files = {name: stack.enter_context(array.open("wb")) for name, array in arrays.items()}
            for frame in range(frames):
                for name, value in motion.pose(frame)._asdict().items():
                    if frame == 0:
                        header = {"descr": "<f4", "fortran_order": False, "shape": (frames, *value.shape)}
                        np.lib.format.write_array_header_1_0(files[name], header)
                    files[name].write(value.cpu().numpy().astype("<f4", copy=False).tobytes())
        with zipfile.ZipFile(temporary, "a") as archive:
            for array in arrays.values():
                archive.write(array, array.name)


def render_testset(motion: GaussianMotion, folder: str | os.PathLike[str], *, size: int) -> None:
    """The twelve test cameras as ``elv_{i}_azi_{j}/{f}.png``, RGBA on grey; replaces the folder.

    Args:
        motion: in the placed frame.
    """
    cameras = testset_cameras(size)
    names = [f"elv_{i}_azi_{j}" for i, row in enumerate(TESTSET_AZIMUTHS_DEG) for j in range(len(row))]
    with atomic_directory(folder) as temporary:
        for frame in tqdm(range(motion.frames), desc="renders", unit="frame"):
            for name, image in zip(names, draw(motion, frame, cameras), strict=True):
                save_image(temporary / name / f"{frame}.png", image)


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
    images = np.empty((count, size, size, 3), np.uint8)
    for frame in tqdm(range(motion.frames), desc="turntable", unit="frame"):
        shown = slice(frame, None, motion.frames)  # the images that show this frame
        images[shown] = draw(motion, frame, cameras[shown])[..., :3]
    save_mp4(video, images, fps)
    chosen = np.linspace(0, count - 1, _ROWS * _COLUMNS).round().astype(int)
    step = max(1, size // _SHEET_SIZE)
    save_image(
        sheet, contact_sheet(images[chosen, ::step, ::step].reshape(_ROWS, _COLUMNS, *images[0, ::step, ::step].shape))
    )


def draw_still(model: Gaussians, cameras: Cameras) -> Tensor:
    """A placed model at rest from cameras ``[V]``, colours and coverage ``[V, H, W, 4]`` in 0..1."""
    splats = Splats(model.means[None], model.quats[None], model.scales[None], model.opacities, model.colors)
    drawn = render(splats, cameras)
    return torch.cat([drawn.color, drawn.alpha], dim=-1)[0]


@torch.no_grad()
def draw(motion: GaussianMotion, frame: int, cameras: Cameras) -> np.ndarray:
    """A frame from cameras ``[V]`` on mid-grey with its coverage as alpha, uint8 ``[V, H, W, 4]``.

    The lobes of the colours do not turn with the motion: the object is lit from where it was.
    """
    model, pose = motion.model, motion.pose(frame)
    cameras = cameras.to(pose.means.device)
    images = np.empty((len(cameras.positions), cameras.height, cameras.width, 4), np.uint8)
    colors = model.colors
    for view, position in enumerate(cameras.positions):
        if model.sh_degree > 0:
            colors = sh.evaluate(model.sh, pose.means - position).clamp_min(0)
        splats = Splats(pose.means[None], pose.quats[None], pose.scales[None], model.opacities, colors)
        drawn = render(splats, cameras[view : view + 1])
        rgba = torch.cat([drawn.color, drawn.alpha], dim=-1)[0, 0]
        images[view] = (rgba.clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()
    return images
