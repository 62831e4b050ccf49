#!/usr/bin/env bash
# tests/explain.sh ESTEEM: what would change if the threshold were 30 s, and where a figure comes from, over golden feeds; then what the commands say
# of a wrong command line or configuration. Speaks TAP.
set -u
esteem=$(realpath "${1:?the binary}")
cd "$(dirname "$0")/golden" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
feed="service level by ignore_short"

check() { # what, expected exit code, command; its output has to be standard input's
    local what=$1 code=$2
    shift 2
    cat >"$work/expected"
    "$@" >"$work/said" 2>"$work/err"
    local got=$?
    if [ $got -eq "$code" ] && diff "$work/expected" "$work/said" >"$work/diff"; then
        echo "ok - $what"
    else
        echo "not ok - $what (exit $got, expected $code)"
        cat "$work/err" "$work/diff" | head -n 30 | sed 's/^/    /'
    fi
}
holds() { # what, expected exit code, text to be found in what is said; command
    local what=$1 code=$2 text=$3
    shift 3
    "$@" >"$work/said" 2>&1
    local got=$?
    if [ $got -eq "$code" ] && grep -qF -- "$text" "$work/said"; then
        echo "ok - $what"
    else
        echo "not ok - $what (exit $got, expected $code): no \"$text\""
        head -n 30 "$work/said" | sed 's/^/    /'
    fi
}

cd "$feed" || exit 1
sed 's/threshold: 20s/threshold: 30s/' config.yaml >"$work/30s.yaml"
"$esteem" compute -c config.yaml feed.jsonl >"$work/20s.jsonl" 2>/dev/null
"$esteem" compute -c "$work/30s.yaml" feed.jsonl >"$work/30s.jsonl" 2>/dev/null
cd "$work" || exit 1

# Voice: answered after 10, 20, 21 s, abandoned after 4, 6, 25 s. With 30 s the 21 and the 25 come in; nothing else changes,
# but how far voice is behind email, whose level is 100.
check "a threshold of 30 s changes what it says, and nothing else" 1 "$esteem" compute --diff 20s.jsonl 30s.jsonl <<'END'
acme all day 2026-11-22T00:00:00Z
  answered_in_sl 3 -> 4 (+1)
  abandoned_in_sl 2 -> 3 (+1)
  leg_in_sl 3 -> 4 (+1)
  service_level 50 -> 66.666667 (+16.666667)
  sl_gap 60 -> 40 (-20)
  leg_service_level 42.857143 -> 57.142857 (+14.285714)
acme channel=voice day 2026-11-22T00:00:00Z
  answered_in_sl 2 -> 3 (+1)
  abandoned_in_sl 2 -> 3 (+1)
  leg_in_sl 2 -> 3 (+1)
  service_level 40 -> 60 (+20)
  leg_service_level 33.333333 -> 50 (+16.666667)
3 rows compared, 2 differ, 0 only in 20s.jsonl, 0 only in 30s.jsonl
  answered_in_sl differs in 2 rows
  abandoned_in_sl differs in 2 rows
  leg_in_sl differs in 2 rows
  service_level differs in 2 rows
  sl_gap differs in 1 rows
  leg_service_level differs in 2 rows
END
check "a file equals itself" 0 "$esteem" compute --diff 20s.jsonl 20s.jsonl <<'END'
3 rows compared, 0 differ, 0 only in 20s.jsonl, 0 only in 20s.jsonl
END
tac 30s.jsonl >backwards.jsonl
check "a file backwards is the same file" 0 "$esteem" compute --diff 30s.jsonl backwards.jsonl <<'END'
3 rows compared, 0 differ, 0 only in 30s.jsonl, 0 only in backwards.jsonl
END
echo '{"tenant":"acme"}' >>backwards.jsonl
holds "what is no row is told with its line" 2 'backwards.jsonl:4: no row: "scope"' "$esteem" compute --diff 30s.jsonl backwards.jsonl
holds "--diff wants two files" 2 "OLD and NEW" "$esteem" compute --diff 30s.jsonl
holds "of which one may be standard input" 2 "standard input is one file; name another" "$esteem" compute --diff - - <30s.jsonl
gzip -k 30s.jsonl
holds "a compressed file of rows is named" 2 "30s.jsonl.gz: is compressed by gzip; unpack it" "$esteem" compute --diff 30s.jsonl 30s.jsonl.gz

