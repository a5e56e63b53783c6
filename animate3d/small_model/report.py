"""The tables of the bundled model's evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from animate3d.files import atomic_file
from animate3d.small_model.acts import YAW
from animate3d.small_model.rows import Row

REPORT = "evaluation.md"
_WORST = 10


def summary(clips: Sequence[Row], animations: Sequence[Row] = (), adverbs: Sequence[Row] = ()) -> dict[str, Any]:
    """The figures of every group, by what they are."""
    found: dict[str, Any] = {}
    for name, group in _by(clips, "group"):
        found |= {
            f"{name}: prompted motion is nearest": _share(group, "right"),
            f"{name}: … with a static copy as an answer": _share(group, "right_or_static"),
            f"{name}: silhouette IoU": round(_mean(group, "iou"), 3),
            f"{name}: motion energy / truth": round(_mean(group, "energy"), 2),
            f"{name}: PSNR, dB": round(_mean(group, "psnr"), 1),
        }
    for name, group in _by([row for row in animations if row["group"] != YAW], "group"):
        found |= {
            f"{name}, animated: prompted motion is nearest": _share(group, "right_or_static"),
            f"{name}, animated: cosine": round(_mean(group, "cosine"), 3),
            f"{name}, animated: amplitude / truth": round(_mean(group, "amplitude"), 2),
        }
    if spreads := [spread for *_, spread in _facings(animations)]:
        found["largest difference of the cosines at eight facings"] = round(max(spreads), 2)
        found["mean difference of the cosines at eight facings"] = round(float(np.mean(spreads)), 2)
    if adverbs:
        found["adverbs that change what they say"] = _share([word for row in adverbs for word in row["words"]], "right")
    return found


def write_report(out: Path, clips: Sequence[Row], animations: Sequence[Row] = (), adverbs: Sequence[Row] = ()) -> Path:
    """Write the tables of ``evaluation.md``."""
    parts: list[str] = []
    if clips:
        parts += [f"## Clips of held-out objects ({len(clips)} cases)", "", *_clips("group", clips), _mistaken(clips)]
        for key, title in (("move", "By motion"), ("kind", "By kind of object")):
            parts += [f"### {title}", "", *_clips(key, clips), ""]
    if whole := [row for row in animations if row["group"] != YAW]:
        parts += [f"## Animations ({len(whole)} cases)", "", *_animations("group", whole), ""]
        for name, group in _by(whole, "group"):
            parts += [f"### Animations, {name}", "", *_animations("move", group), ""]
            parts += [*_animations("kind", group), "", *_worst(group), ""]
    if turned := list(_facings(animations)):
        parts += ["## Eight facings", "", "| object | lowest cosine | highest | difference |", "|---|---|---|---|"]
        parts += [f"| {name} | {low:.2f} | {high:.2f} | {spread:.2f} |" for name, low, high, spread in turned]
        parts.append("")
    if adverbs:
        parts += ["## Adverbs", "", *_adverbs(adverbs), ""]
    with atomic_file(out / REPORT) as temporary:
        temporary.write_text("\n".join(parts))
    return out / REPORT


def _clips(key: str, rows: Sequence[Row]) -> list[str]:
    lines = [
        f"| {key} | cases | prompted motion is nearest | … with a static copy as an answer | silhouette IoU | "
        "IoU of a static copy | motion energy / truth | PSNR | otherwise taken for |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, group in [*_by(rows, key), ("**all**", rows)]:
        chance = _mean(group, lambda row: 1 / row["choices"])
        lines.append(
            f"| {name} | {len(group)} | {_share(group, 'right')} (chance {100 * chance:.0f} %) | "
            f"{_share(group, 'right_or_static')} | {_mean(group, 'iou'):.2f} | {_mean(group, 'static_iou'):.2f} | "
            f"{_mean(group, 'energy'):.2f} | {_mean(group, 'psnr'):.1f} dB | {_taken_for(group)} |"
        )
    return lines


def _animations(key: str, rows: Sequence[Row]) -> list[str]:
    lines = [
        f"| {key} | cases | cosine of displacements | amplitude / truth | vertex error | prompted motion is nearest in "
        "the videos, a static copy competes | … after tracking | otherwise taken for |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, group in [*_by(rows, key), ("**all**", rows)]:
        lines.append(
            f"| {name} | {len(group)} | {_mean(group, 'cosine'):.2f} | {_mean(group, 'amplitude'):.2f} | "
            f"{100 * _mean(group, 'error'):.1f} % | {_share(group, 'right_or_static')} | "
            f"{_share(group, 'right_after_tracking')} | {_taken_for(group)} |"
        )
    return lines


def _worst(rows: Sequence[Row]) -> list[str]:
    lines = ["The worst; above the true motion, below the animated mesh, two views each:", ""]
    for row in sorted(rows, key=lambda row: np.nan_to_num(row["cosine"], nan=1.0))[:_WORST]:
        said = (
            f"{row['uid']} “{row['prompt']}” (read as “{row['read_as']}”): cosine {row['cosine']:.2f}, "
            f"amplitude {row['amplitude']:.2f}"
        )
        lines += [said, "", f"![{row['uid']}]({row['picture']})", ""]
    return lines


def _facings(rows: Sequence[Row]) -> Iterator[tuple[str, float, float, float]]:
    """Objects that were animated in eight facings: lowest and highest cosine, and their difference."""
    turned = [{**row, "object": row["uid"].rpartition("_")[0]} for row in rows if row["group"] == YAW]
    for name, group in _by(turned, "object"):
        cosines = [row["cosine"] for row in group]
        yield name, min(cosines), max(cosines), max(cosines) - min(cosines)


def _adverbs(rows: Sequence[Row]) -> list[str]:
    words = [word for row in rows for word in row["words"]]
    lines = ["| adverb | cases | changes the clip its way | measured without | with |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {len(group)} | {_share(group, 'right')} | {_mean(group, 'without'):.2f} | "
        f"{_mean(group, 'with'):.2f} |"
        for name, group in [*_by(words, "word"), ("**all**", words)]
    ]
    return lines


def _mistaken(rows: Sequence[Row]) -> str:
    wrong = [row for row in rows if not row["right_or_static"]][:30]
    said = "; ".join(f"{row['uid']} “{row['prompt']}” as {row['taken_for']}" for row in wrong)
    return f"\nNot recognised, for example: {said}.\n" if wrong else ""


def _taken_for(rows: Sequence[Row]) -> str:
    wrong = Counter(row["taken_for"] for row in rows if not row["right_or_static"])
    return ", ".join(f"{name} {count}" for name, count in wrong.most_common(3))


def _by(rows: Sequence[Row], key: str) -> list[tuple[str, list[Row]]]:
    names = sorted({row[key] for row in rows})
    return [(name, [row for row in rows if row[key] == name]) for name in names]


def _mean(rows: Sequence[Row], key: str | Callable[[Row], float]) -> float:
    values = [key(row) if callable(key) else float(row[key]) for row in rows]
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _share(rows: Sequence[Row], key: str) -> str:
    right = sum(bool(row[key]) for row in rows)
    return f"{right}/{len(rows)} ({100 * right / max(len(rows), 1):.0f} %)"
