"""Render animated GLB and FBX files to MV-Video's layout, ready for training."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from animate3d.arguments import add_ray
from animate3d.cluster import Ended
from animate3d.errors import InputError, run_command
from animate3d.mvvdm.data.render_many import FAILED, Animated, Rendering, find_files, render_many, with_info

EXAMPLES = """examples:
  python tools/data/render_multiview.py dragon.glb --out data/my_videos --prompt "A dragon is flapping its wings."
  python tools/data/render_multiview.py walk.fbx --out data/my_videos --uid fox --prompt "A fox walks." --licence by
  python tools/data/render_multiview.py models/ --info captions.json --out data/my_videos --ray

Every file becomes videos/<uid>/00/view_0.mp4 ... view_15.mp4 (two seconds at 24 fps, grey background; files of more
than four seconds also 01 with the last two) and an entry in uid_info_dict.json. Train with
train_data.info_path=data/my_videos, or filter with `animate3d data index data/my_videos --out my.json`.
Run the same command again to do what is missing. The exit code is 1 if an object has failed; failed.json says why.
Needs the extra `blender`.
"""


def main(argv: list[str] | None = None) -> int:
    """Parse the flags and render the files; 1 if one of several has failed."""
    args = _parser().parse_args(argv)
    items = _items(args)
    how = Rendering(args.out, args.seed, args.size)
    alone = len(items) == 1
    ends = render_many(
        items,
        how,
        address=args.ray,
        force=args.force,
        views=lambda views: tqdm(views, unit="view", leave=False, disable=not alone),
    )
    return _told(ends, items, args.out)


def _told(ends: Iterator[Ended], items: Sequence[Animated], out: Path) -> int:
    paths, failed = {item.uid: item.path for item in items}, 0
    for ended in tqdm(ends, total=len(items), unit="object", disable=len(items) == 1):
        if ended.error is None:
            keys = ", ".join(f"{ended.key}/{name}" for name in ended.facts)
            tqdm.write(f"{paths[ended.key]}: {keys} in {out}")
        elif len(items) == 1:
            raise InputError(ended.error)
        else:
            failed += 1
            tqdm.write(f"failed: {ended.error}")
    if failed:
        tqdm.write(f"{len(items) - failed} objects rendered, {failed} failed: {out / FAILED}")
    return int(failed > 0)


def _items(args: argparse.Namespace) -> list[Animated]:
    files = find_files(args.files)
    if args.uid and len(files) > 1:
        raise InputError("--uid names one object; give one file, or leave the flag out to use the files' names.")
    items = [Animated(path, args.uid or path.stem, args.prompt, args.licence, args.url) for path in files]
    twice = [uid for uid, count in Counter(item.uid for item in items).items() if count > 1]
    if twice:
        raise InputError(
            f"Two files have the same name `{twice[0]}` and would overwrite each other; render them one by one with "
            "--uid."
        )
    return with_info(items, args.info) if args.info else items


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "files", type=Path, nargs="+", help=".glb, .gltf or .fbx with an animation, or folders of such files"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set; made or added to")
    parser.add_argument("--prompt", default="", help="caption of the motion (of all given files)")
    parser.add_argument("--uid", help="id of the object (default: the file's name; for one file only)")
    parser.add_argument("--licence", "--license", default="", help="licence of the object, e.g. by or cc0")
    parser.add_argument("--url", default="", help="where the object comes from")
    parser.add_argument(
        "--info", type=Path, metavar="FILE", help='JSON {"uid": {"prompt": …, "license": …, "url": …}} of the files'
    )
    parser.add_argument("--seed", type=int, default=0, help="of elevation and start azimuth (default 0)")
    parser.add_argument("--size", type=int, default=512, help="side of the videos in pixels (default 512)")
    parser.add_argument("--force", action="store_true", help="render again what is there")
    add_ray(parser)
    return parser


if __name__ == "__main__":
    run_command(main)
