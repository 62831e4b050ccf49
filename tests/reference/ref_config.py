"""Configuration: a small YAML (or JSON) reader and the keys of SEMANTICS section 6."""
import json
import re
from datetime import date, datetime

BASE_DIMS = ["site", "channel", "queue", "team", "agent", "brand", "language",
             "direction", "reason", "campaign", "element"]
CALENDAR = {"quarter_hour": 0, "half_hour": 1, "hour": 2, "day": 3, "week": 4, "month": 5}
_UNITS = {"ms": 1, "s": 1000, "m": 60000, "h": 3600000, "d": 86400000, "w": 604800000}


class ConfigError(Exception):
    pass


def duration(v):
    """10s, 5m, 1h30m, 500ms -> milliseconds; a plain number is seconds' worth of nothing: refused."""
    if isinstance(v, str):
        parts = re.findall(r"(\d+)(ms|[smhdw])", v)
        if parts and "".join(a + b for a, b in parts) == v:
            return sum(int(a) * _UNITS[b] for a, b in parts)
    if v == 0:
        return 0
    raise ConfigError("duration %r" % (v,))


def instant(text):
    """A date -> ("day", its number since 1970); a time with its zone -> ("ms", milliseconds)."""
    if len(text) == 10:
        return "day", date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()
    return "ms", int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def size(v):
    if isinstance(v, int):
        return v
    m = re.fullmatch(r"(\d+)\s*(B|KiB|MiB|GiB|kB|MB|GB)?", v)
    if not m:
        raise ConfigError("size %r" % (v,))
    return int(m.group(1)) * {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
                              "kB": 10 ** 3, "MB": 10 ** 6, "GB": 10 ** 9}[m.group(2)]


# ---- YAML -------------------------------------------------------------------------------------

def _strip_comment(line):
    quote = None
    for i, c in enumerate(line):
        if quote:
            if c == quote and not (quote == '"' and line[i - 1] == "\\"):
                quote = None
        elif c in "\"'" and (i == 0 or line[i - 1] in " [{,:-"):
            quote = c
        elif c == "#" and (i == 0 or line[i - 1] in " \t"):
            return line[:i].rstrip()
    return line.rstrip()


def _scalar(s):
    s = s.strip()
    if s[:1] == '"':
        return json.loads(s)
    if s[:1] == "'":
        return s[1:-1].replace("''", "'")
    if s in ("", "~", "null", "Null", "NULL"):
        return None
    if s in ("true", "True", "TRUE"):
        return True
    if s in ("false", "False", "FALSE"):
        return False
    if re.fullmatch(r"[-+]?\d+", s):
        return int(s)
    if re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?", s):
        return float(s)
    return s


class _Flow:
    def __init__(self, s):
        self.s, self.i = s, 0

    def space(self):
        while self.i < len(self.s) and self.s[self.i] in " \t\n":
            self.i += 1

    def word(self, stops):
        self.space()
        s, i = self.s, self.i
        if i < len(s) and s[i] in "\"'":
            q, j = s[i], i + 1
            while s[j] != q or (q == "'" and s[j + 1:j + 2] == "'"):
                j += 2 if (s[j] == "\\" and q == '"') or s[j] == q else 1
            self.i = j + 1
            return _scalar(s[i:j + 1])
        j = i
        while j < len(s) and s[j] not in stops and not (
                s[j] == ":" and ":" not in stops and s[j + 1:j + 2] in (" ", "")):
            if s[j] == ":" and s[j + 1:j + 2] in (" ", "", "\n"):
                break
            j += 1
        self.i = j
        return _scalar(s[i:j])

    def value(self):
        self.space()
        c = self.s[self.i:self.i + 1]
        if c == "[":
            out, self.i = [], self.i + 1
            while True:
                self.space()
                if self.s[self.i] == "]":
                    self.i += 1
                    return out
                out.append(self.value())
                self.space()
                if self.s[self.i] == ",":
                    self.i += 1
        if c == "{":
            out, self.i = {}, self.i + 1
            while True:
                self.space()
                if self.s[self.i] == "}":
                    self.i += 1
                    return out
                key = self.word(",}:")
                self.space()
                val = None
                if self.s[self.i] == ":":
                    self.i += 1
                    val = self.value()
                out[str(key)] = val
                self.space()
                if self.s[self.i] == ",":
                    self.i += 1
        return self.word(",]}")


def _inline(s):
    s = s.strip()
    return _Flow(s).value() if s[:1] in ("[", "{") else _scalar(s)


def _lines(text):
    out, held = [], ""
    for line in text.split("\n"):
        line = _strip_comment(line)
        if not held and (not line.strip() or line.strip() == "---"):
            continue
        held = held + " " + line.strip() if held else line
        bare = re.sub(r"\"(\\.|[^\"])*\"|'[^']*'", "", held)
        if sum(bare.count(c) for c in "[{") > sum(bare.count(c) for c in "]}"):
            continue
        out.append((len(held) - len(held.lstrip(" ")), held.strip()))
        held = ""
    return out


