/* A shard's part of a checkpoint. The barrier cuts the feed for all shards at once:
 *
 *   wanted ─> barrier to every other shard, the source rests ─> theirs are here: all is derived, its notes go out (relay.h) and a second
 *   barrier behind them ─> theirs are here: barrier to the folds, the part begins
 *
 * What a shard sends after its barrier waits in its ring until all barriers are here, so nothing of after gets into the part. Then the
 * source goes on, and ledger and books are written some a step (ledger_state.c, book_state.c). */
#include "shard_parts.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/combine.h"
#include "esteem/err.h"
#include "esteem/varint.h"

enum { STEP_BYTES = 256 << 10, BLOCKS_MOST = 16 /* that wait to be taken: then the part rests */ };

/* ---- the barrier ---- */

static void send_barrier(struct shard *shard)
{
    for (int s = 0; s < shard->setup.shards; s++) {
        if (s == shard->setup.index)
            continue;
        struct parcel *parcel = calloc(1, sizeof *parcel);
        ensure(parcel != NULL, "the machine has memory left");
        parcel->kind = PARCEL_BARRIER;
        parcel->from = shard->setup.index;
        shard_post(shard, OUTBOX_SHARD, s, parcel);
    }
}

void shard_checkpoint(struct shard *shard, uint64_t epoch, bool full)
{
    ensure(!shard->barrier && !shard->dumping, "one checkpoint is under way at a time");
    shard->barrier = epoch;
    shard->barrier_full = full;
    send_barrier(shard);
}

static bool all_arrived(const struct shard *shard)
{
    for (int s = 0; s < shard->setup.shards; s++)
        if (s != shard->setup.index && !shard->arrived[s])
            return false;
    return true;
}

/* ---- what is written at once ---- */

static void put_input(struct slice_out *out, const char *topic, int32_t partition, int64_t next, int64_t newest_ms)
{
    uint8_t *at = slice_put(out, SLICE_INPUT, strlen(topic) + 5 * VARINT_MAX);
    at = slice_text(at, topic, strlen(topic));
    at = varint_put(at, (uint64_t)partition);
    at = varint_put(at, zigzag(next));
    slice_put_end(out, varint_put(at, zigzag(newest_ms)));
}

/* Where an input stands; a message of it that could not be finished comes again. */
static struct source_position position(const struct shard *shard, int input)
{
    struct source_position position;
    shard->setup.source.position(shard->setup.source.state, input, &position);
    if (shard->stuck && shard->stuck->input == input)
        position.next = shard->stuck->offset;
    return position;
}

static int inputs(const struct shard *shard)
{
    return shard->setup.source.position ? shard->setup.source.inputs(shard->setup.source.state) : 0;
}

static void put_inputs(struct shard *shard)
{
    int count = inputs(shard);
    shard->offsets = realloc(shard->offsets, (size_t)(count + 1) * sizeof *shard->offsets);
    ensure(shard->offsets != NULL, "the machine has memory left");
    shard->offset_count = count;
    for (int i = 0; i < count; i++) {
        struct source_position at = position(shard, i);
        shard->offsets[i] = at.next;
        put_input(&shard->out, shard->config->topic[at.topic].name, at.partition, at.next, shard->input[i].newest_ms);
    }
    for (int i = 0; i < shard->restored_count; i++) { /* partitions that have not come up yet are carried on */
        const struct shard_input *input = &shard->restored[i];
        if (!shard->restored_taken[i] && input->partition % shard->setup.shards == shard->setup.index)
            put_input(&shard->out, input->topic, input->partition, input->next, input->newest_ms);
    }
}

static void put_names(struct shard *shard)
{
    const char *dimension[DIMENSION_MAX];
    int dimensions = 0;
    for (const char *name; dimensions < DIMENSION_MAX && (name = config_dimension_name(shard->config, dimensions)) != NULL;)
        dimension[dimensions++] = name;
    slice_put_names(&shard->out, "types", event_type_names, EVENT_COUNT);
    slice_put_names(&shard->out, "fields", field_names, FIELD_COUNT);
    slice_put_names(&shard->out, "dimensions", dimension, (uint32_t)dimensions);
}

static void put_strings(struct shard *shard)
{
    for (uint32_t id = shard->strings_saved + 1; id <= shard->strings.count; id++) {
        uint32_t length = intern_length(&shard->strings, id);
        uint8_t *at = slice_put(&shard->out, SLICE_STRING, length + VARINT_MAX + 1);
        slice_put_end(&shard->out, slice_text(at, intern_text(&shard->strings, id), length));
    }
    shard->strings_saved = shard->strings.count;
}

