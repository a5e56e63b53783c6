"""A folder of OBJ files, ``frame0000.obj …``, that share one .mtl and its textures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from animate3d.export.clip import Clip
from animate3d.files import atomic_directory, write_json
from animate3d.meshes.obj import save_obj


def write_obj_sequence(clip: Clip, path: Path) -> None:
    """Write the folder; replaces one that was there.

    Coordinates, axes and vertex order are those of the mesh's file; ``sequence.json`` notes frame rate and up axis,
    which OBJ has no place for. Stored normals are left out: they hold for the rest pose only.
    """
    with atomic_directory(path) as folder:
        base = save_obj(clip.mesh.with_vertices(clip.positions[0]), folder)
        lines = base.read_text().splitlines(keepends=True)
        base.unlink()
        is_vertex = [line.startswith("v ") for line in lines]
        first = is_vertex.index(True)
        before, after = "".join(lines[:first]), "".join(lines[first + clip.n_vertices :])
        # Vertex colours follow the coordinates on a vertex's line.
        colors = [" ".join(line.split()[4:]) for line in lines[first : first + clip.n_vertices]]
        digits = max(4, len(str(clip.n_frames - 1)))
        many = clip.n_frames * clip.n_vertices > 500_000
        for frame, positions in enumerate(tqdm(clip.positions, desc="obj sequence", disable=not many)):
            (folder / f"frame{frame:0{digits}d}.obj").write_text(before + _vertex_lines(positions, colors) + after)
        write_json(folder / "sequence.json", {"frames": clip.n_frames, "fps": clip.fps, "up_axis": clip.mesh.up_axis})


def _vertex_lines(positions: np.ndarray, colors: list[str]) -> str:
    rows = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in positions.tolist()]
    if colors and colors[0]:
        rows = [f"{row} {color}" for row, color in zip(rows, colors, strict=True)]
    return "\n".join(rows) + "\n"
