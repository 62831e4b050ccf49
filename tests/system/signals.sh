#!/bin/sh
# The daemon's manners on a real Kafka: SIGHUP takes a good file and leaves a bad one, SIGTERM drains and exits 0, a second instance
# is refused, refused events reach the dead-letter topic with their original bytes and reasons, a shard that is held up is named and does not
# keep the process from its end. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli kcat python3 curl
begin signals 29492

field() { redis hget "$1" "$2"; }
field_is() { [ "$(field "$1" "$2")" = "$3" ]; }

kafka start "$port"
redis_start
config() { # THRESHOLD MIN_N [MORE_TOPICS]
    cat >"$dir/esteem.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: signals, topics: [contacts${3:-}]}
state: {folder: "$dir/state"}
redis: {socket: $dir/redis.sock}
topics: {prefix: "s."}
time: {mode: replay, idle_after: 1s}
roster: {file: "$dir/roster.csv"}
metrics: {min_n: $2, service_level: {threshold: $1}}
threads: {shards: 2}
YAML
}
roster() { # TEAM UNTIL
    printf 'agent,team,until,tenant\nx,%s,%s,acme\ny,north,,acme\n' "$1" "${2:-}" >"$dir/roster.csv"
}
roster north
config 20s 1
kafka topic contacts 4
python3 - >"$dir/events.jsonl" <<'PY'
base = 1790000000000
for i in range(100):
    t = base + i * 1000
    print(f'{{"id":"o{i}","type":"interaction.offered","time":{t},"tenant":"acme","interaction":"c{i}","queue":"billing"}}')
    print(f'{{"id":"a{i}","type":"interaction.answered","time":{t + 10000},"tenant":"acme","interaction":"c{i}","agent":"x"}}')
    print(f'{{"id":"e{i}","type":"interaction.ended","time":{t + 60000},"tenant":"acme","interaction":"c{i}"}}')
PY
"$esteem" replay -c "$dir/esteem.yaml" --topic contacts "$dir/events.jsonl" 2>>"$dir/replay.log"
printf '{"id":"x1","type":"survey.answered","time":1790000000000,"tenant":"acme","csat":9}\n{"id":"x2", truncated\n' |
    kcat -P -b "127.0.0.1:$port" -t contacts -k key-of-both
# One interaction in two partitions of one shard: the topic is not keyed as it should be.
stray() { echo "{\"id\":\"$1\",\"type\":\"interaction.$1\",\"time\":1790000000000,\"tenant\":\"stray\",\"interaction\":\"s\"}" | kcat -P -b "127.0.0.1:$port" -t contacts -p "$2"; }
stray offered 0
stray ended 2

run_start
key='esteem:v1:{acme}:queue=billing:hour'
check "rows appear in Redis" within 20 field_is "$key" service_level 100
second() {
    code=0
    timeout 20 "$esteem" run -c "$dir/esteem.yaml" >"$dir/second.log" 2>&1 || code=$?
    [ $code -eq 3 ] && grep -q 'another esteem' "$dir/second.log"
}
check "a second instance is refused, with exit code 3" second

echo "metrics: {service_level: {threshold: soon}}" >"$dir/bad.yaml"
cp "$dir/esteem.yaml" "$dir/good.yaml"
cp "$dir/bad.yaml" "$dir/esteem.yaml"
kill -HUP "$run_pid"
check "a bad file is refused by name, line and key" within 5 logged 'esteem.yaml:1: metrics.service_level.threshold'
check "and changes nothing" field_is "$key" service_level 100

config 20s 1000
kill -HUP "$run_pid"
check "a good file is taken" within 5 logged 'reload.done'
check "min_n is live: the same figure is now marked small" within 10 field_is "$key" service_level_small true
config 5s 1
kill -HUP "$run_pid"
sleep 1
# one more contact, after the change: its own wait is judged by the new threshold, the others keep theirs
t=1790000120000
printf '{"id":"o","type":"interaction.offered","time":%s,"tenant":"acme","interaction":"n","queue":"billing"}\n{"id":"a","type":"interaction.answered","time":%s,"tenant":"acme","interaction":"n","agent":"x"}\n' $t $((t + 10000)) >"$dir/one.jsonl"
replay contacts "$dir/one.jsonl"
check "a threshold is live: 100 of 101 in service level" within 15 field_is "$key" service_level 99.009901

