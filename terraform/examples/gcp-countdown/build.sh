#!/usr/bin/env bash
# Put the function's source together in build/: the sample as it is, main.py, requirements.txt, and the wheel of this repository.
set -euo pipefail
cd "$(dirname "$0")"
root=../../..
rm -rf build
mkdir build
cp "$root"/samples/countdown/workflows.py main.py build/
"${PYTHON:-python3}" -m pip wheel --quiet --no-deps --wheel-dir build "$root"
wheel=$(cd build && ls ./*.whl)
echo "$wheel[gcp]" > build/requirements.txt
