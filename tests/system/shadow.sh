#!/bin/sh
# A shadow beside a live engine, on a real Kafka and a real redis-server: killed half way it goes on where it was; its rows equal compute under
# the new configuration, the live ones stay what they were; compare names what differs; after the swap the live rows equal compute under the new
# one, later events included, and no key of the shadow is left. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli python3
begin shadow 29393
events=${SHADOW_EVENTS:-6000}
is_code() { want=$1; shift; code=0; "$@" || code=$?; [ $code = "$want" ]; }

kafka start "$port"
redis_start

# config NAME THRESHOLD SCOPES
config() {
    cat >"$dir/$1.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: shadowtest.$port, topics: [feed]}
state: {folder: $dir/state, every: 200ms}
redis: {socket: $dir/redis.sock}
topics: {prefix: "shadowtest.", deadletter: "", every: 1s}
threads: {shards: 2, folds: 2}
time: {mode: replay, idle_after: 2s}
retention: {interaction: 365d, correction: 365d, ids: 365d}
metrics: {service_level: {threshold: $2}}
scopes: $3
YAML
}
config a 20s '[[], [queue]]'
config b 45s '[[], [queue], [channel]]'
python3 tests/reference/random_feed.py --seed 23 --events "$events" | grep -avE '"agent\.(enrolled|removed)"' >"$dir/all.jsonl"
lines=$(wc -l <"$dir/all.jsonl")
head -n $((lines * 3 / 4)) "$dir/all.jsonl" >"$dir/first.jsonl"
head -n $((lines * 7 / 8)) "$dir/all.jsonl" | tail -n +$((lines * 3 / 4 + 1)) >"$dir/later.jsonl"
tail -n +$((lines * 7 / 8 + 1)) "$dir/all.jsonl" >"$dir/newest.jsonl"
send() { replay feed --partitions 4 "$1"; }

# equal HEAD CONFIG FILE...: each row under HEAD equals compute, integers and metrics; there are some, and every newest calendar row is there.
cat >"$dir/equal.py" <<'PY'
import json, subprocess, sys
esteem, socket, head, config, *files = sys.argv[1:]
def run(*command): return [l for l in subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.split(b"\n") if l]
def name(r): return (r["tenant"], json.dumps(r["scope"], sort_keys=True), r["window"], r["start"])
rows = []
for key in run("redis-cli", "-s", socket, "--scan", "--pattern", head + "{*"):
    if key.rsplit(b":", 1)[-1] in (b"scopes", b"goals", b"alerts", b"now"): continue
    got = run("redis-cli", "-s", socket, "hget", key, "row")
    if got: rows.append(json.loads(got[0]))
calendar = {"hour", "day", "week", "month", "quarter_hour", "half_hour"}
want = {name(r): r for r in map(json.loads, run(esteem, "compute", "-c", config, *files))}
newest = {}
for r in want.values():
    if r["window"] in calendar and r["measures"]: newest[name(r)[:3]] = max(newest.get(name(r)[:3], ""), r["start"])
for at in sorted({r["end"] for r in rows if r["window"] not in calendar}):
    want.update((name(r), r) for r in map(json.loads, run(esteem, "compute", "-c", config, "--at", at, *files)) if r["window"] not in calendar)
latest = {r["window"]: max(x["end"] for x in rows if x["window"] == r["window"]) for r in rows}
now = {name(r)[:3] for r in want.values() if r["measures"] and r["end"] == latest.get(r["window"])}
faults = []
for r in rows:
    w = want.get(name(r))
    if r["window"] not in calendar and not r["measures"]: # an empty rolling window is told once: it has to be that still
        if name(r)[:3] in now: faults.append(("not empty", name(r)))
        continue
    if w is None:
        if r["measures"]: faults.append(("no such row", r))
    elif (w["end"], w["measures"], w["metrics"]) != (r["end"], r["measures"], r["metrics"]): faults.append(("differs", name(r)))
tenants = {(r["tenant"], json.dumps(r["scope"], sort_keys=True), r["window"]) for r in rows}
faults += [("missing", n) for n in newest if n not in tenants]
print(len(rows), "rows,", len(faults), "faults", faults[:3])
sys.exit(1 if faults or not rows else 0)
PY
equal() { head=$1 file=$2; shift 2; python3 "$dir/equal.py" "$esteem" "$dir/redis.sock" "$head" "$dir/$file.yaml" "$@"; }
live='esteem:v1:' shadow='esteem:v1:shadow.next:'

send "$dir/first.jsonl"
run_start a
check "the live rows are those of A" within 120 equal "$live" a "$dir/first.jsonl"

check "a swap of no shadow is refused" is_code 1 "$esteem" shadow swap next -c "$dir/b.yaml"
# Paced by its rows, so that the kill comes half way.
"$esteem" shadow next -c "$dir/b.yaml" --from 2020-01-01 --rows 50 --memory 1GiB >"$dir/shadow1.log" 2>&1 &
shadow_pid=$! pids=$!
within 60 sh -c "ls $dir/state/shadow.next/*.manifest >/dev/null 2>&1" || true
kill -9 $shadow_pid
wait $shadow_pid 2>/dev/null || true
pids=
check "it has a checkpoint when it is killed" sh -c "ls $dir/state/shadow.next/*.manifest"
check "a swap before its end is refused, and while the live engine runs" is_code 3 "$esteem" shadow swap next -c "$dir/b.yaml"
check "begun again, it reads to the end" timeout 300 "$esteem" shadow next -c "$dir/b.yaml" --from 2020-01-01 --memory 1GiB
check "it went on from its checkpoint" grep -q 'checkpoint.restored' "$dir/check.log"
check "and says how long it took" grep -q 'shadow.done' "$dir/check.log"
check "the shadow's rows are those of B" equal "$shadow" b "$dir/first.jsonl"
check "the live rows are still those of A" equal "$live" a "$dir/first.jsonl"
check "memory stays below --memory" sh -c "! grep -q memory.short '$dir/check.log'"

