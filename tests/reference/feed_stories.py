"""What happens in a contact centre, at random (for random_feed.py)."""
from feed_parts import AGENTS, ELEMENTS, SITES, TEAMS, TENANTS, CHANNELS, QUEUES, dims

S, M, H, D = 1000, 60000, 3600000, 86400000


def roster(f, n):
    r = f.rng
    for _ in range(n):
        t = f.moment() if r.random() < 0.8 else f.first - r.randrange(60 * D)
        typ = "agent.enrolled" if r.random() < 0.72 else "agent.removed"
        d = {}
        if r.random() < (0.85 if typ == "agent.enrolled" else 0.1):
            d["team"] = r.choice(TEAMS)
        if r.random() < (0.7 if typ == "agent.enrolled" else 0.1):
            d["site"] = r.choice(SITES)
        if r.random() < 0.1:
            d["channel"] = r.choice(CHANNELS)
        f.w.put(t, typ, "ro%d" % f.number(), tenant=r.choice(TENANTS),
                agent=None if r.random() < 0.02 else r.choice(AGENTS),
                interaction="c%d" % r.randrange(1, 60) if r.random() < 0.03 else None, **d)


def states(f):
    r = f.rng
    tenant, agent, t = r.choice(TENANTS), r.choice(AGENTS), f.moment()
    for _ in range(r.randrange(1, 9)):
        f.w.put(t, "agent.state", "st%d" % f.number(), tenant=tenant, agent=None if r.random() < 0.02 else agent,
                state=r.choice(["ready", "busy", "wrap", "away", "offline"]),
                **dims(r, 0.15, ("reason", "campaign", "direction")))
        t += r.choice([0, 1, r.randrange(10 * M), r.randrange(3 * H), r.randrange(H)])


