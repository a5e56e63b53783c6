"""The tables of the bundled model's evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.files import atomic_file

REPORT = "evaluation.md"
_WORST = 5
_COSINES = (-1.0, 0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

Row = dict[str, Any]


def summary(clips: Sequence[Row], animations: Sequence[Row]) -> dict[str, Any]:
    """The figures over all families, by what they are."""
    found: dict[str, Any] = {
        "clips of held-out creatures": len(clips),
        "prompted motion is nearest": _share(clips, "right"),
        "… with a static copy as an answer": _share(clips, "right_or_static"),
        "silhouette IoU": round(_mean(clips, "iou"), 3),
        "motion energy / truth": round(_mean(clips, "energy"), 2),
        "PSNR, dB": round(_mean(clips, "psnr"), 1),
    }
    measured = [row for row in animations if np.isfinite(row["cosine"])]
    if measured:
        found |= {
            "animated meshes": len(measured),
            "cosine of displacements": round(_mean(measured, "cosine"), 2),
            "amplitude / truth": round(_mean(measured, "amplitude"), 2),
        }
    return found


def write_report(out: Path, clips: Sequence[Row], animations: Sequence[Row]) -> Path:
    """Write the tables and pictures of ``evaluation.md``."""
    text = _clips(clips)
    if animations:
        text += "\n" + _animations(animations)
    with atomic_file(out / REPORT) as temporary:
        temporary.write_text(text)
    return out / REPORT


def _clips(rows: Sequence[Row]) -> str:
    lines = [
        f"## Clips of held-out creatures ({len(rows)} cases)",
        "",
        "| family | cases | prompted motion is nearest | … with a static copy as an answer | silhouette IoU | "
        "IoU of a static copy | motion energy / truth | PSNR |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, group in [*_by_family(rows), ("**all**", rows)]:
        chance = _mean(group, lambda row: 1 / row["choices"])
        lines.append(
            f"| {name} | {len(group)} | {_share(group, 'right')} (chance {100 * chance:.0f} %) | "
            f"{_share(group, 'right_or_static')} | {_mean(group, 'iou'):.2f} | {_mean(group, 'static_iou'):.2f} | "
            f"{_mean(group, 'energy'):.2f} | {_mean(group, 'psnr'):.1f} dB |"
        )
    wrong = [row for row in rows if not row["right"]]
    if wrong:
        lines += ["", "Not recognised: " + "; ".join(f"{row['uid']} “{row['prompt']}”" for row in wrong) + "."]
    return "\n".join(lines) + "\n"


def _animations(rows: Sequence[Row]) -> str:
    measured = [row for row in rows if np.isfinite(row["cosine"])]
    still = f"; in {len(rows) - len(measured)} more nothing moves" if len(rows) > len(measured) else ""
    lines = [
        f"## Animations of held-out creatures ({len(measured)} cases{still})",
        "",
        "| family | cases | cosine of displacements | amplitude / truth | vertex error |",
        "|---|---|---|---|---|",
    ]
    for name, group in [*_by_family(measured), ("**all**", measured)]:
        lines.append(
            f"| {name} | {len(group)} | {_mean(group, 'cosine'):.2f} | {_mean(group, 'amplitude'):.2f} | "
            f"{100 * _mean(group, 'error'):.1f} % |"
        )
    counts, _ = np.histogram([row["cosine"] for row in measured], bins=_COSINES)
    lines += ["", "| cosine | cases |", "|---|---|"]
    for low, high, count in zip(_COSINES[:-1], _COSINES[1:], counts, strict=True):
        lines.append(f"| {low:g} to {high:g} | {count} |")
    lines += ["", f"The worst {_WORST}; above the true motion, below the animated mesh, two views each:", ""]
    for row in sorted(measured, key=lambda row: row["cosine"])[:_WORST]:
        label = f"{row['uid']}, {row['motion']}: cosine {row['cosine']:.2f}, amplitude {row['amplitude']:.2f}"
        lines += [f"{label}", "", f"![{label}]({row['picture']})", ""]
    return "\n".join(lines) + "\n"


def _by_family(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    names = sorted({row["family"] for row in rows})
    return [(name, [row for row in rows if row["family"] == name]) for name in names]


def _mean(rows: Sequence[Row], key: str | Callable[[Row], float]) -> float:
    values = [key(row) if callable(key) else float(row[key]) for row in rows]
    return float(np.mean(values)) if values else float("nan")


def _share(rows: Sequence[Row], key: str) -> str:
    right = sum(bool(row[key]) for row in rows)
    return f"{right}/{len(rows)} ({100 * right / max(len(rows), 1):.0f} %)"
