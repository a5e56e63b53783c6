"""Make the bundled model from nothing: data, autoencoder, encoders, UNet, origins, refiner, export.

python -m animate3d.small_model.train --out outputs/bundled

Every stage leaves a file and is skipped when it is there. Stopped, `data`, `unet` and `origins` go on where they were;
the other stages take minutes and begin again.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.distributed.launcher.api import LaunchConfig

from animate3d.bundled_model.folder import FRAMES, PACKAGE_FOLDER, SIZE, VIEWS
from animate3d.errors import Animate3DError, InputError, run_command
from animate3d.files import atomic_directory, read_json, write_json
from animate3d.mvvdm.model.patch_autoencoder import PatchAutoencoder
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.training import checkpoints
from animate3d.mvvdm.training.stopping import StopRequest
from animate3d.resources import find_resource
from animate3d.small_model import encoders, models
from animate3d.small_model.clips import read_clips
from animate3d.small_model.data.synthesize import SETTINGS, VERSION, Settings, synthesize
from animate3d.small_model.export import export, read_origins, trained_pipeline
from animate3d.small_model.refiner import estimated_latents, train_refiner

CONFIG = "configs/training/bundled.yaml"
START, RUN, REFINER = "start", "run", "refiner"
START_FACTS, REFINER_FACTS = "start.json", "refiner.json"
ESTIMATED_CLIPS = 200
# A process per core with one thread each: two threads that wait for each other in every layer of so small a model are
# slower than one as soon as anything else runs.
PROCESSES = min(2, os.cpu_count() or 1)
# Not Ctrl-C, which `_run` passes on. Old versions of torch do not know the option and end with a traceback.
KNOWS_SIGNALS = "signals_to_handle" in LaunchConfig.__dataclass_fields__
LAUNCHER = (
    *(sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={PROCESSES}"),
    *(["--signals-to-handle=SIGTERM,SIGHUP,SIGQUIT"] if KNOWS_SIGNALS else []),
)
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}


@dataclass(frozen=True)
class Plan:
    """Where a training of the bundled model takes place, and how long each stage is.

    Attributes:
        data: folder of `animate3d data synthesize`; made when it is not there.
        out: folder for everything that is made on the way.
        exported: where the model goes.
        clips: clips to synthesise.
        steps: of the UNet at full learning rate.
        decay_steps: that follow while the learning rate falls to zero.
        origin_steps: of the UNet with its head for origins.
        refiner_steps: of the refiner.
        seed: of everything.
    """

    data: Path
    out: Path
    exported: Path
    clips: int = 3000
    steps: int = 3000
    decay_steps: int = 3200
    origin_steps: int = 4000
    refiner_steps: int = 1500
    seed: int = 6

    @property
    def clip_list(self) -> Path:
        """File that lists the clips of the data set."""
        return self.data / "clips.json"


STAGES = ("data", "start", "unet", "origins", "refiner", "export")


def make_data(plan: Plan) -> None:
    """Synthesise the creatures' videos, unless there are some."""
    if plan.clip_list.is_file():
        return
    settings = Settings(clips=plan.clips, held_out=round(0.04 * plan.clips), seed=plan.seed)
    synthesize(plan.data, settings, workers=os.cpu_count() or 1)


def make_start(plan: Plan) -> None:
    """Everything but the refiner is ready and the UNet is random: what `train.py` starts from."""
    clips = read_clips(plan.clip_list, 800, plan.seed)
    torch.manual_seed(plan.seed)
    autoencoder = models.build_autoencoder()
    count = clips.pixels.flatten(0, 2).shape[0]
    variance = autoencoder.fit(clips.images(torch.randperm(count)[:4000]))
    autoencoder.register_to_config(scaling_factor=models.LATENT_DEVIATION * autoencoder.config["scaling_factor"])
    tokenizer, extractor = models.build_tokenizer(encoders.all_words()), models.build_feature_extractor()
    text_encoder, image_encoder = models.build_text_encoder(tokenizer), models.build_image_encoder()
    facts: dict[str, Any] = {"autoencoder": {"variance_kept": round(variance, 4)}}
    facts["text_encoder"] = encoders.train_text_encoder(text_encoder, tokenizer, seed=plan.seed)
    facts["image_encoder"] = encoders.train_image_encoder(image_encoder, extractor, clips, seed=plan.seed)
    torch.manual_seed(plan.seed)
    unet = models.build_unet(autoencoder.config["latent_channels"], autoencoder.config["patch_size"])
    pipeline = MultiViewVideoPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=models.build_scheduler(),
        feature_extractor=extractor,
        image_encoder=image_encoder,
    )
    with atomic_directory(plan.out / START) as temporary:
        pipeline.save_pretrained(temporary)
    write_json(plan.out / START_FACTS, facts)


