"""Gaussians in motion as a folder of plys, ``frame0000.ply …``, which splat viewers play as a sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from animate3d.errors import InputError
from animate3d.export.staging import result_folder
from animate3d.gaussians import Gaussians, save_ply
from animate3d.progress import Bar


def export_gaussians(
    gaussians: Gaussians,
    path: Path,
    *,
    means: Tensor,
    quats: Tensor | None = None,
    scales: Tensor | None = None,
    fps: float = 24.0,
    up_axis: str = "z",
    origin: np.ndarray | None = None,
) -> Path:
    """Write a sequence of 3DGS plys with the same Gaussians in the same order.

    Colours keep the spherical harmonics of the static model, as the deformation does.

    Args:
        gaussians: the static model.
        path: folder to write; replaces one that was there.
        means: ``[F, N, 3]``
        quats: ``[F, N, 4]`` w x y z; None keeps the static ones.
        scales: ``[F, N, 3]`` > 0 (not logarithms); None keeps the static ones.
        fps: frames per second, noted in ``sequence.json`` because plys have no time.
        up_axis: ``"y"`` or ``"z"``, noted there too.
        origin: ``[3]`` to add to the means for the coordinates of the file they come from; noted there where not zero.

    Raises:
        InputError: another number of Gaussians, or values that are not finite.
    """
    n = len(gaussians)
    for name, values, size in (("means", means, 3), ("quats", quats, 4), ("scales", scales, 3)):
        if values is not None and (values.shape != (len(means), n, size) or len(means) == 0):
            raise InputError(
                f"`{name}` has shape {list(values.shape)}; {n} Gaussians in {len(means)} frames need "
                f"{[len(means), n, size]}."
            )
        if values is not None and not torch.isfinite(values).all():
            raise InputError(f"`{name}` holds NaN or infinite values.")

    def moved(frame: int) -> Gaussians:
        return replace(
            gaussians,
            means=means[frame].to(gaussians.means),
            quats=gaussians.quats if quats is None else quats[frame].to(gaussians.quats),
            log_scales=gaussians.log_scales if scales is None else scales[frame].to(gaussians.log_scales).log(),
        )

    return write_ply_sequence(moved, len(means), path, fps=fps, up_axis=up_axis, origin=origin)


def write_ply_sequence(
    moved: Callable[[int], Gaussians],
    frames: int,
    path: Path,
    *,
    fps: float,
    up_axis: str = "z",
    origin: np.ndarray | None = None,
) -> Path:
    """`export_gaussians` of frames that are made one at a time, when they are written.

    Args:
        moved: makes the Gaussians of a frame.
        frames: how many there are.
    """
    facts: dict[str, Any] = {"frames": frames, "fps": fps, "up_axis": up_axis}
    if origin is not None and origin.any():
        facts["origin"] = origin.tolist()
    with result_folder(Path(path), "sequence.json", facts) as folder:
        digits = max(4, len(str(frames - 1)))
        for frame in Bar(range(frames), desc="ply sequence", unit="frame"):
            gaussians = moved(frame)
            if not all(part.isfinite().all() for part in (gaussians.means, gaussians.quats, gaussians.log_scales)):
                raise InputError(f"Frame {frame} of the motion holds NaN or infinite values.")
            save_ply(gaussians, folder / f"frame{frame:0{digits}d}.ply")
    return path
