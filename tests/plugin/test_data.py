"""The data module: recorded cameras, order and size of the images, clear errors."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from animate3d.errors import InputError
from animate3d.frames import save_frames
from animate3d.studio import api

from .conftest import FRAMES, SIZE, Toy

NAMES = {"c2w4x4": "c2w", "camera_position": "camera_positions", "camera_distance": "camera_distances"} | {
    "azimuth_deg": "azimuth",
    "elevation_deg": "elevation",
}


@pytest.fixture(scope="module")
def recorded(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "cameras" / "cases.safetensors")


@pytest.fixture(scope="module")
def cases(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "cameras" / "cases.json").read_text())


@pytest.fixture(scope="module")
def orbits(plugin: ModuleType) -> ModuleType:
    return plugin.data.orbits


def assert_recorded(batch: dict[str, Any], recorded: dict[str, Tensor], case: str) -> None:
    found = {key.removeprefix(f"{case}."): value for key, value in recorded.items() if key.startswith(f"{case}.")}
    assert found
    for name, value in found.items():
        torch.testing.assert_close(
            batch[NAMES.get(name, name)], value, atol=2e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


def stack(items: Any) -> dict[str, Tensor]:
    rows = [items[i] for i in range(len(items))]
    return {key: torch.stack([row[key] for row in rows]) for key, value in rows[0].items() if isinstance(value, Tensor)}


@pytest.mark.parametrize("case", ["simple_multi_image.cfg_refine", "simple_multi_image.cfg_other"])
def test_cameras_of_the_videos_are_the_recorded_ones(
    plugin: ModuleType, recorded: dict[str, Tensor], cases: dict[str, Any], case: str
) -> None:
    values = {key: value for key, value in cases[case].items() if key != "note"}
    config = plugin.data.multi_image.MultiImageConfig(**values)
    assert_recorded(plugin.data.multi_image.reconstruction_batch(config), recorded, case)


@pytest.mark.parametrize("case", ["default_testset", "custom"])
def test_cameras_of_the_test_set_are_the_recorded_ones(
    orbits: ModuleType, recorded: dict[str, Tensor], cases: dict[str, Any], case: str
) -> None:
    values = {key: value for key, value in cases[f"test_dataset.{case}"].items() if key not in ("note", "len")}
    items = orbits.test_items(orbits.OrbitConfig(**values))
    assert len(items) == cases[f"test_dataset.{case}"]["len"]
    assert_recorded(stack(items), recorded, f"test_dataset.{case}")


def test_items_of_the_test_set_are_named_by_elevation_and_azimuth(orbits: ModuleType) -> None:
    config = orbits.OrbitConfig(total_frame=2, eval_elevation_deg=[0.0, 9.0], eval_azimuth_deg=[[0.0], [1.0, 2.0]])
    items = orbits.test_items(config)
    assert items.labels == [name for name in ("elv_0_azi_0", "elv_1_azi_0", "elv_1_azi_1") for _ in range(2)]
    assert items[5]["elevation"] == 9.0 and items[5]["azimuth"] == 2.0 and items[5]["index"] == 5


def test_validation_turns_around_smoothly_where_the_original_jumps(
    orbits: ModuleType, recorded: dict[str, Tensor]
) -> None:
    items = stack(orbits.validation_items(orbits.OrbitConfig(n_val_views=8, total_frame=2)))
    torch.testing.assert_close(items["timestamps"], recorded["hybrid_val.timestamps"])
    torch.testing.assert_close(items["fovy"], recorded["hybrid_val.fovy"])
    assert items["azimuth"].tolist() == [45.0 * i for i in range(8)]
    # The recorded camera of item i is (i // F) * F: every F-th of ours.
    torch.testing.assert_close(items["c2w"][::2], recorded["hybrid_val.c2w"][::2], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(items["c2w"][1], recorded["hybrid_val.c2w"][1])


@pytest.mark.parametrize("case", ["random_train.0", "random_train.1", "random_train.2"])
def test_random_orbits_have_the_recorded_form_and_matrices(
    orbits: ModuleType, recorded: dict[str, Tensor], cases: dict[str, Any], case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from animate3d.orbits import OrbitDraws

    draws = [recorded[key] for key in sorted(k for k in recorded if k.startswith(f"{case}.draw."))]
    monkeypatch.setattr(orbits, "draw_orbits", lambda *_: OrbitDraws(bool(draws[0] < 0.5), *draws[1:9]))
    config = orbits.OrbitConfig(batch_size=16, total_frame=4, width=16, height=16, **cases[case]["ranges"])
    batch = orbits.RandomOrbits(config).draw()
    expected = {key: value for key, value in recorded.items() if ".draw." not in key}
    assert_recorded(batch, expected, case)


def module(plugin: ModuleType, **values: Any) -> Any:
    values = {"width": SIZE, "height": SIZE, "total_frame": FRAMES, **values}
    return api.find("simple-multi-image-datamodule")(values)


def test_batches_hold_all_views_and_frames_view_major(plugin: ModuleType, toy: Toy) -> None:
    data = module(plugin, image_root=str(toy.frames))
    data.setup("fit")
    first, second = itertools.islice(iter(data.train_dataloader()), 2)
    assert first["rgb"].shape == (4 * FRAMES, SIZE, SIZE, 3)
    assert set(first["mask"].unique().tolist()) == {0.0, 1.0}
    image = np.asarray(Image.open(toy.frames / f"{2 * FRAMES + 1}.png"))
    torch.testing.assert_close(first["rgb"][2 * FRAMES + 1], torch.from_numpy(image[..., :3] / 255).float())
    assert first["azimuth"].tolist() == [a for a in (0.0, 90.0, 180.0, 270.0) for _ in range(FRAMES)]
    assert first["timestamps"].view(4, FRAMES)[0].tolist() == pytest.approx([-1.0, -1 / 3, 1 / 3, 1.0])
    assert second["rgb"].data_ptr() == first["rgb"].data_ptr(), "images are prepared once"
    assert "random_camera" not in first


def test_refinement_gets_a_new_orbit_in_every_batch(plugin: ModuleType, toy: Toy) -> None:
    orbit = {"batch_size": 4 * FRAMES, "total_frame": FRAMES, "width": 8, "height": 8}
    data = module(plugin, image_root=str(toy.frames), use_random_camera=True, random_camera=orbit)
    data.setup("fit")
    first, second = (batch["random_camera"] for batch in itertools.islice(iter(data.train_dataloader()), 2))
    assert first["c2w"].shape == (4 * FRAMES, 4, 4) and first["height"] == 8
    assert not torch.equal(first["c2w"], second["c2w"])


def test_images_are_resized_once_to_the_size_of_the_config(plugin: ModuleType, toy: Toy) -> None:
    data = module(plugin, image_root=str(toy.frames), width=SIZE // 2, height=SIZE // 2)
    data.setup("fit")
    assert data.train_dataset.images["rgb"].shape[1:3] == (SIZE // 2, SIZE // 2)


def test_testing_needs_no_images(plugin: ModuleType) -> None:
    data = module(plugin, image_root="not/there")
    data.setup("test")
    data.setup("validate")
    assert next(iter(data.test_dataloader()))["c2w"].shape == (16, 4, 4)


def test_missing_folder_of_frames(plugin: ModuleType) -> None:
    with pytest.raises(InputError, match=r"not/there does not exist: set data.image_root"):
        module(plugin, image_root="not/there").setup("fit")


def test_wrong_number_of_frames(plugin: ModuleType, toy: Toy) -> None:
    with pytest.raises(InputError, match="holds 16 numbered PNG images; 4 views of 5 frames need 20"):
        module(plugin, image_root=str(toy.frames), total_frame=5).setup("fit")


def test_frames_without_alpha(plugin: ModuleType, tmp_path: Path) -> None:
    save_frames(tmp_path / "rgb", np.zeros((4, FRAMES, SIZE, SIZE, 3), np.uint8))
    with pytest.raises(InputError, match="alpha"):
        module(plugin, image_root=str(tmp_path / "rgb")).setup("fit")


def test_a_size_of_another_shape_would_stretch(plugin: ModuleType, toy: Toy) -> None:
    with pytest.raises(InputError, match="would stretch"):
        module(plugin, image_root=str(toy.frames), width=SIZE * 2).setup("fit")


def test_one_azimuth_for_every_view(plugin: ModuleType, tmp_path: Path) -> None:
    save_frames(tmp_path / "two", np.zeros((2, FRAMES, SIZE, SIZE, 4), np.uint8))
    with pytest.raises(InputError, match=r"default_azimuth_deg has 4 azimuths for data\.n_view = 2"):
        module(plugin, image_root=str(tmp_path / "two"), n_view=2).setup("fit")


def test_a_random_batch_is_whole_orbits(orbits: ModuleType) -> None:
    with pytest.raises(InputError, match="multiple of n_view"):
        orbits.RandomOrbits(orbits.OrbitConfig(batch_size=60))


def test_one_row_of_azimuths_for_every_elevation(orbits: ModuleType) -> None:
    with pytest.raises(InputError, match="one row of azimuths"):
        orbits.test_items(orbits.OrbitConfig(eval_elevation_deg=[15.0]))


def test_depth_images_are_refused(plugin: ModuleType) -> None:
    with pytest.raises(InputError, match="requires_depth"):
        module(plugin, requires_depth=True)


def test_unknown_keys_are_refused(plugin: ModuleType) -> None:
    with pytest.raises((TypeError, InputError), match="widht"):
        module(plugin, widht=3)
