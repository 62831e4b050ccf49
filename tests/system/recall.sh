#!/bin/sh
# Rows that the feed does not make, on the metric topics and in Redis: told by a life that was killed before its checkpoint, or planted as if they
# had been. After the next start they are empty; those of scopes and windows that are not configured stay as they are. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli kcat jq
begin recall 29881

# The newest record of a key on a topic.
newest() { records "$1" '%k\t%s\n' | awk -F '\t' -v key="$2" '$1 == key { row = $2 } END { print row }'; }
told_often() { [ "$(records "$1" '%k\n' | grep -cxF "$2")" -eq "$3" ]; }
topic_has() { [ "$(newest "$1" "$2" | jq -c .measures)" = "$3" ]; }
redis_has() { [ "$(redis hget "$1" row | jq -c .measures)" = "$2" ]; }
plant() { # TOPIC KEY MEASURES
    printf '%s\t{"v":1,"measures":%s}\n' "$2" "$3" | kcat -P -b "127.0.0.1:$port" -t "$1" -K '\t' -X partitioner=murmur2_random 2>>"$dir/check.log"
}
plant_redis() { # KEY START
    redis hset "$1" start "$2" end 2026-11-22T15:00:00Z offered 7 row '{"v":1,"measures":{"offered":7}}' >/dev/null
}
send() { replay contacts "$dir/events.jsonl"; }
contact() { # ID VERSION QUEUE MINUTE
    echo "{\"id\":\"r$1\",\"type\":\"interaction.completed\",\"tenant\":\"acme\",\"interaction\":\"$1\",\"version\":$2,\"queue\":\"$3\",\"time\":\"2026-11-22T14:$4:00Z\"" \
         ",\"offered_at\":\"2026-11-22T14:$4:00Z\",\"answered_at\":\"2026-11-22T14:$4:05Z\",\"ended_at\":\"2026-11-22T14:$4:30Z\"}"
}
until_end() { # LOG
    timeout 100 "$esteem" run -c "$dir/esteem.yaml" --until-end >"$dir/$1.log" 2>&1
}

kafka start "$port"
kafka topic contacts 2
kafka topic m.service 2
redis_start
cat >"$dir/esteem.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: recall$$, topics: [contacts]}
state: {folder: "$dir/state", every: 1h} # a kill comes before the first checkpoint
redis: {socket: $dir/redis.sock}
topics: {prefix: "m.", deadletter: "m.deadletter", every: 1s}
windows: {rolling: [5m, 1h], calendar: [hour, day]}
scopes: [[], [queue]]
time: {mode: replay, idle_after: 1s}
threads: {shards: 2, folds: 2}
YAML

# ---- planted: as told by a life that nobody knows of ----

hour=2026-11-22T14:00:00Z
plant m.service "acme|queue=ghost|hour|$hour" '{"offered":7}'
plant m.service "acme|queue=ghost|5m" '{"offered":7}'
plant m.service "a%20b|queue=or|and|day|2026-11-22T00:00:00Z" '{"offered":7}'
plant m.service "acme|all|hour|2026-11-21T14:00:00Z" '{"offered":7}'
plant m.service "acme|queue=gone|hour|$hour" '{"offered":7}'
plant m.service "acme|queue=gone|hour|$hour" '{}'
plant m.service "acme|agent=ann|hour|$hour" '{"offered":7}'
plant m.service "acme|planet=mars|hour|$hour" '{"offered":7}'
plant m.service "acme|queue=ghost|15m" '{"offered":7}'
plant m.service "acme|queue=ghost|week|2026-11-16T00:00:00Z" '{"offered":7}'
plant_redis 'esteem:v1:{acme}:queue=ghost:hour' $hour
plant_redis 'esteem:v1:{acme}:queue=late:hour:last' $hour
plant_redis 'esteem:v1:{acme}:queue=stale:hour' 2026-11-22T13:00:00Z
plant_redis 'esteem:v1:{acme}:queue=ghost:1h' $hour
plant_redis 'esteem:v1:{acme}:agent=ann:hour' $hour
plant_redis 'esteem:v1:{acme}:queue=ghost:15m' $hour
{ contact c1 1 billing 01; contact c2 1 billing 20; } >"$dir/events.jsonl"
send
check "a run to the feed's end" until_end run1
check "the feed's own rows are there" topic_has m.service "acme|all|hour|$hour" \
    "$(newest m.service "acme|queue=billing|hour|$hour" | jq -c .measures)"
