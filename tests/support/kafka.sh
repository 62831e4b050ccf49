#!/bin/sh
# A real Apache Kafka of one node (KRaft) for tests and benches. Everything lives below DIR; it listens on 127.0.0.1 only,
# at PORT and, for its controller, at PORT + 1. The jars are fetched once by Maven into build/kafka-libs.
#
#   kafka.sh start DIR PORT           start (keeps the data of an earlier start) and wait until it answers
#   kafka.sh stop DIR                 stop in order
#   kafka.sh kill DIR                 stop with SIGKILL, as a machine would die
#   kafka.sh topic DIR NAME PARTS     create a topic
#   kafka.sh grow DIR NAME PARTS      give it more partitions
#   kafka.sh libs                     only fetch the jars
#
# KAFKA_HEAP (512m) is the broker's heap. KAFKA_READY_S (60) bounds the wait. KAFKA_TIER (1) is Java's compiler: a broker of some minutes
# would spend them on compiling itself with the best one, 4.
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
libs=$repo/build/kafka-libs
version=3.9.1

say() { echo "kafka.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# Writes the pom and lets Maven copy the jars; the file `complete` says that all of them arrived. One process at a time.
libs_fetch() {
    [ -e "$libs/complete-$version" ] && return
    command -v mvn >/dev/null || die "mvn is missing; run deploy/install-deps.sh --test"
    mkdir -p "$libs"
    exec 9>"$libs/lock"
    flock -w 600 9 || die "another process holds $libs/lock for 10 minutes"
    if [ ! -e "$libs/complete-$version" ]; then
        say "fetching Kafka $version into $libs"
        cat >"$libs/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>esteem.test</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
        (cd "$libs" && mvn -q -B dependency:copy-dependencies -DoutputDirectory="$libs/jars" -DincludeScope=runtime) >"$libs/mvn.log" 2>&1 ||
            { tail -20 "$libs/mvn.log" >&2; die "Maven could not fetch the jars (see $libs/mvn.log)"; }
        touch "$libs/complete-$version"
    fi
    exec 9>&-
}

# jvm HEAP CLASS ARGUMENT...: with the log settings of DIR.
jvm() {
    heap=$1
    shift
    exec java "-Xmx$heap" -XX:+UseSerialGC -XX:TieredStopAtLevel="${KAFKA_TIER:-1}" -Djava.net.preferIPv4Stack=true \
        -Dlog4j.configuration="file:$dir/log4j.properties" -cp "$libs/jars/*" "$@"
}

running() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

settings_write() {
    cat >"$dir/log4j.properties" <<LOG
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n
LOG
    cat >"$dir/server.properties" <<SERVER
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
num.partitions=4
message.max.bytes=16777216
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=2000
SERVER
}

start() {
    running && die "a broker of $dir runs already, process $(cat "$dir/pid")"
    libs_fetch
    settings_write
    if [ ! -e "$dir/data/meta.properties" ]; then
        (jvm 128m kafka.tools.StorageTool format -t "$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | cut -c 1-22)" \
            -c "$dir/server.properties") >"$dir/format.log" 2>&1 || { cat "$dir/format.log" >&2; die "could not format $dir/data"; }
    fi
    (jvm "${KAFKA_HEAP:-512m}" kafka.Kafka "$dir/server.properties") >>"$dir/broker.log" 2>&1 </dev/null 9>&- &
    echo $! >"$dir/pid"
    echo "$port" >"$dir/port"
    end=$(($(date +%s) + ${KAFKA_READY_S:-60}))
    until kcat -L -m 1 -b "127.0.0.1:$port" 2>/dev/null | grep -q '^  broker 1 at'; do
        running || { tail -20 "$dir/broker.log" >&2; die "the broker ended (see $dir/broker.log)"; }
        [ "$(date +%s)" -lt $end ] || { stop KILL; die "the broker does not answer (see $dir/broker.log)"; }
        sleep 0.2
    done
}

# stop SIGNAL: waits up to 30 s, then kills.
stop() {
    if running; then
        pid=$(cat "$dir/pid")
        kill "-$1" "$pid" 2>/dev/null || true
        tries=300
        while kill -0 "$pid" 2>/dev/null; do
            tries=$((tries - 1))
            [ $tries -gt 0 ] || { say "it did not stop in 30 s: killed"; kill -KILL "$pid" 2>/dev/null || true; break; }
            sleep 0.1
        done
    fi
    rm -f "$dir/pid"
}

topics() {
    running || die "no broker of $dir runs"
    (jvm 128m org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$(cat "$dir/port")" "$@") >"$dir/topic.log" 2>&1 ||
        { cat "$dir/topic.log" >&2; exit 1; }
}

usage() { sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | head -n -1 >&2; exit 2; }

[ $# -ge 1 ] || usage
verb=$1
[ "$verb" = libs ] || [ $# -ge 2 ] || usage
if [ $# -ge 2 ]; then
    [ "$verb" != start ] || mkdir -p "$2"
    dir=$(cd "$2" 2>/dev/null && pwd) || die "no folder $2"
fi
case $verb in
    libs) libs_fetch ;;
    start) [ $# -eq 3 ] || usage; port=$3; start ;;
    stop) stop TERM ;;
    kill) stop KILL ;;
    topic) [ $# -eq 4 ] || usage; topics --create --if-not-exists --topic "$3" --partitions "$4" --replication-factor 1 ;;
    grow) [ $# -eq 4 ] || usage; topics --alter --topic "$3" --partitions "$4" ;;
    *) usage ;;
esac
