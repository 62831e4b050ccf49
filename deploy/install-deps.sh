#!/bin/sh
# Installs what a fresh Debian 12 needs to build esteem; with --test, what its tests need as well, with --bench what its benches do. Safe to run again:
# dpkg is asked first, and apt is called only for what is missing. A redis-server that this script installs is not
# started and not enabled: the tests and `make demo` run their own.
set -eu

BUILD="gcc g++ make git pkg-config tzdata ca-certificates
    librdkafka-dev libhiredis-dev libyaml-dev libjq-dev libonig-dev libxxhash-dev libzstd-dev libsimdjson-dev libmicrohttpd-dev
    redis-server"
TEST="libcriterion-dev python3 python3-jsonschema python3-yaml python3-numpy python3-statsmodels
    jq kcat redis-tools maven clang curl prometheus"
BENCH="valgrind"

usage() {
    echo "usage: install-deps.sh [--test] [--bench]"
    echo "  --test   also what the tests need (Criterion, python3, statsmodels, jq, kcat, Java and Maven for a real Kafka, clang)"
    echo "  --bench  also what the benches need (valgrind)"
}

want=$BUILD
java=no
for word in "$@"; do
    case $word in
        --test) want="$want $TEST"; java=yes ;;
        --bench) want="$want $BENCH" ;;
        --help|-h) usage; exit 0 ;;
        *) echo "install-deps.sh: unknown option $word" >&2; usage >&2; exit 2 ;;
    esac
done

# Prints those of its arguments that are not installed. dpkg-query fails when it knows none of a name: that is an answer too.
missing() {
    have=" $(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' | tr '\n' ' ')"
    for package in "$@"; do
        case $have in *" $package "*) ;; *) printf '%s ' "$package" ;; esac
    done
}

need=$(missing $want)
if [ $java = yes ] && ! command -v java >/dev/null 2>&1; then # any Java of 17 or later will do
    need="$need default-jre-headless"
fi
if [ -z "$(echo $need)" ]; then
    echo "install-deps.sh: nothing is missing"
    exit 0
fi

root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "install-deps.sh: run as root, or install sudo; missing: $need" >&2; exit 1; }
    root=sudo
fi

# 101 tells Debian's maintainer scripts not to start a service. A policy that is there already is left as it is.
policy=/usr/sbin/policy-rc.d
ours=no
if [ ! -e $policy ]; then
    ours=yes
    trap '$root rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
    $root chmod 755 $policy
fi

echo "install-deps.sh: installing $need"
$root apt-get update -qq
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $need

# Not at the next boot either, when it came with this run.
case " $need" in *" redis-server "*)
    if [ -d /run/systemd/system ]; then $root systemctl disable --now redis-server.service >/dev/null 2>&1 || true; fi ;;
esac
[ $ours = no ] || { $root rm -f $policy; trap - EXIT; }
echo "install-deps.sh: done"
