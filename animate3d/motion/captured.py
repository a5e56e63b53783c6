"""A function of tensors as a CUDA graph.

A training step of a few thousand Gaussians is hundreds of small kernels, and starting one takes longer than running it.
As a graph they are started together.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import torch
from torch import Tensor

WARM_UP = 2
"""Calls of one form before it is captured: what happens only once is not worth it."""


class Captured:
    """Calls a function, on a GPU as a CUDA graph where gradients are wanted.

    The function must not wait for the device nor decide anything by the values of its tensors. Its results stand until
    the next call, and their backward pass comes before that: in a training that calls it once a step. When a form is
    captured, at its third call, no result of an earlier call without a graph may still wait for its backward pass.

    Args:
        function: tensors or None, and keywords that are constant, to a tensor or tensors.
        parameters: what the function takes gradients to beside its arguments.
    """

    def __init__(self, function: Callable[..., Any], parameters: Callable[[], Iterable[Tensor]] = tuple) -> None:
        self._function, self._parameters = function, parameters
        self._graphs: dict[Hashable, Callable[..., Any]] = {}
        self._calls: dict[Hashable, int] = {}

    def __call__(self, *inputs: Tensor | None, **constants: Hashable) -> Any:
        tensors = [tensor for tensor in inputs if tensor is not None]
        if not _possible(tensors):
            return self._function(*inputs, **constants)
        parameters = list(self._parameters())
        key = (
            *((None if t is None else (t.shape, t.stride(), t.dtype, t.requires_grad)) for t in inputs),
            *((parameter.data_ptr(), parameter.requires_grad) for parameter in parameters),
            *constants.items(),
        )
        self._calls[key] = self._calls.get(key, 0) + 1
        if key not in self._graphs:
            if self._calls[key] <= WARM_UP:
                return self._function(*inputs, **constants)
            self._graphs[key] = self._capture(inputs, parameters, constants)
        return self._graphs[key](*tensors)

    def _capture(
        self, inputs: tuple[Tensor | None, ...], parameters: list[Tensor], constants: dict[str, Hashable]
    ) -> Callable[..., Any]:
        """The function of those inputs that are not None; the function itself where that fails, which is said once."""
        given = [tensor is not None for tensor in inputs]

        def plain(*tensors: Tensor) -> Any:
            rest = iter(tensors)
            return self._function(*(next(rest) if there else None for there in given), **constants)

        # Gradients of parameters are added up in the stream of the capture, about which PyTorch warns in every run.
        if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):  # from 2.9 on
            torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
        # What the graph reads is its own; the parameters change in place and are read where they are.
        held = [torch.empty_like(t).copy_(t.detach()).requires_grad_(t.requires_grad) for t in inputs if t is not None]
        generators = [torch.cuda.default_generators[index] for index in {t.get_device() for t in held if t.is_cuda}]
        states = [generator.clone_state() for generator in generators]
        try:
            graph = torch.cuda.make_graphed_callables(
                lambda *tensors: plain(*tensors[: len(held)]), (*held, *parameters), allow_unused_input=True
            )
        except RuntimeError as error:
            for generator, state in zip(generators, states, strict=True):
                generator.graphsafe_set_state(state)  # a capture that broke off leaves them unusable
            warnings.warn(f"A part of the step runs without a CUDA graph, slower: {error}", stacklevel=2)
            return plain
        return lambda *tensors: graph(*tensors, *parameters)  # type: ignore[operator]


def _possible(tensors: list[Tensor]) -> bool:
    """Whether a graph can stand in: on one GPU, in a training that no other process shares."""
    return (
        all(tensor.device.type == "cuda" for tensor in tensors)
        and torch.is_grad_enabled()
        and not (torch.distributed.is_available() and torch.distributed.is_initialized())
    )
