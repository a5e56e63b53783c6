"""A mesh and four synchronised videos of it -> an animated file.

The videos are a folder of RGBA images {v*F+f}.png: view v from azimuth 0°, 90°, 180°, 270° at elevation 15°, frame f.
Here they are renders of a dragon whose motion is known, so that the result can be compared with the truth.
"""

from pathlib import Path

import animate3d
from animate3d.creatures.dragon import demo_asset, write_demo_frames
from animate3d.evaluation.recovery import recovery

OUT = Path("outputs/examples/videos")


def main(out: Path = OUT, frame_count: int = 16, size: int = 256) -> None:
    """Animate the dragon; `field=True` would fit a deformation field on top of the tracked motion."""
    truth = write_demo_frames("wing_flap", out / "frames", frames_per_view=frame_count, size=size)
    result = animate3d.animate(demo_asset(), frames=out / "frames", out=out, formats=("glb",))
    report = recovery(result.trajectory, truth)
    print(f"{result.files['glb']}: mean vertex error {100 * report.error:.2f} % of the dragon's size,")
    print(f"where the true motion moves it by {100 * report.displacement:.2f} %")


if __name__ == "__main__":
    main()