explain() { "$esteem" explain 'esteem:v1:{acme}:channel=voice:day' "$@"; }
holds "service_level, with the configuration" 0 "service_level = answered_in_sl / (wait_n + abandoned - abandoned_short) = 3 / (3 + 3 - 1) = 60 %" \
    explain service_level --row 30s.jsonl -c 30s.yaml
holds "its threshold" 0 "metrics.service_level.threshold: 30s" explain service_level --row 30s.jsonl -c 30s.yaml
holds "a row of another configuration is noticed" 0 "the row was made under configuration" explain service_level --row 20s.jsonl -c 30s.yaml
holds "what no row has" 1 "has no row of the key" "$esteem" explain 'esteem:v1:{acme}:channel=fax:day' csat --row 30s.jsonl
holds "what is no metric" 2 "csatt is no metric and no measure; did you mean csat?" explain csatt --row 30s.jsonl
holds "nor near one" 2 "happiness is no metric and no measure; esteem schema metrics lists them" explain happiness --row 30s.jsonl
holds "a topic's key is none of Redis" 2 "--row FILE reads; in Redis this is 'esteem:v1:{acme}:queue=billing:hour', with :last" \
    "$esteem" explain 'acme|queue=billing|hour|2026-11-22T14:00:00Z' csat
holds "a metric that compares with other rows" 0 "smallest service_level of the channels = 40 points" \
    "$esteem" explain 'esteem:v1:{acme}:all:day' sl_gap --row 30s.jsonl -c 30s.yaml
holds "the channels that it compares, from the same file" 0 "voice: 60 %, n 5" \
    "$esteem" explain 'esteem:v1:{acme}:all:day' sl_gap --row 30s.jsonl -c 30s.yaml
holds "where they are when they are not at hand" 0 "redis-cli HGET 'esteem:v1:{acme}:channel=CHANNEL:day' service_level" \
    "$esteem" explain 'esteem:v1:{acme}:all:day' sl_gap --row - <30s.jsonl
holds "a goal that the configuration does not have" 2 "has no goal none" explain goal.none --row 30s.jsonl -c 30s.yaml
holds "a metric without a denominator" 0 "csat = csat_top / csat_n = 0 / 0" explain csat --row - <30s.jsonl

cd "$OLDPWD/.." || exit 1
employees="employees speak from five on, and in days"
holds "employees' figures that may leave" 0 "esat_n: 5" "$esteem" explain 'acme|team=five|day' esat_n --row "$employees/expected.jsonl"
holds "employees' figures that may not" 0 "esat_n: withheld" "$esteem" explain 'acme|team=four|day' esat_n --row "$employees/expected.jsonl"
goals="goals met and missed"
daily() { "$esteem" explain 'acme|agent=ann|month' goal.uses_a_day --row "$goals/expected.jsonl" -c "$goals/config.yaml"; }
holds "a goal a day by the days of its window" 0 "100 * uses / days / target = 100 * 3 / 30 / 0.1 = 100 %" daily
holds "and each of them" 0 "2026-11-10: 3, met" daily
holds "also those without anything" 0 "2026-11-11: 0, missed" daily
now='{"v":1,"tenant":"acme","scope":{},"window":"now","start":"2026-11-22T14:00:00Z","end":"2026-11-22T14:00:00Z","revision":0'
now+=',"final":false,"partial":false,"config":"5f1c9a02","measures":{"waiting":3},"metrics":{}}'
holds "what is now, at its instant" 0 "at 2026-11-22T14:00:00Z; gauges of the present" \
    "$esteem" explain 'esteem:v1:{acme}:all:now' waiting --row - <<<"$now"
holds "nobody at that socket" 1 "Redis at $work/none" "$esteem" explain 'esteem:v1:{acme}:all:day' csat --socket "$work/none"

cd "$work" || exit 1
mkdir -p schemas/mappings esteem.d
echo '{' >schemas/mappings/broken.jq
printf 'kafka:\n  brokers: 127.0.0.1:1\n  group: a/b\n  topics:\n    - {name: calls, mapping: absent}\n    - {name: chats, mapping: broken}\nredis: {enabled: false}\n' >mapped.yaml
holds "check: a mapping that is not there" 2 "mapped.yaml:5: kafka.topics.mapping: schemas/mappings/absent.jq: No such file or directory; write or mend it" \
    "$esteem" check mapped.yaml
