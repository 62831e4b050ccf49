#!/usr/bin/env python3
"""make bench-peers: Kafka Streams, Flink and timely dataflow beside esteem, on one topic in one run: six group-bys (tenant, channel, queue,
queue x channel, team, agent), windows of 10 s and 60 s that move by the second, results to Redis (Kafka Streams: to a topic).

    peers.py --peers FOLDER [--events N] [PEER ...]      PEER: timely, flink, kstreams, esteem; all unless some are named

FOLDER holds the peers' programs: kstreams/ and flink/ (pom.xml, src), timely/ (Cargo.toml, src), raw/gen.c (the feed), check/ (what their windows are
held against). They are built in a folder of their own, with what Maven and Cargo fetch; their two event types that esteem names otherwise are renamed
there. Each peer's windows are compared with a brute-force count of the topic, esteem's rows with `compute` over it: an event counts
for a peer where it says itself, for esteem with the contact that it belongs to, and esteem's row has sixty metrics where theirs have ten sums.

Figures: events per CPU-second (user + system) of the whole process, and its share of a raw librdkafka consumer in the same run."""

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

REPO = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(REPO, "tests", "system"))
import torture_parts as parts  # noqa: E402
from torture_parts import Kafka, Redis, within  # noqa: E402

BUILD = REPO + "/build/release"
PORT, REDIS_PORT, TOPIC = 9092, 6390, "ev"  # as the peers' programs have them
RENAMED = {"contact.ended": "interaction.completed", "programme.used": "program.used"}
ROLLING = {"10s": 10000, "1m": 60000}
CONFIG = """\
kafka: {{brokers: "127.0.0.1:%d", group: peers, topics: [%s]}}
state: {{folder: "{folder}/state", start: clean}}
redis: {{port: %d}}
topics: {{enabled: false, deadletter: ""}}
windows: {{rolling: [10s, 1m], calendar: []}}
time: {{mode: replay, idle_after: 0s}}
threads: {{shards: 1, folds: 1}}
""" % (PORT, TOPIC, REDIS_PORT)
HEAP = ["-Xms2g", "-Xmx6g", "-XX:+UseParallelGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
OPENS = ["--add-opens=java.base/java.%s=ALL-UNNAMED" % name for name in ("util", "lang", "time", "util.concurrent", "net", "nio")] + ["--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"]


class PortRedis(Redis):
    """The peers look for Redis at a port."""

    def __init__(self, folder):
        super().__init__(folder)
        self.socket = folder + "/redis.sock"

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(REDIS_PORT), "--unixsocket", self.socket, "--save", "", "--appendonly", "no"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        within(20, self.answers, "redis-server answers")


def run(command, folder, log, seconds=1200):
    """CPU seconds, seconds, MiB, what it said."""
    with open(log, "wb") as out:
        began = time.monotonic()
        process = subprocess.Popen(["timeout", str(seconds), *command], cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    with open(log, errors="replace") as file:
        said = file.read()
    if status:
        sys.exit("%s failed:\n%s" % (" ".join(command)[:200], said[-1500:]))
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss // 1024, said


class Peers:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.kafka, self.redis = Kafka(folder + "/kafka", PORT), PortRedis(folder)
        self.raw = None

    def sources(self):
        """Their programs, with our names of the events."""
        shutil.copytree(self.args.peers, self.folder + "/src")
        for path in glob.glob(self.folder + "/src/**/*", recursive=True):
            if os.path.isfile(path):
                with open(path) as file:
                    text = file.read()
                for theirs, ours in RENAMED.items():
                    text = text.replace(theirs, ours)
                with open(path, "w") as file:
                    file.write(text)

    def feed(self):
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "rdkafka"], stdout=subprocess.PIPE, check=True).stdout.decode().split()
        run(["gcc", "-O2", "-w", "-o", "gen", "src/raw/gen.c", *flags], self.folder, self.folder + "/gcc.log")
        self.kafka.do("topic", TOPIC, 8)
        run([self.folder + "/gen", "127.0.0.1:%d" % PORT, TOPIC, str(self.args.events)], self.folder, self.folder + "/gen.log")
        with open(self.folder + "/topic.jsonl", "wb") as out:
            subprocess.run(["kcat", "-C", "-b", self.kafka.brokers, "-t", TOPIC, "-e", "-q"], stdout=out, stderr=subprocess.DEVNULL, check=True)
        with open(self.folder + "/topic.jsonl", "rb") as feed:
            print("brute force: " + subprocess.run([sys.executable, "src/check/brute.py"], cwd=self.folder, stdin=feed, stdout=subprocess.PIPE, check=True).stdout.decode().strip())

    def java(self, name):
        """Builds a Java peer; its class path."""
        folder = self.folder + "/src/" + name
        run(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs", "-DincludeScope=runtime"], folder, self.folder + "/mvn.log", 900)
        run(["javac", "-nowarn", "-cp", "libs/*", "-d", "classes", *glob.glob(folder + "/src/main/java/*.java")], folder, self.folder + "/javac.log")
        return folder, "classes:libs/*"

    def told(self, name, cpu, wall, mib, checked):
        rate = self.args.events / cpu
        if name == "raw":
            self.raw = rate
        print("%-22s %12.0f %8.3f %8.1f %8.1f %8d   %s" % (name, rate, rate / self.raw, cpu, wall, mib, checked), flush=True)

    def check(self, lines):
        """What the peers' own check says of `window key value` lines."""
        done = subprocess.run([sys.executable, "src/check/chk.py"], cwd=self.folder, input=b"".join(lines), stdout=subprocess.PIPE, check=True)
        return done.stdout.decode().strip().splitlines()[-1]

    def in_redis(self):
        keys = self.redis.ask([("KEYS", "*")])[0]
        return [key + b" " + value + b"\n" for key, value in zip(keys, self.redis.ask([("GET", key) for key in keys]))]

    def run_raw(self):
        self.told("raw", *run([BUILD + "/bench/raw", "--topic", TOPIC, "--brokers", self.kafka.brokers], self.folder, self.folder + "/raw.log")[:3], "")

    def run_timely(self):
        folder = self.folder + "/src/timely"
        run(["cargo", "build", "--release", "-q"], folder, self.folder + "/cargo.log", 1800)
        cpu, wall, mib, _ = run(["target/release/timely-peer", "w2p", str(self.args.events)], folder, self.folder + "/timely.log")
        self.told("timely dataflow", cpu, wall, mib, self.check(self.in_redis()))

    def run_flink(self):
        folder, path = self.java("flink")
        cpu, wall, mib, _ = run(["java", *HEAP, *OPENS, "-cp", path, "FL", "w2p", "heap", "900"], folder, self.folder + "/flink.log")
        self.told("Flink DataStream", cpu, wall, mib, self.check(self.in_redis()))

    def run_kstreams(self):
        folder, path = self.java("kstreams")
        cpu, wall, mib, said = run(["java", *HEAP, "-cp", path, "KS", "w2p", "mem", str(self.args.events), "1000", "900"], folder, self.folder + "/kstreams.log")
        self.told("Kafka Streams", cpu, wall, mib, self.check(self.kafka.read(re.search(r"OUT (\S+)", said)[1], "%k %s\n")))

    def run_esteem(self):
        config = self.folder + "/esteem.yaml"
        with open(config, "w") as file:
            file.write(CONFIG.format(folder=self.folder))
        cpu, wall, mib, said = run([BUILD + "/esteem", "run", "-c", config, "--until-end"], self.folder, self.folder + "/esteem.log")
        newest_ms = 1790000000000 + (self.args.events - 1) // 50
        args = argparse.Namespace(esteem=BUILD + "/esteem", config=config, mapping=None, files=[self.folder + "/topic.jsonl"])
        wanted = parts.Wanted(args, {window: parts.edge(newest_ms, ms) for window, ms in ROLLING.items()})
        faults, compared = parts.hold_against(wanted, self.redis.rows().items(), "redis", lambda row: True)
        self.told("esteem", cpu, wall, mib, "windows checked %d ok %d bad %d" % (compared, compared - len(faults), len(faults)))
        for fault in faults[:3]:
            print("  " + fault[:300])

    def all(self):
        self.sources()
        self.kafka.start()
        self.redis.start()
        self.feed()
        print("%-22s %12s %8s %8s %8s %8s" % ("peer", "ev/CPU-s", "of raw", "CPU s", "wall s", "MiB"))
        for name in ["raw"] + (self.args.peer or ["timely", "flink", "kstreams", "esteem"]):
            self.redis.ask([("FLUSHALL",)])
            getattr(self, "run_" + name)()

    def close(self):
        self.redis.kill()
        if os.path.isdir(self.kafka.folder):
            self.kafka.do("kill")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", nargs="*", metavar="PEER", help="timely, flink, kstreams, esteem")
    parser.add_argument("--peers", required=True)
    parser.add_argument("--events", type=int, default=int(os.environ.get("EVENTS", "2000000")))
    args = parser.parse_args()
    if not os.path.isfile(args.peers + "/timely/Cargo.toml"):
        sys.exit("bench-peers: %s does not hold the peers' programs: make bench-peers PEERS=FOLDER names where they are" % (args.peers or "PEERS, which is empty,"))
    for tool in ("java", "javac", "mvn", "cargo", "kcat", "gcc"):
        if not shutil.which(tool):
            sys.exit("bench-peers: no %s; apt-get install default-jdk-headless maven cargo kcat gcc, or a newer cargo from rustup" % tool)
    with tempfile.TemporaryDirectory(prefix="esteem-peers.") as folder:
        peers = Peers(args, folder)
        try:
            peers.all()
        finally:
            peers.close()


if __name__ == "__main__":
    main()
