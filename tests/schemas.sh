#!/bin/sh
# The documents in schemas/ are what the engine's tables say today, and the schemas and the engine judge alike: of the events below
# the engine refuses just those that the schema refuses, and the rows it prints are rows. Without python3-jsonschema only the
# documents are compared. ESTEEM names the binary.
set -u
cd "$(dirname "$0")/.." || exit 2
esteem=${ESTEEM:-${BUILD:-build}/${MODE:-release}/esteem}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

for pair in events:event.schema.json row:row.schema.json config:config.schema.json options:options.md metrics:metrics.md redis:redis-keys.md observe:observe.md; do
    if "$esteem" schema "${pair%%:*}" >"$work/document" 2>&1 && cmp -s "$work/document" "schemas/${pair#*:}"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "schemas/${pair#*:} is not what \`esteem schema ${pair%%:*}\` prints; make schemas" >&2
    fi
done

# One event a line.
cat >"$work/events.jsonl" <<'EVENTS'
{"id": "1", "type": "interaction.offered", "time": "2026-11-22T14:00:00Z", "tenant": "acme", "interaction": "c1", "queue": "billing", "channel": "voice"}
{"id": "2", "type": "interaction.answered", "time": 1795356012000, "tenant": "acme", "interaction": "c1", "agent": "ann", "dims": {"shift": "day"}}
{"id": "3", "type": "interaction.ended", "time": "2026-11-22T14:04:12.5+00:00", "tenant": "acme", "interaction": "c1", "resolved": true, "cost": 250}
{"id": "4", "type": "survey.answered", "time": "2026-11-22T14:06:00Z", "tenant": "acme", "interaction": "c1", "csat": 5, "nps": 9, "comment": "", "ces": null}
{"id": "5", "type": "interaction.completed", "time": "2026-11-22T14:10:00Z", "interaction": "c2", "wait_ms": 9000, "talk_ms": 60000, "version": -1, "transfers": 0}
{"id": "6", "type": "offer.made", "time": "2026-11-22T14:10:00Z", "kind": "upsell", "value": 1000}
{"id": "7", "type": "agent.state", "time": "2026-11-22T14:10:00Z", "agent": "ann", "state": "ready", "anything": [1, 2]}
{"id": "8", "type": "survey.answered", "time": "2026-11-22T14:10:00Z", "respondent": "employee", "csat": 1}
{"specversion": "1.0", "id": "9", "source": "/crm", "type": "survey.sent", "time": "2026-11-22T14:10:00Z", "data": {"interaction": "c2"}}
{"specversion": "1.0", "id": "10", "source": "/crm", "type": "recognition.given", "time": "2026-11-22T14:10:00Z"}
{"id": "11", "type": "opportunity.seen", "time": "2026-11-22T14:10:00Z", "csat": 99, "direction": "", "dims": {"queue": null}}
{"type": "opportunity.seen", "time": "2026-11-22T14:10:00Z"}
{"id": "", "type": "opportunity.seen", "time": "2026-11-22T14:10:00Z"}
{"id": "14", "time": "2026-11-22T14:10:00Z"}
{"id": "15", "type": "interaction.lost", "time": "2026-11-22T14:10:00Z"}
{"id": "16", "type": "opportunity.seen"}
{"id": "17", "type": "opportunity.seen", "time": "2026-11-22T14:10:00"}
{"id": "18", "type": "opportunity.seen", "time": 1795356600}
{"id": "19", "type": "interaction.offered", "time": "2026-11-22T14:10:00Z"}
{"id": "20", "type": "interaction.offered", "time": "2026-11-22T14:10:00Z", "interaction": ""}
{"id": "21", "type": "survey.answered", "time": "2026-11-22T14:10:00Z", "csat": 6}
{"id": "22", "type": "survey.answered", "time": "2026-11-22T14:10:00Z", "csat": 4.5}
{"id": "23", "type": "survey.answered", "time": "2026-11-22T14:10:00Z", "nps": "9"}
{"id": "24", "type": "offer.accepted", "time": "2026-11-22T14:10:00Z"}
{"id": "25", "type": "message.sent", "time": "2026-11-22T14:10:00Z", "from": "robot"}
{"id": "26", "type": "interaction.completed", "time": "2026-11-22T14:10:00Z", "interaction": "c3", "talk_ms": -1}
{"id": "27", "type": "interaction.ended", "time": "2026-11-22T14:10:00Z", "interaction": "c3", "resolved": "yes"}
{"id": "28", "type": "opportunity.seen", "time": "2026-11-22T14:10:00Z", "direction": "sideways"}
{"id": "29", "type": "opportunity.seen", "time": "2026-11-22T14:10:00Z", "dims": {"queue": "billing"}}
{"id": "30", "type": "opportunity.seen", "time": "2026-11-22T14:10:00Z", "queue": 7}
{"specversion": "1.0", "id": "31", "source": "/crm", "type": "interaction.offered", "time": "2026-11-22T14:10:00Z", "interaction": "c4"}
{"specversion": "1.0", "id": "32", "source": "/crm", "type": "agent.state", "time": "2026-11-22T14:10:00Z", "data": {"agent": "ann"}}
{"specversion": "1.0", "id": "33", "source": "/crm", "type": "survey.sent", "time": "2026-11-22T14:10:00Z", "data": [1]}
["an array"]
EVENTS
echo 'dimensions: [shift]' >"$work/esteem.yaml"

