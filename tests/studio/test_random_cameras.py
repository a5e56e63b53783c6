from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from animate3d.errors import InputError
from animate3d.studio import api, ops
from animate3d.studio.random_cameras import RandomCameraDataset


def datamodule(**cfg: object) -> object:
    return api.find("random-camera-datamodule")({"eval_height": 8, "eval_width": 8, "height": 8, "width": 8, **cfg})


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_cameras_are_the_recorded_ones(golden: Path, split: str) -> None:
    recorded = {
        k.split(".", 1)[1]: v
        for k, v in load_file(golden / "cameras" / "cases.safetensors").items()
        if k.startswith(f"upstream_{split}.")
    }
    module = datamodule(
        eval_elevation_deg=float(recorded["elevation"][0]),
        eval_camera_distance=float(recorded["camera_distances"][0]),
        eval_fovy_deg=float(torch.rad2deg(recorded["fovy"][0])),
        **{f"n_{split}_views": len(recorded["azimuth"])},
    )
    module.setup("fit" if split == "val" else "test")
    loader = module.val_dataloader() if split == "val" else module.test_dataloader()
    batches = list(loader)
    for name, expected in recorded.items():
        torch.testing.assert_close(torch.cat([b[name] for b in batches]), expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(
        torch.cat([b["c2w"] for b in batches]), recorded["c2w"]
    )  # a bit more or less moves a pixel by one
    assert batches[0]["height"] == 8 and batches[0]["rays_d"].shape == (1, 8, 8, 3)


def test_three_views_work() -> None:
    # torch.cross without dim would take the wrong axis.
    module = datamodule(n_test_views=3)
    c2w = RandomCameraDataset(module.cfg, "test").views["c2w"]
    torch.testing.assert_close(c2w[:, :3, :3] @ c2w[:, :3, :3].mT, torch.eye(3).expand(3, 3, 3), atol=1e-5, rtol=0)


def test_training_batches_follow_the_milestones() -> None:
    module = datamodule(height=[8, 16], width=[8, 16], batch_size=[2, 1], resolution_milestones=[10])
    module.setup("fit")
    dataset = module.train_dataset
    seen = []
    for step in (0, 9, 10, 11):
        dataset.update_step(0, step)
        batch = dataset.collate(None)
        seen.append((step, batch["height"], len(batch["c2w"])))
    assert seen == [(0, 8, 2), (9, 8, 2), (10, 16, 1), (11, 16, 1)]
    assert batch["rays_d"].shape == (1, 16, 16, 3)
    assert set(batch) == {
        "azimuth", "c2w", "camera_distances", "camera_positions", "elevation", "fovy", "height", "light_positions",
        "mvp_mtx", "proj_mtx", "rays_d", "rays_o", "width",
    }  # fmt: skip
    with pytest.raises(InputError, match=r"data.height has 3 values"):
        datamodule(height=[1, 2, 3], resolution_milestones=[10]).setup("fit")


def test_ranges_that_do_not_widen_begin_at_the_front_for_one_step() -> None:
    # As in the host: the share of the ranges is step / (progressive_until + 1), which is 0 at step 0.
    module = datamodule(batch_size=4, eval_elevation_deg=20.0)
    module.setup("fit")
    dataset = module.train_dataset
    dataset.update_step(0, 0)
    first = dataset.collate(None)
    assert first["azimuth"].tolist() == [0.0] * 4 and first["elevation"].tolist() == pytest.approx([20.0] * 4)
    dataset.update_step(0, 1)
    assert len(set(dataset.collate(None)["azimuth"].tolist())) == 4


def test_a_ray_through_a_pixel_projects_onto_it() -> None:
    view = RandomCameraDataset(datamodule(n_val_views=4).cfg, "val").views
    point = view["rays_o"][1, 2, 5] + 1.7 * view["rays_d"][1, 2, 5]
    clip = view["mvp_mtx"][1] @ torch.cat([point, torch.ones(1)])
    pixel = (clip[:2] / clip[3] + 1) * 4 - 0.5
    torch.testing.assert_close(pixel, torch.tensor([5.0, 2.0]), atol=1e-3, rtol=0)


def test_gaussian_cameras_are_the_recorded_ones(golden: Path) -> None:
    cases = load_file(golden / "cameras" / "cases.safetensors")
    for name, index in (("cfg_refine", 15), ("cfg_other", 63)):
        c2w = cases[f"simple_multi_image.{name}.c2w4x4"][index]
        fovy = cases[f"simple_multi_image.{name}.fovy"][index]
        world_view, full, centre = ops.get_cam_info_gaussian(c2w, fovy, fovy, 0.1, 100)
        prefix = f"cam_info.{name}.{index}."
        torch.testing.assert_close(world_view, cases[prefix + "world_view_transform"], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(full, cases[prefix + "full_proj_transform"], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(centre, cases[prefix + "camera_center"], atol=1e-5, rtol=1e-5)
