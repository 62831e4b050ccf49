#!/bin/sh
# 120 days of feed in one replay: rolling windows equal compute at 20 instants on the way, and memory is flat once the pools
# are full. For test-deep: it takes minutes. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server kcat python3
timeout "${LONG_LIMIT_S:-1800}" python3 tests/system/long_replay.py "$@"
