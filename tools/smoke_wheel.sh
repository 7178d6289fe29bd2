#!/bin/sh
# Build the wheel, install it into a fresh environment, and use it: tools/smoke_wheel.sh PYTHON
set -eu
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m hatchling build --target wheel --directory "$work/dist" >/dev/null
"$python" -m venv "$work/venv"
"$python" -m uv pip install --quiet --python "$work/venv/bin/python" --constraint constraints.txt "$(ls "$work"/dist/*.whl)[local,cli]"
cd "$work"
"$work/venv/bin/resonate-faas" --version
"$work/venv/bin/resonate-faas" --help >/dev/null
cat > workflows.py <<'PY'
from resonate_faas import Context, Resonate

resonate = Resonate()


@resonate.register
async def double(ctx: Context, n: int) -> int:
    return await ctx.run(lambda: n * 2)
PY
"$work/venv/bin/python" - <<'PY'
from resonate_faas import Invocation
from resonate_faas_local import LocalNode
from workflows import resonate

with LocalNode(resonate, "smoke.db") as node:
    root = node.client.invoke(Invocation(function="double", args=[21], id="smoke"))
    done = node.client.wait(root.id, 20_000)
    assert done is not None and node.client.result(done.promise) == 42, done
PY
"$work/venv/bin/python" -c 'import importlib.resources as r; assert r.files("resonate_faas").joinpath("py.typed").is_file()'
echo "wheel: installs, imports, runs a workflow"
