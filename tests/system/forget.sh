#!/bin/sh
# esteem ctl forget on a real Kafka: a customer is erased while the engine runs; figures lose their contacts, no checkpoint names them any more,
# a restart begins without them. And what the socket refuses. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli kcat python3 jq
begin forget 29692

known_is() { [ "$(redis hget 'esteem:v1:{acme}:all:5m' row | jq -r '.measures.fcr_known // 0')" = "$1" ]; }
start() {
    run_start
    within 20 test -S "$dir/state/control.sock"
}

kafka start "$port"
redis_start
cat >"$dir/esteem.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: forget, topics: [contacts]}
state: {folder: "$dir/state", every: 500ms}
redis: {socket: $dir/redis.sock}
topics: {prefix: "f."}
windows: {rolling: [5m], calendar: [hour]}
time: {mode: replay, idle_after: 1s, out_of_order: 0s}
threads: {shards: 2}
YAML
kafka topic contacts 4
python3 - >"$dir/events.jsonl" <<'PY'
import json
for c in range(9):
    at = 1790030100000 + c * 20000
    for n, (kind, ms) in enumerate((("offered", 0), ("answered", 3000), ("ended", 9000))):
        e = {"id": "e%d.%d" % (c, n), "tenant": "acme", "type": "interaction." + kind, "interaction": "c%d" % c, "time": at + ms, "queue": "q"}
        if n == 0:
            e["customer"] = "kim" if c % 3 == 0 else "lee%d" % c
        print(json.dumps(e))
PY
replay contacts "$dir/events.jsonl" >>"$dir/check.log"
start
check "nine contacts of known customers" within 30 known_is 9
check "the socket is this user's alone" test "$(stat -c %a "$dir/state/control.sock")" = 600
check "without a command it says what to do" sh -c "! $esteem ctl -c $dir/esteem.yaml 2>&1 | grep -q erased"
check "another socket: nobody listens there" sh -c "$esteem ctl --socket $dir/no.sock forget kim 2>&1 | grep -q 'no esteem listens there'"
check "another tenant has no kim" sh -c "$esteem ctl -c $dir/esteem.yaml forget kim | grep -q 'from 0 interactions.*--tenant names another'"
check "nothing has changed" known_is 9
check "kim is erased from three interactions" sh -c "$esteem ctl -c $dir/esteem.yaml forget --tenant acme kim | grep -q 'erased from 3 interactions'"
check "their contacts are nobody's now" within 20 known_is 6
check "a second time there is nothing left" sh -c "$esteem ctl -c $dir/esteem.yaml forget --tenant acme kim | grep -q 'from 0 interactions'"
check "it is in the log, without the name" sh -c "grep -q customer.forgotten $dir/run.log && ! grep -q kim $dir/run.log"
epoch() { "$esteem" state inspect "$dir/state" | sed -nE '1s/epoch ([0-9]+).*/\1/p'; }
before=$(epoch)
newer() { [ "$(epoch)" -gt $((before + 2)) ]; }
check "two more checkpoints" within 20 newer
run_kill
redis flushall >/dev/null
start
check "after a kill it begins without kim" within 30 known_is 6
kill "$run_pid"
check "it ends well" ended_with 0
check "the socket is gone with it" test ! -e "$dir/state/control.sock"
sum_up
