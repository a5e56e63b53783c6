"""Measure an animated model against the videos that it should look like: PSNR, SSIM, IoU, warping error, rigidity.

Reads what 01_animate_from_videos.py left; any folder of a motion fit does. docs/evaluation.md defines the metrics, and
`animate3d evaluate --testset` measures a whole test set.
"""

from pathlib import Path

from animate3d.evaluation.command import EvaluateOptions, evaluate

RUN = Path("outputs/examples/videos")


def main(run: Path = RUN, size: int | None = None) -> None:
    """Write evaluation.md, evaluation.csv and pictures beside the run, and show the numbers."""
    checkpoint = run / "work" / "mesh" / "object" / "ckpts" / "last.ckpt"
    options = EvaluateOptions(run / "evaluation", checkpoint=checkpoint, videos=run / "frames", size=size)
    (measured,) = evaluate(options, announce=print)
    for name, value in measured.values.items():
        print(f"{name:20}{value:10.4f}")


if __name__ == "__main__":
    main()
