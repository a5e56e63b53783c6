"""Measure a motion against the true one: vertex errors, and what cameras see that the motion was not fitted to.

`animate3d evaluate` measures trained models of a test set against their videos (PSNR, SSIM, IoU, warping error, ARAP
energy, VBench); docs/evaluation.md defines the metrics.
"""

from pathlib import Path

import numpy as np

import animate3d
from animate3d.creatures.dragon import demo_asset, write_demo_frames
from animate3d.evaluation.recovery import held_out_psnr, recovery

OUT = Path("outputs/examples/evaluate")


def main(out: Path = OUT, frame_count: int = 16, size: int = 256) -> None:
    """Track a known motion, and compare it and standing still with the truth."""
    truth = write_demo_frames("hop", out / "frames", frames_per_view=frame_count, size=size)
    mesh = animate3d.load_mesh(demo_asset())
    tracked = animate3d.track(mesh, out / "frames").positions
    still = np.repeat(truth[:1], len(truth), axis=0)
    placement = mesh.automatic_placement()
    for name, positions in {"tracked": tracked, "standing still": still}.items():
        error = recovery(positions, truth).error
        seen = held_out_psnr(mesh, positions, truth, placement, size=size)
        print(f"{name:15} vertex error {100 * error:5.2f} % of the diagonal, held-out views {seen:5.1f} dB")


if __name__ == "__main__":
    main()
