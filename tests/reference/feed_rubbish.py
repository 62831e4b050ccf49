"""Lines that must be refused, every reason of SEMANTICS section 1 (for random_feed.py)."""
import json


def base(rng, n):
    return {"id": "bad%d" % n, "type": "program.used", "time": "2026-10-25T00:30:00Z", "tenant": "acme"}


def line(rng, n):
    """One refused line, as bytes without its end."""
    o = base(rng, n)
    kind = rng.choice(["not_json"] * 3 + ["object", "id", "type", "unknown", "time", "bad_time", "bad_time", "inter",
                                          "bad_field", "bad_field", "bad_field", "range", "range", "range"])
    if n % 300 == 30:
        kind = "large"
    if kind == "large":
        return b'{"id":"big","x":"' + b"a" * (1 << 20) + b'"}'
    if kind == "not_json":
        return rng.choice([
            b"{", b'{"id":}', b"nonsense", b'{"id":"a",}', b'{"id":NaN}', b'{"id":Infinity}', b"{'id':'a'}",
            b'{"id":"\xff\xfe"}', b'{"id":"\\ud800"}', b'{"id":"\\udc00\\ud800"}', b'{"id":"a\x01b"}', b'{"id":01}',
            b'{"id":"a"} x', b'\xef\xbb\xbf{"id":"a"}', b'{"id":"\xed\xa0\x80"}', b'{"id":"\\x41"}', b'{"id":1.}',
            b'{"id":.5}', b'{"id":+1}', b'{"id":"a" "type":1}', b'{"id":"\xc0\xaf"}', b'{"id":tru}', b"[" * 50000,
            b'{"id":"unterminated', b'\x00', b'{"id":1e}', b'{"a":[1,2,]}', b'// {}', b'{"id":"a"}{"id":"b"}',
            b'{"id":"a","type":"survey.answered","time":1761350400000,"csat":{"a":},"csat":5}',
            b'{"id":"a","type":"program.used","time":1761350400000,"dims":{"other":[1,]}}',
            b'{"id":"a","type":"program.used","time":1761350400000,"dims":{"a":[},"dims":{}}'])
    if kind == "object":
        return rng.choice([b"[]", b"1", b'"x"', b"null", b"true", b'[{"id":"a"}]', b"-0.5e3",
                           b"[" * 20000 + b"]" * 20000])
    if kind == "id":
        o["id"] = rng.choice([None, ""])
        if rng.random() < 0.3:
            del o["id"]
    elif kind == "type":
        o["type"] = rng.choice([None, ""])
    elif kind == "unknown":
        o["type"] = rng.choice(["interaction.exploded", "Program.used", 7, [], {}, True, "agent", "program.used "])
        o.pop("time", None) if rng.random() < 0.5 else None
    elif kind == "time":
        o["time"] = rng.choice([None, ""])
    elif kind == "bad_time":
        o["time"] = rng.choice([
            "2026-10-25", "2026-10-25T00:30:00", "2026-10-25T24:00:00Z", "2026-10-25T23:59:60Z", "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "yesterday", 1761350400, -1, 0, 99999999999,
            1761350400000.5, 1.7e12, True, [], {}, "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", 7258118400000,
            "2026-10-25T00:30:00+24:00", "2026-10-25T00:30:00+0100", "2026-10-25T00:30:00.Z", "2026-10-25T0:30:00Z",
            "20261025T003000Z", " 2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z ", "1761350400000", 10 ** 30])
    elif kind == "inter":
        o["type"] = rng.choice(["interaction.offered", "interaction.completed", "interaction.ended"])
        if rng.random() < 0.6:
            o["interaction"] = rng.choice([None, ""])
        if rng.random() < 0.4:
            o["queue"] = 5              # missing_interaction comes before bad_field
        if rng.random() < 0.3:
            o = {"specversion": "1.0", "id": o["id"], "type": o["type"], "time": o["time"], "interaction": "envelope",
                 "data": rng.choice([None, {}, {"queue": "q"}])}
    elif kind == "bad_field":
        o.update(rng.choice([
            {"id": 5}, {"id": ["x"]}, {"tenant": 1}, {"interaction": 3}, {"customer": False}, {"queue": 5},
            {"agent": ["a"]}, {"direction": "sideways"}, {"dims": []}, {"dims": "x"}, {"dims": {"queue": "q"}},
            {"dims": {"type": "q"}}, {"dims": {"vip": 1}}, {"dims": {"vip": ["a"]}}, {"cost": "5"}, {"cost": 1.0},
            {"cost": 1e2}, {"cost": True}, {"type": "offer.made"}, {"type": "offer.made", "kind": "gift"},
            {"type": "agent.state"}, {"type": "agent.state", "state": "sleeping"}, {"type": "message.sent"},
            {"type": "message.sent", "from": "bot"}, {"type": "message.sent", "from": None},
            {"type": "survey.answered", "csat": "5"}, {"type": "survey.answered", "csat": 4.5},
            {"type": "survey.answered", "respondent": "robot"}, {"type": "survey.answered", "comment": 1},
            {"type": "survey.answered", "csat": 9, "nps": "x"}, {"type": "survey.sent", "respondent": 1},
            {"type": "interaction.ended", "interaction": "i", "resolved": 1},
            {"type": "interaction.ended", "interaction": "i", "cost": -1, "contained": "yes"},
            {"type": "interaction.completed", "interaction": "i", "offered_at": "noon"},
            {"type": "interaction.completed", "interaction": "i", "answered_at": 5},
            {"type": "interaction.completed", "interaction": "i", "version": 1.5},
            {"type": "interaction.offered", "interaction": 17}]))
        if rng.random() < 0.2:
            o = {"specversion": "1.0", "id": o["id"], "type": "survey.sent", "time": base(rng, n)["time"],
                 "data": rng.choice([[], 5, "x", True])}
    elif kind == "range":
        big = {"type": "interaction.completed", "interaction": "i"}
        o.update(rng.choice([
            {"id": "x" * 129}, {"id": "\u20ac" * 43}, {"queue": "q" * 257}, {"customer": "\u00e9" * 129},
            {"tenant": "t" * 300}, {"dims": {"vip": "v" * 257}}, {"cost": -1}, {"cost": 10 ** 12 + 1},
            {"cost": 10 ** 25}, {"type": "conversion.made", "value": -5},
            {"type": "survey.answered", "csat": 0}, {"type": "survey.answered", "csat": 6},
            {"type": "survey.answered", "nps": 11}, {"type": "survey.answered", "nps": -1},
            {"type": "survey.answered", "ces": 8}, {"type": "survey.answered", "version": (1 << 53) + 1},
            {"type": "survey.answered", "survey": "s" * 257},
            dict(big, wait_ms=-1), dict(big, talk_ms=31 * 86400000 + 1), dict(big, holds=-1),
            dict(big, transfers=10 ** 12 + 1), dict(big, hold_ms=1 << 60), dict(big, version=-(1 << 53) - 1)]))
    return json.dumps(o, ensure_ascii=rng.random() < 0.5).encode("utf-8")
