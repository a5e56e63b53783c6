"""Vertex animation textures: a mesh at rest, and images from which a vertex shader reads where its vertices are.

A folder holds

- ``mesh.glb``: frame 0; a set of texture coordinates of its own (``uv_set``) points at every vertex's texel;
- ``positions.exr``: displacements from the rest pose, 32-bit floats, in the coordinates of ``mesh.glb``;
- ``positions.png``: the same with 16 bits, 0 and 1 are ``min`` and ``max``;
- ``normals.exr`` (16-bit floats) and ``normals.png`` (8 bits, ``2 v - 1``): unit normals in every frame;
- ``animation.json``: sizes, bounds, frames per second, loop and name.

Frame f of the vertex with the coordinates (u, v) is at (u, v + f * rows / height), v down from the first row.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from animate3d.errors import InputError
from animate3d.export.clip import Clip
from animate3d.export.gltf import build, write_container
from animate3d.export.gltf_buffer import ARRAY_BUFFER
from animate3d.export.gltf_geometry import primitives
from animate3d.export.shading import moving_normals
from animate3d.export.staging import result_folder

LARGEST = 8192
"""Pixels along a side that graphics cards of the last ten years take."""


@dataclass(frozen=True)
class Layout:
    """Where the texels are.

    Attributes:
        width, height: powers of two, as importers want them.
        rows: of one frame.
    """

    width: int
    height: int
    rows: int

    def lookups(self, count: int) -> np.ndarray:
        """Texture coordinates ``[S, 2]`` of the texels of frame 0, v down."""
        rows, columns = np.divmod(np.arange(count), self.width)
        return np.stack([(columns + 0.5) / self.width, (rows + 0.5) / self.height], axis=1)

    def image(self, values: np.ndarray) -> np.ndarray:
        """Vectors ``[F, S, 3]`` at their texels ``[height, width, 3]``, zero elsewhere."""
        frames, count, _ = values.shape
        padded = np.zeros((frames, self.rows * self.width, 3), dtype=values.dtype)
        padded[:, :count] = values
        image = np.zeros((self.height, self.width, 3), dtype=values.dtype)
        image[: frames * self.rows] = padded.reshape(frames * self.rows, self.width, 3)
        return image


def layout_of(vertices: int, frames: int) -> Layout:
    """The smallest texture for so many vertices and frames; of equal ones the widest.

    Raises:
        InputError: they do not fit.
    """
    best: Layout | None = None
    width = LARGEST
    while width >= 1:
        rows = -(-vertices // width)
        height = 1 << (frames * rows - 1).bit_length()
        if height <= LARGEST and (best is None or width * height < best.width * best.height):
            best = Layout(width, height, rows)
        width //= 2
    if best is None:
        raise InputError(
            f"{frames} frames of {vertices} vertices do not fit into a texture of {LARGEST} x {LARGEST}; take fewer "
            "frames or another format."
        )
    return best


def write_vertex_textures(clip: Clip, path: Path) -> None:
    """Write the folder; replaces one that was there.

    Raises:
        InputError: more vertices and frames than a texture holds.
    """
    groups, normals = moving_normals(clip.mesh, clip.positions)
    found = primitives(clip.mesh, groups)
    corners = np.concatenate([primitive.corners for primitive in found])
    vertices = clip.mesh.corners[corners]
    layout = layout_of(len(vertices), clip.n_frames)
    moves = (clip.positions - clip.positions[0].astype(np.float32))[:, vertices].astype(np.float32)
    turned = normals[:, groups[corners]].astype(np.float32)
    low, high = moves.min(axis=(0, 1)), moves.max(axis=(0, 1))
    extent = np.where(high > low, high - low, 1.0)
    document, binary, uv_set = _with_lookups(clip, layout.lookups(len(vertices)))
    facts = {
        "clip": clip.name,
        "frames": clip.n_frames,
        "fps": clip.fps,
        "loop": clip.closes,
        "width": layout.width,
        "height": layout.height,
        "rows": layout.rows,
        "vertices": len(vertices),
        "uv_set": uv_set,
        "up_axis": clip.mesh.up_axis,
        "positions": {"exr": "positions.exr", "png": "positions.png", "min": low.tolist(), "max": high.tolist()},
        "normals": {"exr": "normals.exr", "png": "normals.png", "min": [-1.0] * 3, "max": [1.0] * 3},
        "bounds": {"min": clip.positions.min(axis=(0, 1)).tolist(), "max": clip.positions.max(axis=(0, 1)).tolist()},
    }
    with result_folder(path, "animation.json", facts) as folder:
        write_container(folder / "mesh.glb", document, binary)
        shares = (layout.image(moves) - low) / extent
        _write(folder / "positions.exr", layout.image(moves), cv2.IMWRITE_EXR_TYPE_FLOAT)
        _write(folder / "positions.png", (shares.clip(0, 1) * 65535 + 0.5).astype(np.uint16))
        _write(folder / "normals.exr", layout.image(turned), cv2.IMWRITE_EXR_TYPE_HALF)
        _write(folder / "normals.png", ((layout.image(turned) / 2 + 0.5) * 255 + 0.5).astype(np.uint8))


def _write(path: Path, image: np.ndarray, kind: int | None = None) -> None:
    os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")  # it is switched off unless asked for
    options = [] if kind is None else [cv2.IMWRITE_EXR_TYPE, kind]
    written, content = cv2.imencode(path.suffix, np.ascontiguousarray(image[..., ::-1]), options)
    if not written:
        raise InputError(f"OpenCV could not write {path.name}.")
    path.write_bytes(content.tobytes())


def _with_lookups(clip: Clip, lookups: np.ndarray) -> tuple[dict[str, Any], bytes, int]:
    """The glTF document of frame 0 with one more set of texture coordinates, its buffer, and the set's number."""
    document, binary, _ = build(clip.still)
    buffer = bytearray(binary)
    entries = [primitive for mesh in document["meshes"] for primitive in mesh["primitives"]]
    used = [sum(name.startswith("TEXCOORD_") for name in entry["attributes"]) for entry in entries]
    uv_set = max(1, *used)

    def add(values: np.ndarray) -> int:
        content = np.ascontiguousarray(values, dtype=np.float32).tobytes()
        view = {"buffer": 0, "byteOffset": len(buffer), "byteLength": len(content), "target": ARRAY_BUFFER}
        document["bufferViews"].append(view)
        buffer.extend(content)
        number = len(document["accessors"])
        document["accessors"].append(
            {
                "bufferView": len(document["bufferViews"]) - 1,
                "componentType": 5126,
                "count": len(values),
                "type": "VEC2",
            }
        )
        return number

    start = 0
    for entry, sets in zip(entries, used, strict=True):
        count = document["accessors"][entry["attributes"]["POSITION"]]["count"]
        for empty in range(sets, uv_set):
            entry["attributes"][f"TEXCOORD_{empty}"] = add(np.zeros((count, 2)))
        entry["attributes"][f"TEXCOORD_{uv_set}"] = add(lookups[start : start + count])
        start += count
    document["buffers"] = [{"byteLength": len(buffer)}]
    return document, bytes(buffer), uv_set
