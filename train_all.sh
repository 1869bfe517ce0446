#!/usr/bin/env bash
# Trains every network of oct_core/models/catalog.py on one folder of scans, fits the gates, evaluates all, and prints one table.
# Uses the GPU if there is one, and several with --gpus.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: ./train_all.sh FOLDER [--prefix NAME] [--data DIR] [--prepare "OPTIONS"] [--device DEVICE] [--gpus N] [TRAIN OPTIONS]
       ./train_all.sh --quick [the same]

FOLDER      scans as CNV/ DME/ DRUSEN/ NORMAL (OCT2017's train/ val/ test/ too), a CSV manifest, or a prepared folder
--prefix    runs are called NAME-vgg16 and so on; the date by default
--data      where to put the prepared scans; data/PREFIX by default
--prepare   options for the preparation, such as "--repool --size 192"
--device    cuda, mps or cpu; by default the best there is
--gpus      train each network on so many GPUs of this machine, through torchrun (more machines: docs/training.md)
--quick     a trial in minutes: random weights, 64 px, 4 epochs; on synthetic scans if no FOLDER is given
All else goes to `python -m oct_core train`, such as --epochs 10 --init random --resume
TEXT
}

fail() {
  echo "error: $*" >&2
  exit 2
}

for argument in "$@"; do
  [[ $argument == -h || $argument == --help ]] && { usage; exit 0; }
done
[[ $# -gt 0 ]] || { usage; exit 2; }
quick=
for argument in "$@"; do
  [[ $argument == --quick ]] && quick=yes
done
folder=
if [[ $1 != -* ]]; then
  folder=$1
  [[ -e $folder ]] || fail "there is no $folder"
  shift
elif [[ -z $quick ]]; then
  fail "the folder of scans comes first, not $1 (see --help)"
fi

here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
[[ -x $here/.venv/bin/python && -z ${PYTHON:-} ]] && python=$here/.venv/bin/python
prefix=$(date +%Y-%m-%d)
data=
prepare_text=
gpus=1
train_options=()
device_options=()
if [[ -n $quick ]]; then  # what the user gives comes later and wins
  prepare_text="--size 64"
  train_options=(--init random --epochs 4 --phantoms 0 --limit 200)
fi
while [[ $# -gt 0 ]]; do
  case $1 in
    --quick) shift ;;
    --prefix | --data | --prepare | --device | --gpus)
      [[ $# -gt 1 ]] || fail "$1 needs a value (see --help)"
      case $1 in
        --prefix) prefix=$2 ;;
        --data) data=$2 ;;
        --prepare) prepare_text=$2 ;;
        --device) device_options=(--device "$2") ;;
        --gpus) gpus=$2 ;;
      esac
      shift 2
      ;;
    --prefix=* | --data=* | --prepare=* | --device=* | --gpus=*)
      set -- "${1%%=*}" "${1#*=}" "${@:2}"
      ;;
    *)
      train_options+=("$1")
      shift
      ;;
  esac
done
[[ $gpus =~ ^[1-9][0-9]*$ ]] || fail "--gpus takes a number of GPUs, not $gpus"
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
"$python" -c "import torch, typer" 2>/dev/null || fail "$python lacks the packages; set them up with the README's first line, or name another with PYTHON=..."

if [[ -z $folder ]]; then
  drawn=${data:-$here/data/$prefix}-phantoms
  folder=$drawn/scans
  if [[ ! -d $folder ]]; then  # whole or not at all
    rm -rf "$drawn.part"
    "$python" -m oct_core phantom --out "$drawn.part" --per-class 20 --height 248 --width 256
    mv "$drawn.part" "$drawn"
  fi
fi
if [[ -f $folder/pack.npy && -f $folder/manifest.csv ]]; then
  data=$folder
else
  data=${data:-$here/data/$prefix}
  # What the prepared scans were made of: another folder under the same name must not be trained on by mistake.
  made_from="$(realpath "$folder") $prepare_text"
  if [[ ! -f $data/pack.npy ]]; then
    read -r -a prepare_options <<<"$prepare_text"
    "$python" -m oct_core prepare "$folder" --out "$data" ${prepare_options[@]+"${prepare_options[@]}"}
    echo "$made_from" >"$data/made_from.txt"
  elif [[ $(cat "$data/made_from.txt" 2>/dev/null) != "$made_from" ]]; then
    fail "$data was not prepared from $folder with these options; give another --prefix or --data, or $data itself as FOLDER"
  fi
fi

train=("$python" -m oct_core train)
if [[ $gpus -gt 1 ]]; then  # after the --, nothing is taken for an option of torchrun's own
  train=("$python" -m torch.distributed.run --standalone --nproc-per-node "$gpus" -m oct_core -- train)
fi
runs=()
networks=$("$python" -c "from oct_core.models.catalog import ARCHITECTURES; print(*ARCHITECTURES)")
for architecture in $networks; do
  run=$prefix-$architecture
  "${train[@]}" "$architecture" --data "$data" --run "$run" ${device_options[@]+"${device_options[@]}"} ${train_options[@]+"${train_options[@]}"} ||
    { status=$?; echo "$run is not trained to its end; the same line with --prefix $prefix --resume goes on where it stopped" >&2; exit "$status"; }
  runs+=("$run")
done
# Each in one process for all runs: what the networks are shown is drawn once.
"$python" -m oct_core gate "${runs[@]}" --data "$data" ${device_options[@]+"${device_options[@]}"}
"$python" -m oct_core evaluate "${runs[@]}" --data "$data" ${device_options[@]+"${device_options[@]}"}
"$python" -m oct_core runs "${runs[@]}"
