#!/usr/bin/env python3
"""esteem_ref: a second implementation of `esteem compute`, from SEMANTICS alone.

    python3 esteem_ref.py --config FILE [--at TIME] [--only-issue3] [--refusals FILE] FILE...

Readings chosen where SEMANTICS leaves room: see AMBIGUITIES in this file's end of header.
"""
import argparse
import json
import sys
from datetime import datetime, timedelta

import ref_config
from ref_events import Refused, parse_time, read
from ref_measures import Contributions
from ref_metrics import across, metrics
from ref_windows import Windows

# --only-issue3: one table, to be dropped later.
LATER_MEASURES = set("""fcr fcr_known ready_ms busy_ms wrap_state_ms away_ms segment_ms engaged_ms active_agents
    handling_agents eligible_agents first_response_n first_response_ms response_n response_ms agents_joined
    agents_left""".split())
ISSUE3_METRICS = set("""csat csat_mean nps ces_mean response_rate aht_ms talk_avg_ms hold_avg_ms wrap_avg_ms aht_p50_ms
    aht_p90_ms aht_p95_ms aht_p99_ms asa_ms wait_p90_ms service_level abandon_rate transfer_rate resolution_rate
    opportunity_rate usage_rate expected_opportunities""".split())


def employee(name):
    return name.startswith(("esat", "enps", "employee_")) and name != "employee_survey_sent"


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


def rows(events, cfg, at=None, only_issue3=False):
    """The rows, in order, as objects."""
    contributions = Contributions(events, cfg)
    win = Windows(cfg, contributions, at)
    for (family, label), cells in win.cells.items():
        done = {}
        for key, c in cells.items():
            m = {k: v for k, v in c.m.items() if v}
            hidden = family == "rolling" or label not in ("day", "week", "month") or \
                m.get("employee_survey_answered", 0) < cfg.min_employees
            if hidden:
                m = {k: v for k, v in m.items() if not employee(k)}
            if only_issue3:
                m = {k: v for k, v in m.items() if k not in LATER_MEASURES}
            if any(k != "eligible_agents" for k in m):
                done[key] = (m, metrics(m, c.hist, cfg))
        across(done, cfg, label if family == "calendar" else "", win.zone)

        def order(key):
            return key[3], key[0], scope_text(cfg, key)

        for key in sorted(done, key=order):
            tenant, i, values, start = key
            m, mets = done[key]
            c = cells[key]
            out = {}
            for name in sorted(mets):
                if only_issue3 and name not in ISSUE3_METRICS:
                    continue
                x = {k: number(v) for k, v in mets[name].items()}
                if x["n"] < cfg.min_n:
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
    p.add_argument("--only-issue3", action="store_true")
    p.add_argument("--refusals")
    p.add_argument("files", nargs="+", metavar="FILE")
    a = p.parse_args(argv)
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
    for row in rows(events, cfg, at, a.only_issue3):
        write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(" ".join("%s=%d" % x for x in counts.items()), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    sys.exit(main())
