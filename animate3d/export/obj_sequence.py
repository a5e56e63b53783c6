"""A folder of OBJ files, ``frame0000.obj …``, that share one .mtl and its textures."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from animate3d.export.clip import Clip
from animate3d.export.shading import moving_normals
from animate3d.export.staging import result_folder
from animate3d.meshes.obj_writer import obj_faces, obj_rows, obj_vertices, unique_rows, write_materials


def write_obj_sequence(clip: Clip, path: Path) -> None:
    """Write the folder; replaces one that was there.

    Coordinates, axes and vertex order are those of the mesh's file; ``sequence.json`` notes frame rate and up axis,
    which OBJ has no place for. Every frame has its own normals.
    """
    mesh = clip.mesh
    facts = {"frames": clip.n_frames, "fps": clip.fps, "up_axis": mesh.up_axis}
    with result_folder(path, "sequence.json", facts) as folder:
        names = write_materials(mesh.materials, folder)
        uvs, uv_numbers = unique_rows(mesh.corner_uvs)
        groups, normals = moving_normals(mesh, clip.positions)
        before = "mtllib base.mtl\n"
        after = obj_faces(mesh, names, uv_numbers, groups)
        texture_rows = obj_rows("vt", uvs)
        digits = max(4, len(str(clip.n_frames - 1)))
        many = clip.n_frames * clip.n_vertices > 500_000
        for frame, positions in enumerate(tqdm(clip.positions, desc="obj sequence", disable=not many)):
            rows = obj_vertices(positions, mesh.vertex_colors, mesh.origin) + texture_rows
            rows += obj_rows("vn", normals[frame].round(5) + 0.0)
            (folder / f"frame{frame:0{digits}d}.obj").write_text(before + rows + after, encoding="utf-8")
