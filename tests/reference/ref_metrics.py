"""Metrics of a row's integers (SEMANTICS section 5)."""
from math import sqrt

from ref_windows import bucket_value

Z = 1.959964


def wilson(k, n):
    """-> (low, high) in per cent."""
    p, z2 = k / n, Z * Z
    mid = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return 100 * (mid - half), 100 * (mid + half)


def percentile(hist, p):
    n = sum(hist.values())
    rank, seen = (p * n + 99) // 100, 0
    for low in sorted(hist):
        seen += hist[low]
        if seen >= rank:
            return bucket_value(low)


def service_level(m, policy):
    """-> (in, denominator)"""
    g = m.get
    a, b, good = g("wait_n", 0), g("abandoned", 0), g("answered_in_sl", 0)
    if policy == "negative":
        return good, a + b
    if policy == "positive":
        return good + g("abandoned_in_sl", 0), a + b
    if policy == "ignore":
        return good, a
    if policy == "after_threshold":
        return good, a + b - g("abandoned_in_sl", 0)
    return good, a + b - g("abandoned_short", 0)


def metrics(m, hist, cfg):
    """-> {name: {"value", "n", ...}} unrounded, of one row alone."""
    out = {}

    def g(name):
        return m.get(name, 0)

    def put(name, top, n, scale=1, count=None, **more):
        if n:
            out[name] = dict({"value": scale * top / n, "n": n if count is None else count}, **more)

    def score(name, top, n):
        if n:
            low, high = wilson(top, n)
            put(name, top, n, 100, low=low, high=high)

    def net(name, pro, det, n):
        if n:
            p, d = pro / n, det / n
            put(name, pro - det, n, 100, moe=100 * Z * sqrt(max((p + d - (p - d) ** 2) / n, 0)))

    if "csat_n" in m or "nps_n" in m:
        score("csat", g("csat_top"), g("csat_n"))
        put("csat_mean", g("csat_sum"), g("csat_n"))
        net("nps", g("nps_promoters"), g("nps_detractors"), g("nps_n"))
        lifts(g, out)
        correlation(g, out)
    if "esat_n" in m or "enps_n" in m:
        score("esat", g("esat_top"), g("esat_n"))
        put("esat_mean", g("esat_sum"), g("esat_n"))
        net("enps", g("enps_promoters"), g("enps_detractors"), g("enps_n"))
    put("ces_mean", g("ces_sum"), g("ces_n"))
    put("response_rate", g("survey_answered"), g("survey_sent"), 100)
    put("comment_rate", g("comments"), g("survey_answered"), 100)
    handled, closed = g("handled"), g("closed")
    if handled:
        put("aht_ms", g("talk_ms") + g("hold_ms") + g("wrap_ms"), handled)
        for part in ("talk", "hold", "wrap"):
            put(part + "_avg_ms", g(part + "_ms"), handled)
        put("hold_rate", g("held"), handled, 100)
        put("hold_held_avg_ms", g("hold_ms"), g("held"))
        if g("segment_ms") and g("engaged_ms"):
            put("concurrent_aht_ms", out["aht_ms"]["value"] / (g("segment_ms") / g("engaged_ms")), 1, 1, handled)
    for name, which, ps in (("aht_p%d_ms", "handle", (50, 90, 95, 99)), ("wait_p%d_ms", "wait", (90,))):
        h = hist.get(which)
        if h:
            for p in ps:
                out[name % p] = {"value": percentile(h, p), "n": sum(h.values())}
    put("asa_ms", g("wait_ms"), g("wait_n"))
    put("abandon_wait_avg_ms", g("abandon_wait_ms"), g("abandon_wait_n"))
    put("abandon_rate", g("abandoned") - (g("abandoned_short") if cfg.exclude_short else 0), g("offered"), 100)
    put("service_level", *service_level(m, cfg.abandons), 100)
    if closed:
        put("conversation_aht_ms", g("conversation_ms"), g("conversed"))
        put("transfer_rate", g("transferred"), closed, 100)
        put("transfers_per_contact", g("transfers"), closed)
        put("repeat_id_rate", g("repeat_ids"), closed)
        put("restatement_rate", g("restatements"), closed)
        put("resolution_rate", g("resolved"), g("resolved_known"), 100)
        put("fcr_rate", g("fcr"), g("fcr_known"), 100)
        put("containment", g("contained"), g("self_service"), 100)
        put("cost_per_contact", g("cost") + g("use_cost"), closed)
        put("cost_per_resolution", g("cost") + g("use_cost"), g("resolved"))
        put("opportunity_rate", g("opportunities"), closed, 100)
        out["expected_opportunities"] = {"value": closed * cfg.assumed_rate, "n": closed}
        put("usage_vs_expected", g("uses"), closed * cfg.assumed_rate, 100, closed)
        put("conversion_rate", g("converted"), closed, 100)
        put("value_per_contact", g("conversion_value") + g("offer_value"), closed)
    put("usage_rate", g("uses"), g("opportunities"), 100)
    put("adoption", g("active_agents"), g("eligible_agents"), 100)
    for k in ("upsell", "cross_sell", "save"):
        put(k + "_rate", g(k + "_accepted"), g(k + "_offers"), 100)
    put("retention", g("customers_kept"), g("customers_kept") + g("customers_lost"), 100)
    busy = g("busy_ms") + g("wrap_state_ms")
    put("occupancy", busy, busy + g("ready_ms"), 100)
    put("concurrency", g("segment_ms"), g("engaged_ms"))
    if "leg_offered" in m or "leg_answered" in m or "leg_abandoned" in m:
        legs = g("leg_answered") + g("leg_abandoned")
        put("leg_service_level", g("leg_in_sl"), legs, 100)
        put("leg_asa_ms", g("leg_wait_ms"), g("leg_answered"))
        put("leg_abandon_rate", g("leg_abandoned"), g("leg_offered"), 100)
    put("first_response_avg_ms", g("first_response_ms"), g("first_response_n"))
    put("response_avg_ms", g("response_ms"), g("response_n"))
    put("turnover", g("agents_left"), g("eligible_agents"), 100)
    put("spend_per_agent", g("use_cost"), g("active_agents"))
    return out


