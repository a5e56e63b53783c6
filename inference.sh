#!/usr/bin/env bash
# bash inference.sh GPU_ID CONFIG_NAME PROMPT IP_IMAGE_ROOT IP_IMAGE_NAME SAVE_NAME [PRETRAINED_UNET_PATH]
# bash inference.sh 0 inference "A lion is attacking." data/vdm/examples/images 051a2a7ea842426f825e128fef3bf92b vdm/inference
set -euo pipefail
if [ "$#" -lt 6 ] || [ "$#" -gt 7 ]; then
  sed -n '2,3s/^# //p' "$0" >&2
  exit 2
fi
gpu=$1 config=$2 prompt=$3 image_root=$4 image_name=$5 save_name=$6
unet=${7:-pretrained_models/animate3d_motion_modules.ckpt}

CUDA_VISIBLE_DEVICES=$gpu exec "${PYTHON:-python}" "$(dirname "$0")/inference.py" \
  --config "configs/inference/$config.yaml" \
  --pretrained_unet_path "$unet" \
  --W 256 --H 256 --L 16 --N 4 \
  --ip_image_root "$image_root" \
  --ip_image_name "$image_name" \
  --prompt "$prompt" \
  --save_name "$save_name"
