"""Messages -> events, or a refusal reason (SEMANTICS section 1)."""
import re
from datetime import date

import ref_json
from ref_config import BASE_DIMS
from ref_xxh3 import xxh3_str

# In the order that facts are taken at one instant.
TYPES = ["interaction." + x for x in (
    "offered resumed transferred answered held identified restated abandoned ended wrapped completed").split()] + [
    "survey.sent", "survey.answered", "opportunity.seen", "program.used", "offer.made", "offer.accepted",
    "conversion.made", "customer.kept", "customer.lost", "recognition.given", "message.sent",
    "agent.state", "agent.removed", "agent.enrolled"]
RANK = {t: i for i, t in enumerate(TYPES)}

TABLE = set(["id", "type", "time", "tenant", "interaction", "customer", "dims"] + BASE_DIMS)
DAY = 86400000
MAX_DURATION = 31 * DAY
MAX_INT = 1 << 53
MAX_COUNT = 10 ** 12
END_2199 = (date(2200, 1, 1) - date(1970, 1, 1)).days * DAY

# kind of own field: "time", "ms", "count", "bool", "int", "text" (no limit), "str", tuple = words, (lo, hi) in SCALES
OWN = {
    "interaction.ended": {"resolved": "bool", "contained": "bool", "scripted": "bool", "cost": "count"},
    "interaction.completed": {
        "offered_at": "time", "answered_at": "time", "ended_at": "time", "wrapped_at": "time",
        "wait_ms": "ms", "talk_ms": "ms", "hold_ms": "ms", "wrap_ms": "ms",
        "holds": "count", "transfers": "count", "identifications": "count", "restatements": "count",
        "abandoned": "bool", "resolved": "bool", "contained": "bool", "scripted": "bool",
        "cost": "count", "version": "int"},
    "survey.sent": {"respondent": ("customer", "employee")},
    "survey.answered": {"respondent": ("customer", "employee"), "csat": "score", "nps": "score", "ces": "score",
                        "comment": "text", "survey": "str", "version": "int"},
    "program.used": {"cost": "count"},
    "offer.made": {"kind": ("upsell", "cross_sell", "save"), "value": "count"},
    "offer.accepted": {"kind": ("upsell", "cross_sell", "save"), "value": "count"},
    "conversion.made": {"value": "count"},
    "customer.kept": {"value": "count"},
    "customer.lost": {"value": "count"},
    "message.sent": {"from": ("agent", "customer")},
    "agent.state": {"state": ("ready", "busy", "wrap", "away", "offline")},
}
NEEDED = {"offer.made": "kind", "offer.accepted": "kind", "agent.state": "state", "message.sent": "from"}
SCALES = {"csat": (1, 5), "nps": (0, 10), "ces": (1, 7)}
DIRECTIONS = ("inbound", "outbound", "proactive")

_RFC3339 = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
                      r"(?:\.([0-9]+))?(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))")
_EPOCH = date(1970, 1, 1).toordinal()


class Refused(Exception):
    pass


class Event:
    __slots__ = ("id", "type", "time", "tenant", "inter", "customer", "dims", "f", "rank", "seq")

    def order(self):
        return (self.time, self.rank, xxh3_str(self.id), self.f.get("version", 0), self.seq)

    def key(self):
        """Events with one key are one event."""
        v = self.f.get("version", 0) if self.type in ("interaction.completed", "survey.answered") else None
        return (self.tenant, self.inter, self.id, v)


def parse_time(v):
    """-> epoch milliseconds, or None when v is no time."""
    if isinstance(v, bool):
        return None
    if isinstance(v, int):
        return v if 10 ** 11 <= v < END_2199 else None
    if not isinstance(v, str):
        return None
    m = _RFC3339.fullmatch(v)
    if not m:
        return None
    y, mo, d, h, mi, s = (int(x) for x in m.groups()[:6])
    if h > 23 or mi > 59 or s > 59:
        return None
    try:
        days = date(y, mo, d).toordinal() - _EPOCH
    except ValueError:
        return None
    t = days * DAY + h * 3600000 + mi * 60000 + s * 1000
    if m.group(7):
        t += int((m.group(7) + "00")[:3])
    if m.group(9):
        oh, om = int(m.group(10)), int(m.group(11))
        if oh > 23 or om > 59:
            return None
        off = (oh * 60 + om) * 60000
        t += -off if m.group(9) == "+" else off
    return t if 0 <= t < END_2199 else None


