#!/usr/bin/env bash
# The seven documented steps for one mesh, in order; every command is printed before it runs.
#
#   scripts/animate_mesh.sh ASSET_DIR PROMPT
#   scripts/animate_mesh.sh animate3d/creatures/dragon/assets/little_dragon "a little dragon is flapping its wings"
#
# Settings are environment variables:
#   WEIGHTS=weights/animate3d  a converted model folder, in place of the released parts (docs/mvvdm.md)
#   PRESET=tiny                small sizes, to try the path on any machine (with WEIGHTS from python -m animate3d.mvvdm.tiny)
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: scripts/animate_mesh.sh ASSET_DIR PROMPT" >&2
    exit 2
fi
asset_dir=${1%/}
prompt=$2

python=${PYTHON:-python}
gpu=${GPU:-0}
name=${NAME:-$(basename "$asset_dir")}
views=4
frames=${FRAMES:-16}
size=${SIZE:-256}
suffix=${SUFFIX:-fbx}
weights=${WEIGHTS:-}
checkpoint=${CHECKPOINT:-pretrained_models/animate3d_motion_modules.ckpt}
seed_index=0
fit_steps=${FIT_STEPS:-800}
inference_flags=()
static_flags=()
fit_flags=()
show_flags=()
if [ "${PRESET:-full}" = tiny ]; then
    frames=${FRAMES:-4}
    size=${SIZE:-64}
    fit_steps=${FIT_STEPS:-10}
    inference_flags=(--steps 2 --freeinit_num_iters 0)
    static_flags=(data.eval_height=64 data.eval_width=64)
    show_flags=(data.random_camera.eval_height=64 data.random_camera.eval_width=64)
    fit_flags=(data.random_camera.n_val_views=4 data.random_camera.eval_height=64 data.random_camera.eval_width=64)
fi
if [ -n "$weights" ]; then
    inference_flags+=(--weights "$weights")
else
    inference_flags+=(--pretrained_unet_path "$checkpoint")
fi

gaussians=data/animate3d/mesh/converted_gaussian
static=outputs/animate3d/static_vis/$name/save/images
# The documented name of a result: the seed's index and the first ten words of the prompt.
clip=$seed_index-$(echo "$prompt" | awk '{n = NF < 10 ? NF : 10; for (i = 1; i <= n; i++) printf "%s%s", (i > 1 ? "-" : ""), $i}')
rgba=data/animate3d/mesh/tracking_rgba_images/$clip
placement=system.geometry.load_ply_cfg.placement=$gaussians/$name.placement.json
sizes=(data.total_frame="$frames" system.n_frame="$frames" data.random_camera.total_frame="$frames")
save=outputs/animate3d/mesh_vis/$name/save

run() {
    printf '\n+'
    printf ' %q' "$@"
    printf '\n'
    "$@"
}

# Step 1: one Gaussian per vertex
run "$python" tools/mesh_animation/mesh2gaussian.py \
    --input_obj "$asset_dir" --output_dir "$gaussians" --output_name "$name"

# Step 2: four views
run "$python" launch.py --config custom/threestudio-animate3d/configs/visualize_four_view_static.yaml --test --gpu "$gpu" \
    name=static_vis tag="$name" system.prompt_processor.prompt=visualize \
    system.geometry.geometry_convert_from="$gaussians/$name.ply" "$placement" ${static_flags[@]+"${static_flags[@]}"}

# Step 3: four videos
run "$python" inference.py --config configs/inference/inference.yaml --W "$size" --H "$size" --L "$frames" --N "$views" \
    --ip_image_root "$static" --ip_image_name "" --prompt "$prompt" --save_name animate3d/animation_gif \
    "${inference_flags[@]}"

# Step 4: lossless frames, foreground masks
run "$python" tools/split_gif.py \
    --gif_path "outputs/animate3d/animation_gif/$clip.gif" --output_folder outputs/animate3d/animation_images
run "$python" tools/tracking_anything/custom_inference.py --folder_path "outputs/animate3d/animation_images/$clip" \
    --save_path "$rgba" --template_mask_folder "$static"

# Step 5: the motion
run "$python" launch.py --config custom/threestudio-animate3d/configs/mesh_animation_frame_16.yaml --train --gpu "$gpu" \
    tag="$name" system.prompt_processor.prompt="$prompt" \
    system.geometry.geometry_convert_from="$gaussians/$name.ply" "$placement" \
    data.image_root="$rgba" data.width="$size" data.height="$size" "${sizes[@]}" \
    system.connected_vertices_info_path="$gaussians/$name.json" trainer.max_steps="$fit_steps" \
    ${fit_flags[@]+"${fit_flags[@]}"}

# Step 6: the vertex trajectory
run "$python" launch.py --config custom/threestudio-animate3d/configs/visualize_four_view_frame_16.yaml --test --gpu "$gpu" \
    name=mesh_vis tag="$name" system.prompt_processor.prompt=visualize \
    resume="outputs/animate3d/mesh/$name/ckpts/epoch=0-step=$fit_steps.ckpt" system.save_gaussian_trajectory=True \
    "${sizes[@]}" ${show_flags[@]+"${show_flags[@]}"}

# Step 7: the animated mesh
run "$python" tools/mesh_animation/export_animated_mesh.py --obj_dir "$asset_dir" --npy_dir "$save/mesh_trajectory" \
    --output_path "$save/animate3d_model.$suffix" --placement "$gaussians/$name.placement.json"
echo
echo "animated mesh: $save/animate3d_model.$suffix"