def customer(f):
    r = f.rng
    return None if r.random() < 0.25 else "cust%d" % r.randrange(1, 40 + f.n // 40)


def rating(r):
    return {"csat": None if r.random() < 0.15 else r.choice([1, 2, 3, 4, 4, 5, 5, 5]),
            "nps": None if r.random() < 0.4 else r.randrange(0, 11),
            "ces": None if r.random() < 0.6 else r.randrange(1, 8),
            "comment": r.choice([None, None, "fine", "\u0000", "l" * 700, "\u00fcber\n"])}


def survey(f, tenant, inter, t, base):
    r = f.rng
    staff = r.random() < 0.2
    who = "employee" if staff else r.choice([None, "customer"])
    if r.random() < 0.8:
        f.w.put(t - r.randrange(H), "survey.sent", "ss%d" % f.number(), tenant=tenant, interaction=inter, respondent=who)
    if r.random() < 0.75:
        n = f.number()
        key = "sv%d" % n if r.random() < 0.6 else None
        d = dims(r, 0.08)
        if r.random() < 0.3:
            d["agent"] = r.choice(AGENTS)
        versions = [None] if r.random() < 0.7 else r.sample([None, 1, 2, 3, -1, 7], r.randrange(2, 4))
        for i, v in enumerate(versions):        # re-rated: each version with its own content and time
            eid = "sa%d" % n if key is None else "sa%d.%d" % (n, i if r.random() < 0.6 else 0)
            if eid.endswith(".0") and i and key:
                eid = "sa%d.0" % n              # the same id under another version
            f.w.put(t + r.choice([0, r.randrange(H), r.randrange(2 * D)]), "survey.answered", eid, tenant=tenant,
                    interaction=inter, respondent=who, survey=key, version=v, **rating(r), **d)


def extra(f, tenant, inter, t):
    """An event that is no lifecycle event, in a contact or outside any."""
    r = f.rng
    typ = r.choice(["opportunity.seen", "opportunity.seen", "program.used", "program.used", "offer.made",
                    "offer.accepted", "conversion.made", "customer.kept", "customer.lost", "recognition.given",
                    "message.sent"])
    own = {}
    if typ == "program.used":
        own["cost"] = r.choice([None, 0, 250, 10 ** 12])
    if typ in ("opportunity.seen", "program.used", "recognition.given"):
        own["element"] = r.choice(ELEMENTS + [None])
    if typ.startswith("offer."):
        own["kind"] = r.choice(["upsell", "cross_sell", "save"])
    if typ in ("offer.accepted", "conversion.made", "customer.kept", "customer.lost"):
        own["value"] = r.choice([None, 0, 4999, r.randrange(10 ** 7)])
    if typ == "message.sent":
        own["from_"] = r.choice(["agent", "customer"])
    if r.random() < (0.7 if inter is None else 0.2):
        own["agent"] = r.choice(AGENTS)
    f.w.put(t, typ, "ev%d" % f.number(), tenant=tenant, interaction=inter, customer=customer(f) if r.random() < 0.05
            else None, **own, **dims(r, 0.5 if inter is None else 0.08))


def outcome(r):
    return {"resolved": r.choice([None, True, True, False]), "contained": r.choice([None, None, None, True, False]),
            "scripted": r.choice([None, None, True, False]), "cost": r.choice([None, None, 0, 120, 99999])}


def gap(r):
    return r.choice([0, 1, 5 * S, 20 * S, 20 * S + 1, r.randrange(30 * S), r.randrange(10 * M), r.randrange(10 * M),
                     r.randrange(2 * H)])


class Contact:
    def __init__(self, f):
        self.f, self.r = f, f.rng
        self.tenant = self.r.choice(TENANTS)
        self.id = "c%d" % f.number() if self.r.random() < 0.97 else "contact \u20ac %d " % f.number() + "z" * 120
        self.t = f.moment()
        self.versions = self.r.sample([None, 1, 2, 3, 5, -2, 1 << 53], 7)

    def put(self, typ, t=None, **fields):
        self.f.w.put(self.t if t is None else t, "interaction." + typ, "e%d" % self.f.number(), tenant=self.tenant,
                     interaction=self.id, **fields)

    def lifecycle(self):
        r = self.r
        common = dims(r, 0.7)
        cust = customer(self.f)
        if r.random() < 0.93:
            self.put("offered", customer=cust, **common)
            if r.random() < 0.03:
                self.t += gap(r)
                self.put("offered", **dims(r, 0.5))
        self.t += gap(r)
        if r.random() < 0.13:
            self.put("abandoned", **dims(r, 0.05))
            if r.random() < 0.1:
                self.put("ended", t=self.t + gap(r), **outcome(r))
            return
        legs = r.choice([0, 1, 1, 1, 1, 2, 2, 3])
        agent = None
        for leg in range(legs):
            agent = None if r.random() < 0.06 else r.choice(AGENTS)
            own = dims(r, 0.12)
            if r.random() < 0.4:
                own["queue"] = r.choice(QUEUES)
            self.put("answered", agent=agent, customer=cust if r.random() < 0.1 else None, **own)
            for _ in range(r.choice([0, 0, 0, 1, 1, 2, 4])):
                self.t += gap(r)
                self.put(r.choice(["held", "held", "resumed", "resumed", "identified", "restated"]),
                         **dims(r, 0.03))
            self.t += gap(r)
            if leg + 1 < legs:
                if r.random() < 0.8:
                    self.put("transferred", agent=agent if r.random() < 0.3 else None, **dims(r, 0.05))
                if r.random() < 0.2:
                    self.wrapped(agent)
                self.t += r.choice([0, gap(r)])
                if r.random() < 0.5:
                    self.put("offered", queue=r.choice(QUEUES), agent=r.choice(AGENTS) if r.random() < 0.1 else None,
                             **dims(r, 0.1, ("queue",)))
                    self.t += gap(r)
        if r.random() < 0.92:
            self.put("ended", **outcome(r), **dims(r, 0.05))
            if r.random() < 0.04:
                self.put("ended", t=self.t + gap(r), **outcome(r))
        if legs and r.random() < 0.6:
            self.wrapped(agent)

    def wrapped(self, agent):
        r = self.r
        late = r.choice([0, gap(r), gap(r), r.randrange(6 * H)])
        who = agent if r.random() < 0.7 else None if r.random() < 0.8 else r.choice(AGENTS)
        self.put("wrapped", t=self.t + late, agent=who, **dims(r, 0.03))

    def completed(self):
        """One whole record, in one or several versions, their fields at odds."""
        r = self.r
        count = r.choice([1, 1, 1, 2, 3])
        n = self.f.number()
        base_dims, cust = dims(r, 0.7), customer(self.f)
        agent = None if r.random() < 0.1 else r.choice(AGENTS)
        for i in range(count):
            o = self.t + r.choice([0, 0, -S, r.randrange(-M, M)])
            a, e = o + gap(r), 0
            e = a + gap(r) + r.choice([0, gap(r)])
            if r.random() < 0.04:
                e = a + 31 * D + r.choice([-1, 0, 1, D])
            if r.random() < 0.05:
                a, e = e, a                                     # clocks differ
            w = e + r.choice([gap(r), gap(r), 5 * H, -3 * S])

            def maybe(p, v):
                return v if r.random() < p else None
            f = {"offered_at": maybe(0.7, o), "answered_at": maybe(0.65, a), "ended_at": maybe(0.7, e),
                 "wrapped_at": maybe(0.4, w), "wait_ms": maybe(0.3, r.randrange(M)), "talk_ms": maybe(0.3, r.randrange(H)),
                 "hold_ms": maybe(0.3, r.randrange(5 * M)), "wrap_ms": maybe(0.3, r.randrange(5 * M)),
                 "holds": maybe(0.3, r.randrange(4)), "transfers": maybe(0.4, r.randrange(3)),
                 "identifications": maybe(0.4, r.randrange(4)), "restatements": maybe(0.3, r.randrange(3)),
                 "abandoned": r.choice([None] * 5 + [False, False, True])}
            if r.random() < 0.02:
                f["talk_ms"] = 31 * D
            if i and r.random() < 0.5:
                agent, base_dims = r.choice(AGENTS), dims(r, 0.7)
            at = self.t + r.choice([gap(r), gap(r) + gap(r), 9 * H, 30 * H])
            self.f.w.put(at, "interaction.completed", "done%d" % n if r.random() < 0.5 else "done%d.%d" % (n, i),
                         tenant=self.tenant, interaction=self.id, version=self.versions.pop(), customer=cust,
                         agent=agent, **f, **outcome(r), **base_dims)

    def chat(self):
        t = self.t - self.r.randrange(10 * M)
        for _ in range(self.r.randrange(1, 9)):
            self.f.w.put(t, "message.sent", "m%d" % self.f.number(), tenant=self.tenant, interaction=self.id,
                         from_=self.r.choice(["agent", "customer"]), agent=self.r.choice(AGENTS)
                         if self.r.random() < 0.2 else None)
            t += self.r.choice([0, gap(self.r)])


def contact(f):
    r, c = f.rng, Contact(f)
    began = c.t
    if r.random() < 0.08:
        survey(f, c.tenant, c.id, c.t - r.randrange(D), c)      # before the contact
    again = 1 if r.random() < 0.95 else 2
    for i in range(again):
        if i:       # the same id once more, about a retention later
            c.t += r.choice([D, D + 1, 2 * D, 3 * D, 3 * D + 1, 7 * D - 1, 7 * D, 7 * D + 1, 9 * D])
        x = r.random()
        if x < 0.75:
            c.lifecycle()
        if x > 0.62 and len(c.versions) > 3:
            c.completed()
        for _ in range(r.choice([0, 0, 1, 1, 2, 3])):
            extra(f, c.tenant, c.id, began + r.randrange(-M, max(c.t - began, 0) + 20 * M))
        if r.random() < 0.15:
            c.chat()
        if r.random() < 0.45:
            survey(f, c.tenant, c.id, c.t + r.choice([0, gap(r), r.randrange(D), 3 * D]), c)
    if r.random() < 0.02:       # a state inside a contact
        f.w.put(c.t, "agent.state", "st%d" % f.number(), tenant=c.tenant, interaction=c.id, agent=r.choice(AGENTS),
                state=r.choice(["ready", "busy", "offline"]))


def story(f):
    x = f.rng.random()
    if x < 0.76:
        contact(f)
    elif x < 0.84:
        states(f)
    elif x < 0.93:
        extra(f, f.rng.choice(TENANTS), None, f.moment())
    elif x < 0.97:
        survey(f, f.rng.choice(TENANTS), None, f.moment(), None)
    else:       # facts of an id without any interaction.*: they stand alone
        n, t, tenant = f.number(), f.moment(), f.rng.choice(TENANTS)
        for _ in range(f.rng.randrange(1, 4)):
            extra(f, tenant, "lone%d" % n, t + f.rng.randrange(D))
        survey(f, tenant, "lone%d" % n, t, None)
