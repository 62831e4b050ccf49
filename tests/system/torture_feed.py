"""A seeded feed for torture.py and long_replay.py: lanes of JSON Lines files, one a partition, and an index of how far each lane is.

Contacts with an even number are keyed: all their lines lie in one lane of the first topic. The others are scattered over the lanes of
the second topic, so that their events are handed over between shards. What is written obeys the feed's side of SEMANTICS: what has
one id and one version is one text, so any order and any repetition of the lines means the same figures.

The roster applies to what is derived after it arrives. Contacts that need it (agent, no team; only with `roster`) are therefore touched
once more by an event at the end of the feed, behind `body` lines: those are to be sent when all others are taken in and the
roster is whole, for run as for compute. That holds only where a restart does not begin all over again.

The newest event lies in the last second of a minute: so all rolling windows up to an hour end at one instant."""

import heapq
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference"))
import feed_rubbish  # noqa: E402

KEYED, FREE = 4, 4  # lanes of the keyed topic, and of the other
LANES = KEYED + FREE
TENANTS = ("acme", "acme", "acme", "globex")
QUEUES = ("billing", "support", "sales", "orders", "returns", "claims")
CHANNELS = ("voice", "chat", "email", "social")
ELEMENTS = ("apology", "appreciation", "sympathy", "life_event", "gift")
AGENTS, ROSTERED, TEAMS = 60, 20, 8
LINES_A_CONTACT = 5.9  # about; it sets the density
STEP = 256  # lines between two entries of the index
TOUCHED = 1000  # contacts that need the roster


