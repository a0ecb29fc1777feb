#!/usr/bin/env bash
# What only a GPU can tell of ctxbench, in one report: bash reports/gpu/check.sh [REPORT.md]
#
# Needs a CUDA device and a Python (PYTHON, by default python3) from 3.11 on with torch and CUDA, and what
# ctxbench itself needs but for fvcore and thop, which are not asked here. Nothing is installed or downloaded:
# packages that this Python lacks are taken from wheels in .whl/ at the root of the repository, if there are any.
# Takes eight minutes at most. Ends 0 where all is as it should be, 1 where something is not (the report says
# what), 2 where a package is missing, 3 without a GPU.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
report=$(realpath -m "${1:-$root/reports/gpu/report.md}")
python=${PYTHON:-python3}

if ! why=$("$python" -c 'import torch
assert torch.cuda.is_available(), f"torch {torch.__version__} sees no CUDA device"' 2>&1); then
    echo "check.sh: no GPU, nothing checked: ${why##*$'\n'}" >&2
    exit 3
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PYTHONPATH="$root:$root/modules" PYTHONUNBUFFERED=1
if compgen -G "$root/.whl/*.whl" >/dev/null; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --target "$scratch/site" "$root"/.whl/*.whl
    export PYTHONPATH="$PYTHONPATH:$scratch/site"
fi
needs="filelock jinja2 lightning_fabric matplotlib msgspec numpy pandas PIL psutil pynvml rich safetensors scipy
    tensorboard tomli_w typer"
missing=$("$python" -c 'import sys
from importlib.util import find_spec
print(*(name for name in sys.argv[1:] if find_spec(name) is None))' $needs)
if [ -n "$missing" ]; then
    echo "check.sh: $python lacks $missing: install them, or put their wheels into $root/.whl" >&2
    exit 2
fi

cd "$scratch"
status=0
timeout --kill-after=5 450 "$python" "$root/reports/gpu/check.py" --device cuda --out "$report" || status=$?
if [ $status -eq 124 ] || [ $status -eq 137 ]; then
    echo "check.sh: stopped after 450 s; $report holds what was finished" >&2
    status=1
fi
exit $status