def lifts(g, out):
    a, b = g("csat_used_n"), g("csat_missed_n")
    if a and b:
        p1, p2 = 100 * g("csat_used_top") / a, 100 * g("csat_missed_top") / b
        (l1, u1), (l2, u2) = wilson(g("csat_used_top"), a), wilson(g("csat_missed_top"), b)
        out["csat_lift"] = {"value": p1 - p2, "n": a + b,
                            "low": p1 - p2 - sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2),
                            "high": p1 - p2 + sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2)}
        if p2:
            out["csat_lift_ratio"] = {"value": p1 / p2, "n": a + b}
    a, b = g("nps_used_n"), g("nps_missed_n")
    if a and b:
        out["nps_lift"] = {"value": 100 * (g("nps_used_promoters") - g("nps_used_detractors")) / a
                           - 100 * (g("nps_missed_promoters") - g("nps_missed_detractors")) / b, "n": a + b}
    a, b = g("csat_unscripted_n"), g("csat_scripted_n")
    if a and b:
        out["scripted_csat_gap"] = {"value": 100 * g("csat_unscripted_top") / a - 100 * g("csat_scripted_top") / b,
                                    "n": a + b}


def correlation(g, out):
    n = g("ac_n")
    if n >= 3:
        vx, vy = n * g("ac_xx") - g("ac_x") ** 2, n * g("ac_yy") - g("ac_y") ** 2
        if vx > 0 and vy > 0:
            r = (n * g("ac_xy") - g("ac_x") * g("ac_y")) / (sqrt(vx) * sqrt(vy))
            out["aht_csat_r"] = {"value": r, "n": n}


GAPS = {"csat_gap": "csat", "nps_gap": "nps", "aht_gap_ms": "aht_ms", "sl_gap": "service_level"}


