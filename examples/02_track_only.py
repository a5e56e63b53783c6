"""Follow a mesh through videos, without Gaussians, a deformation field or training.

Tracking is the first half of what `animate3d.animate` does with videos. It takes a fraction of a second per frame, and
its result can be exported as it is.
"""

from pathlib import Path

import animate3d
from animate3d.creatures.dragon import demo_asset, write_demo_frames
from animate3d.evaluation.recovery import recovery

OUT = Path("outputs/examples/track")


def main(out: Path = OUT, frame_count: int = 16, size: int = 256) -> None:
    """Track the dragon while it bends, and say how far off the vertices are."""
    truth = write_demo_frames("bend", out / "frames", frames_per_view=frame_count, size=size)
    mesh = animate3d.load_mesh(demo_asset())
    trajectory = animate3d.track(mesh, out / "frames", progress=lambda frame: print(f"frame {frame}"))
    path = animate3d.export_animation(mesh, trajectory, out / "dragon.glb")
    print(f"{path}: mean vertex error {100 * recovery(trajectory, truth).error:.2f} % of the dragon's size")


if __name__ == "__main__":
    main()
