"""A mesh and a sentence -> an animated file, on a laptop, with the video model that comes with the package.

Makes a dog of the kind that the model knows; put a mesh of your own in its place (docs/bundled_model.md says what the
model knows, and `weights=` names another one). Run it again to continue after an interruption.
"""

from pathlib import Path

import animate3d
from animate3d.creatures import make_creature, save_creature

OUT = Path("outputs/examples/prompt")


def main(out: Path = OUT, **settings: int) -> None:
    """Animate a dog; `settings` are those of `animate3d.animate`, such as steps=20 or seed=1."""
    mesh_file = save_creature(make_creature("dog", seed=7), out / "dog")
    result = animate3d.animate(mesh_file, prompt="a dog is jumping", out=out, formats=("glb",), **settings)
    print(f"{result.files['glb']}: the vertices move by {100 * result.mean_displacement:.1f} % of the dog's size")


if __name__ == "__main__":
    main()
