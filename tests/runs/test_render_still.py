"""The still: what it shows, and the camera that is said to have seen it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animate3d.errors import InputError
from animate3d.meshes import Mesh, Placement, load_mesh, save_obj
from animate3d.runs.render import StillOptions, draw_viewpoint, front_azimuth, render_still
from animate3d.runs.viewpoint import load_viewpoint


@pytest.fixture(scope="module")
def wedge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long along x, its red tip at +z, the front of a y-up file; pointed so that every side differs."""
    corners = [[-2, 0, -1], [2, 0, -1], [2, 1, -1], [-2, 0.5, -1], [0, 0.2, 1]]
    faces = [[0, 2, 1], [0, 3, 2], [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]
    colors = np.array([[0, 0, 1.0]] * 4 + [[1.0, 0, 0]])
    folder = tmp_path_factory.mktemp("wedge")
    return save_obj(Mesh.from_faces(np.array(corners, float), faces, vertex_colors=colors), folder)


@pytest.mark.parametrize("background", ["grey", "white", "green", "transparent"])
def test_the_camera_beside_the_still_draws_the_still(wedge: Path, tmp_path: Path, background: str) -> None:
    options = StillOptions(wedge, tmp_path, view="three-quarter", size="96x64", background=background)
    picture = np.array(Image.open(render_still(options)))
    viewpoint, placement = load_viewpoint(tmp_path / "camera.json")
    assert placement is not None
    again = draw_viewpoint(load_mesh(wedge), placement, viewpoint, shading=True)
    assert picture.shape == (64, 96, 4 if background == "transparent" else 3)
    solid = again[..., 3] == 255
    assert 0.05 < solid.mean() < 0.6
    assert np.array_equal(picture[solid][:, :3], again[solid][:, :3])
    assert len(np.unique(picture[again[..., 3] == 0], axis=0)) == 1


@pytest.mark.parametrize("size", ["120x60", "60x120"])
def test_the_model_fills_the_picture_with_room_for_motion(wedge: Path, tmp_path: Path, size: str) -> None:
    options = StillOptions(wedge, tmp_path, view="25,30", size=size, background="transparent", field_of_view=50)
    alpha = np.array(Image.open(render_still(options)))[..., 3] > 0
    height, width = alpha.shape
    rows, columns = np.nonzero(alpha)
    reach = max(np.abs(2 * (rows + 0.5) / height - 1).max(), np.abs(2 * (columns + 0.5) / width - 1).max())
    assert 0.66 < reach < 0.76


def test_the_front_can_be_said(wedge: Path) -> None:
    placement = load_mesh(wedge).automatic_placement()
    assert front_azimuth(None, placement) == 0
    assert front_azimuth("+z", placement) == pytest.approx(0)
    assert front_azimuth("+x", placement) == pytest.approx(90)
    assert abs(front_azimuth("-z", placement)) == pytest.approx(180)
    with pytest.raises(InputError, match="points up"):
        front_azimuth("+y", placement)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"view": "behind"}, "view `behind` is unknown"),
        ({"view": "10,95"}, "between -90 and 90"),
        ({"size": "1280"}, "size `1280`"),
        ({"size": "4x4"}, "cannot be drawn"),
        ({"background": "blue"}, "background `blue`"),
        ({"field_of_view": 180.0}, "field of view"),
        ({"placement": Placement.from_flags(scale_factor=1e-8)}, "Nothing of .* is in the picture"),
    ],
)
def test_a_wrong_value_is_one_sentence_and_nothing_is_written(
    wedge: Path, tmp_path: Path, given: dict, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        render_still(StillOptions(wedge, tmp_path / "out", **given))
    assert not (tmp_path / "out").exists()
