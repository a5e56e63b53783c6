"""A picture of a skeleton: the model coloured by bone with the bones over it, and the error of every frame."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import torch

from animate3d.cameras import orbit_cameras
from animate3d.export.skeleton.rig import Rig, Skinned
from animate3d.meshes.mesh import Mesh
from animate3d.meshes.placement import Placement
from animate3d.rasterize.textured import render_mesh

_SIZE = 512
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 40, 48  # margins of the diagram
_AZIMUTH, _ELEVATION = 30.0, 15.0
_INK, _FAINT = (40, 40, 40), (200, 200, 200)
_MEAN, _MAX = (30, 90, 200), (210, 90, 30)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def skeleton_picture(mesh: Mesh, found: Skinned, placement: Placement) -> np.ndarray:
    """The skeleton at rest beside its errors.

    Args:
        placement: stands the mesh before the camera.

    Returns:
        ``[512, 1024, 3]`` uint8
    """
    return np.concatenate([_bones(mesh, found.rig, placement), _errors(found)], axis=1)


def bone_colors(influences: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A colour for every vertex, mixed of those of its bones. ``[N, 3]`` 0..1

    Args:
        influences, weights: ``[N, 4]`` see `Rig`.
    """
    golden = 0.618034  # of the circle of hues from bone to bone: neighbours differ
    palette = np.array(
        [colorsys.hsv_to_rgb((golden * bone) % 1, 0.55, 0.95) for bone in range(int(influences.max()) + 1)]
    )
    return np.einsum("nk,nkc->nc", weights, palette[influences])


def _bones(mesh: Mesh, rig: Rig, placement: Placement) -> np.ndarray:
    camera = orbit_cameras(_ELEVATION, [_AZIMUTH], size=_SIZE)
    # A plain mesh: the objects of a scene would not all be shown by their vertex colours.
    colors = bone_colors(rig.influences, rig.weights)
    colored = Mesh.from_faces(mesh.vertices, mesh.triangles()[0], vertex_colors=colors, up_axis=mesh.up_axis)
    rest = np.asarray(placement.apply(mesh.vertices))[None]
    rgba = render_mesh(colored, rest, camera)[0, 0].astype(np.float32)
    alpha = rgba[..., 3:] / 255
    image = np.ascontiguousarray((rgba[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8))
    joints = torch.as_tensor(np.asarray(placement.apply(rig.joints)), dtype=torch.float32)
    places = [(round(float(x)), round(float(y))) for x, y in camera.project(joints)[0][0].tolist()]
    for bone, parent in enumerate(rig.parents.tolist()):
        if parent >= 0:
            cv2.line(image, places[parent], places[bone], (255, 255, 255), 5, cv2.LINE_AA)
            cv2.line(image, places[parent], places[bone], _INK, 2, cv2.LINE_AA)
    for bone, place in enumerate(places):
        cv2.circle(image, place, 6, _INK, -1, cv2.LINE_AA)
        cv2.circle(image, place, 4, (255, 210, 60) if rig.parents[bone] < 0 else (255, 255, 255), -1, cv2.LINE_AA)
    return image


def _errors(found: Skinned) -> np.ndarray:
    image = np.full((_SIZE, _SIZE, 3), 255, dtype=np.uint8)
    top = max(float(found.max_errors.max()) * 100, 1e-3)
    width, height = _SIZE - _LEFT - _RIGHT, _SIZE - _TOP - _BOTTOM
    for share in np.linspace(0, 1, 5).tolist():
        y = round(_TOP + height * (1 - share))
        cv2.line(image, (_LEFT, y), (_SIZE - _RIGHT, y), _FAINT, 1)
        _write(image, f"{share * top:.2g}", (8, y + 4))
    last = max(len(found.max_errors) - 1, 1)
    for frame in sorted({0, last // 2, last}):
        _write(image, str(frame), (round(_LEFT + width * frame / last) - 4, _SIZE - _BOTTOM + 18))
    for values, color in ((found.max_errors, _MAX), (found.mean_errors, _MEAN)):
        x = _LEFT + width * np.arange(len(values)) / last
        points = np.stack([x, _TOP + height * (1 - 100 * values / top)], axis=1).round().astype(np.int32)
        cv2.polylines(image, [points[:, None]], False, color, 2, cv2.LINE_AA)
    title = f"{len(found.rig)} bones: mean {100 * found.mean_error:.3g} %, max {100 * found.max_error:.3g} %"
    _write(image, f"{title} of the diagonal", (_LEFT, 24))
    _write(image, "frame", (_LEFT + width // 2 - 16, _SIZE - 10))
    _write(image, "max", (_SIZE - 100, _TOP + 16), _MAX)
    _write(image, "mean", (_SIZE - 66, _TOP + 16), _MEAN)
    return image


def _write(image: np.ndarray, text: str, at: tuple[int, int], color: tuple[int, int, int] = _INK) -> None:
    cv2.putText(image, text, at, _FONT, 0.42, color, 1, cv2.LINE_AA)
