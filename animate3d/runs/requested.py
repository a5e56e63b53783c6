"""From the flags of a run to what it is asked for, and to the run that does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from animate3d.errors import InputError
from animate3d.export import SUFFIXES
from animate3d.export.blender import blender
from animate3d.export.engines import engine_named
from animate3d.gaussians import holds_gaussians
from animate3d.meshes import Placement, Turn
from animate3d.runs.clip import Trim
from animate3d.runs.gaussians import GaussianResult, animate_gaussians
from animate3d.runs.generated import GeneratedRunOptions, animate_generated
from animate3d.runs.generator import VideoModel, parse_settings
from animate3d.runs.mesh import AnimateResult, animate
from animate3d.runs.options import (
    MOVE_FRAMES,
    AnimateCommand,
    AnimateOptions,
    FromPrompt,
    GaussianOptions,
    MeshOutput,
    PlacementFlags,
    shared,
)
from animate3d.runs.presets import Preset, choose_preset
from animate3d.runs.scene import animate_scene, is_scene, own_sentences
from animate3d.runs.video import VideoRunOptions, animate_video
from animate3d.runs.videos import VideoOptions, preset_videos

Requested: TypeAlias = AnimateOptions | GaussianOptions | VideoRunOptions | GeneratedRunOptions


def requested(given: AnimateCommand, overrides: Sequence[str] = ()) -> Requested:
    """What the flags of `animate3d animate` ask for.

    Raises:
        InputError: flags that do not go together.
    """
    _check_drivers(given)
    preset = _preset(given)
    asked: dict[str, Any] = {
        "frames": given.from_videos.frames,
        "out": given.out,
        "placement": placement_of(given.placement),
        "overrides": tuple(overrides),
        "video": None if given.from_clip.video_model else _video(given.from_prompt, _prompt(given), preset),
        "rigidity": preset.rigidity,
        "fps": frame_rate(given.output),
        "moves": given.from_prompt.moves,
        "move_frames": given.from_prompt.frame_count or MOVE_FRAMES,
        "move_strength": given.from_prompt.motion_strength,
        "facing": given.from_prompt.facing,
        **({"config": given.motion.config} if given.motion.config else {}),
    }
    groups = (given.from_videos, given.output, given.machine)
    if holds_gaussians(given.model):
        _refuse_mesh_flags(given)
        flags = {"refine": given.motion.refine, "track": given.motion.tracking}
        return GaussianOptions(given.model, **{**shared(GaussianOptions, *groups), **asked, **flags})
    _refuse_gaussian_flags(given)
    _check_formats(given)
    field = given.motion.field or bool(overrides or given.motion.config)  # settings of the fit ask for it
    asked |= {"others": given.others, **vars(given.scene)}
    mesh = {
        **shared(AnimateOptions, *groups),
        **asked,
        "formats": formats_of(given.output.formats, given.output.engine),
        "field": field,
    }
    clip = given.from_clip
    if not (clip.video or clip.video_model):
        return AnimateOptions(given.model, **mesh)
    mesh |= {
        "trim": Trim(clip.start, clip.end, clip.every),
        "rate": given.output.fps,
        "start_pose": clip.start_pose,
        "mask_backend": given.from_prompt.mask_backend,
    }
    if clip.video_model:
        return GeneratedRunOptions(given.model, **mesh, generator=_video_model(given), still_view=clip.still_view)
    return VideoRunOptions(given.model, **mesh, videos=clip.video, cameras=clip.camera)


def _video_model(given: AnimateCommand) -> VideoModel:
    asked = given.from_prompt
    return VideoModel(
        given.from_clip.video_model or "",
        asked.prompt,
        frames=asked.frame_count,
        size=asked.size,
        steps=asked.steps,
        guidance_scale=asked.guidance_scale,
        seed=given.machine.seed,
        settings=parse_settings(given.from_clip.video_setting),
        loop=given.output.loop,
    )


def laptop_note(given: AnimateCommand) -> str:
    """A sentence about the released weights for who has not asked for the bundled model by name; else empty."""
    asked = given.from_prompt
    if _prompt(given) is None or given.from_clip.video_model or asked.preset is not None or not _preset(given).bundled:
        return ""
    return (
        "the small model in this package makes the videos, where they are needed; the released weights animate "
        "anything, on a GPU (docs/mvvdm.md says how to get them, then --weights DIR)"
    )


def carry_out(
    options: Requested, announce: Callable[[str], None] = lambda line: None
) -> AnimateResult | GaussianResult:
    """The run that the options ask for, from its first step or from where it stopped."""
    if isinstance(options, GeneratedRunOptions):
        return animate_generated(options, announce)
    if isinstance(options, VideoRunOptions):
        return animate_video(options, announce)
    if isinstance(options, GaussianOptions):
        return animate_gaussians(options, announce)
    if options.video is not None and is_scene(options):
        return animate_scene(options, announce)
    return animate(options, announce)


def placement_of(given: PlacementFlags) -> Placement | Turn | Path | None:
    """The placement, the file that says it, or how the model is turned; None places automatically."""
    x, z, scale = given.rot_x_degree, given.rot_z_degree, given.scale_factor
    if x is None and z is None and scale is None:
        return given.placement
    if given.placement:
        raise InputError("Give either --placement or the rotation and scale flags, not both.")
    return Turn(x or 0.0, z or 0.0) if scale is None else Placement.from_flags(x or 0.0, z or 0.0, scale)


def frame_rate(output: MeshOutput) -> float:
    """Frames of the motion per second, where no video says them."""
    return 8.0 if output.fps is None else output.fps


def formats_of(given: str | None, engine: str | None = None) -> tuple[str, ...]:
    """Suffixes to export; without any given the engine's, or those that this machine can write."""
    if given is not None:
        parts = (part.strip().lstrip(".").lower() for part in given.split(","))
        return tuple(dict.fromkeys(part for part in parts if part))
    if engine is not None:
        return engine_named(engine).formats
    return ("fbx", "glb", "usdc") if blender() else ("glb", "usdc")


