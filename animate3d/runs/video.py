"""From a mesh and one ordinary video, or a few of the same moment, to an animated file as one resumable run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from animate3d.cameras import ELEVATION, Cameras, orbit_cameras
from animate3d.errors import InputError
from animate3d.files import atomic_directory, content_hash, existing_file
from animate3d.frames import FrameFolder, numbered_images, read_rgba, save_image
from animate3d.masks import choose_segmenter
from animate3d.masks.folder import Segmenter
from animate3d.meshes import Placement
from animate3d.motion.objects import template_of
from animate3d.motion.template import Surface
from animate3d.motion.tracking import Tracked, TrackSettings, track
from animate3d.motion.trajectory import save_placed_folder
from animate3d.progress import counted
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.alignment import for_scenes
from animate3d.runs.base import check_options
from animate3d.runs.camera_fit import MIN_OVERLAP, WELL_OVERLAP, find_camera, refine_camera
from animate3d.runs.clip import Bytes, Clip, Trim, read_clip
from animate3d.runs.confidence import confidence_picture
from animate3d.runs.cutout import cut_out, first_alpha
from animate3d.runs.first_pose import find_first_pose, matched_look
from animate3d.runs.mesh import AnimateResult, MeshRun, check_mesh_options, finish
from animate3d.runs.options import AnimateOptions
from animate3d.runs.overlay import overlap, save_overlays, save_row
from animate3d.runs.render import draw_viewpoint
from animate3d.runs.seen_again import cut_sentences, known_pixels, square_cameras, turned_to
from animate3d.runs.shot import Shot, WrongClip
from animate3d.runs.viewpoint import Viewpoint, load_viewpoint, save_viewpoint

START_POSES = ("rest", "video")
_NEAR = 0.4  # overlap by a camera that is given, before the first pose is fitted
_AT_REST = 0.004  # of the diagonal: a first pose that moved less is the pose at rest
_BLEND = 0.4  # seconds from the pose at rest to the video's
_UNSURE = 0.25  # confidence of a frame below which it is told
_MORPHS = 64  # targets of a clip of more frames, unless more are asked for: some engines stop there
_WHOLE = 12  # sizes of frames are multiples: 2, 3 or 4 pixels can be averaged where less is enough
_UNSEEN = 180.0  # degrees from the clip to the other side


@dataclass(frozen=True)
class VideoRunOptions(AnimateOptions):
    """`AnimateOptions` of videos that nothing is known of.

    Attributes:
        videos: files or folders, of the same moment.
        cameras: ``camera.json`` or ``transforms.json`` of each; none lets them be found.
        trim: which frames are used.
        rate: frames per second of the animation; None keeps the clip's.
        start_pose: "rest" starts in the model's pose and blends over to the video's, "video" starts in that.
        mask_backend: auto, background or sam2.
    """

    videos: tuple[Path, ...] = field(default=(), kw_only=True)
    cameras: tuple[Path, ...] = field(default=(), kw_only=True)
    trim: Trim = field(default_factory=Trim, kw_only=True)
    rate: float | None = field(default=None, kw_only=True)
    start_pose: str = field(default="rest", kw_only=True)
    mask_backend: str = field(default="auto", kw_only=True)


def animate_video(options: VideoRunOptions, announce: Callable[[str], None] = lambda line: None) -> AnimateResult:
    """Animate a mesh as ordinary videos show it.

    Raises:
        InputError: a clip that cannot be used, a camera that is not found, or another run in the same folder.
    """
    _check(options)
    run = VideoRun(replace(options, frames=None, views=len(options.videos)), announce)
    with run.at_work():
        run.steps.describe(videos=list(options.videos), cameras=list(options.cameras))
        run.place()
        run.cut_out()
        run.find_cameras()
        run.turn_cameras()
        start = run.track()
        run.show_confidence()
        run.limit_morphs()
        return finish(run, start)


class VideoRun(MeshRun):
    """The steps from videos to a motion."""

    options: VideoRunOptions

    def automatic_placement(self) -> Placement:
        """The one that the first camera's file names, where it names one."""
        for path in self.options.cameras:
            placement = load_viewpoint(path)[1]
            if placement is not None:
                return placement
        return super().automatic_placement()

    @property
    def clips(self) -> Path:
        """Folder of ``{view}/{frame}.png``, the object cut out."""
        return self.work / "clips"

    # Step 2

    def cut_out(self) -> None:
        """Step 2: the frames of every clip with the object's alpha."""
        options = self.options
        prompts = options.cameras if self.segmenter.name == "sam2" else ()
        facts = self.steps.run(
            "2 video",
            self._cut_out,
            inputs={
                **{f"video {v}": path for v, path in enumerate(options.videos)},
                **{f"camera {v}": path for v, path in enumerate(prompts)},
            },
            settings={"trim": asdict(options.trim), "backend": options.mask_backend},
            outputs=[self.clips],
        )
        self.options = replace(options, fps=float(facts["fps"]) if options.rate is None else options.rate)
        self._count = int(facts["frames"])

    @cached_property
    def segmenter(self) -> Segmenter:
        return choose_segmenter(self.options.mask_backend)

    def _cut_out(self) -> dict[str, Any]:
        try:
            opened = [self._open(v) for v in range(len(self.options.videos))]
            clips = [clip for clip, _ in opened]
            count = self._shortest(clips)
            with atomic_directory(self.clips) as temporary, counted(count * len(clips), "masks", "image") as tell:
                for v, (clip, first) in enumerate(opened):
                    (temporary / str(v)).mkdir()
                    for f, rgba in zip(range(count), cut_out(clip, first, self.segmenter), strict=False):
                        save_image(temporary / str(v) / f"{f}.png", rgba, compression=1)
                        tell(v * count + f + 1)
        except WrongClip as error:
            picture = self.options.out / "video_wrong.png"
            save_row(picture, error.frames)
            raise InputError(f"{error} (see {picture}).") from error
        return {
            "fps": clips[0].fps,
            "frames": count,
            "sizes": [list(clip.size) for clip in clips],
            "alpha": [clip.has_alpha for clip in clips],
            "masks": [None if clip.has_alpha else self.segmenter.name for clip in clips],
        }

    def _open(self, view: int) -> tuple[Clip, NDArray[np.float32]]:
        """A clip that is one shot by a camera at rest, and the object in its frame 0 ``[H, W]``."""
        path, shot = self.options.videos[view], Shot()
        alphas: list[NDArray[np.float32]] = []

        def look(number: int, frame: Bytes) -> None:
            if number == 0:
                alphas.append(self._first_alpha(view, frame))
                if frame[..., 3].min() > 127:
                    shot.background(frame, alphas[0] > 0.5)
            shot.look(frame)

        clip = read_clip(path, self.options.trim, look)
        shot.check(clip)
        return clip, alphas[0]

    def _first_alpha(self, view: int, frame: Bytes) -> NDArray[np.float32]:
        """The object in frame 0: by its own alpha, else by its plain background, else, for SAM 2, as it is drawn."""
        path = self.options.videos[view]
        if frame[..., 3].min() < 128:
            if not (frame[..., 3] > 128).any():
                raise WrongClip(f"Frame 0 of {path} is transparent everywhere; start later with --start", frame)
            return frame[..., 3].astype(np.float32) / 255
        try:
            return first_alpha(np.ascontiguousarray(frame[..., :3]), str(path))
        except WrongClip:
            if self.segmenter.name != "sam2" or not self.options.cameras:
                raise
            drawn = draw_viewpoint(self.model, self.placement, _centred(self._given(view, frame, [])), shading=False)
            return drawn[..., 3].astype(np.float32) / 255

    def _shortest(self, clips: Sequence[Clip]) -> int:
        """Frames that all clips have."""
        count = min(clip.count for clip in clips)
        if max(clip.count for clip in clips) > count + 1:
            lengths = ", ".join(f"{clip.path.name} {clip.count}" for clip in clips)
            raise InputError(f"Videos of one moment have equally many frames, these do not: {lengths}.")
        return count

    def _cut_frame(self, view: int, frame: int) -> Bytes:
        """A frame of a clip, cut out ``[H, W, 4]``."""
        return read_rgba(self.clips / str(view) / f"{frame}.png", alpha=True)

    # Step 3

    def find_cameras(self) -> None:
        """Step 3: the cameras that are given, or those that see the model as frame 0 does."""
        options = self.options
        files = self._camera_files
        facts = self.steps.run(
            "3 camera",
            lambda: self._find_cameras(files),
            inputs={
                "mesh": self.model_hash,
                "placement": self.placement_file,
                "clips": self.clips,
                **{f"camera {v}": path for v, path in enumerate(options.cameras)},
            },
            outputs=[*files, options.out / "camera_overlay.png"],
        )
        self._viewpoints = [load_viewpoint(path)[0] for path in files]
        for v, seen in enumerate(self._viewpoints):
            how = "given" if options.cameras else "found"
            self.announce(
                f"camera {how}: azimuth {seen.azimuth:.1f}°, elevation {seen.elevation:.1f}°, roll {seen.roll:.1f}°, "
                f"field of view {seen.field_of_view:.1f}°, distance {seen.distance:.2f} (outlines overlap by "
                f"{facts['overlap'][v]:.2f})"
            )
        for sentence in facts["warnings"]:
            self.announce(f"warning: {sentence}")

    def _find_cameras(self, files: Sequence[Path]) -> dict[str, Any]:
        warnings: list[str] = []
        frames, drawn = [], []
        for v, target in enumerate(files):
            frame = self._cut_frame(v, 0)
            viewpoint = self._given(v, frame, warnings) if self.options.cameras else self._found(v, frame, warnings)
            frames.append(frame)
            drawn.append(draw_viewpoint(self.model, self.placement, _centred(viewpoint), shading=True))
            save_viewpoint(viewpoint, target, self.placement)
        picture = self.options.out / "camera_overlay.png"
        save_overlays(picture, frames, drawn)
        overlaps = [overlap(*pair) for pair in zip(frames, drawn, strict=True)]
        needed = _NEAR if self.options.cameras else MIN_OVERLAP
        for v, share in enumerate(overlaps):
            if share < needed:
                raise InputError(self._mismatch(v, share, needed, picture))
        return {"overlap": overlaps, "warnings": warnings, "cameras": [asdict(load_viewpoint(f)[0]) for f in files]}

    def _found(self, view: int, frame: NDArray[np.uint8], warnings: list[str]) -> Viewpoint:
        found = find_camera(self.model, self.placement, frame)
        if not found.believed and found.overlap >= MIN_OVERLAP:
            picture = self.options.out / "camera_overlay.png"
            drawn = draw_viewpoint(self.model, self.placement, found.viewpoint, shading=True)
            save_overlays(picture, [frame], [drawn])
            raise InputError(
                f"Frame 0 of {self.options.videos[view]} has other colours than the {self.called} from the best view "
                f"that was found (see {picture}): check that the clip shows this {self.called}, near its pose at rest "
                "in the first frame, or give --camera."
            )
        if found.overlap < WELL_OVERLAP:
            warnings.append(
                f"the outlines of frame 0 of {self.options.videos[view]} and the {self.called} overlap by "
                f"{found.overlap:.2f} only, so the camera may be off by some degrees; look at camera_overlay.png"
            )
        if found.rival is not None and found.ambiguous:
            other = found.rival[0]
            warnings.append(
                f"frame 0 of {self.options.videos[view]} looks nearly the same from azimuth {other.azimuth:.0f}°, "
                f"elevation {other.elevation:.0f}°; look at camera_overlay.png, and give --camera if it is wrong"
            )
        return found.viewpoint

    def _given(self, view: int, frame: NDArray[np.uint8], warnings: list[str]) -> Viewpoint:
        viewpoint = load_viewpoint(self.options.cameras[view])[0]
        height, width = frame.shape[:2]
        across, along = width / viewpoint.size[0], height / viewpoint.size[1]
        if abs(across / along - 1) > 0.02:
            warnings.append(
                f"{self.options.videos[view]} is {width}x{height} in proportion and its camera "
                f"{viewpoint.size[0]}x{viewpoint.size[1]}: the clip is taken for the middle of the camera's picture"
            )
        # A clip of other proportions shows the middle of the picture, as large as it has to be.
        grown = max(across, along)
        share = grown * viewpoint.size[1] / height
        fov = 2 * math.degrees(math.atan(math.tan(math.radians(viewpoint.field_of_view) / 2) / share))
        offset = (viewpoint.offset[0] * share, viewpoint.offset[1] * share)
        return replace(viewpoint, field_of_view=fov, offset=offset, size=(width, height))

    def _mismatch(self, view: int, share: float, needed: float, picture: Path) -> str:
        if self.options.cameras:
            advice = (
                f"check that {self.options.cameras[view]} belongs to this clip and that the clip begins near the "
                "model's pose, or leave --camera out to have it found"
            )
        else:
            advice = (
                "check that the clip shows this model whole, upright and near its pose at rest in frame 0 (--start "
                "skips to one that does), or give --camera"
            )
        return (
            f"Frame 0 of {self.options.videos[view]} does not show the {self.called} as any camera would (outlines "
            f"overlap by {share:.2f}, {needed:g} is needed; see {picture}): {advice}.{for_scenes(self.model)}"
        )

    # Step 4

    def turn_cameras(self) -> None:
        """Step 4: the frames as square cameras saw them that look straight at the object."""
        frames = self.work / "frames"
        facts = self.steps.run(
            "4 frames",
            lambda: self._turn_cameras(frames),
            inputs={"clips": self.clips, **{f"camera {v}": path for v, path in enumerate(self._camera_files)}},
            outputs=[frames],
        )
        self._seen_by = facts["seen_by"]
        self.read_frames(frames)
        self.known = known_pixels(self._seen_by, self.frames.shape[2])
        for sentence in cut_sentences(self.options.videos, self._seen_by):
            self.announce(sentence)

    @property
    def _camera_files(self) -> list[Path]:
        return [self.work / f"camera{v or ''}.json" for v in range(len(self.options.videos))]

    def _turn_cameras(self, folder: Path) -> dict[str, Any]:
        count, turned, notes = self._count, [], []
        for v, viewpoint in enumerate(self._viewpoints):
            alphas = (self._cut_frame(v, f)[..., 3] for f in range(count))  # a long clip is never held as a whole
            camera, note = turned_to(viewpoint, alphas)
            turned.append(camera)
            notes.append(note)
        size = _WHOLE * math.ceil(max(camera.pixels for camera in turned) / _WHOLE)
        with atomic_directory(folder) as temporary:
            for v, camera in enumerate(turned):
                for f in range(count):
                    seen = camera.see(self._cut_frame(v, f), size)
                    save_image(temporary / f"{v * count + f}.png", seen, compression=1)
        return {"seen_by": notes, "pixels": size}

    def read_frames(self, folder: Path) -> None:
        """The square frames; they are read when they are asked for."""
        self.frames_folder = folder
        self.frames = FrameFolder(folder, self.options.views)  # type: ignore[assignment]  # indexed as a tensor is
        self.frames_hash = content_hash(numbered_images(folder))

    def cameras(self, size: int) -> Cameras:
        matrices = np.array([camera["c2w"] for camera in self._seen_by])
        return square_cameras(matrices, np.array([camera["field_of_view"] for camera in self._seen_by]), size)

    @cached_property
    def azimuths(self) -> list[float]:
        return [round(viewpoint.azimuth, 3) for viewpoint in self._viewpoints]

    # Step 5

    def follow(self, surface: Surface, thorough: bool) -> Tracked:
        """Frame 0 followed from the pose at rest, and the other frames from there."""
        settings = TrackSettings(thorough=thorough).scaled(self.rigidity)
        views, count, size = self.frames.shape[:3]
        cameras = self.cameras(size)
        first = np.stack([np.asarray(self.frames[v, 0]) for v in range(views)])
        move = self._rigid_move()
        placed = self.placed @ move[:3, :3].T + move[:3, 3]
        look = matched_look(self.model, placed, first, cameras)
        lit = surface._replace(vertices=placed).toned(look.gain)
        posed = find_first_pose(self.model, lit, look.frame, first, cameras, settings, self.known)
        if min(posed.overlaps) < MIN_OVERLAP:
            self._refuse_first_pose(posed.vertices, first, cameras)
        diagonal = np.linalg.norm(np.ptp(self.placed, axis=0))
        near = np.linalg.norm(placed - self.placed, axis=1).mean() < _AT_REST * diagonal
        start = self.placed if near and not posed.bent else posed.vertices
        with counted(count - 1, "tracking", "frame") as tell:
            template = template_of(lit._replace(vertices=start))
            moved = track(template, self.frames, cameras, settings, progress=tell, known=self.known)
        turned = (posed.rotations @ move[:3, :3]).astype(np.float32)
        for frame in moved.rotations:
            frame[:] = frame @ turned
        return moved

    def _refuse_first_pose(self, posed: NDArray[Any], first: NDArray[np.float32], cameras: Cameras) -> NoReturn:
        drawn = render_mesh(self.model, posed[None], cameras, shading=True)[:, 0]
        seen = (first * 255 + 0.5).astype(np.uint8)
        shares = [overlap(*pair) for pair in zip(seen, drawn, strict=True)]
        picture = self.options.out / "first_pose.png"
        save_overlays(picture, list(seen), list(drawn))
        worst = int(np.argmin(shares))
        raise InputError(self._mismatch(worst, shares[worst], MIN_OVERLAP, picture))

    def _rigid_move(self) -> NDArray[np.float64]:
        """What brings the whole placed model to where frame 0 of a given camera shows it ``[4, 4]``."""
        if not self.options.cameras or len(self._viewpoints) > 1:
            return np.eye(4)
        given = _centred(self._viewpoints[0])
        seen = refine_camera(self.model, self.placement, self._cut_frame(0, 0), given)
        # What the moved camera sees of the model is what the given one sees of the model moved the other way.
        return np.asarray(given.c2w() @ np.linalg.inv(seen.c2w()))

    @property
    def confidence(self) -> Path:
        """``[F, N]`` float16 0..1: how well the surface around each vertex was found again; 0 where it was hidden."""
        return self.work / "confidence.npy"

    def track(self) -> Path:
        path = self.work / "start.npz"
        self.track_step(
            self.model_hash, lambda surface, *motion: self.save_motion(path, *motion), path, self.confidence
        )
        unsure = [f for f, sure in enumerate(self.steps.facts("5 tracking").get("confidence", [])) if sure < _UNSURE]
        if unsure:
            self.announce(
                f"warning: {len(unsure)} of {self._count} frames are followed with little confidence, the first is "
                f"frame {unsure[0]}: look at them in preview.mp4"
            )
        return path

    def show_confidence(self) -> None:
        """Step 5: the model coloured by its mean confidence, from where the clip saw it and from the other side."""
        picture = self.options.out / "confidence.png"
        azimuths = [self.azimuths[0], self.azimuths[0] + _UNSEEN]

        def show() -> None:
            mean = np.load(self.confidence, allow_pickle=False)[1:].astype(np.float64).mean(axis=0)
            cameras = orbit_cameras(ELEVATION, azimuths, size=384)
            save_image(picture, confidence_picture(self.model, self.placed, mean, cameras))

        self.steps.run(
            "5 confidence",
            show,
            inputs={"confidence": self.confidence, "mesh": self.model_hash, "placement": self.placement_file},
            settings={"azimuths": azimuths},
            outputs=[picture],
        )

    def limit_morphs(self) -> None:
        """A target per frame of a long clip makes files that engines do not load."""
        options = self.options
        with_morphs = {"fbx", "glb", "gltf"} & set(options.formats)
        if options.max_morphs is None and self._count > _MORPHS + 1 and with_morphs:
            self.announce(
                f"note: {' and '.join(sorted(with_morphs))} hold {_MORPHS} morph targets for {self._count} frames; "
                "--max-morphs says how many"
            )
            self.options = replace(options, max_morphs=_MORPHS)

    # Step 6

    def save_trajectory(self, motion: Path) -> None:
        """Step 6: the vertices at every frame, from the start pose that was asked for."""

        def save() -> None:
            positions = self.positions(motion)
            if self.options.start_pose == "rest":
                positions = start_at_rest(positions, self.placed, round(_BLEND * self.options.fps))
            save_placed_folder(self.trajectory, positions)

        settings = {"start_pose": self.options.start_pose, "fps": self.options.fps}
        self.steps.run("6 trajectory", save, inputs={"motion": motion}, settings=settings, outputs=[self.trajectory])


