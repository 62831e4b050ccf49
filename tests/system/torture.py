"""torture.py --seed N --events N --rate N --faults N: a real Kafka, a Redis, esteem and a seeded feed, and faults among them. At the
end Redis, the metric topics and the dead letters have to hold what `compute` makes of the same events. Exit 1: they do not, or
something died that should not have; the folder is kept. Last line: seed, events, faults by kind, restarts, pace, seconds.

Rounds may share a feed, and what `compute` makes of it (--feed FOLDER --feed-seed N): who comes first makes them, the others wait for it.

The moments of the faults are places in the feed: the k-th comes when so many lines are sent, and the feed waits for a fault that is
still at work when the place of the one after the next is reached. So the pace is an upper bound."""

import argparse
import collections
import contextlib
import fcntl
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import torture_parts as parts
from torture_feed import FREE, KEYED, Feed
from torture_parts import Esteem, Failure, Kafka, Producer, Redis, Sender, within

ROLLING = {"1m": 60000, "5m": 300000, "1h": 3600000}
CONFIG = """\
kafka: {{brokers: "{brokers}", group: torture, topics: [contacts, {{name: scattered, keyed: false}}]}}
redis: {{socket: "{socket}"}}
topics: {{prefix: "m.", deadletter: dead, every: {every}}}
publish: {{tick: {tick}, rows_per_second: {rows}, drain: 2m}}
windows: {{rolling: [1m, 5m, 1h], calendar: [quarter_hour, hour, day]}}
time: {{mode: replay, idle_after: 2s}}
threads: {{shards: {shards}, folds: 2}}
baseline: {{from: "2026-09-21T23:00:00Z", to: "2026-09-22T01:30:00Z", metrics: [csat, aht_ms, service_level]}}
goals: [{{name: csat, metric: csat, scope: [queue], window: hour, target: 70, clear: 1}}, {{name: aht, metric: aht_ms, scope: [channel], window: 5m, target: 200000, for: 1m}}]
leaderboards: [{{metric: csat, scope: [queue], window: hour}}]
"""
START_MS = 1790030100000  # 22:35 UTC: a day ends on the way
SPAN_MS = 5 * 3600000
DISK = "2g"


