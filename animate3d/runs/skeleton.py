"""Step 7 with a skeleton: bones that all files of a run share, and their picture."""

from __future__ import annotations

from typing import Any

from animate3d.errors import MissingDependencyError, available
from animate3d.export import SKINNED
from animate3d.export.clip import checked_clip
from animate3d.export.engines import engine_named
from animate3d.export.inbetweens import resampled
from animate3d.export.skeleton import (
    Skinned,
    load_skeleton,
    save_skeleton,
    skeleton_asked,
    skeleton_for,
    skeleton_picture,
)
from animate3d.frames import save_image
from animate3d.meshes import Mesh
from animate3d.motion.trajectory import Trajectory
from animate3d.runs.base import Run
from animate3d.runs.options import AnimateOptions


def asked_skeleton(options: AnimateOptions) -> int | str:
    """What the options ask for: a number of bones, or ``"auto"``, ``"keep"`` or ``"off"``.

    Raises:
        InputError: an unknown engine, or a value that is none of these.
        MissingDependencyError: bones are to be found and `py_dem_bones` is not installed.
    """
    engine = None if options.engine is None else engine_named(options.engine)
    if options.skeleton is not None:
        wanted = skeleton_asked(options.skeleton)
    else:
        wanted = "off" if engine is None else engine.skeleton
    if not any(suffix in SKINNED for suffix in options.formats):
        return "off"
    if wanted not in ("off", "keep") and not available("py_dem_bones"):
        raise MissingDependencyError(
            "Skeletons are found with py-dem-bones: pip install 'animate3d[skeleton]', or give --skeleton off."
        )
    return wanted


def skeleton_step(run: Run, options: AnimateOptions, mesh: Mesh, trajectory: Trajectory) -> Skinned | None:
    """Find the bones of the motion, save them and draw ``skeleton.png``; None where none are asked for."""
    wanted = asked_skeleton(options)
    if wanted == "off":
        return None
    bones, picture = run.work / "skeleton.npz", options.out / "skeleton.png"

    def find() -> dict[str, Any]:
        clip = checked_clip(mesh, trajectory.positions, options.fps, loop=options.loop)
        if options.resample is not None:
            clip = resampled(clip, options.resample)
        found = skeleton_for(clip.mesh, clip.positions, wanted)
        assert found is not None  # it is not "off"
        save_skeleton(found, bones)
        save_image(picture, skeleton_picture(mesh, found, run.placement))
        return {"report": found.summary}

    run.steps.run(
        "7 skeleton",
        find,
        inputs={"trajectory": run.work / "trajectory", "mesh": run.model_hash},
        settings={"skeleton": wanted, "fps": options.fps, "loop": options.loop, "resample": options.resample},
        outputs=[bones, picture],
    )
    return load_skeleton(bones)
