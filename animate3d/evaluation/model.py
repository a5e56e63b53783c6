"""A trained checkpoint as a moving model: where its Gaussians are, and what the test cameras see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from animate3d.cameras import TESTSET_AZIMUTHS_DEG, testset_cameras
from animate3d.errors import InputError
from animate3d.evaluation.testset import Checkpoint
from animate3d.frames import GREY, load_frames, numbered_images, save_frames
from animate3d.orbits import frame_times
from animate3d.rasterize import render
from animate3d.resources import find_resource
from animate3d.studio.config import load_config
from animate3d.studio.misc import get_device, load_module_weights
from animate3d.studio.plugins import load_plugins
from animate3d.studio.registry import find

VIEW_NAMES = tuple(f"elv_{i}_azi_{j}" for i, row in enumerate(TESTSET_AZIMUTHS_DEG) for j in range(len(row)))
"""Folders of the test cameras' images, in the order of `testset_cameras`."""
GIVEN_VIEWS = VIEW_NAMES[:4]
"""The views of `VIEW_NAMES` that the given videos show too."""
_DEFAULT_CONFIG = "custom/threestudio-animate3d/configs/visualize_testset_frame_16.yaml"


@dataclass(frozen=True)
class MovingModel:
    """The Gaussians and their motion; made by `load_model`."""

    geometry: Any  # the plugin's `gaussian-splatting-4d`
    first_frame_trainable: bool  # frame 0 is deformed as well
    use_delta_scale: bool  # the learned change of scale applies

    def __len__(self) -> int:
        """Number of Gaussians N."""
        return len(self.geometry.get_xyz)

    @property
    def opacities(self) -> Tensor:
        """Opacities of the Gaussians ``[N]``, 0 to 1."""
        return self.geometry.get_opacity[:, 0].detach().cpu()

    @torch.no_grad()
    def deform(self, frames: int) -> tuple[Tensor, Tensor, Tensor]:
        """Means ``[F, N, 3]``, quaternions ``[F, N, 4]`` and scales ``[F, N, 3]`` of every frame."""
        return self.geometry.deform(
            frame_times(frames).to(self.geometry.get_xyz.device),
            use_delta_scale=self.use_delta_scale,
            first_frame_trainable=self.first_frame_trainable,
        )

    @torch.no_grad()
    def views(self, frames: int, size: int) -> Iterator[tuple[str, np.ndarray]]:
        """What the test cameras see: their names and uint8 RGBA ``[F, H, W, 4]``, colours on the background."""
        moved = self.deform(frames)
        cameras = testset_cameras(size).to(moved[0].device)
        for v, name in enumerate(VIEW_NAMES):
            splats = self.geometry.splats_of(*moved, cameras.positions[v : v + 1])
            seen = render(splats, cameras[v : v + 1], background=GREY)
            images = torch.cat([seen.color, seen.alpha], dim=-1)[:, 0]
            yield name, (images.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()


def load_model(checkpoint: Checkpoint) -> MovingModel:
    """Build what a checkpoint holds, with the settings it was trained with (the documented ones if they are gone).

    Raises:
        InputError: the file is not a checkpoint of a moving model, or does not fit its config.
    """
    load_plugins()
    if checkpoint.config is not None:
        config = load_config(checkpoint.config)
    else:
        config = load_config(find_resource(_DEFAULT_CONFIG), cli_args=["system.prompt_processor.prompt=evaluate"])
    settings = dict(config.system["geometry"])
    # The checkpoint brings the Gaussians, already placed, and the start of the motion.
    for key in ("geometry_convert_from", "load_ply_cfg", "initial_motion"):
        settings.pop(key, None)
    geometry = find(config.system["geometry_type"])(settings)
    if not hasattr(geometry, "deform"):
        raise InputError(f"{checkpoint.path} holds a static model; a moving one is needed.")
    state, _, _ = load_module_weights(checkpoint.path, module_name="geometry", map_location="cpu")
    try:
        geometry.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise InputError(f"The checkpoint {checkpoint.path} does not fit its config: {reason}") from error
    return MovingModel(
        geometry.to(get_device()).eval(),
        bool(config.system["renderer"].get("first_frame_trainable", False)),
        bool(config.system.get("keep_delta_scale", True)) and geometry.delta_scale_trained,
    )


def save_views(model: MovingModel, folder: Path, frames: int, size: int) -> None:
    """Write what the test cameras see, as Gaussian step 4 does: ``{view}/{f}.png``."""
    for name, images in tqdm(model.views(frames, size), total=len(VIEW_NAMES), desc="views", unit="view", leave=False):
        save_frames(folder / name, images[None])


def saved_size(folder: Path, frames: int, newer_than: Path) -> int | None:
    """Pixels of renders that are there, complete and newer than a checkpoint; None if they are not."""
    size = None
    for name in VIEW_NAMES:
        if not (folder / name).is_dir():
            return None
        images = numbered_images(folder / name)
        if sorted(images) != list(range(frames)):
            return None
        if any(path.stat().st_mtime < newer_than.stat().st_mtime for path in images.values()):
            return None
        with Image.open(images[0]) as image:
            if size not in (None, image.height):
                return None
            size = image.height
    return size


def load_view(folder: Path, name: str, frames: int) -> Tensor:
    """Read a view that `save_views` wrote, float32 ``[F, H, W, 4]``."""
    return load_frames(folder / name, 1, frames)[0]
