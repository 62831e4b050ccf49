"""Records and events -> contributions (SEMANTICS section 3).

A point is (tenant, dims, anchor, {measure: n}, [(histogram, ms)...]); a span is (tenant, dims, from, to or None, measure)."""
from ref_events import DAY
from ref_records import Record, clamp, newest_versions, resolve, split, survey_key
from ref_xxh3 import xxh3_str

EVENT_MEASURES = {"opportunity.seen": "opportunities", "recognition.given": "recognitions"}
STATES = {"ready": "ready_ms", "busy": "busy_ms", "wrap": "wrap_state_ms", "away": "away_ms"}


class Contributions:
    def __init__(self, events, cfg):
        from ref_roster import Roster
        self.cfg, self.points, self.spans = cfg, [], []
        self.unjoined = self.records_n = 0
        self.roster = Roster(events)
        inside, alone = {}, []
        for e in events:
            if e.inter is None:
                alone.append(e)
            else:
                inside.setdefault((e.tenant, e.inter), []).append(e)
        groups = {}
        for e in alone:             # surveys outside any interaction replace each other as well
            groups.setdefault(e.tenant, []).append(e)
        for evs in groups.values():
            for e in newest_versions(evs):
                self.alone(e)
        records = []
        for evs in inside.values():
            for facts in split(evs, cfg.retention):
                facts = newest_versions(facts)
                if any(e.type.startswith("interaction.") for e in facts):
                    records.append(Record(facts, self.roster))
                else:
                    self.unjoined += len(facts)
                    for e in facts:
                        self.alone(e)
        self.records_n = len(records)
        self.repeats(records)
        for r in records:
            self.record(r)
        self.agents(events)

    def add(self, tenant, dims, anchor, m, hist=()):
        m = {k: v for k, v in m.items() if v}
        if m or hist:
            self.points.append((tenant, dims, anchor, m, hist))

    def alone(self, e):
        if not e.type.startswith("agent."):
            dims = self.roster.fill(e.tenant, dict(e.dims), e.time)
            self.event(e, dims, None)

    def repeats(self, records):
        """fcr: marks the records after which the same customer came again in time."""
        by = {}
        for r in records:
            r.repeated = False
            if r.customer is not None:
                by.setdefault((r.tenant, r.customer), []).append(r)
        for rs in by.values():
            rs.sort(key=lambda r: (r.begins(), xxh3_str(r.id)))
            following = None
            for r in reversed(rs):
                if following is not None and r.ended_at is not None:
                    r.repeated = following.begins() <= r.ended_at + self.cfg.fcr_window
                if r.dims.get("direction") not in ("outbound", "proactive"):
                    following = r

    def record(self, r):
        cfg = self.cfg
        if r.offered_at is not None:
            self.add(r.tenant, r.entry_dims, r.offered_at, {"offered": 1})
        limit = cfg.sl_threshold(r.entry_dims)
        if r.segments:
            m, h = {"answered": 1}, ()
            if r.wait is not None:
                m.update(wait_n=1, wait_ms=r.wait, answered_in_sl=int(r.wait <= limit))
                h = (("wait", r.wait),)
            self.add(r.tenant, r.entry_dims, r.first_answer, m, h)
        if r.abandoned:
            m = {"abandoned": 1}
            if r.wait is not None:
                m.update(abandon_wait_n=1, abandon_wait_ms=r.wait, abandoned_short=int(r.wait <= cfg.short_abandon),
                         abandoned_in_sl=int(r.wait <= limit))
            self.add(r.tenant, r.entry_dims, r.abandoned_at, m)
        for s in r.closed_segments:
            self.add(r.tenant, s.dims, s.anchor(),
                     {"handled": 1, "talk_ms": s.talk, "hold_ms": s.hold, "wrap_ms": s.wrap, "held": int(s.hold > 0),
                      "holds": s.holds}, (("handle", s.talk + s.hold + s.wrap),))
            if "agent" in s.dims:
                self.spans.append((r.tenant, s.dims, s.end - s.talk - s.hold, s.end, "segment_ms"))
        if r.ended_at is not None and not r.abandoned:
            self.closed(r)
        for e in r.facts:
            if not e.type.startswith(("interaction.", "agent.", "message.")):
                self.event(e, self.roster.own_else(r.tenant, e.dims, e.time, r.dims), r)
        self.messages(r)
        self.legs(r)

    def closed(self, r):
        known = r.customer is not None
        self.add(r.tenant, r.dims, r.ended_at, {
            "closed": 1, "conversed": int(bool(r.closed_segments)), "conversation_ms": r.conversation,
            "transfers": r.transfers, "transferred": int(r.transfers > 0),
            "repeat_ids": max(r.identifications - 1, 0), "restatements": r.restatements,
            "resolved_known": int(r.resolved is not None), "resolved": int(r.resolved is True),
            "self_service": int(r.contained is not None), "contained": int(r.contained is True),
            "scripted_known": int(r.scripted is not None), "scripted": int(r.scripted is True),
            "cost": r.cost or 0, "converted": int(r.converted),
            "used_contacts": int(r.usage == "used"), "missed_contacts": int(r.usage == "missed"),
            "fcr_known": int(known), "fcr": int(known and not r.repeated)})

    def event(self, e, dims, r):
        """The events that measure something wherever they are; r is None outside a record."""
        t, f, m, anchor = e.type, e.f, {}, e.time
        if t in EVENT_MEASURES:
            m[EVENT_MEASURES[t]] = 1
        elif t == "program.used":
            m = {"uses": 1, "use_cost": f.get("cost", 0)}
        elif t == "offer.made":
            m[f["kind"] + "_offers"] = 1
        elif t == "offer.accepted":
            m = {f["kind"] + "_accepted": 1, "offer_value": f.get("value", 0)}
        elif t == "conversion.made":
            m = {"conversions": 1, "conversion_value": f.get("value", 0)}
        elif t == "customer.kept":
            m = {"customers_kept": 1, "value_kept": f.get("value", 0)}
        elif t == "customer.lost":
            m = {"customers_lost": 1, "value_lost": f.get("value", 0)}
        elif t == "survey.sent":
            m["employee_survey_sent" if f.get("respondent") == "employee" else "survey_sent"] = 1
        elif t == "survey.answered":
            if self.cfg.attribution == "interaction" and r is not None and r.ended_at is not None:
                anchor = r.ended_at
            m = self.survey(f, r)
        self.add(e.tenant, dims, anchor, m)

    def survey(self, f, r):
        csat, nps, ces, m = f.get("csat"), f.get("nps"), f.get("ces"), {}
        staff = f.get("respondent") == "employee"
        p = "employee_" if staff else ""
        m[p + "survey_answered"] = 1
        m[p + "comments"] = int("comment" in f)
        if csat is not None:
            top = int(csat >= self.cfg.top_box)
            c = "esat" if staff else "csat"
            m.update({c + "_n": 1, c + "_sum": csat, c + "_top": top})
        if nps is not None:
            pro, det = int(nps >= 9), int(nps <= 6)
            c = "enps" if staff else "nps"
            m.update({c + "_n": 1, c + "_promoters": pro, c + "_detractors": det})
        if staff:
            return m
        if ces is not None:
            m.update(ces_n=1, ces_sum=ces)
        if r is None:
            return m
        if r.usage and csat is not None:
            m.update({"csat_%s_n" % r.usage: 1, "csat_%s_top" % r.usage: top})
        if r.usage and nps is not None:
            m.update({"nps_%s_n" % r.usage: 1, "nps_%s_promoters" % r.usage: pro, "nps_%s_detractors" % r.usage: det})
        if csat is not None and r.scripted is not None:
            s = "scripted" if r.scripted else "unscripted"
            m.update({"csat_%s_n" % s: 1, "csat_%s_top" % s: top})
        if csat is not None and r.closed_segments:
            if r.conversation <= DAY:
                x = r.conversation // 1000
                m.update(ac_n=1, ac_x=x, ac_y=csat, ac_xx=x * x, ac_yy=csat * csat, ac_xy=x * csat)
            i = sum(1 for b in self.cfg.bands if r.conversation >= b)
            m.update({"band%d_n" % i: 1, "band%d_top" % i: top})
        return m

    def messages(self, r):
        run, ever = None, False
        for e in r.by.get("message.sent", ()):
            if e.f["from"] == "customer":
                if run is None:
                    run = e.time
            elif run is not None:
                ms, m = clamp(e.time - run), {"response_n": 1}
                m["response_ms"] = ms
                if not ever:
                    m.update(first_response_n=1, first_response_ms=ms)
                ever, run = True, None
                self.add(r.tenant, self.roster.own_else(r.tenant, e.dims, e.time, r.dims), e.time, m)

    def legs(self, r):
        leg = None
        for i, e in enumerate(r.facts):
            k = e.type[12:] if e.type.startswith("interaction.") else ""
            if k not in ("offered", "answered", "abandoned", "ended"):
                continue
            if leg is not None and k in ("answered", "abandoned"):
                dims, at = leg
                wait = clamp(e.time - at)
                m = {"leg_abandoned": 1} if k == "abandoned" else {
                    "leg_answered": 1, "leg_wait_ms": wait, "leg_in_sl": int(wait <= self.cfg.sl_threshold(dims))}
                self.add(r.tenant, dims, e.time, m)
            leg = None
            if k == "offered":
                dims = {d: v for d, v in resolve(r.facts[:i], None)[0].items() if d not in ("agent", "team", "site")}
                dims.update(e.dims)
                self.roster.fill(r.tenant, dims, e.time)
                self.add(r.tenant, dims, e.time, {"leg_offered": 1})
                leg = (dims, e.time)

    def agents(self, events):
        by = {}
        for e in events:
            if e.type == "agent.state" and "agent" in e.dims:
                by.setdefault((e.tenant, e.dims["agent"]), []).append(e)
        for evs in by.values():
            evs.sort(key=lambda e: e.order())
            for e, after in zip(evs, evs[1:] + [None]):
                if e.f["state"] in STATES:
                    dims = self.roster.fill(e.tenant, dict(e.dims), e.time)
                    self.spans.append((e.tenant, dims, e.time, after.time if after else None, STATES[e.f["state"]]))
        for e, measure in self.roster.changes():
            dims = self.roster.fill(e.tenant, dict(e.dims), e.time)
            self.add(e.tenant, dims, e.time, {measure: 1})
