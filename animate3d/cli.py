"""The `animate3d` command: finds the subcommand, and turns its flags into the options of a run."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import animate3d
from animate3d.errors import InputError, run_command

if TYPE_CHECKING:
    from animate3d.runs.console import Console
    from animate3d.runs.gaussians import GaussianResult
    from animate3d.runs.mesh import AnimateResult
    from animate3d.runs.options import DemoCommand, MeshOutput

_ANIMATE_EXAMPLES = """examples:
  animate3d animate creature.obj --prompt "a butterfly is flapping its wings" --out outputs/butterfly
  animate3d animate dragon/ --prompt "a dragon is roaring" --weights weights/animate3d --out outputs/dragon
  animate3d animate dragon/base.obj --frames tracking_rgba_images/dragon --out outputs/dragon
  animate3d animate dragon/ --frames frames/ --out out/ --formats fbx,glb,usdc --fps 12
  animate3d animate dragon.glb --video clip.mp4 --camera still/camera.json --out outputs/dragon
  animate3d animate dragon/ --frames side_view/ --views 1 --azimuth 90 --out out/
  animate3d animate dragon.ply --frames frames/ --out out/ trainer.max_steps=120 system.loss.lambda_arap=40
  animate3d animate butterfly.ply --frames tracking_rgba_images/butterfly --out outputs/butterfly
  animate3d animate butterfly.ply --prompt "a butterfly is flying" --weights weights/animate3d --refine --out out/
  animate3d animate dragon.glb --frames frames/ --out out/ --rot-x-degree 90 --rot-z-degree 90 --scale-factor 0.76

The folder of frames holds RGBA images {v*F+f}.png: view v (azimuth 0, 90, 180, 270; elevation 15), frame f.
A ply of Gaussians (3D Gaussian splatting) becomes a 4D Gaussian model: a ply per frame, trajectory.npz, renders and
turntable.mp4. key=value sets a config value of the fit of a field, which Gaussians always have and meshes get with
--field; refine:key=value one of the refinement.
Run the same command again to continue after an interruption or to redo only what has changed.
"""

_DEMO_EXAMPLES = """examples:
  animate3d demo --out outputs/demo
  animate3d demo --creature dog --prompt "a dog is jumping" --seed 3 --out outputs/dog
  animate3d demo --motion wing_flap --out outputs/dragon
  animate3d demo --video --out outputs/demo/video

What the robot does is computed from the sentence and its mesh; for a dog the bundled model makes videos; with --motion
the videos are exact, which shows what tracking alone reaches; with --video one lit, compressed clip drives the dragon,
and the camera is found.
Run the same command again to continue after an interruption.
"""

_RENDER_EXAMPLES = """examples:
  animate3d render dragon.glb --out still/
  animate3d render dragon.glb --out still/ --view three-quarter --size 832x480 --background green
  animate3d render chair.obj --out still/ --view 30,10 --front=-z --shading flat

