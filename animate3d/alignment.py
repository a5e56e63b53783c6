"""Does frame 0 of the videos show the placed model? And if not, which placement would."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.ndimage import binary_closing, binary_fill_holes
from torch import Tensor

from animate3d.cameras import reconstruction_cameras
from animate3d.frames import composite, contact_sheet, save_image
from animate3d.meshes import Placement

_SEARCH_SIZE = 64


def silhouette_iou(a: Tensor, b: Tensor) -> list[float]:
    """Overlap of two sets of masks; the second is resized to the first.

    Args:
        a: ``[V, H, W]`` alpha, 0..1.
        b: ``[V, h, w]`` alpha, 0..1.

    Returns:
        intersection over union of each view (1 where both are empty).
    """
    b = torch.nn.functional.interpolate(b[:, None], size=a.shape[1:], mode="area")[:, 0]
    inside, covered = (a > 0.5) & (b > 0.5), (a > 0.5) | (b > 0.5)
    return [float(i.sum() / c.sum()) if c.any() else 1.0 for i, c in zip(inside, covered, strict=True)]


def save_comparison(first: Tensor, static: Tensor, overlap: list[float], path: Path) -> Path:
    """A picture of both, one column a view: frame 0 above, the placed model in the middle, both outlines below.

    Args:
        first, static: ``[V, H, W, 4]`` RGBA, 0..1, sizes may differ.
    """
    size = (256, 256)
    rows: list[list[np.ndarray]] = [[], [], []]
    for frame, model, iou in zip(first, static, overlap, strict=True):
        pair = [cv2.resize(image.numpy(), size, interpolation=cv2.INTER_AREA) for image in (frame, model)]
        for row, image in zip(rows, pair, strict=False):
            row.append((composite(torch.from_numpy(image), 0.5).numpy() * 255).astype(np.uint8))
        overlay = np.full((*size, 3), 128, np.uint8)
        for image, colour in zip(pair, ((255, 140, 0), (0, 120, 255)), strict=True):
            mask = (image[..., 3] > 0.5).astype(np.uint8)
            contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
            cv2.drawContours(overlay, contours, -1, colour, 2)
        cv2.putText(overlay, f"IoU {iou:.2f}", (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
        rows[2].append(overlay)
    save_image(path, contact_sheet(np.stack([np.stack(row) for row in rows])))
    return path


def suggest(vertices: np.ndarray, placement: Placement, masks: Tensor) -> str:
    """The documented flags under which the mesh fits frame 0 best, as advice in one sentence.

    Quarter turns about x and z and a range of scales are tried on the filled silhouette of the vertices.

    Args:
        vertices: ``[N, 3]`` in the file's coordinates.
        masks: ``[V, H, W]`` alpha of frame 0.
    """
    views = masks.shape[0]
    cameras = reconstruction_cameras(views, _SEARCH_SIZE)
    target = torch.nn.functional.interpolate(masks[:, None], size=(_SEARCH_SIZE,) * 2, mode="area")[:, 0]
    extent = float(np.abs(vertices).max())
    candidates = []
    for x, z, scale in product((0.0, 90.0, 180.0, 270.0), (0.0, 90.0, 180.0, 270.0), np.geomspace(0.4, 1.1, 9)):
        turned = Placement.from_flags(x, z, scale / extent)
        candidates.append((_score(turned.apply(vertices), cameras, target), x, z, scale / extent))
    score, x, z, factor = max(candidates)
    now = _score(placement.apply(vertices), cameras, target)
    if score < now + 0.05:
        return (
            "No quarter turn or scale of the mesh fits better: check that the frames show this mesh, seen from "
            "azimuths 0°, 90°, … at elevation 15°, in the order of the views."
        )
    return f"Try: --rot-x-degree {x:g} --rot-z-degree {z:g} --scale-factor {factor:.3g} (IoU about {score:.2f})."


def _score(points: np.ndarray, cameras: object, target: Tensor) -> float:
    """Mean IoU of the points' filled silhouettes with ``target`` ``[V, S, S]``."""
    pixels, _ = cameras.project(torch.as_tensor(points, dtype=torch.float32))  # type: ignore[attr-defined]
    cells = pixels.floor().long()
    drawn = torch.zeros_like(target)
    inside = ((cells >= 0) & (cells < _SEARCH_SIZE)).all(dim=-1)
    for v in range(len(target)):
        chosen = cells[v][inside[v]]
        drawn[v, chosen[:, 1], chosen[:, 0]] = 1.0
        closed = binary_fill_holes(binary_closing(drawn[v].numpy() > 0.5, iterations=2))
        drawn[v] = torch.from_numpy(np.asarray(closed, np.float32))
    return float(np.mean(silhouette_iou(target, drawn)))
