#!/bin/sh
# Redis away, then the broker away (kill -9): neither stops the other, and no figure is lost: what comes back catches up. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli kcat python3
begin away 29692

in_redis() { redis hget 'esteem:v1:{acme}:queue=billing:hour' row | grep -q "\"offered\":$1,"; }
on_topic() {
    records a.service '%k\t%s\n' | grep -a '^acme|queue=billing|hour|' | tail -1 | grep -q "\"offered\":$1,"
}
send() { # FROM TO
    python3 - "$1" "$2" >"$dir/events.jsonl" <<'PY'
import sys
for i in range(int(sys.argv[1]), int(sys.argv[2])):
    t = 1790000000000 + i * 100
    print(f'{{"id":"o{i}","type":"interaction.offered","time":{t},"tenant":"acme","interaction":"c{i}","queue":"billing"}}')
    print(f'{{"id":"a{i}","type":"interaction.answered","time":{t + 5000},"tenant":"acme","interaction":"c{i}","agent":"x{i % 50}"}}')
PY
    replay contacts "$dir/events.jsonl"
}

kafka start "$port"
kafka topic contacts 4
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
run_start
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
kafka kill
sleep 3
check "without the broker it lives on" kill -0 "$run_pid"
kafka start "$port"
send 2000 3000
check "the broker, back: Redis catches up" within 120 in_redis 3000
check "and the topic" within 120 on_topic 3000
kill -TERM "$run_pid"
check "it ends with exit code 0" ended_with 0
sum_up
