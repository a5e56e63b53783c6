"""``.splat`` files: 32 bytes a Gaussian and nothing else, degree 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from animate3d.errors import InputError
from animate3d.gaussians.gaussians import Gaussians
from animate3d.gaussians.sh import C0
from animate3d.gaussians.usable import gaussians_of, logits

_ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])


def read_splat(path: Path) -> Gaussians:
    """Positions, sizes (not logarithms), colours with opacity, rotations w x y z in bytes around 128.

    Raises:
        InputError: the length is not a whole number of Gaussians.
    """
    size = path.stat().st_size
    if size == 0 or size % _ROW.itemsize:
        raise InputError(
            f"{path} has {size} bytes; a .splat file has {_ROW.itemsize} for each Gaussian, so it is truncated or "
            "something else."
        )
    rows = np.fromfile(path, dtype=_ROW)
    rgba = rows["rgba"] / np.float32(255)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_scales = np.log(rows["scale"])
    quats = rows["quat"].astype(np.float32) / 128 - 1
    return gaussians_of(rows["mean"], ((rgba[:, :3] - 0.5) / C0)[:, None], logits(rgba[:, 3]), log_scales, quats)