holds "check: one that does not compile" 2 "mapped.yaml:6: kafka.topics.mapping: schemas/mappings/broken.jq: jq: error: syntax error" "$esteem" check mapped.yaml
holds "run exits 2 for it, as systemd has to know" 2 "topic calls: schemas/mappings/absent.jq: No such file" \
    env XDG_RUNTIME_DIR="$work/esteem.d" timeout 60 "$esteem" run -c mapped.yaml
holds "its lock: the group's slash is none of the path's" 0 esteem.a_b.lock ls esteem.d
holds "a lock that cannot be made is told with what names its folder" 1 "the lock $work/none/esteem.a_b.lock: No such file or directory; let XDG_RUNTIME_DIR" \
    env XDG_RUNTIME_DIR="$work/none" timeout 60 "$esteem" run -c mapped.yaml
sed "s|a/b|empty.$$|" mapped.yaml >lock.yaml
holds "an empty XDG_RUNTIME_DIR is none" 0 "/tmp/esteem.empty.$$.lock" \
    sh -c "XDG_RUNTIME_DIR= timeout 60 '$esteem' run -c lock.yaml 2>/dev/null; ls /tmp/esteem.empty.$$.lock && rm /tmp/esteem.empty.$$.lock"
holds "and compute" 2 "schemas/mappings/absent.jq: No such file" "$esteem" compute -c "$OLDPWD/$employees/config.yaml" --mapping absent mapped.yaml
echo . >schemas/mappings/absent.jq
echo . >schemas/mappings/broken.jq
holds "a shadow's memory has a least as well" 2 "--memory 63MiB: is no size of 64MiB to 1024GiB" "$esteem" shadow next -c mapped.yaml --memory 63MiB
echo 'no json' >'a "b\c.jsonl'
: >empty.yaml
refused() { "$esteem" compute -c empty.yaml --refused refused.jsonl 'a "b\c.jsonl' 2>summary && cat refused.jsonl summary; }
holds "a refused line names its file, whatever that is called" 0 '{"file":"a \"b\\c.jsonl","line":1,"reason":"not_json","field":""}' refused
printf '{"id":"a"}\n' >a.jsonl
printf '{"id":"b"}\n' >b.jsonl
holds "--refused does not overwrite events, as where it lacks its FILE" 1 "--refused a.jsonl: holds something else than refused events" \
    "$esteem" compute -c empty.yaml --refused a.jsonl b.jsonl
holds "nor the file that it reads" 1 "--refused refused.jsonl: holds something" "$esteem" compute -c empty.yaml --refused refused.jsonl refused.jsonl
holds "they are as they were" 0 '{"id":"a"}' cat a.jsonl
holds "refusals of before are" 0 '"line":1,"reason":"missing_type"' sh -c "'$esteem' compute -c empty.yaml --refused refused.jsonl a.jsonl; cat refused.jsonl"
holds "and gone" 1 0 grep -c not_json refused.jsonl
holds "a socket takes the place of no file" 1 "control.socket a.jsonl: Address already in use; name a path" sh -c "
    printf 'control: {socket: a.jsonl}\nstate: {folder: state}\nkafka: {brokers: 127.0.0.1:1}\nredis: {enabled: false}\n' >socket.yaml
    timeout 10 '$esteem' run -c socket.yaml"
holds "which stays" 0 '{"id":"a"}' cat a.jsonl
echo 'select(.call)' >schemas/mappings/calls.jq
printf '{"ping":1}\n{"ping":2}\n' >pings.jsonl
holds "compute names the option that names a mapping" 2 "esteem compute: --mapping nope: schemas/mappings/nope.jq: No such file or directory; write or mend it" \
    "$esteem" compute -c empty.yaml --mapping nope a.jsonl
