"""Learn what a front looks like from the side, from random figures that face +z: ``creatures/anatomy/fronts.npz``.

python -m animate3d.small_model.fronts --each 130 --clouds outputs/clouds
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from animate3d.creatures.anatomy.facing import turned
from animate3d.creatures.anatomy.fronts import CHANNELS, SIDE, WEIGHTS, view
from animate3d.creatures.figures.draw import draw_figure
from animate3d.creatures.figures.flyers import ROCKETS
from animate3d.creatures.figures.sampling import surface_points
from animate3d.small_model.facing import FRONTED, SIDES

Array = NDArray[np.floating]

FRONTLESS = ("furniture", "vessel", "plant", "tool", "tree", "octopus", "mushroom", "geometric", "blob")
"""Kinds that have none: all sides are to look alike."""
_ASKEW = 6.0  # degrees that the plane of symmetry is found off, at most
_FIRST_SEED = 7_000_000  # even, as all figures of training
_POINTS = 4000
_FEWEST, _MOST = 700, 2000  # points that are looked at in training
_LEFT_OUT = 10  # one figure in so many
_BATCH = 32
_RATE, _DECAY = 2e-3, 0.02


def clouds(each: int, folder: Path | None = None) -> tuple[Array, Array, list[str]]:
    """Points of figures ``[N, P, 3]``, how likely each of `SIDES` is their front ``[N, 4]``, and their kinds."""
    points, answers, kinds = [], [], []
    for kind in tqdm((*FRONTED, *FRONTLESS), desc="kinds"):
        count = each if kind in FRONTED else each // 3
        made = _stored(kind, count, folder)
        points.append(made)
        for number in range(count):
            rocket = kind == "aircraft" and draw_figure(_FIRST_SEED + 2 * number, kind).noun in ROCKETS
            answers.append([1.0, 0.0, 0.0, 0.0] if kind in FRONTED and not rocket else [0.25] * 4)
            kinds.append(kind)
    return np.concatenate(points), np.array(answers), kinds


def _stored(kind: str, count: int, folder: Path | None) -> Array:
    """Points of the figures of a kind, kept in a folder for the next time."""
    path = folder / f"{kind}.npy" if folder else None
    if path and path.is_file() and len(kept := np.load(path)) >= count:
        return np.asarray(kept[:count])
    made = np.stack([_cloud(kind, _FIRST_SEED + 2 * number) for number in tqdm(range(count), desc=kind, leave=False)])
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, made)
    return made


def _cloud(kind: str, seed: int) -> NDArray[np.float16]:
    return surface_points(draw_figure(seed, kind), _POINTS, np.random.default_rng(seed))[0].astype(np.float16)


def varied(cloud: Array, generator: np.random.Generator) -> Array:
    """Another body like this one: other proportions, leaning, a piece missing, rough, its plane not quite found."""
    points = cloud[generator.integers(0, len(cloud), generator.integers(_FEWEST, _MOST))].astype(np.float64)
    if generator.random() < 0.4:
        hole = points[generator.integers(len(points))]
        kept = np.square(points - hole).sum(axis=1) > generator.uniform(0.05, 0.4) ** 2
        points = points[kept] if kept.mean() > 0.5 else points
    points *= np.exp(0.12 * generator.normal(size=3))
    if generator.random() < 0.3:
        points[:, 2] += 0.15 * generator.normal() * points[:, 1]
    points += 0.004 * generator.normal(size=points.shape)
    return turned(points, generator.uniform(-_ASKEW, _ASKEW))


def views(points: Array) -> NDArray[np.float32]:
    """How points ``[N, 3]`` look if the front were on each of `SIDES`. ``[4, C, H, W]``"""
    return np.stack([view(turned(points, -side)) for side in SIDES])


def network() -> nn.Sequential:
    """The net that `animate3d.creatures.anatomy.fronts.score` runs in numpy."""
    return nn.Sequential(
        nn.Conv2d(CHANNELS, 16, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * (SIDE // 4) ** 2, 32),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(32, 1),
    )


def fitted(points: Array, answers: Array, epochs: int) -> nn.Sequential:
    """The network after so many epochs, the same one every time."""
    torch.manual_seed(0)
    generator, net = np.random.default_rng(0), network()
    batches = len(points) // _BATCH
    optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=epochs * batches, pct_start=0.15)
    for _ in tqdm(range(epochs), desc="epochs"):
        for seen, right in _batches(points, answers, generator):
            loss = -(right * net(seen).view(-1, len(SIDES)).log_softmax(1)).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def _batches(
    points: Array, answers: Array, generator: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    order = generator.permutation(len(points))
    for start in range(0, len(order) - _BATCH + 1, _BATCH):
        chosen = order[start : start + _BATCH]
        seen = np.concatenate([views(varied(points[number], generator)) for number in chosen])
        yield torch.from_numpy(seen), torch.from_numpy(answers[chosen]).float()


def shares(net: nn.Sequential, points: Array) -> Array:
    """How likely each of `SIDES` is the front of figures ``[N, P, 3]``. ``[N, 4]``"""
    with torch.no_grad():
        scores = [net(torch.from_numpy(views(cloud.astype(np.float64)))).view(-1) for cloud in points]
    return np.asarray(torch.stack(scores).softmax(1).numpy(), dtype=np.float64)


def main() -> None:
    """Train the net that looks at a body from the side, and say how often it is right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=130, help="figures of every kind that has a front")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--clouds", type=Path, help="folder that keeps the points of the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    points, answers, kinds = clouds(args.each, args.clouds)
    left = np.arange(len(points)) % _LEFT_OUT == 0
    net = fitted(points[~left], answers[~left], args.epochs)
    likely, told = shares(net, points[left]), answers[left].max(axis=1) == 1.0
    for kind in FRONTED:
        best = likely[told & (np.array(kinds)[left] == kind)].argmax(axis=1)
        tqdm.write(f"{kind}: right {np.mean(best == 0):.0%}, backwards {np.mean(best == 2):.0%}")
    stored = {name: value.numpy().astype(np.float16) for name, value in net.state_dict().items()}
    np.savez_compressed(WEIGHTS, **stored)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
