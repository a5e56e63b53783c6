"""The demo: a robot, a creature that the bundled model has not seen, or a dragon in known motions, and how they were
meant to move."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animate3d.bundled_model.knowledge import shown_faintly
from animate3d.creatures import dragon
from animate3d.creatures.anatomy import Body
from animate3d.creatures.captions import FAMILY_MOTIONS, captions
from animate3d.creatures.creatures import Creature, family_named, make_creature, move, save_creature
from animate3d.creatures.figures.draw import draw_figure
from animate3d.creatures.figures.mesh import figure_mesh
from animate3d.errors import InputError
from animate3d.evaluation import recovery
from animate3d.evaluation.clip_metrics import TrajectoryScore, score_trajectory
from animate3d.meshes import save_obj
from animate3d.runs import mesh
from animate3d.runs.mesh import AnimateResult
from animate3d.runs.moves import UPRIGHT, MovingBody, read_moves
from animate3d.runs.options import MOVE_FRAMES, AnimateOptions, DemoCommand
from animate3d.runs.presets import PRESETS
from animate3d.runs.videos import preset_videos


@dataclass(frozen=True)
class PromptedCreature:
    """A creature on disk and a sentence about it.

    Attributes:
        creature: what the generator made.
        folder: its mesh, an object folder.
        prompt: what it is to do.
    """

    creature: Creature
    folder: Path
    prompt: str

    def intended(self, frames: int) -> NDArray[np.float64] | None:
        """The generator's own motion for the prompt ``[F, N, 3]``, in the mesh's coordinates; None if it has none."""
        from animate3d.bundled_model.knowledge import read_prompt  # diffusers takes seconds to import

        reading = read_prompt(self.prompt)
        if reading.family != self.creature.family or reading.motion is None:
            return None
        return move(self.creature, reading.motion, frames)


def usual_prompt(family: str) -> str:
    """A sentence about the first motion of a family.

    Raises:
        InputError: the family is unknown.
    """
    family_named(family)
    return captions(family, FAMILY_MOTIONS[family][0])[0]


def write_prompted_creature(
    out: str | os.PathLike[str], family: str, prompt: str | None = None, seed: int = 0
) -> PromptedCreature:
    """Make a creature in ``out/creature``.

    Args:
        family: a name in `FAMILY_MOTIONS`.
        prompt: by default the family's usual one.
        seed: of its looks. No training creature is the same: theirs are even, this one's is made odd.

    Raises:
        InputError: the family is unknown.
    """
    family_named(family)
    creature = make_creature(family, 2 * seed + 1)
    folder = Path(out) / "creature"
    save_creature(creature, folder)
    return PromptedCreature(creature, folder, usual_prompt(family) if prompt is None else prompt)


Compared = tuple[AnimateResult, str]

ROBOT = "robot"
_ROBOT_SENTENCE = "the robot waves and then dances"
_ROBOT_SEED = 79


def animate_robot(given: DemoCommand, asked: Mapping[str, Any], announce: Callable[[str], None]) -> list[Compared]:
    """A random figure that no model was trained on, by its mesh alone; compared with what its true parts would do."""
    preset, prompt = PRESETS["laptop"], _ROBOT_SENTENCE if given.prompt is None else given.prompt
    video = preset_videos(prompt, preset, size=given.size, frames=given.frame_count)
    figure, folder = draw_figure(_ROBOT_SEED + 2 * given.machine.seed, ROBOT), Path(given.out) / "creature"
    save_obj(figure_mesh(figure), folder)
    announce(f"“{prompt}”: animating {folder} in {given.out}")
    frames = given.frame_count or MOVE_FRAMES
    options = AnimateOptions(
        folder, None, given.out, video=video, **{"rigidity": preset.rigidity, "move_frames": frames, **asked}
    )
    result = mesh.animate(options, announce)
    rest = result.trajectory.positions[0].astype("float64")
    known = Body(tuple(figure.parts), figure.weights(rest))
    computed = read_moves(prompt, lambda: [known], frames)
    if computed is None or len(result.trajectory.positions) != frames:
        return [(result, "")]
    body = MovingBody(UPRIGHT.apply(rest), computed, frames)
    truth = np.stack([UPRIGHT.invert(body.at(UPRIGHT.apply(rest), frame)) for frame in range(frames)])
    score = score_trajectory(result.trajectory.positions.astype("float64"), truth)
    return [(result, _compared("the same motion with the parts that its generator knows", score))]


def animate_creature(given: DemoCommand, asked: Mapping[str, Any], announce: Callable[[str], None]) -> list[Compared]:
    """A creature from a sentence; compared with the generator's own motion if it has one."""
    preset = PRESETS["laptop"]
    family = given.creature or ROBOT
    if family not in (ROBOT, *FAMILY_MOTIONS):
        raise InputError(f"The creature `{family}` is unknown; known are: {', '.join((ROBOT, *FAMILY_MOTIONS))}.")
    if family == ROBOT:
        return animate_robot(given, asked, announce)
    prompt = usual_prompt(family) if given.prompt is None else given.prompt
    video = preset_videos(prompt, preset, size=given.size, frames=given.frame_count)
    subject = write_prompted_creature(given.out, family, prompt, given.machine.seed)
    announce(f"“{subject.prompt}”: animating {subject.folder} in {given.out}")
    known = subject.intended(2) is not None  # the model was trained on it, though this creature is odd
    usual = {"rigidity": preset.rigidity, "move_frames": given.frame_count or MOVE_FRAMES}
    asked = {**usual, "moves": "never" if known and not shown_faintly(subject.prompt) else "auto", **asked}
    options = AnimateOptions(subject.folder, None, given.out, video=video, **asked)
    result = mesh.animate(options, announce)
    positions = result.trajectory.positions.astype("float64")
    # A longer video repeats it; what is computed takes all of its frames.
    lap = min(len(positions), preset.sampler.context_length) if options.moves == "never" else len(positions)
    truth = subject.intended(lap)
    if truth is None:
        return [(result, "")]
    score = score_trajectory(positions[:lap], truth)
    return [(result, _compared("the generator's own motion for this sentence", score))]


def _compared(truth: str, score: TrajectoryScore) -> str:
    if not np.isfinite(score.cosine):
        return f"{truth} moves nothing by more than {recovery.MOVING:.0%} of the diagonal: nothing is compared"
    return f"against {truth}: cosine of displacements {score.cosine:.2f}, amplitude {score.amplitude:.2f}"


def animate_dragon(given: DemoCommand, asked: Mapping[str, Any], announce: Callable[[str], None]) -> Iterator[Compared]:
    """The dragon in one or all known motions, compared with them."""
    names = list(dragon.MOTIONS) if given.motion == "all" else [given.motion or ""]
    if names[0] not in dragon.MOTIONS:
        raise InputError(f"The motion `{given.motion}` is unknown; known are: {', '.join(dragon.MOTIONS)} and all.")
    for name in names:
        out = given.out if len(names) == 1 else given.out / name
        announce(f"animating the demo creature ({name}) in {out}")
        frames, size = given.frame_count or 16, given.size or 256
        truth = dragon.write_demo_frames(name, out / "frames", frames_per_view=frames, size=size)
        options = AnimateOptions(dragon.demo_asset(), out / "frames", out, **asked)
        result = mesh.animate(options, announce)
        report = recovery.recovery(result.trajectory, truth)
        yield (
            result,
            f"against the known motion: mean vertex error {100 * report.error:.2f} % of the diagonal, "
            f"{report.relative_error:.2f} of the displacement",
        )
