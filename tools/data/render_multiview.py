"""Render animated GLB and FBX files to MV-Video's layout, ready for training."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from animate3d.errors import InputError, run_command
from animate3d.mvvdm.data.render import render_file

EXAMPLES = """examples:
  python tools/data/render_multiview.py dragon.glb --out data/my_videos --prompt "A dragon is flapping its wings."
  python tools/data/render_multiview.py walk.fbx --out data/my_videos --uid fox --prompt "A fox walks." --licence by

Every file becomes videos/<uid>/00/view_0.mp4 ... view_15.mp4 (two seconds at 24 fps, grey background; files of more
than four seconds also 01 with the last two) and an entry in uid_info_dict.json. Train with
train_data.info_path=data/my_videos, or filter with `animate3d data index data/my_videos --out my.json`.
Needs the extra `blender`.
"""


def main(argv: list[str] | None = None) -> int:
    """Parse the flags and render the files one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", help=".glb, .gltf or .fbx with an animation")
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set; made or added to")
    parser.add_argument("--prompt", default="", help="caption of the motion (of all given files)")
    parser.add_argument("--uid", help="id of the object (default: the file's name; for one file only)")
    parser.add_argument("--licence", "--license", default="", help="licence of the object, e.g. by or cc0")
    parser.add_argument("--url", default="", help="where the object comes from")
    parser.add_argument("--seed", type=int, default=0, help="of elevation and start azimuth (default 0)")
    parser.add_argument("--size", type=int, default=512, help="side of the videos in pixels (default 512)")
    args = parser.parse_args(argv)
    if args.uid and len(args.files) > 1:
        raise InputError("--uid names one object; give one file, or leave the flag out to use the files' names.")
    names = [args.uid or path.stem for path in args.files]
    if len(set(names)) < len(names):
        raise InputError(
            "Two files have the same name and would overwrite each other; render them one by one with --uid."
        )
    for path, uid in zip(args.files, names, strict=True):
        keys = render_file(
            path,
            args.out,
            uid=uid,
            prompt=args.prompt,
            licence=args.licence,
            url=args.url,
            seed=args.seed,
            size=args.size,
            progress=lambda views, uid=uid: tqdm(views, desc=uid, unit="view"),
        )
        print(f"{path}: {', '.join(keys)} in {args.out}")
    return 0


if __name__ == "__main__":
    run_command(main)
