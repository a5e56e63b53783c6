"""One process of `test_training_processes`: a step of a training, whose gradients are written to a file.

Arguments: mode (plain or sharded), file, config, overrides.
"""

from __future__ import annotations

import sys

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from animate3d.mvvdm.training import checkpoints
from animate3d.mvvdm.training.config import load_config
from animate3d.mvvdm.training.loop import Trainer


def let_accelerate_shard() -> None:
    """accelerate shards as ``accelerate launch`` says, on CPUs too: it does so only where it thinks there are GPUs."""
    begin = PartialState.__init__

    def on_devices(self: PartialState, *args: object, **kwargs: object) -> None:
        begin(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = on_devices  # type: ignore[method-assign]


def main() -> None:
    """Run."""
    torch.set_num_threads(1)
    mode, path, config, *overrides = sys.argv[1:]
    if mode == "sharded":
        let_accelerate_shard()
    trainer = Trainer(load_config(config, overrides))
    assert trainer.sharded == (mode == "sharded")
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
