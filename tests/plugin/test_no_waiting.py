"""A step never waits for the device: on a GPU the host would stand still until all that was started has run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from animate3d.cameras import Cameras
from animate3d.rasterize import Rendering, Splats
from animate3d.studio import api

from .conftest import Toy

LOOKS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique", "_linalg_")


class NoWaiting(TorchDispatchMode):
    """The device "meta" has no values to look at; copies from the host must not wait either."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        name = func._schema.name.removeprefix("aten::")
        on_device = any(tensor.is_meta for tensor in tensors)
        if on_device and name.startswith(LOOKS):
            raise AssertionError(f"{name} waits for the device")
        if name in ("index", "index_put", "index_put_", "_index_put_impl_") and on_device:
            for leaf in tree_leaves(args[1]):
                assert leaf is None or leaf.dtype != torch.bool, f"{name} with a mask waits for the device"
                assert leaf is None or leaf.is_meta, f"{name} copies an index from the host, and waits"
        target = torch.device(kwargs["device"]).type if kwargs.get("device") is not None else None
        if name == "_to_copy" and target == "meta" and not on_device:
            assert kwargs.get("non_blocking"), "a copy from the host waits for the device"
        return func(*args, **kwargs)


class NoNumbers(TorchFunctionMode):
    """Tensors of Python numbers are made by the host and copied."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in ("tensor", "new_tensor", "as_tensor") and result is not args[0]:
            assert not result.is_meta, "numbers of the host are copied, and that waits"
        return result


def test_the_fake_device_notices_who_waits() -> None:
    there = torch.zeros(3, device="meta")
    waiting: list[Callable[[], Any]] = [
        lambda: there[0].item(),
        lambda: bool(there.any()),
        lambda: there[there > 0],
        lambda: there[torch.tensor([0, 1])],
        lambda: there.cpu(),
        lambda: torch.ones(3).to("meta"),
        lambda: torch.tensor([1.0, 2.0], device="meta"),
        lambda: torch.linalg.svd(torch.zeros(2, 3, 3, device="meta")),
    ]
    for waits in waiting:
        with pytest.raises((AssertionError, NotImplementedError, RuntimeError)), NoWaiting(), NoNumbers():
            waits()


def drawn(splats: Splats, cameras: Cameras, background: Tensor, grad_ratio: float = 1.0) -> Rendering:
    """Images that take gradient; the rasteriser itself asks the device how much memory it needs."""
    frames, views = len(splats.means), len(cameras.c2w)
    value = splats.means.sum((1, 2)) + splats.quats.sum((1, 2)) + splats.scales.sum((1, 2))
    one = (cameras.viewmats.sum() + cameras.Ks.sum()) * value[:, None, None, None, None]
    one = one.expand(frames, views, cameras.height, cameras.width, 1)
    return Rendering(one.expand(*one.shape[:-1], 3) * background, one, one, one[..., 0, 0])


@pytest.mark.parametrize(
    "config", ["mesh_animation_frame_16", pytest.param("motion_recon_frame_16", marks=pytest.mark.slow)]
)
def test_a_reconstruction_step_does_not_wait(
    plugin: Any, load: Callable[..., Any], toy: Toy, tmp_path: Path, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())  # unknown to "meta"
    keys = [*toy.keys(tmp_path), *toy.model_keys(), *toy.data_keys()]
    keys += ["system.loss.arap_sample_num=16", "system.sample_strategy=light"]
    if config.startswith("mesh"):
        keys.append(f"system.connected_vertices_info_path={toy.edges}")
    cfg = load(config, *keys)
    data = api.find(cfg.data_type)(cfg.data)
    data.setup("fit")
    system = api.find(cfg.system_type)(cfg.system)
    system._trainer = SimpleNamespace(
        global_step=0, current_epoch=0, log_every_n_steps=10, accumulate_grad_batches=1, datamodule=data
    )
    system._follow_learning_rates = lambda: None  # numbers of the host
    system.on_fit_start()
    system.renderer.draw = drawn
    batch = next(iter(data.train_dataset))
    system.training_step(batch, 0)  # what is made once is made
    times = system._kept.of((batch["timestamps"],), lambda stamps: pytest.fail("not kept"))

    meta = torch.device("meta")
    system.to(meta)
    rigidity = system._rigidity
    rigidity.rest, rigidity.neighbours, rigidity.valid = (
        part.to(meta) for part in (rigidity.rest, rigidity.neighbours, rigidity.valid)
    )
    data.train_dataset.to(meta)
    batch = next(iter(data.train_dataset))
    system._kept.of((batch["timestamps"],), lambda stamps: times)
    system.renderer.background_color(meta)
    for step in (0, 2, 3, 7):  # one frame, two, two, all
        system._trainer.global_step = step
        with NoWaiting(), NoNumbers():
            loss = system.training_step(batch, step)["loss"]
            assert loss.is_meta
            loss.backward()
        assert all(p.grad is not None for p in system.geometry.grids.parameters())
