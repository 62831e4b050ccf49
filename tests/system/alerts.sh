#!/bin/sh
# Alerts on a real Kafka and Redis: a goal that is missed for long enough is told once on the topic and on the channel, also when the engine is
# killed before and after; met again by the margin, once more. Time is the feed's. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli kcat jq
begin alerts 29896

T=1795356000000 # 2026-11-22T14:00:00Z
answer() { # NUMBER VERSION CSAT
    echo "{\"id\":\"s$1\",\"type\":\"survey.answered\",\"time\":$T,\"tenant\":\"acme\",\"queue\":\"billing\",\"survey\":\"s$1\",\"version\":$2,\"csat\":$3}"
}
tick() { # SECONDS after T: the watermark is 10 s behind
    echo "{\"id\":\"t$1\",\"type\":\"interaction.offered\",\"time\":$((T + $1 * 1000)),\"tenant\":\"acme\",\"interaction\":\"t$1\"}"
}
send() { cat >"$dir/events.jsonl" && replay contacts "$dir/events.jsonl"; }
on_topic() { records a.alerts '%k %s\n' >"$dir/topic"; [ "$(wc -l <"$dir/topic")" -eq "$1" ]; }
shown() { [ "$(redis hget 'esteem:v1:{acme}:queue=billing:5m' "$1")" = "$2" ]; }
reached() { grep -q "watermark=$1" "$dir/run.log"; } # a status line each ten seconds
newest() { [ "$(redis hget 'esteem:v1:{acme}:alerts' 'csat|queue=billing' | jq -c '[.state, .value, .n, .target]')" = "$1" ]; }

kafka start "$port"
kafka topic contacts 1
redis_start
redis-cli -s "$dir/redis.sock" subscribe 'esteem:v1:{acme}:alerts' >"$dir/channel" &
pids=$!
cat >"$dir/esteem.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: alerts$$, topics: [contacts]}
state: {folder: $dir/state, every: 1s}
redis: {socket: $dir/redis.sock}
topics: {prefix: "a.", deadletter: "a.deadletter"}
windows: {rolling: [5m], calendar: []}
scopes: [[queue]]
time: {mode: replay}
goals: [{name: csat, metric: csat, scope: [queue], window: 5m, target: 80, for: 1m, clear: 5}]
baseline: {from: 2026-11-22, to: 2026-11-23, metrics: [csat]}
leaderboards: [{metric: csat, scope: [queue], window: 5m}]
YAML

run_start
{ for i in 1 2 3 4 5 6 7; do answer $i 1 5; done; for i in 8 9 10; do answer $i 1 2; done; tick 15; } | send
check "the row says by how much the goal is missed" within 30 shown goal.csat 87.5
check "who misses it stands in the list" within 10 sh -c "[ \"\$(redis-cli -s $dir/redis.sock zrange 'esteem:v1:{acme}:goals' 0 -1 withscores | tr '\n' ' ')\" = 'csat|queue=billing 12.5 ' ]"
check "and in the leaderboard" sh -c "[ \"\$(redis-cli -s $dir/redis.sock zscore 'esteem:v1:{acme}:top:csat:queue:5m' queue=billing)\" = 70 ]"
check "missed, but not for long enough: no alert" on_topic 0
sleep 3 # a checkpoint holds what has been read
run_kill
run_start
tick 100 | send
check "missed for a minute, across a kill: told on the topic" within 30 on_topic 1
check "as what it is" sh -c "jq -Rec 'sub(\"^[^ ]* \"; \"\") | fromjson | select(.state == \"missed\" and .goal == \"csat\" and .value == 70 and .n == 10 and .metric == \"csat\")' $dir/topic"
check "under its key" grep -q '^acme|csat|queue=billing ' "$dir/topic"
check "and kept in Redis" within 10 newest '["missed",70,10,80]'
tick 150 | send
check "time goes on" within 30 reached 2026-11-22T14:02:20Z
sleep 3
run_kill
run_start
tick 160 | send
check "after another kill time goes on" within 30 reached 2026-11-22T14:02:30Z
sleep 2
check "and nothing is told again" on_topic 1
{ answer 8 2 5; tick 170; } | send
check "80 % is the target, not the margin" within 30 shown csat 80
sleep 1
check "so nothing is told" on_topic 1
{ answer 9 2 5; tick 180; } | send
check "met by the margin: told" within 30 on_topic 2
check "as met, on the channel as well" within 10 sh -c "[ \$(grep -c '\"state\"' $dir/channel) -eq 2 ] && grep -q '\"state\":\"met\"' $dir/channel"
check "and nobody is in the list any more" within 10 sh -c "[ \$(redis-cli -s $dir/redis.sock zcard 'esteem:v1:{acme}:goals') = 0 ]"
sed -i '/^goals:/d; /^leaderboards:/d' "$dir/esteem.yaml"
kill -HUP $run_pid
check "a goal that is configured no more: told" within 30 on_topic 3
check "as removed" sh -c "jq -Rec 'sub(\"^[^ ]* \"; \"\") | fromjson | select(.state == \"removed\" and .goal == \"csat\" and .scope.queue == \"billing\")' $dir/topic"
check "and out of Redis" within 10 sh -c "[ \$(redis-cli -s $dir/redis.sock hlen 'esteem:v1:{acme}:alerts') = 0 ]"
check "the state can be read, with the baseline" sh -c "'$esteem' state verify $dir/state && '$esteem' state export $dir/state | grep -q '\"window\":\"baseline\"'"
sum_up
