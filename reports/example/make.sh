#!/usr/bin/env bash
# Makes the example of the README anew: the page of a sample run, and a picture of its top.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
page=reports/example/overfitting.html
picture=reports/example/overfitting.png

"$python" -m curvelab postmortem sample_runs/overfitting -o "$page"
if grep -nE "(^|[^A-Za-z0-9<./])/(home|root|tmp|work|Users|mnt|var)/" "$page"; then
    echo "$page names a folder of this machine" >&2
    exit 1
fi
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
"${CHROMIUM:-chromium}" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync \
    --disable-background-networking --disable-component-update --user-data-dir="$profile" --hide-scrollbars \
    --window-size=1000,820 --screenshot="$picture" "file://$PWD/$page" 2>/dev/null
