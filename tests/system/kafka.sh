#!/bin/sh
# A real Apache Kafka and a real redis-server: what `run` leaves in Redis and on the metric topics equals what compute prints of
# the same events, with 1, 2 and 4 shards, keyed feeds and others, mapped before Kafka and behind it. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli kcat python3
begin kafka 29392

shared=${SHARED:-../shared}

kafka start "$port"
redis_start

# config NAME SHARDS TOPICS [LINES]
config() {
    cat >"$dir/$1.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: "$1", topics: $3}
state: {folder: ""}
redis: {socket: $dir/redis.sock}
topics: {prefix: "$1.", deadletter: "$1.deadletter", every: 1s}
threads: {shards: $2, folds: 2}
mappings: tests/mappings
YAML
    [ -z "${4:-}" ] || cat "$4" >>"$dir/$1.yaml"
}

# case_run NAME WHAT COMPUTE-ARGUMENTS...: run to the end of the topics, then compare.
case_run() {
    name=$1 what=$2
    shift 2
    redis flushall >/dev/null
    if timeout 120 "$esteem" run -c "$dir/$name.yaml" --until-end >"$dir/$name.log" 2>&1 &&
        python3 tests/system/compare_live.py --esteem "$esteem" --config "$dir/$name.yaml" --socket "$dir/redis.sock" \
            --brokers "127.0.0.1:$port" --prefix "$name." "$@" >>"$dir/$name.log" 2>&1; then
        pass "$what ($(tail -1 "$dir/$name.log"))"
    else
        fail "$what"
        tail -6 "$dir/$name.log" | cut -c1-400
    fi
}

# Seeded random feeds: duplicates, versions, corrections, zones, in any order. The roster is left out: it applies to what is derived after
# it arrives, so compute, which takes it first, may differ by right.
python3 tests/reference/random_feed.py --seed 11 --events 6000 | grep -avE '"agent\.(enrolled|removed)"' >"$dir/random.jsonl"
python3 tests/reference/random_config.py --seed 11 | grep -av '^retention' >"$dir/random.yaml"
cat >>"$dir/random.yaml" <<YAML
retention: {interaction: 365d, correction: 365d, ids: 365d}
YAML
grep -q '^time:' "$dir/random.yaml" && sed -i 's/^time: {/time: {mode: replay, idle_after: 2s, /' "$dir/random.yaml" ||
    echo 'time: {mode: replay, idle_after: 2s}' >>"$dir/random.yaml"
sed -i 's/idle_after: 60s//; s/, *}/}/; s/, *,/,/' "$dir/random.yaml"
replay random --partitions 4 "$dir/random.jsonl"
printf '{"id":"a","type":"agent.state","time":"2026-11-22T14:00:00Z","agent":"ann","state":"ready"}\n{"CallId":"1"}\n' >"$dir/raw.jsonl"
raw_told() { "$esteem" replay --brokers "127.0.0.1:$port" --topic raw --partitions 2 "$dir/raw.jsonl" 2>&1 | grep -q ': 1 of them are no events as they stand'; }
check "replay tells of messages that are no events, which go to any partition" raw_told
for shards in 1 2 4; do
    config "random$shards" $shards "[random]" "$dir/random.yaml"
    case_run "random$shards" "random feed, $shards shards" "$dir/random.jsonl"
done
config randomfree 4 "[{name: random, keyed: false}]" "$dir/random.yaml"
case_run randomfree "random feed taken as not keyed, 4 shards" "$dir/random.jsonl"

# Rows that take something from other rows: channels, the week before, a baseline; goals.
{ grep -avE '^(scopes|baseline)' "$dir/random.yaml"; echo 'baseline: {from: 2026-10-20, to: 2026-10-28, metrics: [csat, aht_ms, nps, aht_p90_ms]}'; } |
    sed '/^goals:/,/^[^ ]/{/^goals:/d; /^ /d}' >"$dir/others.yaml"
cat >>"$dir/others.yaml" <<YAML
goals: [{name: csat, metric: csat, scope: [queue], window: hour, target: 60}]
leaderboards: [{metric: aht_ms, scope: [channel], window: hour}]
YAML
config across 4 "[random]" "$dir/others.yaml"
case_run across "rows that take something from others, 4 shards, 2 folds" "$dir/random.jsonl"
for figure in csat_gap conversion_lift volume_change csat_change goal.csat; do
    for topic in csat contact sales; do records across.$topic '%s\n'; done >"$dir/across.rows"
    grep -aq "\"$figure\":" "$dir/across.rows" || fail "$figure is among them"
done

if [ -e "$shared/data/pwc_telecom/call_center.csv" ]; then
    csv=$shared/data/pwc_telecom/call_center.csv
    echo 'time: {mode: replay, idle_after: 2s}' >"$dir/pwc.yaml"
    replay pwc --partitions 4 --mapping pwc_telecom --mappings tests/mappings "$csv"
    for shards in 1 2 4; do
        config "pwc$shards" $shards "[pwc]" "$dir/pwc.yaml"
        case_run "pwc$shards" "pwc_telecom, $shards shards" --mapping pwc_telecom --offered 5000 "$csv"
    done
    replay pwcraw --partitions 3 "$csv" # the broker's own number is 4
    kcat -L -b "127.0.0.1:$port" -t pwcraw | grep -q '"pwcraw" with 3 partitions' || fail "a topic has the partitions that were asked for"
    config pwcraw 2 "[{name: pwcraw, mapping: pwc_telecom, keyed: false}]" "$dir/pwc.yaml"
    case_run pwcraw "pwc_telecom mapped in run, not keyed, 2 shards" --mapping pwc_telecom --offered 5000 "$csv"
else
    echo "skipped - pwc_telecom: no $shared/data"
fi

sum_up
