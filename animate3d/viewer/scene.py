"""A moving model in a viser scene: a node for each frame, of which one is visible."""

from __future__ import annotations

import base64
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from animate3d.export.clip import checked_clip
from animate3d.export.gltf import write_gltf
from animate3d.export.gltf_materials import alpha_entry, sampler_of
from animate3d.meshes.materials import GltfMaterial, GltfTexture, Material
from animate3d.meshes.mesh import Mesh
from animate3d.rotations import quaternion_to_matrix
from animate3d.viewer.colors import displacement, ramp
from animate3d.viewer.mesh_data import image_uri
from animate3d.viewer.moving import MovingGaussians, MovingMesh
from animate3d.viewer.splat_data import fewer

COLORS = ("displacement", "confidence", "bone")
"""What a mesh can be coloured by: how far each vertex has moved, how well it was followed, which bones move it."""
MOST_NODES = 150
"""More frames are thinned out: each is a node of its own."""
_TEXTURE = 1024  # pixels
_BYTES = 150_000_000  # of all frames of a mesh together
_SPLATS, _ALL_SPLATS = 50_000, 1_000_000  # in a frame, and in all frames


class Actor:
    """A moving model that stands in the scene; its first frame is there at once, the others are loaded one by one.

    Args:
        scene: `viser.SceneApi`.
        name: of its nodes.
        moving: the model.
        colored: what is shown in place of the materials, one of `COLORS`; empty for these.
        position: where it stands.
    """

    def __init__(
        self,
        scene: Any,
        name: str,
        moving: MovingMesh | MovingGaussians,
        *,
        colored: str = "",
        position: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        self.moving = moving
        self._scene, self._name, self._position = scene, name, position
        self._chosen = shown_frames(moving.frames)
        self._lock, self._removed = threading.RLock(), False
        nodes = self._made(colored)
        self._nodes: list[Any] = [next(nodes)]
        self._visible = 0
        threading.Thread(target=self._load, args=(nodes,), daemon=True).start()

    def go(self, frame: int) -> None:
        """Show a frame, or the nearest before it that is loaded."""
        with self._lock:
            number = min(int(np.searchsorted(self._chosen, frame, side="right")) - 1, len(self._nodes) - 1)
            if number != self._visible and not self._removed:
                self._nodes[number].visible = True
                self._nodes[self._visible].visible = False
                self._visible = number

    def remove(self) -> None:
        """Take it out of the scene."""
        with self._lock:
            self._removed = True
            for node in self._nodes:
                node.remove()

    def _made(self, colored: str) -> Iterator[Any]:
        place: dict[str, Any] = {"position": self._position}
        if isinstance(self.moving, MovingMesh):
            positions = self.moving.positions[self._chosen]
            colors = _quantity(self.moving, positions, self._chosen, colored)
            for number, glb in enumerate(mesh_frames(self.moving.mesh, positions, colors)):
                place |= {"visible": number == 0, "cast_shadow": False, "receive_shadow": False}
                yield self._scene.add_glb(f"{self._name}/{number}", glb, **place)
        else:
            for number, arrays in enumerate(splat_frames(self.moving, self._chosen)):
                place["visible"] = number == 0
                yield self._scene.add_gaussian_splats(f"{self._name}/{number}", **arrays, **place)

    def _load(self, nodes: Iterator[Any]) -> None:
        for node in nodes:
            with self._lock:
                if self._removed:
                    node.remove()
                    return
                self._nodes.append(node)


def _quantity(moving: MovingMesh, positions: np.ndarray, chosen: np.ndarray, name: str) -> np.ndarray | None:
    """What the colours of a mesh stand for ``[f, N]`` 0..1, or the colours ``[f, N, 3]``; None for its materials."""
    if name == "bone" and moving.bones is not None:
        return np.broadcast_to(moving.bones, (len(chosen), *moving.bones.shape))
    if name == "confidence" and moving.confidence is not None:
        return np.asarray(moving.confidence[chosen])
    return displacement(positions) if name == "displacement" else None


def shown_frames(count: int) -> np.ndarray:
    """Numbers of the frames that become nodes, evenly spread."""
    return np.unique(np.linspace(0, count - 1, MOST_NODES).round().astype(int))


def mesh_frames(mesh: Mesh, positions: np.ndarray, colors: np.ndarray | None = None) -> Iterator[bytes]:
    """Every frame as a ``.glb``.

    Args:
        positions: ``[F, N, 3]`` placed.
        colors: ``[F, N]`` in 0..1, or colours ``[F, N, 3]``, shown in place of the materials.
    """
    side = _TEXTURE
    while side > 64 and len(positions) * sum(_size(m, side) for m in mesh.materials) > _BYTES:
        side //= 2
    # z is up in the scene as well: the file must not turn it.
    plain = replace(mesh.with_vertices(positions[0]), up_axis="y", parts=[], face_parts=None, origin=np.zeros(3))
    if colors is None:
        plain = replace(plain, materials=[_compact(plain, index, side) for index in range(len(plain.materials))])
    for frame, points in enumerate(positions):
        shown = plain if colors is None else _painted(plain, colors[frame])
        yield _glb(shown, points)


def _glb(mesh: Mesh, points: np.ndarray) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.glb"
        write_gltf(checked_clip(mesh, points[None], 1.0), path)
        return path.read_bytes()


def _painted(mesh: Mesh, values: np.ndarray) -> Mesh:
    colors = (values if values.ndim == 2 else ramp(values)).astype(np.float32)
    material = [Material("ramp", double_sided=True)] * len(mesh.materials)
    return replace(mesh, vertex_colors=colors, corner_uvs=None, materials=material, gltf=None)


def _size(material: Material, side: int) -> int:
    texture = material.textures.get("diffuse")
    return 0 if texture is None else min(side, texture.shape[0]) * min(side, texture.shape[1]) // 3


def _compact(mesh: Mesh, index: int, side: int) -> Material:
    """The colour of a material alone, its texture small and encoded once for all frames."""
    material = mesh.materials[index]
    entry: dict[str, Any] = {
        "name": material.name,
        "doubleSided": True,
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9},
        **alpha_entry(mesh, index),
    }
    texture = material.textures.get("diffuse")
    if texture is None or mesh.corner_uvs is None:
        return replace(material, textures={}, gltf=None)
    kind, _, content = image_uri(texture, side).removeprefix("data:").partition(";base64,")
    entry["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
    stored = GltfTexture({}, sampler_of(material, "diffuse"), {"": ({"mimeType": kind}, base64.b64decode(content))})
    return replace(material, gltf=GltfMaterial(entry, {0: stored}))


def splat_frames(moving: MovingGaussians, chosen: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """What `viser.SceneApi.add_gaussian_splats` takes for every chosen frame."""
    motion = fewer(moving.motion, min(_SPLATS, _ALL_SPLATS // len(chosen)))
    model = motion.model
    rgbs, opacities = model.colors.cpu().numpy(), model.opacities[:, None].cpu().numpy()
    for frame in chosen.tolist():
        pose = motion.pose(frame)
        axes = quaternion_to_matrix(torch.nn.functional.normalize(pose.quats, dim=-1)) * pose.scales[:, None, :]
        yield {
            "centers": pose.means.cpu().numpy(),
            "covariances": (axes @ axes.mT).cpu().numpy(),
            "rgbs": rgbs,
            "opacities": opacities,
        }
