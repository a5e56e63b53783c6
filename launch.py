"""Train, test or export with a config, with threestudio's flags.

python launch.py --config custom/threestudio-animate3d/configs/motion_recon_frame_16.yaml --train --gpu 0 \
    tag=butterfly system.prompt_processor.prompt="A glowing butterfly is flying."
"""

from animate3d.errors import run_command
from animate3d.studio.launch import main

if __name__ == "__main__":
    run_command(main)
