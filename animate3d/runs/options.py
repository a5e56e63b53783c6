"""What a run is asked for, in the groups of its command line; nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from animate3d.arguments import Folder, OptionalCount, OptionalFile, OptionalFolder, OptionalNumber, OptionalText, group
from animate3d.runs.checks import check_seed
from animate3d.runs.presets import PRESETS

if TYPE_CHECKING:
    from animate3d.meshes import Placement, Turn
    from animate3d.runs.videos import VideoOptions

MESH_CONFIG = "custom/threestudio-animate3d/configs/mesh_animation_tracked.yaml"
GAUSSIAN_CONFIG = "custom/threestudio-animate3d/configs/motion_recon_frame_16.yaml"

MOVE_FRAMES = 16
"""Of a motion that is computed, unless something else is asked for."""
MOST_FRAMES = 10_000
"""Of a motion that is computed; more are a mistake in most cases, and fill the memory."""


def _of_preset(name: str) -> str:
    values = " / ".join(f"{getattr(preset.sampler, name):g}" for preset in PRESETS.values())
    return f"(default: {values} for {' / '.join(PRESETS)})"


@dataclass(frozen=True, kw_only=True)
class Views:
    """Which views the videos show."""

    views: int = 4
    """number of synchronised videos"""
    azimuth: float = 0.0
    """azimuth of the first video in degrees (0 sees the front); two videos are 90 degrees apart"""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """How the animation plays."""

    fps: OptionalNumber = None
    """frames of the motion per second (default: those of --video, else 8)"""
    max_morphs: OptionalCount = None
    """meshes: at most so many morph targets in fbx and glb (default: one per frame)"""
    loop: bool = False
    """meshes: close the motion, to be played in a loop"""
    resample: Annotated[float | None, arg(metavar="FPS", help_behavior_hint="")] = None
    """meshes: frames per second of the file, with in-betweens (default: those of the motion)"""
    clip_name: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    """meshes: name of the animation in the file (default: the exporter's)"""
    skeleton: Annotated[str | None, arg(metavar="N|auto|keep|off", help_behavior_hint="")] = None
    """meshes: bones in place of morph targets and points in glb, fbx and usd: so many, as few as follow the motion
    within 0.3 % of the diagonal, or those of the model's own glTF or FBX file (default: off; auto with --engine)"""
    engine: Annotated[str | None, arg(metavar="unity|unreal|godot|web", help_behavior_hint="")] = None
    """meshes: skeleton, format, units, clip names and limits as the engine wants them"""


@dataclass(frozen=True, kw_only=True)
class Renders:
    """Pictures of a Gaussian model."""

    render_size: int = 512
    """Gaussians: pixels of the renders among the results"""
    target_size: int = 1024
    """Gaussians: pixels of the renders that refinement starts from"""


@dataclass(frozen=True, kw_only=True)
class Work:
    """Settings of the whole run."""

    seed: int = 0
    """seed of everything random"""
    gpu: str = "0"
    """CUDA device, used where there is one"""

    def __post_init__(self) -> None:
        check_seed(self.seed)


@dataclass(frozen=True)
class RunOptions(Views, Work):
    """What every run is asked for.

    Attributes:
        model: what moves.
        frames: folder of RGBA images ``{v*F+f}.png``; None makes videos from ``video``.
        out: where the results go.
        placement: a placement file, a placement or a turn; None places automatically.
        config: of the motion fit.
        overrides: ``key=value`` for the motion fit, ``step:key=value`` for a step (`animate3d.runs.overrides`).
        video: the prompt and how videos are made of it.
        rigidity: factor on the weights that hold the model's shape, in tracking and in the fit.
        moves: whether motions of the whole body are computed (`animate3d.runs.moves`): ``auto``, ``always``, ``never``.
        move_frames: frames of a motion that is computed.
        move_strength: factor on how far it goes.
        facing: azimuth from which the face of the model is seen, for such a motion; None where it is to be found.
    """

    model: Path
    frames: Path | None
    out: Path
    fps: float = field(default=8.0, kw_only=True)
    placement: Placement | Turn | Path | None = field(default=None, kw_only=True)
    config: str = field(default=MESH_CONFIG, kw_only=True)
    overrides: tuple[str, ...] = field(default=(), kw_only=True)
    video: VideoOptions | None = field(default=None, kw_only=True)
    rigidity: float = field(default=1.0, kw_only=True)
    moves: str = field(default="auto", kw_only=True)
    move_frames: int = field(default=MOVE_FRAMES, kw_only=True)
    move_strength: float = field(default=1.0, kw_only=True)
    facing: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class AnimateOptions(Clip, RunOptions):
    """`RunOptions` of a mesh file or an object folder.

    Attributes:
        others: further models, which stand beside the first in one scene.
        objects: how one file is taken apart into objects (`animate3d.meshes.objects`).
        object_masks: folder of images that say which object each pixel of ``frames`` shows.
        formats: suffixes without the dot.
        field: fit a deformation field on top of the tracked motion.
    """

    fps: float = field(default=8.0, kw_only=True)
    others: tuple[Path, ...] = field(default=(), kw_only=True)
    objects: str = field(default="one", kw_only=True)
    object_masks: Path | None = field(default=None, kw_only=True)
    formats: tuple[str, ...] = field(default=("glb", "usdc"), kw_only=True)
    field: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class GaussianOptions(Renders, RunOptions):
    """`RunOptions` of a model of 3D Gaussians.

    Attributes:
        refine: continue with 4D score distillation; needs ``video``.
        track: start the fit from a surface around the model, followed through the frames.
    """

    config: str = field(default=GAUSSIAN_CONFIG, kw_only=True)
    refine: bool = field(default=False, kw_only=True)
    track: bool = field(default=True, kw_only=True)


# The command lines


@dataclass(frozen=True, kw_only=True)
class FromPrompt:
    """The video model makes videos of what a sentence says."""

    prompt: OptionalText = None
    """what happens, e.g. "a dragon head is roaring" """
    weights: OptionalFolder = None
    """model folder of `animate3d convert-weights`"""
    pretrained_unet_path: OptionalFile = None
    """motion checkpoint, without --weights"""
    preset: Annotated[Literal["laptop", "full"] | None, arg(metavar="{laptop,full}", help_behavior_hint="")] = None
    """laptop: the small bundled model; full: the released weights (default: full with --weights or
    --pretrained-unet-path, else laptop)"""
    moves: Literal["auto", "always", "never"] = "auto"
    """compute motions such as hopping or walking, without videos: where the bundled model does not know the
    model or the motion, always, or never (docs/moves.md)"""
    facing: Annotated[float | None, arg(metavar="AZIMUTH", help_behavior_hint="")] = None
    """from where its face is seen, for a computed motion: 0 in front of the first view, 90 a quarter turn on
    (default: it is found)"""
    motion_strength: float = 1.0
    """0.25 to 4; more is more motion"""
    num_samples: int = 1
    """make so many videos and keep the best"""
    frame_count: Annotated[OptionalCount, arg(help_behavior_hint=_of_preset("frames"))] = None
    """frames of every video; more than the default are made in windows that overlap (a computed motion has 16)"""
    size: Annotated[OptionalCount, arg(help_behavior_hint=_of_preset("size"))] = None
    """pixels of the videos"""
    steps: Annotated[OptionalCount, arg(help_behavior_hint=_of_preset("steps"))] = None
    """denoising steps"""
    guidance_scale: Annotated[OptionalNumber, arg(help_behavior_hint=_of_preset("guidance_scale"))] = None
    """strength of the prompt; 1 turns guidance off"""
    freeinit_num_iters: Annotated[OptionalCount, arg(help_behavior_hint=_of_preset("freeinit_num_iters"))] = None
    """rounds of FreeInit; 0 turns it off"""
    mask_backend: Literal["auto", "background", "sam2"] = "auto"
    """what cuts the object out of the videos"""
    compile: bool = False
    """compile the video model, for minutes once; no gain on an H200 (docs/gpu.md)"""
    quantize: Annotated[Literal["int8"] | None, arg(metavar="int8", help_behavior_hint="")] = None
    """hold the video model's weights in half the memory"""
    low_memory: bool = False
    """make videos in less memory and more time; by itself on a GPU with less than 11 GiB"""

    def sampler(self) -> dict[str, Any]:
        """What is given in place of the preset's settings."""
        given = {name: getattr(self, name) for name in ("size", "steps", "guidance_scale", "freeinit_num_iters")}
        return {**given, "frames": self.frame_count}


@dataclass(frozen=True, kw_only=True)
class FromVideos(Views):
    """Videos of how it should move, as RGBA images."""

    frames: OptionalFolder = None
    """images {v*F+f}.png: view v (evenly spaced azimuths from --azimuth on, elevation 15), frame f"""


@dataclass(frozen=True, kw_only=True)
class FromClip:
    """An ordinary video of how it should move; its camera is found unless it is given. --video a --video b are
    videos of one moment."""

    video: Annotated[UseAppendAction[tuple[Path, ...]], arg(metavar="FILE", help_behavior_hint="")] = ()
    """mp4, mov, webm, gif, … or a folder of pictures: a plain background or alpha, 2 to 600 frames"""
    camera: Annotated[UseAppendAction[tuple[Path, ...]], arg(metavar="FILE", help_behavior_hint="")] = ()
    """camera.json of `animate3d render` or a transforms.json, one for each --video (default: it is found)"""
    start: Annotated[float, arg(metavar="SECONDS")] = 0.0
    """where in the video to start"""
    end: Annotated[float | None, arg(metavar="SECONDS", help_behavior_hint="")] = None
    """where to end"""
    every: Annotated[int, arg(metavar="N")] = 1
    """take one frame of so many"""
    start_pose: Literal["rest", "video"] = "rest"
    """begin in the model's own pose and blend over to the video's, or begin in that"""
    video_model: Annotated[str | None, arg(metavar="MODEL", help_behavior_hint="")] = None
    """make the video of --prompt: folder or hub name of an image-to-video pipeline of diffusers"""
    video_setting: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="KEY=VALUE", help_behavior_hint="")] = ()
    """an argument of the call of --video-model"""
    still_view: Annotated[str, arg(metavar="VIEW")] = "three-quarter"
    """what --video-model starts from: front, side, three-quarter, or azimuth,elevation"""