def train_unet(plan: Plan, overrides: Sequence[str] = ()) -> None:
    """The main stage and the decay of the learning rate, both by ``train.py``."""
    done = steps_done(plan)
    decay = {"max_train_steps": plan.steps + plan.decay_steps, "lr_decay_steps": plan.decay_steps}
    stages: list[dict[str, int]] = [{"max_train_steps": plan.steps}, *([decay] if plan.decay_steps else [])]
    for stage in stages:
        if done >= stage["max_train_steps"]:
            continue
        code = _run(_command(plan, stage, overrides))
        done = steps_done(plan)
        if code or done < stage["max_train_steps"]:
            raise Animate3DError(f"The training of the UNet stopped after step {done}; the same command continues it.")


def _command(plan: Plan, stage: Mapping[str, int], overrides: Sequence[str]) -> list[str]:
    values = {
        "pretrained_model_path": plan.out / START,
        "train_data.info_path": plan.clip_list,
        "output_dir": plan.out,
        "name": RUN,
        "global_seed": plan.seed,
        **stage,
    }
    command = [*LAUNCHER, "-m", "animate3d.mvvdm.training.cli", "--config", str(find_resource(CONFIG))]
    return [*command, *(f"{key}={value}" for key, value in values.items()), *overrides]


def _check_synthesized(plan: Plan) -> None:
    """The stage `origins` draws the clips again, so it has to know all of them."""
    if not (plan.data / SETTINGS).is_file():
        raise InputError(
            f"{plan.data} has no {SETTINGS}: the stage `origins` learns from clips of `animate3d data synthesize`; "
            "leave it out of --stages for other videos."
        )
    settings = read_json(plan.data / SETTINGS)
    needed = {"version": VERSION, "size": SIZE, "frames": FRAMES, "views": VIEWS}
    for name, value in needed.items():
        if settings.get(name) != value:
            raise InputError(
                f"{plan.data / SETTINGS} says `{name}` {settings.get(name)}, and the stage `origins` needs {value}: "
                "make the data set again, or leave the stage out of --stages."
            )
    if len(read_json(plan.clip_list)) != settings["clips"]:
        raise InputError(
            f"{plan.clip_list} does not have the {settings['clips']} clips of {SETTINGS}; the same "
            "`animate3d data synthesize` that was stopped finishes them."
        )


def origins_stage(plan: Plan) -> None:
    """Stage in which the UNet learns where pixels come from, and goes on denoising."""
    if origin_steps_done(plan) >= plan.origin_steps:
        return
    values = {"data": plan.data, "out": plan.out, "steps": plan.origin_steps, "seed": plan.seed}
    flags = [part for name, value in values.items() for part in (f"--{name}", str(value))]
    code = _run([*LAUNCHER, "-m", "animate3d.small_model.origins", *flags])
    done = origin_steps_done(plan)
    if code or done < plan.origin_steps:
        raise Animate3DError(f"The training of origins stopped after step {done}; the same command continues it.")


def _run(command: list[str]) -> int:
    """Run a training in several processes; returns its exit code.

    Raises:
        KeyboardInterrupt: this process was asked to stop (Ctrl-C, SIGTERM), and the training did, with a checkpoint.
    """
    with StopRequest().awaited() as request:
        # Ctrl-C reaches every process of a terminal. The launcher has to ignore it, or it ends with a traceback.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        launcher = subprocess.Popen(command, env={**ENVIRONMENT, **os.environ})
        signal.signal(signal.SIGINT, handler)
        asked: set[int] = set()
        while (code := _ended(launcher)) is None:
            for process in psutil.Process(launcher.pid).children() if request.asked else []:
                if process.pid not in asked:  # it may have been started since
                    with suppress(psutil.NoSuchProcess):
                        process.terminate()
                    asked.add(process.pid)
    if request.asked and code == 0:
        raise KeyboardInterrupt
    return code


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a process after a moment; None while it runs."""
    try:
        return process.wait(timeout=0.2)
    except subprocess.TimeoutExpired:
        return None


def steps_done(plan: Plan) -> int:
    """Steps that the UNet's newest checkpoint has behind it."""
    latest = checkpoints.find_latest(plan.out / RUN / "checkpoints")
    return 0 if latest is None else int(checkpoints.read(latest)["global_step"])


