"""Writing of single events, in every form that SEMANTICS allows (for random_feed.py)."""
import json
from datetime import datetime, timedelta

_ZERO = datetime(1970, 1, 1)
TENANTS = ["acme", "berlin co", "ny", "howe", None]
CHANNELS = ["voice", "chat", "email", "social"]
QUEUES = ["billing", "sales", "tech", "vip line", "r\u00fcckfragen", "q" + "\0" * 255]
TEAMS = ["t1", "t2", "t3", "team:4"]
SITES = ["pune", "berlin", "x=y"]
BRANDS = ["b1", "b2"]
LANGUAGES = ["en", "de", "\u0939\u093f"]
REASONS = ["refund", "order", "other,misc"]
ELEMENTS = ["apology", "appreciation", "sympathy", "life_event", "gift"]
DIRECTIONS = ["inbound", "inbound", "inbound", "outbound", "proactive"]
AGENTS = ["a%d" % i for i in range(1, 13)] + ["a 13", "\u00e414"]
CUSTOM = {"vip": ["gold", "none"], "region": ["north", "south", "s{w}"], "unnamed": ["u1"]}


def parse(s):
    return int((datetime.strptime(s, "%Y-%m-%dT%H:%M:%SZ") - _ZERO) / timedelta(milliseconds=1))


def spell(rng, t):
    """One instant in one of its forms."""
    x = rng.random()
    if x < 0.25:
        return t
    off = 0 if x < 0.6 else rng.choice([330, 60, 120, -300, 630, 660, -570, 0])
    local = _ZERO + timedelta(milliseconds=t, minutes=off)
    s = local.strftime("%Y-%m-%dT%H:%M:%S")
    ms = t % 1000
    if ms or rng.random() < 0.1:
        s += ".%03d" % ms + rng.choice(["", "", "0", "999", "123456"])
    elif rng.random() < 0.05:
        s += "." + rng.choice(["0", "00", "000999"])
    if x < 0.6:
        s += "Z"
    else:
        s += "%s%02d:%02d" % ("-" if off < 0 else "+", abs(off) // 60, abs(off) % 60)
    if rng.random() < 0.02:
        s = s.lower()
    return s


class Writer:
    def __init__(self, rng):
        self.rng, self.lines = rng, []

    def put(self, t, typ, eid, **fields):
        """`dims` may hold own names too; None values may be spelled null, empty or left out."""
        r = self.rng
        t = max(t, 10 ** 11)
        data = {}
        for k, v in fields.items():
            k = k.rstrip("_")
            if v is None:
                if r.random() < 0.05:
                    data[k] = r.choice([None, ""])
                continue
            if k.endswith("_at"):
                v = spell(r, v)
            data[k] = v
        self.noise(typ, data)
        head = {"id": eid, "type": typ, "time": spell(r, t)}
        for form in range(2 if r.random() < 0.03 else 1):        # sometimes once in each form
            if r.random() < 0.12:
                env = dict(head, specversion="1.0", source="/feed")
                if r.random() < 0.3:
                    env.update(queue="ignored", tenant="ignored", datacontenttype="application/json")
                env["data"] = data
                o = env
            else:
                items = list({**head, **data}.items())
                if r.random() < 0.3:
                    r.shuffle(items)
                o = dict(items)
            text = json.dumps(o, ensure_ascii=r.random() < 0.5,
                              separators=r.choice([(",", ":"), (", ", ": "), (" ,\t", " : ")]))
            if r.random() < 0.02 and text.startswith("{\""):
                text = '{"id":"first of two",' + text[1:]           # of a repeated name the last stands
            raw = text.encode("utf-8")
            if r.random() < 0.01:
                raw = b" " + raw + b" \r"
            self.lines.append((t, raw))

    def noise(self, typ, data):
        r = self.rng
        if r.random() < 0.04:
            data["x_extra"] = r.choice([1, -2.5e-7, [1, [2, {"a": None}]], {"id": "inner", "time": 5}, "\\u0000 \u0001",
                                        "\U0001f600", True])
        if r.random() < 0.02 and not typ.startswith("survey."):
            data["csat"] = r.choice([5, "five", 99])                # another type's field
        if r.random() < 0.02 and typ != "agent.state":
            data["state"] = r.choice(["ready", 5, "none"])
        if r.random() < 0.005:
            data["x_deep"] = json.loads("[" * 300 + "]" * 300)


def dims(r, share=0.3, without=()):
    """A random part of the dimensions."""
    out = {}
    for name, words in (("channel", CHANNELS), ("queue", QUEUES), ("team", TEAMS), ("site", SITES), ("brand", BRANDS),
                        ("language", LANGUAGES), ("reason", REASONS), ("campaign", ["c1"]), ("direction", DIRECTIONS)):
        p = share * (0.25 if name in ("team", "site", "campaign", "direction") else 1)
        if name not in without and r.random() < p:
            out[name] = r.choice(words)
    own = {k: r.choice(v) for k, v in CUSTOM.items() if r.random() < share * 0.6}
    if own or r.random() < 0.02:
        out["dims"] = own
    return out
