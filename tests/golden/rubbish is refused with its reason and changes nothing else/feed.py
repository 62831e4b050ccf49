"""A short good feed with rubbish between its lines; with --clean, the good feed alone. Lines are numbered from 1; refused.txt is by
them."""
import json
import sys

out = sys.stdout.buffer
T = "2026-11-22T14:%02d:%02dZ"


def event(kind, minute, second, **more):
    event.n += 1
    return dict({"id": "e%d" % event.n, "type": kind, "tenant": "acme", "time": T % (minute, second), "interaction": "i"}, **more)


event.n = 0
GOOD = [event("interaction.offered", 0, 0, queue="q"), event("interaction.answered", 0, 12, agent="a"), event("interaction.held", 1, 0),
        event("interaction.resumed", 1, 30), event("interaction.ended", 4, 12, resolved=True), event("interaction.wrapped", 5, 0),
        event("survey.answered", 9, 0, csat=5, nps=10), event("program.used", 3, 0, cost=5)]
WHOLE = json.dumps(event("survey.answered", 10, 0, csat=1, queue="q")).encode()
BASE = '"tenant":"acme","interaction":"i","time":"2026-11-22T14:10:00Z"'


def bad(**more):
    return json.dumps(event("interaction.completed", 10, 0, **more)).encode()


def raw(text):
    return ("{%s,%s}" % (BASE, text)).encode()


RUBBISH = [
    # not JSON
    WHOLE[:-1], WHOLE[:40], WHOLE[1:], WHOLE + WHOLE, b"nonsense", b"\x00", b"{", b"}", b'"', b"\xff\xfe",
    raw('"id":"x","type":"survey.answered","csat":NaN'), raw('"id":"x","type":"survey.answered","csat":Infinity'),
    raw('"id":"x","type":"survey.answered","csat":05'), raw('"id":"x","type":"survey.answered","csat":5.'),
    WHOLE.replace(b'"q"', b'"\xc3\x28"'), WHOLE.replace(b'"q"', b'"\xed\xa0\x80"'), WHOLE.replace(b'"q"', b'"\\ud83d"'),
    WHOLE.replace(b'"q"', b'"a\tb"'), b"[" * 100000, b'{"x":' * 100000, WHOLE[:-1] + b',"deep":' + b"[" * 100000 + b"}",
    # JSON, but no event
    b"[]", b"[" * 100000 + b"]" * 100000, b"7", b"null", b'"text"',
    # too large: 10 MB of a whole event
    WHOLE[:-1] + b',"comment":"' + b"x" * 10000000 + b'"}', b"x" * (1 << 20) + b"x",
    # missing and wrong
    raw('"type":"survey.answered","csat":1'), raw('"id":"","type":"survey.answered"'), raw('"id":"x"'), raw('"id":"x","type":["survey.answered"]'),
    raw('"id":"x","type":"survey.answer"'), raw('"id":"x","type":"survey.answered","time":null'),
    raw('"id":"x","type":"survey.answered","time":"9999-12-31T23:59:59Z"'), raw('"id":"x","type":"survey.answered","time":"2200-01-01T00:00:00Z"'),
    raw('"id":"x","type":"survey.answered","time":"1969-12-31T23:59:59Z"'), raw('"id":"x","type":"survey.answered","time":"2026-11-22T14:10:60Z"'),
    raw('"id":"x","type":"survey.answered","time":1795356000'), raw('"id":"x","type":"survey.answered","time":1795356000000.5'),
    raw('"id":"x","type":"survey.answered","time":253402300799000'), raw('"id":"x","type":"interaction.ended","interaction":""'),
    # wrong types
    raw('"id":7,"type":"survey.answered"'), raw('"id":"x","type":"survey.answered","csat":"5"'), raw('"id":"x","type":"survey.answered","csat":4.5'),
    raw('"id":"x","type":"survey.answered","csat":5e0'), raw('"id":"x","type":"survey.answered","queue":["q"]'),
    raw('"id":"x","type":"survey.answered","dims":{"vip":1}'), raw('"id":"x","type":"survey.answered","dims":{"queue":"q"}'),
    raw('"id":"x","type":"survey.answered","respondent":"robot"'), raw('"id":"x","type":"interaction.ended","resolved":"yes"'),
    raw('"id":"x","type":"offer.made"'), raw('"id":"x","type":"interaction.ended","direction":"up"'),
    # out of range
    raw('"id":"x","type":"survey.answered","csat":9'), raw('"id":"x","type":"survey.answered","csat":0'), raw('"id":"x","type":"survey.answered","nps":-1'),
    raw('"id":"x","type":"survey.answered","nps":11'), raw('"id":"x","type":"survey.answered","ces":8'),
    bad(talk_ms=-1), bad(wait_ms=-5000), bad(hold_ms=2678400001), bad(wrap_ms=10 ** 40), bad(cost=10 ** 12 + 1), bad(version=2 ** 53 + 1),
    raw('"id":"%s","type":"survey.answered","csat":1' % ("x" * 129)), raw('"id":"x","type":"survey.answered","queue":"%s"' % ("q" * 257)),
]


def main():
    clean = "--clean" in sys.argv
    for i, good in enumerate(GOOD):
        for line in [] if clean else RUBBISH[i::len(GOOD)]:
            out.write(line + b"\n")
        out.write(json.dumps(good).encode() + b"\n")


main()
