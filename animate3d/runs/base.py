"""A resumable run, whatever is animated: inputs, videos, alignment, tracking, and one record of it all.

Results lie in the output folder; what the steps hand on lies in ``work/`` below it, so that every step can be
inspected or replaced by hand.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from animate3d.arguments import check_out
from animate3d.cameras import ELEVATION, Cameras, orbit_cameras
from animate3d.errors import InputError
from animate3d.evaluation.image_metrics import silhouette_iou
from animate3d.files import atomic_directory, atomic_file, content_hash, existing_file, existing_folder
from animate3d.frames import composite, contact_sheet, count_frames, load_frames, numbered_images, save_image
from animate3d.gaussians import Gaussians
from animate3d.lock import alone_in
from animate3d.meshes import Mesh, Placement, given_placement
from animate3d.motion.by_origins import track_by_origins
from animate3d.motion.objects import template_of
from animate3d.motion.pixel_origins import ORIGINS, load_origins
from animate3d.motion.seams import find_seams, smooth_seams
from animate3d.motion.template import Surface
from animate3d.motion.tracking import Tracked, TrackSettings, track
from animate3d.progress import counted
from animate3d.resources import find_resource
from animate3d.runs import alignment
from animate3d.runs.checks import check_degrees
from animate3d.runs.console import compiling_told
from animate3d.runs.fit import Training, frame_settings, rigidity_settings
from animate3d.runs.moves import Computed, computed_of, parts_of, why_computed
from animate3d.runs.options import MOST_FRAMES, RunOptions
from animate3d.runs.overrides import FIT, settings_of
from animate3d.runs.quality import Followed, followed, frame_confidence, quality_sentence
from animate3d.runs.steps import Steps
from animate3d.runs.videos import (
    INFERENCE_CONFIG,
    VideoOptions,
    Wanted,
    check_video,
    import_ahead,
    made_frames,
    make_masks,
    make_videos,
)

STATIC_VIEWS = 4  # of the static render: those of the generated videos
STATIC_SIZE = 512
UNKNOWN_RIGIDITY = 2.0  # factor for what the bundled model does not know: its videos are wrong in more places


@dataclass(frozen=True)
class Sample:
    """Videos of one seed: how they are made, where they go, and what tells their steps from those of others."""

    video: VideoOptions
    folder: Path
    label: str = ""


class Run(ABC):
    """The inputs of a run, read and checked, and the steps that do not depend on what is animated."""

    fit_size: int
    """Pixels at which a field is fitted; smaller frames are used as they are."""
    fit_name: str
    """Name of the folder that the field is trained in."""
    called: str
    """The model in messages."""
    ends_in_tracking = False
    """Whether the tracked motion is the result: then it must never be worse than none."""
    needs_videos = False
    """Whether something is fitted to videos, so that none can be spared."""

    def __init__(self, options: RunOptions, announce: Callable[[str], None]) -> None:
        self.options, self.announce = options, announce
        self.model, self.model_hash = self.read_model()
        if options.frames is not None:  # reported now, not after a minute of work
            self.read_frames(options.frames)
        self.placement = given_placement(options.placement, self.extent) or self.automatic_placement()
        self.work = self.record_folder / "work"
        self.placement_file = self.work / "placement.json"
        self.static_images = self.work / "static"
        self._stiffer = 1.0  # than the options say, once the model is found not to know the object or the motion
        self.known: np.ndarray | None = None  # [V, H, W] where the frames show anything; None everywhere
        self._followed: dict[str, Followed] = {}  # by the hash of the frames

    @property
    def record_folder(self) -> Path:
        """Where ``run.json`` and ``work/`` lie."""
        return self.options.out

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Steps run inside: no other run may be at work in the same folder."""
        with alone_in(self.record_folder), compiling_told(self.announce):
            self.steps = Steps(self.record_folder, self.announce)
            self.steps.describe(**self.described())
            yield

    def described(self) -> dict[str, Any]:
        """What the record says of the run as a whole."""
        options = self.options
        return {
            "model": options.model,
            "frames": options.frames,
            "prompt": None if options.video is None else options.video.prompt,
            "seed": options.seed,
            "views": options.views,
            "azimuth": options.azimuth,
        }

    # What is animated

    @abstractmethod
    def read_model(self) -> tuple[Mesh | Gaussians, str]:
        """The model and a hash of it."""

    @abstractmethod
    def automatic_placement(self) -> Placement:
        """How the model is placed unless something else is asked for."""

    @abstractmethod
    def extent(self) -> np.ndarray:
        """The points of the model ``[N, 3]`` that its size goes by."""

    @abstractmethod
    def draw(self, cameras: Cameras) -> Tensor:
        """The placed model at rest ``[V, H, W, 4]`` 0..1: colours on grey, with the coverage as alpha."""

    @abstractmethod
    def surface(self) -> Surface:
        """What is tracked."""

    @cached_property
    def object_ids(self) -> np.ndarray | None:
        """Which object of a scene every pixel of the frames shows, see `ObjectMasks`; None where nothing says so."""
        return None

    def shown(self, surface: Surface) -> Mesh:
        """What stands for the model in pictures of its tracked motion; has the vertices of the surface."""
        return Mesh.from_faces(surface.vertices, surface.triangles, vertex_colors=surface.colors)

    def draw_splats(self, cameras: Cameras) -> Tensor:
        """The placed model as the documented step 2 draws it."""
        return self.draw(cameras)

    # Inputs

    @cached_property
    def azimuths(self) -> list[float]:
        """Azimuths of the videos in degrees: evenly spaced, but two videos are 90 degrees apart."""
        views = self.options.views
        return [self.options.azimuth + v * (90.0 if views <= 2 else 360.0 / views) for v in range(views)]

    def cameras(self, size: int) -> Cameras:
        """The cameras that the videos were seen by."""
        return orbit_cameras(ELEVATION, self.azimuths, size=size)

    def read_frames(self, folder: Path) -> None:
        """The RGBA frames that the motion is fitted to.

        Raises:
            InputError: not a folder of enough square images.
        """
        folder = existing_folder(folder, "folder of frames")
        views = self.options.views
        self.frames_folder = folder
        self.frames = load_frames(folder, views, count_frames(folder, views))
        self.frames_hash = content_hash(numbered_images(folder))
        height, width = self.frames.shape[2:4]
        if height != width:
            raise InputError(f"The frames in {folder} are {width}x{height} pixels; they must be square.")
        if self.frames.shape[1] < 2:
            raise InputError(f"{folder} holds one frame per view; a motion needs at least 2.")
        for v, covered in enumerate((self.frames[:, 0, ..., 3] > 0.5).flatten(1).float().mean(1).tolist()):
            if covered in (0.0, 1.0):
                fault = "is empty: every pixel" if covered == 0 else "shows no outline: no pixel"
                raise InputError(
                    f"Frame 0 of view {v} in {folder} {fault} is transparent. The alpha has to cut out the object; "
                    "make masks first (see the documentation)."
                )

    @property
    def rigidity(self) -> float:
        """Factor on the weights that hold the model's shape."""
        return self._stiffer * self.options.rigidity

    @cached_property
    def computed(self) -> Computed | None:
        """What the model does where that is computed; None where videos show what moves."""
        reason, find = lambda: why_computed(self.understood), lambda: parts_of(self.surface(), self.options.facing)
        return None if self.needs_videos else computed_of(self.options, reason, find, self.announce)

    # Steps 2 to 4

    def render_static(self) -> None:
        """Step 2: the four views that the videos start from, on grey, with the coverage as alpha."""

        def render() -> None:
            import_ahead(self.options.video, self.options.moves)
            drawn = (self.draw(self.cameras(STATIC_SIZE)).clamp(0, 1) * 255 + 0.5).byte().numpy()
            with atomic_directory(self.static_images) as temporary:
                for v, picture in enumerate(drawn):
                    save_image(temporary / f"{v}.png", picture)

        self.steps.run(
            "2 four-view render",
            render,
            inputs={"model": self.model_hash, "placement": self.placement_file},
            settings={"size": STATIC_SIZE},
            outputs=[self.static_images],
        )

    def choose_frames(self) -> float | None:
        """Steps 3 and 4: videos from the prompt and their foreground masks; of several samples the best.

        Returns:
            the score of the chosen sample (`animate3d.motion.score`); None where there was only one, or none is needed.
        """
        if self.computed:
            return None
        samples = self.samples
        score = None
        if len(samples) == 1:
            self.read_frames(self._make_frames(samples[0]))
        else:
            score = self._choose_sample(samples)
        pictures = (composite(self.frames, 0.5) * 255).round().byte().numpy()
        save_image(self.options.out / "videos.png", contact_sheet(pictures))
        return score

    @cached_property
    def samples(self) -> list[Sample]:
        """The videos that are made from the prompt, of which the best are chosen."""
        video, seed = self.options.video, self.options.seed
        assert video is not None  # `check_options`
        if video.bundled:
            video = self._read_prompt(video)
        if video.samples == 1:
            return [Sample(video.sample(0, seed), self.work)]
        folders = [self.work / "samples" / str(number) for number in range(video.samples)]
        return [Sample(video.sample(n, seed), folder, f" (sample {n + 1})") for n, folder in enumerate(folders)]

    def missing_videos(self) -> list[Wanted]:
        """What `choose_frames` will make videos from."""
        samples = [] if self.computed else self.samples
        return [(s.video, self._conditions) for s in samples if not self.steps.is_done(**self._videos_step(s))]

    def _choose_sample(self, samples: Sequence[Sample]) -> float:
        """Go on with the frames of the best sample; returns its score."""
        folders, scores = [], []
        for number, sample in enumerate(samples):
            folders.append(self._make_frames(sample))
            self.read_frames(folders[-1])
            facts = self.steps.run(
                f"4 score{sample.label}",
                lambda: {"score": self.score()},
                inputs={"placement": self.placement_file, "frames": self.frames_hash},
                settings={"views": len(self.frames)},
            )
            scores.append(float(facts["score"]))
            self.announce(f"sample {number + 1} of {len(samples)}: score {scores[-1]:.2f}")
        chosen = int(np.argmax(scores))
        self.announce(f"chosen: sample {chosen + 1}")
        self.read_frames(folders[chosen])
        return scores[chosen]

    def _read_prompt(self, video: VideoOptions) -> VideoOptions:
        """The bundled model knows the words of its captions only: the prompt is put into them."""
        facts = self.understood
        for sentence in facts["notes"]:
            self.announce(f"note: {sentence}")
        if not facts["known"]:
            self._stiffer = UNKNOWN_RIGIDITY
        return replace(video, prompt=facts["caption"])

    @cached_property
    def understood(self) -> Mapping[str, Any]:
        """Step 3: what the bundled model makes of the prompt, see `animate3d.bundled_model.prompts.Understood`."""
        video = self.options.video
        assert video is not None  # `check_options`
        from animate3d.bundled_model.knowledge import WORLD, understand_families  # diffusers takes seconds to import
        from animate3d.bundled_model.prompts import understand

        def read() -> dict[str, Any]:
            if video.weights is None or not (video.weights / WORLD).is_file():
                return asdict(understand(video.prompt))
            images = [self.static_images / f"{v}.png" for v in range(STATIC_VIEWS)]
            return asdict(understand_families(video.prompt, images, video.weights))

        return self.steps.run(
            "3 reading",
            read,
            inputs={"static": self.static_images},
            settings={"prompt": video.prompt, "weights": video.identity()["weights"]},
        )

    @property
    def _conditions(self) -> tuple[Path, ...]:
        """The image that the video of every view begins with."""
        return tuple(self.static_images / f"{v}.png" for v in range(self.options.views))

    def _videos_step(self, sample: Sample) -> dict[str, Any]:
        """The name of the step that makes a sample's videos, and what it depends on."""
        return {
            "name": f"3 videos{sample.label}",
            "inputs": {"static": self.static_images, "config": find_resource(INFERENCE_CONFIG)},
            "settings": sample.video.identity(),
            "outputs": [sample.folder / "videos"],
        }

    def _make_frames(self, sample: Sample) -> Path:
        """One sample: its RGBA frames."""
        video, images = sample.video, self._conditions
        videos, frames = sample.folder / "videos", sample.folder / "frames"
        self.steps.run(action=lambda: make_videos(video, images, videos), **self._videos_step(sample))
        raw = made_frames(video, videos)
        facts = self.steps.run(
            f"4 masks{sample.label}",
            lambda: {"warnings": make_masks(video, raw, self.static_images, frames, self.options.views)},
            inputs={"videos": raw, "static": self.static_images},
            settings={"backend": video.mask_backend},
            outputs=[frames],
        )
        for sentence in facts["warnings"]:
            self.announce(f"warning: {sentence}")
        return frames

    # Step 5

    def check_alignment(self) -> None:
        """Frame 0 of every view has to show the placed model: the given frames fix the placement."""
        first = self.frames[:, 0]
        cameras = self.cameras(first.shape[1])
        model = self.draw(cameras)
        overlap = silhouette_iou(first[..., 3], model[..., 3])
        if min(overlap) < alignment.MIN_ALIGNMENT:
            # Videos made from the documented step 2 show a coarse mesh as splats, which are wider than its faces.
            splats = silhouette_iou(first[..., 3], self.draw_splats(cameras)[..., 3])
            overlap = [max(pair) for pair in zip(overlap, splats, strict=True)]
        picture, better = self.options.out / "alignment.png", self.work / "suggested_placement.json"
        if min(overlap) >= alignment.MIN_ALIGNMENT:
            if warning := alignment.color_warning(first, model, overlap, picture, self.called):
                self.announce(warning)
            return
        advice = alignment.suggest(self.model, self.placement, first[..., 3], cameras)
        text = advice.text
        if advice.placement is not None:
            advice.placement.save(better)
            text += f" --placement {better}"
        alignment.save_comparison(first, model, overlap, text, picture)
        worst = int(np.argmin(overlap))
        raise InputError(
            f"Frame 0 of view {worst} in {self.frames_folder} does not match the silhouette of the placed "
            f"{self.called} (IoU {overlap[worst]:.2f}, {alignment.MIN_ALIGNMENT} is needed; see {picture}); "
            f"--views {len(self.frames)} and --azimuth {self.azimuths[0]:g} say which views these are. {text}"
        )

    def track_surface(self, surface: Surface) -> Followed:
        """The surface followed through the frames, and how much of them its motion explains."""
        if self.frames_hash not in self._followed:  # it was tracked already if a sample was scored
            ways = partial(self.follow, surface), self.follow_origins(surface)
            shown, cameras, keep = self.shown(surface), self.cameras(self.frames.shape[2]), self.ends_in_tracking
            find = partial(followed, keep=keep, given=self.options.frames is not None, known=self.known)
            found = find(ways[0], shown, self.frames, cameras, by_origins=ways[1])
            self._followed[self.frames_hash] = found
        return self._followed[self.frames_hash]

    def follow(self, surface: Surface, thorough: bool) -> Tracked:
        """The surface followed through the frames, the first of which shows it at rest."""
        settings = TrackSettings(thorough=thorough, limbs=self.options.frames is not None).scaled(self.rigidity)
        cameras = self.cameras(self.frames.shape[2])
        with counted(self.frames.shape[1] - 1, "tracking", "frame") as tell:
            return track(
                template_of(surface), self.frames.numpy(), cameras, settings, progress=tell, ids=self.object_ids
            )

    @property
    def origins(self) -> Path | None:
        """What the video model says of the pixels of its videos, if it does; None for given frames."""
        path = self.frames_folder.parent / "videos" / ORIGINS
        return path if self.options.frames is None and path.is_file() else None

    def follow_origins(self, surface: Surface) -> Callable[[], Tracked] | None:
        """What follows the surface by the origins of the pixels, where there are any."""
        if self.origins is None:
            return None
        given = load_origins(self.origins), self.frames.numpy(), self.cameras(self.frames.shape[2])
        settings = TrackSettings().scaled(self.rigidity)
        return lambda: track_by_origins(template_of(surface), *given, settings)

    def score(self) -> float:
        """How much of the current frames' change the tracked model shows too."""
        return self.track_surface(self.surface()).explained.total

    def track_step(self, model: str, save: Callable[[Surface, np.ndarray, np.ndarray], object], *paths: Path) -> Path:
        """Step 5: the motion of the surface; says how much of what the frames show it explains.

        Args:
            model: a hash of what is tracked.
            save: given the surface, its positions and rotations, writes ``paths``.

        Returns:
            the first of ``paths``.
        """
        beside = {} if self.origins is None else {"origins": self.origins}
        # Frames that were given may show the pose at rest again: those are left as they are.
        seams = [] if self.options.video is None else find_seams(self.frames.numpy())

        def follow() -> dict[str, Any]:
            surface = self.surface()
            tracked = self.track_surface(surface)
            save(surface, *smooth_seams(tracked.positions, tracked.rotations, seams))
            with atomic_file(self.work / "confidence.npy") as temporary:  # for the viewer
                np.save(temporary, tracked.confidence.astype(np.float16), allow_pickle=False)
            return {**tracked.facts(), "confidence": frame_confidence(tracked.confidence)}

        facts = self.steps.run(
            "5 tracking",
            follow,
            inputs={"model": model, "placement": self.placement_file, "frames": self.frames_hash, **beside},
            settings={
                "azimuths": self.azimuths,
                "rigidity": self.rigidity,
                **({} if self.object_ids is None else {"object_masks": content_hash(self.object_ids)}),
                **({"seams": seams} if seams else {}),
                "harmless": self.ends_in_tracking,
            },
            outputs=paths,
        )
        self._followed.clear()  # it is in files now, and takes more memory than all that follows
        self.announce(quality_sentence(facts, len(self.frames), self.frames.shape[2]))
        return paths[0]

    def fit_field(self, training: Training, keys: Sequence[str], inputs: dict[str, Path | str]) -> Path:
        """Step 5: a deformation field on top of the tracked motion if there is one. Returns its checkpoint."""
        overrides = settings_of(FIT, self.options.overrides)
        size = min(self.fit_size, self.frames.shape[2])
        return training.run(
            self.steps,
            "5 motion",
            self.options.config,
            [
                *frame_settings(self.frames_folder, self.frames.shape, size, self.azimuths),
                *keys,
                *rigidity_settings(self.options.config, self.rigidity),
                *overrides,
            ],
            inputs={**inputs, "frames": self.frames_hash},
            settings={"overrides": overrides, "azimuths": self.azimuths, "rigidity": self.rigidity},
        )