Give still.png to an image-to-video generator, and its clip with camera.json to `animate3d animate --video`.
"""

_SUMMARIES = {
    "animate": "a mesh or Gaussian model and a prompt, or videos of how it moves -> an animated file",
    "demo": "animate a robot or a creature from a sentence, or check a known motion",
    "batch": "animate: many models, prompts and seeds, on one machine or a cluster",
    "render": "a picture of a mesh for a video generator, and the camera it was seen by",
    "view": "look at a run, an animated file or a model in the browser",
    "app": "animate models in the browser: upload, watch, compare, download",
    "doctor": "what is installed and usable on this machine",
    "launch": "one step with a config: launch --config … --train|--test … key=value",
    "convert-weights": "put the released weights together in one folder",
    "data": "check a data set of multi-view videos, or write its index",
    "evaluate": "metrics of animated Gaussian models: one table for a test set",
}
_ELSEWHERE = {
    "view": "animate3d.viewer.command",
    "app": "animate3d.viewer.app_command",
    "batch": "animate3d.batch.command",
    "launch": "animate3d.studio.launch",
    "convert-weights": "animate3d.mvvdm.convert",
    "data": "animate3d.small_model.data.command",
}


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    command, *arguments = (sys.argv[1:] if argv is None else argv) or [""]
    if command in ("-h", "--help"):
        print(_overview())
        return 0
    if command == "--version":
        print(f"animate3d {animate3d.__version__}")
        return 0
    if command not in _SUMMARIES:
        problem = f"invalid choice: '{command}'" if command else "the following arguments are required: COMMAND"
        print(f"animate3d: error: {problem} (choose from {', '.join(_SUMMARIES)})", file=sys.stderr)
        return 2
    # Threads that spin while they wait for each other can double the time of a run when the machine has other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if command in _ELSEWHERE:  # they have parsers of their own
        return importlib.import_module(_ELSEWHERE[command]).main(arguments) or 0
    own: dict[str, Callable[[Sequence[str]], int]] = {
        "animate": _animate,
        "demo": _demo,
        "render": _render,
        "doctor": _doctor,
        "evaluate": _evaluate,
    }
    return own[command](arguments)


def entry() -> None:
    """The console command."""
    run_command(main)


def _overview() -> str:
    rows = "\n".join(f"  {name:17}{summary}" for name, summary in _SUMMARIES.items())
    return (
        "usage: animate3d [--help] [--version] COMMAND …\n\nAnimate any 3D model from a sentence.\n\n"
        f"commands:\n{rows}\n\nanimate3d COMMAND --help says more."
    )


def _parsed(kind: Any, command: str, arguments: Sequence[str], examples: str) -> tuple[Any, tuple[str, ...]]:
    from animate3d.arguments import parse

    settings = command == "animate"
    prog, summary = f"animate3d {command}", _SUMMARIES[command]
    return parse(kind, arguments, prog=prog, summary=summary, examples=examples, settings=settings)


def _console(verbose: bool) -> Console:
    from animate3d.runs.console import Console, quiet_libraries

    if not verbose:
        quiet_libraries()
    return Console()


def _animate(arguments: Sequence[str]) -> int:
    from animate3d.runs.options import AnimateCommand

    given, overrides = _parsed(AnimateCommand, "animate", arguments, _ANIMATE_EXAMPLES)
    console = _console(given.machine.verbose)

    from animate3d.runs.requested import carry_out, laptop_note, requested  # torch takes a second to import

    console.begin_with(laptop_note(given))
    _print_result(carry_out(requested(given, overrides), console))
    return 0


def _demo(arguments: Sequence[str]) -> int:
    from animate3d.runs.options import DemoCommand

    given, _ = _parsed(DemoCommand, "demo", arguments, _DEMO_EXAMPLES)
    console = _console(given.machine.verbose)

    from animate3d.arguments import check_out
    from animate3d.runs.demo import animate_creature, animate_dragon
    from animate3d.runs.mesh import check_formats

    check_out(given.out)

    known = given.motion is not None or given.video
    if known and (given.prompt is not None or given.creature is not None):
        raise InputError("--motion and --video are the dragon in a known motion: leave out --creature and --prompt.")
    asked = _demo_options(given, given.output)
    check_formats(asked["formats"])  # before a creature is written that nothing comes of
    if given.video:
        from animate3d.runs.demo_video import animate_clip

        results: Iterable[Any] = [animate_clip(given, {**asked, "rate": given.output.fps}, console)]
    elif known:
        results = animate_dragon(given, asked, console)
    else:
        results = animate_creature(given, asked, console)
    for result, comparison in results:
        _print_result(result)
        if comparison:
            print(f"  {comparison}")
    return 0


def _demo_options(given: DemoCommand, output: MeshOutput) -> dict[str, Any]:
    from animate3d.runs.options import AnimateOptions, shared
    from animate3d.runs.requested import formats_of, frame_rate

    return {
        **shared(AnimateOptions, output, given.machine),
        "fps": frame_rate(output),
        "formats": formats_of(output.formats, output.engine),
        "field": given.field,
    }


def _render(arguments: Sequence[str]) -> int:
    from animate3d.runs.options import RenderCommand

    given, _ = _parsed(RenderCommand, "render", arguments, _RENDER_EXAMPLES)

    from animate3d.runs.render import StillOptions, render_still
    from animate3d.runs.requested import placement_of

    options = StillOptions(
        given.model,
        given.out,
        view=given.view,
        size=given.size,
        background=given.background,
        lit=given.shading == "lit",
        field_of_view=given.fov,
        front=given.front,
        placement=placement_of(given.placement),
    )
    picture = render_still(options)
    print(f"{picture}\n{picture.with_name('camera.json')}")
    return 0


def _doctor(arguments: Sequence[str]) -> int:
    from animate3d.doctor import report

    if arguments and arguments[0] in ("-h", "--help"):
        print(f"usage: animate3d doctor\n\n{_SUMMARIES['doctor']}")
    elif arguments:
        print(f"animate3d doctor: error: unrecognized arguments: {' '.join(arguments)}", file=sys.stderr)
        return 2
    else:
        print(report())
    return 0


def _evaluate(arguments: Sequence[str]) -> int:
    from animate3d.evaluation.options import options_of

    options = options_of(arguments)

    from animate3d.evaluation.command import report

    return report(options)


def _print_result(result: AnimateResult | GaussianResult) -> None:
    print("\nresults")
    shown = {"preview": result.preview, "page": result.preview.with_name("preview.html"), "record": result.record}
    for name, path in {**result.files, **shown}.items():
        size = f"  {path.stat().st_size / 1e6:.2f} MB" if name in result.files and path.is_file() else ""
        print(f"  {name:12}{path}{size}")
    skeleton = getattr(result, "skeleton", None)
    if skeleton is not None:
        print(f"  skeleton {skeleton}")
    print(f"  mean displacement {100 * result.mean_displacement:.1f} % of the diagonal")
    if result.score is not None:
        print(f"  score {result.score:.2f} (share of the video's change that the moved model shows)")


if __name__ == "__main__":
    entry()
