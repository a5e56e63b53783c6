"""Learn what a front looks like, from random figures that face +z: ``creatures/anatomy/facing.json``.

python -m animate3d.small_model.facing --each 250
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax
from tqdm import tqdm

from animate3d.creatures.anatomy.facing import SEEN, WEIGHTS, looks, turned
from animate3d.creatures.figures.draw import draw_figure
from animate3d.creatures.figures.sampling import surface_points

Array = NDArray[np.float64]

FRONTED = ("animal", "bird", "insect", "fish", "snake", "person", "robot", "vehicle", "aircraft", "bust")
"""Kinds of figures that have a front."""
FRONTLESS = ("furniture", "vessel", "plant", "tool")
"""Kinds that have none: all sides are to look alike."""
SIDES = (0.0, 90.0, 180.0, 270.0)
_ASKEW = 6.0  # degrees that the plane of symmetry is found off, at most
_FIRST_SEED = 6_000_000  # even, as all figures of training
_PENALTY = 1e-3
_FOLDS = 4


def examples(each: int) -> tuple[Array, Array, list[str]]:
    """What the four sides of figures look like ``[N, 4, D]``, the right answers ``[N, 4]``, and their kinds."""
    generator = np.random.default_rng(1)
    seen, answers, kinds = [], [], []
    for kind in tqdm((*FRONTED, *FRONTLESS), desc="kinds"):
        for number in range(each if kind in FRONTED else each // 3):
            figure = draw_figure(_FIRST_SEED + 2 * number, kind)
            points = turned(surface_points(figure, SEEN, generator)[0], generator.uniform(-_ASKEW, _ASKEW))
            seen.append([looks(turned(points, -yaw)) for yaw in SIDES])
            answers.append([1.0, 0.0, 0.0, 0.0] if kind in FRONTED else [0.25] * 4)
            kinds.append(kind)
    return np.array(seen), np.array(answers), kinds


def fitted(seen: Array, answers: Array) -> Array:
    """Weights ``[D]`` whose scores say the answers best, small ones where that makes little difference."""
    apart = seen - seen.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.square(apart).mean(axis=(0, 1))) + 1e-6
    apart = apart / scale

    def loss(weights: Array) -> tuple[float, Array]:
        scores = apart @ weights
        shares = softmax(scores, axis=-1)
        wrong = -(answers * np.log(np.maximum(shares, 1e-300))).sum(axis=1).mean()
        slope = np.einsum("nk,nkd->d", shares - answers, apart) / len(apart)
        return float(wrong + _PENALTY * weights @ weights), slope + 2 * _PENALTY * weights

    found = minimize(loss, np.zeros(seen.shape[2]), jac=True, method="L-BFGS-B", options={"maxiter": 600})
    return np.asarray(found.x / scale)


def main() -> None:
    """Learn which side is a front, and say how often it is right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=250, help="figures of every kind that has a front")
    args = parser.parse_args()
    seen, answers, kinds = examples(args.each)
    fold = np.arange(len(seen)) % _FOLDS
    shares = np.zeros_like(answers)
    for left in range(_FOLDS):
        shares[fold == left] = softmax(seen[fold == left] @ fitted(seen[fold != left], answers[fold != left]), axis=-1)
    for kind in FRONTED:
        best = shares[[other == kind for other in kinds]].argmax(axis=1)
        tqdm.write(f"{kind}: right {np.mean(best == 0):.0%}, backwards {np.mean(best == 2):.0%}")
    WEIGHTS.write_text(json.dumps([round(float(value), 4) for value in fitted(seen, answers)]) + "\n")


if __name__ == "__main__":
    main()
