#!/usr/bin/env python3
"""random_feed.py --seed N --events M [--days D]: a feed that exercises SEMANTICS, the same for a seed."""
import argparse
import random
import sys

from feed_parts import Writer, parse
from feed_rubbish import line as rubbish
import feed_stories

DAY = 86400000
# Changes of daylight saving: Berlin, New York, Lord Howe; and month and ISO year ends.
EDGES = ["2026-03-08T07:00:00Z", "2026-03-29T01:00:00Z", "2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z",
         "2026-10-25T01:00:00Z", "2026-11-01T06:00:00Z", "2026-03-28T23:00:00Z", "2026-10-31T18:30:00Z",
         "2026-12-31T23:59:00Z"]


class Feed:
    def __init__(self, seed, days):
        self.rng = random.Random(seed)
        self.first = parse("2026-10-19T00:00:00Z")
        self.days = days
        self.w = Writer(self.rng)
        self.n = 0

    def moment(self):
        r = self.rng
        if r.random() < 0.12:
            return parse(r.choice(EDGES)) + r.choice([0, -1, 1, r.randrange(-3 * 3600000, 3 * 3600000)])
        t = self.first + int(r.random() * self.days * DAY)
        x = r.random()
        if x < 0.05:
            t -= t % 3600000 + r.choice([0, 1, -1])
        elif x < 0.3:
            t -= t % 1000
        return t

    def number(self):
        self.n += 1
        return self.n


def shuffled(rng, lines):
    """Mostly by time, some late, a few anywhere; some twice."""
    out = []
    for t, raw in lines:
        x = rng.random()
        key = t + rng.randrange(0, 2000) if x < 0.6 else t + rng.randrange(0, 900000) if x < 0.9 else \
            t + rng.randrange(0, 5 * DAY) if x < 0.97 else rng.randrange(parse(EDGES[0]), parse(EDGES[-1]))
        out.append((key, len(out), raw))
        while rng.random() < 0.06:
            out.append((key + rng.choice([0, 500, 60000, 3 * DAY]), len(out), raw))
    out.sort()
    return [raw for _, _, raw in out]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--events", type=int, default=1000)
    p.add_argument("--days", type=float, default=16)
    a = p.parse_args()
    f = Feed(a.seed, a.days)
    want = int(a.events * 0.92)
    feed_stories.roster(f, max(4, want // 60))
    while len(f.w.lines) < want:
        feed_stories.story(f)
    lines = shuffled(f.rng, f.w.lines)
    out, n = sys.stdout.buffer, 0
    for raw in lines:
        if f.rng.random() < 0.02:
            n += 1
            out.write(rubbish(f.rng, n) + b"\n")
        if f.rng.random() < 0.002:
            out.write(b"\n")
        out.write(raw + b"\n")


if __name__ == "__main__":
    main()
