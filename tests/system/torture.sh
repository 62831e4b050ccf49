#!/bin/sh
# Rounds of torture.py: a real Kafka and Redis, a seeded feed, faults among it; what is left has to equal compute. One short round unless
# TORTURE_ROUNDS, _EVENTS, _RATE, _FAULTS say otherwise, with the seeds from TORTURE_SEED on; the first that fails ends it, with its
# seed. Exit 77: skipped.
set -eu

cd "$(dirname "$0")/../.."
for tool in java mvn redis-server kcat python3 mount; do
    command -v $tool >/dev/null || { echo "skipped: no $tool; run deploy/install-deps.sh --test"; exit 77; }
done
rounds=${TORTURE_ROUNDS:-1} seed=${TORTURE_SEED:-1}
last=$((seed + rounds - 1))
while [ "$seed" -le "$last" ]; do
    timeout "${TORTURE_LIMIT_S:-840}" python3 tests/system/torture.py --seed "$seed" --events "${TORTURE_EVENTS:-120000}" \
        --rate "${TORTURE_RATE:-6000}" --faults "${TORTURE_FAULTS:-13}"
    seed=$((seed + 1))
done
