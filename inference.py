"""Generate synchronised videos of an object from its images and a sentence.

python inference.py --pretrained_unet_path pretrained_models/animate3d_motion_modules.ckpt \
    --ip_image_root outputs/animate3d/static_vis/dragon_head/save/images \
    --prompt "a wooden dragon head is roaring" --save_name animate3d/animation_gif
"""

from animate3d.errors import run_command
from animate3d.mvvdm.inference_command import main

if __name__ == "__main__":
    run_command(main)
