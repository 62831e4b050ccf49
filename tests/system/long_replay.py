"""long_replay.py: 120 days of feed in one replay. At 20 instants on the way the feed stops, and the rolling windows in Redis have to be
those of `compute --at` over the events so far; behind the warm-up the memory has to be flat.

Where the windows end: once all partitions are idle the watermark is the newest event less time.out_of_order, and each window ends
behind the pane that this falls into. Longer windows are published once a minute at most; a reload publishes all at once, so each
instant is a reload as well."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import urllib.request

import torture_parts as parts
from torture_feed import FREE, KEYED, Feed
from torture_parts import Esteem, Failure, Kafka, Producer, Redis, Sender, within

DAY = 86400000
ROLLING = {"1h": 3600000, "1d": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
CONFIG = """\
kafka: {{brokers: "{brokers}", group: long, topics: [contacts, {{name: scattered, keyed: false}}]}}
redis: {{socket: "{socket}"}}
topics: {{enabled: false, deadletter: ""}}
publish: {{rows_per_second: {rows}}}
windows: {{rolling: [1h, 1d, 7d, 30d], calendar: [day]}}
time: {{mode: replay, idle_after: 500ms}}
threads: {{shards: 2, folds: 2}}
http: {{listen: "127.0.0.1:{http}"}}
{state}"""
OUT_OF_ORDER_MS = 10000
START_MS = 1790030100000
# Tallies of all sizes come and go, so the pools fill for about three times the longest window: 400,000 events over 160 days stood at
# 32 MB on day 34, 54 MB on day 92 and 54 MB on day 158 (2 cores, 9,000 events a second, so that nothing queues up).
WARM_DAYS = 90
# Of the last days over the most of those before. What is kept of the feed goes up and down with it (29.9 to 34.1 MB after day 50); resident memory
# has the peaks of bursts besides, for good: a tick that comes late on a busy machine holds more differences, and their tables double
# (jemalloc's profile of days 60 and 117: 5 of 7 MB). A leak of a tenth of what is kept in 30 days is found.
TOLERANCE, SETTLED_DAYS = 0.10, 45
KEPT_POOLS = ("ledger", "books", "names", "windows")


class Memory(threading.Thread):
    """The process's resident memory against the feed's time: the most of each day."""

    def __init__(self, esteem, sender):
        super().__init__(daemon=True)
        self.esteem, self.sender, self.most = esteem, sender, {}

    def run(self):
        while self.esteem.alive():
            try:
                with open("/proc/%d/statm" % self.esteem.process.pid) as file:
                    mb = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
            except (OSError, IndexError):
                return
            day = max(self.sender.newest_ms - START_MS, 0) // DAY
            self.most[day] = max(self.most.get(day, 0), mb)
            time.sleep(0.05)

    def plot(self):
        top = max(self.most.values())
        for day, mb in sorted(self.most.items()):
            print("    day %2d  %6.1f MB  %s" % (day, mb, "#" * round(mb / top * 60)))

    @staticmethod
    def fault(what, of_day):
        last = max(of_day)
        warm = max(mb for day, mb in of_day.items() if SETTLED_DAYS <= day <= WARM_DAYS)
        said = "%s: %.1f MB at most on days %d to %d, %.1f MB on day %d; allowed: %.1f" % (
            what, warm, SETTLED_DAYS, WARM_DAYS, of_day[last], last, warm * (1 + TOLERANCE))
        print(said)
        return [] if of_day[last] <= warm * (1 + TOLERANCE) else ["memory grows: " + said]


class Replay:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.kafka, self.redis = Kafka(folder + "/kafka", args.port), Redis(folder)
        self.esteem = self.sender = None
        self.rows, self.compared, self.at = 100000, 0, [0] * (KEYED + FREE)
        self.kept = {}  # MB of what is kept of the feed, by day
        self.so_far = ["%s/so_far%d.jsonl" % (folder, i) for i in range(KEYED + FREE)]

    def config(self):
        path = self.folder + "/esteem.yaml"
        with open(path + ".new", "w") as file:
            file.write(CONFIG.format(brokers=self.kafka.brokers, socket=self.redis.socket, rows=self.rows, http=self.args.port + 5, state=self.state))
        os.rename(path + ".new", path)
        return path

    def knows_state(self):
        self.state = 'state: {folder: "%s/state"}\n' % self.folder
        if os.system("'%s' check '%s' >/dev/null 2>&1" % (self.args.esteem, self.config())):
            self.state = ""

    def prepare(self):
        self.knows_state()
        self.feed = Feed(self.args.seed, self.args.events, START_MS, self.args.days * DAY, rubbish=0).write(self.folder)
        self.kafka.start()
        self.kafka.do("topic", "contacts", KEYED)
        self.kafka.do("topic", "scattered", FREE)
        self.redis.start()
        lanes = [("contacts", p) for p in range(KEYED)] + [("scattered", p) for p in range(FREE)]
        self.producer = Producer(self.kafka.brokers, linger_ms=50)
        self.sender = Sender(self.feed, self.producer, lanes, self.args.rate)
        self.sender.limit = 0
        self.esteem = Esteem(self.args.esteem, self.config(), self.folder + "/esteem.log", self.folder)
        self.esteem.started()
        self.memory = Memory(self.esteem, self.sender)
        self.sender.start()
        self.memory.start()

    def append(self, offsets):
        for i, (path, offset) in enumerate(zip(self.so_far, offsets)):
            with open(self.feed.files[i], "rb") as source, open(path, "ab") as out:
                source.seek(self.at[i])
                out.write(source.read(offset - self.at[i]))
            self.at[i] = offset

    def reload(self):
        self.rows += 1
        self.config()
        before = self.esteem.said("reload.done")
        self.esteem.signal(signal.SIGHUP)
        within(20, lambda: self.esteem.said("reload.done") > before, "reload.done")

    def kept_mb(self):
        """As the engine tells it; its figures are a moment old."""
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % (self.args.port + 5), timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        of = {line.split('"')[1]: float(line.split()[-1]) for line in lines if line.startswith("esteem_memory_bytes{")}
        return sum(of[pool] for pool in KEPT_POOLS) / 1e6

    def instant(self, entry):
        """Sends the feed up to an entry of its index, waits until esteem rests, and compares."""
        lines, newest_ms, offsets = entry
        self.sender.limit = lines
        within(lines / self.args.rate + 120, lambda: self.sender.error or self.sender.sent >= lines, "%d lines are sent" % lines)
        self.sender.check()
        self.producer.flush()
        self.append(offsets)
        ends = {window: parts.edge(newest_ms - OUT_OF_ORDER_MS, ms) for window, ms in ROLLING.items()}
        time.sleep(0.7)  # time.idle_after, and a tick
        self.esteem.rests(60)
        self.reload()
        self.esteem.rests(60)
        args = argparse.Namespace(esteem=self.args.esteem, config=self.config(), mapping=None, files=self.so_far)
        wanted = parts.Wanted(args, ends)
        until = time.monotonic() + 20
        faults, compared = self.compare(wanted)
        while faults and time.monotonic() < until:  # the machine may be busy
            time.sleep(1)
            faults, compared = self.compare(wanted)
        self.compared += compared
        kept = self.kept[(newest_ms - START_MS) // DAY] = self.kept_mb()
        print("%s: %d lines, %d rolling rows, %d faults, %.1f MB kept" % (parts.instant(newest_ms), lines, compared, len(faults), kept), flush=True)
        return faults

    def compare(self, wanted):
        live = {key: row for key, row in self.redis.rows().items() if row["window"] in ROLLING}
        return parts.hold_against(wanted, live.items(), "redis", lambda row: row["window"] in ROLLING)

    def run(self):
        self.prepare()
        index, faults = self.feed.index, []
        for i in range(1, self.args.instants + 1):
            faults += self.instant(index[len(index) * i // self.args.instants - 1])
            if faults:
                break
        self.esteem.signal(signal.SIGTERM)
        self.esteem.ends(0, 60)
        self.memory.plot()
        return faults or (self.memory.fault("kept of the feed", self.kept) +
                          self.memory.fault("resident", self.memory.most))

    def close(self):
        if self.esteem:
            self.esteem.kill()
        if self.sender:
            self.sender.stop = True
        self.redis.kill()
        if os.path.isdir(self.kafka.folder):
            self.kafka.do("kill")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=360000)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--rate", type=int, default=9000, help="events a second at most")
    parser.add_argument("--instants", type=int, default=20)
    parser.add_argument("--port", type=int, default=int(os.environ.get("KAFKA_PORT", "29792")))
    parser.add_argument("--esteem", default=os.environ.get("ESTEEM", "build/release/esteem"))
    args = parser.parse_args()
    args.esteem = os.path.abspath(args.esteem)
    parts.end_on_signals()
    folder = tempfile.mkdtemp(prefix="esteem-long.")
    begun = time.monotonic()
    one, faults = Replay(args, folder), ["not finished"]
    try:
        faults = one.run()
    except Failure as failure:
        faults = [str(failure)]
    finally:
        one.close()
        if faults:
            for fault in faults[:20]:
                print(fault)
            print("FAILED, seed %d: %d faults; kept: %s" % (args.seed, len(faults), folder))
        else:
            shutil.rmtree(folder)
    if faults:
        sys.exit(1)
    print("seed %d: %d events, %d days, %d instants, %d rolling rows equal, %.0f s" % (
        args.seed, one.feed.lines, args.days, args.instants, one.compared, time.monotonic() - begun))


if __name__ == "__main__":
    main()
