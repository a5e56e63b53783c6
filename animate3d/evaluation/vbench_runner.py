"""Measures the videos of this folder with VBench. A program of its own: it needs VBench's environment, not ours.

    python run_vbench.py [--weights ~/.cache/vbench] [--device cuda]

Reads ``videos.json`` of this folder and writes ``results.json``. Nothing is downloaded: a dimension whose weights are
missing is left out, with the reason. Written against vbench 0.1.5 from the package index; Python 3.9 and newer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

Items = list[dict[str, str]]
Found = list[dict[str, Any]]  # "video_path" and "video_results" of every video

HERE = os.path.dirname(os.path.abspath(__file__))

# Where VBench itself keeps weights, below $VBENCH_CACHE_DIR or ~/.cache/vbench.
WEIGHTS = {
    "i2v_subject": ("dino_model/facebookresearch_dino_main/hubconf.py", "dino_model/dino_vitbase16_pretrain.pth"),
    "motion_smoothness": ("amt_model/amt-s.pth",),
    "dynamic_degree": ("raft_model/models/raft-things.pth",),
    "aesthetic_quality": ("clip_model/ViT-L-14.pt", "aesthetic_model/emb_reader/sa_0_4_vit_l_14_linear.pth"),
}


def missing_weights(dimension: str, folder: str) -> list[str]:
    """Files of a dimension that are not in the folder of weights."""
    return [name for name in WEIGHTS[dimension] if not os.path.isfile(os.path.join(folder, *name.split("/")))]


def i2v_subject(items: Items, weights: str, device: str) -> Found:
    """DINO similarity of the frames with the condition image and with each other, for each video."""
    import torch
    from vbench2_beta_i2v.i2v_subject import i2v_subject as compute

    repository, parameters = (os.path.join(weights, *part.split("/")) for part in WEIGHTS["i2v_subject"])
    # VBench's own loading asks the hub for the parameters even in its local mode.
    model = torch.hub.load(os.path.dirname(repository), "dino_vitb16", source="local", pretrained=False)
    model.load_state_dict(torch.load(parameters, map_location="cpu"))
    pairs = [(item["image"], item["video"]) for item in items]
    return compute(model.to(device).eval(), pairs, device)[1]


def motion_smoothness(items: Items, weights: str, device: str) -> Found:
    """AMT: how well every second frame is interpolated from its neighbours."""
    import vbench
    from vbench.motion_smoothness import compute_motion_smoothness

    config = os.path.join(os.path.dirname(vbench.__file__), "third_party", "amt", "cfgs", "AMT-S.yaml")
    settings = {"config": config, "ckpt": os.path.join(weights, "amt_model", "amt-s.pth")}
    return _compute(compute_motion_smoothness, "motion_smoothness", items, device, settings)


def dynamic_degree(items: Items, weights: str, device: str) -> Found:
    """RAFT: whether the largest flows are large in enough frames (yes or no for each video)."""
    from vbench.dynamic_degree import compute_dynamic_degree

    settings = {"model": os.path.join(weights, "raft_model", "models", "raft-things.pth")}
    return _compute(compute_dynamic_degree, "dynamic_degree", items, device, settings)


def aesthetic_quality(items: Items, weights: str, device: str) -> Found:
    """LAION's predictor on CLIP features, over 10."""
    from vbench.aesthetic_quality import compute_aesthetic_quality

    settings = [
        os.path.join(weights, "clip_model", "ViT-L-14.pt"),
        os.path.join(weights, "aesthetic_model", "emb_reader"),
    ]
    return _compute(compute_aesthetic_quality, "aesthetic_quality", items, device, settings)


def _compute(function: Callable[..., Any], dimension: str, items: Items, device: str, settings: Any) -> Found:
    """Call one of VBench's functions, which read the list of videos from a file."""
    entries = [{"prompt_en": i["prompt"], "dimension": [dimension], "video_list": [i["video"]]} for i in items]
    handle, path = tempfile.mkstemp(suffix=".json")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(entries, file)
        return function(path, device, settings)[1]
    finally:
        os.unlink(path)


def main() -> int:
    """Command line."""
    default = os.environ.get("VBENCH_CACHE_DIR") or os.path.join(os.path.expanduser("~"), ".cache", "vbench")
    parser = argparse.ArgumentParser(description="Measure the videos of this folder with VBench.")
    parser.add_argument("--folder", default=HERE, help="holds videos.json (default: where this program is)")
    parser.add_argument("--weights", default=default, help="VBench's weights (default %(default)s)")
    parser.add_argument("--device", help="default: cuda where there is one")
    options = parser.parse_args()
    folder, weights = os.path.abspath(options.folder), os.path.abspath(os.path.expanduser(options.weights))
    with open(os.path.join(folder, "videos.json")) as file:
        listed = json.load(file)
    items = [
        {**item, "video": os.path.join(folder, item["video"]), "image": os.path.join(folder, item["image"])}
        for item in listed["videos"]
    ]
    results: dict[str, Any] = {"key": listed["key"], "values": {}, "reasons": {}}
    for measure in (i2v_subject, motion_smoothness, dynamic_degree, aesthetic_quality):
        dimension = measure.__name__
        missing = missing_weights(dimension, weights)
        if missing:
            results["reasons"][dimension] = "weights missing in {}: {}".format(weights, ", ".join(missing))
            continue
        try:
            if options.device is None:
                import torch

                options.device = "cuda" if torch.cuda.is_available() else "cpu"
            found = measure(items, weights, options.device)
        except Exception as error:  # one dimension that does not run here leaves the others standing
            results["reasons"][dimension] = "{}: {}".format(type(error).__name__, str(error).strip().split("\n")[0])
            continue
        results["values"][dimension] = {
            os.path.relpath(entry["video_path"], folder).replace(os.sep, "/"): float(entry["video_results"])
            for entry in found
        }
    path = os.path.join(folder, "results.json")
    with open(path + ".part", "w") as file:
        json.dump(results, file, indent=2)
    os.replace(path + ".part", path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
