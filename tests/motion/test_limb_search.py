from __future__ import annotations

import numpy as np
import pytest
import trimesh
from assets import box, tube, turned
from moving_shapes import bending, footage, patterned_capsule, template_of

from animate3d.meshes import Mesh
from animate3d.motion.limb_search import LimbSearch, limbs_of
from animate3d.motion.matching import Matcher, MatchSettings
from animate3d.motion.surfaces import Array
from animate3d.motion.tracking import TrackSettings, track

SHOULDER = (0.0, 0.15, 0.3)


def figure() -> tuple[Mesh, np.ndarray, np.ndarray]:
    """A body with one arm that holds a stick, all loose, and which vertices are the arm's and the stick's."""
    pieces = [
        box((0.4, 0.4, 0.9), (0, 0, 0), edge=0.1),
        box((0.12, 0.6, 0.12), (0, 0.5, 0.3), edge=0.08),
        tube(0.03, (-0.2, 0.78, 0.3), (0.5, 0.78, 0.3)),
    ]
    whole = trimesh.util.concatenate(pieces)
    number = np.repeat(np.arange(3), [len(piece.vertices) for piece in pieces])
    waves = np.random.default_rng(0).normal(size=(3, 12, 3)) * 6
    colors = np.stack([0.5 + 0.4 * np.tanh(np.sin(whole.vertices @ wave.T + 1).sum(axis=1)) for wave in waves], axis=1)
    mesh = Mesh.from_faces(np.array(whole.vertices), np.array(whole.faces), vertex_colors=colors, up_axis="z")
    return mesh, number == 1, number == 2


def striking(mesh: Mesh, moving: np.ndarray, degrees: float) -> np.ndarray:
    """At rest, and with the arm turned about its shoulder at once. ``[3, N, 3]``"""
    struck = mesh.vertices.copy()
    struck[moving] = turned(mesh.vertices[moving], (1, 0, 0), SHOULDER, np.radians(degrees))
    return np.stack([mesh.vertices, struck, struck])


def test_an_arm_is_a_limb_with_and_without_what_it_holds() -> None:
    mesh, arm, stick = figure()
    template = template_of(mesh, nodes=600)
    of_arm, of_stick = (np.unique(template._node_of[part]) for part in (arm, stick))
    found = [set(limb.nodes.tolist()) for limb in limbs_of(template)]
    outer = set(of_arm[template.rest[of_arm, 1] > 0.5].tolist())
    assert any(set(of_stick.tolist()) == limb for limb in found)
    assert any(outer | set(of_stick.tolist()) <= limb for limb in found)
    assert any(outer <= limb and not limb & set(of_stick.tolist()) for limb in found)


def test_limbs_come_from_the_largest_on_and_none_is_most_of_the_body() -> None:
    template = template_of(figure()[0], nodes=600)
    shares = [template.areas[limb.nodes].sum() / template.areas.sum() for limb in limbs_of(template)]
    assert shares == sorted(shares, reverse=True) and shares[0] <= 0.5


@pytest.mark.parametrize(("views", "degrees"), [(2, 40), (4, 80)])  # two views leave more to guess
def test_an_arm_that_strikes_between_two_frames_is_found(views: int, degrees: int) -> None:
    mesh, arm, stick = figure()
    truth = striking(mesh, arm | stick, degrees)

    def error(limbs: bool) -> float:
        frames, cameras = footage(mesh, truth, size=96)
        tracked = track(template_of(mesh), frames[:views], cameras[:views], TrackSettings(thorough=True, limbs=limbs))
        off, moved = (np.linalg.norm(x - truth, axis=-1)[1:, arm | stick] for x in (tracked.positions, truth[:1]))
        return float(off.mean() / moved.mean())

    assert error(limbs=True) < 0.05
    assert error(limbs=False) > 0.15


def test_a_frame_that_is_explained_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = patterned_capsule()
    truth = bending(mesh, 2)
    frames, cameras = footage(mesh, truth)
    template = template_of(mesh)
    nodes = np.stack([truth[1][template._node_of == node].mean(axis=0) for node in range(template.n_nodes)])
    matcher = Matcher(template, frames, cameras, MatchSettings(2, 0.08, 0.3))
    search = LimbSearch(template, matcher, limbs_of(template))

    def none(*_: object) -> Array:
        raise AssertionError("a limb was turned")

    monkeypatch.setattr(LimbSearch, "_best_turn", none)
    assert search.posed(nodes, template.rest, 1) is nodes
