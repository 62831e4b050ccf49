#!/bin/sh
# More interactions than a shard derives in one go, on several shards: compute comes to its end and prints the same bytes.
set -eu

cd "$(dirname "$0")/../.."
esteem=${ESTEEM:-build/release/esteem}
dir=$(mktemp -d /tmp/esteem-shards.XXXXXX)
trap 'rm -rf "$dir"' EXIT
python3 - >"$dir/feed.jsonl" <<'PY'
for i in range(300000):
    print('{"id":"o%d","type":"interaction.offered","time":%d,"interaction":"c%d","queue":"q%d"}' % (i, 1790000000000 + i * 10, i, i % 7))
PY
for threads in "1 1" "2 1" "4 2"; do
    set -- $threads
    echo "threads: {shards: $1, folds: $2}" >"$dir/$1.yaml"
    timeout 120 "$esteem" compute --config "$dir/$1.yaml" "$dir/feed.jsonl" >"$dir/$1.jsonl" 2>"$dir/err" || { cat "$dir/err"; exit 1; }
    cmp "$dir/1.jsonl" "$dir/$1.jsonl"
done
[ -s "$dir/1.jsonl" ]
echo "1 passed, 0 failed"
