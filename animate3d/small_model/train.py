"""Make the bundled model from nothing: autoencoder, joint training, refiner, export.

python -m animate3d.small_model.train --out outputs/bundled

Every stage leaves a file and is skipped when it is there. Stopped, `joint` goes on where it was; the other stages take
minutes and begin again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from animate3d.errors import run_command
from animate3d.files import atomic_directory, write_json
from animate3d.mvvdm.convert import load_converted
from animate3d.mvvdm.model.patch_autoencoder import PatchAutoencoder
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.small_model import encoders, models
from animate3d.small_model.clips import draw_clips
from animate3d.small_model.export import REFINER, REFINER_FACTS, START, START_FACTS, export, trained_pipeline
from animate3d.small_model.joint import Pace, Training
from animate3d.small_model.refiner import estimated_latents, train_refiner

START_CLIPS, REFINER_CLIPS, ESTIMATED_CLIPS = 240, 200, 60


@dataclass(frozen=True)
class Plan:
    """Where a training of the bundled model takes place, and how long each stage is.

    Attributes:
        out, exported: folders for what is made on the way, and for the model.
        device: where the UNet learns, such as ``cuda``.
        clips: factor on the clips that autoencoder and refiner are fitted to.
    """

    out: Path
    exported: Path
    pace: Pace = field(default_factory=Pace)
    refiner_steps: int = 800
    seed: int = 6
    device: str = "cpu"
    clips: float = 1.0

    def clip_count(self, usual: int) -> int:
        """Clips for a stage."""
        return max(2, round(self.clips * usual))


STAGES = ("start", "joint", "refiner", "export")


def make_start(plan: Plan) -> None:
    """Everything but the autoencoder is random."""
    clips = draw_clips(plan.clip_count(START_CLIPS), plan.seed)
    torch.manual_seed(plan.seed)
    autoencoder = models.build_autoencoder()
    count = clips.pixels.flatten(0, 2).shape[0]
    variance = autoencoder.fit(clips.images(torch.randperm(count)[:4000]))
    autoencoder.register_to_config(scaling_factor=models.LATENT_DEVIATION * autoencoder.config["scaling_factor"])
    tokenizer = models.build_tokenizer(encoders.all_words())
    pipeline = MultiViewVideoPipeline(
        vae=autoencoder,
        text_encoder=models.build_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=models.build_unet(autoencoder.config["latent_channels"], autoencoder.config["patch_size"]),
        scheduler=models.build_scheduler(),
        feature_extractor=models.build_feature_extractor(),
        image_encoder=models.build_image_encoder(),
    )
    with atomic_directory(plan.out / START) as temporary:
        pipeline.save_pretrained(temporary)
    write_json(plan.out / START_FACTS, {"autoencoder": {"variance_kept": round(variance, 4)}})


def train_joint(plan: Plan) -> None:
    """The UNet and the encoders learn."""
    Training(load_converted(plan.out / START), plan.out, plan.pace, plan.seed, torch.device(plan.device)).run()


def make_refiner(plan: Plan) -> None:
    """Train the autoencoder's refiner, on errors of the UNet as it is now."""
    autoencoder = PatchAutoencoder.from_pretrained(plan.out / START / "vae")
    clips = draw_clips(plan.clip_count(REFINER_CLIPS), plan.seed + 1)
    pipeline = trained_pipeline(plan.out)
    estimates = estimated_latents(pipeline, clips.first(plan.clip_count(ESTIMATED_CLIPS)), plan.seed)
    facts = train_refiner(autoencoder, clips, estimates, steps=plan.refiner_steps, seed=plan.seed)
    with atomic_directory(plan.out / REFINER) as temporary:
        autoencoder.save_pretrained(temporary)
    write_json(plan.out / REFINER_FACTS, {"steps": plan.refiner_steps, "psnr": facts})


def run(plan: Plan, stages: Sequence[str] = STAGES) -> None:
    """Run the stages of the training whose results are missing."""
    if "start" in stages and not (plan.out / START_FACTS).is_file():
        make_start(plan)
    if "joint" in stages:
        train_joint(plan)
    if "refiner" in stages and not (plan.out / REFINER_FACTS).is_file():
        make_refiner(plan)
    if "export" in stages:
        export(plan.out, plan.exported)


_EXAMPLES = """examples:
  python -m animate3d.small_model.train --device cuda --workers 14         # seven minutes on one large GPU
  python -m animate3d.small_model.train --minutes 600 --batch 8 --workers 1  # overnight on two cores
  python -m animate3d.small_model.train --stages refiner,export           # of a training that was stopped

The same command continues what was stopped.
"""


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m animate3d.small_model.train",
        description="Make the bundled model from nothing.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    pace = Pace()
    parser.add_argument("--out", type=Path, default=Path("outputs/bundled"), help="folder to work in")
    parser.add_argument("--export", type=Path, help="folder of the finished model (default: model in --out)")
    parser.add_argument("--stages", default=",".join(STAGES), help=f"of {', '.join(STAGES)} (default: all)")
    parser.add_argument("--device", help="where the UNet learns (default: a GPU if there is one)")
    parser.add_argument("--minutes", type=float, default=pace.minutes, help="of the joint training (default 7)")
    parser.add_argument("--steps", type=int, help="of the joint training, instead of minutes")
    parser.add_argument("--batch", type=int, default=pace.batch, help=f"clips of a step (default {pace.batch})")
    parser.add_argument("--rate", type=float, default=pace.rate, help=f"largest learning rate (default {pace.rate:g})")
    parser.add_argument("--warmup", type=int, default=pace.warmup, help="steps in which the learning rate rises")
    parser.add_argument("--workers", type=int, default=0, help="processes that make up clips")
    parser.add_argument("--pool", type=int, default=pace.pool, help="drawn clips that are kept; 6 MB each")
    parser.add_argument("--fresh", type=int, default=pace.fresh, help="most chunks of new clips between two steps")
    parser.add_argument("--compile", action="store_true", help="compile the UNet's blocks")
    parser.add_argument("--refiner-steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args(argv)
    stages = tuple(options.stages.split(","))
    unknown = [name for name in stages if name not in STAGES]
    if unknown:
        parser.error(f"the stage {unknown[0]} is unknown; the stages are {', '.join(STAGES)}")
    names = ("minutes", "steps", "batch", "rate", "warmup", "workers", "pool", "fresh")
    pace = replace(pace, compiled=options.compile, **{name: getattr(options, name) for name in names})
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    plan = Plan(options.out, options.export or options.out / "model", pace, options.refiner_steps, options.seed, device)
    run(plan, stages)
    return 0


if __name__ == "__main__":
    run_command(main)