def origin_steps_done(plan: Plan) -> int:
    """Steps of the origins' training that are done."""
    content = read_origins(plan.out, steps_done(plan))
    return 0 if content is None else int(content["global_step"])


def make_refiner(plan: Plan) -> None:
    """Train the autoencoder's refiner, on errors of the UNet as it is now."""
    autoencoder = PatchAutoencoder.from_pretrained(plan.out / START / "vae")
    clips = read_clips(plan.clip_list, 1500, plan.seed + 1)
    pipeline, unet_steps = trained_pipeline(plan.out)
    estimates = estimated_latents(pipeline, clips.first(ESTIMATED_CLIPS), plan.seed)
    facts = train_refiner(autoencoder, clips, estimates, steps=plan.refiner_steps, seed=plan.seed)
    with atomic_directory(plan.out / REFINER) as temporary:
        autoencoder.save_pretrained(temporary)
    write_json(plan.out / REFINER_FACTS, {"steps": plan.refiner_steps, "after_unet_steps": unet_steps, "psnr": facts})


def run(plan: Plan, stages: Sequence[str] = STAGES, overrides: Sequence[str] = ()) -> None:
    """Run the stages of the training whose results are missing."""
    if "data" in stages:
        make_data(plan)
    # What the later stages need, before hours of training.
    if "origins" in stages and origin_steps_done(plan) < plan.origin_steps:
        _check_synthesized(plan)
    if "unet" in stages:
        read_origins(plan.out, max(steps_done(plan), plan.steps + plan.decay_steps))
    if "start" in stages and not (plan.out / START_FACTS).is_file():
        make_start(plan)
    if "unet" in stages:
        train_unet(plan, overrides)
    if "origins" in stages:
        origins_stage(plan)
    if "refiner" in stages and not (plan.out / REFINER_FACTS).is_file():
        make_refiner(plan)
    if "export" in stages:
        export(plan.out, plan.exported, plan.data)


_EXAMPLES = """examples:
  python -m animate3d.small_model.train                                 # everything, about 4 hours on two cores
  python -m animate3d.small_model.train --steps 9000 --decay-steps 6000  # longer
  python -m animate3d.small_model.train --stages refiner,export        # of a training that runs or was stopped

The same command continues what was stopped. Further key=value are those of configs/training/bundled.yaml.
"""


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m animate3d.small_model.train",
        description="Make the bundled model from nothing.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plan = Plan(Path("outputs/bundled/data"), Path("outputs/bundled"), PACKAGE_FOLDER)
    parser.add_argument(
        "--data",
        type=Path,
        default=plan.data,
        help=f"data set of `animate3d data synthesize`, made when there is none (default {plan.data})",
    )
    parser.add_argument("--out", type=Path, default=plan.out, help=f"folder to work in (default {plan.out})")
    parser.add_argument("--export", type=Path, default=plan.exported, help="folder of the finished model")
    parser.add_argument("--clips", type=int, default=plan.clips, help=f"clips to synthesise (default {plan.clips})")
    parser.add_argument("--steps", type=int, default=plan.steps, help=f"of the UNet (default {plan.steps})")
    parser.add_argument(
        "--decay-steps", type=int, default=plan.decay_steps, help=f"after those (default {plan.decay_steps})"
    )
    parser.add_argument("--origin-steps", type=int, default=plan.origin_steps, help=f"default {plan.origin_steps}")
    parser.add_argument("--refiner-steps", type=int, default=plan.refiner_steps, help=f"default {plan.refiner_steps}")
    parser.add_argument("--seed", type=int, default=plan.seed)
    parser.add_argument("--stages", default=",".join(STAGES), help=f"of {', '.join(STAGES)} (default: all)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="config values of the UNet's training")
    options = parser.parse_args(argv)
    stages = tuple(options.stages.split(","))
    unknown = [name for name in stages if name not in STAGES]
    if unknown:
        parser.error(f"the stage {unknown[0]} is unknown; the stages are {', '.join(STAGES)}")
    plan = Plan(
        data=options.data,
        out=options.out,
        exported=options.export,
        clips=options.clips,
        steps=options.steps,
        decay_steps=options.decay_steps,
        origin_steps=options.origin_steps,
        refiner_steps=options.refiner_steps,
        seed=options.seed,
    )
    run(plan, stages, options.overrides)
    return 0


if __name__ == "__main__":
    run_command(main)