static void put_roster_entry(void *context, uint32_t tenant, uint32_t agent, const struct roster_entry *entry, bool gone)
{
    struct shard *shard = context;
    uint8_t *at = slice_put(&shard->out, entry->file ? SLICE_ROSTER_FILE : SLICE_ROSTER, 8 * VARINT_MAX);
    at = varint_put(at, tenant);
    at = varint_put(at, agent);
    at = varint_put(at, zigzag(entry->time_ms));
    at = slice_u64(at, entry->id_hash);
    *at++ = (uint8_t)(entry->enrolled | entry->ineligible << 1 | gone << 2);
    at = varint_put(at, entry->team);
    slice_put_end(&shard->out, varint_put(at, entry->site));
}

static uint8_t *put_dims(uint8_t *at, const struct dims *dims)
{
    for (int i = 0; i < DIMENSION_MAX; i++)
        at = varint_put(at, dims->id[i]);
    return at;
}

static void put_epoch(struct shard *shard, int slot, const struct epoch *epoch)
{
    const struct derive_settings *settings = &epoch->settings;
    uint32_t masks[CONFIG_SCOPE_MAX];
    int scopes = combine_scopes_read(shard->combine, epoch->scopes, masks);
    size_t most = (size_t)(64 + CONFIG_SCOPE_MAX + CONFIG_BAND_MAX + CONFIG_RULE_MAX * (DIMENSION_MAX + 1)) * VARINT_MAX;
    uint8_t *at = varint_put(slice_put(&shard->out, SLICE_EPOCH, most), (uint64_t)slot);
    at = varint_put(at, (uint64_t)scopes);
    for (int s = 0; s < scopes; s++)
        at = varint_put(at, masks[s]);
    at = varint_put(at, (uint64_t)settings->retention_ms);
    at = varint_put(at, (uint64_t)settings->sl_threshold_ms);
    at = varint_put(at, (uint64_t)settings->short_abandon_ms);
    at = varint_put(at, (uint64_t)settings->top_box);
    at = varint_put(at, (uint64_t)settings->attribution);
    at = varint_put(at, (uint64_t)settings->band_count);
    for (int b = 0; b < settings->band_count; b++)
        at = varint_put(at, (uint64_t)settings->band_ms[b]);
    at = varint_put(at, (uint64_t)settings->rule_count);
    for (int r = 0; r < settings->rule_count; r++)
        at = put_dims(varint_put(at, (uint64_t)settings->rule[r].threshold_ms), &settings->rule[r].match);
    slice_put_end(&shard->out, at);
}

static void put_lists(struct shard *shard)
{
    uint32_t masks[CONFIG_SCOPE_MAX];
    for (uint32_t list = 0; list < combine_lists(shard->combine); list++) {
        int scopes = combine_scopes_read(shard->combine, list, masks);
        uint8_t *at = varint_put(slice_put(&shard->out, SLICE_LIST, (CONFIG_SCOPE_MAX + 2) * VARINT_MAX), list);
        at = varint_put(at, (uint64_t)scopes);
        for (int s = 0; s < scopes; s++)
            at = varint_put(at, masks[s]);
        slice_put_end(&shard->out, at);
    }
}

static void put_head(struct shard *shard)
{
    uint8_t *at = slice_put(&shard->out, SLICE_SHARD, 8 * VARINT_MAX);
    at = varint_put(at, zigzag(shard->all_watermark_ms));
    at = varint_put(at, zigzag(shard->newest_ms));
    *at++ = shard->inexact;
    *at++ = shard->route;
    *at++ = shard->partial;
    at = varint_put(at, zigzag(shard->oldest_ms));
    slice_put_end(&shard->out, varint_put(at, zigzag(shard_forgotten_ms(shard))));
}

/* ---- the part ---- */

static void begin(struct shard *shard)
{
    bool full = shard->barrier_full || !ledger_dump_can_add(shard->ledger);
    for (int b = 0; b < BOOK_COUNT; b++)
        full |= !book_dump_can_add(relay_book(&shard->relay, b));
    slice_begin(&shard->out, full, slice_late_most(shard->config->limit_memory, shard->setup.shards + shard->setup.folds));
    if (full)
        shard->strings_saved = shard->roster_saved = 0;
    put_head(shard);
    put_names(shard);
    put_inputs(shard);
    put_strings(shard);
    roster_since(shard->roster, shard->roster_saved, put_roster_entry, shard);
    shard->roster_saved = roster_sequence(shard->roster);
    for (int slot = 0; slot < LEDGER_EPOCHS; slot++) {
        const struct epoch *epoch = ledger_epoch(shard->ledger, slot);
        if (epoch)
            put_epoch(shard, slot, epoch);
    }
    put_lists(shard);
    (void)ledger_dump_begin(shard->ledger, full, &shard->out);
    for (int b = 0; b < BOOK_COUNT; b++)
        (void)book_dump_begin(relay_book(&shard->relay, b), full, &shard->out);
    shard->dumping = true;
    shard->dumped_parts = 0;
}

