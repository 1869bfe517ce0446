#!/usr/bin/env bash
# Trains every network of oct_core/models/catalog.py on one folder of scans, fits each one's gate, evaluates it, and prints one table.
# Uses the GPU if there is one.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: ./train_all.sh FOLDER [--prefix NAME] [--data DIR] [--prepare "OPTIONS"] [--device DEVICE] [TRAIN OPTIONS]

FOLDER      scans as CNV/ DME/ DRUSEN/ NORMAL (OCT2017's train/ val/ test/ too), a CSV manifest, or a prepared folder
--prefix    runs are called NAME-vgg16 and so on; the date by default
--data      where to put the prepared scans; data/PREFIX by default
--prepare   options for the preparation, such as "--repool --size 192"
--device    cuda, mps or cpu; by default the best there is
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
[[ $1 != -* ]] || fail "the folder of scans comes first, not $1 (see --help)"
[[ -e $1 ]] || fail "there is no $1"

here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
[[ -x $here/.venv/bin/python && -z ${PYTHON:-} ]] && python=$here/.venv/bin/python
folder=$1
shift
prefix=$(date +%Y-%m-%d)
data=
prepare_text=
train_options=()
device_options=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --prefix | --data | --prepare | --device)
      [[ $# -gt 1 ]] || fail "$1 needs a value (see --help)"
      case $1 in
        --prefix) prefix=$2 ;;
        --data) data=$2 ;;
        --prepare) prepare_text=$2 ;;
        --device) device_options=(--device "$2") ;;
      esac
      shift 2
      ;;
    --prefix=* | --data=* | --prepare=* | --device=*)
      set -- "${1%%=*}" "${1#*=}" "${@:2}"
      ;;
    *)
      train_options+=("$1")
      shift
      ;;
  esac
done
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
"$python" -c "import torch, typer" 2>/dev/null || fail "$python lacks the packages; set them up with the README's first line, or name another with PYTHON=..."

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

runs=()
networks=$("$python" -c "from oct_core.models.catalog import ARCHITECTURES; print(*ARCHITECTURES)")
for architecture in $networks; do
  run=$prefix-$architecture
  "$python" -m oct_core train "$architecture" --data "$data" --run "$run" ${device_options[@]+"${device_options[@]}"} ${train_options[@]+"${train_options[@]}"}
  "$python" -m oct_core gate "$run" --data "$data" ${device_options[@]+"${device_options[@]}"}
  "$python" -m oct_core evaluate "$run" --data "$data" ${device_options[@]+"${device_options[@]}"}
  runs+=("$run")
done
"$python" -m oct_core runs "${runs[@]}"
