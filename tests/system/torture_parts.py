"""What torture.py and long_replay.py stand on: a broker, a Redis, esteem, a producer (librdkafka by ctypes: kcat ends when its broker
does), and the comparison of what Redis and the topics hold with compute. Every wait has a bound."""

import array
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

from compare_live import CALENDAR, FAMILIES, compute, differs, name

REPO = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


MESSAGE_WORDS = 9  # of 64 bits in a rd_kafka_message_t
QUEUE_FULL = -184


class Failure(Exception):
    """Something went otherwise than it has to."""


def within(seconds, test, what, every=0.05):
    """Waits until test() is true and returns it."""
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("not within %g s: %s" % (seconds, what))
        time.sleep(every)


class Kafka:
    def __init__(self, folder, port):
        self.folder, self.port, self.brokers = folder, port, "127.0.0.1:%d" % port

    def do(self, verb, *more):
        with open(self.folder + ".log", "ab") as log:
            code = subprocess.run([REPO + "/tests/support/kafka.sh", verb, self.folder, *map(str, more)], stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log, timeout=180, close_fds=True).returncode
        if code:
            raise Failure("kafka.sh %s: exit code %d; see %s.log" % (verb, code, self.folder))

    def start(self):
        self.do("start", self.port)

    def messages(self, topic, partitions):
        """Messages that a topic has ever had."""
        ask = [part for p in range(partitions) for part in ("-t", "%s:%d:-1" % (topic, p))]
        said = subprocess.run(["kcat", "-Q", "-b", self.brokers, *ask], stdout=subprocess.PIPE, timeout=60, check=True).stdout
        return sum(int(line.rsplit(b" ", 1)[1]) for line in said.splitlines() if b"offset" in line)

    def read(self, topic, form):
        """All of a topic, as kcat prints it, a line at a time; nothing while it does not exist."""
        command = ["timeout", "600", "kcat", "-C", "-b", self.brokers, "-t", topic, "-e", "-q", "-f", form]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=1 << 20) as kcat:
            yield from kcat.stdout


