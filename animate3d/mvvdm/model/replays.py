"""CUDA graphs of the UNet: a call is recorded once and replayed, without Python and without launching its kernels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from animate3d.mvvdm.model.attention import Layout, Prompt

logger = logging.getLogger(__name__)

Predict: TypeAlias = Callable[[Tensor, Tensor, Tensor | None, Prompt, Layout], tuple[Tensor, Callable[[], Tensor]]]


@dataclass
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    layers: list[Any]
    keys: list[Tensor]
    output: Tensor
    prompt: Prompt  # whose keys are in place


class Replays:
    """Recorded calls by the shapes of their inputs; the first call of a kind runs as usual and is the warm-up.

    A call is recorded only with a prompt that keeps its keys. Weights are read where they lay at the recording: when
    any has moved, everything is recorded anew.
    """

    def __init__(self) -> None:
        self._seen: set[Any] = set()
        self._recordings: dict[Any, _Recording] = {}
        self._weights: tuple[int, ...] = ()
        self._works = True

    def __call__(self, predict: Predict) -> Predict:
        """A function like ``predict``, a bound method of the UNet, that replays what was recorded."""

        def run(
            sample: Tensor, timesteps: Tensor, camera: Tensor | None, prompt: Prompt, layout: Layout
        ) -> tuple[Tensor, Callable[[], Tensor]]:
            arguments = (sample, timesteps, camera, prompt, layout)
            if not self._works or prompt.kept is None or sample.device.type != "cuda":
                return predict(*arguments)
            inputs = [tensor for tensor in (sample, timesteps, camera, prompt.text) if tensor is not None]
            kind = (layout, camera is None, *((tensor.shape, tensor.dtype) for tensor in inputs))
            if kind not in self._seen:
                self._seen.add(kind)
                return predict(*arguments)
            self._forget_moved(predict)
            _owner(predict).make_keys(prompt)
            recording = self._recordings.get(kind)
            if recording is None:
                try:
                    recording = self._recordings[kind] = _record(predict, *arguments)
                except RuntimeError as error:
                    self._works = False
                    logger.warning("The UNet runs without CUDA graphs: %s", str(error).splitlines()[0])
                    return predict(*arguments)
            return _replay(recording, inputs, prompt), _no_features

        return run

    def _forget_moved(self, predict: Predict) -> None:
        weights = tuple(parameter.data_ptr() for parameter in _owner(predict).parameters())
        if weights != self._weights:
            self._recordings.clear()
            self._weights = weights


def _owner(predict: Predict) -> Any:
    return predict.__self__  # type: ignore[attr-defined]


def _no_features() -> Tensor:
    raise RuntimeError("a replayed call does not give its features")


def _flat(prompt: Prompt, layers: list[Any]) -> list[Tensor]:
    """Keys and values of all layers, in a given order: prompts fill theirs in different ones."""
    kept = prompt.kept or {}
    pairs = [pair for text, images in (kept[layer] for layer in layers) for pair in (text, *images)]
    return [prompt.text, *(side for pair in pairs for side in pair)]


def _record(
    predict: Predict, sample: Tensor, timesteps: Tensor, camera: Tensor | None, prompt: Prompt, layout: Layout
) -> _Recording:
    inputs = [tensor.clone() for tensor in (sample, timesteps, camera) if tensor is not None]
    copies = {
        layer: (tuple(side.clone() for side in text), [tuple(side.clone() for side in image) for image in images])
        for layer, (text, images) in (prompt.kept or {}).items()
    }
    still = Prompt(prompt.text.clone(), prompt.images, kept=copies)  # type: ignore[arg-type]
    torch.cuda.synchronize(sample.device)
    torch.cuda.empty_cache()  # what the warm-up held is the recording's now
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output, _ = predict(inputs[0], inputs[1], inputs[2] if camera is not None else None, still, layout)
    return _Recording(graph, inputs, list(copies), _flat(still, list(copies)), output, prompt)


def _replay(recording: _Recording, inputs: list[Tensor], prompt: Prompt) -> Tensor:
    if prompt is not recording.prompt:
        torch._foreach_copy_(recording.keys, _flat(prompt, recording.layers))
        recording.prompt = prompt
    torch._foreach_copy_(recording.inputs, inputs[: len(recording.inputs)])
    recording.graph.replay()
    return recording.output.clone()
