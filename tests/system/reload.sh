#!/bin/sh
# A real Kafka and Redis, events without pause, and RELOADS reloads in a row: good and bad files, thresholds, goals, scopes that come and go, settings
# that need a restart. No event is lost, every row of a scope that stayed equals compute, memory stays flat, no step is long. Then what
# esteem ctl does. Exit 77: skipped.
#
#   RELOADS=1000 CONTACTS=2700000 RATE=105000 reload.sh    so many events a second, as long as the reloads last, and no step over 50 ms
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli kcat python3 jq
begin reload 29892
reloads=${RELOADS:-120}
ctl() { "$esteem" ctl --socket "$dir/control.sock" "$@"; }
figure() { ctl status --json | jq -r ".$1"; }
is() { [ "$("$2" "$3")" "$1" "$4" ]; }
applied() { [ "$(figure applied)" -ge "$1" ]; }
row() { # jq -e finds nothing wrong with no text at all
    text=$(redis hget "esteem:v1:{acme}:$1" row)
    echo "${text:-null}"
}

# SCOPES, then lines of their own.
config() {
    cat >"$dir/next.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: reload$$, topics: [contacts, {name: calls, mapping: acme}]}
mappings: "$dir/mappings"
state: {folder: "$dir/state", every: 2s}
redis: {socket: $dir/redis.sock}
topics: {prefix: "r.", every: 1s}
windows: {rolling: [1m, 1h], calendar: [hour, day, month]}
time: {mode: replay, idle_after: 1s, out_of_order: 60s}
threads: {shards: 2, folds: 2}
control: {socket: "$dir/control.sock"}
scopes: [[], [queue]$1]
YAML
    [ $# -lt 2 ] || printf '%s\n' "$2" >>"$dir/next.yaml"
    mv "$dir/next.yaml" "$dir/esteem.yaml"
}
contacts() { # FROM TO
    python3 - "$1" "$2" <<'PY'
import sys
for i in range(int(sys.argv[1]), int(sys.argv[2])):
    t = 1790000000000 + i * 40
    print(f'{{"id":"o{i}","type":"interaction.offered","time":{t},"tenant":"acme","interaction":"c{i}","queue":"q{i % 7}","channel":"chat"}}')
    print(f'{{"id":"a{i}","type":"interaction.answered","time":{t + 1000 * (i % 40)},"tenant":"acme","interaction":"c{i}","agent":"x{i % 50}"}}')
    print(f'{{"id":"e{i}","type":"interaction.ended","time":{t + 50000},"tenant":"acme","interaction":"c{i}"}}')
    if i % 3 == 0:
        print(f'{{"id":"s{i}","type":"survey.answered","time":{t + 55000},"tenant":"acme","interaction":"c{i}","csat":{1 + i % 5}}}')
PY
}

mkdir "$dir/mappings"
echo '.' >"$dir/mappings/acme.jq"
config ''
kafka start "$port"
kafka topic contacts 4
kafka topic calls 1
redis_start
count=${CONTACTS:-20000}
contacts 0 "$count" >"$dir/events.jsonl"
events=$(wc -l <"$dir/events.jsonl")
# Without a pace the feed comes in some hundred pieces, as long as the reloads last.
[ -n "${RATE:-}" ] || split -n l/200 "$dir/events.jsonl" "$dir/piece."
send() {
    if [ -n "${RATE:-}" ]; then
        exec "$esteem" replay --brokers "127.0.0.1:$port" --topic contacts --rate "$RATE" "$dir/events.jsonl" >/dev/null 2>&1
    fi
    for piece in "$dir"/piece.*; do
        replay contacts "$piece" >/dev/null
        sleep 0.05
    done
}
run_start
check "it runs" within 20 test -S "$dir/control.sock"

send &
pids=$!
[ -z "${RATE:-}" ] || check "events come" within 20 applied 1
i=0 refused=0 warm=0 began_ms=$(date +%s%3N) had=$(figure applied)
while [ $i -lt "$reloads" ]; do
    case $((i % 6)) in
        0) config ', [channel]' "metrics: {min_n: $((i % 50 + 1))}" ;;
        1) config '' "goals: [{name: g$i, metric: csat, scope: [queue], window: hour, target: $((i % 100))}]" ;;
        2) echo "metrics: {min_n: many}" >"$dir/esteem.yaml" ;;
        3) config ', [team], [agent]' "publish: {tick: $((50 + i % 7))ms}"
           sed -i "s/^windows: .*/windows: {rolling: [1m, $((i % 9 + 2))m, 1h], calendar: [hour, day, month, quarter_hour]}/" "$dir/esteem.yaml" ;;
        4) config '' "limits: {keys: $((90000 + i))}" ;;
        5) config ', [queue, channel]' "roster: {file: $dir/roster.csv}"
           printf 'agent,team,tenant\nx1,t%s,acme\n' $i >"$dir/roster.csv" ;;
    esac
    ctl reload >"$dir/reload.log" 2>&1 || refused=$((refused + 1))
    [ $((i % 6)) -eq 2 ] && ! grep -q 'esteem.yaml:1: metrics.min_n' "$dir/reload.log" && echo "a fault was not told" >>"$dir/check.log"
    i=$((i + 1))
    [ $i -ne $((reloads / 3)) ] || { warm=$(figure resident_bytes) warm_kept=$(figure interactions); }