@dataclass(frozen=True, kw_only=True)
class SceneFlags:
    """Several objects: give several models, or a scene file (docs/scenes.md)."""

    objects: Literal["one", "auto", "node"] = "one"
    """what moves by itself in one file: nothing, what does not touch, or every node"""
    object_masks: OptionalFolder = None
    """images {v*F+f}.png of one channel that go with --frames: 0 background, k the k-th object"""


@dataclass(frozen=True, kw_only=True)
class PlacementFlags:
    """How the model stands before the cameras; automatic unless given."""

    rot_x_degree: OptionalNumber = None
    """turn about x, before the turn about z"""
    rot_z_degree: OptionalNumber = None
    """turn about z"""
    scale_factor: OptionalNumber = None
    """factor on the size (default: as large as the cameras allow)"""
    placement: OptionalFile = None
    """placement.json of an earlier run, in place of the three flags"""


@dataclass(frozen=True, kw_only=True)
class MotionFlags:
    """How the motion is found; key=value after the command sets a config value of the fit, refine:key=value one of
    the refinement."""

    field: bool = False
    """meshes: fit a deformation field on top of the tracked motion"""
    tracking: Annotated[bool, arg(help_behavior_hint="(default: False)")] = True
    """Gaussians: fit from scratch, not from the tracked motion"""
    refine: bool = False
    """Gaussians: refine with the video model (also with --frames and --prompt)"""
    config: Annotated[str | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """config of the fit (default: the package's own settings)"""


@dataclass(frozen=True, kw_only=True)
class MeshOutput(Clip):
    """Files and their contents."""

    formats: Annotated[str | None, arg(metavar="A,B", help_behavior_hint="")] = None
    """meshes, comma-separated: fbx,glb,gltf,usd,usda,usdc,usdz,abc,obj,ply,vat (default: the engine's, or glb,usdc
    and fbx where it can be written)"""


@dataclass(frozen=True, kw_only=True)
class Output(MeshOutput, Renders):
    """Files and their contents."""


@dataclass(frozen=True, kw_only=True)
class Machine(Work):
    """Settings of the whole run."""

    verbose: bool = False
    """show what the libraries have to say"""


@dataclass(frozen=True)
class AnimateCommand:
    """Flags of `animate3d animate`."""

    model: Positional[Path]
    """mesh file (obj, glb, gltf, ply, stl, off, fbx), object folder, scene file (yaml, json), or ply of Gaussians"""
    out: Folder
    """folder for the results"""
    from_prompt: Annotated[FromPrompt, group("from a prompt")]
    from_videos: Annotated[FromVideos, group("from videos")]
    from_clip: Annotated[FromClip, group("from any video")]
    placement: Annotated[PlacementFlags, group("placement")]
    motion: Annotated[MotionFlags, group("motion")]
    output: Annotated[Output, group("output")]
    machine: Annotated[Machine, group("run")]
    scene: Annotated[SceneFlags, group("scene")]
    others: Positional[Annotated[tuple[Path, ...], arg(metavar="[MODEL ...]", help_behavior_hint="")]] = ()
    """meshes: further models, which stand beside the first"""


@dataclass(frozen=True)
class RenderCommand:
    """Flags of `animate3d render`."""

    model: Positional[Path]
    """mesh file (obj, glb, gltf, ply, stl, off, fbx) or object folder"""
    out: Folder
    """folder for still.png, camera.json and transforms.json"""
    placement: Annotated[PlacementFlags, group("placement")]
    view: Annotated[str, arg(metavar="VIEW")] = "front"
    """front, side, three-quarter, or azimuth and elevation in degrees as 30,10"""
    size: Annotated[str, arg(metavar="WxH")] = "1280x720"
    """width and height in pixels"""
    background: Literal["grey", "white", "green", "transparent"] = "grey"
    """what is behind the model"""
    shading: Literal["lit", "flat"] = "lit"
    """lit: soft light from the camera; flat: the bare colours"""
    fov: Annotated[float, arg(metavar="DEGREES")] = 40.0
    """vertical field of view"""
    front: Annotated[str | None, arg(metavar="AXIS", help_behavior_hint="")] = None
    """axis of the file that the model faces, as --front=-y (default: what the format's convention says)"""


@dataclass(frozen=True)
class DemoCommand:
    """Flags of `animate3d demo`."""

    output: Annotated[MeshOutput, group("output")]
    machine: Annotated[Machine, group("run")]
    out: Folder = Path("outputs/demo")
    """folder for the results"""
    creature: OptionalText = None
    """robot (default), or what the bundled model knows: butterfly, bird, fish, dog, flower, ball or snake"""
    prompt: OptionalText = None
    """what it does (default: what such a creature usually does)"""
    motion: OptionalText = None
    """instead: the dragon in a known motion, wing_flap, bend, hop or all"""
    video: bool = False
    """the dragon by one drawn clip of which nothing is known, as an ordinary video (--motion: default bend)"""
    size: OptionalCount = None
    """pixels of the videos' frames (default: 64 from a sentence, else 256)"""
    frame_count: OptionalCount = None
    """frames of the motion (default: 8 where the bundled model makes videos, else 16)"""
    field: bool = False
    """fit a deformation field on top of the tracked motion"""


def shared(kind: type, *groups: object) -> dict[str, Any]:
    """The values of groups of flags that options of this kind have under the same name."""
    names = {item.name for item in fields(kind)}
    values: Mapping[str, Any] = {name: value for part in groups for name, value in vars(part).items()}
    return {name: value for name, value in values.items() if name in names}
