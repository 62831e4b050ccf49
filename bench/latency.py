#!/usr/bin/env python3
"""bench/latency.py: from an event handed to Kafka until the queue's 5m hash in Redis has it, while RATE events a second come: a real Kafka, a real
redis-server, six default scopes, all default windows, checkpoints every 10 s. A probe is an offered contact of a queue of its own, about every 200 ms; its
time runs from before it is sent, so the producer's way to the broker is in it.

    latency.py [--rate 100000] [--seconds 30] [--feed R] [--shards 1] [--folds 1]"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

REPO = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(REPO, "tests", "system"))
from torture_parts import Esteem, Kafka, Producer, Redis  # noqa: E402

CONFIG = """\
kafka: {{brokers: "{brokers}", group: latency, topics: [events]}}
state: {{folder: "{folder}/state"}}
redis: {{socket: "{socket}"}}
topics: {{enabled: false, deadletter: ""}}
threads: {{shards: {shards}, folds: {folds}}}
"""
KEY = "esteem:v1:{acme}:queue=probe:5m"
GAP_S, LOST_S, EDGES_MS = 0.15, 10, (25, 50, 75, 100, 125, 150, 200, 250, 300, 400, 500, 1000, 2000, 5000, 10000, 100000)


def offered(redis, link, answers):
    """What the probe's row says now."""
    link.sendall(b"*3\r\n$4\r\nHGET\r\n$%d\r\n%s\r\n$3\r\nrow\r\n" % (len(KEY), KEY.encode()))
    count = re.search(rb'"offered":(\d+)', redis.answer(answers) or b"")
    return int(count[1]) if count else 0


def probe(redis, link, answers, producer, number):
    """Milliseconds, or None: it did not come within LOST_S."""
    began = time.monotonic()
    producer.send("events", number % 8, b'{"id":"probe%d","type":"interaction.offered","time":%d,"tenant":"acme","interaction":"probe%d","queue":"probe",'
                  b'"channel":"voice"}' % (number, time.time() * 1000, number))
    while time.monotonic() - began < LOST_S:
        producer.lib.rd_kafka_poll(producer.rk, 0)
        if offered(redis, link, answers) >= number:
            return (time.monotonic() - began) * 1000
        time.sleep(0.001)
    return None


def measure(args, folder):
    kafka, redis = Kafka(folder + "/kafka", args.port), Redis(folder)
    esteem = feed = None
    try:
        kafka.start()
        kafka.do("topic", "events", 8)
        redis.start()
        with open(folder + "/esteem.yaml", "w") as file:
            file.write(CONFIG.format(brokers=kafka.brokers, folder=folder, socket=redis.socket, shards=args.shards, folds=args.folds))
        esteem = Esteem(REPO + "/build/release/esteem", folder + "/esteem.yaml", folder + "/esteem.log", folder + "/runtime")
        esteem.started()
        events = args.rate * (args.seconds + 8)
        feed = subprocess.Popen([REPO + "/build/release/bench/feed", "--feed", args.feed, "--live", "--talk", "2", "--per-second", str(args.rate), "--events", str(events),
                                 "--topic", "events", "--brokers", kafka.brokers], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        producer = Producer(kafka.brokers, linger_ms=5)
        time.sleep(6)
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(redis.socket)
            answers = link.makefile("rb")
            sent, took, cpu, began = kafka.messages("events", 8), [], esteem.cpu_s(), time.monotonic()
            while time.monotonic() - began < args.seconds:
                took.append(probe(redis, link, answers, producer, len(took) + 1))
                time.sleep(GAP_S + len(took) % 10 * 0.01)  # at any point of a tick
        seconds = time.monotonic() - began
        return took, (esteem.cpu_s() - cpu) / seconds, (kafka.messages("events", 8) - sent) / seconds
    finally:
        for process in (feed, esteem and esteem.process):
            if process:
                process.kill()
                process.wait()
        redis.kill()
        if os.path.isdir(kafka.folder):
            kafka.do("kill")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rate", type=int, default=100000)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--feed", default="R", choices=("R", "L"), help="L comes at its pace only after its longest waits")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--port", type=int, default=int(os.environ.get("KAFKA_PORT", "29594")))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="esteem-latency.") as folder:
        took, cores, pace = measure(args, folder)
    seen = sorted(LOST_S * 1000 if ms is None else ms for ms in took)
    print("feed %s, %d events a second asked for, %d came, %d shards, %d folds: %d probes, %d not back within 10 s; p50 %.0f ms (goal 150), p99 %.0f ms (goal 300), longest %.0f ms; esteem has "
          "%.2f cores" % (args.feed, args.rate, pace, args.shards, args.folds, len(took), took.count(None), seen[len(seen) // 2], seen[(len(seen) - 1) * 99 // 100],
                          seen[-1], cores))
    below = 0
    for edge in EDGES_MS:
        count = sum(below <= ms < edge for ms in seen)
        if count:
            print("%6d ms  %-60s %d" % (edge, "#" * max(1, count * 60 // len(seen)), count))
        below = edge


if __name__ == "__main__":
    main()
