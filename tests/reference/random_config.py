#!/usr/bin/env python3
"""random_config.py --seed N: a YAML configuration for a feed of random_feed.py."""
import argparse
import random

DIMS = ["site", "channel", "queue", "team", "agent", "brand", "language", "direction", "reason", "campaign", "element",
        "vip", "region"]
ZONES = {"acme": "Asia/Kolkata", "berlin co": "Europe/Berlin", "ny": "America/New_York", "howe": "Australia/Lord_Howe"}


def config(seed):
    r = random.Random("config %d" % seed)
    pick = r.choice
    scopes = [[], ["queue"], ["channel"], ["queue", "channel"], ["team"], ["agent"]]
    if seed % 4:
        scopes = r.sample(scopes, r.randrange(2, 6)) + [r.sample(DIMS, pick([1, 1, 2, 2, 3])) for _ in range(r.randrange(4))]
        if [] not in scopes and r.random() < 0.7:
            scopes.insert(0, [])
        seen, unique = set(), []
        for s in scopes:
            if frozenset(s) not in seen:
                seen.add(frozenset(s))
                unique.append(s)
        scopes = unique
    calendar = ["hour", "day", "week", "month"]
    if seed % 3 == 0:
        calendar = r.sample(calendar + ["quarter_hour", "half_hour"], r.randrange(1, 5))
    rolling = pick([["1m", "5m", "15m", "1h", "1d", "7d", "30d"], ["5m", "1h", "1d"], ["90s", "36h", "365d"], ["1h"]])
    rules = r.sample(["{match: {channel: email}, threshold: 4h}", "{match: {channel: chat}, threshold: 45s}",
                      "{match: {queue: billing, channel: voice}, threshold: 10s}",
                      '{match: {queue: "vip line"}, threshold: 0s}', "{match: {team: 'team:4'}, threshold: 500ms}",
                      "{match: {brand: b1}, threshold: 2m}"], pick([0, 0, 1, 2, 3]))
    tenants = {t: z for t, z in ZONES.items() if r.random() < 0.9}
    out = ["# random configuration %d" % seed,
           "windows: {rolling: [%s], calendar: [%s], timezone: %s}" % (
               ", ".join(rolling), ", ".join(calendar), pick(["UTC", "UTC", "Europe/London", "Asia/Kathmandu"])),
           "dimensions: [vip, region]",
           "scopes: [%s]" % ", ".join("[%s]" % ", ".join(s) for s in scopes),
           "metrics:",
           "  csat: {top_box: %d}" % pick([4, 4, 5, 3]),
           "  service_level: {threshold: %s, short_abandon: %s, abandons: %s, rules: [%s]}   # rules set the threshold" % (
               pick(["20s", "20s", "5m", "0s"]), pick(["5s", "5s", "30s", "0s"]),
               pick(["ignore_short", "negative", "positive", "ignore", "after_threshold"]), ", ".join(rules)),
           "  abandon: {exclude_short: %s}" % pick(["false", "true"]),
           "  survey: {attribution: %s}" % pick(["response", "interaction"]),
           "  aht_bands: [%s]" % ", ".join(pick([["3m", "6m", "10m"], ["1m"], ["30s", "5m", "20m", "2h"]])),
           "  opportunity: {assumed_rate: %s}" % pick(["0.15", "0.15", "0.4"]),
           "  fcr: {window: %s}" % pick(["7d", "7d", "1d", "36h"]),
           "  min_n: %d" % pick([10, 10, 3, 1]),
           "privacy: {min_employees: %d}" % pick([5, 5, 3, 1]),
           "time: {out_of_order: 10s, lateness: 10m, idle_after: 60s, skew: 5m}",
           "tenants:" if tenants else "tenants: {}"]
    for t, z in tenants.items():
        out.append("  %s: {timezone: %s}" % (t if " " not in t else '"%s"' % t, z))
    out += ["retention: {interaction: %s, correction: 8d, ids: 24h}" % pick(["7d", "7d", "3d", "1d"]),
            "limits: {keys: 100000, interactions: 10000000, message: 1MiB}"]
    return "\n".join(out + baseline(seed) + goals(seed, scopes, rolling + calendar)) + "\n"


METRICS = """csat nps csat_mean aht_ms aht_p90_ms service_level abandon_rate transfer_rate cost_per_contact usage_rate
    usage_vs_expected csat_lift aht_csat_r conversion_rate""".split()


def baseline(seed):
    r = random.Random("baseline %d" % seed)
    if seed % 4 == 3:
        return []
    first = r.randrange(17, 28)
    period = r.choice(["from: 2026-10-%02d, to: 2026-11-%02d" % (first, r.randrange(1, 8)),
                       "from: 2026-10-%02d, to: 2026-10-%02d" % (first, first + 2),
                       "from: 2026-10-%02dT13:30:07+02:00, to: 2026-11-02T01:00:00-05:00" % first])
    return ["baseline: {%s, metrics: [%s]}" % (period, ", ".join(r.sample(METRICS, r.randrange(1, 9))))]


def goals(seed, scopes, windows):
    r = random.Random("goals %d" % seed)
    out = ["goals:"] if seed % 5 else []
    for i in range(r.randrange(1, 7) if out else 0):
        scope = r.choice(scopes)
        what = r.choice(["metric: csat", "metric: nps", "metric: aht_ms", "metric: abandon_rate", "metric: usage_vs_expected",
                         "metric: talk_avg_ms, direction: down", "metric: opportunity_rate, direction: up", "metric: csat_gap",
                         "measure: uses, per: day, direction: up", "measure: use_cost, direction: down",
                         "measure: offered, direction: up"])
        if "csat_gap" in what and ("channel" in scope or set(scope) | {"channel"} not in map(set, scopes)):
            what = "metric: csat"
        match = ", match: {%s: %s}" % (scope[0], r.choice(["billing", "chat", "north"])) if scope and r.random() < 0.3 else ""
        out.append("  - {name: g%d, %s, scope: [%s]%s, window: %s, target: %s}" % (
            i, what, ", ".join(scope), match, r.choice(windows), r.choice(["50", "80", "200000" if "_ms" in what else "100", "0.5", "12"])))
    return out


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--seed", type=int, default=1)
    print(config(p.parse_args().seed), end="")
