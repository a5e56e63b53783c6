"""`gaussian-splatting-animate3d-system`: fits a deformation field to videos, refines it, shows the result."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from animate3d.cameras import Cameras
from animate3d.errors import InputError
from animate3d.motion import FrameSchedule
from animate3d.motion.trajectory import save_placed_folder
from animate3d.orbits import frame_times
from animate3d.studio import api as threestudio

from ..renderer.base import batch_cameras, float32
from .images import image_losses, part_of
from .kept import Kept
from .losses import ON_FIRST_FRAME, Step, Term, check_weights, gaussian_terms, image_terms
from .outputs import TestImages, ValidationVideo, save_guidance_videos, to_rgba8
from .rigidity import Rigidity


@threestudio.register("gaussian-splatting-animate3d-system")
class Animate3DSystem(threestudio.BaseLift3DSystem):
    """One step: choose frames, deform once at all of them, draw them from all views, add up the loss table.

    Images are drawn and compared a chunk at a time (`data.chunk_views`).
    """

    @dataclass
    class Config(threestudio.BaseLift3DSystem.Config):
        load_guidance: bool = False
        """Refinement: add 4D score distillation, train the change of scale, give every Gaussian gradient."""
        training: bool = True
        """False in the configs that only show a model; they refuse to train."""
        test_option: str | None = None
        """What a test run writes: four_view or testset; None, in the configs that train, writes nothing."""
        n_view: int = 4
        n_frame: int = 16
        progressive_iter_per_frame: int = 50
        sample_strategy: str = "normal"
        """Frames of a step: normal or light (`animate3d.motion.FrameSchedule`)."""
        connected_vertices_info_path: str | None = None
        """Edge file of a mesh: rigidity along its edges instead of between nearest neighbours."""
        save_gaussian_trajectory: bool = False
        """A test run also writes ``mesh_trajectory/{frame}.npy``."""
        guidance_eval_feq: int = -1
        """Every how many steps the guidance saves what it sees; not above 0: never."""
        grad_ratio: float = 0.1
        """Share of the Gaussians that receive gradient from an image in reconstruction."""
        keep_delta_scale: bool = True
        """Show a refined model with its change of scale. False forgets it, as the original's visualisation does."""
        cuda_graphs: bool = True
        """On a GPU the field and ARAP run as CUDA graphs: faster, with the same results."""

    cfg: Config

    # Set up

    def configure(self) -> None:
        super().configure()
        self.automatic_optimization = True
        self._kept = Kept()
        self._overflowed = False
        self._rigidity: Rigidity | None = None
        self._validation = ValidationVideo()
        self._test: TestImages | None = None

    def post_configure(self) -> None:
        super().post_configure()
        if not self.resumed:  # else the checkpoint brings the Gaussians later
            self.geometry.require_gaussians()

    @property
    def use_delta_scale(self) -> bool:
        """Whether the change of scale applies: while it is trained, and ever after."""
        return self.cfg.load_guidance or (self.cfg.keep_delta_scale and self.geometry.delta_scale_trained)

    def loss_terms(self) -> dict[str, Term]:
        """Terms of a step by the name of their weight, beside those of its images; extend this to add one."""
        return {**gaussian_terms(), "arap": self._arap, "sds": self._sds}

    def configure_optimizers(self) -> Any:
        if self.cfg.optimizer:
            return super().configure_optimizers()
        groups = self.geometry.optimizer_groups()
        for group in groups:
            group["lr"] = float(self.C(self.geometry.learning_rate(group["name"])))
        return torch.optim.Adam(groups, lr=0.0, eps=1e-15, fused=self._fused)

    @property
    def _fused(self) -> bool | None:
        """Whether Adam is one kernel, which also takes the scale of half precision back without asking the host."""
        on_gpu = self.trainer.strategy.root_device.type == "cuda"
        return True if on_gpu and not self.trainer.gradient_clip_val else None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if not self.cfg.optimizer and self._trainer is not None:  # it may come from another device
            for state in checkpoint.get("optimizer_states", []):
                for group in state["param_groups"]:
                    group["fused"] = self._fused

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if not self.cfg.training or not hasattr(self.geometry, "deform"):
            raise InputError("This config shows a model (system.training is False); train with another config.")
        self._terms = self.loss_terms()
        self._image_terms = image_terms()
        check_weights(self.cfg.loss, {**self._image_terms, **self._terms})
        self._read_settings()
        self._schedule = FrameSchedule(self.cfg.n_frame, self.cfg.progressive_iter_per_frame, self.cfg.sample_strategy)
        self._scale_active = self.use_delta_scale
        self._captured = self.cfg.cuda_graphs and self.trainer.accumulate_grad_batches == 1
        self._check_frame_count()
        if self.cfg.load_guidance:
            guidance = threestudio.find(self.cfg.guidance_type)
            if hasattr(guidance, "check_files"):  # before the prompt is encoded, which takes time
                guidance.check_files(self.cfg.guidance)
            self.prompt_processor = threestudio.find(self.cfg.prompt_processor_type)(self.cfg.prompt_processor)
            self.prompt_utils = self.prompt_processor()
            self.guidance = guidance(self.cfg.guidance)

    def _read_settings(self) -> None:
        """What a step looks up, as plain values: a look into the config takes as long as starting several kernels."""
        self._fixed: Animate3DSystem.Config = OmegaConf.to_object(self.cfg)  # type: ignore[assignment]
        self._first_frame_trainable = bool(self.renderer.cfg.first_frame_trainable)
        names = (*self._image_terms, *(name for name in self._terms if name != "sds" or self.cfg.load_guidance))
        self._weights = {name: self.cfg.loss.get(f"lambda_{name}", 0.0) for name in names}
        groups = self.geometry.optimizer_groups()
        self._rates = {} if self.cfg.optimizer else {g["name"]: self.geometry.learning_rate(g["name"]) for g in groups}

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """As Lightning does it, unless everything is there already, as the resident images of a training are."""
        if isinstance(batch, dict) and all(_rests_on(value, device) for value in batch.values()):
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_fit_end(self) -> None:
        if self.cfg.load_guidance:  # gigabytes that no test needs
            del self.guidance, self.prompt_processor, self.prompt_utils
            threestudio.cleanup()

    # Training

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor] | None:
        self._follow_learning_rates()
        weights = {name: weight for name, value in self._weights.items() if (weight := self.C(value)) != 0}
        step = self._step(batch, with_first=any(name in weights for name in ON_FIRST_FRAME))
        loss, values = self._compare_images(step, {n: w for n, w in weights.items() if n in self._image_terms})
        for name, weight in weights.items():
            if name in self._terms:
                values[name] = self._terms[name](step)
                loss = loss + weight * values[name]
        if "sds" in values and not bool(values["sds"].isfinite()):
            self._say_overflow()
            return None  # Lightning goes on with the next step
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:  # the others would be forgotten
            self.log_dict({f"train/loss_{name}": value for name, value in values.items()})
            self.log("train/loss", loss, prog_bar=True)
        return {"loss": loss}

    def _say_overflow(self) -> None:
        """Once in a run; the steps that follow are left out in silence."""
        if not self._overflowed:
            threestudio.warn(
                f"Step {self.true_global_step} is left out: the video model's numbers overflow. Should that go on, set "
                "system.guidance.half_precision_dtype=bfloat16."
            )
        self._overflowed = True

    def _step(self, batch: dict[str, Any], with_first: bool) -> Step:
        """Deform at the frames of this step."""
        views = self._views(batch)
        device = views.c2w.device
        frames = self._frames()
        extra = int(self._fixed.load_guidance or with_first)  # the guidance needs frame 0 as well
        frames = torch.cat([frames.new_zeros(extra), frames])
        times = self._kept.of((batch["timestamps"],), lambda stamps: stamps.flatten()[: self._fixed.n_frame].cpu())[
            frames
        ]
        with float32(views.c2w):
            moved = self.geometry.deform(
                times,
                use_delta_scale=self._scale_active,
                first_frame_trainable=self._first_frame_trainable,
                captured=self._captured,
            )
            splats = self.geometry.splats_of(*moved, views.positions)
        background = self.renderer.background_color(device)
        still = int((times <= -1).sum())  # frames are sorted
        return Step(splats, times, frames, slice(extra, None), splats.means[still:], batch, background)

    def _compare_images(self, step: Step, weights: dict[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum and values of the image terms: those of frame 0 see it alone, the others the trained frames."""
        of_first = {name: weight for name, weight in weights.items() if name in ON_FIRST_FRAME}
        of_trained = {name: weight for name, weight in weights.items() if name not in ON_FIRST_FRAME}
        loss, values = step.moved.new_zeros(()), {}
        for frames, some_weights in ((step.trained, of_trained), (slice(1), of_first)):
            if not some_weights:
                continue
            total, terms = image_losses(
                part_of(step.splats, frames),
                self._views(step.batch),
                partial(self.renderer.draw, background=step.background, grad_ratio=self._grad_ratio),
                partial(self._target, step, step.frames[frames]),
                self._image_terms,
                some_weights,
                step.batch.get("chunk_views", len(step.batch["rgb"])),
            )
            loss, values = loss + total, values | terms
        return loss, values

    @property
    def _grad_ratio(self) -> float:
        return 1.0 if self._fixed.load_guidance else self._fixed.grad_ratio

    def _frames(self) -> Tensor:
        """Frames of this step, sorted: those that have entered, or all in refinement."""
        if self._fixed.load_guidance:
            return torch.arange(1, self._fixed.n_frame)
        return self._schedule.frames(self.true_global_step)

    def _views(self, batch: dict[str, Any]) -> Cameras:
        """The cameras ``[V]`` of a view-major batch ``[V * F]``."""
        count = self._fixed.n_view * self._fixed.n_frame
        if len(batch["rgb"]) != count:
            raise InputError(
                f"The data has {len(batch['rgb'])} images, the system expects {self._fixed.n_view} views of "
                f"{self._fixed.n_frame} frames: data.n_view, data.total_frame must equal system.n_view, system.n_frame."
            )

        def make(c2w: Tensor, fovy: Tensor) -> Cameras:
            return batch_cameras(batch, batch["rgb"].device)[:: self._fixed.n_frame]

        return self._kept.of((batch["c2w"], batch["fovy"]), make)

    def _target(self, step: Step, frames: Tensor, part: slice, views: slice) -> tuple[Tensor, Tensor]:
        """Colour on the background and mask ``[F, V, H, W, 3 | 1]`` of a part of the numbered frames, and of views."""
        frames = frames[part]
        rgb, mask = (
            step.batch[name].unflatten(0, (self._fixed.n_view, self._fixed.n_frame)).transpose(0, 1)
            for name in ("rgb", "mask")
        )
        if rgb.dtype == torch.uint8:  # they would not fit the memory as floats all together
            rgb, mask = chosen(rgb, frames)[:, views].float() / 255, chosen(mask, frames)[:, views].float()
            return _on_background(rgb, mask, step.background), mask

        def make(*given: Tensor) -> tuple[Tensor, Tensor]:
            color, opaque = rgb.contiguous(), mask.contiguous()
            return _on_background(color, opaque, step.background), opaque

        color, opaque = self._kept.of((step.batch["rgb"], step.batch["mask"], step.background), make)
        return chosen(color, frames)[:, views], chosen(opaque, frames)[:, views]

    def _arap(self, step: Step) -> Tensor:
        if self._rigidity is None:
            path = self._fixed.connected_vertices_info_path
            objects = self.geometry.object_ids
            self._rigidity = Rigidity(self.geometry.get_xyz, self.cfg.loss, path, self._captured, objects)
        with float32(step.moved):
            return self._rigidity(step.moved)

    def _sds(self, step: Step) -> Tensor:
        """4D score distillation on a random orbit around the frames that the step has already deformed."""
        if "random_camera" not in step.batch:
            raise InputError("Refinement needs random orbits: set data.use_random_camera=True.")
        orbit = step.batch["random_camera"]
        cameras = batch_cameras(orbit, step.moved.device)[:: self._fixed.n_frame]  # [B * V]
        with float32(step.moved):
            moved = (step.splats.means, step.splats.quats, step.splats.scales)
            splats = self.geometry.splats_of(*moved, cameras.positions)  # colours as these cameras see them
            images = self.renderer.draw(splats, cameras, step.background).color  # [F, B * V, H, W, 3]
        every = self._fixed.guidance_eval_feq
        result = self.guidance(
            images.transpose(0, 1).flatten(0, 1),
            self.prompt_utils,
            **orbit,
            rgb_as_latents=False,
            guidance_eval=every > 0 and self.true_global_step % every == 0,
        )
        if result.get("videos"):
            save_guidance_videos(self.get_save_path(f"it{self.true_global_step}-guidance"), result["videos"])
        return result["loss_sds"]

    def _follow_learning_rates(self) -> None:
        if self._fixed.optimizer:
            return
        for group in self.optimizers().param_groups:
            group["lr"] = float(self.C(self._rates[group["name"]]))

    # Validation and test

    def _draw(self, batch: dict[str, Any]) -> Any:
        with torch.no_grad():
            if hasattr(self.geometry, "deform"):
                outputs = self.renderer.batch_forward(batch, use_delta_scale=self.use_delta_scale)
            else:
                outputs = self.renderer.batch_forward(batch)
        return to_rgba8(outputs)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self._validation.add(self._draw(batch))

    def on_validation_epoch_end(self) -> None:
        self._validation.write(self.get_save_path(f"it{self.true_global_step}-val.mp4"))

    def on_test_start(self) -> None:
        self.geometry.require_gaussians()
        self._check_frame_count()
        self._test = None
        if self.cfg.test_option is None:
            threestudio.info("system.test_option is not set: the test run writes nothing.")
        else:
            self._test = TestImages(self.cfg.test_option, self.cfg.n_frame, self.get_save_path)

    def _check_frame_count(self) -> None:
        frames = getattr(self.trainer.datamodule, "test_frames", self.cfg.n_frame)
        if frames != self.cfg.n_frame:
            raise InputError(
                f"system.n_frame is {self.cfg.n_frame} but data.random_camera.total_frame is {frames}: "
                "they must be equal."
            )

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        if self._test is None:
            return
        images = self._draw(batch)
        self._test.add(images, batch.get("camera", [""] * len(images)))

    def on_test_epoch_end(self) -> None:
        if self._test is not None:
            self._test.finish()
        if self.cfg.save_gaussian_trajectory:
            self._save_trajectory()

    def _save_trajectory(self) -> None:
        """Positions at every frame in the placed frame: what the mesh exporter reads."""
        if not hasattr(self.geometry, "deform"):
            raise InputError("system.save_gaussian_trajectory needs a moving model (gaussian-splatting-4d).")
        times = frame_times(self.cfg.n_frame)
        with torch.no_grad(), float32(self.geometry.get_xyz):
            means, _, _ = self.geometry.deform(
                times, use_delta_scale=False, first_frame_trainable=self.renderer.cfg.first_frame_trainable
            )
        save_placed_folder(self.get_save_path("mesh_trajectory"), means.cpu().numpy())


def chosen(images: Tensor, frames: Tensor) -> Tensor:
    """``images[frames]`` of ``[F, …]``; a run of frames is not copied, which counts at 60 images a step."""
    first, last = int(frames[0]), int(frames[-1])
    if last - first + 1 == len(frames):
        return images[first : last + 1]
    return torch.stack([images[frame] for frame in frames.tolist()])


def _rests_on(value: Any, device: torch.device) -> bool:
    if isinstance(value, dict):
        return all(_rests_on(part, device) for part in value.values())
    return value.device == device if isinstance(value, Tensor) else isinstance(value, str | int | float | None)


def _on_background(rgb: Tensor, mask: Tensor, background: Tensor) -> Tensor:
    return rgb * mask + background * (1 - mask)
