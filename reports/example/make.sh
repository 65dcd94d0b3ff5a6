#!/usr/bin/env bash
# Makes the examples of the README anew: the pages of a sample run and of a comparison of several, and a picture of the first.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
folder=reports/example

"$python" -m curvelab postmortem sample_runs/overfitting -o $folder/overfitting.html
"$python" -m curvelab compare sample_runs/more/{saved,schedule-constant,schedule-over,no-warmup,resumed} \
    sample_runs/fixed/{no-warmup,resumed}-fixed --baseline sample_runs/more/saved -o $folder/compare.html
if grep -nE "(^|[^A-Za-z0-9<./])/(home|root|tmp|work|Users|mnt|var)/" $folder/*.html; then
    echo "a page names a folder of this machine" >&2
    exit 1
fi
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
"${CHROMIUM:-chromium}" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync \
    --disable-background-networking --disable-component-update --user-data-dir="$profile" --hide-scrollbars \
    --window-size=1000,820 --screenshot="$folder/overfitting.png" "file://$PWD/$folder/overfitting.html" 2>/dev/null
