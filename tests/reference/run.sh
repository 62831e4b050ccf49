#!/usr/bin/env bash
# tests/reference/run.sh short|all|SEED:EVENTS...: esteem compute against esteem_ref.py, which was written from SEMANTICS alone by
# somebody else, on random feeds, configurations and instants, all made from a seed; and against itself: neither the order of a
# feed, nor how it is dealt to files, nor events that come again, nor the number of threads may change a byte.
#
# Speaks TAP. What differed stays in $BUILD/reference/SEED-EVENTS.
set -u
cd "$(dirname "$0")/../.." || exit 1
export BUILD LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
BUILD=$(realpath -m "${BUILD:-build}")
esteem=${ESTEEM:-$BUILD/release/esteem}

# Instants to the millisecond in every second feed, near a change of daylight saving in every third.
instant() {
    python3 - "$1" <<'PY'
import random, sys
seed = int(sys.argv[1])
r = random.Random("at %d" % seed)
t = 1792368000000 + r.randrange(0, 20 * 86400000)   # 2026-10-19 and 20 days
if seed % 3 == 0:
    t = r.choice([1792890000000, 1793512800000]) + r.randrange(0, 7200000)  # Berlin, New York
print(t if seed % 2 else t // 1000 * 1000)
PY
}

# With other threads: the same bytes.
threads() {
    local at=$1 threads
    for threads in 1:2 2:1 4:2; do
        { cat config.yaml; echo "threads: {shards: ${threads%:*}, folds: ${threads#*:}}"; } >"threads-$threads.yaml"
        "$esteem" compute --config "threads-$threads.yaml" --at "$at" feed.jsonl 2>>errors >again.jsonl || return 1
        cmp rows.jsonl again.jsonl || return 1
    done
}

# The same events in 1 to 4 files, in any order, some of them again, in one file or another; with any threads: the same bytes. What
# was dealt last stays; a difference names the command that shows it.
deals() {
    local seed=$1 at=$2 deal names number=0 command configs=(config.yaml threads-1:2.yaml threads-2:1.yaml threads-4:2.yaml)
    for deal in 1 2 3; do
        python3 "$3/deal.py" --seed "$seed.$deal" feed.jsonl >dealt || return 1
        while read -r -a names; do
            command=("$esteem" compute --config "${configs[(number++ + deal) % 4]}" --at "$at" "${names[@]}")
            "${command[@]}" 2>>errors >again.jsonl </dev/null && cmp rows.jsonl again.jsonl || { echo "${command[*]}"; return 1; }
        done <dealt
    done
    [ $number -eq 12 ]
}

# Refusals by line; counts of applied and duplicate events.
same_counts() {
    jq -r '"\(.line) \(.reason)"' refused-ours | sort >refused-a
    jq -r '"\(.line) \(.reason)"' refused-theirs | sort >refused-b
    diff refused-a refused-b || return 1
    sed -nE 's/^([0-9]+) applied, ([0-9]+) duplicate.*/applied=\1 duplicate=\2/p' summary >counts-a
    grep -oE '^applied=[0-9]+ duplicate=[0-9]+' theirs-summary | diff counts-a -
}

one() {
    local seed=${1%:*} events=${1#*:} name="seed $1" tools=$PWD/tests/reference at
    esteem=$(realpath "$esteem") || exit 1
    mkdir -p "$BUILD/reference/${1/:/-}" && cd "$BUILD/reference/${1/:/-}" && rm -f ./* || exit 1
    at=$(instant "$seed")
    python3 "$tools/random_config.py" --seed "$seed" >config.yaml
    # What is malformed inside an unknown field's value may pass unseen (SEMANTICS 1): left out.
    python3 "$tools/random_feed.py" --seed "$seed" --events "$events" | grep -avF '{"a":[1,2,]}' >feed.jsonl
    {
        "$esteem" compute --config config.yaml --at "$at" --refused refused-ours feed.jsonl >rows.jsonl 2>summary &&
            python3 "$tools/esteem_ref.py" --config config.yaml --at "$at" --refusals refused-theirs feed.jsonl \
                >theirs.jsonl 2>theirs-summary &&
            python3 "$tools/compare.py" --n rows.jsonl theirs.jsonl
    } >differences 2>&1
    verdict $? "$name: the reference prints the same $(wc -l <rows.jsonl) rows (at $at)" differences
    same_counts >counts-differ 2>&1
    verdict $? "$name: the same $(wc -l <refused-ours) refusals, and as many duplicates" counts-differ
    threads "$at" >threads-differ 2>&1
    verdict $? "$name: the number of threads changes no byte" threads-differ
    deals "$seed" "$at" "$tools" >deals-differ 2>&1
    verdict $? "$name: dealt twelve times to one to four files, in any order and with repetitions: no byte changes" deals-differ
}

verdict() {
    if [ "$1" -eq 0 ]; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        tail -n 20 "$3" summary errors 2>/dev/null | sed 's/^/    /'
    fi
}

case ${1:-} in
    one) one "$2"; exit 0 ;;
    short) set -- 1:500 2:700 ;;
    all) set -- 101:20000 $(for seed in 11 12 13 14 15 16 17 18 19 20 21 22; do echo "$seed:4000"; done) ;;
    '') echo "usage: tests/reference/run.sh short|all|SEED:EVENTS..." >&2; exit 2 ;;
esac
mkdir -p "$BUILD/reference"
if [ "${1%%:*}" = 101 ]; then
    (cd tests/reference && python3 -m unittest test_reference >"$BUILD/reference/unittest" 2>&1)
    code=$?
    [ $code -eq 0 ] && echo "ok - the reference's own tests" || { echo "not ok - the reference's own tests"; cat "$BUILD/reference/unittest"; }
fi
# Whole outputs, one process a core.
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} sh -c 'out=$(bash "$0" one {}); printf "%s\n" "$out"' "$0"