def across(rows, cfg, kind, zone_of):
    """Metrics that need other rows of the same kind of window.

    rows: {(tenant, scope number, key, start): (measures, metrics)}; adds to the metrics."""
    order = [frozenset(s) for s in cfg.scopes]
    with_channel, single = {}, None
    for i, s in enumerate(order):
        if s == {"channel"}:
            single = i
        if "channel" not in s and s | {"channel"} in order:
            with_channel[i] = order.index(s | {"channel"})
    finer, channels = {}, {}
    for (tenant, j, key, start), (m, mets) in rows.items():
        if j in with_channel.values():
            rest = frozenset((d, v) for d, v in zip(cfg.scopes[j], key) if d != "channel")
            finer.setdefault((tenant, j, rest, start), []).append(mets)
        if j == single:
            channels.setdefault((tenant, start), []).append((key, m))
    for (tenant, i, key, start), (m, mets) in rows.items():
        if i in with_channel:
            group = finer.get((tenant, with_channel[i], frozenset(zip(cfg.scopes[i], key)), start), ())
            for gap, base in GAPS.items():
                vals = [x[base]["value"] for x in group if base in x and x[base]["n"] >= cfg.min_n]
                if vals:
                    mets[gap] = {"value": max(vals) - min(vals), "n": len(vals), "alone": len(vals) == 1}
        if i == single and m.get("closed"):
            others = [x for k, x in channels[(tenant, start)] if k != key]
            n = sum(x.get("closed", 0) for x in others)
            if n:
                mets["conversion_lift"] = {
                    "value": 100 * m.get("converted", 0) / m["closed"]
                    - 100 * sum(x.get("converted", 0) for x in others) / n, "n": m["closed"]}
        if kind in ("hour", "day", "week"):
            z = zone_of(tenant)
            before = rows.get((tenant, i, key, z.week_earlier(kind, start)))
            was = before[0].get("closed", 0) if before else 0
            if was:
                mets["volume_change"] = {"value": 100 * (m.get("closed", 0) - was) / was, "n": m.get("closed", 0)}


# Of these a change is told in per cent of what was, of all others (shares and scores) in points.
RELATIVE = set("""csat_mean ces_mean aht_csat_r conversation_aht_ms transfers_per_contact repeat_id_rate restatement_rate
    cost_per_contact cost_per_resolution expected_opportunities csat_lift_ratio value_per_contact concurrency
    spend_per_agent""".split())


def changes(mets, before, cfg):
    """Adds <metric>_change to a row's metrics; before: those of the baseline's integers."""
    for name in cfg.baseline_metrics:
        if name in mets and name in before:
            now, was = mets[name]["value"], before[name]["value"]
            relative = name in RELATIVE or name.endswith("_ms")
            if was or not relative:
                mets[name + "_change"] = {"value": 100 * (now - was) / was if relative else now - was, "n": mets[name]["n"]}


# Less is better of these; of a metric in neither, and of a measure, the goal says so.
DOWN = set("""aht_csat_r conversation_aht_ms hold_rate abandon_rate transfer_rate transfers_per_contact repeat_id_rate restatement_rate
    cost_per_contact cost_per_resolution leg_abandon_rate csat_gap nps_gap sl_gap""".split()) - {"aht_csat_r"}


def goals(mets, m, cfg, scope, values, label, start, end):
    """Adds goal.<name> to a row's metrics; scope and values: the row's dimensions."""
    here = dict(zip(scope, values))
    for g in cfg.goals:
        if set(g.get("scope") or []) != set(scope) or g["window"] != label or \
                any(here.get(d) != str(v) for d, v in (g.get("match") or {}).items()):
            continue
        name = g.get("metric")
        if name and name not in mets:
            continue
        if name:
            value, n = mets[name]["value"], mets[name]["n"]
        else:
            value = n = m.get(g["measure"], 0)
            if g.get("per"):
                days = (end - start) / 86400000
                value /= round(days) if label in ("day", "week", "month") else days
        down = g.get("direction") == "down" or name in DOWN or bool(name) and name.endswith("_ms") and not g.get("direction")
        target = g["target"]
        mets["goal." + g["name"]] = {"value": 100 * value / target, "n": n, "met": value <= target if down else value >= target}
        if name and "alone" in mets[name]:
            mets["goal." + g["name"]]["alone"] = mets[name]["alone"]
        if not name:
            mets["goal." + g["name"]]["exact"] = True   # a count is never small
