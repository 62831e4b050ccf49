"""Hand-worked cases. Run: python3 -m unittest test_reference (in this folder)."""
import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import esteem_ref
from ref_config import Config, parse
from ref_events import Refused, parse_time, read
from ref_metrics import metrics, percentile, service_level, wilson
from ref_windows import bucket, bucket_value
from ref_xxh3 import xxh3_64
from ref_zones import zone

BASE = "2026-11-22T14:00:00Z"


def ev(t, typ, eid, **f):
    """t: seconds after BASE, or a time."""
    if isinstance(t, (int, float)):
        t = parse_time(BASE) + int(t * 1000)
    return dict({"id": eid, "type": typ, "time": t, "interaction": "i"}, **f)


def run(events, tree=None, at=None, **kw):
    cfg = Config(tree)
    got = [read(json.dumps(e).encode(), cfg, i) for i, e in enumerate(events)]
    uniq = {}
    for e in got:
        uniq.setdefault(e.key(), e)
    at = parse_time(at) if at else None
    return list(esteem_ref.rows(list(uniq.values()), cfg, at, **kw))


def find(rows, window="day", scope=None, start=None):
    for r in rows:
        if r["window"] == window and r["scope"] == (scope or {}) and (start is None or r["start"] == start):
            return r
    return {"measures": {}, "metrics": {}}


def lifecycle():
    return [ev(0, "interaction.offered", "1"), ev(12, "interaction.answered", "2", agent="a", queue="billing"),
            ev(252, "interaction.ended", "3")]


class Basics(unittest.TestCase):
    def test_worked_example(self):
        want = {"offered": 1, "answered": 1, "wait_n": 1, "wait_ms": 12000, "answered_in_sl": 1, "handled": 1,
                "talk_ms": 240000, "closed": 1, "conversation_ms": 240000}
        m = find(run(lifecycle()), "hour", {"queue": "billing"})["measures"]
        self.assertEqual({k: m.get(k) for k in want}, want)
        rows = run(lifecycle() + [ev("2026-11-22T15:00:02Z", "interaction.wrapped", "4")])
        m = find(rows, "hour", {"queue": "billing"}, "2026-11-22T14:00:00Z")["measures"]
        self.assertNotIn("handled", m)
        self.assertNotIn("talk_ms", m)
        self.assertEqual(m["conversation_ms"], 3590000)
        m = find(rows, "hour", {"queue": "billing"}, "2026-11-22T15:00:00Z")["measures"]
        self.assertEqual((m["handled"], m["talk_ms"], m["wrap_ms"]), (1, 240000, 3350000))

    def test_wilson(self):
        low, high = wilson(10, 12)
        self.assertAlmostEqual(low, 55.196914, 6)
        self.assertAlmostEqual(high, 95.303486, 6)

    def test_service_level(self):
        m = {"wait_n": 10, "answered_in_sl": 8, "abandoned": 5, "abandoned_short": 1, "abandoned_in_sl": 3}
        got = {p: service_level(m, p) for p in ("negative", "positive", "ignore", "ignore_short", "after_threshold")}
        self.assertEqual(got, {"negative": (8, 15), "positive": (11, 15), "ignore": (8, 10), "ignore_short": (8, 14),
                               "after_threshold": (8, 12)})

    def test_nps(self):
        x = metrics({"nps_n": 10, "nps_promoters": 6, "nps_detractors": 2}, {}, Config())["nps"]
        self.assertAlmostEqual(x["value"], 40)
        self.assertAlmostEqual(x["moe"], 100 * 1.959964 * ((0.8 - 0.16) / 10) ** 0.5)

    def test_histogram(self):
        self.assertEqual([bucket(v) for v in (0, 63, 64, 65, 66, 127, 128, 131, 132, 12000)],
                         [0, 63, 64, 64, 66, 126, 128, 128, 132, 11776])
        self.assertEqual([bucket_value(v) for v in (63, 64, 128, 11776)], [63, 65, 130, 11904])
        self.assertEqual(percentile({1: 9, 5: 1}, 90), 1)
        self.assertEqual(percentile({1: 9, 5: 2}, 90), 5)

    def test_xxh3(self):
        self.assertEqual(xxh3_64(b""), 3244421341483603138)
        self.assertEqual(xxh3_64(b"e1"), 2269290854245001967)
        self.assertEqual(xxh3_64(b"abcdefghi" * 10), 11383627649909301028)
        self.assertEqual(xxh3_64(b"abcdefghi" * 20), 13692593763204424420)
        self.assertEqual(xxh3_64(bytes(range(250))), 4181559756778549411)

    def test_yaml(self):
        t = parse("a: {b: [1m, {c: 'x: y'}], d: ~}  # c\nlist:\n  - k: 1\n    l: true\n  - [2]\n\"q q\":\n  z: 1.5\n")
        self.assertEqual(t, {"a": {"b": ["1m", {"c": "x: y"}], "d": None}, "list": [{"k": 1, "l": True}, [2]],
                             "q q": {"z": 1.5}})

    def test_refusals(self):
        cfg = Config({"limits": {"message": 200}})
        ok = '"id":"a","time":"2026-01-01T00:00:00Z"'
        for want, raw in [
                ("too_large", "x" * 201), ("not_json", '{"id":NaN}'), ("not_json", '["\\ud800"]'),
                ("not_an_object", "[]"), ("missing_id", '{"id":""}'), ("missing_type", '{"id":5}'),
                ("unknown_type", '{"id":"a","type":5}'), ("missing_time", '{"id":"a","type":"program.used","time":null}'),
                ("bad_time", '{"id":"a","type":"program.used","time":1761350400}'),
                ("bad_time", '{"id":"a","type":"program.used","time":"2026-01-01T00:00:60Z"}'),
                ("missing_interaction", '{%s,"type":"interaction.held","queue":5}' % ok),
                ("bad_field", '{%s,"type":"offer.made"}' % ok), ("bad_field", '{%s,"type":"program.used","cost":1.0}' % ok),
                ("bad_field", '{%s,"type":"survey.answered","csat":9,"nps":"x"}' % ok),
                ("out_of_range", '{%s,"type":"survey.answered","csat":9}' % ok)]:
            with self.assertRaises(Refused) as c:
                read(raw.encode(), cfg, 0)
            self.assertEqual(str(c.exception), want, raw)
        self.assertEqual(read(('{%s,"type":"interaction.offered","interaction":"i","csat":"x"}' % ok).encode(), cfg, 0).f, {})

    def test_time(self):
        self.assertEqual(parse_time("1970-01-01T00:30:00+00:30"), 0)
        self.assertEqual(parse_time("2026-01-01T00:00:00.1239Z"), 1767225600123)
        self.assertIsNone(parse_time("1970-01-01T00:00:00+00:30"))
        self.assertIsNone(parse_time(True))


