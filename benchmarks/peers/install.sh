#!/bin/sh
# Usage: install.sh FOLDER. Makes the peers' own environment there: anomalib and its export extras.
# PYTHON names the interpreter (3.11 or newer).
set -eu
[ $# -eq 1 ] || { echo "Usage: $0 FOLDER" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
mkdir -p "$folder"
"${PYTHON:-python3}" -m venv "$folder"
python="$folder/bin/python"
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

echo "Installing anomalib into $folder ..."
"$python" -m pip install --quiet --disable-pip-version-check -c "$here/constraints.txt" anomalib

if ! "$python" -c 'import torchvision' 2>/dev/null; then
  echo "torchvision was not compiled for this torch: declaring its operators."
  cp "$here/torchvision_without_operators.py" "$site/"
  echo 'import torchvision_without_operators' > "$site/torchvision_without_operators.pth"
  "$python" -c 'import torchvision'
fi
"$python" -c 'import anomalib.models' 2>/dev/null  # compiles, and builds matplotlib's font cache once
fit=$("$python" "$here/installed.py")

echo "Installing the export extras ..."
"$python" -m pip install --quiet --disable-pip-version-check -c "$here/constraints.txt" 'anomalib[openvino]' onnxruntime
"$python" -c 'import anomalib.deploy, onnxruntime, openvino' 2>/dev/null
export=$("$python" "$here/installed.py")
printf '{"anomalib": %s, "anomalib with export": %s}\n' "$fit" "$export" | tee "$folder/installed.json"
