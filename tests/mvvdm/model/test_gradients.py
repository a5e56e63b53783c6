"""Gradients through the few passes over memory are those of the modules, and of the formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from animate3d.mvvdm.model import fused
from animate3d.mvvdm.model.launches import Table
from animate3d.mvvdm.model.unet import TRAINED, MultiViewUNet
from animate3d.mvvdm.training.trainable import freeze, recompute_activations, shrink_frozen
from tests.mvvdm.model.test_streamlined import MODELS, call, model

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def gradients(
    unet: MultiViewUNet, arguments: dict[str, Any], streamlined: bool | None, *, half: bool = False
) -> dict[str, Tensor]:
    """The prediction, and the gradients of what learns; the forward pass in bfloat16 where ``half``."""
    unet.streamlined = streamlined
    unet.zero_grad()
    with torch.autocast(arguments["sample"].device.type, torch.bfloat16, enabled=half):
        out = unet(**arguments)[0]
    (out.float() * torch.linspace(-1, 1, out.numel(), device=out.device).view_as(out)).sum().backward()
    found = {name: p.grad.float().clone() for name, p in unet.named_parameters() if p.grad is not None}
    return {"prediction": out.detach().float(), **found}


def worst(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest difference, relative to the largest gradients of such weights."""
    assert found.keys() == expected.keys()
    scale = max(float(value.abs().max()) for value in expected.values())
    return max(float((found[k] - v).norm() / (v.norm() + 1e-3 * scale)) for k, v in expected.items())


