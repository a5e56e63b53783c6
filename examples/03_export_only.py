"""Vertex positions of your own -> GLB, USD and OBJ files, and a video to look at.

Any motion can be exported: an array [frames, vertices, 3] in the coordinates of the mesh's file, frame 0 the mesh as it
is. UVs, materials and the order of the vertices stay those of the file. FBX and Alembic need Blender (docs/export.md).
"""

from pathlib import Path

import numpy as np

import animate3d
from animate3d.creatures.dragon import demo_asset
from animate3d.frames import save_frames

OUT = Path("outputs/examples/export")


def main(out: Path = OUT, frame_count: int = 24, formats: tuple[str, ...] = ("glb", "usdc", "obj")) -> None:
    """Let the dragon sway like seaweed, once there and back."""
    mesh = animate3d.load_mesh(demo_asset())
    height = mesh.vertices[:, 1] - mesh.vertices[:, 1].min()  # y is up in this file
    sway = np.sin(2 * np.pi * np.arange(frame_count) / frame_count)
    positions = np.repeat(mesh.vertices[None], frame_count, axis=0)
    positions[..., 0] += 0.3 * sway[:, None] * height**2
    for suffix in formats:
        print(animate3d.export_animation(mesh, positions, out / f"dragon.{suffix}", fps=12))
    save_frames(out / "views", animate3d.render(mesh, positions=positions), fps=12)  # and views/preview.mp4


if __name__ == "__main__":
    main()