class Zones(unittest.TestCase):
    def hours(self, name, kind, t):
        a, b = zone(name).window(kind, parse_time(t))
        return (b - a) / 3600000

    def test_days(self):
        self.assertEqual(self.hours("Europe/Berlin", "day", "2026-03-29T12:00:00Z"), 23)
        self.assertEqual(self.hours("Europe/Berlin", "day", "2026-10-25T12:00:00Z"), 25)
        self.assertEqual(self.hours("Europe/Berlin", "week", "2026-10-25T12:00:00Z"), 169)
        self.assertEqual(self.hours("America/New_York", "month", "2026-11-09T12:00:00Z"), 721)
        self.assertEqual(self.hours("Africa/Cairo", "day", "2026-04-24T12:00:00Z"), 23)     # no midnight that day

    def test_lord_howe(self):
        self.assertEqual(self.hours("Australia/Lord_Howe", "hour", "2026-04-04T14:59:59Z"), 1)
        self.assertEqual(self.hours("Australia/Lord_Howe", "hour", "2026-04-04T15:00:00Z"), 0.5)
        self.assertEqual(self.hours("Australia/Lord_Howe", "hour", "2026-04-04T15:30:00Z"), 1)
        self.assertEqual(self.hours("Australia/Lord_Howe", "hour", "2026-10-03T15:30:00Z"), 0.5)
        self.assertEqual(self.hours("Asia/Kolkata", "hour", "2026-10-03T15:30:00Z"), 1)


