"""One process of `test_training_processes`: a step of a training, whose gradients are written to a file.

Arguments: mode (plain or sharded), file, config, overrides.
"""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.distributed.fsdp import fully_shard

from animate3d.mvvdm.training import checkpoints
from animate3d.mvvdm.training.config import load_config
from animate3d.mvvdm.training.ema import MovingAverage
from animate3d.mvvdm.training.loop import Trainer
from animate3d.mvvdm.training.trainable import RECOMPUTED


class Sharded(Trainer):
    """As accelerate shards on GPUs: every block, then the rest. accelerate itself does not offer it on the CPU."""

    def _shard(self) -> None:
        unet: nn.Module = self.pipeline.unet
        for module in [module for module in unet.modules() if isinstance(module, RECOMPUTED)]:
            fully_shard(module)
        fully_shard(unet)
        self.model = unet
        self.optimizer.optimizer = torch.optim.AdamW(
            [parameter for parameter in unet.parameters() if parameter.requires_grad], lr=self.config.learning_rate
        )
        if self.config.ema_decay:
            self.average = MovingAverage(unet, self.config.ema_decay)

    def _prepare_model(self) -> None:
        prepare = self.accelerator.prepare
        self.accelerator.prepare = lambda model, optimizer: (model, prepare(optimizer))  # type: ignore[method-assign]
        super()._prepare_model()
        self._shard()


def main() -> None:
    """Run."""
    torch.set_num_threads(1)
    mode, path, config, *overrides = sys.argv[1:]
    trainer = (Sharded if mode == "sharded" else Trainer)(load_config(config, overrides))
    optimizer = trainer.optimizer.optimizer
    step = optimizer.step
    gradients: dict[str, torch.Tensor] = {}

    def recorded(*args: object, **kwargs: object) -> object:
        for name, parameter in trainer.pipeline.unet.named_parameters():
            if parameter.grad is not None and name not in gradients:
                gradients[name] = checkpoints.full(parameter.grad).clone()
        return step(*args, **kwargs)

    optimizer.step = recorded  # type: ignore[method-assign]
    trainer.run()
    if trainer.accelerator.is_main_process:
        torch.save(gradients, path)


if __name__ == "__main__":
    main()
