#!/usr/bin/env bash
# Trains VGG16, ResNet50 and DenseNet121 on one folder of scans, evaluates each, and prints one table.
# Uses the GPU if there is one.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: ./train_all.sh FOLDER [--prefix NAME] [--data DIR] [--prepare "OPTIONS"] [TRAIN OPTIONS]

FOLDER      scans as CNV/ DME/ DRUSEN/ NORMAL (OCT2017's train/ val/ test/ too), a CSV manifest, or a prepared folder
--prefix    runs are called NAME-vgg16 and so on; the date by default
--data      where to put the prepared scans; data/PREFIX by default
--prepare   options for the preparation, such as "--repool --size 192"
All else goes to `python -m oct_core train`, such as --epochs 10 --init random --resume
TEXT
}

if [[ $# -eq 0 || $1 == -h || $1 == --help ]]; then
  usage
  [[ $# -gt 0 ]] && exit 0 || exit 2
fi

cd "$(dirname "$0")" && here=$PWD && cd - >/dev/null
python=${PYTHON:-python3}
[[ -x $here/.venv/bin/python && -z ${PYTHON:-} ]] && python=$here/.venv/bin/python
folder=$1
shift
prefix=$(date +%Y-%m-%d)
data=
prepare_options=()
train_options=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --prefix) prefix=$2; shift 2 ;;
    --data) data=$2; shift 2 ;;
    --prepare) read -r -a prepare_options <<<"$2"; shift 2 ;;
    *) train_options+=("$1"); shift ;;
  esac
done
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}

if [[ -f $folder/pack.npy && -f $folder/manifest.csv ]]; then
  data=$folder
else
  data=${data:-$here/data/$prefix}
  if [[ ! -f $data/pack.npy ]]; then
    "$python" -m oct_core prepare "$folder" --out "$data" ${prepare_options[@]+"${prepare_options[@]}"}
  fi
fi

for architecture in vgg16 resnet50 densenet121; do
  run=$prefix-$architecture
  "$python" -m oct_core train "$architecture" --data "$data" --run "$run" ${train_options[@]+"${train_options[@]}"}
  "$python" -m oct_core evaluate "$run" --data "$data"
done
"$python" -m oct_core runs
