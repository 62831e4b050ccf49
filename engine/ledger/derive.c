/* From facts to contributions (SEMANTICS 2 and 3). Read from the bottom: derive() sorts and splits the facts into records;
 * record.c makes out one record (who, when, which segments); contribute.c turns it into integers, which are gathered here.
 *
 *   facts ──sort, split by gaps──> record: versions ──> dimensions, segments, times ──> blocks (dims, instant, integers)
 *
 * Nothing here knows of windows, threads, or what was sent before. */
#include "record.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/err.h"
#include "esteem/varint.h"

enum { BLOCK_MOST = TALLY_RUN_MAX / 2 /* bytes: turned round, a block may be a little longer */ };

/* ---- blocks ---- */

void derivation_init(struct derivation *out)
{
    *out = (struct derivation){.room = 64, .bytes_room = 16384};
    out->block = malloc(out->room * sizeof *out->block);
    out->bytes = malloc(out->bytes_room);
    ensure(out->block && out->bytes, "the machine has memory left");
}

void derivation_close(struct derivation *out)
{
    free(out->block);
    free(out->bytes);
    *out = (struct derivation){0};
}

/* The run without the measures that were not known when it was sent. */
static void leave_out(const uint64_t *lacks, struct tally_run *run)
{
    struct tally_run whole = *run;
    const uint8_t *at = whole.bytes, *end = whole.bytes + whole.length;
    uint32_t id = 0;
    tally_run_begin(run);
    for (uint64_t step, value; at < end; id += (uint32_t)step) {
        at = varint_get(at, &step);
        at = varint_get(at, &value);
        uint32_t which = id + (uint32_t)step - 1;
        if (which >= HISTOGRAM_FIRST_ID || !(lacks[which / 64] >> which % 64 & 1))
            tally_run_put(run, which, unzigzag(value));
    }
}

/* A block more, or the last one when it goes to the same place. */
static struct block *block_for(struct derivation *out, enum block_kind kind, const struct dims *dims, int64_t anchor_ms, uint32_t length)
{
    struct block *last = out->count ? &out->block[out->count - 1] : NULL;
    if (last && kind == BLOCK_FIGURES && last->kind == kind && last->anchor_ms == anchor_ms && last->length + length <= BLOCK_MOST &&
        memcmp(&last->dims, dims, sizeof *dims) == 0)
        return last;
    if (out->count == out->room) {
        out->room *= 2;
        out->block = realloc(out->block, out->room * sizeof *out->block);
        ensure(out->block != NULL, "the machine has memory left");
    }
    last = &out->block[out->count++];
    *last = (struct block){.anchor_ms = anchor_ms, .dims = *dims, .kind = kind, .at = out->used};
    last->hash = XXH3_64bits_withSeed(dims, sizeof *dims, (uint64_t)anchor_ms) ^ (uint64_t)kind;
    return last;
}

static struct block *block_add(struct derivation *out, enum block_kind kind, const struct dims *dims, int64_t anchor_ms, const void *bytes, uint32_t length)
{
    if (out->used + length > out->bytes_room) {
        out->bytes_room *= 2;
        out->bytes = realloc(out->bytes, out->bytes_room);
        ensure(out->bytes != NULL, "the machine has memory left");
    }
    struct block *block = block_for(out, kind, dims, anchor_ms, length);
    memcpy(out->bytes + out->used, bytes, length);
    out->used += length;
    block->length += length;
    block->hash ^= XXH3_64bits_withSeed(bytes, length, block->length);
    return block;
}

void block_put(struct derivation *out, const struct dims *dims, int64_t anchor_ms, struct tally_run *run)
{
    if (out->lacks)
        leave_out(out->lacks, run);
    tally_run_end(run);
    if (!tally_run_empty(run))
        (void)block_add(out, BLOCK_FIGURES, dims, anchor_ms, run->bytes, run->length);
}

void note_put(struct derivation *out, enum block_kind kind, const struct dims *dims, int64_t anchor_ms, const struct note *note, enum measure measure)
{
    if (!out->lacks || !(out->lacks[measure / 64] >> measure % 64 & 1))
        (void)block_add(out, kind, dims, anchor_ms, note, sizeof *note);
}

