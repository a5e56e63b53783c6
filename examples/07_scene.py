"""Two objects in one scene, followed in one set of videos -> a file in which each is a node with a motion of its own.

A scene file says which models there are and where they stand (docs/scenes.md). Here a ball comes down in front of a
flower; both are made on the spot, so the true motion is known.
"""

import json
from pathlib import Path

import numpy as np

import animate3d
from animate3d.cameras import reconstruction_cameras
from animate3d.creatures.creatures import make_creature
from animate3d.frames import save_frames
from animate3d.meshes import save_obj
from animate3d.meshes.scene_file import load_models

OUT = Path("outputs/examples/scene")


def main(out: Path = OUT, frame_count: int = 8, size: int = 256) -> None:
    """Write a scene and videos of it, and let the ball be found again where it went."""
    for family in ("flower", "ball"):
        save_obj(make_creature(family, 1).mesh, out / family)
    place = {"position": [0.9, 0.8, 0.0], "scale": 0.4}
    objects = [{"model": "flower", "placement": {"position": [0, 0, 0]}}, {"model": "ball", "placement": place}]
    (out / "scene.json").write_text(json.dumps(objects))
    scene = load_models([out / "scene.json"])
    truth = np.repeat(scene.vertices[None], frame_count, axis=0)
    truth[:, scene.objects == 1, 1] -= np.linspace(0, 0.8, frame_count)[:, None]
    save_frames(out / "frames", animate3d.render(scene, reconstruction_cameras(4, size), positions=truth))
    result = animate3d.animate(out / "scene.json", frames=out / "frames", out=out, formats=("glb",))
    miss = np.linalg.norm(result.trajectory.positions - truth, axis=-1).mean() / scene.diagonal()
    print(f"{result.files['glb']} with {' and '.join(scene.names)}: off by {100 * miss:.2f} % of the scene's size")


if __name__ == "__main__":
    main()
