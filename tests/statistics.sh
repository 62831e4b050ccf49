#!/usr/bin/env bash
# tests/statistics.sh [ESTEEM]: intervals, margins, percentiles and Pearson's r of `esteem compute` against numpy and statsmodels;
# statistics.py says which. Speaks TAP; without those packages (deploy/install-deps.sh --test brings them) it is skipped.
set -u
here=$(cd "$(dirname "$0")" && pwd)
esteem=$(realpath "${1:-${ESTEEM:-$here/../build/release/esteem}}")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1

for python in python3 /usr/bin/python3; do # a python of one's own may come first in PATH, without Debian's packages
    if (cd "$work" && "$python" -c 'import numpy, scipy, statsmodels') 2>/dev/null; then
        "$python" "$here/statistics.py" "$esteem" "$work"
        exit
    fi
done
echo "ok - intervals and percentiles are those of other libraries # SKIP python3-numpy or python3-statsmodels is not installed"