code=0
"$esteem" shadow compare next -c "$dir/b.yaml" --json >"$dir/compare" 2>"$dir/compare.log" || code=$?
check "compare says that they differ" [ $code = 1 ]
check "compare names the added scope" grep -q '"channel":.*"only":"new"' "$dir/compare"
for file in a b; do "$esteem" compute -c "$dir/$file.yaml" "$dir/first.jsonl" >"$dir/$file.rows"; done
"$esteem" compute --diff "$dir/a.rows" "$dir/b.rows" --json >"$dir/diff" || true
cat >"$dir/same.py" <<'PY'
import json, sys
CALENDAR = {"hour", "day", "week", "month", "quarter_hour", "half_hour"}
def rows(path):
    return {json.dumps([r["tenant"], r["scope"], r["window"], r["start"]], sort_keys=True): (r.get("measures"), r.get("metrics"))
            for r in map(json.loads, open(path)) if "tenant" in r and "only" not in r and r["window"] in CALENDAR}
compare, diff = rows(sys.argv[1]), rows(sys.argv[2])
faults = [k for k in compare if k not in diff or diff[k] != compare[k]]
print(len(compare), "differ,", len(diff), "by compute --diff,", faults[:2])
sys.exit(1 if faults or not compare else 0)
PY
check "what differs is what compute --diff says" python3 "$dir/same.py" "$dir/compare" "$dir/diff"

check "a swap is refused while the live engine runs" is_code 3 "$esteem" shadow swap next -c "$dir/b.yaml"
kill -TERM "$run_pid"
ended_with 0 || true
check "a swap with another configuration is refused" is_code 1 "$esteem" shadow swap next -c "$dir/a.yaml"
check "the swap" "$esteem" shadow swap next -c "$dir/b.yaml"
check "no key of the shadow is left" sh -c "[ -z \"\$(redis-cli -s $dir/redis.sock --scan --pattern 'esteem:v1:shadow.*')\" ]"
check "the old state is kept" sh -c "ls $dir/state/before.next/*.manifest"
check "the shadow's folder is gone" [ ! -e "$dir/state/shadow.next" ]
sleep 1
between=$(date -u +%Y-%m-%dT%H:%M:%SZ) # Kafka has the first ones since before, the later ones since then
sleep 1
sent=$(send "$dir/later.jsonl")
check "the live engine goes on under B" timeout 300 "$esteem" run -c "$dir/b.yaml" --until-end
check "and its rows are those of B, later events included" equal "$live" b "$dir/first.jsonl" "$dir/later.jsonl"

# ---- parts of the feed ----
gone() { [ -z "$(redis --scan --pattern "esteem:v1:shadow.$1:*")" ] && [ ! -e "$dir/state/shadow.$1" ]; }
check "a shadow from a moment on" timeout 300 "$esteem" shadow since -c "$dir/b.yaml" --from "$between" --memory 1GiB
check "it says how many messages those were" grep -q "shadow.done.*: ${sent%% *} messages, " "$dir/check.log"
check "has what came since, and nothing else" equal "esteem:v1:shadow.since:" b "$dir/later.jsonl"
check "a shadow up to a moment" timeout 300 "$esteem" shadow until -c "$dir/b.yaml" --to "$between" --memory 1GiB
check "has what came before, and nothing else" equal "esteem:v1:shadow.until:" b "$dir/first.jsonl"
check "one is dropped" "$esteem" shadow drop since -c "$dir/b.yaml"
check "with its keys and its folder" gone since
check "the other stays" equal "esteem:v1:shadow.until:" b "$dir/first.jsonl"
check "and is dropped in its turn" "$esteem" shadow drop until -c "$dir/b.yaml"
check "the live rows are still those of B" equal "$live" b "$dir/first.jsonl" "$dir/later.jsonl"

# ---- the way back: as the help says ----
rm "$dir"/state/*.manifest "$dir"/state/*.slice
mv "$dir"/state/before.next/* "$dir/state/"
redis --scan --pattern 'esteem:v1:{*channel=*' | while read -r key; do redis del "$key" >/dev/null; done # they would expire
check "back under A" timeout 300 "$esteem" run -c "$dir/a.yaml" --until-end
check "its rows are those of A, later events included" equal "$live" a "$dir/first.jsonl" "$dir/later.jsonl"

# ---- a shadow that follows ----
"$esteem" shadow along -c "$dir/b.yaml" --follow --memory 1GiB >"$dir/along.log" 2>&1 &
shadow_pid=$! pids=$!
check "a shadow that follows has all that there is" within 120 equal "esteem:v1:shadow.along:" b "$dir/first.jsonl" "$dir/later.jsonl"
send "$dir/newest.jsonl"
check "and what comes then" within 180 equal "esteem:v1:shadow.along:" b "$dir/first.jsonl" "$dir/later.jsonl" "$dir/newest.jsonl" # a day is told once a minute
kill -TERM $shadow_pid
check "it ends when it is told to" wait $shadow_pid
pids=
check "and is dropped" sh -c "'$esteem' shadow drop along -c '$dir/b.yaml'"
check "with its keys and its folder too" gone along

sum_up
