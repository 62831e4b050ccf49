#!/usr/bin/env bash
# tests/planted.sh [ESTEEM]: a made-up day of 1,000 agents goes through `esteem compute`, and what was planted comes out;
# planted.py says what. Then through the reference, which has the metrics that the engine still lacks. Speaks TAP.
set -u
here=$(cd "$(dirname "$0")" && pwd)
esteem=$(realpath "${1:-${ESTEEM:-$here/../build/release/esteem}}")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1
# -I: not this folder's modules; Python has a `statistics` of its own.
python3 -I "$here/planted.py" "$work" engine "$esteem" compute || exit 1
python3 -I "$here/planted.py" "$work" reference python3 "$here/reference/esteem_ref.py"
