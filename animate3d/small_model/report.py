"""The tables of the bundled model's evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.files import atomic_file

REPORT = "evaluation.md"

Row = dict[str, Any]


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The figures of every group, by what they are."""
    found: dict[str, Any] = {}
    for name, group in _by(rows, "group"):
        found |= {
            f"{name}: prompted motion is nearest": _share(group, "right"),
            f"{name}: … with a static copy as an answer": _share(group, "right_or_static"),
            f"{name}: silhouette IoU": round(_mean(group, "iou"), 3),
            f"{name}: motion energy / truth": round(_mean(group, "energy"), 2),
            f"{name}: PSNR, dB": round(_mean(group, "psnr"), 1),
        }
    return found


def write_report(out: Path, rows: Sequence[Row]) -> Path:
    """Write the tables of ``evaluation.md``."""
    parts = [f"## Clips of held-out objects ({len(rows)} cases)", "", *_table("group", rows), _table_end(rows)]
    for key, title in (("move", "By motion"), ("kind", "By kind of object")):
        parts += [f"### {title}", "", *_table(key, rows), ""]
    with atomic_file(out / REPORT) as temporary:
        temporary.write_text("\n".join(parts))
    return out / REPORT


def _table(key: str, rows: Sequence[Row]) -> list[str]:
    lines = [
        f"| {key} | cases | prompted motion is nearest | … with a static copy as an answer | silhouette IoU | "
        "IoU of a static copy | motion energy / truth | PSNR | otherwise taken for |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, group in [*_by(rows, key), ("**all**", rows)]:
        chance = _mean(group, lambda row: 1 / row["choices"])
        wrong = Counter(row["taken_for"] for row in group if not row["right_or_static"])
        lines.append(
            f"| {name} | {len(group)} | {_share(group, 'right')} (chance {100 * chance:.0f} %) | "
            f"{_share(group, 'right_or_static')} | {_mean(group, 'iou'):.2f} | {_mean(group, 'static_iou'):.2f} | "
            f"{_mean(group, 'energy'):.2f} | {_mean(group, 'psnr'):.1f} dB | "
            f"{', '.join(f'{name} {count}' for name, count in wrong.most_common(3))} |"
        )
    return lines


def _table_end(rows: Sequence[Row]) -> str:
    wrong = [row for row in rows if not row["right_or_static"]][:30]
    said = "; ".join(f"{row['uid']} “{row['prompt']}” as {row['taken_for']}" for row in wrong)
    return f"\nNot recognised, for example: {said}.\n" if wrong else ""


def _by(rows: Sequence[Row], key: str) -> list[tuple[str, list[Row]]]:
    names = sorted({row[key] for row in rows})
    return [(name, [row for row in rows if row[key] == name]) for name in names]


def _mean(rows: Sequence[Row], key: str | Callable[[Row], float]) -> float:
    values = [key(row) if callable(key) else float(row[key]) for row in rows]
    return float(np.mean(values)) if values else float("nan")


def _share(rows: Sequence[Row], key: str) -> str:
    right = sum(bool(row[key]) for row in rows)
    return f"{right}/{len(rows)} ({100 * right / max(len(rows), 1):.0f} %)"
