#!/bin/sh
# Make the virtual environment that the blocks are tried in: `sh reports/blocks/install.sh VENV PYTHON`.
# PYTHON is one with CPU torch and ctxbench installed; VENV sees its packages and installs no torch of its own.
set -e
venv=$1 python=$2 here=$(dirname "$0")
"$python" -m venv "$venv"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$site/zz_main_venv.pth"
"$venv/bin/pip" install --no-deps -r "$here/requirements.txt"
cp "$here/missing_operators.py" "$site/"
echo 'import missing_operators' > "$site/missing_operators.pth"
