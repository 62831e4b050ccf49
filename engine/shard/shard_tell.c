/* What a shard tells the folds: what the ledger and the books yield is added up (combine.h), and goes as one batch a fold, with the roster's changes and
 * the shard's word on its time. Notes go to the shard that owns them (relay.h). */
#include <string.h>

#include "esteem/combine.h"
#include "shard_parts.h"

/* Every shard has the roster whole; the first one tells the folds. */
struct telling {
    struct shard *shard;
    struct batch **batch;
    int batches;
};

static void tell_change(void *context, uint32_t tenant, uint32_t agent, const struct roster_entry *entry, bool gone)
{
    struct telling *telling = context;
    const struct intern *strings = &telling->shard->strings;
    struct batch_roster change = {.time_ms = entry->time_ms, .id_hash = entry->id_hash, .enrolled = entry->enrolled,
                                  .ineligible = entry->ineligible, .file = entry->file, .gone = gone, .tenant = intern_text(strings, tenant), .agent = intern_text(strings, agent),
                                  .team = entry->team ? intern_text(strings, entry->team) : "", .site = entry->site ? intern_text(strings, entry->site) : ""};
    for (int i = 0; i < telling->batches; i++)
        batch_put_roster(telling->batch[i], &change);
}

static void tell_roster(struct shard *shard, struct batch **batch, int batches)
{
    struct telling telling = {shard, batch, batches};
    if (shard->setup.index == 0 && shard->roster_told != roster_sequence(shard->roster))
        roster_since(shard->roster, shard->roster_told, tell_change, &telling);
    shard->roster_told = roster_sequence(shard->roster);
}

void shard_roster(struct shard *shard, struct batch *batch)
{
    shard->roster_told = 0;
    tell_roster(shard, &batch, 1);
}

/* Of what has left the shorter windows in every fold, seconds matter no longer: contacts that lasted for minutes have panes in common again. */
static void coarsen(struct shard *shard)
{
    const struct shard_clocks *clocks = shard->setup.clocks;
    int64_t least_ms = INT64_MAX;
    for (int f = 0; f < shard->setup.folds; f++) {
        /* acquire: a fold that stands there has said first under which windows */
        int64_t stands_ms = atomic_load_explicit(&clocks->stands_ms[f], memory_order_acquire);
        if (atomic_load_explicit(&clocks->stands_serial[f], memory_order_relaxed) != shard->config->serial)
            stands_ms = INT64_MIN;
        least_ms = stands_ms < least_ms ? stands_ms : least_ms;
    }
    struct grain grain = grain_at(shard->config->rolling, shard->config->rolling_count, least_ms);
    combine_coarsen(shard->combine, &grain);
}

void shard_post_batches(struct shard *shard, bool drained, uint64_t barrier)
{
    struct batch *batch[SHARD_MAX];
    for (int f = 0; f < shard->setup.folds; f++)
        batch[f] = batch_new(shard->setup.index);
    tell_roster(shard, batch, shard->setup.folds);
    combine_flush(shard->combine, batch);
    coarsen(shard);
    bool idle = atomic_load_explicit(&shard->setup.clocks->idle[shard->setup.index], memory_order_relaxed);
    for (int f = 0; f < shard->setup.folds; f++) {
        batch[f]->watermark_ms = shard->watermark_ms;
        batch[f]->newest_ms = shard->newest_ms;
        batch[f]->idle = idle;
        batch[f]->drained = drained;
        batch[f]->barrier = barrier;
        batch[f]->serial = shard->config->serial;
        batch[f]->inexact = shard->inexact;
        batch[f]->caught_up = shard->caught_up;
        batch[f]->known_ms = shard->partial ? shard->oldest_ms : INT64_MIN;
        atomic_fetch_add_explicit(&shard->setup.clocks->in_flight[shard->setup.index], batch_bytes(batch[f]), memory_order_relaxed);
        shard_post(shard, OUTBOX_FOLD, f, batch[f]);
        shard->counts.batches++;
    }
}

void shard_add(struct shard *shard, uint32_t tenant, uint32_t scopes, const struct dims *dims, int64_t anchor_ms, bool spans, const uint8_t *runs,
               uint32_t length)
{
    combine_add(shard->combine, tenant, scopes, dims, anchor_ms, spans, runs, length);
    if (combine_cells(shard->combine) >= 2 * CELLS_MOST)
        shard_post_batches(shard, false, 0);
}

void shard_add_now(struct shard *shard, uint32_t tenant, uint32_t scopes, const struct dims *dims, int64_t anchor_ms, const uint8_t *runs,
                   uint32_t length)
{
    if (shard->setup.batch) /* whole files have no present */
        return;
    combine_add_now(shard->combine, tenant, scopes, dims, anchor_ms, runs, length);
    if (combine_cells(shard->combine) >= 2 * CELLS_MOST)
        shard_post_batches(shard, false, 0);
}

void shard_emit(void *context, uint32_t tenant, uint32_t scopes, const struct block *block, int sign, const uint8_t *bytes, uint32_t length)
{
    struct shard *shard = context;
    if (block_is_note(block->kind)) {
        struct note note;
        memcpy(&note, bytes, sizeof note);
        relay_note(shard, tenant, scopes, block, sign, &note);
        return;
    }
    if (block->kind == BLOCK_NOW) {
        shard_add_now(shard, tenant, scopes, &block->dims, block->anchor_ms, bytes, length);
        return;
    }
    shard_add(shard, tenant, scopes, &block->dims, block->anchor_ms, false, bytes, length);
}

void shard_derive(struct shard *shard, uint32_t most)
{
    shard->counts.derived += ledger_flush(shard->ledger, most, shard_emit, shard);
    relay_send(shard);
}

bool shard_derive_some(struct shard *shard)
{
    bool many = ledger_touched(shard->ledger) > DERIVE_MOST;
    if (many)
        shard_derive(shard, DERIVE_MOST);
    return many;
}
