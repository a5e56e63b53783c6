"""What can be looked at: the folder of a run, an animated glTF file, a ply sequence, or a still model."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from animate3d.cameras import Cameras, orbit_cameras
from animate3d.errors import InputError
from animate3d.export.gaussian_motion import GaussianMotion, Pose
from animate3d.export.skeleton import bone_colors, load_skeleton
from animate3d.files import read_json
from animate3d.frames import count_frames, load_frames
from animate3d.gaussians import Gaussians, holds_gaussians, load_gaussians, load_ply
from animate3d.gaussians.placement import automatic_placement
from animate3d.meshes import Mesh, Placement, load_mesh
from animate3d.meshes.gltf import load_joints
from animate3d.meshes.gltf_motion import load_gltf_motion
from animate3d.meshes.scene_file import is_scene_file, load_models
from animate3d.motion.cycle import close_cycle
from animate3d.motion.trajectory import Trajectory, weld
from animate3d.viewer.moving import MovingGaussians, MovingMesh, Show, facts_of, video_pictures

_VIDEO_SIDE = 256
_EXPORTED = "animation.glb"
_SEQUENCE = re.compile(r".*?(\d+)\.ply")


def load_show(path: Path) -> Show:
    """What is shown of a path.

    Raises:
        InputError: there is nothing in it that can be shown.
    """
    if (path / "run.json").is_file():
        return _run(path)
    if path.is_dir() and (plys := _sequence(path)):
        return _ply_sequence(path, plys)
    if path.suffix.lower() in (".glb", ".gltf") and (motion := load_gltf_motion(path)) is not None:
        placed = motion.mesh.automatic_placement().apply(motion.positions)
        moving = MovingMesh(motion.mesh, placed, motion.fps, motion.closing, bones=_bones_of_file(path))
        return Show(moving, path.stem, facts_of(moving))
    if not path.is_dir() and path.is_file() and holds_gaussians(path):
        model = load_gaussians(path)
        return _still_gaussians(model, path.stem, automatic_placement(model))
    if not path.exists():
        raise InputError(f"{path} does not exist; a run's folder, a model or a ply sequence is needed.")
    return _still_mesh(load_models([path]) if is_scene_file(path) else load_mesh(path))


def load_scene(models: Sequence[Path]) -> Show:
    """Several models as they would stand beside each other.

    Raises:
        InputError: one of them is no mesh.
    """
    return _still_mesh(load_models(models))


def _still_mesh(mesh: Mesh) -> Show:
    still = MovingMesh(mesh, mesh.automatic_placement().apply(mesh.vertices)[None], 1.0)
    return Show(still, mesh.name, facts_of(still))


def _run(folder: Path) -> Show:
    """The result of a run, or of as many of its steps as have been done."""
    record = read_json(folder / "run.json")
    steps = record.get("steps", {}) if isinstance(record, dict) else {}
    settings = steps.get("7 preview", {}).get("settings", {})
    fps = float(settings.get("fps", 8.0))
    model, placement_file = folder / str(record.get("model")), folder / "work" / "placement.json"
    results = (folder / "trajectory.npz", folder / "work" / "trajectory", folder / _EXPORTED)
    if not placement_file.is_file() or not model.exists() or not any(path.exists() for path in results):
        raise InputError(f"{folder} holds a run without a result yet; run its command again to continue.")
    placement = Placement.load(placement_file)
    if (folder / "trajectory.npz").is_file():
        moving: MovingMesh | MovingGaussians = _placed_gaussians(folder, placement, fps)
        name = model.stem
    else:
        moving = _moving_mesh(folder, record, placement, fps, bool(settings.get("loop")))
        name = _name(moving.mesh, model, folder)
    told = facts_of(moving)
    facts = {"prompt": str(record["prompt"])} if record.get("prompt") else {}
    explained = steps.get("5 tracking", {}).get("facts", {}).get("explained")
    if explained is not None:
        told["explained"] = f"{100 * explained:.0f} % of the videos' change"
    videos = _videos(folder, record)
    return Show(moving, name, facts | told, videos, None if videos is None else _cameras(steps, len(videos)))


def _name(mesh: Mesh, model: Path, folder: Path) -> str:
    """What a run's page is called; of several models that were given one by one their names."""
    if mesh.source != folder / _EXPORTED:
        return mesh.name
    tops = "_".join(part.name for part in mesh.parts if part.parent is None)
    return model.stem if is_scene_file(model) or not tops else tops


def _moving_mesh(folder: Path, record: Mapping[str, Any], placement: Placement, fps: float, loop: bool) -> MovingMesh:
    """The mesh of a run; the mesh of the exported file where the models are no longer what they were."""
    try:
        return _placed_mesh(folder, _models(folder, record), placement, fps, loop)
    except InputError:
        exported = folder / _EXPORTED
        if not exported.is_file() or (motion := load_gltf_motion(exported)) is None:
            raise
        placed = motion.mesh.automatic_placement().apply(motion.positions)
        return MovingMesh(motion.mesh, placed, motion.fps, motion.closing, bones=_bones_of_file(exported))


def _models(folder: Path, record: Mapping[str, Any]) -> Mesh:
    """The model of a run, or the several that it stands for."""
    others = [folder / str(path) for path in record.get("others", ())]
    return load_models([folder / str(record["model"]), *others], str(record.get("objects", "one")))


