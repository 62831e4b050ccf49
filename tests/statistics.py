"""statistics.py ESTEEM WORK: what `esteem compute` makes of seeded feeds, against numpy and statsmodels.

    answers    csat with Wilson's interval (statsmodels, method wilson), nps with its margin (numpy: deviation of +1, 0, -1)
    handles    percentiles of handle times and waits (numpy on the raw durations: rank ceil(p n), error at most 1.6 %)
    pairs      Pearson's r of handle time and CSAT (numpy on the raw pairs, not on sums)
    groups     csat_lift with Newcombe's interval (statsmodels, method newcomb)

Each case is a queue, so that one run of compute serves them all. A metric that metrics.def does not have yet is worked out by the
reference (tests/reference/ref_metrics.py) from the row's integers, and so at least those two are held against the libraries."""
import json
import os
import random
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "reference")  # and no longer this folder: Python has a module `statistics` of its own

import numpy
from scipy.stats import norm
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

import ref_metrics

Z = 1.959964                     # as SEMANTICS 5 spells it; the libraries take the alpha that belongs to it
ALPHA = 2 * norm.sf(Z)
PRINTED = 5.1e-7                 # rows are printed with six decimals
START = 1795305600000            # 2026-11-22T00:00:00Z
CONFIG = "windows: {rolling: [], calendar: [day]}\nscopes: [[queue]]\nmetrics: {min_n: 1}\n"
with open(os.path.join(HERE, "..", "include", "esteem", "metrics.def"), encoding="utf-8") as table:
    IN_ENGINE = set(re.findall(r"^METRIC\((\w+),", table.read(), re.M))


class Feed:
    """Lines of the feed, and per case (queue) what must come of it: a function of the row that yields what is wrong."""

    def __init__(self, seed):
        self.rng, self.lines, self.cases = random.Random(seed), [], []

    def case(self, name, check):
        self.cases.append((name, check))
        return "case%d" % (len(self.cases) - 1)

    def put(self, typ, at=0, **fields):
        self.lines.append(json.dumps({"id": "e%d" % len(self.lines), "type": typ, "time": START + 36000000 + at, **fields}))

    def contact(self, queue, handle_ms, wait_ms=0):
        """A whole record, its handle time split at random; -> the contact's name."""
        name = "i%d" % len(self.lines)
        wrap = self.rng.randint(0, handle_ms)
        hold = self.rng.randint(0, handle_ms - wrap)
        self.put("interaction.completed", interaction=name, queue=queue, answered_at=START + 3600000, wait_ms=wait_ms,
                 talk_ms=handle_ms - wrap - hold, hold_ms=hold, wrap_ms=wrap)
        return name


def differs(name, got, want, within=PRINTED):
    if got is None or abs(got - want) > within * max(1, abs(want) * 1e-9):
        yield "%s is %r, not %.9f" % (name, got, want)


# ---- answers ----

def answers(feed, name, csat, nps):
    def check(row):
        top = sum(score >= 4 for score in csat)
        low, high = proportion_confint(top, len(csat), alpha=ALPHA, method="wilson")
        got = row["metrics"]["csat"]
        yield from differs("csat", got["value"], 100 * top / len(csat))
        yield from differs("csat.low", got["low"], 100 * low)
        yield from differs("csat.high", got["high"], 100 * high)
        yield from differs("csat_mean", row["metrics"]["csat_mean"]["value"], numpy.mean(csat))
        worth = numpy.array([1 if score >= 9 else -1 if score <= 6 else 0 for score in nps])
        got = row["metrics"]["nps"]
        yield from differs("nps", got["value"], 100 * worth.mean())
        yield from differs("nps.moe", got["moe"], 100 * Z * worth.std() / len(nps) ** 0.5)

    queue = feed.case("csat and nps of %d answers, %s" % (len(csat), name), check)
    for c, n in zip(csat, nps):
        feed.put("survey.answered", queue=queue, csat=c, nps=n)


def all_answers(feed):
    r = feed.rng
    for n in (1, 2, 3, 10, 97, 1000, 6000):
        for name, csat, nps in (("all satisfied, all promoters", (4, 5), (9, 10)),
                                ("none satisfied, all detractors", (1, 3), (0, 6)),
                                ("all the same, all passives", (5, 5), (7, 8)), ("mixed", (1, 5), (0, 10))):
            answers(feed, name, [r.randint(*csat) for _ in range(n)], [r.randint(*nps) for _ in range(n)])
        share = r.random()
        answers(feed, "%.0f %% satisfied" % (100 * share), [5 if r.random() < share else 2 for _ in range(n)],
                [10 if r.random() < share else 3 for _ in range(n)])


