"""From a mesh and a sentence to an animated file by way of any image-to-video model: still, video, and its motion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from animate3d.errors import InputError
from animate3d.files import content_hash
from animate3d.frames import save_frames, save_mp4
from animate3d.lock import alone_in
from animate3d.meshes import given_placement, load_mesh
from animate3d.runs.base import check_options
from animate3d.runs.clip import FOLDER_FPS
from animate3d.runs.generator import Shape, VideoModel, closes_loops, generate, load_generator, shape_of
from animate3d.runs.mesh import AnimateResult, check_mesh_options
from animate3d.runs.render import StillOptions, parse_view, render_still
from animate3d.runs.steps import Steps
from animate3d.runs.video import VideoRunOptions, animate_video


@dataclass(frozen=True)
class GeneratedRunOptions(VideoRunOptions):
    """`VideoRunOptions` of a video that a model makes first; ``videos`` and ``cameras`` stay empty.

    Attributes:
        generator: the image-to-video model.
        still_view: what it starts from, as `StillOptions.view`.
    """

    generator: VideoModel = field(kw_only=True)
    still_view: str = field(default="three-quarter", kw_only=True)


def animate_generated(
    options: GeneratedRunOptions, announce: Callable[[str], None] = lambda line: None
) -> AnimateResult:
    """Animate a mesh as a generated video shows it.

    Raises:
        InputError: a model or a setting that cannot be used, or what `animate_video` raises.
    """
    check_options(replace(options, frames=options.model))
    check_mesh_options(replace(options, frames=None))
    parse_view(options.still_view)
    if options.field:
        raise InputError("--video-model goes without --field and --config.")
    with alone_in(options.out):
        maker = _Maker(options, announce)
        maker.make()
    of_video = {name: value for name, value in vars(options).items() if name not in ("generator", "still_view")}
    rate = maker.shape.fps / options.trim.every if options.rate is None else options.rate
    given = of_video | {"videos": (maker.video,), "cameras": (maker.still.parent / "camera.json",), "rate": rate}
    faster = maker.shape.fps / FOLDER_FPS  # seconds of a folder count by that rate
    end = None if options.trim.end is None else options.trim.end * faster
    given["trim"] = replace(options.trim, start=options.trim.start * faster, end=end)
    result = animate_video(VideoRunOptions(**given), announce)
    Steps(options.out).describe(prompt=options.generator.prompt, video_model=options.generator.name)
    return result


class _Maker:
    """The steps from a model to a video of it."""

    def __init__(self, options: GeneratedRunOptions, announce: Callable[[str], None]) -> None:
        self.options, self.announce = options, announce
        self.steps = Steps(options.out, announce)
        self.mesh = load_mesh(options.model)
        given = given_placement(options.placement, lambda: self.mesh.vertices)
        self.placement = given or self.mesh.automatic_placement()
        self.still = options.out / "work" / "still" / "still.png"
        self.video = options.out / "work" / "generated"

    def make(self) -> None:
        """The still, and the video that starts from it."""
        options, model = self.options, self.options.generator
        facts = self.steps.run("2 video model", self._look_at_model, settings=model.identity())
        self.shape = Shape(**facts["shape"])
        if model.loop and not facts["closes"]:
            self.announce(f"note: {model.name} takes no last image; the motion is closed after it is found")
        size = f"{self.shape.width}x{self.shape.height}"
        self.steps.run(
            "2 still",
            lambda: self._draw(size),
            inputs={"mesh": content_hash(self.mesh)},
            settings={"placement": self.placement.matrix().tolist(), "view": options.still_view, "size": size},
            outputs=[self.still],
        )
        self.steps.run(
            "2 generated video",
            self._generate,
            inputs={"still": self.still},
            settings=model.identity(),
            outputs=[self.video],
        )

    def _look_at_model(self) -> dict[str, Any]:
        return {"shape": asdict(shape_of(self.pipeline, self.options.generator)), "closes": closes_loops(self.pipeline)}

    @cached_property
    def pipeline(self) -> Any:
        """Loaded when something has to be made."""
        return load_generator(self.options.generator, self.announce, self.options.gpu)

    def _draw(self, size: str) -> None:
        options = self.options
        render_still(
            StillOptions(options.model, self.still.parent, view=options.still_view, size=size, placement=self.placement)
        )

    def _generate(self) -> dict[str, Any]:
        with Image.open(self.still) as still:
            frames = generate(self.pipeline, self.options.generator, still, self.shape)
        del self.pipeline  # gigabytes
        save_frames(self.video, frames[None])
        save_mp4(self.options.out / "generated.mp4", np.ascontiguousarray(frames), self.shape.fps)
        return {"frames": len(frames), "fps": self.shape.fps}