done
now=$(figure applied) pace=$((($(figure applied) - had) * 1000 / ($(date +%s%3N) - began_ms)))
echo "$i reloads in $((($(date +%s%3N) - began_ms) / 1000)) s; $pace events a second meanwhile, $((events - now)) of $events to come"
[ -z "${RATE:-}" ] || check "they came at that pace, to the last reload" test $pace -ge $((RATE * 95 / 100)) -a "$now" -lt "$events"
wait $pids || true
pids=
check "all that were faulty were refused, and told why, and no other" sh -c "[ $refused -eq $(((reloads + 3) / 6)) ] && ! grep -q 'fault was not told' $dir/check.log"
check "each is counted" test "$(figure reloads_refused)" -eq "$refused"
config ', [channel]'
for n in 1 2 3 4 5 6; do ctl reload >/dev/null 2>&1 & waits="${waits:-} $!"; done
wait $waits || true
check "one that comes while another is under way is none that was refused" test "$(figure reloads_refused)" -eq "$refused"
check "every event is read, once" within 120 applied "$events"
check "and none twice" test "$(figure applied)" -eq "$events"
config ''
ctl reload >"$dir/last.log"
longest=$(figure reload_longest_us)
echo "$i reloads; the longest step $longest us; resident $warm then $(figure resident_bytes)"
bound=1000000 # where other tests have the machine too
[ -z "${RATE:-}" ] || bound=50000
check "no step into a configuration took $bound us" test "$longest" -lt $bound
# but for the interactions that the feed brings, and what else it makes grow
check "memory is flat" test "$(figure resident_bytes)" -lt $((warm + (96 << 20) + 250 * ($(figure interactions) - warm_kept)))

# ---- every row of a scope that stayed equals compute; a day is told once a minute ----
same_as_compute() { # LEAST CONFIG FILE...: of that configuration alone; -: of any
    python3 - "$esteem" "$dir" "$@" <<'PY'
import json, subprocess, sys
esteem, dir, least, config, *files = sys.argv[1:]
name = lambda row: (json.dumps(row["scope"], sort_keys=True), row["window"], row["start"])
def compute(*at):
    out = subprocess.run([esteem, "compute", "--config", dir + "/esteem.yaml", *at, *files], check=True, stdout=subprocess.PIPE).stdout
    return {name(row): row["measures"] for row in map(json.loads, out.splitlines())}
def redis(*words):
    return subprocess.run(["redis-cli", "-s", dir + "/redis.sock", *words], check=True, stdout=subprocess.PIPE, text=True).stdout
live, wanted, ends = [], compute(), set()
for scope in ["all"] + ["queue=q%d" % q for q in range(7)]:
    for window in ("hour", "hour:last", "day", "month", "1h", "1m"):
        text = redis("hget", "esteem:v1:{acme}:%s:%s" % (scope, window), "row").strip()
        row = json.loads(text) if text else None
        if row and (config == "-" or (row["config"] == config and "configs" not in row)):
            live.append(row)
for row in live:
    if row["window"] in ("1h", "1m") and row["end"] not in ends:
        ends.add(row["end"])
        wanted.update(compute("--at", row["end"]))
faults = [(name(row), row["measures"], wanted.get(name(row))) for row in live if row["measures"] != (wanted.get(name(row)) or {})]
print(len(live), "rows compared,", len(faults), "differ", faults[:2])
sys.exit(bool(faults) or len(live) < int(least))
PY
}
check "every row of the scopes that stayed is what compute says" within 100 same_as_compute 30 - "$dir/events.jsonl"

