"""by_hand.py BY_HAND ROWS: figures worked out on paper, against rows. A line names a row and some of its figures:

    hour 2026-11-22T14:00:00Z queue=billing: offered 1, wait_ms 12000, handled -, csat 83.333333

`-` is absent; a metric's name means its value, `csat.low` (high, moe, n, band) another part of it; `all` is the scope []; a tenant other than
acme stands before the scope as tenant/scope. `no row` instead of figures: there is none. Lines that begin with # tell how the figures
come about."""
import json
import sys


def row_of(rows, window, start, scope):
    tenant, _, scope = scope.rpartition("/")
    want = {} if scope == "all" else dict(x.split("=", 1) for x in scope.split(","))
    found = [r for r in rows if r["window"] == window and r["start"] == start and r["tenant"] == (tenant or "acme") and r["scope"] == want]
    return found[0] if found else None


def value_of(row, name):
    if name in row["measures"]:
        return row["measures"][name]
    if name in row["metrics"]:
        return row["metrics"][name]["value"]
    name, _, part = name.rpartition(".") if "." in name else (name, "", "")
    return row["metrics"][name].get(part or "value") if name in row["metrics"] else None


def main():
    rows = [json.loads(line) for line in open(sys.argv[2], encoding="utf-8")]
    wrong = checked = 0
    for line in open(sys.argv[1], encoding="utf-8"):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        head, figures = line.rsplit(": ", 1)
        row = row_of(rows, *head.split(" ", 2))
        for figure in figures.split(", "):
            checked += 1
            name, want = figure.rsplit(" ", 1)
            if figure == "no row":
                good, got = row is None, "a row"
            else:
                got = value_of(row, name) if row else "no row"
                if isinstance(got, str):
                    good = got == want  # a band
                else:
                    good = got is None if want == "-" else got is not None and abs(got - float(want)) < 1e-6
            if not good:
                wrong += 1
                print("%s: %s, not %s" % (head, figure, got))
    print("%d figures, %d wrong" % (checked, wrong))
    return 1 if wrong or not checked else 0


sys.exit(main())
