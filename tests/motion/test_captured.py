"""A function as a CUDA graph gives the function's values and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from animate3d.motion import DeformationField, captured
from animate3d.motion.arap import arap_energy, knn_graph
from animate3d.motion.captured import WARM_UP, Captured


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Captures on the CPU: the forms that were captured, by the number of their tensors."""
    forms: list[int] = []

    def capture(function: Any, sample_args: tuple[Tensor, ...], **settings: Any) -> Any:
        forms.append(len(sample_args))
        return function

    monkeypatch.setattr(captured, "_possible", lambda tensors: torch.is_grad_enabled())
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", capture)
    return forms


def test_a_form_is_captured_once_it_has_come_several_times(recorded: list[int]) -> None:
    linear = nn.Linear(3, 2)
    function = Captured(
        lambda x, shift, *, factor: linear(x) * factor if shift is None else linear(x) + shift, linear.parameters
    )
    x = torch.rand(4, 3)
    for call in range(WARM_UP + 3):
        torch.testing.assert_close(function(x, None, factor=2), linear(x) * 2)
        assert len(recorded) == int(call >= WARM_UP)
    assert recorded == [1 + 2], "the input and two parameters"
    torch.testing.assert_close(function(x[:2], None, factor=2), linear(x[:2]) * 2)
    torch.testing.assert_close(function(x, None, factor=3), linear(x) * 3)
    torch.testing.assert_close(function(x, x[:, :2], factor=3), linear(x) + x[:, :2])
    assert len(recorded) == 1, "other shapes, constants and arguments are forms of their own"


def test_without_gradient_nothing_is_captured(recorded: list[int]) -> None:
    function = Captured(torch.square)
    with torch.no_grad():
        for _ in range(WARM_UP + 2):
            function(torch.ones(2))
    assert not recorded


def test_where_capturing_fails_the_function_itself_goes_on(
    recorded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **settings: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fail)
    function = Captured(torch.square)
    x = torch.tensor([3.0], requires_grad=True)
    for _ in range(WARM_UP):
        function(x)
    with pytest.warns(UserWarning, match="without a CUDA graph"):
        assert function(x) == 9
    assert function(x) == 9


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_graph_of_the_field_has_its_values_and_gradients() -> None:
    torch.manual_seed(0)
    field = DeformationField().cuda()
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    n = 500
    static = (torch.rand(n, 3) - 0.5, torch.randn(n, 4), torch.randn(n, 3) - 3)
    static = tuple(part.cuda() for part in static)  # type: ignore[assignment]
    graph = Captured(field.move, field.parameters)

    def run(times: Tensor, scale: bool, move: Any) -> list[Tensor]:
        field.zero_grad()
        parts = field.deform(*static, times, use_delta_scale=scale, move=move)
        sum(((i + 1) * p.square().sum() for i, p in enumerate(parts)), start=torch.zeros((), device="cuda")).backward()
        gradients = [p.grad.clone() for p in field.parameters() if p.grad is not None]
        return [*(p.detach().clone() for p in parts), *gradients]

    for call in range(WARM_UP + 3):
        times = torch.rand(3).sort().values
        found = [run(times, call % 2 == 0, move) for move in (None, graph)]
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max() + 1e-6))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_graph_of_the_energy_has_its_values_and_gradients() -> None:
    torch.manual_seed(0)
    rest = torch.rand(600, 3)
    neighbours, valid = knn_graph(rest, 3, 1.0)
    rest, neighbours, valid = rest.cuda(), neighbours.cuda(), valid.cuda()

    def energy(means: Tensor, sample: Tensor) -> Tensor:
        return arap_energy(torch.cat([rest[None], means]), neighbours, valid, sample)

    graph = Captured(energy)
    for _ in range(WARM_UP + 3):
        sample = torch.randint(600, (512,)).cuda()
        means = (rest + 0.05 * torch.randn(5, 600, 3, device="cuda")).requires_grad_()
        values = [function(means, sample) for function in (energy, graph)]
        torch.testing.assert_close(values[1], values[0], rtol=1e-4, atol=1e-6)
        a, b = (torch.autograd.grad(value, means)[0] for value in values)
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_random_numbers_go_on_after_a_capture_that_failed() -> None:
    function = Captured(lambda x: x * x.sum().item())  # waits for the device, which no graph can
    x = torch.ones(3, device="cuda", requires_grad=True)
    for _ in range(WARM_UP):
        function(x)
    with pytest.warns(UserWarning, match="without a CUDA graph"):
        assert torch.equal(function(x), 3 * x)
    assert torch.rand(3, device="cuda").isfinite().all()
