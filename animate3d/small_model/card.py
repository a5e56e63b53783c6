"""The model card of the bundled model, from the facts of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LIMITS = """## Limits

- It knows only the creatures of the generator: {families}.
  It is not a general animator; other objects and other motions come out wrong.
- {size} × {size} pixels, {frames} frames, {views} views around the object at 15° elevation, on grey; creatures face
  their family's usual direction within 15°.
- {colours}
- Trained from scratch on synthetic data: its behaviour says nothing about the full-size model.
"""


_PAINTED = """Colours and patterns come from the first images, by a flow that is right within about a pixel: thin
  parts that move fast are smeared, and what no first image shows is speckled."""
_UNPAINTED = "Patterns on moving parts are lost."


def model_card(facts: Mapping[str, Any]) -> str:
    """The model card as Markdown."""
    data: Mapping[str, Any] = facts.get("data", {})
    start: Mapping[str, Any] = facts.get("start", {})
    refiner: Mapping[str, Any] = facts.get("refiner", {})
    parameters = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in facts["parameters"].items())
    limits = _LIMITS.format(
        families=", ".join(data.get("families", [])) or "see the data set",
        size=data.get("size", 64),
        frames=data.get("frames", 8),
        views=data.get("views", 4),
        colours=_PAINTED if "origins" in facts else _UNPAINTED,
    )
    lines = [
        "# Bundled multi-view video model",
        "",
        "Four images of a procedural creature and a sentence to four short videos. The package's own classes in a",
        "small size, trained from scratch by `make train-bundled`; weights are float16 and a moving average.",
        "",
        f"- Parameters: {parameters}",
        f"- Data: {data.get('clips', '?')} synthetic clips (`animate3d data synthesize`, seed {data.get('seed', '?')})",
        f"- UNet: {facts['steps']} steps of v-prediction, {facts['hours']} hours on two shared CPU cores",
        "  (`configs/training/bundled.yaml`)",
        f"- Autoencoder: principal components of 4×4 patches{_listed(start.get('autoencoder', {}))}",
        *_origins(facts.get("origins")),
        f"- Refiner of the autoencoder{_listed(refiner)}",
        f"- Text encoder, share of sentences read right{_listed(start.get('text_encoder', {}))}",
        f"- Image encoder, share of images read right{_listed(start.get('image_encoder', {}))}",
        "- Licence: that of the package; the data was made by the package",
        "",
        "Use 8 to 12 DDIM steps, guidance 2, no FreeInit.",
        "",
        "## Mean loss up to step",
        "",
        "| step | loss | learning rate there |",
        "|---|---|---|",
        *(f"| {step} | {part['loss']} | {part['learning_rate']:g} |" for step, part in facts["losses"].items()),
        "",
        limits,
    ]
    if facts.get("evaluation"):
        lines += ["## Evaluation", "", "| | |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in facts["evaluation"].items()]
        lines.append("")
    return "\n".join(lines)


def _origins(facts: Mapping[str, Any] | None) -> list[str]:
    if facts is None:
        return []
    return [f"- Origins: the UNet goes on, with a head that finds every pixel in the first images{_listed(facts)}"]


def _listed(facts: Mapping[str, Any]) -> str:
    """``: name value, …``, nested facts flattened; ``: none`` when there are none."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        flat |= {f"{name} {key}": each for key, each in value.items()} if isinstance(value, Mapping) else {name: value}
    return ": " + (", ".join(f"{name.replace('_', ' ')} {value}" for name, value in flat.items()) or "none")
