#!/bin/sh
# What is now, live, on a real Apache Kafka and a real redis-server: contacts that wait, talk, hold, wrap up and end by the wall's clock, agents
# in their states; then a kill -9 and a restart, after which the gauges are what they were and go on. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli python3
begin now 29931

# waiting in_progress on_hold in_wrap agents_ready agents_busy agents_away
gauges() { redis hmget "esteem:v1:{acme}:$1:now" waiting in_progress on_hold in_wrap agents_ready agents_busy agents_away | paste -sd ' '; }
shows() { [ "$(gauges "$1")" = "$2" ]; }
waits_about() { # SCOPE SECONDS: within 3 s of it
    ms=$(redis hget "esteem:v1:{acme}:$1:now" longest_wait_ms)
    [ "$ms" -ge $((($2 - 3) * 1000)) ] && [ "$ms" -le $((($2 + 3) * 1000)) ]
}
events=0
say() { # TYPE SECONDS-AGO CONTACT MORE
    events=$((events + 1))
    at=$((($(date +%s) - $2) * 1000))
    echo "{\"id\":\"e$events\",\"type\":\"$1\",\"time\":$at,\"tenant\":\"acme\"${3:+,\"interaction\":\"$3\"}${4:-}}" >>"$dir/events.jsonl"
}
send() {
    replay contacts "$dir/events.jsonl"
    : >"$dir/events.jsonl"
}

kafka start "$port"
kafka topic contacts 4
redis_start
cat >"$dir/esteem.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: now$$, topics: [{name: contacts, keyed: false}]}
state: {folder: "$dir/state", every: 1s}
redis: {socket: $dir/redis.sock}
topics: {prefix: "now.", deadletter: "now.deadletter"}
scopes: [[], [queue], [agent]]
now: {wrap_most: 30s}
threads: {shards: 2, folds: 2}
YAML
run_start

say interaction.offered 100 c1 ',"queue":"billing"'
say interaction.offered 20 c2 ',"queue":"billing"'
say interaction.offered 50 c3 ',"queue":"sales"'
say interaction.answered 40 c3 ',"agent":"ann"'
say interaction.offered 50 c4 ',"queue":"sales"'
say interaction.answered 40 c4 ',"agent":"ben"'
say interaction.held 30 c4
say agent.state 60 '' ',"agent":"ann","state":"busy"'
say agent.state 60 '' ',"agent":"ben","state":"ready"'
say agent.state 50 '' ',"agent":"ben","state":"busy"'
say agent.state 60 '' ',"agent":"cay","state":"away"'
send
check "two wait, two talk, one of them holds; two agents are busy, one is away" within 30 shows all "2 2 1 0 0 2 1"
check "the longest wait goes on by the clock" waits_about all 100
check "a queue has its own" shows queue=billing "2 0 0 0 0 0 0"
check "and its own longest wait" waits_about queue=billing 100
check "an agent, too" shows agent=ben "0 1 1 0 0 1 0"

say interaction.abandoned 0 c1
say interaction.ended 5 c3
send
check "who abandons waits no more, who has ended is in wrap" within 30 shows all "1 1 1 1 0 2 1"
check "the next one in the queue has the longest wait" within 5 waits_about queue=billing 20
waited=$(redis hget 'esteem:v1:{acme}:queue=billing:now' longest_wait_ms)
sleep 2.5
check "which grows each second without an event" [ "$(redis hget 'esteem:v1:{acme}:queue=billing:now' longest_wait_ms)" -ge $((waited + 2000)) ]
sleep 2 # a checkpoint has it
check "the checkpoint is whole" sh -c "'$esteem' state verify '$dir/state' | grep -q whole"
check "and names what is now" sh -c "'$esteem' state export '$dir/state' | grep '\"window\":\"now\"' | grep -q '\"on_hold\":1'"
run_kill
redis flushall >/dev/null
run_start
check "after a kill and a restart the gauges are what they were" within 30 shows queue=sales "0 1 1 1 0 0 0"
check "agents' states too" within 30 shows agent=cay "0 0 0 0 0 0 1"
say interaction.resumed 0 c4
say agent.state 0 '' ',"agent":"cay","state":"ready"'
say interaction.answered 0 c2 ',"agent":"cay"'
send
check "and go on: resumed, answered, ready" within 30 shows all "0 2 0 1 1 2 0"
check "a wrap without its wrapped ends after now.wrap_most" within 90 shows all "0 2 0 0 1 2 0"
say interaction.ended 0 c2
say interaction.ended 0 c4
send
check "two are in wrap" within 30 shows all "0 0 0 2 1 2 0"
say interaction.wrapped 0 c2
say interaction.wrapped 0 c4
send
check "until they are wrapped" within 30 shows all "0 0 0 0 1 2 0"
check "a queue with nothing left is empty" [ "$(redis hget 'esteem:v1:{acme}:queue=sales:now' row | grep -c '"measures":{}')" = 1 ]

sum_up
