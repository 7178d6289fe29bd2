#!/usr/bin/env bash
# Put the function's code together in build/: the sample as it is, lambda_function.py, and this repository with what it needs, for arm64.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
rm -rf build
mkdir build
"${PYTHON:-python3}" -m pip install --quiet --target build --implementation cp --python-version 3.13 \
  --platform manylinux2014_aarch64 --only-binary=:all: "$root[aws]"
cp "$root"/samples/countdown/workflows.py lambda_function.py build/
