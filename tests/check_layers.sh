#!/usr/bin/env bash
# tests/check_layers.sh: who may include what. A stage knows base, the event and its own headers; what it may know besides stands
# in this table. Only pipeline.c and the commands name all stages.
set -u
cd "$(dirname "$0")/.." || exit 1

base="clock command config csv digits disk err event intern log measure memory now ring roster slab slice slots span tally timing track utf8 varint"
allowed() {
    case $1 in
        engine/base/*) echo "clock csv digits disk err event intern log measure memory ring roster slab slice slots span tally timing track utf8 varint" ;;
        engine/control/schema*) echo "$base schema formula metric observe row redis" ;; # pages made of everybody's tables
        engine/control/config_goals.c|engine/control/config_id.c|engine/control/plan.c) echo "$base metric plan" ;; # goals and the baseline name metrics
        engine/control/control.c) echo "$base control" ;;                       # the socket
        engine/control/http.c|engine/control/config_option.c) echo "$base http" ;; # the listener; what it can listen at
        engine/control/*) echo "$base calendar" ;;                              # checks that a zone can be read
        engine/decode/*) echo "$base mapping" ;;
        engine/ledger/*) echo "$base fact derive ledger book visit shift" ;;
        engine/combine/*) echo "$base key grain batch combine derive" ;;              # takes what derive yields
        engine/window/*) echo "$base calendar grain pane window batch key row metric goal recall" ;;  # makes rows
        engine/metric/*) echo "$base formula goal metric row" ;;
        engine/shard/*) echo "$base source mapping fact derive ledger book visit shift key grain batch combine shard" ;; # joins source to combine
        engine/source/replay.c) echo any ;;                                      # a command
        engine/source/*) echo "$base source file kafka replay" ;;
        engine/state/*) echo "$base manifest checkpoint" ;;                      # bytes alone: what they mean is known to who wrote them
        engine/publish/*) echo "$base row metric goal sink publisher redis topics kafka deadletter shard source recall key" ;; # refused events: shard.h
        *) echo any ;;                                                          # pipeline, compute, run, demo, main
    esac
}

failed=0
for file in engine/*/*.c engine/*/*.cc engine/*/*.h; do
    [ -e "$file" ] || continue
    may=" $(allowed "$file") "
    [ "$may" = " any " ] && continue
    for header in $(sed -nE 's/^#include "esteem\/([a-z_0-9]+)\.h".*/\1/p' "$file"); do
        case $may in
            *" $header "*) ;;
            *) echo "not ok - $file may not include esteem/$header.h"; failed=1 ;;
        esac
    done
    # Private headers: of the own folder; json.h of decode is for main's --version.
    for header in $(sed -nE 's/^#include "([a-z_]+)\/[a-z_0-9]+\.h".*/\1/p' "$file" | grep -v '^esteem$'); do
        [ "$header" = "$(basename "$(dirname "$file")")" ] || { echo "not ok - $file may not include a header of $header/"; failed=1; }
    done
done
[ $failed = 0 ] && echo "ok - every stage includes base, event.h and its own headers alone"

# Headers: nothing of a stage may depend on a later one. Order of the stages, a header may include those of its line or above.
order="err clock csv disk timing memory measure now slab slice slots track ring log intern roster event tally span config manifest checkpoint:fact source mapping file:derive calendar key grain:ledger book batch pane metric recall:visit shift:combine row:shard window sink:kafka publisher redis:pipeline"
rank() { local n=0 line; IFS=: read -ra lines <<<"$order"; for line in "${lines[@]}"; do n=$((n + 1)); case " $line " in *" $1 "*) echo $n; return ;; esac; done; echo 99; }
failed=0
for file in include/esteem/*.h; do
    own=$(rank "$(basename "$file" .h)")
    for header in $(sed -nE 's/^#include "esteem\/([a-z_0-9]+)\.h".*/\1/p' "$file"); do
        [ "$own" -lt 99 ] && [ "$(rank "$header")" -gt "$own" ] && { echo "not ok - $file may not include esteem/$header.h"; failed=1; }
    done
done
[ $failed = 0 ] && echo "ok - headers include those of their stage and of earlier ones"

# Guards, and no setenv("TZ").
failed=0
for file in include/esteem/*.h; do
    guard="ESTEEM_$(basename "$file" .h | tr a-z A-Z)_H"
    grep -q "^#ifndef $guard$" "$file" || { echo "not ok - $file has no guard $guard"; failed=1; }
done
[ $failed = 0 ] && echo "ok - every header has its guard"
if grep -rnE 'setenv *\( *"TZ"|atomic_thread_fence' engine include; then
    echo "not ok - no setenv(TZ), no bare fence"
else
    echo "ok - no setenv(TZ), no bare fence"
fi
