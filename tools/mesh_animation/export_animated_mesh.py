"""Export an animated mesh: a mesh and the trajectory of its vertices, in the format that the suffix names.

The trajectory is a folder of ``{frame}.npy`` files, each [N, 3] in the placed frame, as ``launch.py --test`` writes
it with ``system.save_gaussian_trajectory=True``. The placement is undone with the same flags that were given there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from animate3d.errors import InputError, run_command
from animate3d.export import SUFFIXES, export_with_report
from animate3d.meshes import Mesh, Placement, load_mesh
from animate3d.motion.trajectory import Trajectory

EXAMPLES = """examples:
  python tools/mesh_animation/export_animated_mesh.py \\
      --obj_dir data/animate3d/mesh/obj_file/dragon_head \\
      --npy_dir outputs/animate3d/mesh_vis/dragon_head/save/mesh_trajectory \\
      --output_path outputs/animate3d/mesh_vis/dragon_head/save/animate3d_model.fbx \\
      --theta_x_degree 90. --theta_z_degree 90. --scale_factor 0.76

  the same as GLB for an engine that allows 8 morph targets:
      … --output_path model.glb --max_morphs 8

  played in a loop, 24 frames per second from a motion of 8, and with a name:
      … --fps 8 --loop --resample 24 --clip-name flap --output_path model.glb

  with the placement file of `animate3d animate`:
      … --placement out/work/placement.json --output_path model.usdz
"""


def main(argv: list[str] | None = None) -> int:
    """Parse the flags, load, undo the placement, export."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--obj_dir", required=True, help="object folder (base.obj, base.mtl, textures) or mesh file")
    parser.add_argument("--npy_dir", required=True, help="folder of {frame}.npy, each [N, 3] in the placed frame")
    parser.add_argument("--output_path", required=True, help=f"result, ending in .{', .'.join(SUFFIXES)}")
    parser.add_argument("--theta_x_degree", type=float, help="rot_x_degree used for the reconstruction (default 0)")
    parser.add_argument("--theta_z_degree", type=float, help="rot_z_degree used for the reconstruction (default 0)")
    parser.add_argument("--scale_factor", type=float, help="scale_factor used for the reconstruction (default 1)")
    parser.add_argument("--placement", metavar="FILE", help="placement file instead of the three flags above")
    parser.add_argument("--fps", type=float, default=24.0, help="frames per second (default 24)")
    parser.add_argument(
        "--max_morphs", "--max-morphs", type=int, help="at most this many morph targets in FBX and glTF"
    )
    parser.add_argument("--loop", action="store_true", help="close the motion, to be played in a loop")
    parser.add_argument(
        "--resample", type=float, metavar="FPS", help="frames per second of the file, with in-betweens (default --fps)"
    )
    parser.add_argument(
        "--clip-name", "--clip_name", metavar="NAME", help="name of the animation (default: the mesh's name)"
    )
    args = parser.parse_args(argv)

    placement = _placement(args)
    mesh = load_mesh(args.obj_dir)
    trajectory = Trajectory.load_npy_folder(args.npy_dir, placement, mesh.n_vertices)
    _check_rest_pose(mesh, trajectory)
    report = export_with_report(
        mesh,
        trajectory.positions,
        Path(args.output_path),
        fps=args.fps,
        max_morphs=args.max_morphs,
        loop=args.loop,
        clip_name=args.clip_name,
        resample=args.resample,
    )
    print(report)
    return 0


def _check_rest_pose(mesh: Mesh, trajectory: Trajectory) -> None:
    """Flags other than the reconstruction's leave the object turned or scaled: say so."""
    distance = np.linalg.norm(trajectory.positions[0] - mesh.vertices, axis=1).mean() / mesh.diagonal()
    if distance > 0.05:
        print(
            f"warning: frame 0 is {100 * distance:.0f} % of the diagonal away from the mesh at rest; "
            "are these the rotation and scale that the reconstruction used?",
            file=sys.stderr,
        )


def _placement(args: argparse.Namespace) -> Placement:
    flags = (args.theta_x_degree, args.theta_z_degree, args.scale_factor)
    if args.placement is None:
        theta_x, theta_z, scale = (
            default if flag is None else flag for flag, default in zip(flags, (0.0, 0.0, 1.0), strict=True)
        )
        return Placement.from_flags(theta_x, theta_z, scale)
    if any(flag is not None for flag in flags):
        raise InputError(
            "Give either --placement or the flags --theta_x_degree, --theta_z_degree, --scale_factor, not both."
        )
    return Placement.load(args.placement)


if __name__ == "__main__":
    run_command(main)