class Round:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.feed_folder = args.feed or folder
        self.rng = random.Random(args.seed * 7919 + 1)
        self.kafka = Kafka(folder + "/kafka", args.port)
        self.redis = Redis(folder)
        self.shards, self.tick, self.every, self.rows = 2, "1s", "10s", 100000
        self.machine = self.logs = self.restarts = self.kills = 0
        self.esteem = self.producer = self.sender = None
        self.second = None  # another instance, while there is one
        self.plan, self.done = [], []
        self.mounted = False
        self.begun = time.monotonic()

    # ---- esteem ----

    def state(self):
        return "%s/state/machine%d" % (self.folder, self.machine)

    def config(self):
        """Writes the configuration of the present machine; its path."""
        path = self.folder + "/esteem.yaml"
        text = CONFIG.format(brokers=self.kafka.brokers, socket=self.redis.socket, every=self.every, tick=self.tick, rows=self.rows,
                             shards=self.shards)
        if self.checkpoints:
            text += "state: {folder: \"%s\", every: 1s}\n" % self.state()
        with open(path + ".new", "w") as file:
            file.write(text)
        os.rename(path + ".new", path)
        return path

    def start(self, *options):
        self.logs += 1
        return Esteem(self.args.esteem, self.config(), "%s/esteem%d.log" % (self.folder, self.logs),
                      "%s/machine%d" % (self.folder, self.machine), *options)

    def restart(self):
        self.restarts += 1
        self.esteem = self.start()

    def probe_checkpoints(self):
        path = self.folder + "/probe.yaml"
        with open(path, "w") as file:
            file.write("state: {folder: probe, every: 1s}\n")
        done = subprocess.run([self.args.esteem, "check", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.checkpoints = done.returncode == 0
        if not self.checkpoints:
            self.tell("NOTE: this esteem knows no state.folder: no kill -9, no full disk; each restart reads from the beginning")

    def mount(self):
        os.makedirs(self.folder + "/state")
        if not self.checkpoints:
            return
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + DISK, "esteem-torture", self.folder + "/state"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.mounted = done.returncode == 0
        if not self.mounted:
            self.tell("NOTE: NO DISK-FULL FAULT: mount is not permitted: " + done.stderr.decode().strip())

    def tell(self, text):
        print("%7.1f s  %s" % (time.monotonic() - self.begun, text), flush=True)

    # ---- the faults: each leaves a whole system behind, or one that heals by itself ----

    def fault_kill(self):
        self.esteem.kill()
        self.kills += 1
        self.restart()

    def fault_kill_twice(self):
        self.fault_kill()
        time.sleep(self.rng.choice((0.01, 0.05, 0.2, 0.5, 1)) * self.rng.random())
        self.fault_kill()

    def fault_term(self):
        self.esteem.started()
        self.esteem.signal(signal.SIGTERM)
        self.esteem.ends(0, 150)
        self.restart()

    def fault_shards(self):
        self.esteem.started()
        self.esteem.signal(signal.SIGTERM)
        self.esteem.ends(0, 150)
        self.shards = self.rng.choice([n for n in (1, 2, 3, 4) if n != self.shards])
        self.restart()
        return "%d shards" % self.shards

    def fault_broker_kill(self):
        self.kafka.do("kill")
        time.sleep(self.rng.random() * 2)
        self.kafka.start()

    def fault_broker_stop(self):
        self.kafka.do("stop")
        time.sleep(self.rng.random() * 2)
        self.kafka.start()

    def fault_redis_restart(self):
        self.redis.kill()
        time.sleep(self.rng.random() * 2)
        self.redis.start()

    def fault_redis_pause(self):
        seconds = 1 + 4 * self.rng.random()
        self.redis.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.redis.process.send_signal(signal.SIGCONT)
        return "%.1f s" % seconds

    def fault_second(self):
        self.esteem.started()
        self.second = self.start()
        self.second.ends(3, 30)
        if not self.second.said("another esteem"):
            raise Failure("the second instance does not say why it ended:\n" + self.second.tail())
        self.esteem.must_live()

    def fault_takeover(self):
        """Another machine. The first one of a round has no checkpoint, those that follow what `cp` finds in the folder of the one that runs."""
        self.esteem.started()
        within(30, lambda: self.redis.ask([("GET", "esteem:v1:fence")])[0], "the older instance has its fence in Redis")
        older_state = self.state()
        self.machine += 1
        self.restarts += 1
        copied = self.machine > 1 and copy_running(older_state, self.state())
        older, self.second = self.esteem, self.start()
        older.ends(3, 60)
        self.second.must_live()
        self.esteem, self.second = self.second, None
        return "with a copy of its checkpoints" if copied else "reads from the beginning"

    def fault_reload(self):
        self.esteem.started()
        self.tick, self.every = self.rng.choice(("300ms", "1s", "3s")), self.rng.choice(("5s", "10s", "20s"))
        self.rows = self.rng.choice((20000, 50000, 100000)) + self.rng.randrange(1000)
        self.config()
        before = self.esteem.said("reload.done")
        self.esteem.signal(signal.SIGHUP)
        within(20, lambda: self.esteem.said("reload.done") > before, "reload.done in " + self.esteem.log)

    def fault_reload_bad(self):
        self.esteem.started()
        path = self.folder + "/esteem.yaml"
        with open(path, "a") as file:
            file.write(self.rng.choice(("metrics: {min_n: many}\n", "nothing: {such: 1}\n", "windows: [\n")))
        before = self.esteem.said("reload.refused")
        self.esteem.signal(signal.SIGHUP)
        within(20, lambda: self.esteem.said("reload.refused") > before, "reload.refused in " + self.esteem.log)
        self.config()
        self.esteem.must_live()

    def fault_disk_full(self):
        """The folder's tmpfs shrinks to what it holds; half of the time esteem is killed while there is no room."""
        self.esteem.started()
        within(30, lambda: newest_file(self.folder + "/state"), "a first checkpoint")
        before = self.esteem.said("checkpoint.failed")
        within(30, self.shrink, "the disk is full")
        try:
            within(30, lambda: self.shrink() and self.esteem.said("checkpoint.failed") > before, "checkpoint.failed in " + self.esteem.log)
            self.esteem.must_live()
            killed = self.rng.random() < 0.5
            if killed:
                self.fault_kill()
                time.sleep(self.rng.random() * 2)
        finally:
            self.resize(DISK)
        freed = time.time()
        self.esteem.started()
        within(30, lambda: newest_file(self.folder + "/state") > freed, "a checkpoint after the disk has room again")
        return "killed meanwhile" if killed else ""

    def resize(self, size):
        return subprocess.run(["mount", "-o", "remount,size=" + size, self.folder + "/state"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def shrink(self):
        """To what it holds; or a little more, where esteem writes meanwhile: mount refuses a size that is passed already when it comes."""
        for more in (0, 1 << 16, 1 << 20, 1 << 22):
            left = os.statvfs(self.folder + "/state")
            if self.resize(str(max((left.f_blocks - left.f_bfree) * left.f_frsize + more, 4096))):
                return True
        return False

    # ---- the round ----

    def schedule(self):
        """Every kind once before any comes again; places in the first 95 % of the feed."""
        kinds = [fault[6:] for fault in sorted(vars(Round)) if fault.startswith("fault_")]
        if not self.checkpoints:
            kinds = [kind for kind in kinds if kind not in ("kill", "kill_twice", "disk_full")]
        elif not self.mounted:
            kinds.remove("disk_full")
        drawn = []
        while len(drawn) < self.args.faults:
            self.rng.shuffle(kinds)
            drawn += kinds
        places = sorted(self.rng.sample(range(self.feed.lines // 50, self.feed.lines * 95 // 100), self.args.faults))
        self.plan = list(zip(places, drawn))

    def start_broker(self):
        self.broker_failed = None
        try:
            self.kafka.start()
        except Exception as failure:  # noqa: BLE001  told by prepare()
            self.broker_failed = failure

    def prepare(self):
        self.probe_checkpoints()
        self.mount()
        broker = threading.Thread(target=self.start_broker)
        broker.start()
        os.makedirs(self.feed_folder, exist_ok=True)
        self.feed = made_once(self.feed_folder, "feed", lambda: Feed(self.args.feed_seed, self.args.events, START_MS, SPAN_MS, roster=self.checkpoints)
                              .write(self.feed_folder))
        self.schedule()
        broker.join()
        if self.broker_failed:
            raise self.broker_failed
        self.kafka.do("topic", "contacts", KEYED)
        self.kafka.do("topic", "scattered", FREE)
        self.redis.start()
        self.producer = Producer(self.kafka.brokers, linger_ms=50)
        lanes = [("contacts", p) for p in range(KEYED)] + [("scattered", p) for p in range(FREE)]
        self.sender = Sender(self.feed, self.producer, lanes, self.args.rate)

    def torture(self):
        self.esteem = self.start()
        self.esteem.started()
        places = [place for place, _ in self.plan] + [self.feed.body] * 2
        self.sender.limit = places[1]
        self.sending = time.monotonic()
        self.sender.start()
        for k, (place, kind) in enumerate(self.plan):
            within(300, lambda at=place: self.sender.error or self.sender.sent + 2 * 256 > at, "line %d is sent" % place)
            self.sender.check()
            self.esteem.must_live()
            more = getattr(self, "fault_" + kind)() or ""
            self.done.append((kind, place, more))
            self.tell("line %d: %s%s" % (place, kind, more and ", " + more))
            self.sender.limit = places[k + 2]
        self.send_rest()

    def send_rest(self):
        self.sender.limit = self.feed.body
        if self.feed.body < self.feed.lines:
            within(self.feed.lines / self.args.rate + 300, lambda: self.sender.error or self.sender.sent >= self.feed.body,
                   "the feed is sent")
            self.sender.check()
            self.producer.flush()
            self.esteem.started()
            self.esteem.rests()
            self.sender.limit = self.feed.lines
        self.sender.join(self.feed.lines / self.args.rate + 300)
        self.sender.check()
        if self.sender.sent < self.feed.lines:
            raise Failure("only %d of %d lines could be sent" % (self.sender.sent, self.feed.lines))
        self.producer.flush()
        self.sent_s = time.monotonic() - self.sending

    def settle(self):
        """One more restart, which reads to the end, makes all windows final and ends by itself."""
        self.tell("all sent")
        self.esteem.started()
        self.esteem.signal(signal.SIGTERM)
        self.esteem.ends(0, 150)
        self.restarts += 1
        self.tell("the last one begins")
        self.esteem = self.start("--until-end")
        self.esteem.ends(0, 300)
        self.tell("settled: " + (re.search(r"\d+ applied[^\n]*", self.esteem.tail()) or [""])[0][:100])

    # ---- the verdict ----

    def compute(self):
        """All windows end at one instant (torture_feed.py), so compute reads the feed once, for its rows and for what it refuses."""
        def rows_and_refused():
            args = argparse.Namespace(esteem=self.args.esteem, config=self.config(), mapping=None, files=self.feed.files)
            refused = self.feed_folder + "/refused.jsonl"
            wanted = parts.Wanted(args, {window: parts.edge(self.feed.newest_ms, ms) for window, ms in ROLLING.items()}, refused)
            return wanted, refused_lines(refused, self.feed.files)
        self.wanted, self.refused = made_once(self.feed_folder, "wanted", rows_and_refused)

    def check_rows(self):
        wanted = self.wanted
        in_redis = self.redis.rows()
        with open(self.folder + "/redis.json", "w") as file:
            json.dump(in_redis, file)
        on_topics, records = parts.topic_rows(self.kafka, "m.")
        faults, compared = parts.hold_against(wanted, in_redis.items(), "redis", lambda row: row["window"] in ROLLING)
        topics = [("%s %s" % (json.dumps(key), end), row) for (key, end), row in on_topics.items()]
        more, compared_too = parts.hold_against(wanted, topics, "topic", lambda row: True)
        self.tell("%d rows of compute; Redis: %d rows, %d faults; topics: %d records, %d rows, %d faults" % (
            len(wanted.rows), compared, len(faults), records, compared_too, len(more)))
        return faults + more

    def check_messages(self):
        """What was sent is there, and what `compute` refuses lies in the dead-letter topic under its own place, byte for byte."""
        there = self.kafka.messages("contacts", KEYED) + self.kafka.messages("scattered", FREE)
        faults = [] if there >= self.feed.lines else ["%d messages in Kafka, %d sent" % (there, self.feed.lines)]
        want = self.refused
        places = collections.defaultdict(set)
        for place, text, length in letters(self.kafka):
            if length:  # beyond what the producer may send: cut, and told so
                text = next((line for line in want if len(line) == length and line.startswith(text)), text)
            places[text].add(place)
        missing = [text for text, count in want.items() if len(places[text]) < count]
        extra = [text for text in places if places[text] and text not in want]
        self.tell("%d refused lines, %d dead letters; %d messages" % (sum(want.values()), sum(map(len, places.values())), there))
        faults += ["not in the dead-letter topic: %r" % text[:200] for text in missing]
        faults += ["in the dead-letter topic, but not refused by compute: %r" % text[:200] for text in extra]
        return faults

    def check_counts(self):
        """Without a checkpoint the last instance has read everything, so its counts have to add up; with one they only begin there."""
        said = re.search(r"(\d+) applied, (\d+) duplicate, (\d+) refused", self.esteem.tail())
        if not said:
            return ["the last instance does not say what it counted: " + self.esteem.tail()]
        there = self.kafka.messages("contacts", KEYED) + self.kafka.messages("scattered", FREE)
        total = sum(map(int, said.groups()))
        if total > there or (not self.checkpoints and total < there):
            return ["the last instance counted %d messages of %d: %s" % (total, there, said[0])]
        return []

    def run(self):
        self.prepare()
        self.torture()
        self.settle()
        self.compute()
        return self.check_messages() + self.check_counts() + self.check_rows()

    def close(self, keep):
        for process in (self.esteem, self.second):
            if process:
                process.kill()
        if self.sender:
            self.sender.stop = True
        if self.redis.process:
            self.redis.process.send_signal(signal.SIGCONT)
        self.redis.kill()
        if os.path.isdir(self.kafka.folder):
            self.kafka.do("kill")
        if self.mounted:
            if keep:
                shutil.copytree(self.folder + "/state", self.folder + "/state.kept", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
            if subprocess.run(["umount", self.folder + "/state"]).returncode:
                subprocess.run(["umount", "-l", self.folder + "/state"])

    def summary(self):
        kinds = collections.Counter(kind for kind, _, _ in self.done)
        return "seed %d: %d events, %d faults (%s), %d restarts, %.0f events/s, %.0f s" % (
            self.args.seed, self.feed.lines, len(self.done), ", ".join("%s %d" % pair for pair in sorted(kinds.items())), self.restarts,
            self.feed.lines / max(self.sent_s, 0.001), time.monotonic() - self.begun)


@contextlib.contextmanager
def locked(folder):
    with open(folder + "/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made_once(folder, name, make):
    """What make() returns, of this round or of an earlier one with the same folder."""
    path = folder + "/" + name
    with locked(folder):
        if os.path.exists(path):
            with open(path, "rb") as file:
                return pickle.load(file)
        made = make()
        with open(path + ".new", "wb") as file:
            pickle.dump(made, file, pickle.HIGHEST_PROTOCOL)
        os.rename(path + ".new", path)
        return made


def refused_lines(refused, files):
    """How often each line is refused."""
    numbers = collections.defaultdict(set)
    for line in open(refused, errors="replace"):
        where = re.match(r'\{"file":"([^"]*)","line":(\d+)', line)
        numbers[where[1]].add(int(where[2]))
    lines = collections.Counter()
    for path in files:
        for number, line in enumerate(open(path, "rb"), 1):
            if number in numbers[path]:
                lines[line[:-1]] += 1
    return lines


def newest_file(folder):
    """When the newest file below a folder was written; 0: there is none."""
    newest = 0
    for path, _, files in os.walk(folder):
        for file in files:
            try:
                newest = max(newest, os.stat(os.path.join(path, file)).st_mtime)
            except FileNotFoundError:
                pass  # an old checkpoint, just removed
    return newest


def copy_running(folder, to):
    """Copies a folder of which files come and go meanwhile; whether there was anything."""
    subprocess.run(["cp", "-a", folder, to], stderr=subprocess.DEVNULL)
    return newest_file(to) > 0


def letters(kafka):
    """((topic, partition, offset), bytes, whole length of one that was cut) of each dead letter; %S is the length: any bytes may
    follow."""
    data, at = b"".join(kafka.read("dead", "%h\t%S\t%s\n")), 0
    while at < len(data):
        tab = data.index(b"\t", at)
        end = data.index(b"\t", tab + 1)
        length = int(data[tab + 1:end])
        headers = dict(part.split(b"=", 1) for part in data[at:tab].split(b",") if b"=" in part)
        place = tuple(headers.get(b"esteem-" + part) for part in (b"topic", b"partition", b"offset"))
        yield place, data[end + 1:end + 1 + length], int(headers.get(b"esteem-length", 0))
        at = end + 1 + length + 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=150000)
    parser.add_argument("--rate", type=int, default=50000, help="events a second at most")
    parser.add_argument("--faults", type=int, default=14)
    parser.add_argument("--feed", help="a folder for the feed, to share it; without: the round's own")
    parser.add_argument("--feed-seed", type=int, help="without: the round's own")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a good round too")
    parser.add_argument("--port", type=int, default=int(os.environ.get("KAFKA_PORT", "29992")))
    parser.add_argument("--esteem", default=os.environ.get("ESTEEM", "build/release/esteem"))
    args = parser.parse_args()
    args.esteem = os.path.abspath(args.esteem)
    args.feed_seed = args.seed if args.feed_seed is None else args.feed_seed
    return args


def main():
    args = arguments()
    parts.end_on_signals()
    folder = tempfile.mkdtemp(prefix="esteem-torture.")
    one, faults = Round(args, folder), ["not finished"]
    try:
        faults = one.run()
    except Failure as failure:
        faults = [str(failure)]
    except parts.HungUp:
        faults = []
        raise
    except Exception:  # noqa: BLE001  a fault like any other: the schedule and the folder are of use
        faults = [traceback.format_exc()]
    finally:
        parts.end_on_signals(signal.SIG_IGN)  # what is left is cleaning up
        one.close(faults)
        if faults:
            print("FAILED, seed %d; the schedule (line, fault):" % args.seed)
            for place, kind in one.plan:
                print("    %d %s%s" % (place, kind, "" if any(done[1] == place for done in one.done) else " (not done)"))
            for fault in faults[:20]:
                print(fault)
            with open(folder + "/differences", "w") as file:
                file.write("\n".join(faults))
            print("%d differences; kept: %s; again: tests/system/torture.py --seed %d --feed-seed %d --events %d --rate %d --faults %d" % (
                len(faults), folder, args.seed, args.feed_seed, args.events, args.rate, args.faults))
        elif args.keep:
            print("kept: " + folder)
        else:
            shutil.rmtree(folder)
    if faults:
        sys.exit(1)
    print(one.summary())


if __name__ == "__main__":
    main()
