"""The table: CSV for programs, Markdown for people, published figures in both."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from animate3d.evaluation.measure import Measurement
from animate3d.evaluation.metrics import MEASURED, METRICS, VBENCH, Metric
from animate3d.evaluation.published import PUBLISHED, Published
from animate3d.files import atomic_file

_FACTS = ("step", "gaussians", "frames", "size")
_READING = (
    "PSNR, SSIM and IoU are against the given videos, on the object, over the frames after the first one; “standing "
    "still” is what the static model has, which the motion should beat. Warping error is over all twelve test views; "
    "displacement is the mean distance from the static model in % of its diagonal. More motion alone is not better, "
    "and a model that does not move has no warping error and no ARAP energy. docs/evaluation.md has the formulae."
)


def mean_of(measurements: Sequence[Measurement], metric: Metric) -> float:
    """Mean of a metric over the objects of which it was measured; NaN without any."""
    values = [m.values[metric.key] for m in measurements if math.isfinite(m.values.get(metric.key, math.nan))]
    return sum(values) / len(values) if values else math.nan


def write_csv(path: Path, measurements: Sequence[Measurement], stage: str) -> None:
    """One row per object, their mean, and the published figures; the column ``kind`` tells them apart.

    Numbers are in plain units (shares of 1, squared differences of colours in 0..1); what was not measured is empty.
    """
    columns = ["kind", "name", "stage", *(m.key for m in METRICS), *_FACTS, "source", "dataset", "time", "note"]
    rows: list[dict[str, object]] = [
        {
            "kind": "measured",
            "name": m.name,
            "stage": stage,
            **{key: _plain(value) for key, value in m.values.items()},
            **({} if m.failure else {fact: getattr(m, fact) for fact in _FACTS}),
            "note": m.failure,
        }
        for m in measurements
    ]
    means = {metric.key: _plain(mean_of(measurements, metric)) for metric in METRICS}
    rows.append({"kind": "mean", "name": "mean", "stage": stage, **means})
    for figures in PUBLISHED:
        facts = {"source": figures.source, "dataset": figures.dataset, "time": figures.time, "note": figures.note}
        rows.append({"kind": "published", "name": figures.method, **figures.values, **facts})
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_file(path) as temporary:
        temporary.write_text(text.getvalue())


def _plain(value: float) -> object:
    return float(f"{value:.7g}") if math.isfinite(value) else ""


def write_markdown(
    path: Path, measurements: Sequence[Measurement], stage: str, reasons: dict[str, str], pictures: Sequence[Path]
) -> None:
    """Write the table for people, as Markdown; the reasons say by key why a column of `metrics.VBENCH` is empty."""
    done = [m for m in measurements if not m.failure]
    lines = [f"# Evaluation of stage `{stage}`", ""]
    columns = [*MEASURED, *(metric for metric in VBENCH if metric.key not in reasons)]
    rows = [[m.name, *(metric.shown(m.values.get(metric.key)) for metric in columns), *_facts(m)] for m in done]
    if len(done) > 1:
        rows.append(["**mean**", *(metric.shown(mean_of(done, metric)) for metric in columns), "", "", "", ""])
    titles = [metric.title + {"higher": " ↑", "lower": " ↓", "": ""}[metric.better] for metric in columns]
    lines += _table(["object", *titles, *_FACTS], rows) if rows else ["No object could be measured."]
    lines += ["", _READING]
    if reasons:
        lines += ["", *(f"- {metric.title}: {reasons[metric.key]}" for metric in VBENCH if metric.key in reasons)]
    failed = [m for m in measurements if m.failure]
    if failed:
        lines += ["", "## Not measured", "", *(f"- {m.name}: {m.failure}" for m in failed)]
    lines += ["", "## VBench-I2V and published figures", ""]
    measured = [metric.shown(mean_of(done, metric)) for metric in VBENCH]
    own = ["this table", "measured here", f"{len(done)} object{'s' * (len(done) != 1)}", *measured, "", ""]
    lines += _table(
        ["method", "source", "set", *(metric.title for metric in VBENCH), "time", "remark"],
        [own, *(_published_row(figures) for figures in PUBLISHED)],
    )
    lines += [
        "",
        "Later papers measured with protocols of their own, on other objects, so differences of a few hundredths mean "
        "nothing. Dynamic degree alone is not quality: it rises when consistency falls.",
    ]
    for picture in pictures:
        lines += ["", f"![{picture.stem}]({picture.relative_to(path.parent).as_posix()})"]
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


def _facts(measurement: Measurement) -> list[str]:
    return ["–" if (value := getattr(measurement, fact)) is None else str(value) for fact in _FACTS]


def _published_row(figures: Published) -> list[str]:
    values = [metric.shown(figures.values.get(metric.key)) for metric in VBENCH]
    return [figures.method, figures.source, figures.dataset, *values, figures.time, figures.note]


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
