"""Calendar windows in a time zone, all instants in epoch milliseconds."""
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY, HOUR = 86400000, 3600000
_EPOCH = date(1970, 1, 1).toordinal()
LENGTHS = {"quarter_hour": HOUR // 4, "half_hour": HOUR // 2, "hour": HOUR}


class Zone:
    def __init__(self, name):
        self.tz = ZoneInfo(name)
        self._segments, self._days, self._offs = {}, {}, {}

    def _offset(self, sec):
        v = self._offs.get(sec)
        if v is None:
            at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=sec)
            v = self._offs[sec] = int(at.astimezone(self.tz).utcoffset().total_seconds())
        return v

    def segments(self, day):
        """Stretches (from, to, offset) of one offset that cover the UTC day number and two days each side."""
        got = self._segments.get(day)
        if got is None:
            lo, hi = (day - 2) * 86400, (day + 3) * 86400
            got, a, o = [], lo, self._offset(lo)
            for t in range(lo + 3600, hi + 1, 3600):
                n = self._offset(t)
                if n != o:
                    x, y = t - 3600, t
                    while y - x > 1:
                        mid = (x + y) // 2
                        if self._offset(mid) == o:
                            x = mid
                        else:
                            y = mid
                    got.append((a * 1000, y * 1000, o * 1000))
                    a, o = y, n
            got.append((a * 1000, hi * 1000, o * 1000))
            self._segments[day] = got
            if len(self._offs) > 500000:
                self._offs.clear()
        return got

    def offset(self, t):
        for a, b, o in self.segments(t // DAY):
            if a <= t < b:
                return o
        raise AssertionError

    def short(self, t, kind):
        """Hour, half hour, quarter hour: cut at a transition that is not a whole hour."""
        length = LENGTHS[kind]
        segs = self.segments(t // DAY)
        for i, (a, b, o) in enumerate(segs):
            if a <= t < b:
                break
        start = (t + o) // length * length - o
        end = start + length
        if i and start < a and (o - segs[i - 1][2]) % HOUR:
            start = a
        if i + 1 < len(segs) and end > b and (segs[i + 1][2] - o) % HOUR:
            end = b
        return start, end

    def first_instant(self, day):
        """The first instant of a local date (a day number)."""
        got = self._days.get(day)
        if got is None:
            mid = day * DAY
            found = [max(a, mid - o) for a, b, o in self.segments(day) if max(a, mid - o) < b]
            got = self._days[day] = min(found)
        return got

    def local_day(self, t):
        d = (t + self.offset(t)) // DAY
        while t >= self.first_instant(d + 1):
            d += 1
        while t < self.first_instant(d):
            d -= 1
        return d

    def window(self, kind, t):
        if kind in LENGTHS:
            return self.short(t, kind)
        d = self.local_day(t)
        if kind == "day":
            return self.first_instant(d), self.first_instant(d + 1)
        if kind == "week":
            d -= (d + 3) % 7                    # 1970-01-01 was a Thursday
            return self.first_instant(d), self.first_instant(d + 7)
        day = date.fromordinal(d + _EPOCH)
        first = day.replace(day=1)
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        return (self.first_instant(first.toordinal() - _EPOCH), self.first_instant(after.toordinal() - _EPOCH))

    def week_earlier(self, kind, start):
        """Start of the same calendar hour, day or week a week earlier."""
        if kind == "hour":
            local = start + self.offset(start) - 7 * DAY
            for a, b, o in self.segments(local // DAY):
                if a <= local - o < b:
                    return self.short(local - o, kind)[0]
            return None
        d = self.local_day(start)
        return self.first_instant(d - 7)


@lru_cache(maxsize=None)
def zone(name):
    return Zone(name)
