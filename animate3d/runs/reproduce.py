"""The Gaussian steps of every object of a test set, then the table: `scripts/reproduce_testset.sh`.

Every object runs in a process of its own, or with Ray on a worker, so that one that fails, or that the system ends for
want of memory, does not stop the others.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

from tqdm import tqdm

from animate3d.arguments import Folder, OptionalFolder, OptionalText, RayAddress, group, parse
from animate3d.cluster import each
from animate3d.errors import InputError, run_command
from animate3d.evaluation import command
from animate3d.evaluation.options import EvaluateOptions, VBench, names
from animate3d.evaluation.testset import TestObject, read_testset
from animate3d.progress import PENDING
from animate3d.runs.console import Console, quiet_libraries
from animate3d.runs.testset import RELEASED_WEIGHTS, ObjectRun, StepOptions

_INTERRUPTED = 130
_ONE = "--one-object"  # says to the process of an object which it is; no flag for people
_EXAMPLES = """examples:
  scripts/reproduce_testset.sh --testset data/animate3d/testset
  scripts/reproduce_testset.sh --testset data/animate3d/testset --objects butterfly --no-refine
  python -m animate3d.evaluation.synthetic_testset data/synthetic_testset
  scripts/reproduce_testset.sh --testset data/synthetic_testset --no-refine

key=value changes a setting of the reconstruction, refine:key=value one of the refinement.
Run the same command again to continue after an interruption; what is finished and unchanged is skipped. The exit code
is 1 when an object failed; the others are done and in the table all the same.
"""


@dataclass(frozen=True, kw_only=True)
class ReproduceCommand:
    """Flags of `scripts/reproduce_testset.sh`."""

    vbench: Annotated[VBench, group("VBench")]
    testset: Folder = Path("data/animate3d/testset")
    """pretrained_gaussian/<name>.ply, tracking_rgba_images/<name>/"""
    results: Folder = Path("outputs/animate3d")
    """gets the trainings and renders of every step"""
    out: Folder = Path("outputs/animate3d/evaluation")
    """gets the table"""
    objects: OptionalText = None
    """only these, comma-separated (default: all)"""
    refine: bool = True
    """stop after the reconstruction; needs no weights"""
    weights: OptionalFolder = None
    """video model for refinement (default: the released parts)"""
    recon_steps: int = 800
    """training steps of the reconstruction"""
    refine_steps: int = 200
    """training steps of the refinement"""
    render_size: int = 1024
    """pixels of the test views"""
    target_size: int = 1024
    """pixels of the renders that refinement starts from"""
    gpu: str = "0"
    """CUDA device, used where there is one"""
    ray: RayAddress = None


@dataclass(frozen=True)
class Outcome:
    """How an object ended: exit code of its process, or the sentence that a worker ended with."""

    name: str
    code: int
    sentence: str | None = None

    def __str__(self) -> str:
        if self.code == 0:
            return f"{self.name}: done"
        if self.sentence is not None:
            return f"{self.name}: failed ({self.sentence})"
        ended = f"signal {-self.code}" if self.code < 0 else f"exit code {self.code}"
        return f"{self.name}: failed ({ended}; the reason is above)"


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    arguments, one_object = _without_object(sys.argv[1:] if argv is None else argv)
    given, overrides = parse(
        ReproduceCommand,
        arguments,
        prog="scripts/reproduce_testset.sh",
        summary="run the Gaussian steps of every object of a test set, then evaluate them",
        examples=_EXAMPLES,
        settings=True,
    )
    quiet_libraries()
    names_of_steps = (
        "results",
        "refine",
        "weights",
        "recon_steps",
        "refine_steps",
        "render_size",
        "target_size",
        "gpu",
    )
    options = StepOptions(**{name: getattr(given, name) for name in names_of_steps}, overrides=overrides)
    chosen = (one_object,) if one_object else names(given.objects)
    items = read_testset(given.testset, chosen)
    if options.refine:
        _check_refinement(options, items)
    if one_object:
        (item,) = items
        ObjectRun(item, options, announce=Console()).run()
        return 0
    outcomes = _all_objects(items, arguments) if given.ray is None else _all_on_ray(items, options, given.ray)
    if outcomes[-1].code == _INTERRUPTED:
        raise KeyboardInterrupt
    tqdm.write("\nevaluation")
    code = command.report(
        EvaluateOptions(
            out=given.out,
            testset=given.testset,
            results=options.results,
            stage=options.stage,
            objects=tuple(item.name for item in items),
            ray=given.ray,
            **vars(given.vbench),
        )
    )
    tqdm.write("\nobjects")
    for outcome in outcomes:
        tqdm.write(f"  {outcome}")
    return int(code != 0 or any(outcome.code for outcome in outcomes))


def _without_object(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """The words of the command, and the object that this process is for."""
    if _ONE not in arguments[-2:-1]:
        return list(arguments), None
    return list(arguments[:-2]), arguments[-1]


def _check_refinement(options: StepOptions, items: Sequence[TestObject]) -> None:
    """Say before hours of work what refinement lacks.

    Raises:
        InputError: no weights, or an object without a prompt.
    """
    if options.weights is None and not RELEASED_WEIGHTS.is_file():
        raise InputError(
            f"Refinement needs the video model: put the released checkpoint at {RELEASED_WEIGHTS}, give "
            "--weights FOLDER (of `animate3d convert-weights`), or stop after the reconstruction with --no-refine."
        )
    silent = [item.name for item in items if not item.prompt]
    if silent:
        raise InputError(
            f"Refinement needs a prompt for {', '.join(silent)}: write them to prompts.json in the folder of the test "
            'set as {"name": "A … is …ing."}.'
        )


def _all_objects(items: Sequence[TestObject], arguments: Sequence[str]) -> list[Outcome]:
    """One after another; stops at an interruption."""
    outcomes = []
    for number, item in enumerate(items, start=1):
        tqdm.write(f"\n[{number}/{len(items)}] {item.name}")
        sys.stdout.flush()
        code = _run_child([*arguments, _ONE, item.name])
        outcomes.append(Outcome(item.name, code))
        if code == _INTERRUPTED:
            break
        if code:
            tqdm.write(str(outcomes[-1]), file=sys.stderr)
    return outcomes


def _all_on_ray(items: Sequence[TestObject], options: StepOptions, address: str) -> list[Outcome]:
    """As many at a time as there is room for; what each has to say is told when it ends."""
    outcomes = {}
    for number, ended in enumerate(each(_steps, {item.name: (item, options) for item in items}, address, gpu=True), 1):
        tqdm.write("\n".join(["", f"[{number}/{len(items)}] {ended.key}", *(ended.facts or ())]))
        outcomes[ended.key] = outcome = Outcome(ended.key, int(ended.error is not None), ended.error)
        if outcome.code:
            tqdm.write(str(outcome), file=sys.stderr)
    return [outcomes[item.name] for item in items]


def _steps(task: tuple[TestObject, StepOptions]) -> list[str]:
    """The steps of one object on a worker; returns what they say."""
    said: list[str] = []
    quiet_libraries()
    ObjectRun(*task, announce=said.append).run()
    return [line for line in said if not line.endswith(PENDING)]


def _run_child(arguments: Sequence[str]) -> int:
    """Run the steps of one object; a request to end is passed on and waited for, so that it can save."""
    child = subprocess.Popen([sys.executable, "-m", "animate3d.runs.reproduce", *arguments])
    stopped = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if number == signal.SIGTERM:  # Ctrl-C reaches the child by itself
            child.terminate()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return _INTERRUPTED if stopped else code


if __name__ == "__main__":
    run_command(main)
