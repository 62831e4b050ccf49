#!/bin/sh
# limits.memory under ten times more keys, interactions and backlog than fit: resident memory stays below it, the oldest interactions are
# retired and new keys go to __other__, both told and counted, totals stay right. Exit 77: skipped.
#
#   memory.sh [EVENTS [LIMIT_MIB]]
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli python3
begin memory 27792
events=${1:-2500000}
limit=${2:-320}

kafka start "$port"
kafka topic contacts 4
redis_start
# Every event is a contact of its own; every fifth names an agent that nobody else does.
python3 - "$events" >"$dir/events.jsonl" <<'PY'
import sys
n = int(sys.argv[1])
out = []
for i in range(n):
    t = 1790000000000 + i * 20
    agent = f"solo{i}" if i % 5 == 0 else f"a{i % 500}"
    out.append(f'{{"id":"e{i}","type":"interaction.completed","time":{t},"tenant":"acme","interaction":"contact-{i}","queue":"q{i % 20}","agent":"{agent}",'
               f'"offered_at":{t - 300000},"answered_at":{t - 290000},"ended_at":{t - 30000},"wrapped_at":{t}}}\n')
    if len(out) == 10000:
        sys.stdout.write("".join(out)); out = []
sys.stdout.write("".join(out))
PY
replay contacts "$dir/events.jsonl"
cat >"$dir/esteem.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: memory$$, topics: [contacts]}
state: {folder: "$dir/state", every: 2s}
redis: {socket: $dir/redis.sock}
topics: {enabled: false}
windows: {rolling: [5m, 1h, 24h], calendar: [hour, day]}
time: {mode: replay, idle_after: 1s}
limits: {memory: ${limit}MiB, at_interactions: retire}
threads: {shards: 2, folds: 1}
YAML
"$esteem" run -c "$dir/esteem.yaml" --until-end >"$dir/run.log" 2>&1 &
run_pid=$!
most=0
for i in $(seq 3000); do
    kb=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$run_pid/status" 2>/dev/null) || break
    [ -n "$kb" ] || break
    [ "$kb" -gt $most ] && most=$kb
    sleep 0.1
done
check "it ends with exit code 0" ended_with 0
sed -n 's/.*event=\(memory[^ ]*\).*/\1/p; s/^\([0-9]* applied.*\)/\1/p; s/^\([0-9]* interactions kept.*\)/\1/p' "$dir/run.log"
echo "limit $limit MiB, most resident $((most / 1024)) MiB, $events contacts, $(stat -c %s "$dir/events.jsonl") bytes of backlog"
kept=$(sed -n 's/^\([0-9]*\) interactions kept.*/\1/p' "$dir/run.log")
check "resident memory stays below the limit" [ "$most" -lt $((limit * 1024)) ]
check "and uses what it may" [ "$most" -gt $((limit * 1024 / 2)) ]
check "memory is said to be short" grep -q "event=memory.short" "$dir/run.log"
check "ten times more interactions came than were kept" [ "$events" -gt $((kept * 10)) ]
check "no contact is lost from the totals" sh -c "redis-cli -s '$dir/redis.sock' hget 'esteem:v1:{acme}:all:24h' row | grep -q '\"offered\":$events,'"
check "agents beyond the memory are one key" sh -c "redis-cli -s '$dir/redis.sock' hget 'esteem:v1:{acme}:agent=__other__:24h' row | grep -q offered"
check "names that are no key's are not kept" grep -q "^[0-9]* new names at the bound" "$dir/run.log"
check "rows say that they are inexact" sh -c "redis-cli -s '$dir/redis.sock' hget 'esteem:v1:{acme}:all:24h' row | grep -q '\"inexact\":true'"
check "checkpoints went on" sh -c "'$esteem' state verify '$dir/state' | grep -q whole"
sum_up