def absent(v):
    return v is None or v == ""


def _bytes(s):
    return len(s) if s.isascii() else len(s.encode("utf-8"))


class _Check:
    def __init__(self):
        self.bad = self.range = False

    def string(self, v, limit):
        """-> the string or None."""
        if absent(v):
            return None
        if not isinstance(v, str):
            self.bad = True
            return None
        if limit and _bytes(v) > limit:
            self.range = True
        return v

    def own(self, name, kind, v):
        if kind == "time":
            t = parse_time(v)
            if t is None:
                self.bad = True
            return t
        if kind == "bool":
            if not isinstance(v, bool):
                self.bad = True
            return v
        if kind == "text":
            return self.string(v, 0)
        if kind == "str":
            return self.string(v, 256)
        if isinstance(kind, tuple):
            if not isinstance(v, str) or v not in kind:
                self.bad = True
            return v
        if isinstance(v, bool) or not isinstance(v, int):
            self.bad = True
            return v
        lo, hi = {"ms": (0, MAX_DURATION), "count": (0, MAX_COUNT), "int": (-MAX_INT, MAX_INT),
                  "score": SCALES.get(name)}[kind]
        if not lo <= v <= hi:
            self.range = True
        return v


def read(raw, cfg, seq):
    """One message's bytes -> Event; raises Refused(reason)."""
    if len(raw) > cfg.max_message:
        raise Refused("too_large")
    try:
        o = ref_json.loads(raw)
    except ref_json.NotJson:
        raise Refused("not_json")
    if not isinstance(o, dict):
        raise Refused("not_an_object")
    data, bad_data = o, False
    if not absent(o.get("specversion")):
        data = o.get("data")
        if absent(data):
            data = {}
        elif not isinstance(data, dict):
            data, bad_data = {}, True
        bad_data |= not absent(o.get("data_base64"))
    if absent(o.get("id")):
        raise Refused("missing_id")
    typ = o.get("type")
    if absent(typ):
        raise Refused("missing_type")
    if not isinstance(typ, str) or typ not in RANK:
        raise Refused("unknown_type")
    if absent(o.get("time")):
        raise Refused("missing_time")
    time = parse_time(o["time"])
    if time is None:
        raise Refused("bad_time")
    if typ.startswith("interaction.") and absent(data.get("interaction")):
        raise Refused("missing_interaction")

    c = _Check()
    c.bad = bad_data
    e = Event()
    e.seq, e.type, e.rank, e.time = seq, typ, RANK[typ], time
    e.id = c.string(o["id"], 128)
    e.tenant = c.string(data.get("tenant"), 256) or "default"
    e.inter = c.string(data.get("interaction"), 256)
    e.customer = c.string(data.get("customer"), 256)
    e.dims = {}
    for d in BASE_DIMS:
        v = data.get(d)
        if v is not None and v != "":
            v = c.string(v, 256)
            if v is not None:
                e.dims[d] = v
    if "direction" in e.dims and e.dims["direction"] not in DIRECTIONS:
        c.bad = True
    dims = data.get("dims")
    if not absent(dims):
        if not isinstance(dims, dict):
            c.bad = True
        else:
            for name, v in dims.items():
                if absent(v):
                    continue
                if name in TABLE:
                    c.bad = True
                v = c.string(v, 256)
                if v is not None and name in cfg.custom:
                    e.dims[name] = v
    e.f = {}
    for name, kind in OWN.get(typ, {}).items():
        v = data.get(name)
        if not absent(v):
            e.f[name] = c.own(name, kind, v)
    need = NEEDED.get(typ)
    if need and need not in e.f:
        c.bad = True
    if c.bad:
        raise Refused("bad_field")
    if c.range:
        raise Refused("out_of_range")
    return e