_KEY = re.compile(r"(\"(?:\\.|[^\"])*\"|'[^']*'|[^\s\[{\"'#][^:]*?)\s*:(?:\s+(.*))?$")


def _block(lines, i, indent):
    if lines[i][1].startswith("- ") or lines[i][1] == "-":
        out = []
        while i < len(lines) and lines[i][0] == indent and lines[i][1][:1] == "-":
            rest = lines[i][1][1:].strip()
            if not rest:
                val, i = _block(lines, i + 1, lines[i + 1][0])
            elif _KEY.match(rest) and rest[0] not in "[{":
                inner = indent + len(lines[i][1]) - len(rest)
                lines[i] = (inner, rest)
                val, i = _block(lines, i, inner)
            else:
                val, i = _inline(rest), i + 1
            out.append(val)
        return out, i
    out = {}
    while i < len(lines) and lines[i][0] == indent:
        m = _KEY.match(lines[i][1])
        if not m:
            raise ConfigError("line %r" % lines[i][1])
        key, rest = str(_scalar(m.group(1))), m.group(2)
        i += 1
        if rest:
            out[key] = _inline(rest)
        elif i < len(lines) and (lines[i][0] > indent or
                                 (lines[i][0] == indent and lines[i][1].startswith("- "))):
            out[key], i = _block(lines, i, lines[i][0])
        else:
            out[key] = None
    return out, i


def parse(text):
    try:
        return json.loads(text)
    except ValueError:
        pass
    lines = _lines(text)
    if not lines:
        return {}
    if lines[0][1][:1] in "[{":
        return _inline(lines[0][1])
    out, i = _block(lines, 0, lines[0][0])
    if i != len(lines):
        raise ConfigError("indentation at %r" % (lines[i][1],))
    return out


# ---- the options ------------------------------------------------------------------------------

class Config:
    def __init__(self, tree=None):
        t = tree or {}

        def get(path, default):
            node = t
            for p in path.split("."):
                if not isinstance(node, dict) or node.get(p) is None:
                    return default
                node = node[p]
            return node

        self.rolling = [(str(w), duration(w)) for w in
                        get("windows.rolling", ["1m", "5m", "15m", "1h", "1d", "7d", "30d"])]
        self.calendar = list(get("windows.calendar", ["hour", "day", "week", "month"]))
        self.calendar.sort(key=CALENDAR.__getitem__)
        self.rolling.sort(key=lambda w: w[1])
        self.timezone = get("windows.timezone", "UTC")
        self.tenants = {k: (v or {}).get("timezone") or self.timezone for k, v in get("tenants", {}).items()}
        self.custom = list(get("dimensions", []))
        self.dims = BASE_DIMS + [d for d in self.custom if d not in BASE_DIMS]
        self.scopes = [list(s) for s in get("scopes", [[], ["queue"], ["channel"], ["queue", "channel"],
                                                       ["team"], ["agent"]])]
        for s in self.scopes:
            for d in s:
                if d not in self.dims:
                    raise ConfigError("scope dimension %r" % d)
        self.top_box = get("metrics.csat.top_box", 4)
        self.threshold = duration(get("metrics.service_level.threshold", "20s"))
        self.short_abandon = duration(get("metrics.service_level.short_abandon", "5s"))
        self.abandons = get("metrics.service_level.abandons", "ignore_short")
        self.rules = [({k: v if isinstance(v, list) else [v] for k, v in (r.get("match") or {}).items()},
                       duration(r["threshold"])) for r in get("metrics.service_level.rules", [])]
        self.exclude_short = get("metrics.abandon.exclude_short", False)
        self.attribution = get("metrics.survey.attribution", "response")
        self.bands = [duration(b) for b in get("metrics.aht_bands", ["3m", "6m", "10m"])]
        self.assumed_rate = float(get("metrics.opportunity.assumed_rate", 0.15))
        self.fcr_window = duration(get("metrics.fcr.window", "7d"))
        self.min_n = get("metrics.min_n", 10)
        self.min_employees = get("privacy.min_employees", 5)
        self.retention = duration(get("retention.interaction", "7d"))
        b = get("baseline", None) or {}
        self.baseline = (instant(b["from"]), instant(b["to"])) if b else None
        self.baseline_metrics = list(b.get("metrics", []))
        self.goals = list(get("goals", []))
        self.max_message = size(get("limits.message", "1MiB"))

    def zone(self, tenant):
        return self.tenants.get(tenant, self.timezone)

    def sl_threshold(self, dims):
        for match, ms in self.rules:
            if all(dims.get(k) in [str(x) for x in v] for k, v in match.items()):
                return ms
        return self.threshold


def load(path):
    with open(path, encoding="utf-8") as f:
        return Config(parse(f.read()))