def _check_formats(given: AnimateCommand) -> None:
    stray = [str(path) for path in given.others if str(path) in SUFFIXES and not path.exists()]
    if stray and given.output.formats is not None:
        together = ",".join([given.output.formats, *stray])
        raise InputError(f"`{stray[0]}` is no model; several formats are one word with commas: --formats {together}.")


def _check_drivers(given: AnimateCommand) -> None:
    videos, frames, prompt = given.from_clip.video, given.from_videos.frames, given.from_prompt.prompt
    if videos and (frames or prompt is not None):
        raise InputError("Give one of --video, --frames and --prompt.")
    model = given.from_clip.video_model
    if model and (videos or frames or given.from_clip.camera or given.from_prompt.weights):
        raise InputError(
            "--video-model makes the video itself: give it without --video, --camera, --frames, --weights."
        )
    if given.from_clip.video_setting and not model:
        raise InputError("--video-setting is an argument of a --video-model; give that too.")
    if given.from_clip.camera and not videos:
        raise InputError("--camera says how a --video was seen; give that too.")
    if prompt and frames and not given.motion.refine:
        raise InputError("Give either --prompt, or videos by --frames or --video, not both.")
    if (videos or model) and holds_gaussians(given.model):
        flag = "--video-model" if model else "--video"
        raise InputError(f"{given.model} holds Gaussians; {flag} is for meshes, Gaussians take --frames or --prompt.")


def _refuse_mesh_flags(given: AnimateCommand) -> None:
    output = given.output
    for_meshes = {
        "--formats": output.formats,
        "--max-morphs": output.max_morphs,
        "--loop": output.loop,
        "--resample": output.resample,
        "--clip-name": output.clip_name,
        "--skeleton": output.skeleton,
        "--engine": output.engine,
        "--field": given.motion.field,
        "--objects": given.scene.objects != "one",
        "--object-masks": given.scene.object_masks,
        "a second model": given.others,
    }
    found = [flag for flag, value in for_meshes.items() if value]
    if found:
        raise InputError(
            f"{given.model} holds Gaussians, which have no mesh to export and always a field: leave out "
            f"{', '.join(found)}."
        )


def _refuse_gaussian_flags(given: AnimateCommand) -> None:
    if given.motion.refine or not given.motion.tracking:
        flag = "--refine" if given.motion.refine else "--no-tracking"
        raise InputError(f"{flag} is for Gaussian models; {given.model} holds no Gaussians.")


def _prompt(given: AnimateCommand) -> str | None:
    """The sentence; those of the objects of a scene file where neither it nor videos are given."""
    driven = given.from_prompt.prompt is not None or given.from_videos.frames or given.from_clip.video
    return given.from_prompt.prompt if driven else own_sentences(given.model)


def _video(given: FromPrompt, prompt: str | None, preset: Preset) -> VideoOptions | None:
    if prompt is None:
        return None
    return preset_videos(
        prompt,
        preset,
        weights=given.weights,
        checkpoint=given.pretrained_unet_path,
        mask_backend=given.mask_backend,
        samples=given.num_samples,
        compile=given.compile,
        quantize=given.quantize,
        low_memory=given.low_memory,
        **given.sampler(),
    )


def _preset(given: AnimateCommand) -> Preset:
    asked = given.from_prompt
    # Videos that are given speckle no more than those of the full model, and refinement is made for that one.
    full = (
        given.from_videos.frames
        or given.from_clip.video
        or given.from_clip.video_model
        or given.motion.refine
        or asked.weights
        or asked.pretrained_unet_path
    )
    return choose_preset(asked.preset, weights_given=bool(full)).with_motion_strength(asked.motion_strength)