void now_put(struct derivation *out, const struct dims *dims, int64_t anchor_ms, struct tally_run *run)
{
    if (out->lacks && out->lacks[MEASURE_waiting / 64] >> MEASURE_waiting % 64 & 1)
        return;
    tally_run_end(run);
    (void)block_add(out, BLOCK_NOW, dims, anchor_ms, run->bytes, run->length);
    out->now = true;
}

/* ---- one record, and all of them ---- */

/* Leaves out replaced versions of the completed record and of each survey's answer, keeping the order. Of equal versions the
 * first to arrive stands. */
static bool replaces(const struct fact *a, const struct fact *b)
{
    int64_t va = fact_version(a), vb = fact_version(b);
    return va != vb ? va > vb : a->arrival < b->arrival;
}

static bool same_answer(const struct fact *a, const struct fact *b)
{
    return a->type == b->type &&
           (a->type == EVENT_COMPLETED || (a->type == EVENT_SURVEY_ANSWERED && a->survey_hash == b->survey_hash));
}

static uint32_t drop_replaced(struct fact *fact, uint32_t count)
{
    uint32_t kept = 0, versioned = 0;
    for (uint32_t i = 0; i < count; i++)
        versioned += fact[i].type == EVENT_COMPLETED || fact[i].type == EVENT_SURVEY_ANSWERED;
    if (versioned < 2)
        return count;
    for (uint32_t i = 0; i < count; i++) {
        bool replaced = false;
        if (fact[i].type == EVENT_COMPLETED || fact[i].type == EVENT_SURVEY_ANSWERED)
            for (uint32_t j = 0; j < count && !replaced; j++)
                replaced = j != i && same_answer(&fact[j], &fact[i]) && replaces(&fact[j], &fact[i]);
        fact[i].arrival |= replaced ? UINT32_C(1) << 31 : 0;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!(fact[i].arrival >> 31))
            fact[kept++] = fact[i];
    return kept;
}

static void record(struct record *record, struct fact *fact, uint32_t count, bool alone)
{
    record->fact = fact;
    record->count = drop_replaced(fact, count);
    for (uint32_t i = 0; i < record->count; i++) {
        record->joined |= fact[i].type <= EVENT_INTERACTION_LAST;
        if (fact[i].type == EVENT_COMPLETED)
            record->completed = &fact[i];
    }
    record->offered_ms = record->answered_ms = record->abandoned_ms = record->ended_ms = NEVER;
    record->wait_known = true;
    if (record->joined) {
        record_make_out(record);
        contribute_contact(record);
    } else if (!alone) {
        record->out->unjoined += record->count;
    }
    for (uint32_t i = 0; i < record->count; i++)
        contribute_event(record, &fact[i]);
}

void derive(struct fact *facts, uint32_t count, bool alone, const struct derive_settings *settings,
            const struct roster *roster, uint32_t tenant, uint32_t as_of, struct derivation *out)
{
    static _Thread_local struct segment *segments;
    static _Thread_local uint32_t segments_room;
    out->count = out->used = out->unjoined = 0;
    out->lacks = derive_lacks(settings) ? settings->lacks : NULL;
    out->skewed = out->now = false;
    if (count > segments_room) {
        segments_room = count * 2 + 16;
        free(segments);
        segments = malloc(segments_room * sizeof *segments);
        ensure(segments != NULL, "the machine has memory left");
    }
    if (count > 1)
        qsort(facts, count, sizeof *facts, fact_order);
    uint16_t number = 0;
    for (uint32_t from = 0, to; from < count; from = to, number++) {
        for (to = from + 1; to < count && (alone || facts[to].time_ms - facts[to - 1].time_ms <= settings->retention_ms);)
            to++;
        struct record one = {.settings = settings, .roster = roster, .tenant = tenant, .as_of = as_of, .number = number,
                             .latest = to == count, .segment = segments, .out = out};
        record(&one, facts + from, to - from, alone);
    }
}
