#!/bin/sh
# The sinks' faults, against real servers: Redis full, a replica, restarted empty, killed in mid-pipeline, stalled, flushed, wanting a
# password; a broker that finds rows too large; a second instance, and one that comes while the first has no connection. After each,
# Redis is held against a Redis beside it that has had no fault. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli kcat python3
begin sinks 29892

lives() { kill -0 "$run_pid" 2>/dev/null; }

# All rows of a Redis, as they should be everywhere: all keys and their fields, but the fence and the scopes' scores, which are
# renewed in steps; and every row has its time to live.
cat >"$dir/rows.py" <<'PY'
import json, subprocess, sys
def cli(*words, stdin=None):
    return subprocess.run(["redis-cli", "-s", sys.argv[1], *words], capture_output=True, text=True, input=stdin, check=True).stdout
keys = sorted(key for key in cli("--scan", "--pattern", "esteem:v1:*").split("\n") if key and not key.endswith(":fence"))
ask = "".join(f'ZRANGE "{key}" 0 -1\n' if key.endswith(":scopes") else f'HGETALL "{key}"\n' for key in keys)
life = cli(stdin="".join(f'PTTL "{key}"\n' for key in keys)).split("\n")
for key, left, row in zip(keys, life, cli("--json", stdin=ask).split("\n")):
    if key.endswith(":now"): # the instant is that of the last telling; the gauges have to be the same
        row = json.dumps({name: value for name, value in json.loads(row).items() if name not in ("start", "end", "row")})
    lasting = key.endswith(":scopes") or key.endswith(":catalogue")
    print(key, "has no time to live" if not lasting and int(left) < 0 else "", json.dumps(sorted(json.loads(row)) if key.endswith(":scopes") else json.loads(row), sort_keys=True))
PY
rows() { python3 "$dir/rows.py" "$dir/$1.sock" >"$dir/$1.rows" 2>>"$dir/check.log"; }
# Whether the Redis with faults has what the one without has, and no row lacks its time to live.
same() {
    rows redis && rows good || return 1
    [ "$(wc -l <"$dir/good.rows")" -gt 500 ] && ! grep -q 'has no time to live' "$dir/redis.rows" && cmp -s "$dir/redis.rows" "$dir/good.rows"
}
offered() { redis-cli -s "$dir/$1.sock" hget 'esteem:v1:{acme}:queue=billing:hour' row 2>/dev/null | grep -q "\"offered\":$2,"; }
on_topic() {
    records n.service '%k\t%s\n' | grep -a '^acme|queue=billing|hour|' | tail -1 | grep -q "\"offered\":$1,"
}
sent=0
send() { # COUNT more contacts
    python3 - "$sent" $((sent + $1)) >"$dir/events.jsonl" <<'PY'
import sys
for i in range(int(sys.argv[1]), int(sys.argv[2])):
    t = 1790000000000 + i * 50
    print(f'{{"id":"o{i}","type":"interaction.offered","time":{t},"tenant":"acme","interaction":"c{i}","queue":"billing"}}')
    print(f'{{"id":"a{i}","type":"interaction.answered","time":{t + 5000},"tenant":"acme","interaction":"c{i}","agent":"x{i % 200}"}}')
PY
    sent=$((sent + $1))
    replay contacts "$dir/events.jsonl"
}
config() { # NAME GROUP TOPICS
    cat >"$dir/$1.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: $2$$, topics: [contacts]}
state: {folder: ""} # a restart reads all again
redis: {socket: $dir/$1.sock, timeout: 2s}
topics: {enabled: $3, prefix: "n.", deadletter: "n.deadletter", every: 1s}
windows: {rolling: [1m, 5m], calendar: [hour]} # each of them is published within 12 s
time: {mode: replay, idle_after: 1s}
threads: {shards: 1, folds: 1}
YAML
}
# FAULT: what has come meanwhile is in both, and all else is the same.
healed() {
    check "$1: what came meanwhile is written" within 60 offered redis $sent
    check "$1: every row equals that of a Redis without faults" within 60 same
    check "$1: it lives" lives
}