# ---- thresholds: windows that straddle the change name both, later ones are of the new value alone ----
before=$(figure config)
config '' 'metrics: {service_level: {threshold: 10s}}'
check "a threshold is live, and told" sh -c "$esteem ctl --socket $dir/control.sock reload | grep -q 'live  *metrics.service_level.threshold: 20s -> 10s'"
after=$(figure config)
check "it has another id" test "$before" != "$after"
contacts $((count + 20000)) $((count + 25000)) >"$dir/later.jsonl"
contacts $((count + 200000)) $((count + 205000)) >>"$dir/later.jsonl" # two hours on
replay contacts "$dir/later.jsonl" >/dev/null
check "what comes then is read" within 60 applied $((events + $(wc -l <"$dir/later.jsonl")))
straddles() { row all:day | jq -e --arg b "$before" --arg a "$after" '(.configs | index($b)) and .configs[-1] == $a' >/dev/null; }
young() { row all:1m | jq -e --arg a "$after" '.config == $a and (has("configs") | not)' >/dev/null; }
check "the day lists both configurations" within 20 straddles
check "the last minute the new one alone" within 20 young
check "rows of the new one alone are what compute says with it" within 100 same_as_compute 16 "$after" "$dir/events.jsonl" "$dir/later.jsonl"
negative() { for key in $(redis --scan --pattern 'esteem:v1:{acme}:*:*'); do redis hget "$key" row; done | grep -E '":-[0-9]' | grep -vE '"(low|value)":-|_change'; }
if negative >>"$dir/check.log"; then fail "a counter is below zero"; fi

# ---- scopes ----
config ', [channel]' 'metrics: {service_level: {threshold: 10s}}'
ctl reload >"$dir/scope.log"
check "a new scope is told" grep -q 'scope \[channel\]: new since' "$dir/scope.log"
contacts $((count + 210000)) $((count + 212000)) >"$dir/last.jsonl"
replay contacts "$dir/last.jsonl" >/dev/null
since() { row channel=chat:hour | jq -e '.since and .partial and .measures.offered >= 2000' >/dev/null; }
check "its rows begin at once, and say since when" within 30 since
row channel=chat:hour >>"$dir/check.log"
config '' 'metrics: {service_level: {threshold: 10s}}'
ctl reload >"$dir/scope.log"
check "a scope that goes is told" grep -q 'scope \[channel\]: dropped' "$dir/scope.log"

# ---- windows ----
windows() { # ROLLING CALENDAR
    config '' 'metrics: {service_level: {threshold: 10s}}'
    sed -i "s/^windows: .*/windows: {rolling: [$1], calendar: [$2]}/" "$dir/esteem.yaml"
}
windows '1m, 5m, 1h' 'hour, day, month, quarter_hour'
ctl reload >"$dir/windows.log"
check "a rolling window is live" grep -q 'live  *windows.rolling: 1m, 1h -> 1m, 5m, 1h' "$dir/windows.log"
check "a calendar window begins at the next boundary" grep -q 'at next boundary  windows.calendar: hour, day, month -> quarter_hour, hour, day, month' "$dir/windows.log"
contacts $((count + 240000)) $((count + 242000)) >"$dir/windows.jsonl" # 18 minutes on
replay contacts "$dir/windows.jsonl" >/dev/null
whole() { row "all:$1" | jq -e '.measures.offered >= 1500 and (has("since") | not)' >/dev/null; } # rolling windows end out_of_order before the newest
check "five minutes are whole by then" within 30 whole 5m
check "and so is the quarter of an hour" within 30 whole quarter_hour
windows '1m, 1h' 'hour, day, month'
ctl reload >"$dir/windows.log"
check "a window that goes is told" grep -q 'window 5m: dropped' "$dir/windows.log"

