#!/bin/sh
# Make a virtual environment and install the project into it: tools/venv.sh DIR PYTHON EXTRAS
# Uses uv where the package index has it (ten times faster), pip where it has not.
set -eu
dir=$1 python=$2 extras=$3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "resonate-faas needs Python 3.11 or newer; $python is $("$python" --version 2>&1). Try: make PYTHON=python3.12 ..." >&2
    exit 1
}
[ -x "$dir/bin/python" ] || "$python" -m venv "$dir"
if "$dir/bin/python" -m pip install --quiet "uv>=0.5" 2>/dev/null; then
    exec "$dir/bin/python" -m uv pip install --quiet --python "$dir/bin/python" --constraint constraints.txt --editable ".[$extras]"
fi
exec "$dir/bin/python" -m pip install --quiet --constraint constraints.txt --editable ".[$extras]"
