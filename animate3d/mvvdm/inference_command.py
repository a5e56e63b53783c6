"""The command line of ``inference.py``: videos of one prompt, or of many, here or on a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from animate3d.arguments import add_ray
from animate3d.cluster import each
from animate3d.errors import InputError
from animate3d.mvvdm.convert import source_in
from animate3d.mvvdm.inference import (
    QUANTIZED,
    checked_seed,
    find_images,
    keep_loaded,
    read_inference_config,
    result_name,
    run,
    sampler_of,
    seeds_of,
    write_config,
)
from animate3d.mvvdm.sampler import RELEASED
from animate3d.resources import find_resource
from animate3d.tables import TABLES, read_prompts, read_rows


@dataclass(frozen=True)
class Entry:
    """Videos of one prompt: its condition images, where the results go, and its seeds if they are its own."""

    prompt: str
    image_root: Path
    image_name: str
    save_name: str
    views: int
    seed: int | None = None


def run_many(
    config: dict[str, Any],
    entries: Sequence[Entry],
    shared: Mapping[str, Any],
    *,
    address: str | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> int:
    """The videos of all entries with one loaded model; 1 if some could not be made, the others are.

    Args:
        config, shared: see `animate3d.mvvdm.inference.run`.
        address: see `animate3d.cluster.each`.

    Raises:
        InputError: two entries would have the same result.
    """
    named = {f"{entry.save_name}/{result_name(0, entry.prompt)}": entry for entry in entries}
    if len(named) < len(entries):
        raise InputError("Two prompts begin with the same ten words and have one save_name; give them two.")
    if address is None:
        keep_loaded()
    tasks = {key: (config, entry, dict(shared)) for key, entry in named.items()}
    failed = 0
    for ended in tqdm(each(_made, tasks, address, warm=_warm, gpu=True), total=len(tasks), unit="prompt", disable=None):
        for line in ended.facts or ():
            announce(line)
        if ended.error is not None:
            failed += 1
            announce(f"failed: {ended.key}: {ended.error}")
    for save_name in dict.fromkeys(entry.save_name for entry in entries):
        folder = Path(config["output_dir"]) / save_name
        if folder.is_dir():
            prompts = [entry.prompt for entry in entries if entry.save_name == save_name]
            write_config(folder, config, prompts if len(prompts) > 1 else prompts[0])
    return int(failed > 0)


def _warm() -> None:
    keep_loaded()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)


def _made(task: tuple[dict[str, Any], Entry, dict[str, Any]]) -> list[str]:
    """The results of one entry; returns what there is to say."""
    config, entry, shared = task
    said: list[str] = []
    if entry.seed is not None:
        config = {**config, "seed": [entry.seed]}
    images = find_images(entry.image_root, entry.image_name, entry.views)
    run(config, prompt=entry.prompt, images=images, save_name=entry.save_name, announce=said.append, **shared)
    return said


def _entries(options: argparse.Namespace) -> list[Entry]:
    if options.prompts.suffix.lower() not in TABLES:
        return [_entry(options, {"prompt": prompt}) for prompt in read_prompts(options.prompts)]
    entries = []
    for where, row in read_rows(options.prompts):
        said = {name.strip().lstrip("-"): value for name, value in row.items() if value not in (None, "")}
        if "prompt" not in said:
            raise InputError(f"{where}: the column `prompt` is empty or missing; it says what happens.")
        entries.append(_entry(options, said, where))
    if not entries:
        raise InputError(f"{options.prompts} has no rows; every row is a prompt.")
    return entries


def _entry(options: argparse.Namespace, said: Mapping[str, Any], where: str = "") -> Entry:
    root = said.get("ip_image_root", options.ip_image_root)
    if root is None:
        raise InputError(f"{where or 'The command'} does not say where the condition images are: --ip_image_root.")
    seed = said.get("seed")
    return Entry(
        str(said.get("prompt", options.prompt)),
        Path(root),
        str(said.get("ip_image_name", options.ip_image_name)),
        str(said.get("save_name", options.save_name)),
        options.N,
        None if seed is None else checked_seed(seed, f"{where}: the seed"),
    )


_EXAMPLES = """examples:
  python inference.py --config configs/inference/inference.yaml \\
      --pretrained_unet_path pretrained_models/animate3d_motion_modules.ckpt \\
      --W 256 --H 256 --L 16 --N 4 --ip_image_root outputs/animate3d/static_vis/dragon_head/save/images \\
      --ip_image_name "" --prompt "a wooden dragon head is roaring" --save_name animate3d/animation_gif

  python inference.py --weights weights/animate3d --prompts prompts.txt --ip_image_root images --save_name dragons --ray
  python inference.py --weights weights/animate3d --prompts videos.csv --ray auto

  python -m animate3d.mvvdm.tiny weights/tiny        # random weights: to try the commands on any machine
  python inference.py --weights weights/tiny --W 64 --H 64 --L 4 --steps 2 --freeinit_num_iters 0 \\
      --ip_image_root images --prompt "a dog runs" --save_name try

