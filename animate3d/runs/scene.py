"""From a scene and sentences to an animated file: every object is animated alone, and put back where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from animate3d.errors import InputError
from animate3d.files import atomic_file, content_hash, portable_name
from animate3d.meshes import Mesh
from animate3d.meshes.scene import Member, Scene
from animate3d.meshes.scene_file import is_scene_file, read_scene
from animate3d.runs.base import check_options
from animate3d.runs.mesh import AnimateResult, MeshRun, animate, check_mesh_options, finish
from animate3d.runs.options import AnimateOptions
from animate3d.runs.sentences import names_none, shared_out


def is_scene(options: AnimateOptions) -> bool:
    """Whether a run is asked for several objects."""
    return bool(options.others) or options.objects != "one" or is_scene_file(options.model)


def own_sentences(model: Path) -> str | None:
    """The sentences that the objects of a scene file have, in one; None where there are none, or another file."""
    entries = read_scene(model) if is_scene_file(model) else []
    return "; ".join(entry.prompt for entry in entries if entry.prompt) or None


def animate_scene(options: AnimateOptions, announce: Callable[[str], None] = lambda line: None) -> AnimateResult:
    """Animate a scene from sentences.

    The bundled model knows single objects, so each is animated alone: by its own sentence, else by what the common one
    says of it, and without either it stands still. The full model sees the whole scene, unless an object has a
    sentence of its own.

    Args:
        options: with a ``video``: the common sentence, or `own_sentences`, and how all videos are made.

    Raises:
        InputError: see `animate`; and a field, which is fitted to videos of the whole.
    """
    check_mesh_options(options)
    check_options(options)
    run = SceneRun(options, announce)
    video = options.video
    assert video is not None
    own = isinstance(run.model, Scene) and any(member.prompt for member in run.model.members)
    if not isinstance(run.model, Scene) or not (own or video.bundled):
        return animate(options, announce)
    if options.field:
        raise InputError("--field is fitted to videos of the whole scene: leave it out, or give --frames.")
    with run.at_work():
        run.place()
        common = None if video.prompt == own_sentences(options.model) else video.prompt
        return finish(run, run.animate_objects(run.model, common))


class SceneRun(MeshRun):
    """The steps of a scene whose objects are animated alone: there are no videos of the whole."""

    frames_hash = "none"

    def animate_objects(self, scene: Scene, prompt: str | None) -> Path:
        """Steps 2 to 5 of every object that has a sentence. Returns the file of the motion of them all."""
        common = [None] * len(scene.names) if prompt is None else shared_out(prompt, scene.names)
        if prompt is not None and len(scene.names) > 1 and names_none(prompt, scene.names):
            self.announce(f"the sentence names none of {', '.join(scene.names)}: each of them does all of it")
        sentences = [member.prompt or part for member, part in zip(scene.members, common, strict=True)]
        self.announce(told(scene.members, sentences))
        self.steps.describe(prompts=dict(zip(scene.names, sentences, strict=True)))
        runs = {
            number: self._animate_object(scene, number, sentence)
            for number, sentence in enumerate(sentences)
            if sentence
        }
        target = self.work / "moved.npy"
        inputs: dict[str, Path | str] = {scene.names[k]: run.motion for k, run in runs.items()}
        self.steps.run(
            "5 objects",
            lambda: self._put_together(scene, runs, target),
            inputs={"mesh": self.model_hash, "placement": self.placement_file, **inputs},
            outputs=[target, self.work / "confidence.npy"],
        )
        return target

    def _animate_object(self, scene: Scene, number: int, prompt: str) -> ObjectRun:
        options, name = self.options, scene.names[number]
        assert options.video is not None
        mine = replace(
            options,
            out=options.out / "objects" / portable_name(name),
            video=replace(options.video, prompt=prompt),
            placement=None,
            others=(),
            objects="one",
            move_frames=options.video.sampler.frames,  # as many as the videos of the others
        )
        run = ObjectRun(scene, number, mine, lambda line: self.announce(f"{name}: {line}"))
        with run.at_work():
            run.place()
            run.render_static()
            run.choose_frames()
            run.motion = run.find_motion()
        return run

    def _put_together(self, scene: Scene, runs: dict[int, ObjectRun], target: Path) -> None:
        """The motions of the objects where these stand in the placed scene, and how well they were followed."""
        found = {number: run.positions(run.motion) for number, run in runs.items()}
        positions = np.repeat(self.placed[None], len(next(iter(found.values()))), axis=0)
        confidence = np.ones(positions.shape[:2], np.float16)
        for number, moved in found.items():
            run, there = runs[number], scene.members[number].placement
            own = run.placement.invert(moved.astype(np.float64))
            positions[:, run.vertices] = self.placement.apply(there.apply(own))
            if run.computed is None:
                confidence[:, run.vertices] = np.load(run.work / "confidence.npy", allow_pickle=False)
        for path, values in ((target, positions), (self.work / "confidence.npy", confidence)):
            with atomic_file(path) as temporary:
                np.save(temporary, values, allow_pickle=False)


class ObjectRun(MeshRun):
    """One object of a scene, in the coordinates of its own file.

    Attributes:
        vertices: ``[n]`` numbers of its vertices in the scene.
        motion: the file of its motion, once it is found.
    """

    motion: Path

    def __init__(self, scene: Scene, number: int, options: AnimateOptions, announce: Callable[[str], None]) -> None:
        self._mesh, self.vertices = scene.alone(number)
        super().__init__(options, announce)

    def read_model(self) -> tuple[Mesh, str]:
        return self._mesh, content_hash(self._mesh)


def told(members: Sequence[Member], sentences: Sequence[str | None]) -> str:
    """What every object is going to do."""
    said = [
        f"{member.name} stands still" if sentence is None else f"{member.name} by “{sentence}”"
        for member, sentence in zip(members, sentences, strict=True)
    ]
    return f"each object is animated alone: {', '.join(said)}"
