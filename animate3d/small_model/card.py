"""The model card of the bundled model, from the facts of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LIMITS = """## Limits

- It knows the motions of its captions, on objects of any shape; other motions come out wrong.
- 64 × 64 pixels, 16 frames, 4 views around the object at 15° elevation, on grey.
- Colours and patterns come from the first images, by a flow that is right within about a pixel: thin parts that move
  fast are smeared, and what no first image shows is speckled.
- Trained from scratch on synthetic data: its behaviour says nothing about the full-size model.
"""


def model_card(facts: Mapping[str, Any]) -> str:
    """The model card as Markdown."""
    parameters = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in facts["parameters"].items())
    lines = [
        "# Bundled multi-view video model",
        "",
        "Four images of an object and a sentence to four short videos. The package's own classes in a small size,",
        "trained from scratch by `make train-bundled`; weights are float16 and a moving average.",
        "",
        f"- Parameters: {parameters}",
        f"- Data: {facts['clips']} synthetic clips of random shapes and motions, made up during the training",
        f"- UNet and encoders: {facts['steps']} steps of v-prediction and origins, {facts['visits']} clip visits in "
        f"{facts['minutes']} minutes",
        f"- Autoencoder: principal components of 4×4 patches{_listed(facts.get('start', {}).get('autoencoder', {}))}",
        f"- Refiner of the autoencoder{_listed(facts.get('refiner', {}))}",
        "- Licence: that of the package; the data was made by the package",
        "",
        "## Mean losses up to step",
        "",
        "| step | denoising | origins off by pixels | learning rate there |",
        "|---|---|---|---|",
        *(
            f"| {step} | {part['loss']} | {part['pixels']} | {part['learning_rate']:g} |"
            for step, part in facts["losses"].items()
        ),
        "",
        _LIMITS,
    ]
    if facts.get("evaluation"):
        lines += ["## Evaluation", "", "| | |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in facts["evaluation"].items()]
        lines.append("")
    return "\n".join(lines)


def _listed(facts: Mapping[str, Any]) -> str:
    """``: name value, …``, nested facts flattened; ``: none`` when there are none."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        flat |= {f"{name} {key}": each for key, each in value.items()} if isinstance(value, Mapping) else {name: value}
    return ": " + (", ".join(f"{name.replace('_', ' ')} {value}" for name, value in flat.items()) or "none")
