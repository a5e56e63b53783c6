"""Losses that plugins take from the host."""

from animate3d.motion.losses import tv_loss as tv_loss
