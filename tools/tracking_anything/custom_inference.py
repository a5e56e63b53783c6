"""Cut the object out of generated frames: RGBA images, from the frames and the masks of the first ones.

python custom_inference.py --folder_path FRAMES --save_path RESULTS --template_mask_folder STATIC_RENDERS
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from animate3d.errors import run_command
from animate3d.masks import BACKENDS, choose_segmenter, segment_folder

_EPILOG = """Frames are {v*F+f}.png (view v, frame f), templates {v}.png; results have the names of the frames.

examples:
  python custom_inference.py \\
      --folder_path ../../outputs/animate3d/animation_images/0-a-wooden-dragon-head-is-roaring \\
      --save_path ../../data/animate3d/mesh/tracking_rgba_images/0-a-wooden-dragon-head-is-roaring \\
      --template_mask_folder ../../outputs/animate3d/static_vis/dragon_head/save/images
  python custom_inference.py … --backend sam2 --model facebook/sam2.1-hiera-small
"""


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description="Foreground masks of generated frames, tracked from the alpha of the static renders.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder_path", type=Path, required=True, help="frames of all views")
    parser.add_argument("--save_path", type=Path, required=True, help="gets the RGBA images; replaced as a whole")
    parser.add_argument("--template_mask_folder", type=Path, required=True, help="RGBA renders of the first frames")
    parser.add_argument("--views", type=int, help="number of views (default: from the templates)")
    parser.add_argument(
        "--backend",
        default="auto",
        choices=BACKENDS,
        help="auto (default) uses SAM 2 when its weights are on this machine, else the grey background",
    )
    parser.add_argument("--model", help="SAM 2: a folder or a hub name that is in the local cache")
    options = parser.parse_args(argv)

    segmenter = choose_segmenter(options.backend, options.model)
    with tqdm(desc=f"masks ({segmenter.name})", unit="image", delay=0.5) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = segment_folder(
            options.folder_path,
            options.save_path,
            options.template_mask_folder,
            segmenter,
            views=options.views,
            progress=advance,
        )
    for warning in report.warnings():
        print(f"warning: {warning}", file=sys.stderr)
    verb = "replaced" if report.replaced else "wrote"
    print(f"{verb} {report.folder}: {report.views} views of {report.frames} frames ({report.backend})")
    return 0


if __name__ == "__main__":
    run_command(main)