python=
for candidate in python3 /usr/bin/python3; do # a python of one's own may come first in PATH, without Debian's packages
    [ -n "$python" ] || ! $candidate -c 'import jsonschema; jsonschema.Draft202012Validator' 2>/dev/null || python=$candidate
done
if [ -n "$python" ]; then
    "$esteem" compute --config "$work/esteem.yaml" --at 2026-11-22T15:00:00Z --refused "$work/refused.jsonl" "$work/events.jsonl" >"$work/rows.jsonl" 2>/dev/null
    "$esteem" check deploy/esteem.yaml >/dev/null && passed=$((passed + 1)) || failed=$((failed + 1))
    $python - "$work" >"$work/verdict" <<'PYTHON'
import glob, json, sys
from jsonschema import Draft202012Validator

work, results = sys.argv[1], []

def check(good, what):
    results.append(bool(good))
    if not good:
        print(what, file=sys.stderr)

def validator(name):
    with open(f"schemas/{name}.schema.json") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)

def lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]

event = validator("event")
refused = {entry["line"] for entry in lines(f"{work}/refused.jsonl")}
for number, document in enumerate(lines(f"{work}/events.jsonl"), 1):
    check(event.is_valid(document) == (number not in refused),
          f"event {number}: the engine {'refuses' if number in refused else 'takes'} what the schema does not: {json.dumps(document)}")

row = validator("row")
rows = lines(f"{work}/rows.jsonl")
check(len(rows) > 20, f"only {len(rows)} rows")
for document in rows:
    errors = [error.message for error in row.iter_errors(document)]
    check(not errors, f"a row is none: {errors}")
check(not row.is_valid({**rows[0], "surprise": 1}), "a row with a field of no table")
check(not row.is_valid({**rows[0], "measures": {"csat_n": 1.5}}), "a measure that is no integer")

config = validator("config")
check(config.is_valid(None) or config.is_valid({}), "an empty configuration")
check(not config.is_valid({"metrics": {"min_m": 10}}), "a key that does not exist")
check(not config.is_valid({"metrics": {"service_level": {"threshold": 20}}}), "a duration without a unit")
check(not config.is_valid({"metrics": {"csat": {"top_box": 6}}}), "a value beyond its range")
try:
    import yaml
    for path in sorted(glob.glob("deploy/*.yaml")):
        with open(path) as file:
            errors = [error.message for error in config.iter_errors(yaml.safe_load(file))]
        check(not errors, f"{path}: {errors}")
except ImportError:
    pass
print(sum(results), len(results) - sum(results))
PYTHON
    if read -r good bad <"$work/verdict"; then
        passed=$((passed + good))
        failed=$((failed + bad))
    else
        failed=$((failed + 1))
    fi
else
    echo "python3-jsonschema is not installed: documents are compared, nothing is validated" >&2
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
