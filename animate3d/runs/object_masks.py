"""Images that say which object of a scene every pixel of the frames shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from animate3d.errors import InputError
from animate3d.files import existing_file, existing_folder
from animate3d.meshes import Mesh
from animate3d.meshes.scene import Scene


def read_object_masks(folder: Path, views: int, frames: int, model: Mesh) -> np.ndarray:
    """The ids ``[V, F, H, W]`` uint8 of images ``{v*F+f}.png``: 0 is the background, k the k-th object.

    Raises:
        InputError: an image is missing, has several channels or another size, or names an object that is not there.
    """
    if not isinstance(model, Scene):
        raise InputError("--object-masks tells objects apart; this run has one (several models, or --objects).")
    existing_folder(folder, "folder of object masks")
    found: list[np.ndarray] = []
    for number in range(views * frames):
        path = existing_file(folder / f"{number}.png", "object mask")
        with Image.open(path) as image:
            ids = np.asarray(image if image.mode in ("L", "P", "I", "I;16") else image.convert("RGBA"))
        if ids.ndim != 2:
            raise InputError(f"The object mask {path} has several channels; it needs one, with the object's number.")
        if found and ids.shape != found[0].shape:
            raise InputError(f"The object mask {path} has another size than those before it.")
        if ids.max() > len(model.members):
            raise InputError(f"The object mask {path} names object {ids.max()}; the scene has {len(model.members)}.")
        found.append(ids.astype(np.uint8))
    return np.stack(found).reshape(views, frames, *found[0].shape)
