"""Whether adverbs change how far and how fast meshes from elsewhere move, measured on the exported vertices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from foreign_run import Animated, animated
from numpy.typing import NDArray

PAIRS = [
    ("teapot", "the teapot hops", "the teapot hops very high", "farther"),
    ("teapot", "the teapot wobbles", "the teapot wobbles gently", "less far"),
    ("teapot", "the teapot rocks", "the teapot rocks slowly", "slower"),
    ("teapot", "the teapot jumps", "the teapot jumps twice", "faster"),
    ("duck", "the duck sways", "the duck sways wildly", "farther"),
    ("duck", "the duck nods", "the duck nods slightly", "less far"),
    ("duck", "the duck floats", "the duck floats quickly", "faster"),
    ("duck", "the duck bounces", "the duck bounces in slow motion", "slower"),
    ("soccerball", "the ball bounces", "the ball bounces high", "farther"),
    ("soccerball", "the ball rolls to the left", "the ball rolls a little to the left", "less far"),
    ("soccerball", "the ball spins", "the ball spins slowly", "slower"),
    ("soccerball", "the ball jumps", "the ball jumps rapidly", "faster"),
    ("mug", "the mug tilts", "the mug tilts a bit", "less far"),
    ("mug", "the mug slides to the right", "the mug slides far to the right", "farther"),
    ("mug", "the mug swings", "the mug swings fast", "faster"),
    ("mug", "the mug twists", "the mug twists lazily", "slower"),
    ("snowden", "he bows", "he bows deeply", "farther"),
    ("snowden", "the man nods", "the man nods vigorously", "farther"),
    ("snowden", "the man shakes his head", "the man shakes his head gently", "less far"),
    ("snowden", "the statue sways", "the statue sways hastily", "faster"),
    ("spider", "the spider walks", "the spider walks with big movements", "farther"),
    ("spider", "the spider dances", "the spider dances subtly", "less far"),
    ("spider", "the spider walks", "the spider walks slowly", "slower"),
    ("spider", "the spider crawls", "the spider crawls quickly", "faster"),
    ("ant", "the ant walks", "the ant walks gently", "less far"),
    ("ant", "the ant shakes its head", "the ant shakes its head wildly", "farther"),
    ("ant", "the ant walks", "the ant walks in a hurry", "faster"),
    ("ant", "the ant nods", "the ant nods very slowly", "slower"),
    ("wuson", "the bison gallops", "the bison gallops like crazy", "farther"),
    ("wuson", "the bison walks", "the bison walks carefully", "less far"),
    ("wuson", "the bison walks", "the bison walks at a slow pace", "slower"),
    ("wuson", "the bison gallops", "the bison gallops at full speed", "faster"),
    ("aliengo", "the robot walks", "the robot walks energetically", "farther"),
    ("aliengo", "the robot kicks", "the robot kicks softly", "less far"),
    ("aliengo", "the robot walks", "the robot walks sluggishly", "slower"),
    ("aliengo", "the robot gallops", "the robot gallops swiftly", "faster"),
    ("teddy", "the teddy waves", "the teddy waves excitedly", "farther"),
    ("teddy", "the teddy nods", "the teddy nods a little", "less far"),
    ("teddy", "the teddy waves", "the teddy waves leisurely", "slower"),
    ("teddy", "the teddy nods", "the teddy nods twice", "faster"),
    ("airplane", "the plane flaps its wings", "the plane flaps its wings strongly", "farther"),
    ("airplane", "the plane flaps its wings", "the plane flaps its wings gently", "less far"),
    ("airplane", "the plane flaps its wings", "the plane flaps its wings slowly", "slower"),
    ("airplane", "the plane flaps its wings", "the plane flaps its wings very fast", "faster"),
    ("jeep", "the jeep drives", "the jeep drives very far", "farther"),
    ("jeep", "the jeep rocks", "the jeep rocks lightly", "less far"),
    ("jeep", "the jeep rocks", "the jeep rocks rapidly", "faster"),
    ("jeep", "the jeep bounces", "the jeep bounces slowly", "slower"),
    ("worm", "the worm wiggles", "the worm wiggles violently", "farther"),
    ("worm", "the worm undulates", "the worm undulates faintly", "less far"),
    ("worm", "the worm undulates", "the worm undulates briskly", "faster"),
    ("worm", "the worm slithers", "the worm slithers unhurriedly", "slower"),
]
"""A mesh, a sentence without and with an adverb, and what that should change."""
_STILL = 0.02
"""Share of the largest change that counts as a turn."""


def amplitude(made: Animated) -> float:
    """How far the vertices go that go farthest: the mean of the farthest tenth, in sizes of the mesh."""
    far = np.sort(np.linalg.norm(made.went, axis=-1).max(axis=0))
    return float(far[-max(len(far) // 10, 1) :].mean() / np.ptp(made.positions[0], axis=0).max())


def tempo(made: Animated) -> float:
    """How often the motion turns round; for what never does, one over the frames until half of the way is gone.

    Of the main course in time of all vertices (their first principal component).
    """
    course = _course(made.went)
    steps = np.diff(course)
    steps = steps[np.abs(steps) > _STILL * np.ptp(course)]
    turns = int((np.sign(steps[1:]) != np.sign(steps[:-1])).sum())
    half = np.argmax(np.abs(course - course[0]) >= 0.5 * np.abs(course - course[0]).max())
    return float(turns) if turns else 1.0 / max(float(half), 1.0)


def _course(went: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = went.reshape(len(went), -1)
    flat = flat - flat.mean(axis=0)
    courses, sizes, _ = np.linalg.svd(flat, full_matrices=False)
    return courses[:, 0] * sizes[0]


def adverbs(found: dict[str, Path]) -> None:
    """Pairs of sentences with and without an adverb."""
    right: dict[str, list[bool]] = {}
    print("| mesh | sentence | should go | without | with | |\n|---|---|---|---|---|---|")
    plain: dict[tuple[str, str], Animated | None] = {}
    for name, without, sentence, change in PAIRS:
        if name not in found:
            continue
        if (name, without) not in plain:
            plain[name, without] = animated(found[name], without)
        made, before = animated(found[name], sentence), plain[name, without]
        measure = amplitude if change in ("farther", "less far") else tempo
        values = [0.0 if clip is None else measure(clip) for clip in (before, made)]
        more = change in ("farther", "faster")
        done = values[1] > 1.05 * values[0] if more else values[1] < 0.95 * values[0]
        done = done and made is not None and before is not None
        right.setdefault("how far" if measure is amplitude else "how fast", []).append(done)
        print(
            f"| {name} | {sentence} | {change} | {values[0]:.2f} | {values[1]:.2f} | {'' if done else 'no'} |",
            flush=True,
        )
    for what, cases in right.items():
        print(f"\n{what}: right {sum(cases)} of {len(cases)} ({np.mean(cases):.0%})")
