"""The Gaussian steps of every object of a test set, then the table: `scripts/reproduce_testset.sh`.

Every object runs in a process of its own, so that one that fails, or that the system ends for want of memory, does not
stop the others.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from animate3d.errors import InputError, run_command
from animate3d.evaluation import command
from animate3d.evaluation.command import names
from animate3d.evaluation.testset import TestObject, read_testset
from animate3d.runs.testset import RELEASED_WEIGHTS, STEPS, ObjectRun, StepOptions

_INTERRUPTED = 130
_EXAMPLES = f"""examples:
  scripts/reproduce_testset.sh --testset data/animate3d/testset
  scripts/reproduce_testset.sh --testset data/animate3d/testset --objects butterfly --no-refine
  python -m animate3d.evaluation.synthetic_testset data/synthetic_testset
  scripts/reproduce_testset.sh --testset data/synthetic_testset --no-refine

key=value changes a setting in every step, step:key=value in one of: {", ".join(STEPS)}.
Run the same command again to continue after an interruption; what is finished and unchanged is skipped. The exit code
is 1 when an object failed; the others are done and in the table all the same.
"""


@dataclass(frozen=True)
class Outcome:
    """How an object ended: exit code of its process."""

    name: str
    code: int

    def __str__(self) -> str:
        if self.code == 0:
            return f"{self.name}: done"
        ended = f"signal {-self.code}" if self.code < 0 else f"exit code {self.code}"
        return f"{self.name}: failed ({ended}; the reason is above)"


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    # argparse takes positional values only in one place: key=value after the flags is left over.
    unknown = [item for item in rest if item.startswith("-") or "=" not in item]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    options = StepOptions(
        results=given.results,
        refine=not given.no_refine,
        weights=given.weights,
        recon_steps=given.recon_steps,
        refine_steps=given.refine_steps,
        gpu=given.gpu,
        overrides=(*given.overrides, *rest),
    )
    chosen = [given.one_object] if given.one_object else names(given.objects)
    items = read_testset(given.testset, chosen)
    if options.refine:
        _check_refinement(options, items)
    if given.one_object:
        (item,) = items
        ObjectRun(item, options, announce=tqdm.write).run()
        return 0
    outcomes = _all_objects(items, arguments)
    if outcomes[-1].code == _INTERRUPTED:
        raise KeyboardInterrupt
    tqdm.write("\nevaluation")
    code = command.main(
        ["--testset", str(given.testset), "--results", str(options.results), "--stage", options.stage]
        + ["--out", str(given.out), "--objects", ",".join(item.name for item in items), *_evaluation_flags(given)]
    )
    tqdm.write("\nobjects")
    for outcome in outcomes:
        tqdm.write(f"  {outcome}")
    return int(code != 0 or any(outcome.code for outcome in outcomes))


def _evaluation_flags(given: argparse.Namespace) -> list[str]:
    flags = []
    for name in ("vbench_videos", "vbench_python", "vbench_weights"):
        if getattr(given, name) is not None:
            flags += [f"--{name.replace('_', '-')}", str(getattr(given, name))]
    return flags


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/reproduce_testset.sh",
        description="Run the Gaussian steps of every object of a test set, then evaluate them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--testset", type=Path, default=Path("data/animate3d/testset"), metavar="DIR")
    parser.add_argument("--results", type=Path, default=Path("outputs/animate3d"), metavar="DIR")
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/animate3d/evaluation"), metavar="DIR", help="gets the table"
    )
    parser.add_argument("--objects", metavar="NAMES", help="only these, comma-separated")
    parser.add_argument("--no-refine", action="store_true", help="stop after the reconstruction; needs no weights")
    parser.add_argument(
        "--weights", type=Path, metavar="DIR", help="video model for refinement (default: the released parts)"
    )
    parser.add_argument("--recon-steps", type=int, default=800, help="default 800")
    parser.add_argument("--refine-steps", type=int, default=200, help="default 200")
    parser.add_argument("--gpu", default="0", help="CUDA device, used when there is one")
    for name in ("videos", "python", "weights"):
        parser.add_argument(f"--vbench-{name}", type=Path, metavar="PATH", help="as in `animate3d evaluate`")
    parser.add_argument("--one-object", help=argparse.SUPPRESS)  # the process of an object
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value")
    return parser


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
        code = _run_child([*arguments, "--one-object", item.name])
        outcomes.append(Outcome(item.name, code))
        if code == _INTERRUPTED:
            break
        if code:
            tqdm.write(str(outcomes[-1]), file=sys.stderr)
    return outcomes


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
