#!/usr/bin/env bash
# Data sets that nobody of this project wrote, through tests/mappings: the figures of ../shared/data/README.md, exactly. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
esteem=${ESTEEM:-${BUILD:-build}/release/esteem}
data=${SHARED:-../shared}/data
[ -d "$data" ] || { echo "skipped: no ../shared/data"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0

# compute MAPPING FILE AT SCOPES [LINES]: one window of a year is the whole set.
compute() {
    printf 'mappings: tests/mappings\nwindows: {rolling: [365d], calendar: [month]}\nscopes: %s\n%s\n' "$4" "${5:-}" >"$work/config.yaml"
    "$esteem" compute --config "$work/config.yaml" --mapping "$1" --at "$3" --refused "$work/refused" "$2" >"$work/rows" 2>"$work/said"
    [ ! -s "$work/refused" ] || { echo "$1: refused"; head -3 "$work/refused"; wrong=1; }
}

# is SCOPE NAME=VALUE...: a measure, or a metric's value rounded to as many decimals as VALUE has. `-` is absent.
is() {
    local scope=$1 want name value got decimals
    shift
    for want; do
        name=${want%%=*} value=${want#*=} decimals=${value#*.}
        [ "$decimals" = "$value" ] && decimals=
        got=$(jq -r --argjson scope "$scope" --arg name "$name" \
            'select(.window == "365d" and .scope == $scope) | .measures[$name] // .metrics[$name].value // "-"' "$work/rows")
        [ -n "$decimals" ] && got=$(LC_ALL=C printf "%.${#decimals}f" "$got")
        if [ "$got" != "$value" ]; then
            echo "$scope $name is $got, not $value"
            wrong=1
        fi
    done
}

compute pwc_telecom "$data/pwc_telecom/call_center.csv" 2021-05-01T00:00:00Z '[[]]'
is '{}' offered=5000 answered=4054 abandoned=946 abandon_rate=18.92 answered_in_sl=374 talk_ms=911837000 csat_n=4054 csat_top=2023 \
    csat=49.9013 csat_mean=3.4036 resolved=3646 handled=4054 hold_ms=- wrap_ms=-
is '{}' wait_ms=273729000 # 273,729 s / 4,054 = ASA 67.5207 s
is '{}' asa_ms=67520.7 aht_ms=224922.8
compute pwc_telecom "$data/pwc_telecom/call_center.csv" 2021-05-01T00:00:00Z '[[]]' 'metrics: {service_level: {threshold: 60s}}'
is '{}' answered_in_sl=1796

compute restaurant_booking "$data/restaurant_booking/call_center_data.csv" 2023-12-01T00:00:00Z '[[]]'
is '{}' offered=25100 answered=24731 abandoned=369 asa_ms=22980.8 answered_in_sl=10998 conversions=23115 conversion_value=97403

compute health_nps "$data/health_nps/NPS_data.csv" 2021-12-31T00:00:00Z '[[], [brand]]'
is '{}' survey_sent=6015 survey_answered=5299 nps_n=5299 nps_promoters=2733 nps_detractors=848 nps=35.5727
is '{"brand":"MedicoTech"}' nps=36.6740
is '{"brand":"HealthPlus"}' nps=34.2373
is '{"brand":"VitaLife"}' nps=34.8148
is '{"brand":"CareWell"}' nps=36.1803

compute rwfd_call_center "$data/rwfd_call_center/call_center.csv" 2020-12-31T00:00:00Z '[[], [channel]]'
is '{}' closed=32941 handled=32941 csat_n=12271 aht_ms=1501269.5 # 25.0212 min
is '{"channel":"Call-Center"}' closed=10639 csat_n=3967
is '{"channel":"Chatbot"}' closed=8256 csat_n=3121
is '{"channel":"Email"}' closed=7470 csat_n=2790
is '{"channel":"Web"}' closed=6576 csat_n=2393

[ $wrong = 0 ] && echo "four data sets: all figures as counted independently"
exit $wrong
