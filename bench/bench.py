#!/usr/bin/env python3
"""make bench: what the engine costs, in one run on one machine; at the end one table: figure, goal, reached, ratio (1 and more: the goal is reached).

    bench.py [--events N] [--seconds N] [--feeds "R L"] [SECTION ...]      all sections unless some are named:

    wire       events per CPU-second (user + system, the whole process) of `run` from a real Kafka to a real Redis against a raw librdkafka consumer that
               does nothing with the same topic: as a replay at full speed, and at the pace of live time; beside it `compute` from a file
    scaling    the same with two shards against one
    stages     each stage without the wire (bench/stages): processor time, and instructions by callgrind; and of a feed as sparse as a real one
    flat       instructions an event with a window of 365 days more, against one of a minute more
    publish    rows a second into Redis against redis-benchmark with a hash as large as the mean row, pipelined, same Redis
    memory     keys and interactions (bench/memory)
    checkpoint steps while a checkpoint is written, and a restart (bench/checkpoint)
    latency    from Kafka to Redis (bench/latency.py)

Compare ratios within one run, not figures between runs."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

REPO = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(REPO, "tests", "system"))
from torture_parts import Esteem, Failure, Kafka, Redis  # noqa: E402

BUILD = REPO + "/build/release"
CONFIG = """\
kafka: {{brokers: "{brokers}", group: bench{group}, topics: [{topic}]}}
state: {{folder: "{folder}/state.{group}", start: clean}}
redis: {{socket: "{socket}"}}
topics: {{enabled: false, deadletter: ""}}
time: {{mode: {mode}, idle_after: 0s}}
threads: {{shards: {shards}, folds: 1}}
"""
STAGES = ("decode", "ledger", "combine", "fold", "publish")


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.kafka, self.redis = Kafka(folder + "/kafka", args.port), Redis(folder)
        self.figures = []  # (what, goal, reached, unit, more is better)
        self.raw = {}      # feed -> events per CPU-second of the raw consumer
        self.groups = 0

    def figure(self, what, goal, reached, unit="", more=True):
        self.figures.append((what, goal, reached, unit, more))

    # ---- the feed ----

    def file(self, feed, events, *options):
        path = "%s/%s.%d%s.jsonl" % (self.folder, feed, events, "".join(options))
        if not os.path.exists(path):
            with open(path, "wb") as out:
                subprocess.run([BUILD + "/bench/feed", "--feed", feed, "--events", str(events), *options], stdout=out, stderr=subprocess.DEVNULL, check=True)
        return path

    def servers(self):
        if not self.redis.process:
            self.redis.start()
        if not os.path.isdir(self.kafka.folder):
            self.kafka.start()

    def topic(self, feed):
        """Its name; the broker starts, and the topic is filled, when it is first asked for."""
        self.servers()
        name = "feed" + feed
        if not os.path.exists(self.folder + "/" + name):
            self.kafka.do("topic", name, 8)
            subprocess.run([BUILD + "/bench/feed", "--feed", feed, "--events", str(self.args.events), "--topic", name, "--brokers", self.kafka.brokers],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            open(self.folder + "/" + name, "w").close()
        return name

    def config(self, topic, mode="replay", shards=1):
        self.groups += 1
        path = "%s/run%d.yaml" % (self.folder, self.groups)
        with open(path, "w") as file:
            file.write(CONFIG.format(brokers=self.kafka.brokers, group=self.groups, topic=topic, folder=self.folder, socket=self.redis.socket, mode=mode, shards=shards))
        return path

    # ---- runs ----

    def measured(self, *command):
        """CPU seconds, seconds, MiB at most, what it said."""
        log = self.folder + "/out"
        with open(log, "wb") as out:
            began = time.monotonic()
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(process.pid, 0)
        with open(log, errors="replace") as file:
            said = file.read()
        if status:
            raise Failure("%s failed: %s" % (" ".join(command), said[-800:]))
        return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss // 1024, said

    def replay(self, feed, what, *command):
        cpu, wall, mib, said = self.measured(*command)
        rate = self.args.events / cpu
        if what == "raw":
            self.raw[feed] = rate
        print("%-5s %-18s %12.0f %8.3f %8.2f %8.2f %8d" % (feed, what, rate, rate / self.raw[feed], cpu, wall, mib), flush=True)
        for line in re.findall(r"^\d+ interactions kept.*", said, re.M):
            print("      " + line)
        return rate

    def raw_of(self, feed, shards=1):
        if feed not in self.raw:
            self.replay(feed, "raw", BUILD + "/bench/raw", "--topic", self.topic(feed), "--brokers", self.kafka.brokers, "--threads", str(shards))
        return self.raw[feed]

    def run_replay(self, feed, shards=1):
        topic = self.topic(feed)
        return self.replay(feed, "run, %d shard%s" % (shards, "s" * (shards > 1)), BUILD + "/esteem", "run", "-c", self.config(topic, shards=shards), "--until-end")

    def heading(self):
        print("%-5s %-18s %12s %8s %8s %8s %8s" % ("feed", "what", "ev/CPU-s", "of raw", "CPU s", "wall s", "MiB"))

    def live_feed(self, feed, topic, seconds):
        return subprocess.Popen([BUILD + "/bench/feed", "--feed", feed, "--live", "--talk", "2", "--per-second", str(self.args.rate),
                                 "--events", str(self.args.rate * seconds), "--topic", topic, "--brokers", self.kafka.brokers],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def told_live(self, feed, what, came, used, wall):
        print("%-5s %-18s %12.0f %8.3f %8.2f %8.2f   %.0f events a second" % (feed, what, came / used, came / used / self.raw_of(feed), used, wall, came / wall), flush=True)
        return came / used

    def raw_live(self, feed):
        """The raw consumer, following a live feed."""
        name = "rawlive" + feed
        self.servers()
        self.kafka.do("topic", name, 8)
        maker = self.live_feed(feed, name, self.args.seconds + 20)
        try:
            time.sleep(3)
            done = subprocess.run([BUILD + "/bench/raw", "--topic", name, "--brokers", self.kafka.brokers, "--live", str(self.args.seconds)], stdout=subprocess.PIPE, check=True)
        finally:
            maker.kill()
            maker.wait()
        said = dict(line.split() for line in done.stdout.decode().splitlines())
        return self.told_live(feed, "raw, live", float(said["events"]), float(said["cpu_s"]), float(said["wall_s"]))

    def run_live(self, feed):
        """Events per CPU-second of an engine that follows a live feed."""
        self.servers()
        name = "live" + feed
        self.kafka.do("topic", name, 8)
        esteem = Esteem(BUILD + "/esteem", self.config(name, "live"), self.folder + "/live.log", self.folder + "/runtime")
        esteem.started()
        maker = self.live_feed(feed, name, self.args.seconds + 20)
        try:
            time.sleep(6)
            sent, cpu, began = self.kafka.messages(name, 8), esteem.cpu_s(), time.monotonic()
            time.sleep(self.args.seconds)
            came, used, wall = self.kafka.messages(name, 8) - sent, esteem.cpu_s() - cpu, time.monotonic() - began
        finally:
            for process in (maker, esteem.process):
                process.kill()
                process.wait()
        return self.told_live(feed, "run, live", came, used, wall)

    # ---- sections ----

    def wire(self):
        self.heading()
        for feed in self.args.feeds.split():
            raw = self.raw_of(feed)
            gap = Gap(self.redis)
            rate = self.run_replay(feed)
            longest = gap.end()
            self.figure("feed %s as a replay, of raw" % feed, 0.5 if feed == "R" else None, rate / raw)
            self.figure("feed %s as a replay: longest pause between writes to Redis" % feed, 1000, longest, "ms", more=False)
            path = self.file(feed, self.args.events)
            self.replay(feed, "compute", BUILD + "/esteem", "compute", "--config", self.config("none"), path)
            live = self.run_live(feed)
            self.figure("feed %s at live pace, of raw" % feed, 0.5 if feed == "R" else None, live / raw)
            self.figure("feed %s at live pace, of raw at that pace" % feed, None, live / self.raw_live(feed))

    def scaling(self):
        self.heading()
        for feed in self.args.feeds.split():
            self.raw_of(feed)
            one = self.run_replay(feed)
            self.figure("feed %s, two shards of one" % feed, 0.9, self.run_replay(feed, 2) / one)

    def stages(self):
        self.servers()
        for feed in self.args.feeds.split():
            _, _, _, said = self.measured(BUILD + "/bench/stages", "--redis", self.redis.socket, self.file(feed, min(self.args.events, 500000)))
            counted = self.instructions(self.file(feed, 20000), "--redis", self.redis.socket)
            print("feed %s: %s" % (feed, re.search(r"^\d+ events.*", said, re.M)[0]))
            for stage in STAGES:
                ns = float(re.search(r"^%s +(\d+) ns" % stage, said, re.M)[1])
                print("%-8s %8.0f ns %10.0f instructions an event" % (stage, ns, counted[stage]), flush=True)
                self.figure("feed %s, %s" % (feed, stage), None, ns, "ns an event")

        # 2,000 agents of three contacts at a time, as a month is replayed: a tick is minutes of event time
        _, _, _, said = self.measured(BUILD + "/bench/stages", self.file("R", min(self.args.events, 200000), "--per-second", "60"))
        for stage in STAGES[:-1]:
            self.figure("feed R of 60 events a second, %s" % stage, None, float(re.search(r"^%s +(\d+) ns" % stage, said, re.M)[1]), "ns an event")

    def instructions(self, path, *options):
        """Of a stage, an event, by callgrind: counted, not timed."""
        out = self.folder + "/callgrind.out"
        subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out, BUILD + "/bench/stages", *options, path], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)
        said = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", out], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode()
        events = sum(1 for _ in open(path, "rb"))
        each = {phase: int(found[1].replace(",", "")) / events if (found := re.search(r"^ *([\d,]+) .*:phase_%s\b" % phase, said, re.M)) else 0
                for phase in ("decode", "read", "combine", "fold", "publish")}
        return {**each, "ledger": each["read"] - each["decode"]}

    def flat(self):
        path = self.file("R", 20000)
        cost = {}
        for window in ("1m", "365d"):
            with open(self.folder + "/flat.yaml", "w") as file:
                file.write("kafka: {topics: [contacts]}\nredis: {enabled: false}\ntopics: {enabled: false, deadletter: \"\"}\ntime: {mode: replay}\n"
                           "windows: {rolling: [5m, 1h, %s]}\n" % window)
            each = self.instructions(path, "--config", self.folder + "/flat.yaml")
            cost[window] = each["read"] + each["combine"] + each["fold"]
            print("with a window of %-4s more: %.0f instructions an event" % (window, cost[window]), flush=True)
        self.figure("365 days more, of a minute more", 1.05, cost["365d"] / cost["1m"], "instructions", more=False)

    def net_input(self):
        return int(re.search(r"total_net_input_bytes:(\d+)", self.redis.ask([("INFO", "stats")])[0].decode())[1])

    def publish(self):
        """Against a hash of as many bytes as the mean row, in HSETs without transaction, fence or fields that go; three times in turns, and the medians."""
        self.servers()
        ours, theirs = [], []
        for _ in range(3):
            self.redis.ask([("FLUSHALL",)])
            before = self.net_input()
            _, _, _, said = self.measured(BUILD + "/bench/stages", "--redis", self.redis.socket, "--again", "400000", self.file("R", 100000))
            ours.append(float(re.search(r"([\d]+) rows a second", said)[1]))
            mean = (self.net_input() - before) / (400000 + 100000 * float(re.search(r"([\d.]+) rows an event", said)[1]))
            rows = self.redis.rows()
            flats = self.redis.ask([("HGETALL", key) for key in rows])
            flat = min(flats, key=lambda one: abs(sum(len(text) + len(str(len(text))) + 5 for text in one) - mean))
            command = ["redis-benchmark", "-s", self.redis.socket, "-c", "1", "-P", "128", "-n", "400000", "-r", str(len(rows)), "--csv", "HSET", "bench:__rand_int__", *flat]
            said_by_it = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
            theirs.append(float(re.findall(r'"([\d.]+)"', said_by_it.splitlines()[-1])[0]))
            print("%s\nredis-benchmark: %.0f a second of a hash as large as the mean row (%.0f bytes, %d fields)" % (
                re.search(r"publish_again .*", said)[0].strip(), theirs[-1], mean, len(flat) // 2), flush=True)
        self.figure("rows into Redis, of redis-benchmark", 0.8, sorted(ours)[1] / sorted(theirs)[1])

    def memory(self):
        mib = {}
        for count in (1000000, 2000000) if self.args.events < 2000000 else (10000000,):
            _, _, mib[count], said = self.measured(BUILD + "/bench/memory", "interactions", str(count))
            print(said.strip())
        if len(mib) == 1:
            self.figure("10 million open interactions", 2048, mib[10000000], "MiB", more=False)
        else: # what the process has besides is the same for all
            self.figure("10 million open interactions (from one million and two)", 2048, mib[1000000] + 9 * (mib[2000000] - mib[1000000]), "MiB", more=False)
        keys = 1000
        _, _, _, said = self.measured(BUILD + "/bench/memory", "keys", str(keys), "31")
        print(said.strip())
        # counted while the replay's last windows still move: it differs from run to run
        each, index = re.search(r"keys, (\d+) bytes each, and (\d+) of indexes", said).groups()
        self.figure("100,000 keys with a month (from %d)" % keys, 4096, (float(each) + float(index)) * 100000 / 1048576, "MiB", more=False)

    def checkpoint(self):
        _, _, _, said = self.measured(BUILD + "/bench/checkpoint", "1000000", "50000", "10")
        print(said.strip())
        self.figure("a step while a full checkpoint is written, p99", 20, float(re.search(r"^a full one.*?p99 +([\d.]+)", said, re.M)[1]), "ms", more=False)
        found = re.search(r"restart: (\d+) interactions .* ready in (\d+) ms", said)
        self.figure("a restart with a million interactions (from %s)" % found[1], 2000, int(found[2]) * 1e6 / int(found[1]), "ms", more=False)

    def latency(self):
        for rate in (5000, 20000, 100000):
            _, _, _, said = self.measured(REPO + "/bench/latency.py", "--rate", str(rate), "--seconds", str(self.args.seconds), "--port", str(self.args.port + 10))
            print(said.strip(), flush=True)
            found = re.search(r"(\d+) came.*p50 (\d+) ms.*p99 (\d+) ms", said)
            for percentile, goal, at in (("p50", 150, 2), ("p99", 300, 3)):
                self.figure("Kafka to Redis at %s events a second (%d asked for), %s" % (found[1], rate, percentile), goal, float(found[at]), "ms", more=False)

    # ---- the table ----

    def table(self):
        print("\n%-74s %10s %10s %7s" % ("figure", "goal", "reached", "ratio"))
        for what, goal, reached, unit, more in self.figures:
            ratio = "" if goal is None else "%.2f" % (reached / goal if more else goal / max(reached, 1e-9))
            shown = "%.3f" % reached if reached < 10 else "%.0f" % reached
            print("%-74s %10s %10s %7s" % ("%s%s" % (what, ", " + unit if unit else ""), "" if goal is None else "%g" % goal, shown, ratio))

    def close(self):
        self.redis.kill()
        if os.path.isdir(self.kafka.folder):
            self.kafka.do("kill")


class Gap(threading.Thread):
    """The longest pause, ms, between two looks (20 ms apart) at which Redis had done commands that are not the looks themselves, once they have begun."""

    def __init__(self, redis):
        super().__init__(daemon=True)
        self.redis, self.ended, self.longest_s = redis, threading.Event(), 0.0
        self.start()

    def run(self):
        done = moved = None
        while not self.ended.wait(0.02):
            said = self.redis.ask([("INFO", "commandstats")])[0]
            writes = sum(int(n) for n in re.findall(rb"cmdstat_(?:hset|exec):calls=(\d+)", said))
            now = time.monotonic()
            if done is not None and writes != done:
                self.longest_s = max(self.longest_s, now - moved) if moved else 0.0
                moved = now
            done = writes

    def end(self):
        self.ended.set()
        self.join()
        return self.longest_s * 1000


SECTIONS = ("wire", "scaling", "stages", "flat", "publish", "memory", "checkpoint", "latency")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--events", type=int, default=int(os.environ.get("EVENTS", "2000000")))
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("SECONDS_LIVE", "20")))
    parser.add_argument("--rate", type=int, default=int(os.environ.get("RATE", "10000")), help="of the live feed, events a second")
    parser.add_argument("--feeds", default=os.environ.get("FEEDS", "R L"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("KAFKA_PORT", "29592")))
    args = parser.parse_args()
    for section in args.section:
        if section not in SECTIONS:
            parser.error("no section %s: %s" % (section, ", ".join(SECTIONS)))
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    version = subprocess.run([BUILD + "/esteem", "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()[0]
    print("machine: %d cores, %s; %s; %d events" % (os.cpu_count(), model[1] if model else "?", version, args.events))
    with tempfile.TemporaryDirectory(prefix="esteem-bench.") as folder:
        bench, failed = Bench(args, folder), []
        try:
            for section in args.section or SECTIONS:
                print("\n== %s" % section, flush=True)
                try:
                    getattr(bench, section)()
                except (Failure, subprocess.SubprocessError) as failure:  # the others' figures are not lost for it
                    print("bench: %s" % failure)
                    failed.append(section)
        finally:
            bench.close()
        bench.table()
    if failed:
        sys.exit("bench: no figures of: %s" % ", ".join(failed))


if __name__ == "__main__":
    main()
