#!/bin/sh
# What a real Kafka does to a reader: partitions are added, old messages deleted before they are read, a topic is deleted and
# created anew with as many, fewer and more partitions, a batch is damaged on the disk, a message is larger than a fetch, and a
# backlog is larger than what may be kept in memory. Exit 77: skipped.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/system.sh
needs java mvn redis-server redis-cli kcat python3
begin sources 28792

shards=2
# Offered contacts of a queue in the hour; each test has its own queue and its own topic.
offered() { # QUEUE COUNT
    redis hget "esteem:v1:{acme}:queue=$1:hour" row | grep -q "\"offered\":$2,"
}
said() { # EVENT TEXT...: all of them in one line of the log
    event=$1
    shift
    for text; do
        grep -a "event=$event" "$dir/run.log" | grep -aqF "$text" || return 1
    done
}
events() { # QUEUE FROM TO [PAD]
    python3 - "$@" <<'PY'
import sys
queue, begin, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
pad = "x" * int(sys.argv[4]) if len(sys.argv) > 4 else ""
for i in range(begin, end):
    print(f'{{"id":"{queue}{i}","type":"interaction.offered","time":{1790000000000 + i},"tenant":"acme","interaction":"{queue}{i}","queue":"{queue}","pad":"{pad}"}}')
PY
}
send() { # TOPIC PARTITION BATCH: lines of standard input, so many a batch
    kcat -P -b "127.0.0.1:$port" -t "$1" -p "$2" -X "batch.num.messages=$3" -X linger.ms=50 -X message.max.bytes=16000000 >>"$dir/send.log" 2>&1
}
tool() { # CLASS ARGUMENT...: one of Kafka's own
    java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "build/kafka-libs/jars/*" "$@" >>"$dir/tool.log" 2>&1
}
topic() { # NAME PARTITIONS [SETTING...]
    name=$1 partitions=$2
    shift 2
    tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" --create --topic "$name" --partitions "$partitions" --replication-factor 1 "$@"
}
delete() { tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" --delete --topic "$1"; }
start() { # TOPICS [LINES]
    cat >"$dir/esteem.yaml" <<YAML
kafka: {brokers: "127.0.0.1:$port", group: sources$$, topics: [$1]}
state: {folder: ""} # a restart reads all again
redis: {socket: $dir/redis.sock}
topics: {enabled: false, deadletter: s.deadletter}
windows: {calendar: [hour]}
time: {mode: replay, idle_after: 1s}
threads: {shards: $shards, folds: 1}
${2:-}
YAML
    run_start
}
# It has to end by itself within 60 s; what does not is killed, and the test fails.
stop() {
    kill -TERM "$run_pid"
    within 60 run_gone || kill -9 "$run_pid"
    ended_with 0
}

kafka start "$port"
redis_start

# ---- partitions are added

topic grown 2
events grown 0 200 | send grown 0 50
start "grown, same, fewer, more, big, late"
check "two partitions are read" within 60 offered grown 200
kafka grow grown 4
events grown 200 300 | send grown 2 50
events grown 300 400 | send grown 3 50
check "and the two that are added, from their beginning" within 90 offered grown 400

# ---- a topic is deleted and created anew

for one in "same 2" "fewer 1" "more 4"; do
    set -- $one
    topic "$1" 2
    events "$1" 0 100 | send "$1" 0 10
    events "$1" 100 200 | send "$1" 1 10
done
for one in "same 2" "fewer 1" "more 4"; do
    set -- $one
    check "topic $1 is read" within 60 offered "$1" 200
    delete "$1"
    check "that it was deleted is said" within 60 said kafka.topic_gone "topic $1 was deleted"
    topic "$1" "$2"
    # More messages than before: an offset of the old topic is one of the new one as well.
    events "$1" 200 400 | send "$1" 0 10
    [ "$2" -lt 2 ] || events "$1" 400 600 | send "$1" 1 10
    [ "$2" -lt 4 ] || { events "$1" 600 700 | send "$1" 2 10; events "$1" 700 800 | send "$1" 3 10; }
    count=$((400 + 200 * ($2 > 1) + 200 * ($2 > 2)))
    check "created anew with $2 partitions instead of 2, it is read from its beginning" within 90 offered "$1" $count
    check "and that is said" within 10 said kafka.recreated "topic $1 [0]" "was deleted and created anew"
done
events grown 400 401 | send grown 0 10
check "partitions that are no more hold nobody up" within 60 offered grown 401

# ---- a message larger than a fetch, and one larger than the bound

events big 0 1 6000000 | send big 0 1
events big 1 2 | send big 0 1
check "a message of 6 MB is refused as too large, and the next one is read" within 60 offered big 1
check "it lies in the dead-letter topic, with its reason" within 30 sh -c "kcat -C -b 127.0.0.1:$port -t s.deadletter -e -q -f '%h\n' | grep -aq too_large"
# ---- messages are deleted before they are read: the reader stands still meanwhile

topic late 1
events late 0 100 | send late 0 10
check "a topic is read to its end" within 60 offered late 100
kill -STOP "$run_pid"
sleep 2 # a fetch that is under way comes back empty
events late 100 200 | send late 0 10
echo '{"partitions": [{"topic": "late", "partition": 0, "offset": 170}], "version": 1}' >"$dir/delete.json"
tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "127.0.0.1:$port" --offset-json-file "$dir/delete.json"
kill -CONT "$run_pid"
check "what is left of it is read" within 60 offered late 130
check "and what is lost is said" said kafka.lost "topic late [0]: 70 messages were deleted before they were read, offsets 100 to 169"
check "it ends in order" stop

# ---- damage on the broker's disk: one bit of a batch in the middle, and of the last one

topic damaged 1
events damaged 0 200 | send damaged 0 40
kafka stop
python3 - "$dir"/kafka/data/damaged-0/00000000000000000000.log >"$dir/damaged" <<'PY'
import struct, sys
data, at, batches = bytearray(open(sys.argv[1], "rb").read()), 0, []
while at < len(data):
    base, length = struct.unpack_from(">qi", data, at)
    batches.append((base, struct.unpack_from(">i", data, at + 23)[0] + 1, at + 12 + length - 20))
    at += 12 + length
for base, count, place in (batches[1], batches[-1]):
    data[place] ^= 1
    print(base, count)
open(sys.argv[1], "wb").write(data)
PY
kafka start "$port"
start damaged
check "what is whole in a damaged topic is read" within 90 offered damaged $((200 - $(awk '{ n += $2 } END { print n }' "$dir/damaged")))
while read -r base count; do
    check "the damage of $count messages is said" within 60 said kafka.unfetchable "topic damaged [0]: $count messages are damaged" "offsets $base to $((base + count - 1))"
done <"$dir/damaged"
events damaged 300 310 | send damaged 0 10
check "and what comes after it is read" within 60 offered damaged $((210 - $(awk '{ n += $2 } END { print n }' "$dir/damaged")))
check "it ends in order" stop

# ---- a backlog of 1 GiB before shards that stand still: their bound of interactions is reached at once

topic backlog 8
events backlog 0 131072 8000 | kcat -P -b "127.0.0.1:$port" -t backlog -X batch.size=1000000 -X queue.buffering.max.kbytes=100000 >>"$dir/send.log" 2>&1
shards=8
start backlog "limits: {interactions: 800}"
kib() { sed -n "s/^$1:[^0-9]*\\([0-9]*\\) kB/\\1/p" "/proc/$run_pid/status"; }
full() { # it has fetched, and grows no more
    before=$(kib VmRSS)
    sleep 2
    [ "$before" -gt 200000 ] && [ "$(kib VmRSS)" -lt $((before + before / 50)) ]
}
check "its queues fill" within 90 full
echo "# 1 GiB waits, $(($(kib VmHWM) / 1024)) MiB of memory at most"
check "and the process stays below 700 MiB" [ "$(kib VmHWM)" -lt 716800 ]
run_kill
sum_up