north='esteem:v1:{acme}:team=north:hour' south='esteem:v1:{acme}:team=south:hour'
check "agents of the roster file are eligible, and none has used the program" field_is "$north" adoption_band low
check "both of them" field_is "$north" adoption_n 2
roster south 1999
kill -HUP "$run_pid"
check "a roster with a fault is refused by file, line and field" within 5 logged 'roster.csv:2: until: .*1999'
check "and changes nothing" field_is "$north" adoption_n 2
roster south
kill -HUP "$run_pid"
check "a good one moves the agent" within 15 field_is "$south" adoption_n 1
check "out of the old team" within 15 field_is "$north" adoption_n ""
check "and the agent's contacts" within 15 field_is "$south" aht_ms 50000

done_before=$(grep -c reload.done "$dir/run.log")
echo agent,team,until,tenant >"$dir/roster.csv" # somebody writes it in two parts
kill -HUP "$run_pid"
sleep 0.2
roster south
check "one that is half written is read when it is whole" within 5 logged reload.unchanged
check "and not before" test "$(grep -c reload.done "$dir/run.log")" -eq "$done_before"

sed -i 's/group: signals/group: other/' "$dir/esteem.yaml"
kill -HUP "$run_pid"
check "what needs a restart is said, and stays as it was" within 5 logged 'needs restart.*kafka.group'

kill -TERM "$run_pid"
check "SIGTERM ends it" within 35 run_gone
check "with exit code 0" ended_with 0
check "an event in another partition than its interaction's first is told" logged '^1 events came by another partition'
records esteem.deadletter '%h\t%s\t%k\n' >"$dir/dead"
check "the dead letters name the reasons" sh -c "grep -q 'esteem-reason=out_of_range' '$dir/dead' && grep -q 'esteem-reason=not_json' '$dir/dead'"
check "and the field" grep -q 'esteem-field=csat' "$dir/dead"
check "and hold the original bytes, and the key" grep -qF '{"id":"x2", truncated	key-of-both' "$dir/dead"

# A mapping whose program never ends has met its message: the second signal ends the process.
kafka topic calls 1
config 5s 1 ", {name: calls, mapping: calls}"
cat >>"$dir/esteem.yaml" <<YAML
mappings: "$dir"
http: {listen: "127.0.0.1:$((port + 5))"}
YAML
echo 'last(repeat(1))' >"$dir/calls.jq"
live() { [ "$(curl -s -o "$dir/live" -w '%{http_code}' --max-time 5 "http://127.0.0.1:$((port + 5))/health/live")" = "$1" ]; }
newest() { "$esteem" state inspect "$dir/state" | grep -o -m 1 '^epoch [0-9]*'; }
run_start
check "it goes on after the end" within 20 live 200
echo '{}' | kcat -P -b "127.0.0.1:$port" -t calls
check "a shard that is held up is told by /health/live" within 50 live 503
check "with its name" grep -q '"silent":"shard-[01]"' "$dir/live"
epoch=$(newest)
kill -TERM "$run_pid"
sleep 0.2
kill -TERM "$run_pid"
sleep 2
check "SIGTERM waits for it, also where two come at once" kill -0 "$run_pid"
kill -TERM "$run_pid"
check "the second ends it" within 5 run_gone
check "with exit code 1" ended_with 1
check "and the log names the shard" logged 'run.held_up.*not ended: shard-[01];'
check "the last checkpoint stands" [ "$(newest)" = "$epoch" ]
check "and is whole" "$esteem" state verify "$dir/state"
echo empty >"$dir/calls.jq"
replay contacts "$dir/events.jsonl" "$dir/one.jsonl"
sed "s/interaction\":\"n\"/interaction\":\"m\"/; s/\"id\":\"/&m/" "$dir/one.jsonl" >"$dir/two.jsonl"
replay contacts "$dir/two.jsonl"
run_start
check "with the program mended the next start goes on, and counts nothing twice" within 20 field_is "$key" asa_ms_n 102
kill -INT "$run_pid"
check "and ends by one signal" within 35 run_gone
check "with exit code 0" ended_with 0

sum_up
