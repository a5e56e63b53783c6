"""A test set of two small objects that bend, and settings that make the steps small."""

from __future__ import annotations

from pathlib import Path

from small_asset import bend, finned_tube

from animate3d.creatures.dragon import write_frames
from animate3d.files import write_json
from animate3d.gaussians import from_mesh, save_ply
from animate3d.runs.testset import StepOptions

FRAMES, SIZE, STEPS = 4, 32, 3
SMALL = (
    f"recon:data.width={SIZE}",
    f"recon:data.height={SIZE}",
    "recon:system.progressive_iter_per_frame=1",
    "recon:trainer.enable_progress_bar=false",
)


def write_testset(folder: Path, names: tuple[str, ...] = ("bird", "fish")) -> Path:
    mesh = finned_tube()
    placement = mesh.automatic_placement()
    for name in names:
        save_ply(from_mesh(mesh).transformed(placement), folder / "pretrained_gaussian" / f"{name}.ply")
        videos = folder / "tracking_rgba_images" / name
        write_frames(mesh, bend, placement, videos, frames=FRAMES, size=SIZE)
    write_json(folder / "prompts.json", {name: f"A {name} is bending." for name in names})
    return folder


def step_options(results: Path, **changes: object) -> StepOptions:
    small = {"recon_steps": STEPS, "overrides": SMALL, "render_size": SIZE, "target_size": SIZE}
    return StepOptions(**{"results": results, "refine": False, **small, **changes})  # type: ignore[arg-type]