static int pass_barrier(struct shard *shard)
{
    uint64_t epoch = shard->barrier;
    if (!epoch || !all_arrived(shard) || shard->held)
        return 0;
    if (shard_derive_some(shard)) /* nothing is read meanwhile */
        return 1;
    if (shard->setup.shards > 1 && !shard->barrier_again) {
        shard_derive(shard, UINT32_MAX);
        memset(shard->arrived, 0, sizeof shard->arrived);
        shard->barrier_again = true;
        send_barrier(shard);
        return 1;
    }
    shard_tick(shard, epoch);
    begin(shard);
    shard->barrier = 0;
    shard->barrier_again = false;
    shard->dumped = epoch;
    memset(shard->arrived, 0, sizeof shard->arrived);
    return 1;
}

/* The slice is broken: no part of it is of use. */
static void give_up(struct shard *shard)
{
    ledger_dump_give_up(shard->ledger);
    for (int b = 0; b < BOOK_COUNT; b++)
        book_dump_give_up(relay_book(&shard->relay, b));
}

int shard_state_step(struct shard *shard)
{
    int done = pass_barrier(shard);
    if (!shard->dumping || shard->out.main.blocks > BLOCKS_MOST)
        return done;
    bool broken = shard->out.broken;
    bool whole = broken || (shard->dumped_parts == 0 ? ledger_dump_step(shard->ledger, STEP_BYTES)
                                                     : book_dump_step(relay_book(&shard->relay, shard->dumped_parts - 1), STEP_BYTES));
    shard->dumped_parts += whole;
    if (broken)
        give_up(shard);
    if (broken || shard->dumped_parts > BOOK_COUNT) {
        slice_finish(&shard->out);
        shard->dumping = false;
    }
    return done + 1;
}

struct slice_out *shard_slice(struct shard *shard)
{
    return &shard->out;
}

void shard_checkpoint_lasts(struct shard *shard, uint64_t epoch)
{
    if (epoch == shard->dumped && shard->setup.source.commit && shard->offset_count)
        shard->setup.source.commit(shard->setup.source.state, shard->offsets, shard->offset_count);
}

void shard_commit(struct shard *shard)
{
    int64_t next[SOURCE_INPUT_MAX];
    int count = inputs(shard);
    for (int i = 0; i < count; i++)
        next[i] = position(shard, i).next;
    if (count)
        shard->setup.source.commit(shard->setup.source.state, next, count);
}

void shard_state_close(struct shard *shard)
{
    slice_drop(&shard->out);
    free(shard->offsets);
    free(shard->restored_taken);
}

/* ---- after a restart ---- */

void shard_restored(struct shard *shard, const struct shard_input *list, int count)
{
    shard->restored = list;
    shard->restored_count = count;
    shard->restored_taken = calloc((size_t)count + 1, sizeof *shard->restored_taken);
    ensure(shard->restored_taken != NULL, "the machine has memory left");
    if (shard->restored_without_now)
        shift_tell_now(&shard->relay.shifts);
    relay_loaded(shard);
}

static int restored_of(const struct shard *shard, int input)
{
    if (shard->restored_count == 0 || shard->setup.source.position == NULL)
        return -1;
    struct source_position at;
    shard->setup.source.position(shard->setup.source.state, input, &at);
    for (int i = 0; i < shard->restored_count; i++)
        if (shard->restored[i].partition == at.partition && strcmp(shard->restored[i].topic, shard->config->topic[at.topic].name) == 0)
            return i;
    return -1;
}

void shard_input_seen(struct shard *shard, int input)
{
    int i = restored_of(shard, input);
    if (i < 0)
        return;
    shard->restored_taken[i] = true;
    if (shard->restored[i].newest_ms > shard->input[input].newest_ms)
        shard->input[input].newest_ms = shard->restored[i].newest_ms;
}

bool shard_input_restored(const struct shard *shard, int input)
{
    int i = restored_of(shard, input);
    return i >= 0 && shard->restored[i].next >= 0;
}