printf '{\n"id": "a"\n}\n' >printed.jsonl
holds "what is refused can be named" 0 "--refused FILE names what was refused" "$esteem" compute -c empty.yaml a.jsonl
holds "and is not told where it is" 1 0 sh -c "'$esteem' compute -c empty.yaml --refused named a.jsonl 2>&1 | grep -c 'refused FILE'"
holds "a file that is printed over lines is known" 0 "jq -c ." "$esteem" compute -c empty.yaml printed.jsonl
holds "as is an array" 0 "jq -c ." sh -c "echo '[{\"id\":\"a\"}]' | '$esteem' compute -c empty.yaml -"
printf 'id,type,time,csat\ne1,survey.answered,2026-11-22T14:09:30Z,5\ne2,survey.sent,2026-11-22T14:08:00Z,\n' >survey.csv
echo '. + {csat: (try (.csat | tonumber) catch null)}' >schemas/mappings/numbers.jq
holds "a number of CSV is a string" 0 "1 applied, 0 duplicate, 1 refused (bad_field 1)" "$esteem" compute -c empty.yaml survey.csv
holds "which a mapping reads" 0 "2 applied, 0 duplicate, 0 refused" "$esteem" compute -c empty.yaml --mapping numbers survey.csv
holds "messages that become nothing are counted" 0 "2 messages of which their mapping made no event" "$esteem" compute -c empty.yaml --mapping calls pings.jsonl
holds "of few keys no pool is divided" 0 "0 interactions kept; 0 scope keys, 0 agent keys;" refused
holds "--at names the years that it takes" 2 "1970 to 2199" "$esteem" compute -c empty.yaml --at 1960-01-01T00:00:00Z empty.yaml
printf '"id,n\n1,2\n' >open.csv
printf '\037\213\010\n' >a.jsonl.gz
for file in open.csv a.jsonl.gz; do
    holds "compute fails where it cannot read $file" 1 "esteem compute: $file" "$esteem" compute -c empty.yaml a.jsonl "$file"
done
holds "replay takes brokers and properties of a configuration" 2 "bad.yaml:1: kafka.properties.nosuch: is no property" \
    sh -c "echo 'kafka: {properties: {nosuch: 1}}' >bad.yaml; '$esteem' replay -c bad.yaml --topic t empty.yaml"
holds "check: both are there" 0 "mapped.yaml: good" "$esteem" check mapped.yaml
holds "check takes no option for a file" 2 "FILE, or FILE --against OLD" "$esteem" check --bad
holds "check says in which order the files stand" 2 "FILE, or FILE --against OLD" "$esteem" check --against mapped.yaml mapped.yaml
printf 'state: {folder: state}\nredis: {password: $ESTEEM_NOT_SET}\nkafka: {properties: {security.protocol: $ESTEEM_NOT_SET}}\n' >secret.yaml
holds "ctl needs no secret, and says from where the path is seen" 1 "state/control.sock: no esteem listens there, as seen from the working directory $work;" "$esteem" ctl -c secret.yaml status
holds "check needs them" 2 "secret.yaml:2: redis.password: environment variable ESTEEM_NOT_SET is not set" "$esteem" check secret.yaml
printf 'kafka: {brokers: 127.0.0.1:1}\nredis: {port: 1}\nstate: {folder: away}\n' >away.yaml
holds "a Redis that is away is named with its port" 124 'event=redis.away text="127.0.0.1:1: Connection refused' timeout 2 "$esteem" run -c away.yaml
printf 'kafka: {brokers: 127.0.0.1:1}\nredis: {enabled: false}\nstate: {folder: /proc/foo}\n' >proc.yaml
holds "a state.folder that cannot be made is told with the fix" 1 "state.folder /proc/foo: No such file or directory; name a folder" timeout 10 "$esteem" run -c proc.yaml
: >other.yaml
for command in run compute explain ctl "shadow next"; do
    holds "$command reads one configuration" 2 "-c other.yaml: the configuration is empty.yaml already; name one file" timeout 20 "$esteem" $command -c empty.yaml -c other.yaml
done
holds "and replay" 2 "-c twice: name one configuration file" "$esteem" replay --topic t -c empty.yaml --config other.yaml empty.yaml
holds "--at names one instant" 2 "--at 2026-11-22T14:00:00Z: an instant is named already" \
    "$esteem" compute -c empty.yaml --at 2026-11-22T13:00:00Z --at 2026-11-22T14:00:00Z empty.yaml
