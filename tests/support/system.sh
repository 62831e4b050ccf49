# What the scripts of tests/system share. Sourced from the project's folder, by a shell under `set -eu`.
#
#   needs TOOL...               without one of them: exit 77, skipped
#   begin NAME PORT             $esteem; $dir, a folder that is kept when the script fails; $port for Kafka; what was started ends with the script
#   kafka start, kafka topic NAME PARTS, ...: kafka.sh in $dir/kafka
#   redis_start, run_start      $redis_pid, $run_pid; who starts something else adds it to $pids
#   check WHAT COMMAND...       one line of output; what the command says is in $dir/check.log
#   sum_up                      the last line of the script

needs() {
    for tool; do
        command -v "$tool" >/dev/null || { echo "skipped: no $tool; run deploy/install-deps.sh --test"; exit 77; }
    done
}
begin() {
    esteem=${ESTEEM:-build/release/esteem}
    port=${KAFKA_PORT:-$2}
    dir=$(mktemp -d "${TMPDIR:-/tmp}/esteem-$1.XXXXXX")
    redis_pid= run_pid= pids= passed=0 failed=0
    trap finish EXIT
    trap 'exit 1' INT TERM
}
finish() {
    code=$?
    for pid in $run_pid $redis_pid $pids; do kill -9 "$pid" 2>/dev/null || true; done
    kafka stop || true
    [ $code -eq 0 ] && rm -rf "$dir" || { tail -n 20 "$dir"/run*.log 2>/dev/null || true; echo "kept: $dir"; }
    exit $code
}

pass() { passed=$((passed + 1)); echo "ok - $1"; }
fail() { failed=$((failed + 1)); echo "not ok - $1"; }
check() {
    what=$1
    shift
    if "$@" >>"$dir/check.log" 2>&1; then pass "$what"; else fail "$what"; tail -n 4 "$dir/check.log" | cut -c 1-400; fi
}
within() { # SECONDS COMMAND...: until the command succeeds
    until=$(($(date +%s) + $1))
    shift
    while [ "$(date +%s)" -le $until ]; do
        "$@" && return 0
        sleep 0.2
    done
    return 1
}
sum_up() {
    echo "$passed passed, $failed failed"
    [ $failed -eq 0 ]
}

# ---- Kafka ----

kafka() { # VERB ARGUMENT...
    verb=$1
    shift
    tests/support/kafka.sh "$verb" "$dir/kafka" "$@" >>"$dir/kafka.log" 2>&1
}
replay() { # TOPIC ARGUMENT...
    "$esteem" replay --brokers "127.0.0.1:$port" --topic "$@" 2>>"$dir/replay.log"
}
records() { # TOPIC FORMAT: all there are
    kcat -C -b "127.0.0.1:$port" -t "$1" -e -q -f "$2" 2>/dev/null
}

# ---- Redis ----

redis_start() { # [NAME]: an empty one
    redis-server --port 0 --unixsocket "$dir/${1:-redis}.sock" --save "" --appendonly no --dir "$dir" >>"$dir/${1:-redis}.log" 2>&1 &
    redis_pid=$!
    within 20 redis-cli -s "$dir/${1:-redis}.sock" ping >/dev/null 2>&1
}
redis() { redis-cli -s "$dir/redis.sock" "$@" 2>/dev/null; }

# ---- the engine ----

run_start() { # [CONFIG [LOG]]: names, without their endings
    "$esteem" run -c "$dir/${1:-esteem}.yaml" >>"$dir/${2:-run}.log" 2>&1 &
    run_pid=$!
}
run_kill() { # as a machine would die
    kill -9 "$run_pid"
    wait "$run_pid" 2>/dev/null || true
    run_pid=
}
run_gone() { ! kill -0 "$run_pid" 2>/dev/null; }
ended_with() { # CODE: waits for the end
    code=0
    wait "$run_pid" || code=$?
    run_pid=
    [ $code -eq "$1" ]
}
logged() { grep -q "$1" "$dir/run.log"; }
