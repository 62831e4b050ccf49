#!/usr/bin/env bash
# Rounds of torture.py: a real Kafka and Redis, a seeded feed, faults among it; what is left has to equal compute. One short round unless
# TORTURE_ROUNDS, _EVENTS, _RATE, _FAULTS say otherwise, with the seeds from TORTURE_SEED on, TORTURE_JOBS (1) of them at once, each with a
# broker, ports and folders of its own. TORTURE_FEEDS (as many as rounds) bounds the feeds that they have: making one, and computing its rows, takes
# a third of a round. The first that fails ends all, with its seed and what it said. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server kcat python3 mount
rounds=${TORTURE_ROUNDS:-1} jobs=${TORTURE_JOBS:-1} next=${TORTURE_SEED:-1} port=${KAFKA_PORT:-29992}
feeds=${TORTURE_FEEDS:-$rounds} first=$next
last=$((next + rounds - 1)) passed=0
work=$(mktemp -d /tmp/esteem-rounds.XXXXXX)
declare -A seed_of=() slot_of=() # by process
finish() {
    [ ${#seed_of[@]} -eq 0 ] || { kill -HUP "${!seed_of[@]}" 2>/dev/null || true; wait "${!seed_of[@]}" || true; }
    rm -rf "$work"
}
trap finish EXIT; trap 'exit 1' INT TERM HUP
round_begin() { # SEED
    local slot=0
    while [[ " ${slot_of[*]} " == *" $slot "* ]]; do slot=$((slot + 1)); done
    local feed=$((first + ($1 - first) % feeds))
    timeout "${TORTURE_LIMIT_S:-840}" python3 tests/system/torture.py --seed "$1" --feed "$work/feed.$feed" --feed-seed "$feed" --events "${TORTURE_EVENTS:-120000}" \
        --rate "${TORTURE_RATE:-6000}" --faults "${TORTURE_FAULTS:-13}" --port $((port - 2 * slot)) >"$work/$1.log" 2>&1 &
    seed_of[$!]=$1 slot_of[$!]=$slot # a broker takes two ports
}
tests/support/kafka.sh libs # once, before several ask for them
while [ "$next" -le "$last" ] || [ ${#seed_of[@]} -gt 0 ]; do
    while [ "$next" -le "$last" ] && [ ${#seed_of[@]} -lt "$jobs" ]; do
        round_begin "$next"
        next=$((next + 1))
    done
    code=0
    wait -n -p pid "${!seed_of[@]}" || code=$?
    said=$work/${seed_of[$pid]}.log
    unset "seed_of[$pid]" "slot_of[$pid]"
    [ $code -eq 0 ] || { cat "$said"; echo "$passed rounds passed before"; exit 1; }
    tail -n 1 "$said"
    passed=$((passed + 1))
done
echo "$passed of $rounds rounds passed"
