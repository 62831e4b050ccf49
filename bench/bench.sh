#!/bin/sh
# make bench: events per CPU-second of the whole process (user + system), in one run on one machine:
#
#   raw      a librdkafka consumer that reads the topic and does nothing: the limit
#   run      esteem run from a real Kafka, six default scopes, all default windows, histograms kept, publishing to Redis
#   compute  the same events from a file in memory (page cache), one thread
#
# EVENTS (2000000), FEEDS ("R L") and SHARDS (1) set the size. Compare ratios within one run, not figures between runs.
set -eu

repo=$(cd "$(dirname "$0")/.." && pwd)
cd "$repo"
events=${EVENTS:-2000000} feeds=${FEEDS:-R L} shards=${SHARDS:-1} port=${KAFKA_PORT:-29592}
build=build/release
dir=$(mktemp -d /tmp/esteem-bench.XXXXXX)
redis_pid=
finish() {
    tests/support/kafka.sh stop "$dir/kafka" >/dev/null 2>&1 || true
    [ -z "$redis_pid" ] || kill "$redis_pid" 2>/dev/null || true
    rm -rf "$dir"
}
trap finish EXIT

tests/support/kafka.sh start "$dir/kafka" "$port" >"$dir/kafka.log" 2>&1
redis-server --port 0 --unixsocket "$dir/redis.sock" --save "" --appendonly no >"$dir/redis.log" 2>&1 &
redis_pid=$!

# per_cpu EVENTS COMMAND...: runs it, prints events per CPU-second; its output goes to $dir/out.
per_cpu() {
    n=$1
    shift
    python3 - "$n" "$dir/out" "$@" <<'PY'
import resource, subprocess, sys, time
n, out, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
began = time.time()
with open(out, "wb") as sink:
    code = subprocess.run(command, stdout=sink, stderr=subprocess.STDOUT, timeout=1200).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = used.ru_utime + used.ru_stime
if code:
    sys.exit(f"{command[0]} failed with {code}: " + open(out, errors="replace").read()[-500:])
print(f"{n / cpu:.0f} {cpu:.2f} {time.time() - began:.2f} {used.ru_maxrss // 1024}")
PY
}

echo "machine: $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1); $($build/esteem --version | head -1); $events events, $shards shard(s)"
printf '%-6s %-8s %12s %8s %8s %8s %8s\n' feed what "ev/CPU-s" ratio "CPU s" "wall s" "MB"
for feed in $feeds; do
    topic=feed$feed
    tests/support/kafka.sh topic "$dir/kafka" "$topic" 8 >/dev/null 2>&1
    $build/bench/feed --feed "$feed" --events "$events" --topic "$topic" --brokers "127.0.0.1:$port" >"$dir/feed.log" 2>&1
    $build/bench/feed --feed "$feed" --events "$events" >"$dir/feed.jsonl" 2>/dev/null
    cat >"$dir/run.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: bench$feed, topics: [$topic]}
state: {folder: "$dir/state$feed", start: clean}
redis: {socket: $dir/redis.sock}
topics: {enabled: false, deadletter: ""}
time: {mode: replay, idle_after: 0s}
threads: {shards: $shards, folds: 1}
YAML
    row() {
        set -- "$1" $(cat "$dir/figures")
        [ "$1" = raw ] && raw=$2
        printf '%-6s %-8s %12s %8s %8s %8s %8s\n' "$feed" "$1" "$2" "$(python3 -c "print(f'{$2/$raw:.3f}')")" "$3" "$4" "$5"
    }
    per_cpu "$events" $build/bench/raw --topic "$topic" --brokers "127.0.0.1:$port" --threads "$shards" >"$dir/figures"; row raw
    per_cpu "$events" $build/esteem run -c "$dir/run.yaml" --until-end >"$dir/figures"; row run
    grep -E "bytes each|applied" "$dir/out" | sed 's/^/        /'
    per_cpu "$events" $build/esteem compute --config "$dir/run.yaml" "$dir/feed.jsonl" >"$dir/figures"; row compute
    grep -aE "^[0-9]+ interactions kept" "$dir/out" | sed 's/^/        /'
done

# What a checkpoint costs while a million interactions are open, and a restart from it.
echo
$build/bench/checkpoint 1000000 50000 10

# From Kafka to Redis, at a pace that two cores with a broker on them can bear, and at the goal's.
echo
bench/latency.py --rate 20000
bench/latency.py --rate 100000