def start_at_rest(positions: NDArray[Any], rest: NDArray[Any], frames: int) -> NDArray[Any]:
    """Begin in the pose at rest and join the motion smoothly.

    Args:
        positions: ``[F, N, 3]``
        rest: ``[N, 3]``
        frames: after which the motion is as it was; at most half of all.
    """
    last = max(1, min(frames, len(positions) // 2))
    t = (np.arange(len(positions)) / last).clip(0, 1)
    weight = 1 - t * t * (3 - 2 * t)
    moved = np.empty_like(positions)
    for f, points in enumerate(positions):
        moved[f] = points + weight[f] * (rest - positions[0])
    return moved


def _centred(viewpoint: Viewpoint) -> Viewpoint:
    """Without the shift of the principal point, which the renderer does not know."""
    return replace(viewpoint, principal_point=(0.5, 0.5))


def _check(options: VideoRunOptions) -> None:
    """What would otherwise come to light only after minutes of work."""
    if not options.videos:
        raise InputError("Give a video.")
    check_options(replace(options, frames=options.videos[0]))
    check_mesh_options(replace(options, frames=None))
    if options.field or options.video is not None:
        raise InputError("--video goes without --field, --config and --prompt.")
    for path in options.videos:
        if not path.exists():
            raise InputError(f"The video {path} does not exist.")
    if options.cameras and len(options.cameras) != len(options.videos):
        raise InputError(
            f"There are {len(options.videos)} --video and {len(options.cameras)} --camera: give one for each, in the "
            "same order, or none."
        )
    for path in options.cameras:
        existing_file(path, "camera")
    if options.start_pose not in START_POSES:
        raise InputError(f"The start pose `{options.start_pose}` is unknown; known are: {', '.join(START_POSES)}.")
