"""From a mesh and one ordinary video, or a few of the same moment, to an animated file as one resumable run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from animate3d.cameras import Cameras
from animate3d.errors import InputError
from animate3d.files import atomic_directory, existing_file
from animate3d.frames import composite, contact_sheet, load_images, save_image
from animate3d.masks import choose_segmenter
from animate3d.meshes import Placement
from animate3d.motion.template import Surface, Template
from animate3d.motion.tracking import Tracked, TrackSettings, track
from animate3d.motion.trajectory import save_placed_folder
from animate3d.rasterize.textured import render_mesh
from animate3d.runs.base import check_options
from animate3d.runs.camera_fit import MIN_OVERLAP, find_camera, refine_camera
from animate3d.runs.clip import Trim, cut_out, read_clip
from animate3d.runs.console import counted
from animate3d.runs.mesh import AnimateResult, MeshRun, check_mesh_options, finish
from animate3d.runs.options import AnimateOptions
from animate3d.runs.render import draw_viewpoint
from animate3d.runs.seen_again import look_at_object, square_cameras
from animate3d.runs.viewpoint import Viewpoint, load_viewpoint, save_viewpoint

START_POSES = ("rest", "video")
_NEAR = 0.4  # overlap by a camera that is given, before the first pose is fitted
_WELL = 0.93  # overlap from which a camera that was found is not doubted
_AT_REST = 0.004  # of the diagonal: a first pose that moved less is the pose at rest
_BETTER = 0.01  # overlap that bending the model to frame 0 has to gain over moving it as a whole
_BLEND = 0.4  # seconds from the pose at rest to the video's
_UNSURE = 0.25  # confidence of a frame below which it is told
_CLOSE_RIVAL = 1.25  # another view that is so close in error makes the answer doubtful


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
        return finish(run, run.track())


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
        facts = self.steps.run(
            "2 video",
            self._cut_out,
            inputs={f"video {v}": path for v, path in enumerate(options.videos)},
            settings={"trim": asdict(options.trim), "backend": options.mask_backend},
            outputs=[self.clips],
        )
        self.options = replace(options, fps=float(facts["fps"]) if options.rate is None else options.rate)
        self._count = int(facts["frames"])

    def _cut_out(self) -> dict[str, Any]:
        videos = self.options.videos
        segmenter = choose_segmenter(self.options.mask_backend)
        clips = [read_clip(path, self.options.trim) for path in videos]
        count = min(len(clip.frames) for clip in clips)
        if max(len(clip.frames) for clip in clips) > count + 1:
            lengths = ", ".join(f"{path.name} {len(clip.frames)}" for path, clip in zip(videos, clips, strict=True))
            raise InputError(f"Videos of one moment have equally many frames, these do not: {lengths}.")
        with atomic_directory(self.clips) as temporary, counted(count * len(clips), "masks", "image") as tell:
            for v, (path, clip) in enumerate(zip(videos, clips, strict=True)):
                (temporary / str(v)).mkdir()
                try:
                    for f, rgba in zip(range(count), cut_out(clip, segmenter, str(path)), strict=False):
                        save_image(temporary / str(v) / f"{f}.png", rgba)
                        tell(v * count + f + 1)
                except InputError as error:
                    picture = self.options.out / "video_frame_0.png"
                    save_image(picture, clip.frames[0])
                    raise InputError(f"{error} The frame is kept in {picture}.") from error
        return {
            "fps": clips[0].fps,
            "frames": count,
            "sizes": [list(clip.size) for clip in clips],
            "alpha": [clip.has_alpha for clip in clips],
            "masks": [None if clip.has_alpha else segmenter.name for clip in clips],
        }

    def _clip(self, view: int, frames: Sequence[int]) -> NDArray[np.uint8]:
        """Some frames of a clip ``[F, H, W, 4]``."""
        images = load_images([self.clips / str(view) / f"{f}.png" for f in frames], alpha=True)
        return (images * 255 + 0.5).byte().numpy()

    # Step 3

    def find_cameras(self) -> None:
        """Step 3: the cameras that are given, or those that see the model as frame 0 does."""
        options = self.options
        files = [self.work / f"camera{v or ''}.json" for v in range(len(options.videos))]
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
        overlaps: list[float] = []
        rows = []
        for v, target in enumerate(files):
            frame = self._clip(v, [0])[0]
            viewpoint = self._given(v, frame, warnings) if self.options.cameras else self._found(v, frame, warnings)
            drawn = draw_viewpoint(self.model, self.placement, _centred(viewpoint), shading=True)
            overlaps.append(_overlap(frame, drawn))
            rows.append(_overlay(frame, drawn, overlaps[-1]))
            save_viewpoint(viewpoint, target, self.placement)
        picture = self.options.out / "camera_overlay.png"
        save_image(picture, contact_sheet(np.stack(rows)))
        needed = _NEAR if self.options.cameras else MIN_OVERLAP
        for v, overlap in enumerate(overlaps):
            if overlap < needed:
                raise InputError(self._mismatch(v, overlap, needed, picture))
        return {"overlap": overlaps, "warnings": warnings, "cameras": [asdict(load_viewpoint(f)[0]) for f in files]}

    def _found(self, view: int, frame: NDArray[np.uint8], warnings: list[str]) -> Viewpoint:
        found = find_camera(self.model, self.placement, frame)
        if not found.believed and found.overlap >= MIN_OVERLAP:
            picture = self.options.out / "camera_overlay.png"
            drawn = draw_viewpoint(self.model, self.placement, found.viewpoint, shading=True)
            save_image(picture, contact_sheet(_overlay(frame, drawn, found.overlap)[None]))
            raise InputError(
                f"Frame 0 of {self.options.videos[view]} has other colours than the {self.called} from the best view "
                f"that was found (see {picture}): check that the clip shows this {self.called}, near its pose at rest "
                "in the first frame, or give --camera."
            )
        if found.overlap < _WELL:
            warnings.append(
                f"the outlines of frame 0 of {self.options.videos[view]} and the {self.called} overlap by "
                f"{found.overlap:.2f} only, so the camera may be off by some degrees; look at camera_overlay.png"
            )
        if found.rival is not None and found.rival[1] < _CLOSE_RIVAL:
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

    def _mismatch(self, view: int, overlap: float, needed: float, picture: Path) -> str:
        if self.options.cameras:
            advice = (
                f"check that {self.options.cameras[view]} belongs to this clip and that the clip begins near the "
                "model's pose, or leave --camera out to have it found"
            )
        else:
            advice = (
                "check that the clip shows this model, whole and near its pose at rest in the first frame (--start "
                "skips to one that does), or give --camera"
            )
        return (
            f"Frame 0 of {self.options.videos[view]} does not show the {self.called} as any camera would (outlines "
            f"overlap by {overlap:.2f}, {needed:g} is needed; see {picture}): {advice}."
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

    @property
    def _camera_files(self) -> list[Path]:
        return [self.work / f"camera{v or ''}.json" for v in range(len(self.options.videos))]

    def _turn_cameras(self, folder: Path) -> dict[str, Any]:
        count, turned = self._count, []
        for v, viewpoint in enumerate(self._viewpoints):
            covered = np.zeros(viewpoint.size[::-1], bool)
            for f in range(count):
                covered |= self._clip(v, [f])[0, ..., 3] > 20
            turned.append(look_at_object(viewpoint, covered))
        size = max(camera.pixels for camera in turned)
        with atomic_directory(folder) as temporary:
            for v, camera in enumerate(turned):
                for f in range(count):
                    save_image(temporary / f"{v * count + f}.png", camera.see(self._clip(v, [f])[0], size))
        seen_by = [{"c2w": camera.c2w.tolist(), "field_of_view": camera.field_of_view} for camera in turned]
        return {"seen_by": seen_by, "pixels": size}

    def cameras(self, size: int) -> Cameras:
        matrices = np.array([camera["c2w"] for camera in self._seen_by])
        return square_cameras(matrices, np.array([camera["field_of_view"] for camera in self._seen_by]), size)

    @cached_property
    def azimuths(self) -> list[float]:
        return [round(viewpoint.azimuth, 3) for viewpoint in self._viewpoints]

    # Step 5

    def follow(self, surface: Surface) -> Tracked:
        """Frame 0 followed from the pose at rest, and the other frames from there."""
        settings = TrackSettings().scaled(self.rigidity)
        frames, cameras = self.frames.numpy(), self.cameras(self.frames.shape[2])
        move = self._rigid_move()
        placed = self.placed @ move[:3, :3].T + move[:3, 3]
        rest, gain = self._rest_frame(placed, frames[:, 0], cameras)
        lit = surface._replace(vertices=placed, colors=(surface.colors * gain).clip(0, 1))
        first, turned = self._first_pose(lit, rest, frames[:, 0], cameras, settings)
        with counted(frames.shape[1] - 1, "tracking", "frame") as tell:
            moved = track(Template(*lit._replace(vertices=first)), frames, cameras, settings, progress=tell)
        rotations = np.einsum("fnij,njk->fnik", moved.rotations, turned @ move[:3, :3])
        return Tracked(moved.positions, rotations, moved.confidence)

    def _first_pose(
        self,
        surface: Surface,
        rest: NDArray[np.float32],
        first: NDArray[np.float32],
        cameras: Cameras,
        settings: TrackSettings,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Vertices ``[N, 3]`` in frame 0, and their rotations ``[N, 3, 3]``; as the surface is, if that fits as well.

        Args:
            surface: moved as a whole to where frame 0 shows it.
            rest: it in the clip's colours ``[V, H, W, 4]``.
            first: frame 0.

        Raises:
            InputError: frame 0 does not show the model, however it is bent.
        """
        # Frame 0 twice: the pose may be far, and every frame has a few rounds only.
        towards = np.stack([rest, first, first], axis=1)
        posed = track(Template(*surface), towards, cameras, replace(settings, velocity=(0.0,)))
        still, bent = (self._first_overlaps(x, first, cameras) for x in (surface.vertices, posed.positions[-1]))
        if min(max(still, bent, key=min)) < MIN_OVERLAP:
            best = surface.vertices if min(still) > min(bent) else posed.positions[-1]
            self._refuse_first_pose(best, first, cameras)
        if min(bent) > min(still) + _BETTER:
            return posed.positions[-1], posed.rotations[-1]
        near = np.linalg.norm(surface.vertices - self.placed, axis=1).mean() < _AT_REST * _diagonal(self.placed)
        return (self.placed if near else surface.vertices), posed.rotations[0]

    def _first_overlaps(self, posed: NDArray[Any], first: NDArray[np.float32], cameras: Cameras) -> list[float]:
        """How far the outlines of frame 0 and the model overlap in every view."""
        drawn = render_mesh(self.model, posed[None], cameras, shading=False)[:, 0]
        return [_overlap((a * 255).astype(np.uint8), b) for a, b in zip(first, drawn, strict=True)]

    def _refuse_first_pose(self, posed: NDArray[Any], first: NDArray[np.float32], cameras: Cameras) -> None:
        drawn = render_mesh(self.model, posed[None], cameras, shading=True)[:, 0]
        seen = (first * 255 + 0.5).astype(np.uint8)
        overlaps = [_overlap(a, b) for a, b in zip(seen, drawn, strict=True)]
        picture = self.options.out / "first_pose.png"
        rows = [_overlay(a, b, overlap) for a, b, overlap in zip(seen, drawn, overlaps, strict=True)]
        save_image(picture, contact_sheet(np.stack(rows)))
        worst = int(np.argmin(overlaps))
        raise InputError(self._mismatch(worst, overlaps[worst], MIN_OVERLAP, picture))

    def _rigid_move(self) -> NDArray[np.float64]:
        """What brings the whole placed model to where frame 0 of a given camera shows it ``[4, 4]``."""
        if not self.options.cameras or len(self._viewpoints) > 1:
            return np.eye(4)
        given = _centred(self._viewpoints[0])
        seen = refine_camera(self.model, self.placement, self._clip(0, [0])[0], given)
        # What the moved camera sees of the model is what the given one sees of the model moved the other way.
        return np.asarray(given.c2w() @ np.linalg.inv(seen.c2w()))

    def _rest_frame(
        self, placed: NDArray[np.float64], first: NDArray[np.float32], cameras: Cameras
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """The placed model as the clip would show it ``[V, H, W, 4]``, and the gain of its bare colours ``[3]``."""
        best: tuple[float, NDArray[np.float32]] | None = None
        bare = np.ones(3)
        for shading in (False, True):
            drawn = render_mesh(self.model, placed[None], cameras, shading=shading)[:, 0].astype(np.float32) / 255
            both = (drawn[..., 3] > 0.9) & (first[..., 3] > 0.9)
            a, b = drawn[both][:, :3].astype(np.float64), first[both][:, :3].astype(np.float64)
            gain = ((a * b).sum(axis=0) / np.maximum((a * a).sum(axis=0), 1e-6)).clip(0.4, 2.5) if len(a) else bare
            if not shading:
                bare = gain
            drawn[..., :3] = (drawn[..., :3] * gain).clip(0, 1)
            error = float(np.abs(a * gain - b).mean()) if len(a) else 0.0
            if best is None or error < best[0]:
                best = (error, drawn.astype(np.float32))
        assert best is not None
        return best[1], bare

    def track(self) -> Path:
        path = super().track()
        unsure = [f for f, sure in enumerate(self.steps.facts("5 tracking").get("confidence", [])) if sure < _UNSURE]
        if unsure:
            self.announce(
                f"warning: {len(unsure)} of {self._count} frames are followed with little confidence, the first is "
                f"frame {unsure[0]}: look at them in preview.mp4"
            )
        return path

    # Step 6

    def save_trajectory(self, motion: Path) -> None:
        """Step 6: the vertices at every frame, from the start pose that was asked for."""

        def save() -> None:
            positions = self._positions(motion)
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
    moved = positions + weight[:, None, None] * (rest - positions[0])
    return np.asarray(moved, dtype=positions.dtype)


def _diagonal(vertices: NDArray[Any]) -> float:
    return float(np.linalg.norm(np.ptp(vertices, axis=0)))


def _centred(viewpoint: Viewpoint) -> Viewpoint:
    """Without the shift of the principal point, which the renderer does not know."""
    return replace(viewpoint, principal_point=(0.5, 0.5))


def _overlap(frame: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> float:
    a, b = frame[..., 3] > 127, drawn[..., 3] > 127
    return float((a & b).sum() / max((a | b).sum(), 1))


def _overlay(frame: NDArray[np.uint8], drawn: NDArray[np.uint8], overlap: float) -> NDArray[np.uint8]:
    """Frame 0, the model, and the outlines of both (orange, blue) side by side ``[3, H, H, 3]``."""
    pair = [_on_square(image) for image in (frame, drawn)]
    outlines = pair[0] // 3 + 85
    for image, colour in zip((frame, drawn), ((255, 140, 0), (0, 120, 255)), strict=True):
        shown = np.dstack([image[..., 3:]] * 3 + [np.full_like(image[..., 3:], 255)])
        mask = _on_square(shown, padding=0)[..., 0] > 127
        contours = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        cv2.drawContours(outlines, contours, -1, colour, 1)
    said = f"IoU {overlap:.2f}"
    cv2.putText(outlines, said, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
    return np.stack([*pair, outlines])


def _on_square(image: NDArray[np.uint8], side: int = 384, padding: int = 128) -> NDArray[np.uint8]:
    """RGBA on grey, whole in a square ``[side, side, 3]``."""
    on_grey = (composite(torch.from_numpy(image).float() / 255, 0.5) * 255 + 0.5).byte().numpy()
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(on_grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    square = np.full((side, side, 3), padding, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square


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