class Redis:
    """A private server on a unix socket, and as much of a client as is needed."""

    def __init__(self, folder):
        self.socket, self.log = folder + "/redis.sock", folder + "/redis.log"
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            command = ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no"]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        within(20, self.answers, "redis-server answers")

    def answers(self):
        try:
            return self.ask([("PING",)]) == [b"PONG"]
        except OSError:
            return False

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, commands):
        """Sends commands in one go; their answers: bytes, integers, lists."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(30)
            link.connect(self.socket)
            file, answers = link.makefile("rb"), []
            for i in range(0, len(commands), 200):
                part = commands[i:i + 200]
                link.sendall(b"".join(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in map(bytes_of, words))
                                      for words in part))
                answers += [self.answer(file) for _ in part]
            return answers

    def answer(self, file):
        line = file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.answer(file) for _ in range(int(rest))]
        if kind == b"-" or not kind:
            raise OSError("redis: " + rest.decode())
        return int(rest) if kind == b":" else rest

    def rows(self):
        """Key -> row, of all keys that hold one of a window: what is now is in no row of compute."""
        keys = [key for key in self.ask([("KEYS", "esteem:v1:{*")])[0]
                if key.rsplit(b":", 1)[-1] not in (b"scopes", b"changed", b"goals", b"alerts", b"now") and b"}:top:" not in key]
        rows = zip(keys, self.ask([("HGET", key, "row") for key in keys]))
        return {key.decode(): json.loads(row) for key, row in rows if row}


def bytes_of(word):
    return word if isinstance(word, bytes) else str(word).encode()


class Esteem:
    """One process of `esteem run`."""

    def __init__(self, program, config, log, runtime, *options):
        os.makedirs(runtime, exist_ok=True)
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen([program, "run", "-c", config, *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env={**os.environ, "XDG_RUNTIME_DIR": runtime})

    def alive(self):
        return self.process.poll() is None

    def said(self, what):
        with open(self.log, "rb") as file:
            return file.read().count(what.encode())

    def tail(self):
        with open(self.log, "rb") as file:
            return file.read()[-1500:].decode(errors="replace")

    def started(self):
        within(60, lambda: self.said("run.started") or not self.alive(), "run.started in " + self.log)
        self.must_live()

    def cpu_s(self):
        with open("/proc/%d/stat" % self.process.pid) as file:
            return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def rests(self, seconds=180, most=0.2):
        """Waits until it does next to nothing (a share of a core), three times half a second long."""
        end, quiet = time.monotonic() + seconds, 0
        while quiet < 3:
            self.must_live()
            before = self.cpu_s()
            time.sleep(0.5)
            quiet = quiet + 1 if self.cpu_s() - before < 0.5 * most else 0
            if time.monotonic() > end:
                raise Failure("esteem does not come to rest within %g s (%s)" % (seconds, self.log))

    def must_live(self):
        if not self.alive():
            raise Failure("esteem ended by itself, exit code %d (%s):\n%s" % (self.process.returncode, self.log, self.tail()))

    def stacks(self):
        """Where it hangs, if gdb is there to ask."""
        if not shutil.which("gdb"):
            return ""
        with open(self.log + ".stacks", "wb") as out:
            subprocess.run(["gdb", "-p", str(self.process.pid), "-batch", "-ex", "thread apply all bt 16"], stdin=subprocess.DEVNULL,
                           stdout=out, stderr=subprocess.DEVNULL, timeout=60)
        return "; its stacks: %s.stacks" % self.log

    def signal(self, number):
        self.must_live()
        self.process.send_signal(number)

    def ends(self, code, seconds):
        try:
            got = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure("esteem has not ended within %g s (%s%s):\n%s" % (seconds, self.log, self.stacks(), self.tail())) from None
        if got != code:
            raise Failure("esteem ended with exit code %d instead of %d (%s):\n%s" % (got, code, self.log, self.tail()))

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait()


class Producer:
    """librdkafka, as far as sending goes. Not idempotent: a repeated message does no harm, a producer that gives up would."""

    def __init__(self, brokers, linger_ms):
        self.lib = lib = ctypes.CDLL("librdkafka.so.1")
        for function in ("conf_new", "new", "topic_new"):
            getattr(lib, "rd_kafka_" + function).restype = ctypes.c_void_p
        why = ctypes.create_string_buffer(512)
        conf = ctypes.c_void_p(lib.rd_kafka_conf_new())
        for key, value in {"bootstrap.servers": brokers, "acks": "-1", "message.timeout.ms": "600000", "linger.ms": str(linger_ms),
                           "message.max.bytes": "8000000", "delivery.report.only.error": "true", "log_level": "0",
                           "queue.buffering.max.messages": "100000", "reconnect.backoff.max.ms": "500"}.items():
            if lib.rd_kafka_conf_set(conf, key.encode(), value.encode(), why, 512):
                raise Failure(why.value.decode())
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self.failed = 0
        self.report = kind(self.not_delivered)  # kept: C calls it
        lib.rd_kafka_conf_set_dr_msg_cb(conf, self.report)
        self.rk = ctypes.c_void_p(lib.rd_kafka_new(0, conf, why, 512))
        if not self.rk:
            raise Failure(why.value.decode())
        self.topics = {}

    def not_delivered(self, *_):
        self.failed += 1

    def send(self, topic, partition, lines):
        """Lines, a message each: one call for all, since a call from Python costs more than a message."""
        handle = self.topics.get(topic)
        if handle is None:
            handle = self.topics[topic] = self.lib.rd_kafka_topic_new(self.rk, topic.encode(), None)
        kept, messages = array.array("B", lines), array.array("Q")
        at = kept.buffer_info()[0]
        for line in lines.split(b"\n"):
            messages.extend((0, handle, partition, at, len(line), 0, 0, 0, 0))  # rd_kafka_message_t; the first word: its error
            at += len(line) + 1
        while messages:
            data, count = messages.buffer_info()[0], len(messages) // MESSAGE_WORDS
            if self.lib.rd_kafka_produce_batch(ctypes.c_void_p(handle), partition, 2, ctypes.c_void_p(data), count) == count:
                return
            messages = self.not_taken(messages)
            self.lib.rd_kafka_poll(self.rk, 20)

    def not_taken(self, messages):
        """Those that the queue had no room for."""
        left = array.array("Q")
        for i in range(0, len(messages), MESSAGE_WORDS):
            error = ctypes.c_int32(messages[i] & 0xffffffff).value
            if error not in (0, QUEUE_FULL):
                raise Failure("rd_kafka_produce_batch: error %d" % error)
            if error:
                left.extend((0, *messages[i + 1:i + MESSAGE_WORDS]))
        return left

    def flush(self, seconds=120):
        if self.lib.rd_kafka_flush(self.rk, int(seconds * 1000)) or self.failed:
            raise Failure("Kafka has not taken all events: %d failed" % self.failed)


class Sender(threading.Thread):
    """Sends a feed at a pace, but not past `limit` lines. lanes: (topic, partition) of each."""

    def __init__(self, feed, producer, lanes, rate):
        super().__init__(daemon=True)
        self.feed, self.producer, self.lanes, self.rate = feed, producer, lanes, rate
        self.sent = self.newest_ms = 0
        self.limit = len(feed.index) and feed.lines
        self.stop = False
        self.error = None

    def run(self):
        try:
            self.send_all()
        except Exception as error:  # noqa: BLE001  told by check()
            self.error = error

    def send_all(self):
        files = [open(path, "rb") for path in self.feed.files]
        at = [0] * len(files)
        allowed, last = 0.0, time.monotonic()
        for lines, newest_ms, offsets in self.feed.index:
            while not self.stop and (lines > self.limit or allowed <= 0):
                time.sleep(0.002)
                self.producer.lib.rd_kafka_poll(self.producer.rk, 0)
                now = time.monotonic()
                allowed = min(allowed + (now - last) * self.rate, self.rate)  # a second's worth may be caught up
                last = now
            if self.stop:
                break
            for lane, (file, offset) in enumerate(zip(files, offsets)):
                if offset > at[lane]:
                    self.producer.send(*self.lanes[lane], file.read(offset - at[lane])[:-1])
                    at[lane] = offset
            allowed -= lines - self.sent
            self.sent, self.newest_ms = lines, newest_ms
        for file in files:
            file.close()

    def check(self):
        if self.error:
            raise self.error


# ---- rows ----

def instant(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + (".%03dZ" % (ms % 1000) if ms % 1000 else "Z")


def slide_ms(length_ms):
    """W/60, rounded down to a divisor of the hour, from 1 s to 1 h (SEMANTICS 4)."""
    slide_s = min(max(length_ms // 60000, 1), 3600)
    while 3600 % slide_s:
        slide_s -= 1
    return slide_s * 1000


def edge(now_ms, length_ms):
    """Where a rolling window of a live run ends: behind the pane that is filling."""
    slide = slide_ms(length_ms)
    return now_ms // slide * slide + slide


class Wanted:
    """compute over files: calendar rows, and the rolling ones at the ends of `rolling` (name -> ms). refused: a file for what it refuses."""

    def __init__(self, args, rolling, refused=None):
        self.args, self.ends = args, {window: instant(at) for window, at in rolling.items()}
        self.rows = {}
        for at in sorted(set(self.ends.values())):
            for key, row in compute(args, at, refused).items():
                if row["window"] in CALENDAR or self.ends.get(row["window"]) == at:
                    self.rows[key] = row


def topic_rows(kafka, prefix):
    """(row name, end) -> row, put together from the last record of each key of each family's topic; and how many records there are."""
    rows, records = {}, 0
    for family in FAMILIES:
        last = {}
        for line in kafka.read(prefix + family, "%k\t%s\n"):
            key, value = line.split(b"\t", 1)
            last[key] = value
            records += 1
        for value in last.values():
            row = json.loads(value)
            whole = rows.setdefault((name(row), row["end"]), {**row, "measures": {}, "metrics": {}})
            whole["measures"].update(row["measures"])
            whole["metrics"].update(row["metrics"])
    return rows, records


def hold_against(wanted, live, what, complete):
    """live: (text, row). Faults as text, and rows compared: each that has figures has to be compute's, a rolling one at the wanted instant.
    complete(row): whether compute's row has to be among the live ones."""
    faults, compared, seen = [], 0, set()
    for text, row in live:
        compared += 1
        key = name(row)
        seen.add(key)
        fault = differs(wanted.rows.get(key), row, "%s %s" % (what, text))
        faults += [fault] if fault else []
    for key, row in wanted.rows.items():
        if complete(row) and key not in seen:
            faults.append("%s: missing: %s" % (what, json.dumps(row)[:600]))
    return faults, compared


class HungUp(SystemExit):
    """Another round has failed: what this one has is of no use."""


def terminated(number, _):
    raise HungUp("hung up") if number == signal.SIGHUP else SystemExit("ended by a signal")


def end_on_signals(how=terminated):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, how)