# ---- mappings, dimensions ----
call() { # ID QUEUE
    echo "{\"id\":\"$1\",\"type\":\"interaction.offered\",\"time\":$((1790000000000 + (count + 242000) * 40)),\"tenant\":\"acme\",\"interaction\":\"$1\",\"queue\":\"$2\",\"dims\":{\"tier\":\"gold\"}}"
}
send() { replay calls "$1" >/dev/null; }
call call1 plain >"$dir/call.jsonl"
send "$dir/call.jsonl"
offered() { row "$1" | jq -e ".measures.offered == $2" >/dev/null; }
check "a mapped topic is read" within 30 offered queue=plain:hour 1
echo '.queue = "broken' >"$dir/mappings/acme.jq"
check "a program that does not compile is refused, and named" sh -c "$esteem ctl --socket $dir/control.sock reload 2>&1 | grep -q 'acme.jq'"
echo '.queue = "mapped"' >"$dir/mappings/acme.jq"
check "a program that has changed is live" sh -c "$esteem ctl --socket $dir/control.sock reload | grep -q 'live  *mappings: the programs have changed'"
check "and the log says what the same configuration came with" grep -q 'reload.done.*is in force after.*, with changed programs of mappings;' "$dir/run.log"
call call2 plain >"$dir/call.jsonl"
send "$dir/call.jsonl"
check "what comes then goes through it" within 30 offered queue=mapped:hour 1
check "and nothing through the old one" offered queue=plain:hour 1
dimension() { # NAME: it alone, and its scope
    config ", [$1]" "metrics: {service_level: {threshold: 10s}}
dimensions: [$1]"
}
dimension tier
check "a dimension is live" sh -c "$esteem ctl --socket $dir/control.sock reload | grep -q 'live  *dimensions:  -> tier'"
call call3 plain >"$dir/call.jsonl"
send "$dir/call.jsonl"
young_row() { row "$1:hour" | jq -e ".measures.offered == $2 and .since" >/dev/null; }
check "its scope has rows, which say since when" within 30 young_row tier=gold 1
dimension grade
check "another dimension in its place is live" sh -c "$esteem ctl --socket $dir/control.sock reload | grep -q 'live  *dimensions: tier -> grade'"
call call4 plain | sed 's/"tier":"gold"/"tier":"gold","grade":"high"/' >"$dir/call.jsonl"
send "$dir/call.jsonl"
check "its scope has rows" within 30 young_row grade=high 1
check "and the one that is gone counts no more" young_row tier=gold 1
dimension tier
check "one that comes back is live" sh -c "$esteem ctl --socket $dir/control.sock reload | grep -q 'live  *dimensions: grade -> tier'"
call call5 plain >"$dir/call.jsonl"
send "$dir/call.jsonl"
check "and counts what comes then" within 30 young_row tier=gold 2
config '' 'metrics: {service_level: {threshold: 10s}}
dimensions: [tier]'
ctl reload >>"$dir/check.log"

# ---- what needs a restart; the watch; the other commands ----
config '' 'metrics: {service_level: {threshold: 10s}, min_n: 3}
limits: {keys: 5}
dimensions: [tier]'
check "a dry run tells what would be" sh -c "$esteem ctl --socket $dir/control.sock reload --dry-run | grep -q 'needs restart  limits.keys: 100000 -> 5'"
check "and changes nothing" test "$(figure restarts_pending)" -eq 0
ctl reload >>"$dir/check.log"
check "what needs a restart stays said" sh -c "$esteem ctl --socket $dir/control.sock status | grep -q 'needs restart  limits.keys: 100000 -> 5'"
check "what is live took effect" sh -c "$esteem ctl --socket $dir/control.sock reload | grep -qv 'min_n'"
config '' 'metrics: {service_level: {threshold: 10s}}
reload: {watch: true}
dimensions: [tier]'
ctl reload >>"$dir/check.log"
config '' 'metrics: {service_level: {threshold: 10s}, min_n: 44}
reload: {watch: true}
dimensions: [tier]'
check "a file that is watched is read by itself" within 10 grep -q 'metrics.min_n: .* -> 44' "$dir/run.log"
sleep 1 # it is counted when all threads have it
have=$(figure reloads)
cp "$dir/esteem.yaml" "$dir/whole.yaml"
for try in 1 2 3 4 5; do # somebody writes it in two parts, again and again
    : >"$dir/esteem.yaml"
    sleep 0.3
    sed 's/min_n: 44/min_n: 45/' "$dir/whole.yaml" >"$dir/esteem.yaml"
    sleep 0.3
