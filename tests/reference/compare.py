#!/usr/bin/env python3
"""compare.py A B [--ignore M1,M2] [--n]: compares two files of rows (SEMANTICS section 6).

Rows are the same by (tenant, scope, window, start); `revision` and `config` are left out. Measures and histograms must be
equal, metrics within 1e-6. --n also compares the metrics' `n` and `small`. Exit 1 when anything differs."""
import argparse
import json
import sys

FIELDS = ("v", "end", "final", "partial")
SHOWN = 20


def load(path):
    rows, order = {}, []
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.strip():
                o = json.loads(line)
                key = (o["tenant"], json.dumps(o["scope"], sort_keys=True, ensure_ascii=False), o["window"], o["start"])
                if key in rows:
                    order.append("%s: the row %s is there twice" % (path, key))
                rows[key] = o
    return rows, order


def near(x, y):
    if isinstance(x, (int, float)) and isinstance(y, (int, float)):
        return abs(x - y) <= 1.0000001e-6 + 1e-15 * max(abs(x), abs(y))
    return x == y


def row_differences(a, b, ignore, with_n):
    for k in FIELDS:
        if a.get(k) != b.get(k):
            yield k, a.get(k), b.get(k)
    x, y = a.get("measures", {}), b.get("measures", {})
    for k in sorted(x.keys() | y.keys()):
        if k not in ignore and x.get(k) != y.get(k):
            yield "measure " + k, x.get(k), y.get(k)
    x, y = a.get("histograms", {}), b.get("histograms", {})
    for h in sorted(x.keys() | y.keys()):
        if h not in ignore:
            p, q = x.get(h, {}), y.get(h, {})
            for low in sorted(p.keys() | q.keys(), key=lambda s: (len(s), s)):
                if p.get(low) != q.get(low):
                    yield "histogram %s[%s]" % (h, low), p.get(low), q.get(low)
    x, y = a.get("metrics", {}), b.get("metrics", {})
    names = ("value", "low", "high", "moe", "met") + (("n", "small") if with_n else ())
    for k in sorted(x.keys() | y.keys()):
        if k in ignore:
            continue
        if k not in x or k not in y:
            yield "metric " + k, x.get(k), y.get(k)
            continue
        for part in names:
            if not near(x[k].get(part), y[k].get(part)):
                yield "metric %s.%s" % (k, part), x[k].get(part), y[k].get(part)


def main(argv=None):
    p = argparse.ArgumentParser()
    p.add_argument("a")
    p.add_argument("b")
    p.add_argument("--ignore", default="", help="measures, metrics or histograms to leave out, with commas")
    p.add_argument("--n", action="store_true", help="compare the metrics' n and small as well")
    o = p.parse_args(argv)
    ignore = set(filter(None, o.ignore.split(",")))
    a, found = load(o.a)
    b, more = load(o.b)
    found += more
    per, count, same = {}, len(found), 0
    for key in sorted(a.keys() | b.keys(), key=lambda k: (k[3], k)):
        if key not in a or key not in b:
            row = a.get(key) or b.get(key)
            if all(m in ignore for m in row.get("measures", {})):
                continue                    # a row of nothing but what is left out
            diffs = [("row", "there" if key in a else None, "there" if key in b else None)]
        else:
            diffs = list(row_differences(a[key], b[key], ignore, o.n))
        same += not diffs
        for what, x, y in diffs:
            count += 1
            per[what.split("[")[0]] = per.get(what.split("[")[0], 0) + 1
            if len(found) < SHOWN:
                found.append("tenant=%s scope=%s window=%s start=%s: %s: %s | %s" % (*key, what, x, y))
    for line in found[:SHOWN]:
        print(line)
    print("%d rows | %d rows, %d the same, %d differences" % (len(a), len(b), same, count))
    if per:
        print("by kind: " + ", ".join("%s %d" % x for x in sorted(per.items(), key=lambda x: -x[1])[:30]))
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
