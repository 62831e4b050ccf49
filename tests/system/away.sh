#!/bin/sh
# Redis away, then the broker away (kill -9): neither stops the other, and no figure is lost: what comes back catches up. Exit 77: skipped.
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
cd "$repo"
esteem=${ESTEEM:-build/release/esteem}
port=${KAFKA_PORT:-29692}
for tool in java mvn redis-server redis-cli kcat python3; do
    command -v $tool >/dev/null || { echo "skipped: no $tool; run deploy/install-deps.sh --test"; exit 77; }
done
dir=$(mktemp -d /tmp/esteem-away.XXXXXX)
redis_pid= run_pid=
finish() {
    code=$?
    [ -z "$run_pid" ] || kill -9 "$run_pid" 2>/dev/null || true
    tests/support/kafka.sh stop "$dir/kafka" >/dev/null 2>&1 || true
    [ -z "$redis_pid" ] || kill "$redis_pid" 2>/dev/null || true
    [ $code -eq 0 ] && rm -rf "$dir" || { tail -20 "$dir/run.log"; echo "kept: $dir"; }
    exit $code
}
trap finish EXIT
passed=0 failed=0
check() {
    what=$1
    shift
    if "$@" >>"$dir/check.log" 2>&1; then passed=$((passed + 1)); echo "ok - $what"; else failed=$((failed + 1)); echo "not ok - $what"; fi
}
within() { # SECONDS COMMAND...
    until=$(($(date +%s) + $1))
    shift
    while [ "$(date +%s)" -le $until ]; do
        "$@" && return 0
        sleep 0.2
    done
    return 1
}
redis_start() {
    redis-server --port 0 --unixsocket "$dir/redis.sock" --save "" --appendonly no >>"$dir/redis.log" 2>&1 &
    redis_pid=$!
}
in_redis() { redis-cli -s "$dir/redis.sock" hget 'esteem:v1:{acme}:queue=billing:hour' row | grep -q "\"offered\":$1,"; }
on_topic() {
    kcat -C -b "127.0.0.1:$port" -t a.service -e -q -f '%k\t%s\n' 2>/dev/null | grep -a '^acme|queue=billing|hour|' | tail -1 | grep -q "\"offered\":$1,"
}
send() { # FROM TO
    python3 - "$1" "$2" >"$dir/events.jsonl" <<'PY'
import sys
for i in range(int(sys.argv[1]), int(sys.argv[2])):
    t = 1790000000000 + i * 100
    print(f'{{"id":"o{i}","type":"interaction.offered","time":{t},"tenant":"acme","interaction":"c{i}","queue":"billing"}}')
    print(f'{{"id":"a{i}","type":"interaction.answered","time":{t + 5000},"tenant":"acme","interaction":"c{i}","agent":"x{i % 50}"}}')
PY
    "$esteem" replay --brokers "127.0.0.1:$port" --topic contacts "$dir/events.jsonl" 2>>"$dir/replay.log"
}

tests/support/kafka.sh start "$dir/kafka" "$port" >"$dir/kafka.log" 2>&1
tests/support/kafka.sh topic "$dir/kafka" contacts 4 >>"$dir/kafka.log" 2>&1
redis_start
cat >"$dir/esteem.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: away$$, topics: [contacts]}
state: {folder: "$dir/state"}
redis: {socket: $dir/redis.sock}
topics: {prefix: "a.", every: 1s}
windows: {calendar: [hour]}
time: {mode: replay, idle_after: 1s}
threads: {shards: 2, folds: 2}
YAML
"$esteem" run -c "$dir/esteem.yaml" >"$dir/run.log" 2>&1 &
run_pid=$!
send 0 1000
check "the first thousand in Redis" within 90 in_redis 1000
check "and on the topic" within 90 on_topic 1000
kill -9 "$redis_pid"
wait "$redis_pid" 2>/dev/null || true
send 1000 2000
check "without Redis the topic goes on" within 90 on_topic 2000
redis_start
check "Redis, back and empty, catches up" within 90 in_redis 2000
check "every agent's row came back" within 20 sh -c "[ \$(redis-cli -s '$dir/redis.sock' --scan --pattern 'esteem:v1:{acme}:agent=*:hour' | wc -l) = 50 ]"
tests/support/kafka.sh kill "$dir/kafka" >>"$dir/kafka.log" 2>&1
sleep 3
check "without the broker it lives on" kill -0 "$run_pid"
tests/support/kafka.sh start "$dir/kafka" "$port" >>"$dir/kafka.log" 2>&1
send 2000 3000
check "the broker, back: Redis catches up" within 120 in_redis 3000
check "and the topic" within 120 on_topic 3000
kill -TERM "$run_pid"
code=0
wait "$run_pid" || code=$?
run_pid=
check "it ends with exit code 0" [ $code -eq 0 ]
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
