"""Step 1 of mesh animation: one Gaussian per mesh vertex, and the mesh's edges."""

from __future__ import annotations

import argparse
from pathlib import Path

from animate3d.errors import InputError, run_command
from animate3d.gaussians import from_mesh, save_edges, save_ply
from animate3d.meshes import load_mesh

EXAMPLES = """examples:
  python tools/mesh_animation/mesh2gaussian.py \\
      --input_obj data/animate3d/mesh/obj_file/dragon_head/base.obj \\
      --output_dir data/animate3d/mesh/converted_gaussian --output_name dragon_head
  python tools/mesh_animation/mesh2gaussian.py --input_obj robot.glb --output_dir converted

Three files are written: <name>.ply with the Gaussians, <name>.json with the length of every mesh edge
(system.connected_vertices_info_path), and <name>.placement.json with the automatic placement, the rotation, scale and
translation that put the object before the cameras."""


def main(argv: list[str] | None = None) -> int:
    """Parse the documented flags and write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--input_obj", type=Path, required=True, help="mesh file (obj, glb, gltf, ply, stl, off, fbx) or object folder"
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for the results; made if needed")
    parser.add_argument("--output_name", help="name of the results (default: the object's name)")
    args = parser.parse_args(argv)
    mesh = load_mesh(args.input_obj)
    name = args.output_name or mesh.name
    if Path(name).name != name:
        raise InputError(f"--output_name is a name without folders, got {name!r}; use --output_dir for the folder.")

    placement = mesh.automatic_placement()
    save_ply(from_mesh(mesh), args.output_dir / f"{name}.ply")
    save_edges(mesh, args.output_dir / f"{name}.json")
    placement.save(args.output_dir / f"{name}.placement.json")
    print(f"{mesh.n_vertices} Gaussians: {args.output_dir / name}.ply")
    print(f"mesh edges: {args.output_dir / name}.json")
    print(f"placement (scale {placement.scale:.4g}): {args.output_dir / name}.placement.json")
    return 0


if __name__ == "__main__":
    run_command(main)
