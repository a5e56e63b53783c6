"""The `animate3d` command."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import animate3d
from animate3d.errors import InputError, run_command
from animate3d.export.blender import blender
from animate3d.runs.presets import PRESETS, Preset, choose_preset

if TYPE_CHECKING:
    from animate3d.meshes import Placement
    from animate3d.runs.gaussians import GaussianResult
    from animate3d.runs.mesh import AnimateResult
    from animate3d.runs.videos import VideoOptions

_ANIMATE_EXAMPLES = """examples:
  animate3d animate creature.obj --prompt "a butterfly is flapping its wings" --out outputs/butterfly
  animate3d animate dragon/ --prompt "a dragon is roaring" --weights weights/animate3d --out outputs/dragon
  animate3d animate dragon/base.obj --frames tracking_rgba_images/dragon --out outputs/dragon
  animate3d animate dragon/ --frames frames/ --out out/ --formats fbx,glb,usdc --fps 12
  animate3d animate dragon.ply --frames frames/ --out out/ trainer.max_steps=120 system.loss.lambda_arap=40
  animate3d animate butterfly.ply --frames tracking_rgba_images/butterfly --out outputs/butterfly
  animate3d animate butterfly.ply --prompt "a butterfly is flying" --weights weights/animate3d --refine --out out/
  animate3d animate dragon.glb --frames frames/ --out out/ --rot-x-degree 90 --rot-z-degree 90 --scale-factor 0.76

The folder of frames holds RGBA images {v*F+f}.png: view v (azimuth 0, 90, 180, 270; elevation 15), frame f.
A ply of Gaussians (3D Gaussian splatting) becomes a 4D Gaussian model: a ply per frame, trajectory.npz, renders and
turntable.mp4; --formats, --max-morphs belong to meshes, --refine and refine.key=value to Gaussians.
Run the same command again to continue after an interruption or to redo only what has changed.
"""

_DEMO_EXAMPLES = """examples:
  animate3d demo --out outputs/demo
  animate3d demo --creature dog --prompt "a dog is jumping" --seed 3 --out outputs/dog
  animate3d demo --motion wing_flap --out outputs/dragon

