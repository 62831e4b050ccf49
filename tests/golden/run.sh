#!/usr/bin/env bash
# tests/golden/run.sh [--write] ESTEEM [CASE...]: feeds with their rows. Each case is a folder whose name says what it shows:
#   config.yaml       feed.jsonl, or feed.py that prints it (with --clean: without the rubbish, which may change no row)
#   at                the instant of --at (optional)
#   expected.jsonl    all rows, without "config", byte for byte (--write makes it anew: look at the difference before you keep it)
#   by_hand.txt       figures worked out on paper, see by_hand.py
#   refused.txt       "line reason field" of each refused line (optional; else nothing may be refused)
# Speaks TAP.
set -u
write=no
[ "${1:-}" = --write ] && { write=yes; shift; }
esteem=$(realpath "${1:?the binary}")
shift
cd "$(dirname "$0")" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

check() { # code, what, file with the details
    if [ "$1" -eq 0 ]; then
        echo "ok - $2"
    else
        echo "not ok - $2"
        head -n 20 "$3" | cut -c 1-600 | sed 's/^/    /'
    fi
}

one() {
    local case=$1 feed=$1/feed.jsonl at=()
    if [ -e "$case/feed.py" ]; then
        feed=$work/feed.jsonl
        python3 "$case/feed.py" >"$feed" || return 1
    fi
    [ -e "$case/at" ] && at=(--at "$(cat "$case/at")")
    "$esteem" compute --config "$case/config.yaml" "${at[@]}" --refused "$work/refused" "$feed" 2>"$work/said" |
        sed 's/,"config":"[0-9a-f]*"//' >"$work/rows"
    [ "${PIPESTATUS[0]}" -eq 0 ] || { check 1 "$case: compute ends well" "$work/said"; return; }
    jq -r '"\(.line) \(.reason) \(.field)"' "$work/refused" | sed 's/ $//' >"$work/refused.txt"
    if [ $write = yes ]; then
        cp "$work/rows" "$case/expected.jsonl"
        if [ -s "$work/refused.txt" ]; then cp "$work/refused.txt" "$case/refused.txt"; fi
    fi
    if [ -e "$case/feed.py" ]; then
        python3 "$case/feed.py" --clean >"$work/clean.jsonl"
        "$esteem" compute --config "$case/config.yaml" "${at[@]}" "$work/clean.jsonl" 2>>"$work/said" | sed 's/,"config":"[0-9a-f]*"//' >"$work/clean"
        cmp "$work/clean" "$work/rows" >"$work/diff" 2>&1
        check $? "$case: the same rows as without the rubbish" "$work/diff"
    fi
    diff "$case/expected.jsonl" "$work/rows" >"$work/diff" 2>&1
    check $? "$case: its rows" "$work/diff"
    if [ -e "$case/by_hand.txt" ]; then
        python3 by_hand.py "$case/by_hand.txt" "$work/rows" >"$work/diff" 2>&1
        check $? "$case: the figures worked out by hand" "$work/diff"
    fi
    if [ -e "$case/refused.txt" ]; then
        diff "$case/refused.txt" "$work/refused.txt" >"$work/diff"
        check $? "$case: what is refused, and why" "$work/diff"
    else
        [ ! -s "$work/refused.txt" ] || check 1 "$case: nothing is refused" "$work/refused.txt"
    fi
}

[ $# -gt 0 ] || set -- */
for case in "$@"; do
    one "${case%/}"
done
