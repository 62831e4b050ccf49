"""Contributions -> cells of scopes and windows (SEMANTICS section 4)."""
from ref_zones import zone

DISTINCT = {"uses": "active_agents", "handled": "handling_agents"}


def bucket(v):
    """Lower bound of the histogram bucket of v."""
    if v < 64:
        return v
    shift = v.bit_length() - 6
    return v >> shift << shift


def bucket_value(lower):
    return lower if lower < 64 else lower + (1 << lower.bit_length() - 6) // 2


class Cell:
    __slots__ = ("end", "m", "hist", "agents", "metrics")

    def __init__(self, end):
        self.end, self.m, self.hist, self.agents = end, {}, {}, {}


class Windows:
    """self.cells[(kind, label)][(tenant, scope number, key, start)] = Cell"""

    def __init__(self, cfg, contributions, at=None):
        self.cfg, self.at = cfg, at
        self.cells = {("calendar", k): {} for k in cfg.calendar}
        if at is not None:
            for label, length in cfg.rolling:
                self.cells[("rolling", label)] = {}
        self._keys = {}
        self._zones = {}
        self.baseline = {}      # (tenant, scope number, key) -> Cell
        for p in contributions.points:
            self.point(*p)
        intervals = {}
        for tenant, dims, a, b, measure in contributions.spans:
            self.span(tenant, self.keys(dims), a, b, measure)
            if measure == "segment_ms" and b > a:
                for k in self.keys(dims):
                    intervals.setdefault((tenant, k), {}).setdefault(dims["agent"], []).append((a, b))
        for (tenant, k), agents in intervals.items():
            for spans in agents.values():
                for a, b in union(spans):
                    self.span(tenant, [k], a, b, "engaged_ms")
        for cells in [*self.cells.values(), self.baseline]:
            for c in cells.values():
                for name, who in c.agents.items():
                    c.m[name] = len(who)
        self.eligible(contributions.roster)

    def zone(self, tenant):
        z = self._zones.get(tenant)
        if z is None:
            z = self._zones[tenant] = zone(self.cfg.zone(tenant))
        return z

    def keys(self, dims):
        """(scope number, values) of each scope whose dimensions are all there."""
        memo = tuple(sorted(dims.items()))
        got = self._keys.get(memo)
        if got is None:
            got = self._keys[memo] = [(i, tuple(dims[d] for d in s)) for i, s in enumerate(self.cfg.scopes)
                                      if all(d in dims for d in s)]
        return got

    def cell(self, cells, tenant, k, start, end):
        key = (tenant, k[0], k[1], start)
        c = cells.get(key)
        if c is None:
            c = cells[key] = Cell(end)
        return c

    def places(self, tenant, t):
        """(cells, start, end) of each window that holds the instant."""
        z = self.zone(tenant)
        for kind in self.cfg.calendar:
            start, end = z.window(kind, t)
            yield self.cells[("calendar", kind)], start, end
        if self.at is not None and t < self.at:
            for label, length in self.cfg.rolling:
                if t >= self.at - length:
                    yield self.cells[("rolling", label)], self.at - length, self.at

    def period(self, tenant):
        """The baseline's [from, to) in the tenant's zone; () without one."""
        z = self.zone(tenant)
        return tuple(z.first_instant(at) if kind == "day" else at for kind, at in self.cfg.baseline or ())

    def point(self, tenant, dims, t, m, hist):
        keys = self.keys(dims)
        agent = dims.get("agent")
        distinct = [name for base, name in DISTINCT.items() if base in m] if agent is not None else ()
        hist = [(name, bucket(v)) for name, v in hist]
        places = list(self.places(tenant, t))
        period = self.period(tenant)
        if period and period[0] <= t < period[1]:
            places.append((self.baseline, *period))
        for cells, start, end in places:
            for k in keys:
                c = self.cell(cells, tenant, k, start, end)
                cm = c.m
                for name, v in m.items():
                    cm[name] = cm.get(name, 0) + v
                for name, low in hist:
                    h = c.hist.setdefault(name, {})
                    h[low] = h.get(low, 0) + 1
                for name in distinct:
                    c.agents.setdefault(name, set()).add(agent)

    def span(self, tenant, keys, a, b, measure):
        """Milliseconds of [a, b) spread over the windows; an open one (b None) only in rolling windows."""
        if b is not None:
            z = self.zone(tenant)
            for kind in self.cfg.calendar:
                cells, t = self.cells[("calendar", kind)], a
                while t < b:
                    start, end = z.window(kind, t)
                    ms = min(end, b) - t
                    for k in keys:
                        m = self.cell(cells, tenant, k, start, end).m
                        m[measure] = m.get(measure, 0) + ms
                    t = end
            period = self.period(tenant)
            ms = min(period[1], b) - max(period[0], a) if period else 0
            for k in keys if ms > 0 else ():
                m = self.cell(self.baseline, tenant, k, *period).m
                m[measure] = m.get(measure, 0) + ms
        if self.at is not None:
            for label, length in self.cfg.rolling:
                start = self.at - length
                ms = min(self.at, self.at if b is None else b) - max(a, start)
                if ms > 0:
                    for k in keys:
                        m = self.cell(self.cells[("rolling", label)], tenant, k, start, self.at).m
                        m[measure] = m.get(measure, 0) + ms

    def eligible(self, roster):
        scopes = [i for i, s in enumerate(self.cfg.scopes) if set(s) <= {"site", "team", "agent"}]
        memo = {}
        for cells in self.cells.values():
            for (tenant, i, key, start), c in cells.items():
                if i not in scopes:
                    continue
                counts = memo.get(c.end)
                if counts is None:
                    counts = memo[c.end] = {}
                    for who, dims in roster.eligible(c.end):
                        for j in scopes:
                            if all(d in dims for d in self.cfg.scopes[j]):
                                k = (who, j, tuple(dims[d] for d in self.cfg.scopes[j]))
                                counts[k] = counts.get(k, 0) + 1
                n = counts.get((tenant, i, key), 0)
                if n:
                    c.m["eligible_agents"] = n


def union(spans):
    spans.sort()
    a, b = spans[0]
    for x, y in spans[1:]:
        if x <= b:
            b = max(b, y)
        else:
            yield a, b
            a, b = x, y
    yield a, b
