"""Whether the score by which `--num-samples` chooses goes with the truth, on held-out creatures.

    python benchmarks/sample_scores.py [--cases 7] [--samples 3] [--out DIR]

Every creature is animated from its sentence with several seeds by the bundled model. The score of a sample is the share
of its videos' change that the tracked motion shows; the truth is the cosine of its displacements to the true motion's.
Printed are their rank correlation over all samples, and what choosing by the score gains over the mean sample and
leaves to the best one. Finished samples are kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from animate3d.bundled_model.folder import bundled_model_folder
from animate3d.files import read_json
from animate3d.small_model.acts import family_acts
from animate3d.small_model.animations import ANIMATIONS, animation_rows
from animate3d.small_model.cases import trained_with


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=7, help="creatures, of the seven families in turn")
    parser.add_argument("--samples", type=int, default=3, help="seeds of each")
    parser.add_argument("--out", type=Path, default=Path("outputs/sample_scores"))
    options = parser.parse_args(argv)
    trained = trained_with(bundled_model_folder())
    scores, cosines = [], []
    for seed in range(options.samples):
        out = options.out / str(seed)
        rows = animation_rows(family_acts(options.cases, 0, trained), options.cases, out, None, seed)
        names = [row["uid"] for row in rows]
        records = [read_json(out / ANIMATIONS / name / "run.json")["steps"]["5 tracking"]["facts"] for name in names]
        scores.append([facts["explained"] for facts in records])
        cosines.append([row["cosine"] for row in rows])
        print(
            f"sample {seed}:",
            [(n, round(s, 2), round(c, 2)) for n, s, c in zip(names, scores[-1], cosines[-1], strict=True)],
        )
    report(np.array(scores), np.array(cosines))
    return 0


def report(scores: np.ndarray, cosines: np.ndarray) -> None:
    """Print what scores ``[S, C]`` of samples say about cosines ``[S, C]``."""
    chosen = np.take_along_axis(cosines, scores.argmax(axis=0)[None], axis=0)
    print(f"{scores.shape[1]} creatures, {len(scores)} samples each")
    print(f"rank correlation of score and cosine over all samples: {spearmanr(scores.ravel(), cosines.ravel())[0]:.2f}")
    inside = [spearmanr(s, c)[0] for s, c in zip(scores.T, cosines.T, strict=True)]
    print(f"… among the samples of one creature, mean: {np.nanmean(inside):.2f}")
    print(
        f"cosine: mean sample {cosines.mean():.3f}, chosen {chosen.mean():.3f}, best {cosines.max(axis=0).mean():.3f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