def check_options(options: RunOptions) -> None:
    """What would otherwise come to light only after minutes of work.

    Raises:
        InputError: a value that cannot be used.
    """
    for path, what in ((options.model, "model"), (options.frames, "folder of frames"), (options.out, "output folder")):
        if any(character in str(path) for character in "\n\r"):
            raise InputError(f"The {what} {str(path)!r} has a line break in its name; choose another name.")
    check_out(options.out, options.frames)
    if not (np.isfinite(options.fps) and options.fps > 0):
        raise InputError(f"The number of frames per second must be positive, got {options.fps:g}.")
    if options.views < 1:
        raise InputError(f"The number of views must be at least 1, got {options.views}.")
    check_degrees("azimuth of the first video", options.azimuth)
    check_degrees("azimuth of --facing", options.facing)
    if options.frames is None and options.video is None:
        raise InputError("Nothing says how it moves: give a --prompt, a --video or a folder of --frames.")
    if options.frames is None and (options.views != STATIC_VIEWS or options.azimuth):
        raise InputError(
            f"Videos from a prompt have {STATIC_VIEWS} views from azimuth 0 on, got {options.views} from "
            f"{options.azimuth:g} on."
        )
    if options.moves == "always" and options.video is None:
        raise InputError("--moves always computes the motion of a --prompt; give that in place of videos.")
    if not 2 <= options.move_frames <= MOST_FRAMES:
        raise InputError(f"A motion has 2 to {MOST_FRAMES} frames, got {options.move_frames}.")
    if options.overrides:
        from animate3d.studio.launch import check_settings  # only where a field is fitted, which imports it anyway

        asked = ["system.prompt_processor.prompt=check", *settings_of(FIT, options.overrides)]
        check_settings(options.config, asked)
    if options.video is not None:
        check_video(options.video)
    existing_file(find_resource(options.config), "config file")
    settings_of(FIT, options.overrides)