# ---- handle times and waits ----

def percentile_differs(name, got, raw, percent):
    ordered = numpy.sort(raw)
    want = int(ordered[(percent * len(raw) + 99) // 100 - 1])
    # numpy's own rank rule, asked a hair below p: p n in floating point may pass a whole number that it should meet.
    if int(numpy.percentile(raw, percent - 1e-9, method="inverted_cdf")) != want:
        yield "%s: numpy takes another rank" % name
    if got is None or abs(got - want) > 0.016 * want:
        yield "%s is %r, the raw one %d" % (name, got, want)


def handles(feed, name, handle, wait):
    def check(row):
        def value(metric):
            return row["metrics"].get(metric, {}).get("value")
        for percent in (50, 90, 95, 99):
            yield from percentile_differs("aht_p%d_ms" % percent, value("aht_p%d_ms" % percent), handle, percent)
        yield from percentile_differs("wait_p90_ms", value("wait_p90_ms"), wait, 90)
        yield from differs("aht_ms", value("aht_ms"), numpy.mean(handle))
        yield from differs("asa_ms", value("asa_ms"), numpy.mean(wait))

    queue = feed.case("percentiles of %d durations, %s" % (len(handle), name), check)
    for h, w in zip(handle, wait):
        feed.contact(queue, h, w)


def all_handles(feed):
    r = feed.rng
    shapes = {
        "all equal": lambda i, n: 123457,
        "lognormal": lambda i, n: min(int(r.lognormvariate(12.5, 0.8)), 86400000),
        "0 to 63 ms, where buckets are exact": lambda i, n: r.randint(0, 63),
        "two humps": lambda i, n: r.randint(5000, 9000) if r.random() < 0.9 else r.randint(1800000, 3600000),
        "on the buckets' edges": lambda i, n: max(2 ** r.randint(6, 25) + r.randint(-1, 1), 0),
        "up to 31 days": lambda i, n: int(31 * 86400000 * r.random() ** 6),
    }
    for n in (1, 2, 3, 10, 99, 100, 101, 1000, 6000):
        for name, shape in shapes.items():
            handles(feed, name, [shape(i, n) for i in range(n)], [shape(i, n) for i in range(n)])
        if n <= 101:  # neighbours 15 % apart: a rank beside the right one is seen
            steps = [[int(200 * 1.15 ** i) for i in range(n)] for _ in range(2)]
            for values in steps:
                r.shuffle(values)
            handles(feed, "each 15 % above the one before", *steps)


# ---- pairs of handle time and CSAT ----

def pairs(feed, name, ms, csat):
    def check(row):
        x, y = numpy.array(ms) // 1000, numpy.array(csat)  # SEMANTICS 3: whole seconds
        got = [("the reference's", ref_metrics.metrics(row["measures"], {}, Config).get("aht_csat_r"), 1e-9)]
        if "aht_csat_r" in IN_ENGINE:
            got.append(("the row's", row["metrics"].get("aht_csat_r"), PRINTED))
        for whose, metric, within in got:
            if len(x) < 3 or x.std() == 0 or y.std() == 0:
                if metric is not None:
                    yield "%s r is %r, and there is none" % (whose, metric)
                continue
            r = numpy.corrcoef(x, y)[0, 1]
            yield from differs(whose + " r", metric and metric["value"], r, within)
            if len(x) >= 1000 and x.std() > 60:  # what the cut to seconds costs
                yield from differs(whose + " r against ms", metric and metric["value"], numpy.corrcoef(ms, csat)[0, 1], 1e-3)

    queue = feed.case("Pearson's r of %d pairs, %s" % (len(ms), name), check)
    for x, y in zip(ms, csat):
        feed.put("survey.answered", interaction=feed.contact(queue, x), csat=y)


class Config:
    """The settings that the reference's metrics ask for."""
    exclude_short, abandons, assumed_rate = False, "ignore_short", 0.15


def all_pairs(feed):
    r = feed.rng

    def csat_of(ms, noise):
        return min(5, max(1, round(5 - ms / 180000 + r.gauss(0, noise))))

    for n in (1, 2, 3, 4, 30, 1000, 6000):
        spread = [r.randint(20000, 900000) for _ in range(n)]
        pairs(feed, "longer is worse", spread, [csat_of(x, 0.7) for x in spread])
        pairs(feed, "unrelated", spread, [r.randint(1, 5) for _ in range(n)])
        pairs(feed, "one handle time", [300000] * n, [r.randint(1, 5) for _ in range(n)])
        pairs(feed, "one score", spread, [4] * n)
        scores = [1 + i % 5 for i in range(n)]
        pairs(feed, "on a falling line", [600000 - 60000 * y for y in scores], scores)
        pairs(feed, "on a rising line", [60000 * y for y in scores], scores)
    far = [86400000 - r.randint(0, 3000) for _ in range(1000)]
    pairs(feed, "a day long and seconds apart", far, [1 + (x // 1000) % 5 for x in far])


# ---- contacts with the program used, and with the moment missed ----

def groups(feed, used, missed, known=None):
    (k1, n1), (k2, n2) = used, missed

    def check(row):
        m = row["measures"]
        counts = [m.get(name, 0) for name in ("csat_used_top", "csat_used_n", "csat_missed_top", "csat_missed_n")]
        if counts != [k1, n1, k2, n2]:
            yield "the row counts %r" % counts
        low, high = confint_proportions_2indep(k1, n1, k2, n2, compare="diff", method="newcomb", alpha=ALPHA)
        # Newcombe (1998), method 10, is the one of SEMANTICS: no continuity correction; a low bound is paired with a high one.
        (l1, u1), (l2, u2) = (proportion_confint(k, n, alpha=ALPHA, method="wilson") for k, n in (used, missed))
        p1, p2 = k1 / n1, k2 / n2
        yield from differs("newcomb, low", low, p1 - p2 - ((p1 - l1) ** 2 + (u2 - p2) ** 2) ** 0.5, 1e-12)
        yield from differs("newcomb, high", high, p1 - p2 + ((u1 - p1) ** 2 + (p2 - l2) ** 2) ** 0.5, 1e-12)
        for name, got, want in zip(("low", "high"), (low, high), known or ()):
            yield from differs("newcomb, %s as published" % name, got, want, 5e-5)
        got = [("the reference's", ref_metrics.metrics(m, {}, Config).get("csat_lift", {}), 1e-9)]
        if "csat_lift" in IN_ENGINE:
            got.append(("the row's", row["metrics"].get("csat_lift", {}), PRINTED))
        for whose, lift, within in got:
            for part, want in (("value", p1 - p2), ("low", low), ("high", high)):
                yield from differs("%s csat_lift, %s" % (whose, part), lift.get(part), 100 * want, within)

    queue = feed.case("csat lift of %d of %d against %d of %d" % (*used, *missed), check)
    for typ, (k, n) in (("program.used", used), ("opportunity.seen", missed)):
        for i in range(n):
            contact = feed.contact(queue, 60000)
            feed.put(typ, interaction=contact)
            feed.put("survey.answered", interaction=contact, csat=feed.rng.randint(4, 5) if i < k else feed.rng.randint(1, 3))


def all_groups(feed):
    r = feed.rng
    for n1, n2 in ((1, 1), (5, 5), (7, 90), (300, 280), (3000, 1500)):
        a, b = r.randint(0, n1), r.randint(0, n2)
        for k1, k2 in sorted({(n1, n2), (0, 0), (n1, 0), (0, n2), (a, b)}):
            groups(feed, (k1, n1), (k2, n2))
    groups(feed, (56, 70), (48, 80), known=(0.0524, 0.3339))  # the first example of Newcombe's paper


# ---- the run ----

def main():
    esteem, work = sys.argv[1:3]
    for seed in (1, 2):
        feed = Feed(seed)
        for part in (all_answers, all_handles, all_pairs, all_groups):
            part(feed)
        feed.rng.shuffle(feed.lines)
        paths = [os.path.join(work, name) for name in ("config.yaml", "feed.jsonl")]
        for path, text in zip(paths, (CONFIG, "\n".join(feed.lines) + "\n")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        run = subprocess.run([esteem, "compute", "--config", *paths], stdout=subprocess.PIPE, text=True, check=True)
        rows = {row["scope"]["queue"]: row for row in map(json.loads, run.stdout.splitlines())
                if row["start"].startswith("2026-11-22")}
        for number, (name, check) in enumerate(feed.cases):
            row = rows.get("case%d" % number)
            wrong = ["there is no row"] if row is None else list(check(row))
            print("%s - seed %d: %s" % ("not ok" if wrong else "ok", seed, name))
            for line in wrong:
                print("    " + line)


main()
