#!/bin/sh
# What an engine tells of itself: a real Kafka, Redis and Prometheus. What Prometheus has scraped is what was sent; every metric is documented, and
# every documented one is told; /health says which condition is not met. The alert rules are tested by themselves. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli kcat python3 jq curl prometheus promtool
begin observe 29792
http=$((port + 5)) prometheus_port=$((port + 6))
get() { curl -sS --max-time 5 "http://127.0.0.1:$http$1"; }
status() { [ "$(curl -s -o "$dir/body" -w '%{http_code}' --max-time 5 "http://127.0.0.1:$http$1")" = "$2" ]; }
unmet() { status /health/ready 503 && jq -e --arg c "$1" '.unmet[$c] and .ready == false' "$dir/body"; }
# What Prometheus has of an expression; empty: nothing.
asked() { curl -sS --max-time 5 --data-urlencode "query=$1" "http://127.0.0.1:$prometheus_port/api/v1/query" | jq -r '.data.result[0].value[1] // empty'; }
scraped() { [ "$(asked "$1")" = "$2" ]; }

kafka start "$port"
kafka topic contacts 3
kafka topic calls 1
echo 'select(.call)' >"$dir/calls.jq"
redis_start
cat >"$dir/esteem.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: observe$$, topics: [contacts, {name: calls, mapping: calls}]}
mappings: "$dir"
state: {folder: "$dir/state", every: 1s}
redis: {socket: $dir/redis.sock}
topics: {prefix: "o.", deadletter: "o.dead", every: 1s}
windows: {rolling: [1m, 1h], calendar: [hour, day]}
time: {mode: replay, idle_after: 1s}
http: {listen: "127.0.0.1:$http", ready_lag: 1000}
control: {socket: "$dir/control.sock"}
YAML
cat >"$dir/prometheus.yaml" <<YAML
scrape_configs:
  - {job_name: esteem, scrape_interval: 1s, static_configs: [{targets: ["127.0.0.1:$http"]}]}
rule_files: ["$PWD/deploy/prometheus/esteem.rules.yaml"]
YAML
prometheus --config.file="$dir/prometheus.yaml" --storage.tsdb.path="$dir/prometheus" --web.listen-address="127.0.0.1:$prometheus_port" >"$dir/prometheus.log" 2>&1 &
pids=$!

# 400 contacts of three events, 25 of them twice, and 7 lines that are refused.
python3 - >"$dir/events.jsonl" <<'PY'
for i in range(400):
    t = 1790000000000 + i * 500
    lines = [f'{{"id":"o{i}","type":"interaction.offered","time":{t},"tenant":"acme","interaction":"c{i}","queue":"q{i % 5}"}}',
             f'{{"id":"a{i}","type":"interaction.answered","time":{t + 3000},"tenant":"acme","interaction":"c{i}","agent":"x{i % 9}"}}',
             f'{{"id":"e{i}","type":"interaction.ended","time":{t + 60000},"tenant":"acme","interaction":"c{i}"}}']
    print("\n".join(lines + (lines[:1] if i < 25 else [])))
print("\n".join(["no json"] * 4 + ['{"id":"z","type":"interaction.lost","time":1790000000000}'] * 3))
PY
run_start
check "it listens" within 20 get /health/live
check "it lives" within 10 status /health/live 200
check "it becomes ready" within 30 status /health/ready 200
replay contacts "$dir/events.jsonl" >/dev/null
printf '{"ping":1}\n{"ping":2}\n' | kcat -P -b "127.0.0.1:$port" -t calls

check "Prometheus reaches it" within 30 scraped 'up{job="esteem"}' 1
check "what was applied is what was sent" within 30 scraped 'sum(esteem_events_applied_total)' 1200
check "by type" scraped 'esteem_events_applied_total{type="interaction.ended"}' 400
check "duplicates" within 10 scraped esteem_events_duplicate_total 25
check "refused, by topic and reason" within 10 scraped 'esteem_events_refused_total{topic="contacts",reason="not_json"}' 4
check "messages" within 10 scraped esteem_messages_total 1234
check "and those that a mapping made nothing of" within 10 scraped esteem_messages_empty_total 2
check "which status tells as well" sh -c "$esteem ctl --socket $dir/control.sock status --json | jq -e '.messages_empty == 2'"
check "dead letters" within 20 scraped 'esteem_deadletters_total{outcome="delivered"}' 7
check "nothing waits in any of four partitions" within 10 scraped 'sum(esteem_consumer_lag) + 100 * count(esteem_consumer_lag)' 400
check "rows were confirmed by Redis" within 20 scraped 'esteem_sink_rows_total{sink="redis"} > bool 20' 1
check "steps of all kinds of threads are timed" within 10 scraped 'count(esteem_step_seconds_count > 0)' 3
check "the longest of each thread is told" scraped 'count(esteem_longest_step_seconds > 0) == count(esteem_longest_step_seconds)' "$(asked 'count(esteem_longest_step_seconds)')"
check "ticks are timed" scraped 'esteem_tick_seconds_count > bool 10' 1
check "what rows take to Redis and to the topics is timed" within 10 scraped 'count(esteem_publish_seconds_count > 0)' 2
check "and is less than 10 s for nearly all" scraped 'histogram_quantile(0.9, sum(esteem_publish_seconds_bucket) by (le)) < bool 10' 1
check "rings are looked at" scraped 'count(esteem_ring_depth <= esteem_ring_slots)' 4
check "checkpoints are written" within 20 scraped 'esteem_checkpoints_total{outcome="written"} > bool 2' 1

get /metrics >"$dir/metrics.txt"
check "promtool has nothing against it" sh -c "promtool check metrics <'$dir/metrics.txt'"
check "OpenMetrics is given to who accepts it" sh -c "curl -s -i -H 'Accept: application/openmetrics-text; version=1.0.0' http://127.0.0.1:$http/metrics | tr -d '\r' >'$dir/open.txt' && grep -qi '^content-type: application/openmetrics-text; version=1.0.0' '$dir/open.txt' && [ \"\$(tail -1 '$dir/open.txt')\" = '# EOF' ]"
sed -nE 's/^# TYPE (esteem_[a-z_]+) .*/\1/p' "$dir/metrics.txt" | sort >"$dir/told" # a histogram has its three names under one
sed -nE 's/^\| `(esteem_[a-z_]+)`.*/\1/p' schemas/observe.md | sort >"$dir/documented"
check "what is told is what is documented" cmp "$dir/told" "$dir/documented"
grep -ohE 'esteem_[a-z_]+' deploy/prometheus/esteem.rules.yaml deploy/RUNBOOK.md | sed -E 's/_(bucket|sum|count)$//' | sort -u >"$dir/used"
check "rules and runbook use nothing else" sh -c "[ -z \"\$(comm -23 '$dir/used' '$dir/documented')\" ]"

check "another path is none" status /secrets 404
check "and another method is refused" sh -c "[ \"\$(curl -s -o /dev/null -w '%{http_code}' -X POST -d x http://127.0.0.1:$http/metrics)\" = 405 ]"
kill -9 "$redis_pid"
check "without Redis it is not ready, and says so" within 20 unmet redis
check "but it lives" status /health/live 200
check "Prometheus knows" within 10 scraped 'esteem_ready{condition="redis"}' 0
redis_start
check "with Redis it is ready again" within 40 status /health/ready 200
"$esteem" ctl --socket "$dir/control.sock" pause >>"$dir/check.log"
check "a pause is told" within 10 scraped esteem_paused 1
head -n 50 "$dir/events.jsonl" >"$dir/more.jsonl"
replay contacts "$dir/more.jsonl" >/dev/null
check "what waits meanwhile is told" within 10 scraped 'sum(esteem_consumer_lag)' 50
"$esteem" ctl --socket "$dir/control.sock" resume >>"$dir/check.log"
echo "metrics: {min_n: many}" >>"$dir/esteem.yaml"
"$esteem" ctl --socket "$dir/control.sock" reload >>"$dir/check.log" 2>&1 || true
check "a refused reload is counted" within 10 scraped 'esteem_reloads_total{outcome="refused"}' 1

sed -i '$d' "$dir/esteem.yaml"
sed "s/group: observe$$/group: observe2/; s#$dir/state#$dir/state2#; s#control.sock#control2.sock#" "$dir/esteem.yaml" >"$dir/second.yaml"
check "a port that is taken is a clear error" sh -c "! $esteem run -c $dir/second.yaml >$dir/second.log 2>&1 && grep -q 'http.listen 127.0.0.1:$http: Address already in use' $dir/second.log"
kill "$run_pid"
check "it ends well" ended_with 0

# A newest manifest that nobody writes: the restore waits for it, until it is there and is none.
mkfifo "$dir/state/0009999999.manifest"
run_start esteem again
check "while it restores it lives" within 20 sh -c "curl -s --max-time 5 http://127.0.0.1:$http/health/live | jq .restoring | grep -q true"
check "and is not ready, for that reason" unmet restored
check "nor has it metrics" status /metrics 503
(for _ in 1 2 3 4 5 6 7 8; do timeout 2 sh -c "echo none >'$dir/state/0009999999.manifest'" || true; done) & # it is read more than once
check "restored, it becomes ready" within 30 status /health/ready 200
check "from the checkpoint before" grep -q 'checkpoint.restored' "$dir/again.log"
kill "$run_pid"
check "it ends well again" ended_with 0

check "the alert rules are rules" promtool check rules deploy/prometheus/esteem.rules.yaml
check "and raise what they should, and nothing else" promtool test rules deploy/prometheus/esteem.rules.test.yaml
check "the example of a scrape is one" promtool check config deploy/prometheus/prometheus.yaml
sum_up