done
check "one that is half written is not read" within 10 grep -q 'metrics.min_n: 44 -> 45' "$dir/run.log"
sleep 1
check "nor was it on the way" test "$(figure reloads)" -eq $((have + 1))
check "a program that fails says why, also in compute" sh -c "echo '{' | sed 's/{/{\"a\":1}/' >$dir/odd.jsonl; mkdir -p $dir/m; echo '.a | keys' >$dir/m/odd.jq; printf 'mappings: $dir/m\nredis: {enabled: false}\n' >$dir/odd.yaml
    $esteem compute -c $dir/odd.yaml --mapping odd --refused $dir/odd.refused $dir/odd.jsonl; grep -q '\"reason\":\"mapping_failed\".*\"text\":\".*number.*has no keys' $dir/odd.refused"
check "and what cannot be written is told" sh -c "! $esteem compute -c $dir/odd.yaml --mapping odd --refused /dev/full $dir/odd.jsonl"
check "a folder without a checkpoint does not pass as a backup" sh -c "mkdir -p $dir/empty; ! $esteem state verify $dir/empty"
check "dump prints rows" sh -c "$esteem ctl --socket $dir/control.sock dump 'acme|queue=q1' | jq -se 'any(.[]; .window == \"month\" and .measures.offered > 100)' >/dev/null"
check "of a tenant as keys have it" sh -c "$esteem ctl --socket $dir/control.sock dump '%61cme|queue=q1' | grep -q '\"tenant\":\"acme\"'"
check "and says so when there are none" sh -c "! $esteem ctl --socket $dir/control.sock dump 'acme|queue=none'"
check "checkpoint makes one" sh -c "$esteem ctl --socket $dir/control.sock checkpoint | grep -q 'is written'"
check "log-level takes a level" ctl log-level warn
check "and no other word" sh -c "! $esteem ctl --socket $dir/control.sock log-level loud"
check "pause" ctl pause
have=$(figure applied)
contacts $((count + 220000)) $((count + 221000)) >"$dir/paused.jsonl"
replay contacts "$dir/paused.jsonl" >/dev/null
sleep 2
check "nothing is read, and status says so" sh -c "$esteem ctl --socket $dir/control.sock status --json | jq '.paused and .applied == $have' | grep -q true"
check "resume" ctl resume
check "and all of it comes" within 30 applied $((have + $(wc -l <"$dir/paused.jsonl")))

# ---- another Redis ----
pids=$redis_pid
redis_start other
sed -i "s#redis.sock#other.sock#" "$dir/esteem.yaml"
check "Redis's address is live" sh -c "$esteem ctl --socket $dir/control.sock reload | grep -q 'live  *redis.socket: .*redis.sock.* -> .*other.sock'"
same_keys() { # but for the catalogue's and the fence's own, and what only the old one was told
    for server in redis other; do redis-cli -s "$dir/$server.sock" --scan --pattern 'esteem:v1:{acme}:queue=*:hour' | sort >"$dir/$server.keys"; done
    [ -s "$dir/other.keys" ] && cmp "$dir/redis.keys" "$dir/other.keys"
}
check "all rows are written to it" within 30 same_keys
kill -9 $pids
pids=

# ---- a start without a dimension that went while it ran ----
config '' 'metrics: {service_level: {threshold: 10s}}'
sed -i "s#redis.sock#other.sock#" "$dir/esteem.yaml"
check "a dimension that goes is live" sh -c "$esteem ctl --socket $dir/control.sock reload | grep -q 'live  *dimensions: tier -> *$'"
check "a checkpoint is made behind it" ctl checkpoint
kill "$run_pid"
check "it ends well" ended_with 0
run_start
check "it starts again without it" within 30 ctl status
check "with the state of before" sh -c "$esteem ctl --socket $dir/control.sock dump 'acme|queue=plain' | jq -se 'any(.[]; .window == \"hour\" and .measures.offered == 1)' >/dev/null"

kill "$run_pid"
check "it ends well" ended_with 0
sum_up