class Records(unittest.TestCase):
    def day(self, events, tree=None, scope=None):
        return find(run(events, tree), "day", scope)["measures"]

    def test_versions(self):
        def done(v, talk, eid, **f):
            return ev(500, "interaction.completed", eid, version=v, talk_ms=talk, **f)
        for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
            evs = [done(0, 1000, "c", queue="x"), done(2, 3000, "c", hold_ms=5), done(1, 2000, "d")]
            m = self.day([evs[i] for i in order])
            self.assertEqual((m["handled"], m["talk_ms"], m["hold_ms"], m["held"]), (1, 3000, 5, 1))
            self.assertNotIn("wait_n", m)
            self.assertEqual(self.day([evs[i] for i in order], scope={"queue": "x"}), {})

    def test_completed_takes_what_it_leaves_out(self):
        m = self.day([ev(0, "interaction.offered", "1"), ev(5, "interaction.identified", "2"),
                      ev(6, "interaction.identified", "3"), ev(50, "interaction.ended", "4", resolved=True, cost=7),
                      ev(90, "interaction.completed", "5", answered_at=parse_time(BASE) + 10000, hold_ms=4000)])
        self.assertEqual((m["wait_ms"], m["talk_ms"], m["hold_ms"], m["repeat_ids"], m["resolved"], m["cost"]),
                         (10000, 36000, 4000, 1, 1, 7))

    def test_split(self):
        day = 86400
        evs = [ev(0, "interaction.offered", "1"), ev(7 * day, "interaction.ended", "2"),
               ev(14 * day + 0.001, "interaction.offered", "3")]
        rows = run(evs, {"windows": {"calendar": ["month"]}}, "2026-12-31T00:00:00Z")
        self.assertEqual(sum(r["measures"].get("offered", 0) for r in rows if r["window"] == "month" and not r["scope"]), 2)
        evs[2] = ev(14 * day, "interaction.offered", "3")
        rows = run(evs, {"windows": {"calendar": ["month"]}})
        self.assertEqual(sum(r["measures"].get("offered", 0) for r in rows if r["window"] == "month" and not r["scope"]), 1)

    def test_holds(self):
        a = ev(0, "interaction.answered", "a", agent="x")
        end = ev(100, "interaction.ended", "z")
        held, res = "interaction.held", "interaction.resumed"
        m = self.day([a, ev(10, held, "1"), ev(20, held, "2"), ev(30, res, "3"), ev(90, held, "4"), end])
        self.assertEqual((m["hold_ms"], m["holds"], m["talk_ms"]), (30000, 2, 70000))
        m = self.day([a, ev(10, res, "1"), ev(10, held, "2"), end])        # one hold of 0 ms
        self.assertEqual((m.get("hold_ms"), m["holds"], m["talk_ms"], m.get("held")), (None, 1, 100000, None))
        m = self.day([a, ev(5, held, "0"), ev(10, res, "1"), ev(10, held, "2"), ev(11, res, "3"), end])
        self.assertEqual((m["hold_ms"], m["holds"]), (6000, 2))

    def test_transfer_wraps_and_legs(self):
        evs = [ev(0, "interaction.offered", "1", queue="q1"), ev(5, "interaction.answered", "2", agent="a"),
               ev(65, "interaction.transferred", "3"), ev(65, "interaction.offered", "4", queue="q2"),
               ev(95, "interaction.answered", "5", agent="b", queue="q2"), ev(155, "interaction.ended", "6"),
               ev(165, "interaction.wrapped", "7", agent="a"), ev(175, "interaction.wrapped", "8", agent="b")]
        rows = run(evs)
        a, b = (find(rows, "day", {"agent": x})["measures"] for x in "ab")
        self.assertEqual((a["talk_ms"], a["wrap_ms"]), (60000, 100000))
        self.assertEqual((b["talk_ms"], b["wrap_ms"]), (60000, 20000))
        q1, q2 = (find(rows, "day", {"queue": x})["measures"] for x in ("q1", "q2"))
        self.assertEqual((q1["offered"], q1["wait_ms"], q1["leg_wait_ms"], q1["leg_in_sl"]), (1, 5000, 5000, 1))
        self.assertEqual((q2["leg_answered"], q2["leg_wait_ms"], q2.get("leg_in_sl"), q2.get("offered"), q2["closed"]),
                         (1, 30000, None, None, 1))

    def test_abandoned(self):
        m = self.day([ev(0, "interaction.offered", "1"), ev(4, "interaction.abandoned", "2")])
        self.assertEqual((m["abandoned"], m["abandoned_short"], m["abandoned_in_sl"], m["abandon_wait_ms"]), (1, 1, 1, 4000))
        self.assertNotIn("closed", m)
        m = self.day([ev(0, "interaction.completed", "1", abandoned=True, wait_ms=7, answered_at=BASE)])
        self.assertEqual((m["abandoned"], m["abandon_wait_ms"], m.get("answered")), (1, 7, None))

    def test_skew(self):
        b = parse_time(BASE)
        m = self.day([ev(0, "interaction.completed", "1", offered_at=b + 9, answered_at=b + 5, ended_at=b + 2, wrapped_at=b)])
        self.assertEqual((m["wait_n"], m.get("wait_ms"), m.get("talk_ms"), m["handled"]), (1, None, None, 1))

    def test_roster_and_privacy(self):
        day = {"windows": {"calendar": ["hour", "day"]}, "scopes": [["team"]]}
        evs = [{"id": "r1", "type": "agent.enrolled", "time": "2026-11-22T20:00:00Z", "agent": "a", "team": "t"},
               {"id": "r2", "type": "agent.removed", "time": "2026-11-22T21:00:00Z", "agent": "a"}]
        evs += lifecycle()
        evs += [{"id": "s%d" % i, "type": "survey.answered", "respondent": "employee", "csat": 5, "agent": "a",
                 "time": "2026-11-22T20:30:00Z"} for i in range(5)]
        rows = run(evs, day)
        d = find(rows, "day", {"team": "t"})["measures"]
        self.assertEqual((d["handled"], d["esat_top"], d["agents_joined"], d["agents_left"], d.get("eligible_agents")),
                         (1, 5, 1, 1, None))
        h = find(rows, "hour", {"team": "t"}, "2026-11-22T20:00:00Z")["measures"]
        self.assertEqual(h, {"agents_joined": 1, "eligible_agents": 1})
        d = find(run(evs[:-1], day), "day", {"team": "t"})["measures"]
        self.assertNotIn("esat_n", d)

    def test_fcr(self):
        one = [ev(0, "interaction.offered", "1", customer="c"), ev(9, "interaction.ended", "2")]
        two = dict(ev(86400, "interaction.offered", "3", customer="c"), interaction="j")
        self.assertEqual(self.day(one).get("fcr"), 1)
        self.assertEqual(self.day(one + [two]).get("fcr"), None)
        self.assertEqual(self.day(one + [dict(two, direction="outbound")]).get("fcr"), 1)

    def test_states_messages_engaged(self):
        def st(t, s, eid):
            return {"id": eid, "type": "agent.state", "time": t, "agent": "a", "state": s}
        rows = run([st("2026-11-22T13:30:00Z", "ready", "1"), st("2026-11-22T14:15:00Z", "busy", "2")], None,
                   "2026-11-22T14:20:00Z")
        self.assertEqual([find(rows, "hour", {"agent": "a"}, "2026-11-22T%d:00:00Z" % h)["measures"].get("ready_ms")
                          for h in (13, 14)], [1800000, 900000])
        self.assertNotIn("busy_ms", find(rows, "hour", None, "2026-11-22T14:00:00Z")["measures"])
        self.assertEqual(find(rows, "1h")["measures"], {"ready_ms": 45 * 60000, "busy_ms": 300000})
        evs = [dict(e, id=e["id"] + k, interaction=k) for k in "xy" for e in lifecycle()]
        m = self.day(evs)
        self.assertEqual((m["segment_ms"], m["engaged_ms"], m["handling_agents"]), (480000, 240000, 1))
        says = [("agent", 0), ("customer", 1), ("customer", 5), ("agent", 11), ("agent", 12), ("customer", 20), ("agent", 23)]
        m = self.day(lifecycle() + [dict(ev(t, "message.sent", "m%d" % t), **{"from": who}) for who, t in says])
        self.assertEqual((m["first_response_n"], m["first_response_ms"], m["response_n"], m["response_ms"]),
                         (1, 10000, 2, 13000))

    def test_survey_attribution_and_bands(self):
        late = ev("2026-11-24T00:00:00Z", "survey.answered", "s", csat=5)
        tree = {"metrics": {"survey": {"attribution": "interaction"}}}
        self.assertNotIn("csat_n", self.day(lifecycle() + [late]))
        m = self.day(lifecycle() + [late], tree)
        self.assertEqual((m["csat_n"], m["ac_x"], m["ac_xy"], m["band1_n"], m["band1_top"]), (1, 240, 1200, 1, 1))


class Tools(unittest.TestCase):
    def tool(self, name, *args):
        return subprocess.run([sys.executable, os.path.join(HERE, name), *args], capture_output=True, check=True).stdout

    def test_feed_is_the_same_for_a_seed_and_order_is_nothing(self):
        feed = self.tool("random_feed.py", "--seed", "7", "--events", "400")
        self.assertEqual(feed, self.tool("random_feed.py", "--seed", "7", "--events", "400"))
        cfg = Config(parse(self.tool("random_config.py", "--seed", "7").decode()))

        def compute(lines):
            seen = {}
            for i, raw in enumerate(lines):
                try:
                    e = read(raw, cfg, i)
                except Refused:
                    continue
                seen.setdefault(e.key(), e)
            return list(esteem_ref.rows(list(seen.values()), cfg, parse_time("2026-10-27T00:00:00Z")))
        lines = [x for x in feed.split(b"\n") if x]
        rows = compute(lines)
        self.assertGreater(len(rows), 500)
        self.assertEqual(rows, compute(lines[::-1]))
        self.assertEqual(rows, compute(sorted(lines)))


if __name__ == "__main__":
    unittest.main()
