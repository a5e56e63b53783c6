#!/usr/bin/env bash
# bash train.sh MACHINE_NUM GPU_PER_MACHINE CONFIG_NAME [key=value …]
# bash train.sh 1 2 train                                  # one machine with two GPUs -> outputs/vdm/train
# bash train.sh 1 2 tiny                                   # a smoke run, also without GPUs
# MASTER_ADDR=node0 bash train.sh 4 8 train                # the same command on each of four machines
# ACCELERATE_CONFIG=configs/training/fsdp.yaml bash train.sh 1 8 train      # through accelerate launch, sharded
set -euo pipefail
if [ "$#" -lt 3 ]; then
  sed -n '2,6s/^# //p' "$0" >&2
  exit 2
fi
machines=$1 gpus=$2 name=$3
shift 3
here=$(dirname "$0")
python=${PYTHON:-$([ -x "$here/.venv/bin/python" ] && echo "$here/.venv/bin/python" || echo python)}
case $name in
  *.yaml | *.yml) config=$name ;;
  *) config=configs/training/$name.yaml ;;
esac
if [ "$machines" -gt 1 ] && [ -z "${MASTER_ADDR:-}" ]; then
  echo "error: $machines machines need MASTER_ADDR, the name of the first one, on all of them." >&2
  exit 2
fi
address=${MASTER_ADDR:-127.0.0.1} port=${MASTER_PORT:-29500}
# One thread per process unless told otherwise: several processes with a thread per core slow each other down.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

if [ "$name" = tiny ] && [ ! -e outputs/vdm/example/clips.json ]; then
  "$python" -m animate3d.mvvdm.training.example outputs/vdm/example
fi

train=("$here/train.py" --config "$config" "$@")
if [ "$machines" -eq 1 ] && { [ "$gpus" -gt 1 ] || [ -n "${ACCELERATE_CONFIG:-}" ]; }; then
  "$python" "${train[@]}" --check  # what is wrong is one sentence here; among several processes it drowns
fi
if [ -n "${ACCELERATE_CONFIG:-}" ]; then
  exec "$python" -m accelerate.commands.launch --config_file "$ACCELERATE_CONFIG" \
    --num_machines "$machines" --num_processes "$((machines * gpus))" \
    --machine_rank "${NODE_RANK:-${SLURM_NODEID:-0}}" --main_process_ip "$address" --main_process_port "$port" \
    "${train[@]}"
elif [ "$machines" -eq 1 ] && [ "$gpus" -eq 1 ]; then
  exec "$python" "${train[@]}"
elif [ "$machines" -eq 1 ]; then  # any free port: several trainings may run on a machine
  exec "$python" -m torch.distributed.run --standalone --nproc-per-node "$gpus" "${train[@]}"
else
  exec "$python" -m torch.distributed.run --nnodes "$machines" --nproc-per-node "$gpus" \
    --rdzv-backend c10d --rdzv-endpoint "$address:$port" --rdzv-id "${SLURM_JOB_ID:-animate3d}" "${train[@]}"
fi