check "with figures" [ "$(newest m.service "acme|queue=billing|hour|$hour" | jq .measures.offered)" = 2 ]
check "topic: a calendar row that the feed does not make is empty" topic_has m.service "acme|queue=ghost|hour|$hour" '{}'
check "topic: a rolling one" topic_has m.service "acme|queue=ghost|5m" '{}'
check "topic: with a tenant and a value that are not plain" topic_has m.service "a%20b|queue=or|and|day|2026-11-22T00:00:00Z" '{}'
check "topic: of a key that the feed has, another day" topic_has m.service "acme|all|hour|2026-11-21T14:00:00Z" '{}'
check "topic: one that was empty is not told again" told_often m.service "acme|queue=gone|hour|$hour" 2
check "topic: a scope that is not configured stays" topic_has m.service "acme|agent=ann|hour|$hour" '{"offered":7}'
check "topic: a dimension that does not exist stays" topic_has m.service "acme|planet=mars|hour|$hour" '{"offered":7}'
check "topic: a window that is not configured stays" topic_has m.service "acme|queue=ghost|15m" '{"offered":7}'
check "topic: neither a calendar one" topic_has m.service "acme|queue=ghost|week|2026-11-16T00:00:00Z" '{"offered":7}'
check "Redis: a running hour that the feed does not make is empty" redis_has 'esteem:v1:{acme}:queue=ghost:hour' '{}'
check "Redis: so is a last one" redis_has 'esteem:v1:{acme}:queue=late:hour:last' '{}'
check "Redis: and one that stood as running and is over" redis_has 'esteem:v1:{acme}:queue=stale:hour' '{}'
check "Redis: and a rolling one" redis_has 'esteem:v1:{acme}:queue=ghost:1h' '{}'
check "Redis: they keep no field of before" [ "$(redis hexists 'esteem:v1:{acme}:queue=ghost:hour' offered)" = 0 ]
check "Redis: a scope that is not configured stays" redis_has 'esteem:v1:{acme}:agent=ann:hour' '{"offered":7}'
check "Redis: a window that is not configured stays" redis_has 'esteem:v1:{acme}:queue=ghost:15m' '{"offered":7}'
check "it is told in the log" grep -q 'recall.done.*the sinks named' "$dir/run1.log"

# ---- told by a life that is killed; a correction takes it back before the next one reads ----

rm -rf "$dir/state"
{ contact c3 1 wrong 21; contact c4 1 billing 22; } >"$dir/events.jsonl"
send
run_start esteem run2
offered() { [ "$(redis hget "$1" row | jq .measures.offered)" = "$2" ]; }
told() { [ "$(newest m.service "$1" | jq .measures.offered)" = "$2" ]; }
check "a life tells of it in Redis" within 30 offered 'esteem:v1:{acme}:queue=wrong:hour' 1
check "and on the topic" within 30 told "acme|queue=wrong|hour|$hour" 1
check "with its rolling row" within 30 told "acme|queue=wrong|5m" 1
run_kill
contact c3 2 right 21 >"$dir/events.jsonl"
send
check "the next one reads what was told and what takes it back" until_end run3
check "no row of it stays on the topic" topic_has m.service "acme|queue=wrong|hour|$hour" '{}'
check "nor of the day" topic_has m.service "acme|queue=wrong|day|2026-11-22T00:00:00Z" '{}'
check "nor of a rolling window" topic_has m.service "acme|queue=wrong|5m" '{}'
check "nor in Redis" redis_has 'esteem:v1:{acme}:queue=wrong:hour' '{}'
check "nor of the day there" redis_has 'esteem:v1:{acme}:queue=wrong:day' '{}'
check "nor of a rolling window there" redis_has 'esteem:v1:{acme}:queue=wrong:5m' '{}'
check "it is where it belongs" offered 'esteem:v1:{acme}:queue=right:hour' 1

# ---- a topic with a mistake in its name: what it would tell is not known ----

rm -rf "$dir/state"
plant m.service "acme|queue=chats|hour|$hour" '{"offered":7}'
plant_redis 'esteem:v1:{acme}:queue=chats:hour' $hour
sed 's/topics: \[contacts\]/topics: [contacts, chats]/' "$dir/esteem.yaml" >"$dir/two.yaml"
run_start two run4
check "a topic that is missing is told" within 30 grep -q 'kafka.topic_missing.*topic chats' "$dir/run4.log"
check "the others are read" within 30 redis hexists 'esteem:v1:{acme}:queue=right:5m' row
sleep 3
check "what an earlier life told stays in Redis" redis_has 'esteem:v1:{acme}:queue=chats:hour' '{"offered":7}'
check "and on the topic" topic_has m.service "acme|queue=chats|hour|$hour" '{"offered":7}'
kafka topic chats 1
check "until the topic is there, and makes no such row" within 30 redis_has 'esteem:v1:{acme}:queue=chats:hour' '{}'
check "there neither" within 30 topic_has m.service "acme|queue=chats|hour|$hour" '{}'
run_kill

sum_up
