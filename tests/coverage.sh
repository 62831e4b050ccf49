#!/usr/bin/env bash
# tests/coverage.sh: the table of the metrics and of the golden cases that know their figures from paper. Every row of metrics.def
# must have a value in some by_hand.txt below a comment that derives it ("-", that it is absent, is no value). Speaks TAP, and
# prints the table as lines that begin with "# ".
set -u
cd "$(dirname "$0")" || exit 1

figures() { # "metric<TAB>case" of each value that stands below a comment
    awk '
        FNR == 1 { derived = 0 }
        /^#/ { derived = 1; next }
        NF && derived {
            count = split(substr($0, match($0, /: [^:]*$/) + 2), figure, ", ")
            folder = FILENAME
            sub(/\/by_hand\.txt$/, "", folder)
            for (i = 1; i <= count; i++) {
                split(figure[i], word, " ")
                if (word[2] ~ /^-?[0-9]/)
                    print word[1] "\t" folder
            }
        }' */by_hand.txt | sort -u
}

metrics=$(sed -nE 's/^METRIC\(([a-z0-9_]+),.*/\1/p' ../include/esteem/metrics.def)
[ -n "$metrics" ] || { echo "not ok - metrics.def has rows"; exit 1; }
cd golden || exit 1
known=$(figures)
for metric in $metrics; do
    cases=$(awk -F '\t' -v metric="$metric" '$1 == metric { printf "%s%s", seen++ ? "; " : "", $2 }' <<<"$known")
    if [ -n "$cases" ]; then
        printf '# %-24s %s\n' "$metric" "$cases"
        echo "ok - $metric is worked out by hand in a golden case"
    else
        printf '# %-24s %s\n' "$metric" "none"
        echo "not ok - $metric is worked out by hand in a golden case: no by_hand.txt has a value of it below a comment"
    fi
done
