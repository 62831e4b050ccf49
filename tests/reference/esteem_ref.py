#!/usr/bin/env python3
"""esteem_ref: a second implementation of `esteem compute`, from SEMANTICS alone.

    python3 esteem_ref.py --config FILE [--at TIME] [--refusals FILE] FILE...

Readings chosen where SEMANTICS leaves room:
 1. Lines are cut at \\n alone; a \\r is JSON white space, a line of only white space is `not_json`.
 2. RFC 3339: upper- and lower-case T and Z, no blank instead of T, `-00:00` allowed, offset to 23:59.
 3. CloudEvents: any present `specversion`; absent `data` is an empty object; `data` that is no object on an
    `interaction.*` is `missing_interaction` (tested first), elsewhere `bad_field`.
 4. `dims`: every value must be a string, named in the config or not; a name of the table whose value is absent is fine.
 5. An unpaired surrogate anywhere in the message is `not_json`; nesting of any depth is JSON.
 6. The same id of an interaction in a `completed` and in another event are two events, told apart by the version's being.
 7. `duplicate` counts only what has the same id (and version); a replaced or lower version counts as applied.
 8. Answers with `survey: x` and answers without `survey` but `id: x` do not replace each other; in facts without a record
    versions replace each other within that run of facts; outside any interaction, within the tenant.
 9. `ended_at` of a `completed` that leaves it out: the last lifecycle `ended` or `abandoned`, else its own `time`.
10. `offered_at + wait_ms` and `ended_at` in the rules of a `completed` use the record's (own, else lifecycle) values; "its
    own ended_at" of an abandonment is the given field alone; the abandonment of any record with a `completed` is that rule's.
11. A segment has every dimension that its `answered` names (not only agent and queue), else the interaction's.
12. `resumed` after the `held` of its instant is for holds alone; which of them names a dimension last keeps table order.
13. Talk of a lifecycle segment is end - start - hold before any clamp; then each is held to 0..31 d.
14. `wrapped`: the agent of a segment is that of its dimensions (so the interaction's, if its `answered` names none).
15. An `agent.*` event with an `interaction` is one of its facts (splits, precedence 3) and of the roster or states too.
16. An entry dimension `agent` of the entry facts: team and site there, roster at the fact naming the agent, else the
    interaction's if it has the same agent. Facts "up to" include all types.
17. A leg's `team`/`site` come from the roster only by its own `agent`; a leg's dimensions otherwise never from later facts.
18. fcr: two records of one id are two interactions; "its first fact" is of the facts left after replacement.
19. `removed` keeps the entry's team and site even if it names others; "the first after" is the first in order.
20. `agents_joined` of an `enrolled` without team: the roster's entry in force is that enrolment itself.
21. Employee measures that are hidden leave no row of their own.
22. Bands: with no upper limit and only with a csat; `comments`: the comment is not absent.
23. *_gap over one channel is 0; gap `n` is the number of channels; lifts' `n` is the sum of both.
24. `volume_change` compares the local start a week earlier; absent where that row has no `closed`.
25. Rolling windows see all of the input: a fact after T may change what lies before it.
26. A hour cut (half and quarter hours likewise) only at a transition that is not a whole number of hours.
27. A baseline's change in points for shares and scores, else in per cent; its own n does not matter, small is by the row's.
28. A goal's n is the metric's, of a measure the measure itself.
"""
import argparse
import gc
import json
import sys
from datetime import datetime, timedelta
from functools import lru_cache

import ref_config
from ref_events import Refused, parse_time, read
from ref_measures import Contributions
from ref_metrics import across, changes, goals, metrics
from ref_windows import Windows

def employee(name):
    return name.startswith(("esat", "enps", "employee_")) and name != "employee_survey_sent"


@lru_cache(maxsize=1 << 16)
def iso(ms):
    t = datetime(1970, 1, 1) + timedelta(milliseconds=ms)
    return t.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + (".%03d" % (ms % 1000) if ms % 1000 else "") + "Z"


def number(v):
    if isinstance(v, float):
        v = round(v, 6)
        if v == int(v):
            return int(v)
    return v