--prompts is a text with a prompt in every line (none in lines that begin with #), or a table (.csv, .tsv, .jsonl,
.parquet) with the columns prompt, ip_image_root, ip_image_name, save_name and seed, of which those
that are absent or empty are as the flags say.
"""


def main(argv: list[str] | None = None) -> int:
    """Command line of ``inference.py``."""
    options = _parser().parse_args(argv)
    path = find_resource(options.config)
    config = read_inference_config(path)
    if options.weights is not None:
        config["pretrained_model_path"] = str(options.weights)
    for key in ("seed", "steps", "guidance_scale", "device", "dtype", "output_dir"):
        if getattr(options, key) is not None:
            config[key] = getattr(options, key)
    if options.freeinit_num_iters is not None:
        config["freeinit_num_iters"] = options.freeinit_num_iters
        config["freeinit_enabled"] = options.freeinit_num_iters != 0
    for key in ("offload", "sequential_guidance"):
        config[key] = bool(config[key]) or getattr(options, key)
    if options.low_memory:
        config["low_memory"] = True
    if options.compile:
        config["compile"] = True
    if options.quantize is not None:
        config["quantize"] = options.quantize
    source_in(config, "pretrained_model_path", path)
    sampler_of(config, frames=options.L, size=options.H, width=options.W)  # what is wrong is said once, not per prompt
    seeds_of(config)
    shared = {
        "checkpoint": options.pretrained_unet_path,
        "frames": options.L,
        "height": options.H,
        "width": options.W,
        "force": options.force,
    }
    entries = [_entry(options, {})] if options.prompt is not None else _entries(options)
    if options.prompt is None or options.ray:
        return run_many(config, entries, shared, address=options.ray, announce=print)
    images = find_images(entries[0].image_root, options.ip_image_name, options.N)
    run(config, prompt=options.prompt, images=images, save_name=options.save_name, announce=print, **shared)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inference.py",
        description="Generate synchronised videos of an object from its images and a sentence.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", default="configs/inference/inference.yaml", help="inference config")
    parser.add_argument("--pretrained_unet_path", type=Path, help="the method's motion checkpoint")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="converted folder, instead of the config's sources")
    parser.add_argument("--save_name", default="inference", help="folder below the config's output_dir")
    parser.add_argument("--L", type=int, default=RELEASED.frames, help="frames of every video (default 16)")
    parser.add_argument("--W", type=int, default=RELEASED.size, help="width in pixels (default 256, as trained)")
    parser.add_argument("--H", type=int, default=RELEASED.size, help="height in pixels (default 256, as trained)")
    parser.add_argument("--N", type=int, default=4, help="number of views (default 4)")
    parser.add_argument("--ip_image_root", type=Path, help="folder of the condition images")
    parser.add_argument("--ip_image_name", default="", help="images are {name}_{v}.png; {v}.png when empty")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--prompt", help="what happens")
    what.add_argument("--prompts", type=Path, metavar="FILE", help="many: a prompt a line, or a table")
    add_ray(parser)
    sampling = parser.add_argument_group("over the config")
    sampling.add_argument("--seed", type=int, nargs="+", help="one result per seed; -1 draws one")
    sampling.add_argument("--steps", type=int, help="denoising steps")
    sampling.add_argument("--guidance_scale", type=float, help="1 turns guidance off")
    sampling.add_argument("--freeinit_num_iters", type=int, help="0 turns FreeInit off")
    sampling.add_argument("--device", help="cpu, cuda, cuda:1, mps or auto (default)")
    sampling.add_argument("--dtype", help="float32, float16, bfloat16 or auto (default: float16 on a GPU)")
    sampling.add_argument("--output_dir", help="where save_name goes")
    sampling.add_argument("--offload", action="store_true", help="keep only the running model on the GPU")
    sampling.add_argument("--sequential_guidance", action="store_true", help="half the memory of guidance, more time")
    sampling.add_argument(
        "--low-memory", action="store_true", help="both, and small steps elsewhere: for small GPUs (docs/gpu.md)"
    )
    sampling.add_argument("--compile", action="store_true", help="compile the UNet; pays for many videos (docs/gpu.md)")
    sampling.add_argument("--quantize", choices=QUANTIZED, help="hold the UNet's weights in half the memory")
    parser.add_argument("--force", action="store_true", help="make results again that are already there")
    return parser
