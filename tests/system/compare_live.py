"""Holds the rows that `run` left in Redis and on the metric topics against compute over the same files.

Calendar windows: every row of compute has to be on the topics, with the same integers and metrics, final; what Redis holds has to be
among them. Rolling windows: each row in Redis and on the topics has to equal compute at the instant at which it ends. Left out:
revision, config and partial."""

import argparse
import json
import subprocess
import sys

FAMILIES = ["csat", "nps", "aht", "service", "contact", "usage", "sales", "employee"]
CALENDAR = {"quarter_hour", "half_hour", "hour", "day", "week", "month"}


def lines(command):
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return [line for line in out.split(b"\n") if line]


def name(row):
    return (row["tenant"], json.dumps(row["scope"], sort_keys=True), row["window"], row["start"])


def compute(args, at=None, refused=None):
    command = [args.esteem, "compute", "--config", args.config]
    command += ["--mapping", args.mapping] if args.mapping else []
    command += ["--at", at] if at else []
    command += ["--refused", refused] if refused else []
    rows = [json.loads(line) for line in lines(command + args.files)]
    return {name(row): row for row in rows}


def redis_rows(args):
    rows = {}
    for key in lines(["redis-cli", "-s", args.socket, "--scan", "--pattern", "esteem:v1:{*"]):
        if key.rsplit(b":", 1)[-1] in (b"scopes", b"fence", b"changed", b"goals", b"alerts", b"now") or b"}:top:" in key:  # compute has no present
            continue
        got = subprocess.run(["redis-cli", "-s", args.socket, "hget", key, "row"], stdout=subprocess.PIPE, check=True).stdout
        row = json.loads(got)
        rows[key] = row
    return rows


def topic_rows(args):
    """The last value of each key, the families put together again."""
    rows = {}
    for family in FAMILIES:
        last = {}
        command = ["kcat", "-C", "-b", args.brokers, "-t", args.prefix + family, "-e", "-q", "-f", "%k\t%s\n"]
        for line in lines(command):
            key, value = line.split(b"\t", 1)
            row = json.loads(value)
            last[(key, row["start"])] = row
        for row in last.values():
            whole = rows.setdefault(name(row), {**row, "measures": {}, "metrics": {}})
            whole["measures"].update(row["measures"])
            whole["metrics"].update(row["metrics"])
    return rows


def differs(want, got, what):
    if want is None:
        # a window that has emptied again is told with no figures in it
        return None if not got["measures"] else f"{what}: compute has no such row: {got}"
    for part in ("end", "measures", "metrics"):
        if want[part] == got[part]:
            continue
        if part == "end":
            return f"{what}: end differs: compute {want[part]}, live {got[part]}"
        names = sorted(key for key in {**want[part], **got[part]} if want[part].get(key) != got[part].get(key))
        shown = "; ".join(f"{key}: compute {want[part].get(key)}, live {got[part].get(key)}" for key in names[:5])
        return f"{what}: {len(names)} {part} differ: {shown}"
    if want["window"] in CALENDAR and got["final"] is not True:
        return f"{what}: not final"
    return None


def main():
    parser = argparse.ArgumentParser()
    for option in ("esteem", "config", "socket", "brokers", "prefix"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--mapping")
    parser.add_argument("--offered", type=int)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()

    in_redis, on_topics = redis_rows(args), topic_rows(args)
    live = [("redis " + key.decode(), row) for key, row in in_redis.items()]
    live += [("topic " + "|".join(key), row) for key, row in on_topics.items()]
    instants = sorted({row["end"] for what, row in live if row["window"] not in CALENDAR and what.startswith("redis")})
    want = compute(args)
    calendar = dict(want)
    for at in instants:
        want.update(compute(args, at))

    faults, seen = [], 0
    for what, row in live:
        if what.startswith("topic") and row["window"] not in CALENDAR and row["end"] not in instants:
            continue  # a rolling row of an earlier instant, still on the topic
        fault = differs(want.get(name(row)), row, what)
        seen += 1
        faults += [fault] if fault else []
    for key, row in calendar.items():
        if key not in on_topics:
            faults.append(f"missing on the topics: {row}")
    if args.offered is not None:
        total = sum(row["measures"].get("offered", 0) for row in on_topics.values() if row["window"] == "month" and not row["scope"])
        faults += [] if total == args.offered else [f"offered: {total} instead of {args.offered}"]
    for fault in faults[:10]:
        print(fault[:400])
    print(f"{len(in_redis)} rows in Redis, {len(on_topics)} on topics, {len(calendar)} calendar rows of compute, "
          f"{seen} compared, {len(faults)} faults")
    if not in_redis or not on_topics:
        faults.append("no rows at all")
        print("no rows at all")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