class Feed:
    """write() fills folder/lane0.jsonl ... and leaves `index`, `newest_ms`, `lines`, `rubbish`."""

    def __init__(self, seed, lines, start_ms, span_ms, disorder_ms=8000, talk_ms=180000, rubbish=0.01, agents=AGENTS, roster=False):
        self.rng = random.Random(seed)
        self.want, self.start_ms, self.span_ms = lines, start_ms, span_ms
        self.disorder_ms, self.talk_ms, self.rubbish_share, self.agents = disorder_ms, talk_ms, rubbish, agents
        self.pending = []  # (when it is sent, number, lane, text)
        self.count = self.number = self.lines = self.rubbish = 0
        self.newest_ms = start_ms
        self.touch = []
        self.touch_most = TOUCHED if roster else 0
        self.index = []  # (lines so far, newest event time so far, offset of each lane)

    # ---- lines ----

    def put(self, t, lane, text, late_ms=0):
        """One event: mostly in its turn, 5 % up to disorder_ms late; 4 % once more, a while later."""
        rng = self.rng.random
        at = t + late_ms
        if rng() < 0.05:
            at += int(rng() * self.disorder_ms)
        self.count += 1
        heapq.heappush(self.pending, (at, self.count, lane if lane >= 0 else KEYED + int(rng() * FREE), t, text))
        if rng() < 0.04:
            self.count += 1
            again = (at + int(rng() * 600000), self.count, lane if lane >= 0 else KEYED + int(rng() * FREE), t, text)
            heapq.heappush(self.pending, again)

    def contact(self, t):
        r, rng = self.rng, self.rng.random
        self.number += 1
        n = self.number
        lane = -1 if n & 1 else (n * 2654435761 >> 7) % KEYED
        tenant = TENANTS[int(rng() * 4)]
        queue, channel, agent = QUEUES[int(rng() * 6)], CHANNELS[int(rng() * 4)], int(rng() * self.agents)
        who = '"agent":"a%03d","team":"t%d","site":"s%d"' % (agent, agent % TEAMS, agent % 3)
        if len(self.touch) < self.touch_most and rng() < 0.05:
            agent = int(rng() * ROSTERED)
            who = '"agent":"r%03d"' % agent
            self.touch.append((tenant, n, lane))
        head = '","tenant":"%s","interaction":"c%d"' % (tenant, n)
        place = ',"queue":"%s","channel":"%s"' % (queue, channel)
        customer = ',"customer":"u%d"' % int(rng() * max(20, self.want // 40)) if rng() < 0.7 else ""
        step = 0

        def say(kind, at, more="", late_ms=0):
            nonlocal step
            step += 1
            self.put(at, lane, '{"id":"c%d.%d%s,"type":"%s","time":%d%s}' % (n, step, head, kind, at, more), late_ms)

        talk = 5000 + int(rng() * 2 * self.talk_ms)
        if rng() < 0.65:
            end = self.lifecycle(say, t, talk, place, who, customer)
        else:
            end = self.record(n, lane, head, t, talk, place + "," + who + customer)
        if rng() < 0.4:
            used = ',"agent":"a%03d","element":"%s"' % (agent, ELEMENTS[int(rng() * 5)])
            for _ in range(1 + int(rng() * 2)):
                say("opportunity.seen", t + int(rng() * talk), used)
            if rng() < 0.5:
                say("program.used", t + int(rng() * talk), used + ',"cost":%d' % int(rng() * 2500))
        if rng() < 0.4:
            say("survey.sent", end + 1000)
            if rng() < 0.8:
                self.survey(n, lane, head, end + int(rng() * 1200000))
        if rng() < 0.12:
            say(r.choice(("customer.kept", "customer.lost", "conversion.made")), end, ',"value":%d' % int(rng() * 100000))
        if rng() < 0.12:
            kind = ',"kind":"%s","value":%d' % (r.choice(("upsell", "cross_sell", "save")), int(rng() * 9999))
            say("offer.made", t + talk // 2, kind)
            if rng() < 0.4:
                say("offer.accepted", t + talk // 2 + 3000, kind)
        if rng() < 0.05:
            say("recognition.given", end + int(rng() * 600000), ',"agent":"a%03d"' % agent)

    def lifecycle(self, say, t, talk, place, who, customer):
        rng = self.rng.random
        say("interaction.offered", t, place + customer)
        answer = t + int(rng() * 45000)
        if rng() < 0.1:
            say("interaction.abandoned", answer)
            return answer
        say("interaction.answered", answer, "," + who)
        at = answer + talk // 4
        if rng() < 0.3:
            say("interaction.held", at)
            say("interaction.resumed", at + talk // 8)
        if rng() < 0.2:
            say("interaction.identified", answer + 2000)
        if rng() < 0.1:
            say("interaction.restated", answer + 4000)
        if rng() < 0.15:
            other = int(rng() * self.agents)
            say("interaction.transferred", answer + talk // 2)
            say("interaction.offered", answer + talk // 2 + 10, ',"queue":"%s"' % QUEUES[int(rng() * 6)])
            who = '"agent":"a%03d","team":"t%d"' % (other, other % TEAMS)
            say("interaction.answered", answer + talk // 2 + 9000, "," + who)
        end = answer + talk + 9000
        say("interaction.ended", end, ',"resolved":%s,"cost":%d' % ("true" if rng() < 0.8 else "false", int(rng() * 900)))
        if rng() < 0.8:
            say("interaction.wrapped", end + int(rng() * 60000))
        return end

    def record(self, n, lane, head, t, talk, place):
        """A whole record, 15 % of them corrected by higher versions, which may overtake it."""
        rng = self.rng.random
        answer = t + int(rng() * 45000)
        end = answer + talk
        for version in range(1, 2 if rng() < 0.85 else 3 + int(rng() * 2)):
            text = '{"id":"c%d.r%s,"type":"interaction.completed","time":%d,"version":%d%s,"offered_at":%d,"answered_at":%d,' \
                   '"ended_at":%d,"wrap_ms":%d,"resolved":%s,"scripted":%s,"identifications":%d}' \
                   % (n, head, end, version, place, t, answer, end - int(rng() * 3000), int(rng() * 90000),
                      "true" if rng() < 0.8 else "false", "true" if rng() < 0.5 else "false", int(rng() * 3))
            self.put(end, lane, text, 0 if version == 1 and rng() < 0.9 else int(rng() * 1800000))
        return end

    def survey(self, n, lane, head, at):
        rng = self.rng.random
        for version in range(1, 2 if rng() < 0.9 else 3 + int(rng() * 2)):
            more = ""
            if rng() < 0.9:
                more += ',"csat":%d' % (4 + int(rng() * 2) if rng() < 0.7 else 1 + int(rng() * 5))
            if rng() < 0.5:
                more += ',"nps":%d' % int(rng() * 11)
            if rng() < 0.2:
                more += ',"comment":"as ever"'
            self.put(at, lane, '{"id":"s%d.%d%s,"type":"survey.answered","time":%d,"survey":"s%d","version":%d%s}'
                     % (n, version, head, at, n, version, more), int(rng() * 900000) if version > 1 else 0)

    def outside(self, t):
        """Events outside any interaction: routed by their own ids, from any lane."""
        rng = self.rng.random
        self.number += 1
        n, tenant, agent = self.number, TENANTS[int(rng() * 4)], int(rng() * self.agents)
        lane = int(rng() * KEYED) if rng() < 0.5 else -1
        kind = self.rng.choice(('"survey.answered","csat":%d,"nps":%d' % (1 + int(rng() * 5), int(rng() * 11)),
                                '"survey.answered","respondent":"employee","csat":%d' % (1 + int(rng() * 5)),
                                '"agent.state","state":"%s"' % self.rng.choice(("ready", "busy", "wrap", "away", "offline")), '"recognition.given"', '"program.used","cost":5'))
        self.put(t, lane, '{"id":"x%d","tenant":"%s","time":%d,"agent":"a%03d","team":"t%d","queue":"%s","type":%s}'
                 % (n, tenant, t, agent, agent % TEAMS, QUEUES[n % 6], kind))

    def roster(self):
        for tenant in ("acme", "globex"):
            for i in range(ROSTERED):
                text = '{"id":"en%d.%%d","tenant":"%s","agent":"r%03d","time":%%d,"type":"agent.%%s"%%s}' % (i, tenant, i)
                self.put(self.start_ms, -1, text % (0, self.start_ms, "enrolled", ',"team":"t%d","site":"s1"' % (i % TEAMS)))
                moved = self.start_ms + self.span_ms // 5 + i * 1000
                if i % 3 == 0:
                    self.put(moved, i % KEYED, text % (1, moved, "enrolled", ',"team":"t%d","site":"s2"' % ((i + 1) % TEAMS)))
                elif i % 3 == 1:
                    self.put(moved, i % KEYED, text % (1, moved, "removed", ""))

    # ---- files ----

    def write(self, folder):
        names = [os.path.join(folder, "lane%d.jsonl" % i) for i in range(LANES)]
        files = [open(name, "wb") for name in names]
        offset = [0] * LANES
        gap_ms = self.span_ms * LINES_A_CONTACT / self.want
        self.roster()
        t, rng = float(self.start_ms), self.rng.random
        body = self.want - self.touch_most

        def line(lane, raw):
            files[lane].write(raw + b"\n")
            offset[lane] += len(raw) + 1
            self.lines += 1
            if self.lines % STEP == 0:
                self.index.append((self.lines, self.newest_ms, tuple(offset)))

        while self.lines < body or self.newest_ms % 60000 < 59000:
            t += gap_ms * 2 * rng()
            self.contact(int(t))
            if rng() < 0.15:
                self.outside(int(t))
            while self.pending and self.pending[0][0] < t and (self.lines < body or self.newest_ms % 60000 < 59000):
                _, _, lane, time_ms, text = heapq.heappop(self.pending)
                self.newest_ms = max(self.newest_ms, time_ms)
                line(lane, text.encode())
                if rng() < self.rubbish_share:
                    self.rubbish += 1
                    line(int(rng() * LANES), feed_rubbish.line(self.rng, self.rubbish))
        self.body = self.lines
        self.index.append((self.lines, self.newest_ms, tuple(offset)))
        for tenant, n, lane in self.touch:
            text = '{"id":"c%d.touch","tenant":"%s","interaction":"c%d","type":"recognition.given","time":%d}'
            line(lane if lane >= 0 else KEYED + n % FREE, (text % (n, tenant, n, self.newest_ms)).encode())
        self.index.append((self.lines, self.newest_ms, tuple(offset)))
        for file in files:
            file.close()
        self.files = names
        return self


if __name__ == "__main__":
    made = Feed(int(sys.argv[1]), int(sys.argv[2]), 1790030100000, 18000000).write(sys.argv[3])
    print(made.lines, "lines", made.rubbish, "rubbish", made.number, "contacts", (made.newest_ms - made.start_ms) / 3600000, "hours")
