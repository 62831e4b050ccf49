#!/bin/sh
# esteem ctl forget on a real Kafka: a customer is erased while the engine runs; figures lose their contacts, no checkpoint names them any more,
# a restart begins without them. And what the socket refuses. Exit 77: skipped.
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
cd "$repo"
esteem=${ESTEEM:-build/release/esteem}
port=${KAFKA_PORT:-29692}
for tool in java mvn redis-server redis-cli kcat python3 jq; do
    command -v $tool >/dev/null || { echo "skipped: no $tool; run deploy/install-deps.sh --test"; exit 77; }
done
dir=$(mktemp -d /tmp/esteem-forget.XXXXXX)
redis_pid= run_pid=
finish() {
    code=$?
    [ -z "$run_pid" ] || kill -9 "$run_pid" 2>/dev/null || true
    tests/support/kafka.sh stop "$dir/kafka" >/dev/null 2>&1 || true
    [ -z "$redis_pid" ] || kill "$redis_pid" 2>/dev/null || true
    [ $code -eq 0 ] && rm -rf "$dir" || { echo "kept: $dir"; tail -n 20 "$dir/check.log" "$dir/run.log"; }
    exit $code
}
trap finish EXIT
passed=0 failed=0
check() { # WHAT COMMAND...
    what=$1
    shift
    if "$@" >>"$dir/check.log" 2>&1; then passed=$((passed + 1)); echo "ok - $what"; else failed=$((failed + 1)); echo "not ok - $what"; fi
}
within() { # SECONDS COMMAND...
    tries=$(($1 * 10))
    shift
    while [ $tries -gt 0 ]; do
        "$@" && return 0
        tries=$((tries - 1))
        sleep 0.1
    done
    return 1
}
known_is() { [ "$(redis-cli -s "$dir/redis.sock" hget 'esteem:v1:{acme}:all:5m' row | jq -r '.measures.fcr_known // 0')" = "$1" ]; }
start() {
    "$esteem" run -c "$dir/esteem.yaml" >>"$dir/run.log" 2>&1 &
    run_pid=$!
    within 20 test -S "$dir/state/control.sock"
}

tests/support/kafka.sh start "$dir/kafka" "$port" >"$dir/kafka.log" 2>&1
redis-server --port 0 --unixsocket "$dir/redis.sock" --save "" --appendonly no >"$dir/redis.log" 2>&1 &
redis_pid=$!
cat >"$dir/esteem.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: forget, topics: [contacts]}
state: {folder: "$dir/state", every: 500ms}
redis: {socket: $dir/redis.sock}
topics: {prefix: "f."}
windows: {rolling: [5m], calendar: [hour]}
time: {mode: replay, idle_after: 1s, out_of_order: 0s}
threads: {shards: 2}
YAML
tests/support/kafka.sh topic "$dir/kafka" contacts 4 >>"$dir/kafka.log" 2>&1
python3 - >"$dir/events.jsonl" <<'PY'
import json
for c in range(9):
    at = 1790030100000 + c * 20000
    for n, (kind, ms) in enumerate((("offered", 0), ("answered", 3000), ("ended", 9000))):
        e = {"id": "e%d.%d" % (c, n), "tenant": "acme", "type": "interaction." + kind, "interaction": "c%d" % c, "time": at + ms, "queue": "q"}
        if n == 0:
            e["customer"] = "kim" if c % 3 == 0 else "lee%d" % c
        print(json.dumps(e))
PY
"$esteem" replay --brokers "127.0.0.1:$port" --topic contacts "$dir/events.jsonl" >>"$dir/check.log" 2>&1
start
check "nine contacts of known customers" within 30 known_is 9
check "the socket is this user's alone" test "$(stat -c %a "$dir/state/control.sock")" = 600
check "without a command it says what to do" sh -c "! $esteem ctl -c $dir/esteem.yaml 2>&1 | grep -q erased"
check "another socket: nobody listens there" sh -c "$esteem ctl --socket $dir/no.sock forget kim 2>&1 | grep -q 'no esteem listens there'"
check "another tenant has no kim" sh -c "$esteem ctl -c $dir/esteem.yaml forget kim | grep -q 'from 0 interactions.*--tenant names another'"
check "nothing has changed" known_is 9
check "kim is erased from three interactions" sh -c "$esteem ctl -c $dir/esteem.yaml forget --tenant acme kim | grep -q 'erased from 3 interactions'"
check "their contacts are nobody's now" within 20 known_is 6
check "a second time there is nothing left" sh -c "$esteem ctl -c $dir/esteem.yaml forget --tenant acme kim | grep -q 'from 0 interactions'"
check "it is in the log, without the name" sh -c "grep -q customer.forgotten $dir/run.log && ! grep -q kim $dir/run.log"
epoch() { "$esteem" state inspect "$dir/state" | sed -nE '1s/epoch ([0-9]+).*/\1/p'; }
before=$(epoch)
newer() { [ "$(epoch)" -gt $((before + 2)) ]; }
check "two more checkpoints" within 20 newer
kill -9 "$run_pid"
wait "$run_pid" 2>/dev/null || true
redis-cli -s "$dir/redis.sock" flushall >/dev/null
start
check "after a kill it begins without kim" within 30 known_is 6
kill "$run_pid"
check "it ends well" wait "$run_pid"
run_pid=
check "the socket is gone with it" test ! -e "$dir/state/control.sock"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