def overall(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The relative difference of all gradients together."""
    assert found.keys() == expected.keys()
    pairs = [(found[name], value) for name, value in expected.items()]
    return float(
        torch.stack([(a - b).norm() for a, b in pairs]).norm() / torch.stack([b.norm() for _, b in pairs]).norm()
    )


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("as the full one", "all"),
        pytest.param("as the full one", "motion", marks=pytest.mark.slow),
        pytest.param("learned encodings", "all", marks=pytest.mark.slow),
        ("learned encodings", "motion"),
        ("small model's options", "all"),
        pytest.param("small model's options", "motion", marks=pytest.mark.slow),
    ],
)
def test_gradients_are_those_of_the_modules(name: str, trained: str) -> None:
    unet = model(**MODELS[name]).train()
    freeze(unet, TRAINED if trained == "motion" else [""])
    arguments = call(unet, samples=2)
    expected = gradients(unet, arguments, False)
    unet.streamlined = True
    assert unet._streamlines(arguments["sample"])  # type: ignore[arg-type]
    assert worst(gradients(unet, arguments, True), expected) < 2e-3


def test_mixed_precision_is_as_exact_as_with_the_modules() -> None:
    unet = model().train()
    freeze(unet, TRAINED)
    arguments = call(unet)
    exact = gradients(unet, arguments, False)
    shrink_frozen(unet, torch.bfloat16)
    modules, streamlined = (overall(gradients(unet, arguments, how, half=True), exact) for how in (False, True))
    assert streamlined < 1.2 * modules + 0.005


def test_recomputed_blocks_keep_less_and_give_the_same() -> None:
    unet = model().train()
    freeze(unet, TRAINED)
    arguments = call(unet)
    kept = []
    results = []
    for recomputed in (False, True):
        numbers: list[int] = []
        if recomputed:
            recompute_activations(unet, ["down_blocks.0", "up_blocks.3"])
        with torch.autograd.graph.saved_tensors_hooks(lambda t, n=numbers: n.append(t.numel()) or t, lambda t: t):  # type: ignore[misc]
            results.append(gradients(unet, arguments, True))
        kept.append(sum(numbers))
    assert kept[1] < 0.75 * kept[0]
    assert worst(results[1], results[0]) < 1e-6


@pytest.mark.parametrize("obstacle", ["a hook", "dropout", "several prompts"])
def test_what_only_the_layers_calls_see_keeps_the_modules(obstacle: str) -> None:
    unet = model().train()
    unet.streamlined = True
    sample = torch.zeros(4, 4, 3, 8, 8)
    assert unet._streamlines(sample)
    if obstacle == "a hook":
        unet.mid_block.register_forward_hook(lambda *_: None)
    if obstacle == "dropout":
        unet.mid_block.resnets[0].dropout.p = 0.1
    assert not unet._streamlines(sample, prompts=2 if obstacle == "several prompts" else 1)


# -- kernels ---------------------------------------------------------------------------------------------------------


def grouped(activate: bool, **places: int) -> Callable[..., Any]:
    def function(x: Tensor, weight: Tensor, bias: Tensor, *addend: Tensor) -> Tensor:
        norm = nn.GroupNorm(4, x.shape[-1])
        norm._parameters.update(weight=weight, bias=bias)  # type: ignore[arg-type]
        return fused.group_norm(x, norm, activate=activate, addend=addend[0] if addend else None, **places)

    return function


def layered(addends: int, tables: tuple[Table | None, ...], blend: bool) -> Callable[..., Any]:
    def function(x: Tensor, weight: Tensor, bias: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        norm = nn.LayerNorm(x.shape[-1])
        norm._parameters.update(weight=weight, bias=bias)  # type: ignore[arg-type]
        share = torch.sigmoid(rest[addends].float()) if blend else None
        given = tuple(t and Table(t.rows.to(x), t.step) for t in tables)
        return fused.add_norm(x, rest[:addends], norm, given, share)

    return function


def fed_forward(x: Tensor, *weights: Tensor) -> Tensor:
    gate, out = nn.Linear(24, 64, bias=False), nn.Linear(32, 24).to(x).requires_grad_(False)
    gate._parameters["weight"] = weights[0]  # type: ignore[assignment]
    out._parameters.update(zip(("weight", "bias"), weights[1:], strict=False))  # type: ignore[arg-type]
    return fused.gated_linear(x, gate, out)


def read_prompt(query: Tensor) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    sides = [torch.randn(4, count, 40, generator=draw).to(query) for count in (7, 7, 3, 3)]
    return fused.attend_prompt(
        query, (sides[0], sides[1]), (sides[2], sides[3]), heads=2, frames=3, views=2, image_scale=0.7
    )


TABLES = Table(torch.randn(4, 24), 17), Table(torch.randn(17, 24), 1)
IMAGES, WEIGHTS, TOKENS = (12, 70, 24), (24,), (3, 4, 17, 24)
CASES: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "norm and SiLU": (grouped(True), [IMAGES, WEIGHTS, WEIGHTS]),
    "norm of a sum": (grouped(True), [IMAGES, WEIGHTS, WEIGHTS, (12, 24)]),
    "norm over frames": (grouped(False, frames=3, views=2), [IMAGES, WEIGHTS, WEIGHTS]),
    "layer norm": (layered(0, (None,), False), [TOKENS, WEIGHTS, WEIGHTS]),
    "sum and layer norm": (layered(1, (None,), False), [TOKENS, WEIGHTS, WEIGHTS, TOKENS]),
    "two tables": (layered(0, TABLES, False), [TOKENS, WEIGHTS, WEIGHTS]),
    "blend": (layered(2, TABLES, True), [TOKENS, WEIGHTS, WEIGHTS, TOKENS, TOKENS, (1,)]),
    "feed-forward": (fed_forward, [TOKENS, (64, 24), (24, 32), (24,)]),
    "frozen feed-forward": (lambda x: fed_forward(x, torch.randn(64, 24).to(x), torch.randn(24, 32).to(x)), [TOKENS]),
    "frames": (lambda qkv: fused.attend_frames(qkv, 2), [(2, 5, 7, 120)]),
    "16 frames, wide heads": (lambda qkv: fused.attend_frames(qkv, 2), [(1, 16, 9, 960)]),
    "prompt": (read_prompt, [(12, 33, 40)]),
}


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", CASES)
def test_kernels_have_the_values_and_gradients_of_the_formulas(name: str, dtype: torch.dtype) -> None:
    function, shapes = CASES[name]
    leaves = [torch.randn(shape) for shape in shapes]
    results = []
    for place in (torch.zeros(()), torch.zeros((), device="cuda", dtype=dtype)):
        torch.manual_seed(2)
        given = [leaf.to(place).requires_grad_() for leaf in leaves]
        found = function(*given)
        outs = found if isinstance(found, tuple) else (found,)
        total = sum((out.cpu().float() * torch.linspace(-1, 1.5, out.numel()).view(out.shape)).sum() for out in outs)
        results.append([*outs, *torch.autograd.grad(total, given)])  # type: ignore[arg-type]
    for expected, ours in zip(*results, strict=True):
        difference = (ours.cpu().float() - expected).norm() / expected.norm()
        assert difference < (4e-3 if dtype == torch.float16 else 2e-2)


@pytest.mark.cuda
@needs_gpu
def test_a_training_step_has_the_gradients_of_the_modules() -> None:
    unet = model().train()
    freeze(unet, TRAINED)
    arguments = call(unet)
    expected = gradients(unet, arguments, False)
    unet.cuda()
    given = {key: value.cuda() if isinstance(value, Tensor) else value for key, value in arguments.items()}
    given["added_cond_kwargs"] = {"image_embeds": arguments["added_cond_kwargs"]["image_embeds"].cuda()}  # type: ignore[index]
    shrink_frozen(unet, torch.bfloat16)
    errors = []
    for streamlined in (False, None):
        found = {k: v.cpu() for k, v in gradients(unet, given, streamlined, half=True).items()}
        errors.append(overall(found, expected))
    with torch.autocast("cuda", torch.bfloat16):
        assert unet._streamlines(given["sample"])  # type: ignore[arg-type]
    assert errors[1] < 1.2 * errors[0] + 0.005
