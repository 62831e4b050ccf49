"""Facts of one interaction -> its record (SEMANTICS section 2)."""
from ref_events import MAX_DURATION

LIFE = "interaction."


def clamp(ms):
    """A duration taken from two times."""
    return 0 if ms < 0 else MAX_DURATION if ms > MAX_DURATION else ms


def split(events, retention):
    """Facts of one id -> lists of facts, each one record's, in order."""
    events = sorted(events, key=lambda e: e.order())
    out, cur, last = [], [], None
    for e in events:
        if cur and e.time - last > retention:
            out.append(cur)
            cur = []
        cur.append(e)
        last = e.time
    if cur:
        out.append(cur)
    return out


def survey_key(e):
    s = e.f.get("survey")
    return ("survey", s) if s is not None else ("id", e.id)


def newest_versions(facts):
    """Drop the replaced `completed` records and survey answers; the first to arrive stands among equals."""
    best = {}
    for e in facts:
        if e.type == "interaction.completed":
            k = "completed"
        elif e.type == "survey.answered":
            k = survey_key(e)
        else:
            continue
        rank = (e.f.get("version", 0), -e.seq)
        if k not in best or rank > best[k][0]:
            best[k] = (rank, e)
    keep = {id(e) for _, e in best.values()}
    return [e for e in facts if e.type not in ("interaction.completed", "survey.answered") or id(e) in keep]


def resolve(facts, roster, names=None):
    """-> (dims, customer, the fact that names the agent) by precedence; no roster when it is None."""
    dims, who, prec = {}, {}, {}
    customer, cprec = None, 9
    for e in facts:
        p = 2 if not e.type.startswith(LIFE) else 1 if e.type == "interaction.wrapped" else 0
        for d, v in e.dims.items():
            if p <= prec.get(d, 9):
                dims[d], prec[d] = v, p
                if d == "agent":
                    who = e
        if e.customer is not None and p <= cprec:
            customer, cprec = e.customer, p
    return dims, customer, who or None


class Segment:
    __slots__ = ("start", "end", "named", "named_at", "hold", "holds", "talk", "wrap", "wrapped", "dims")

    def anchor(self):
        return self.wrapped if self.wrapped is not None else self.end


