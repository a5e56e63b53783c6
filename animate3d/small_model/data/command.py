"""``animate3d data``: validate a data set, write its JSON, make one up."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tqdm import tqdm

from animate3d.arguments import add_ray
from animate3d.files import write_json
from animate3d.mvvdm.data.check import check
from animate3d.mvvdm.data.index import read_uids, select, split_by_uid, write_index
from animate3d.mvvdm.data.licences import KINDS, wanted_kinds
from animate3d.mvvdm.data.sources import load_records

_SYNTHESIZE_EXAMPLES = """  animate3d data synthesize --out data/creatures --clips 3000 --seed 0
  animate3d data synthesize --out data/creatures --clips 3000 --ray
"""
EXAMPLES = f"""examples:
  animate3d data check data/MV-Video
  animate3d data check 'data/MV-Video/multi_view_video_*.tar.gz' --workers 8 --report check.json
  animate3d data index data/MV-Video --out data/vdm/meta/train.json --licence cc0,by,by-sa
  animate3d data index data/MV-Video --out train.json --uids data/MV-Video/high_quality_uid.txt --split 0.98
{_SYNTHESIZE_EXAMPLES}
A data set is a folder with videos/<uid>/<anim>/view_{{k}}.mp4 and uid_info_dict.json, the tar archives of MV-Video with
uid_info_dict.json next to them (they are not unpacked), or a JSON of this command.
"""

_SOURCE_HELP = "folder, JSON, or tar archives (also as quoted glob patterns)"


def main(argv: list[str] | None = None) -> int:
    """Run ``check``, ``index`` or ``synthesize`` with their flags."""
    parser = argparse.ArgumentParser(
        prog="animate3d data",
        description="Training data of the diffusion model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_actions(parser)
    options = parser.parse_args(argv)
    code: int = options.run(options)
    return code


def _add_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser("check", help="count clips, videos, captions and licences; find unreadable videos")
    action.add_argument("source", nargs="+", help=_SOURCE_HELP)
    action.add_argument("--decode", action="store_true", help="decode every frame instead of counting them (slow)")
    action.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads (default: all cores)")
    action.add_argument("--report", type=Path, metavar="FILE", help="write everything that was found as JSON")
    action.set_defaults(run=_check)

    action = actions.add_parser("index", help="write the JSON that train_data.info_path names")
    action.add_argument("source", nargs="+", help=_SOURCE_HELP)
    action.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON to write")
    action.add_argument(
        "--licence", "--license", metavar="KINDS", help=f"only these, comma-separated: {', '.join(KINDS)}"
    )
    action.add_argument(
        "--uids", type=Path, metavar="FILE", help="only the objects in this list, e.g. high_quality_uid.txt"
    )
    action.add_argument(
        "--split",
        type=float,
        metavar="FRACTION",
        help="put about this share of the objects in FILE and the others in FILE's name with _val",
    )
    action.add_argument("--seed", type=int, default=0, help="of the split (default 0)")
    action.set_defaults(run=_index)

    action = actions.add_parser(
        "synthesize",
        help="render videos of made-up creatures with named motions to train on",
        epilog=f"examples:\n{_SYNTHESIZE_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder, or one to continue")
    action.add_argument("--clips", type=int, required=True, metavar="N", help="number of training clips")
    action.add_argument(
        "--held-out", type=int, metavar="N", help="clips of other creatures in DIR/held_out (default: 4 in 100)"
    )
    action.add_argument("--seed", type=int, default=0, help="of everything (default 0)")
    action.add_argument("--size", type=int, default=64, help="side of the videos (default 64)")
    action.add_argument("--frames", type=int, default=8, help="per video (default 8)")
    action.add_argument("--views", type=int, default=4, help="per clip (default 4)")
    action.add_argument("--families", metavar="NAMES", help="only these, comma-separated (default: all)")
    action.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    add_ray(action, instead="--workers")
    action.set_defaults(run=_synthesize)


def _sources(options: argparse.Namespace) -> str | list[str]:
    return options.source[0] if len(options.source) == 1 else options.source


def _check(options: argparse.Namespace) -> int:
    report = check(
        _sources(options),
        decode=options.decode,
        workers=options.workers,
        progress=lambda names: iter(tqdm(names, unit=" videos", disable=not sys.stderr.isatty())),
    )
    _say(str(report))
    if options.report:
        write_json(options.report, vars(report))
    return 0


def _index(options: argparse.Namespace) -> int:
    records = select(
        load_records(_sources(options)),
        licences=wanted_kinds(options.licence) if options.licence else None,
        uids=read_uids(options.uids) if options.uids else None,
    )
    parts = {options.out: records}
    if options.split is not None:
        first, second = split_by_uid(records, options.split, options.seed)
        parts = {options.out: first, options.out.with_stem(options.out.stem + "_val"): second}
    for path, part in parts.items():
        write_index(part, path)
        _say(f"{path}: {len(part)} clips of {len({record.uid for record in part})} objects")
    return 0


def _synthesize(options: argparse.Namespace) -> int:
    from animate3d.creatures import FAMILY_MOTIONS
    from animate3d.small_model.data.synthesize import HELD_OUT, LIST, Settings, synthesize

    settings = Settings(
        clips=options.clips,
        held_out=round(0.04 * options.clips) if options.held_out is None else options.held_out,
        seed=options.seed,
        size=options.size,
        frames=options.frames,
        views=options.views,
        families=tuple(options.families.split(",")) if options.families else tuple(FAMILY_MOTIONS),
    )
    synthesize(
        options.out,
        settings,
        workers=options.workers,
        address=options.ray,
        progress=lambda done, total: tqdm(done, total=total, unit=" creatures", disable=not sys.stderr.isatty()),
    )
    _say(f"{options.out / LIST}: {settings.clips} clips; {options.out / HELD_OUT}: {settings.held_out}")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
