from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from animate3d.errors import InputError
from animate3d.mvvdm.model.patch_autoencoder import PatchAutoencoder
from animate3d.mvvdm.pipeline import MultiViewVideoPipeline
from animate3d.mvvdm.tiny import tiny_pipeline


def smooth_images(count: int, size: int = 32) -> Tensor:
    noise = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return nn.functional.avg_pool2d(noise, 5, 1, 2)


@pytest.fixture()
def fitted() -> PatchAutoencoder:
    torch.manual_seed(0)
    autoencoder = PatchAutoencoder(refiner_channels=(8, 8, 4), refiner_layers=1)
    autoencoder.fit(smooth_images(64))
    return autoencoder.eval()


@torch.no_grad()
def round_trip(autoencoder: PatchAutoencoder, images: Tensor) -> Tensor:
    return autoencoder.decode(autoencoder.encode(images).latent_dist.mean).sample


def test_all_components_give_the_image_back() -> None:
    images = smooth_images(16)
    autoencoder = PatchAutoencoder(patch_size=2, latent_channels=12, refiner_channels=())
    assert autoencoder.fit(images) == pytest.approx(1)
    torch.testing.assert_close(round_trip(autoencoder, images), images, atol=1e-4, rtol=0)


def test_kept_components_lose_no_more_than_the_rest_of_the_variance() -> None:
    images = smooth_images(64)
    autoencoder = PatchAutoencoder(refiner_channels=())
    kept = autoencoder.fit(images)
    centred = images - images.mean(dim=(0, 2, 3), keepdim=True)
    lost = (round_trip(autoencoder, images) - images).square().mean() / centred.square().mean()
    assert float(lost) == pytest.approx(1 - kept, abs=1e-4)


def test_scaled_latents_have_unit_variance_and_no_randomness(fitted: PatchAutoencoder) -> None:
    with torch.no_grad():
        distribution = fitted.encode(smooth_images(64)).latent_dist
    assert distribution.mean.shape == (64, 8, 8, 8)
    assert float((distribution.mean * fitted.config["scaling_factor"]).std()) == pytest.approx(1, abs=1e-3)
    assert not distribution.std.any() and torch.equal(distribution.sample(), distribution.mode())


def test_a_new_refiner_adds_nothing_and_can_learn(fitted: PatchAutoencoder) -> None:
    assert fitted.refiner is not None
    latents = fitted.encode(smooth_images(2)).latent_dist.mean
    assert torch.equal(fitted.decode(latents).sample, fitted.unproject(latents))
    fitted.decode(latents).sample.square().sum().backward()
    assert fitted.refiner.end.weight.grad is not None and fitted.refiner.end.weight.grad.any()


def test_save_and_load(fitted: PatchAutoencoder, tmp_path: Path) -> None:
    fitted.save_pretrained(tmp_path)
    loaded = PatchAutoencoder.from_pretrained(tmp_path)
    assert loaded.config["scaling_factor"] == fitted.config["scaling_factor"]
    assert torch.equal(round_trip(loaded, smooth_images(2)), round_trip(fitted, smooth_images(2)))


def test_stands_in_for_the_autoencoder_of_a_pipeline(fitted: PatchAutoencoder, tmp_path: Path) -> None:
    pipeline = tiny_pipeline(unet={"in_channels": 8, "out_channels": 8})
    pipeline.register_modules(vae=fitted)
    pipeline.save_pretrained(tmp_path)
    loaded = MultiViewVideoPipeline.from_pretrained(tmp_path, local_files_only=True)
    assert isinstance(loaded.vae, PatchAutoencoder)
    assert loaded.vae_scale_factor == 4 and loaded.size_factor == 32
    latents = loaded.encode_images(smooth_images(4))
    assert latents.shape == (4, 8, 8, 8)
    assert loaded.decode_latents(latents[:, :, None]).shape == (4, 1, 3, 32, 32)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="power of two"):
        PatchAutoencoder(patch_size=3, refiner_channels=())
    with pytest.raises(InputError, match="every resolution"):
        PatchAutoencoder(patch_size=4, refiner_channels=(8, 8))
