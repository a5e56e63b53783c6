"""The motion transformer: AnimateDiff's block, told how its tokens are laid out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn

from animate3d.mvvdm.model.attention import Layout


class MotionTransformer(AnimateDiffTransformer3D):
    """Keys and mathematics of diffusers' class; `num_views` is set by the UNet for every call."""

    num_views = 1
    gradient_checkpointing = False
    _gradient_checkpointing_func: Callable[..., Tensor]  # set by diffusers' enable_gradient_checkpointing

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        timestep: Tensor | None = None,
        class_labels: Tensor | None = None,
        num_frames: int = 1,
        cross_attention_kwargs: dict[str, Any] | None = None,
    ) -> Tensor:
        """``[(b v f), c, h, w]`` to the same shape. All other tensors are there for the signature."""
        _, channels, height, width = hidden_states.shape
        layout = Layout(self.num_views, num_frames, height, width)
        frames = hidden_states.unflatten(0, (-1, num_frames))  # [(b v), f, c, h, w]
        # One copy into token order; the norm reads it as a channels-last volume, which moves nothing.
        tokens = frames.permute(0, 3, 4, 1, 2).contiguous()  # [(b v), h, w, f, c]
        tokens = self.norm(tokens.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)
        tokens = self.proj_in(tokens.reshape(-1, num_frames, channels))
        arguments = {"layout": layout}
        for block in self.transformer_blocks:
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                tokens = self._gradient_checkpointing_func(block, tokens, None, None, None, None, arguments)
            else:
                tokens = block(tokens, cross_attention_kwargs=arguments)
        tokens = self.proj_out(tokens).view(-1, height, width, num_frames, channels)
        return (frames + tokens.permute(0, 3, 4, 1, 2)).flatten(0, 1)


class NoMotion(nn.Module):
    """Stands where a block without motion has none: diffusers' blocks expect something there."""

    def forward(self, hidden_states: Tensor, num_frames: int = 1) -> Tensor:
        """``hidden_states`` as they are."""
        return hidden_states