class Record:
    def __init__(self, facts, roster):
        """`facts` sorted, of one record, with the replaced versions taken out."""
        self.facts, self.roster = facts, roster
        first = facts[0]
        self.tenant, self.id, self.begin = first.tenant, first.inter, first.time
        self.dims, self.customer, who = resolve(facts, roster)
        if who is not None:
            roster.fill(self.tenant, self.dims, who.time)
        by = {}
        for e in facts:
            by.setdefault(e.type, []).append(e)
        self.by = by
        done = by.get("interaction.completed")
        self.done = done = done[-1] if done else None
        f = done.f if done else {}

        def times(*types):
            return [e.time for e in facts if e.type in types]

        offered = times("interaction.offered")
        self.offered_at = f.get("offered_at", offered[0] if offered else None)
        over = times("interaction.ended", "interaction.abandoned")
        self.ended_at = f.get("ended_at", over[-1] if over else done.time if done else None)
        for name in ("resolved", "contained", "scripted", "cost"):
            v = f.get(name)
            if v is None:
                for e in by.get("interaction.ended", ()):
                    v = e.f.get(name, v)
            setattr(self, name, v)
        for name, typ in (("transfers", "transferred"), ("identifications", "identified"), ("restatements", "restated")):
            setattr(self, name, f.get(name, len(by.get(LIFE + typ, ()))))

        self.first_answer = None
        answer_known = True         # whether the answer's instant makes a wait
        if f.get("abandoned") is True:
            self.segments = []
        elif "answered_at" in f or "talk_ms" in f:
            answer_known = self._recorded(f)
        else:
            self.segments = self._lifecycle()
            if self.segments:
                self.first_answer = self.segments[0].start
        self._segment_dims()
        if not ("answered_at" in f or "talk_ms" in f):
            self._wrap()
        for s in self.segments:
            if s.end is not None and s.wrap is None:
                s.wrap = 0

        abandons = times("interaction.abandoned")
        self.abandoned = f["abandoned"] if "abandoned" in f and not self.segments else \
            bool(abandons) and not self.segments
        self.abandoned_at = None
        if self.abandoned:
            if not done:
                self.abandoned_at = abandons[0]
            elif "ended_at" in f:
                self.abandoned_at = f["ended_at"]
            elif self.offered_at is not None and "wait_ms" in f:
                self.abandoned_at = self.offered_at + f["wait_ms"]
            else:
                self.abandoned_at = abandons[0] if abandons else done.time
        self.wait = f.get("wait_ms")
        if self.wait is None and self.offered_at is not None:
            at = self.abandoned_at if self.abandoned else self.first_answer if answer_known else None
            if at is not None:
                self.wait = clamp(at - self.offered_at)
        closed = [s for s in self.segments if s.end is not None]
        self.closed_segments = closed
        self.conversation = sum(s.talk + s.hold + s.wrap for s in closed)
        self.usage = "used" if "program.used" in by else "missed" if "opportunity.seen" in by else None
        self.converted = "conversion.made" in by
        self.entry_dims = self._entry()

    def _recorded(self, f):
        """The one segment of a `completed` record; -> whether its answer's instant is known."""
        s = Segment()
        s.end, s.named, s.named_at = self.ended_at, self.done.dims, self.done.time
        known = True
        if "answered_at" in f:
            self.first_answer = f["answered_at"]
        elif self.offered_at is not None and "wait_ms" in f:
            self.first_answer = self.offered_at + f["wait_ms"]
        else:
            self.first_answer, known = self.ended_at, False
        s.hold = f.get("hold_ms", 0)
        s.holds = f.get("holds", 0)
        s.talk = f["talk_ms"] if "talk_ms" in f else clamp(self.ended_at - f["answered_at"] - s.hold)
        s.wrapped = f.get("wrapped_at")
        s.wrap = f["wrap_ms"] if "wrap_ms" in f else \
            clamp(s.wrapped - self.ended_at) if s.wrapped is not None else 0
        s.start = self.first_answer
        self.segments = [s]
        return known

    def _in_order(self):
        """Facts in order, `resumed` put after the `held` of its instant when no hold was open before it.
        A generator: it asks `self._hold` at each instant."""
        i, facts = 0, self.facts
        while i < len(facts):
            j = i
            while j < len(facts) and facts[j].time == facts[i].time:
                j += 1
            group = facts[i:j]
            if self._hold is None:
                group.sort(key=lambda e: 4.5 if e.type == "interaction.resumed" else e.rank)
            yield from group
            i = j

    def _lifecycle(self):
        segments, cur, self._hold = [], None, None
        raw = 0

        def close(t):
            nonlocal cur, raw
            if cur is None:
                return
            if self._hold is not None:
                raw += t - self._hold
                self._hold = None
            cur.end = t
            cur.hold = clamp(raw)
            cur.talk = clamp(t - cur.start - raw)
            cur = None

        for e in self._in_order():
            k = e.type[len(LIFE):] if e.type.startswith(LIFE) else None
            if k == "answered":
                close(e.time)
                cur = Segment()
                cur.start, cur.named, cur.named_at = e.time, e.dims, e.time
                cur.end = cur.wrap = cur.wrapped = None
                cur.hold = cur.talk = cur.holds = raw = 0
                segments.append(cur)
            elif k in ("transferred", "ended", "abandoned"):
                close(e.time)
            elif k == "held":
                if cur is not None and self._hold is None:
                    self._hold = e.time
                    cur.holds += 1
            elif k == "resumed":
                if self._hold is not None:
                    raw += e.time - self._hold
                    self._hold = None
            elif k == "wrapped":
                self._wraps = getattr(self, "_wraps", [])
                self._wraps.append((e, [s for s in segments if s.end is not None]))
        return segments

    def _segment_dims(self):
        for s in self.segments:
            s.dims = self.roster.own_else(self.tenant, s.named, s.named_at, self.dims)

    def _wrap(self):
        for e, closed in getattr(self, "_wraps", ()):
            agent = e.dims.get("agent")
            for s in reversed(closed):
                if agent is None or s.dims.get("agent") == agent:
                    s.wrapped = e.time
                    s.wrap = clamp(e.time - s.end)
                    break

    def _entry(self):
        if self.done:
            named, _, who = resolve([self.done], None)
        else:
            stop = "interaction.abandoned" if self.abandoned else "interaction.answered"
            cut = []
            for e in self.facts:
                cut.append(e)
                if e.type == stop:
                    break
            named, _, who = resolve(cut, None)
        return self.roster.own_else(self.tenant, named, who.time if who is not None else 0, self.dims)

    def begins(self):
        return self.offered_at if self.offered_at is not None else self.begin
