"""Train the multi-view video model.

python train.py --config configs/training/train.yaml train_data.info_path=data/vdm/meta/train.json
"""

from animate3d.errors import run_command
from animate3d.mvvdm.training.cli import main

if __name__ == "__main__":
    run_command(main)
