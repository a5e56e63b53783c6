#!/usr/bin/env bash
# The four documented steps for one Gaussian model, in order; every command is printed before it runs.
#
#   scripts/animate_gaussians.sh OBJECT_NAME PROMPT
#   scripts/animate_gaussians.sh butterfly "A glowing butterfly is flying."
#
# The object is DATA/pretrained_gaussian/OBJECT_NAME.ply, its videos are DATA/tracking_rgba_images/OBJECT_NAME/{v*F+f}.png.
# Settings are environment variables:
#   DATA=data/animate3d/testset    where the objects are
#   MODEL=FILE.ply FRAMES_DIR=DIR  in place of the two paths below DATA
#   PLACEMENT=FILE.json            a placement file for models that are not made for these cameras (docs/gaussians.md)
#   WEIGHTS=weights/animate3d      a converted model folder, in place of the released parts (docs/mvvdm.md)
#   STEPS="1 2"                    only these steps (1 recon, 2 recon_vis, 3 refine, 4 refine_testset)
#   PRESET=tiny                    small sizes, to try the path on any machine (with WEIGHTS from python -m animate3d.mvvdm.tiny)
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: scripts/animate_gaussians.sh OBJECT_NAME PROMPT" >&2
    exit 2
fi
object_name=$1
prompt=$2

python=${PYTHON:-python}
gpu=${GPU:-0}
data=${DATA:-data/animate3d/testset}
model=${MODEL:-$data/pretrained_gaussian/$object_name.ply}
images=${FRAMES_DIR:-$data/tracking_rgba_images/$object_name}
steps=${STEPS:-1 2 3 4}
weights=${WEIGHTS:-}
checkpoint=${CHECKPOINT:-pretrained_models/animate3d_motion_modules.ckpt}
frames=${FRAMES:-16}
recon_steps=${RECON_STEPS:-800}
refine_steps=${REFINE_STEPS:-200}
outputs=outputs/animate3d
configs=custom/threestudio-animate3d/configs

recon_flags=()
refine_flags=()
show_flags=()
if [ "${PRESET:-full}" = tiny ]; then
    recon_steps=${RECON_STEPS:-10}
    refine_steps=${REFINE_STEPS:-2}
    show_flags=(data.random_camera.eval_height=64 data.random_camera.eval_width=64)
    recon_flags=(data.width=64 data.height=64 trainer.limit_val_batches=0)
    refine_flags=(data.width=64 data.height=64 data.random_camera.width=64 data.random_camera.height=64 trainer.limit_val_batches=0)
fi
if [ -n "$weights" ]; then
    refine_flags+=(system.guidance.pretrained_model_name_or_path="$weights" system.prompt_processor.pretrained_model_name_or_path="$weights")
elif [ "$checkpoint" != pretrained_models/animate3d_motion_modules.ckpt ]; then
    refine_flags+=(system.guidance.pretrained_unet_path="$checkpoint")
fi

fail() {
    echo "error: $1" >&2
    exit 1
}

wants() {
    case " $steps " in *" $1 "*) ;; *) return 1 ;; esac
}

for step in $steps; do
    case $step in 1 | 2 | 3 | 4) ;; *) fail "STEPS holds '$step'; the steps are 1 2 3 4." ;; esac
done
[ -f launch.py ] || fail "run this script in the folder that holds launch.py."
[ -f "$model" ] || fail "there is no Gaussian model $model; put the test data below $data (see docs/evaluation.md) or set MODEL=FILE.ply."
if wants 1; then
    [ -d "$images" ] || fail "there is no folder of frames $images; put the test data below $data (see docs/evaluation.md) or set FRAMES_DIR=DIR."
    count=$(find "$images" -maxdepth 1 -name '[0-9]*.png' | wc -l)
    [ "$count" -eq $((4 * frames)) ] || fail "$images holds $count numbered PNG images; 4 views of $frames frames need $((4 * frames)) (FRAMES=N sets the number of frames)."
fi
if wants 3; then
    if [ -n "$weights" ]; then
        [ -d "$weights" ] || fail "the folder of weights $weights does not exist (animate3d convert-weights makes it)."
    else
        [ -f "$checkpoint" ] || fail "step 3 needs the video model and $checkpoint does not exist; get it (docs/mvvdm.md), set WEIGHTS=DIR, or leave the step out with STEPS=\"1 2\"."
    fi
fi

model_flags=(system.geometry.geometry_convert_from="$model")
if [ -n "${PLACEMENT:-}" ]; then
    [ -f "$PLACEMENT" ] || fail "the placement file $PLACEMENT does not exist."
    model_flags+=(system.geometry.load_ply_cfg.placement="$PLACEMENT")
fi
sizes=(data.total_frame="$frames" system.n_frame="$frames" data.random_camera.total_frame="$frames")
recon=$outputs/recon/$object_name/ckpts/epoch=0-step=$recon_steps.ckpt
refined=$outputs/refine/$object_name/ckpts/epoch=0-step=$refine_steps.ckpt

run() {
    printf '\n+'
    printf ' %q' "$@"
    printf '\n'
    "$@"
}

launch() {
    local config=$1 mode=$2
    shift 2
    run "$python" launch.py --config "$configs/$config.yaml" "$mode" --gpu "$gpu" tag="$object_name" \
        system.prompt_processor.prompt="$prompt" "${model_flags[@]}" "${sizes[@]}" "$@"
}

# Step 1: motion reconstruction
if wants 1; then
    launch motion_recon_frame_16 --train data.image_root="$images" trainer.max_steps="$recon_steps" \
        ${recon_flags[@]+"${recon_flags[@]}"}
fi

# Step 2: its four views, which are the targets of step 3
if wants 2; then
    [ -f "$recon" ] || fail "there is no reconstruction $recon; run step 1 first."
    launch visualize_four_view_frame_16 --test name=recon_vis data.image_root="$images" resume="$recon" \
        ${show_flags[@]+"${show_flags[@]}"}
fi

# Step 3: refinement with the video model
if wants 3; then
    [ -f "$recon" ] || fail "there is no reconstruction $recon; run step 1 first."
    [ -d "$outputs/recon_vis/$object_name/save/images" ] || fail "there are no renders $outputs/recon_vis/$object_name/save/images; run step 2 first."
    launch refine_frame_16 --train data.image_root="$outputs/recon_vis/$object_name/save/images" system.weights="$recon" \
        trainer.max_steps="$refine_steps" data.random_camera.batch_size=$((4 * frames)) ${refine_flags[@]+"${refine_flags[@]}"}
fi

# Step 4: the test cameras
if wants 4; then
    [ -f "$refined" ] || fail "there is no refined model $refined; run step 3 first."
    launch visualize_testset_frame_16 --test name=refine_testset data.image_root="$images" resume="$refined" \
        ${show_flags[@]+"${show_flags[@]}"}
    echo
    echo "test renders: $outputs/refine_testset/$object_name/save/images"
fi