def read_files(paths, cfg, refusals=None):
    """-> (events in order of arrival, counts)"""
    events, seen, counts = [], set(), {"applied": 0, "duplicate": 0}
    for path in paths:
        with (sys.stdin.buffer if path == "-" else open(path, "rb")) as f:
            lines = f.read().split(b"\n")
        for n, raw in enumerate(lines, 1):
            if not raw:
                continue
            try:
                e = read(raw, cfg, len(events))
            except Refused as why:
                reason = str(why)
                counts[reason] = counts.get(reason, 0) + 1
                if refusals is not None:
                    refusals.write(json.dumps({"reason": reason, "line": n, "file": path}) + "\n")
                continue
            key = e.key()
            if key in seen:
                counts["duplicate"] += 1
                continue
            seen.add(key)
            counts["applied"] += 1
            events.append(e)
    return events, counts


def rows(events, cfg, at=None):
    """The rows, in order, as objects."""
    contributions = Contributions(events, cfg)
    win = Windows(cfg, contributions, at)
    memo = {}       # many rows hold the same integers, e.g. an hour of one agent's `ready`

    def figures(m, hist):
        if hist or len(m) > 12:
            return metrics(m, hist, cfg)
        key = tuple(sorted(m.items()))
        if key not in memo:
            memo[key] = metrics(m, hist, cfg)
        return dict(memo[key])

    before = {key[:3]: figures({k: v for k, v in c.m.items() if v}, c.hist) for key, c in win.baseline.items()}
    for (family, label), cells in win.cells.items():
        done = {}
        for key, c in cells.items():
            m = {k: v for k, v in c.m.items() if v}
            hidden = family == "rolling" or label not in ("day", "week", "month") or \
                m.get("employee_survey_answered", 0) < cfg.min_employees
            if hidden:
                m = {k: v for k, v in m.items() if not employee(k)}
            if any(k != "eligible_agents" for k in m):
                done[key] = (m, figures(m, c.hist))
        across(done, cfg, label if family == "calendar" else "", win.zone)
        for (tenant, i, values, start), (m, mets) in done.items():
            changes(mets, before.get((tenant, i, values), {}), cfg)
            goals(mets, m, cfg, cfg.scopes[i], values, label, start, cells[tenant, i, values, start].end)

        def order(key):
            return key[3], key[0], scope_text(cfg, key)

        for key in sorted(done, key=order):
            tenant, i, values, start = key
            m, mets = done[key]
            c = cells[key]
            out = {}
            for name in sorted(mets):
                x = {k: number(v) for k, v in mets[name].items()}
                alone = x.pop("alone", x["n"] < cfg.min_n)
                if alone and not x.pop("exact", False):
                    x["small"] = True
                out[name] = x
            final = family == "calendar"
            row = {"v": 1, "tenant": tenant, "scope": dict(zip(cfg.scopes[i], values)), "window": label,
                   "start": iso(start), "end": iso(c.end), "revision": 1 if final else 0, "final": final,
                   "partial": False, "config": "", "measures": {k: m[k] for k in sorted(m)}, "metrics": out}
            hist = {name: {str(low): h[low] for low in sorted(h)} for name, h in sorted(c.hist.items()) if h}
            if hist:
                row["histograms"] = hist
            yield row


def scope_text(cfg, key):
    return ",".join("%s=%s" % x for x in zip(cfg.scopes[key[1]], key[2]))


def main(argv=None):
    p = argparse.ArgumentParser(prog="esteem_ref")
    p.add_argument("--config", required=True)
    p.add_argument("--at")
    p.add_argument("--refusals")
    p.add_argument("files", nargs="+", metavar="FILE")
    a = p.parse_args(argv)
    gc.disable()            # nothing here is cyclic, and there are millions of objects
    cfg = ref_config.load(a.config)
    at = None
    if a.at is not None:
        at = parse_time(int(a.at) if a.at.isdigit() else a.at)
        if at is None:
            p.error("--at: no time: " + a.at)
    refusals = open(a.refusals, "w", encoding="utf-8") if a.refusals else None
    events, counts = read_files(a.files, cfg, refusals)
    if refusals:
        refusals.close()
    write = sys.stdout.write
    text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    for row in rows(events, cfg, at):
        write(text(row) + "\n")
    print(" ".join("%s=%d" % x for x in counts.items()), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    sys.exit(main())