def _placed_mesh(folder: Path, mesh: Mesh, placement: Placement, fps: float, loop: bool) -> MovingMesh:
    trajectory = Trajectory.load_npy_folder(folder / "work" / "trajectory", placement, mesh.n_vertices, fps=fps)
    welded = Trajectory(weld(trajectory.positions, mesh.welded()), fps)
    shown = close_cycle(welded) if loop else welded
    placed = shown.to_placed(placement)
    confidence = _confidence(folder / "work" / "confidence.npy", placed)
    return MovingMesh(mesh, placed, fps, loop, confidence, _bones_of_run(folder / "work" / "skeleton.npz", mesh))


def _bones_of_run(path: Path, mesh: Mesh) -> np.ndarray | None:
    """Colours ``[N, 3]`` by the bones that a run has found, if it has and they are those of this mesh."""
    if not path.is_file():
        return None
    rig = load_skeleton(path).rig
    return bone_colors(rig.influences, rig.weights) if len(rig.weights) == mesh.n_vertices else None


def _bones_of_file(path: Path) -> np.ndarray | None:
    """Colours ``[N, 3]`` by the joints of a glTF file that has some."""
    joints = load_joints(path)
    if joints is None:
        return None
    total = joints.weights.sum(axis=1, keepdims=True)
    return bone_colors(joints.influences, joints.weights / np.where(total > 0, total, 1.0))


def _confidence(path: Path, placed: np.ndarray) -> np.ndarray | None:
    """How well every vertex was followed ``[F, N]``, if it was noted and is that of these positions."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found.astype(np.float32) if found.shape == placed.shape[:2] else None


def _placed_gaussians(folder: Path, placement: Placement, fps: float) -> MovingGaussians:
    model = load_ply(folder / "work" / "model.ply")
    path = folder / "trajectory.npz"
    try:
        with np.load(path, allow_pickle=False) as data:
            means, quats, scales = (torch.from_numpy(data[name]) for name in ("means", "quats", "scales"))
            fps = float(data["fps"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not the trajectory of a run ({error}).") from error
    if means.shape[1] != len(model):
        raise InputError(f"{path} moves {means.shape[1]} Gaussians, the model has {len(model)}.")
    return MovingGaussians(
        _moved(model, [Pose(*pose) for pose in zip(means, quats, scales, strict=True)], placement), fps
    )


def _moved(model: Gaussians, poses: list[Pose], placement: Placement) -> GaussianMotion:
    """Poses in the coordinates of the file, placed."""

    def pose(frame: int) -> Pose:
        own = poses[frame]
        moved = Gaussians(own.means, model.sh[:, :1], model.opacity_logits, own.scales.log(), own.quats)
        placed = moved.transformed(placement)
        return Pose(placed.means, placed.quats, placed.scales)

    return GaussianMotion(model.transformed(placement), len(poses), pose)


def _still_gaussians(model: Gaussians, name: str, placement: Placement) -> Show:
    still = MovingGaussians(_moved(model, [Pose(model.means, model.quats, model.scales)], placement), 1.0)
    return Show(still, name, facts_of(still))


def _sequence(folder: Path) -> list[Path]:
    """Plys of a folder by the number at the end of their names; none where there is only one."""
    numbered = {int(found[1]): path for path in folder.glob("*.ply") if (found := _SEQUENCE.fullmatch(path.name))}
    return [numbered[number] for number in sorted(numbered)] if len(numbered) > 1 else []


def _ply_sequence(folder: Path, plys: list[Path]) -> Show:
    notes = folder / "sequence.json"
    facts: Mapping[str, Any] = read_json(notes) if notes.is_file() else {}
    first = load_gaussians(plys[0])
    poses = []
    for path in plys:
        frame = load_gaussians(path)
        if len(frame) != len(first):
            raise InputError(f"{path} holds {len(frame)} Gaussians, the first frame {len(first)}: not one sequence.")
        poses.append(Pose(frame.means, frame.quats, frame.scales))
    placement = automatic_placement(first)
    moving = MovingGaussians(_moved(first, poses, placement), float(facts.get("fps", 24.0)))
    return Show(moving, folder.name, facts_of(moving))


def _videos(folder: Path, record: Mapping[str, Any]) -> np.ndarray | None:
    """The frames that the motion was found from, if they are still there."""
    given = record.get("frames")
    frames = folder / str(given) if given else folder / "work" / "frames"
    if not frames.is_dir():
        return None
    views = len(record.get("steps", {}).get("5 tracking", {}).get("settings", {}).get("azimuths", ())) or 4
    try:
        return video_pictures(load_frames(frames, views, count_frames(frames, views)), _VIDEO_SIDE)
    except InputError:
        return None


def _cameras(steps: Mapping[str, Any], views: int) -> Cameras | None:
    """Those that saw the videos of a run, if it is known."""
    seen = steps.get("4 frames", {}).get("facts", {}).get("seen_by")
    azimuths = steps.get("5 tracking", {}).get("settings", {}).get("azimuths")
    if seen:
        matrices = torch.tensor([camera["c2w"] for camera in seen])
        fovy = torch.tensor([camera["field_of_view"] for camera in seen]).deg2rad()
        found = Cameras(matrices, fovy, _VIDEO_SIDE, _VIDEO_SIDE)
    else:
        found = orbit_cameras(15.0, azimuths or [360 * view / views for view in range(views)], size=_VIDEO_SIDE)
    return found if len(found.fovy) == views else None