kafka start "$port"
kafka topic contacts 2
config redis sinks true
config good sinks-good false
redis_start good
pids=$redis_pid
redis_start redis
run_start good good
pids="$pids $run_pid"
run_start redis
send 1000
check "the first thousand in the one Redis" within 90 offered redis 1000
check "and in the other" within 60 offered good 1000
check "with the same rows" within 60 same

redis config set maxmemory 1 >/dev/null
send 200
check "full: the log says what to do" within 20 logged 'OOM: Redis is full: raise its maxmemory'
check "full: the topic goes on" within 60 on_topic $sent
errors=$(grep -c 'redis.error' "$dir/run.log")
check "full: it is told once" [ "$errors" -le 2 ]
redis config set maxmemory 0 >/dev/null
healed "full"

redis replicaof 127.0.0.1 1 >/dev/null
send 200
check "a replica: the log says what to do" within 20 logged 'READONLY: this is a replica: let redis.host name the primary'
sleep 2
check "a replica: no hot loop" [ "$(grep -c 'redis.ready' "$dir/run.log")" -le 2 ]
redis replicaof no one >/dev/null
healed "a replica, promoted"

kill -STOP "$redis_pid"
send 200
sleep 5
check "stalled: it lives" lives
kill -CONT "$redis_pid"
healed "stalled"

redis client pause 3000 all >/dev/null
send 200
healed "slow"

send 500
kill -9 "$redis_pid"
wait "$redis_pid" 2>/dev/null || true
check "killed in mid-pipeline: the log says that it is away" within 20 logged 'redis.away'
send 200
redis_start redis
healed "killed, back and empty"

redis flushall >/dev/null
healed "flushed, and nothing new to write"

redis config set requirepass secret >/dev/null
redis-cli -s "$dir/redis.sock" -a secret --no-auth-warning client kill type normal skipme yes >/dev/null
send 200
check "a password: the log says what to do" within 20 logged 'NOAUTH.*set redis.password'
redis-cli -s "$dir/redis.sock" -a secret --no-auth-warning config set requirepass '' >/dev/null
healed "a password, not wanted any more"

# Rows: too large for the broker, which says so of whole batches.
(exec java -Xmx128m -XX:TieredStopAtLevel=1 -cp "build/kafka-libs/jars/*" kafka.admin.ConfigCommand --bootstrap-server "127.0.0.1:$port" \
    --alter --entity-type topics --entity-name n.service --add-config max.message.bytes=2000) >>"$dir/kafka.log" 2>&1
send 200
check "batches too large: smaller ones get through" within 90 on_topic $sent
check "batches too large: the log says so" logged 'topics.batches'
check "batches too large: Redis goes on" within 60 same

# A second instance: refused here by its lock; from elsewhere it takes over, also while the first is cut off.
code=0
timeout 20 "$esteem" run -c "$dir/redis.yaml" >"$dir/second.log" 2>&1 || code=$?
check "a second instance on this machine is refused with exit code 3" [ "$code" -eq 3 ]
kill -STOP "$run_pid"
redis client kill type normal skipme yes >/dev/null
mkdir "$dir/elsewhere"
XDG_RUNTIME_DIR=$dir/elsewhere "$esteem" run -c "$dir/redis.yaml" >"$dir/other.log" 2>&1 &
other_pid=$! pids="$pids $!"
check "elsewhere it takes over" within 60 grep -q redis.ready "$dir/other.log"
before=$(redis get esteem:v1:fence)
kill -CONT "$run_pid"
check "the older one stops" within 30 run_gone
check "with exit code 3" ended_with 3
check "and says so" logged 'a newer instance publishes to this Redis'
check "the fence is the newer's" [ "$(redis get esteem:v1:fence)" = "$before" ]
run_pid=$other_pid
send 200
check "the newer one goes on" within 60 offered redis $sent
check "and all its rows are right" within 60 same
kill -TERM "$run_pid"
check "and ends with exit code 0" ended_with 0

sum_up