A sentence goes through the bundled model; with --motion the videos are exact, which shows what the fit alone reaches.
Run the same command again to continue after an interruption.
"""


_OTHER_COMMANDS = {
    "launch": ("animate3d.studio.launch", "one step with a config: launch --config … --train|--test … key=value"),
    "convert-weights": ("animate3d.mvvdm.convert", "put the released weights together in one folder"),
    "data": ("animate3d.small_model.data.command", "check a data set of multi-view videos, or write its index"),
    "evaluate": ("animate3d.evaluation.command", "metrics of animated Gaussian models: one table for a test set"),
}


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments and run one subcommand; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] and arguments[0] in _OTHER_COMMANDS:  # they have parsers of their own
        module, _ = _OTHER_COMMANDS[arguments[0]]
        return importlib.import_module(module).main(arguments[1:]) or 0
    parser = _parser()
    # argparse takes positional values only in one place: key=value after the flags is left over.
    options, rest = parser.parse_known_args(arguments)
    if rest and ("overrides" not in options or not all(re.match(r"\w[^=]*=", item) for item in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.overrides += rest
    return options.run(options)


def entry() -> None:
    """The console command."""
    run_command(main)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="animate3d", description="Animate any 3D model from a sentence.")
    parser.add_argument("--version", action="version", version=f"animate3d {animate3d.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    summary = "a mesh or Gaussian model and a prompt, or videos of how it moves -> an animated file"
    command = _add(commands, "animate", summary, _ANIMATE_EXAMPLES)
    command.add_argument(
        "model",
        type=Path,
        help="mesh file (obj, glb, gltf, ply, stl, off, fbx), object folder, or Gaussians (ply, splat, spz)",
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    frames = command.add_argument_group("from videos")
    frames.add_argument("--frames", type=Path, metavar="DIR", help="RGBA images {v*F+f}.png")
    frames.add_argument("--views", type=int, default=4, help="number of videos in the folder (default 4)")
    prompt = command.add_argument_group("from a prompt")
    prompt.add_argument("--prompt", help="what happens, e.g. 'a dragon head is roaring'")
    prompt.add_argument("--weights", type=Path, metavar="DIR", help="model folder of `animate3d convert-weights`")
    prompt.add_argument(
        "--pretrained-unet-path", type=Path, metavar="FILE", help="motion checkpoint, without --weights"
    )
    prompt.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        help="laptop: the small bundled model; full: the released weights (default: full with --weights, "
        "--pretrained-unet-path or a CUDA GPU, else laptop)",
    )
    prompt.add_argument(
        "--motion-strength", type=float, default=1.0, metavar="S", help="0.25 to 4; more is more motion (default 1)"
    )
    prompt.add_argument(
        "--num-samples", type=int, default=1, metavar="K", help="make K videos and keep the best (default 1)"
    )
    sizes = {
        name: (preset.frames, preset.size, preset.steps, preset.guidance_scale, preset.freeinit_num_iters)
        for name, preset in PRESETS.items()
    }
    frames_of, size_of, steps_of, scale_of, rounds_of = (
        " / ".join(f"{values[index]:g}" for values in sizes.values()) for index in range(5)
    )
    names = " / ".join(sizes)
    prompt.add_argument("--frame-count", type=int, help=f"frames of every video (default {frames_of} for {names})")
    prompt.add_argument("--size", type=int, help=f"pixels of the videos (default {size_of})")
    prompt.add_argument("--steps", type=int, help=f"denoising steps (default {steps_of})")
    prompt.add_argument("--guidance-scale", type=float, help=f"default {scale_of}")
    prompt.add_argument("--freeinit-num-iters", type=int, help=f"default {rounds_of}; 0 turns FreeInit off")
    prompt.add_argument("--mask-backend", choices=("auto", "background", "sam2"), default="auto")
    prompt.add_argument(
        "--refine", action="store_true", help="Gaussians: refine with the video model (also with --frames and --prompt)"
    )
    placement = command.add_argument_group("placement (automatic unless given)")
    placement.add_argument("--rot-x-degree", type=float, help="turn about x before the turn about z")
    placement.add_argument("--rot-z-degree", type=float)
    placement.add_argument("--scale-factor", type=float)
    placement.add_argument("--placement", type=Path, metavar="FILE", help="placement.json of an earlier run")
    _add_run_flags(command)
    command.add_argument("--loop", action="store_true", help="meshes: close the motion, to be played in a loop")
    command.add_argument(
        "--no-tracking", dest="track", action="store_false", help="Gaussians: fit the motion from scratch"
    )
    command.add_argument("--config", help="config of the motion fit (default: the package's own settings)")
    command.add_argument("overrides", nargs="*", metavar="key=value", help="config values of the motion fit")
    command.set_defaults(run=_animate)

    summary = "animate a creature from a sentence with the bundled model, or check a known motion"
    command = _add(commands, "demo", summary, _DEMO_EXAMPLES)
    command.add_argument("--out", type=Path, default=Path("outputs/demo"), metavar="DIR")
    command.add_argument("--creature", help="butterfly (default), bird, fish, dog, flower, ball or snake")
    command.add_argument("--prompt", help="what it does (default: what such a creature usually does)")
    command.add_argument("--motion", help="instead: the dragon in a known motion, wing_flap, bend, hop or all")
    command.add_argument("--size", type=int, help="pixels of the frames (default 64 from a sentence, else 256)")
    command.add_argument("--frame-count", type=int, help="frames of every video (default 8 from a sentence, else 16)")
    _add_run_flags(command)
    command.set_defaults(run=_demo)

    command = _add(commands, "doctor", "what is installed and usable on this machine", "example:\n  animate3d doctor\n")
    command.set_defaults(run=_doctor)

    for name, (_, summary) in _OTHER_COMMANDS.items():
        commands.add_parser(name, help=summary)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str, examples: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_run_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--formats",
        help="comma-separated: fbx,glb,gltf,usd,usda,usdc,usdz,abc,obj,ply "
        "(default: glb,usdc and fbx where it can be written)",
    )
    command.add_argument("--fps", type=float, default=8.0, help="frames per second of the animation (default 8)")
    command.add_argument("--max-morphs", type=int, help="at most this many morph targets in fbx and glb")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--gpu", default="0", help="CUDA device, used when there is one")


def _animate(options: argparse.Namespace) -> int:
    from animate3d.gaussians import holds_gaussians
    from animate3d.runs import gaussians as animate_gaussians
    from animate3d.runs import mesh as animate

    preset = _preset(options)
    asked: dict[str, Any] = {
        "frames": options.frames,
        "out": options.out,
        "fps": options.fps,
        "placement": _placement(options),
        "views": options.views,
        "seed": options.seed,
        "overrides": tuple(options.overrides),
        "gpu": options.gpu,
        "video": _video(options, preset),
        "rigidity": preset.rigidity,
    }
    if options.config:
        asked["config"] = options.config
    if holds_gaussians(options.model):
        if options.formats is not None or options.max_morphs is not None or options.loop:
            raise InputError(
                f"{options.model} holds Gaussians, which have no mesh to export: leave out --formats, --max-morphs and "
                "--loop."
            )
        what = animate_gaussians.GaussianOptions(options.model, refine=options.refine, track=options.track, **asked)
        _print_result(animate_gaussians.animate_gaussians(what, announce=print))
        return 0
    if options.refine or not options.track:
        flag = "--refine" if options.refine else "--no-tracking"
        raise InputError(f"{flag} is for Gaussian models; {options.model} holds no Gaussians.")
    formats = _formats(options.formats)
    mesh = animate.AnimateOptions(
        options.model, formats=formats, max_morphs=options.max_morphs, loop=options.loop, **asked
    )
    _print_result(animate.animate(mesh, announce=print))
    return 0


def _placement(options: argparse.Namespace) -> Placement | Path | None:
    from animate3d.meshes import Placement

    flags = (options.rot_x_degree, options.rot_z_degree, options.scale_factor)
    if all(flag is None for flag in flags):
        return options.placement
    if options.placement:
        raise InputError("Give either --placement or the rotation and scale flags, not both.")
    x, z, scale = flags
    return Placement.from_flags(x or 0.0, z or 0.0, 1.0 if scale is None else scale)


def _video(options: argparse.Namespace, preset: Preset) -> VideoOptions | None:
    from animate3d.runs.videos import preset_videos

    if options.prompt is None:
        return None
    return preset_videos(
        options.prompt,
        preset,
        weights=options.weights,
        checkpoint=options.pretrained_unet_path,
        frames=options.frame_count,
        size=options.size,
        steps=options.steps,
        guidance_scale=options.guidance_scale,
        freeinit_num_iters=options.freeinit_num_iters,
        mask_backend=options.mask_backend,
        samples=options.num_samples,
    )


def _preset(options: argparse.Namespace) -> Preset:
    # Videos that are given speckle no more than those of the full model, and refinement is made for that one.
    full = options.frames is not None or options.refine or options.weights or options.pretrained_unet_path
    preset = choose_preset(options.preset, weights_given=bool(full), cuda=_has_cuda())
    return preset.with_motion_strength(options.motion_strength)


def _has_cuda() -> bool:
    import torch  # takes a second

    return torch.cuda.is_available()


def _demo(options: argparse.Namespace) -> int:
    if options.motion is None:
        return _prompted_demo(options)
    if options.prompt is not None or options.creature is not None:
        raise InputError("--motion is the dragon in a known motion: leave out --creature and --prompt.")
    from animate3d.creatures.dragon import MOTIONS, demo_asset, write_demo_frames
    from animate3d.evaluation.recovery import recovery
    from animate3d.runs.mesh import AnimateOptions, animate

    names = list(MOTIONS) if options.motion == "all" else [options.motion]
    if names[0] not in MOTIONS:
        raise InputError(f"The motion `{options.motion}` is unknown; known are: {', '.join(MOTIONS)} and all.")
    for name in names:
        out = options.out if len(names) == 1 else options.out / name
        frames = out / "frames"
        print(f"animating the demo creature ({name}) in {out}")
        truth = write_demo_frames(name, frames, frames_per_view=options.frame_count or 16, size=options.size or 256)
        result = animate(
            AnimateOptions(model=demo_asset(), frames=frames, out=out, **_run_flags(options)), announce=print
        )
        _print_result(result)
        report = recovery(result.trajectory, truth)
        print(
            f"  against the known motion: mean vertex error {100 * report.error:.2f} % of the diagonal, "
            f"{report.relative_error:.2f} of the displacement"
        )
    return 0


def _prompted_demo(options: argparse.Namespace) -> int:
    from animate3d.evaluation.clip_metrics import score_trajectory
    from animate3d.runs.demo import usual_prompt, write_prompted_creature
    from animate3d.runs.mesh import AnimateOptions, animate
    from animate3d.runs.videos import preset_videos

    preset = PRESETS["laptop"]
    family = options.creature or "butterfly"
    prompt = usual_prompt(family) if options.prompt is None else options.prompt
    video = preset_videos(prompt, preset, size=options.size, frames=options.frame_count)
    subject = write_prompted_creature(options.out, family, prompt, options.seed)
    print(f"“{subject.prompt}”: animating {subject.folder} in {options.out}")
    asked = AnimateOptions(
        subject.folder, None, options.out, video=video, rigidity=preset.rigidity, **_run_flags(options)
    )
    result = animate(asked, announce=print)
    _print_result(result)
    positions = result.trajectory.positions.astype("float64")
    truth = subject.intended(len(positions))
    if truth is not None:
        score = score_trajectory(positions, truth)
        print(
            f"  against the generator's own motion for this sentence: cosine of displacements {score.cosine:.2f}, "
            f"amplitude {score.amplitude:.2f}"
        )
    return 0


def _run_flags(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "formats": _formats(options.formats),
        "fps": options.fps,
        "max_morphs": options.max_morphs,
        "seed": options.seed,
        "gpu": options.gpu,
    }


def _doctor(options: argparse.Namespace) -> int:
    from animate3d.doctor import report

    print(report())
    return 0


def _formats(given: str | None) -> tuple[str, ...]:
    if given is not None:
        parts = (part.strip().lstrip(".").lower() for part in given.split(","))
        return tuple(dict.fromkeys(part for part in parts if part))
    return ("fbx", "glb", "usdc") if blender() else ("glb", "usdc")


def _print_result(result: AnimateResult | GaussianResult) -> None:
    print("\nsteps")
    for name, seconds in result.seconds.items():
        print(f"  {name:28}{seconds:8.1f} s")
    print("\nresults")
    for name, path in {**result.files, "preview": result.preview, "record": result.record}.items():
        print(f"  {name:12}{path}")
    print(f"  mean displacement {100 * result.mean_displacement:.1f} % of the diagonal")
    if result.score is not None:
        print(f"  score {result.score:.2f} (share of the video's change that the moved model shows)")


if __name__ == "__main__":
    entry()
