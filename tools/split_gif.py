"""Split a side-by-side GIF of V views into numbered images.

python tools/split_gif.py --gif_path outputs/animate3d/animation_gif/0-a-dog-runs.gif --output_folder outputs/images
"""

from __future__ import annotations

import argparse
from pathlib import Path

from animate3d.errors import run_command
from animate3d.mvvdm.split import split


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description="Split a side-by-side GIF into the images {v*F+f}.png.",
        epilog="The lossless frames beside the GIF are used when inference.py left them there.\n\n"
        "example:\n  python tools/split_gif.py --gif_path outputs/0-a-dog-runs.gif --output_folder outputs/images",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--gif_path", type=Path, required=True)
    parser.add_argument("--output_folder", type=Path, required=True, help="the images go to {this}/{name of the GIF}/")
    parser.add_argument("--views", type=int, help="number of views (default: from the record or the shape)")
    options = parser.parse_args(argv)
    existed = (options.output_folder / options.gif_path.stem).exists()
    folder, lossless = split(options.gif_path, options.output_folder, options.views)
    source = "lossless frames" if lossless else "the GIF (256 colours)"
    print(f"{'replaced' if existed else 'wrote'} {folder} from {source}")
    return 0


if __name__ == "__main__":
    run_command(main)
