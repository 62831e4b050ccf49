/* The shard's step and tick: what waits is sent, what other shards and the source have is taken, and with each tick what was touched is derived
 * and goes to the folds. Read shard_step first. */
#include "esteem/shard.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/combine.h"
#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/mapping.h"
#include "shard_parts.h"

enum { POLL_MOST = 4096, PARCELS_MOST = 4096, TOUCHED_MOST = 65536, EVICT_MOST = 4096, EXPIRE_MOST = 1024, SEARCH_MOST = 32768, RETIRE_MOST = 64,
       STRINGS_A_KEY = 4, STRINGS_LEAST = 65536, STRINGS_KEYS_MOST = 100000000,
       COMMIT_TICKS = 50 /* offsets, for lag tools only, without checkpoints */ };

/* ---- life ---- */

static int open_mappings(struct shard *shard)
{
    for (int t = 0; t < shard->config->topic_count; t++) {
        const char *name = shard->config->topic[t].mapping;
        if (name && (shard->mapping[t] = mapping_new(shard->config->mappings, name)) == NULL)
            return err_note("topic %s", shard->config->topic[t].name);
    }
    return 0;
}

static void adopt(struct shard *shard, const struct config *config)
{
    struct epoch epoch;
    memset(&epoch, 0, sizeof epoch); /* epochs are compared by their bytes */
    epoch.scopes = combine_scopes(shard->combine, config);
    struct derive_settings *settings = &epoch.settings;
    settings->retention_ms = config->retention_interaction_ms;
    settings->sl_threshold_ms = config->sl_threshold_ms;
    settings->short_abandon_ms = config->short_abandon_ms;
    settings->now = !shard->setup.batch;
    settings->top_box = (int)config->top_box;
    settings->attribution = (enum attribution)config->attribution;
    settings->band_count = config->band_count;
    memcpy(settings->band_ms, config->band_ms, sizeof settings->band_ms);
    settings->rule_count = config->rule_count;
    for (int r = 0; r < config->rule_count; r++) {
        settings->rule[r].threshold_ms = config->rule[r].threshold_ms;
        for (int i = 0; i < DIMENSION_MAX; i++) {
            const char *value = config->rule[r].value[i];
            settings->rule[r].match.id[i] = value ? intern_put(&shard->strings, value, (uint32_t)strlen(value)) : 0;
        }
    }
    ledger_set_epoch(shard->ledger, &epoch);
    decoder_own(shard->decoder, (const char *const *)config->own_dimension, config->own_dimension_count, config->own_dimensions_gone);
    shard->other = intern_put(&shard->strings, KEY_OTHER, (uint32_t)strlen(KEY_OTHER));
    shard->config = config;
}

int shard_new(const struct config *config, const struct shard_setup *setup, struct shard **out)
{
    struct shard *shard = calloc(1, sizeof *shard);
    ensure(shard != NULL, "the machine has memory left");
    shard->config = config;
    shard->setup = *setup;
    shard->watermark_ms = shard->newest_ms = shard->all_watermark_ms = shard->next_watermark_ms = INT64_MIN;
    shard->oldest_ms = INT64_MAX;
    shard->forgotten_ms = INT64_MIN;
    for (int i = 0; i < SOURCE_INPUT_MAX; i++)
        shard->input[i].newest_ms = INT64_MIN;
    intern_init(&shard->strings);
    shard->route = setup->route || config->topic_count != 1 || !config->topic[0].keyed;
    shard->strings_most = (uint32_t)(config->limit_keys < STRINGS_KEYS_MOST ? config->limit_keys : STRINGS_KEYS_MOST) * STRINGS_A_KEY + STRINGS_LEAST;
    shard->roster = roster_new();
    struct ledger_bounds bounds = {.interactions = setup->batch ? UINT32_MAX / 4 : (uint64_t)config->limit_interactions / (uint64_t)setup->shards + 1,
                                   .retention_ms = config->retention_interaction_ms,
                                   .retention_alone_ms = config->retention_ids_ms};
    shard->ledger = ledger_new(&bounds, shard->roster);
    shard->combine = combine_new(setup->folds, setup->pane_ms, setup->pane_from_ms, &shard->strings, setup->registry);
    shard->decoder = decoder_new((size_t)config->limit_message, (const char *const *)config->own_dimension, config->own_dimension_count);
    shard->customer_seed = XXH3_64bits(config->customer_key, strlen(config->customer_key));
    shard->forget.tenant = UINT32_MAX;
    if (shard->decoder == NULL || open_mappings(shard) != 0) {
        shard_free(shard);
        return (int)err_code();
    }
    relay_init(shard);
    adopt(shard, config);
    *out = shard;
    return 0;
}

void shard_parcel_free(void *parcel)
{
    free(parcel);
}

void shard_free(struct shard *shard)
{
    if (shard == NULL)
        return;
    for (uint32_t i = 0; i < shard->outbox_count; i++) {
        if (shard->outbox[i].kind == OUTBOX_FOLD)
            batch_free(shard->outbox[i].item);
        else
            shard_parcel_free(shard->outbox[i].item);
    }
    free(shard->outbox);
    shard_parcel_free(shard->stuck);
    shard_parcel_free(shard->held);
    for (int t = 0; t < CONFIG_TOPIC_MAX; t++)
        if (shard->mapping[t])
            mapping_free(shard->mapping[t]);
    shard_state_close(shard);
    relay_close(&shard->relay);
    decoder_free(shard->decoder);
    combine_free(shard->combine);
    ledger_free(shard->ledger);
    roster_free(shard->roster);
    intern_close(&shard->strings);
    free(shard);
}

void shard_reload(struct shard *shard, const struct config *config, struct mapping **mapping)
{
    adopt(shard, config);
    for (int t = 0; mapping && t < CONFIG_TOPIC_MAX; t++) {
        if (shard->mapping[t])
            mapping_free(shard->mapping[t]);
        shard->mapping[t] = mapping[t];
    }
    free(mapping);
}

bool shard_may_reload(const struct shard *shard)
{
    return shard->stuck == NULL || shard->outputs_done == 0;
}

/* ---- the outbox ---- */

void shard_post(struct shard *shard, int kind, int target, void *item)
{
    if (shard->outbox_count == shard->outbox_room) {
        shard->outbox_room = shard->outbox_room ? shard->outbox_room * 2 : 64;
        shard->outbox = realloc(shard->outbox, shard->outbox_room * sizeof *shard->outbox);
        ensure(shard->outbox != NULL, "the machine has memory left");
    }
    shard->outbox[shard->outbox_count++] = (struct outgoing){kind, target, item};
    shard->parcels += kind == OUTBOX_SHARD;
    shard->outbox_batches += kind == OUTBOX_FOLD;
}

/* Tells the senders of parcels that their effect is in the folds' rings. */
static void settle_parcels(struct shard *shard)
{
    for (int s = 0; s < shard->setup.shards; s++) {
        if (shard->flushed[s] == 0)
            continue;
        /* release: the batches are in the rings; partner of shard_parcels_settled's acquire */
        atomic_fetch_add_explicit(&shard->setup.clocks->settled[s], shard->flushed[s], memory_order_release);
        shard->flushed[s] = 0;
    }
}

/* Offers what waits, in order; what finds no room stays, and so does all that follows it to the same target. */
static int send_outbox(struct shard *shard)
{
    uint64_t full_folds = 0, full_shards = 0;
    uint32_t kept = 0, count = shard->outbox_count;
    for (uint32_t i = 0; i < count; i++) {
        struct outgoing *out = &shard->outbox[i];
        uint64_t *full = out->kind == OUTBOX_FOLD ? &full_folds : &full_shards, bit = UINT64_C(1) << out->target;
        if (!(*full & bit) && (out->kind == OUTBOX_FOLD ? shard->setup.to_fold(shard->setup.context, out->target, out->item)
                                                        : shard->setup.to_shard(shard->setup.context, out->target, out->item))) {
            shard->outbox_batches -= out->kind == OUTBOX_FOLD;
            continue;
        }
        *full |= bit;
        shard->outbox[kept++] = *out;
    }
    shard->outbox_count = kept;
    if (full_folds == 0)
        settle_parcels(shard);
    return (int)(count - kept);
}

/* ---- the tick ---- */

/* Goes on erasing a customer; everything is derived. */
static void forget_step(struct shard *shard)
{
    bool more = false;
    if (!shard->forget.at_work || shard->barrier_again)
        return;
    if (shard->forget.pass == SHARD_FORGET_INTERACTIONS)
        shard->forget.count += ledger_forget_customer(shard->ledger, shard->forget.tenant, shard->forget.customer, &shard->forget.next, SEARCH_MOST,
                                                      &more, shard_emit, shard);
    else
        shard->forget.count += relay_forget(shard, shard->forget.tenant, shard->forget.customer);
    relay_send(shard);
    shard->forget.at_work = more;
    shard->forget.parcels = shard->parcels;
}

/* More than came since the last tick: a replay at full speed keeps no more interactions than live time would. */
static uint32_t evict_most(struct shard *shard)
{
    uint64_t came = shard->counts.applied - shard->applied_before;
    shard->applied_before = shard->counts.applied;
    return EVICT_MOST + (uint32_t)came;
}

void shard_tick(struct shard *shard, uint64_t barrier)
{
    shard->deriving = false;
    shard_derive(shard, UINT32_MAX);
    forget_step(shard);
    shard_read_time(shard); /* behind what was sent to other shards: the watermark waits for that */
    bool forgets = !shard->setup.batch && shard->all_watermark_ms != INT64_MIN;
    if (forgets) /* before the batches: what a forgotten record takes back is in the same checkpoint as its absence */
        shard->counts.forgotten += ledger_evict(shard->ledger, shard->all_watermark_ms, evict_most(shard), shard_emit, shard);
    shard_post_batches(shard, false, barrier);
    for (int s = 0; s < shard->setup.shards; s++) {
        shard->flushed[s] += shard->taken[s];
        shard->taken[s] = 0;
    }
    if (forgets)
        relay_expire(shard, EXPIRE_MOST);
    if (shard->setup.source.commit && !shard->config->state_folder[0] && shard->counts.ticks % COMMIT_TICKS == 0)
        shard_commit(shard);
    shard->counts.ticks++;
}

/* ---- the step ---- */

static bool take_message(void *context, const struct message *message)
{
    struct shard *shard = context;
    struct input *input = &shard->input[message->input];
    if (!input->begun && !shard->setup.batch) {
        input->begun = true;
        shard->partial |= message->offset > 0 && !shard_input_restored(shard, message->input);
    }
    if (!intake_message(shard, message)) {
        shard->stuck = parcel_new(message, message->at, message->length);
        return false;
    }
    return (shard->setup.batch || ledger_touched(shard->ledger) < TOUCHED_MOST) && shard->outbox_count < POLL_MOST;
}

/* Some at a time, so that not each new contact costs a flush; a thousandth of the bound at most. */
static uint32_t retire_count(const struct shard *shard)
{
    int64_t part = shard->config->limit_interactions / shard->setup.shards / 1000;
    return part < 1 ? 1 : part > RETIRE_MOST ? RETIRE_MOST : (uint32_t)part;
}

/* Interactions give way to what else needs memory until they hold a sixteenth of it. */
static bool ledger_is_large(const struct shard *shard)
{
    struct ledger_counts counts = ledger_counts(shard->ledger);
    return (int64_t)(counts.fact_bytes + counts.index_bytes) > shard->config->limit_memory / 16 / shard->setup.shards;
}

/* After the ledger was full: by config the oldest interaction goes. What is held up for other reasons just waits. */
static void make_room(struct shard *shard)
{
    if (!shard->full)
        return;
    shard->full = false;
    shard_derive(shard, UINT32_MAX);
    if (shard->config->at_interactions == AT_BOUND_RETIRE &&
        ledger_retire_oldest(shard->ledger, retire_count(shard), ledger_is_large(shard), shard_emit, shard))
        shard->inexact = true;
}

/* Round about; a shard whose barrier is here waits until all are. */
static struct parcel *next_parcel(struct shard *shard)
{
    for (int i = 0; i < shard->setup.shards; i++) {
        int from = shard->next_from = (shard->next_from + 1) % shard->setup.shards;
        struct parcel *parcel = from == shard->setup.index || shard->arrived[from] ? NULL : shard->setup.from_shard(shard->setup.context, from);
        if (parcel)
            return parcel;
    }
    return NULL;
}

static int take_parcels(struct shard *shard)
{
    int count = 0, most = shard->deriving ? DERIVE_MOST / 4 : PARCELS_MOST;
    if (shard->held)
        make_room(shard);
    for (; count < most && (shard->setup.batch || ledger_touched(shard->ledger) < 2 * TOUCHED_MOST); count++) {
        struct parcel *parcel = shard->held ? shard->held : next_parcel(shard);
        shard->held = NULL;
        if (parcel == NULL)
            break;
        if (parcel->kind == PARCEL_BARRIER)
            shard->arrived[parcel->from] = true;
        else if (!intake_parcel(shard, parcel)) {
            shard->held = parcel;
            break;
        }
        shard->taken[parcel->from]++;
        shard_parcel_free(parcel);
    }
    return count;
}

static bool retry(struct shard *shard)
{
    struct message message = parcel_message(shard->stuck);
    make_room(shard);
    if (!intake_message(shard, &message))
        return false;
    shard_parcel_free(shard->stuck);
    shard->stuck = NULL;
    return true;
}

/* Folds that are behind hold the shard up by what is on its way to them, not only by rings that are full. */
static bool folds_behind(const struct shard *shard)
{
    int64_t limit = shard->config->limit_memory / 32 / shard->setup.shards;
    limit = limit == 0 || limit > SHARD_IN_FLIGHT ? SHARD_IN_FLIGHT : limit;
    return !shard->setup.batch && atomic_load_explicit(&shard->setup.clocks->in_flight[shard->setup.index], memory_order_relaxed) > limit;
}

static int read_source(struct shard *shard, int wait_ms)
{
    if (shard->setup.source.poll == NULL)
        return 0;
    bool paused = atomic_load_explicit(&shard->setup.clocks->paused, memory_order_relaxed);
    if (paused != shard->paused && shard->setup.source.pause)
        shard->setup.source.pause(shard->setup.source.state, paused);
    shard->paused = paused;
    if (shard->outbox_count || folds_behind(shard)) {
        shard->counts.waits++;
        return 0;
    }
    if (shard->barrier || (shard->stuck && !retry(shard)) || shard->stopped || (paused && shard->setup.source.pause == NULL))
        return 0;
    shard_align(shard);
    int most = shard->deriving ? DERIVE_MOST / 2 : POLL_MOST;
    int count = shard->setup.source.poll(shard->setup.source.state, most, shard->deriving ? 0 : wait_ms, take_message, shard);
    if (count >= 0)
        return count;
    log_error("source.failed", "%s", err_text());
    err_clear();
    return 0;
}

/* After a start, a restart or a reload: the file's changes are put into the roster, those that it has no longer are taken back. Each
 * shard has the same file, so nobody has to tell the others. */
static void take_roster_file(struct shard *shard)
{
    static const char id[] = "roster.file";
    const struct config *config = shard->config;
    struct intern *strings = &shard->strings;
    if (shard->roster_of == config->serial)
        return;
    roster_file_begin(shard->roster);
    for (uint32_t i = 0; i < config->roster_count; i++) {
        const struct config_roster *one = &config->roster[i];
        uint32_t tenant = intern_put(strings, one->tenant, (uint32_t)strlen(one->tenant));
        uint32_t agent = intern_put(strings, one->agent, (uint32_t)strlen(one->agent));
        struct roster_entry entry = {.time_ms = one->from_ms, .id_hash = XXH3_64bits(id, sizeof id), .enrolled = true,
                                     .ineligible = !one->eligible, .file = true};
        entry.team = *one->team ? intern_put(strings, one->team, (uint32_t)strlen(one->team)) : 0;
        entry.site = *one->site ? intern_put(strings, one->site, (uint32_t)strlen(one->site)) : 0;
        roster_keep(shard->roster, tenant, agent, &entry);
        if (one->until_ms == INT64_MAX)
            continue;
        struct roster_entry end = {.time_ms = one->until_ms, .id_hash = entry.id_hash, .file = true};
        roster_keep(shard->roster, tenant, agent, &end);
    }
    roster_file_end(shard->roster);
    shard->roster_of = config->serial;
}

/* A part of what a tick has to derive, so that no step is long: fewer are read meanwhile than are derived, so it ends. True: the tick is a step like
 * any other now. */
static bool derive_before_tick(struct shard *shard)
{
    if (!shard->deriving && !shard->setup.batch && !shard->barrier_again) /* a batch derives once, at its end; behind its second barrier a shard tells nobody anything */
        (void)ledger_follow_roster(shard->ledger, SEARCH_MOST);
    shard->deriving = shard_derive_some(shard);
    return !shard->deriving;
}

/* All shards tick at the same instants, so that a fold has the differences of all before it tells a row; after a late one not at once again. */
static int64_t next_tick(const struct shard *shard, int64_t now_ms)
{
    int64_t tick_ms = shard->config->publish_tick_ms;
    return ((now_ms + tick_ms / 2) / tick_ms + 1) * tick_ms;
}

int shard_step(struct shard *shard, int wait_ms, bool flush)
{
    int done = send_outbox(shard);
    take_roster_file(shard);
    shard->memory = (enum memory_state)atomic_load_explicit(&shard->setup.clocks->memory, memory_order_relaxed);
    bool pressed = shard->memory == MEMORY_NOTHING_NEW;
    ledger_press(shard->ledger, pressed);
    relay_press(shard, pressed);
    ledger_relax(shard->ledger, shard->barrier != 0);
    done += take_parcels(shard);
    ledger_relax(shard->ledger, false);
    done += shard_state_step(shard);
    done += read_source(shard, done || flush ? 0 : wait_ms);
    int64_t now_ms = clock_monotonic_ms(&shard->setup.clock);
    bool full = ledger_touched(shard->ledger) >= TOUCHED_MOST || combine_cells(shard->combine) >= CELLS_MOST;
    bool due = !shard->setup.batch && now_ms >= shard->tick_due_ms;
    bool room = shard->outbox_batches < (uint32_t)shard->setup.folds && !folds_behind(shard); /* else keep adding up: newer differences join the older */
    if (!flush && (!(full || due) || !room || (full && shard->setup.batch)))
        return done;
    if (!derive_before_tick(shard) && !flush)
        return done + 1;
    shard_tick(shard, 0);
    done += send_outbox(shard);
    int64_t sent_ms = clock_monotonic_ms(&shard->setup.clock);
    if (due && shard->tick_due_ms)
        timing_note(&shard->counts.tick, (sent_ms - shard->tick_due_ms) * 1000, sent_ms);
    shard->tick_due_ms = next_tick(shard, now_ms);
    return done;
}

uint64_t shard_customer_hash(const struct config *config, const char *customer)
{
    return XXH3_64bits_withSeed(customer, strlen(customer), XXH3_64bits(config->customer_key, strlen(config->customer_key)));
}

void shard_forget(struct shard *shard, int pass, const char *tenant, uint64_t customer)
{
    uint32_t id = intern_find(&shard->strings, tenant, (uint32_t)strlen(tenant));
    shard->forget.at_work = id != 0; /* else it has nothing of that tenant */
    shard->forget.pass = pass;
    shard->forget.tenant = id;
    shard->forget.customer = customer;
    shard->forget.next = 0;
    shard->forget.count = 0;
    shard->forget.parcels = shard->parcels;
}

bool shard_forgotten(const struct shard *shard, uint64_t *count)
{
    *count = shard->forget.count;
    return !shard->forget.at_work && shard_parcels_settled(shard, shard->forget.parcels);
}

void shard_stop_reading(struct shard *shard)
{
    shard->stopped = true;
}

bool shard_empty(const struct shard *shard)
{
    bool roster = shard->setup.index == 0 && shard->roster_told != roster_sequence(shard->roster);
    return shard->outbox_count == 0 && !shard->barrier && (shard->setup.batch || !ledger_follows_roster(shard->ledger)) &&
           ledger_touched(shard->ledger) == 0 && combine_cells(shard->combine) == 0 && relay_empty(&shard->relay) && shard->held == NULL && !shard->stuck && !roster;
}

bool shard_say_goodbye(struct shard *shard)
{
    if (!shard->goodbye)
        shard_post_batches(shard, true, 0);
    shard->goodbye = true;
    send_outbox(shard);
    return shard->outbox_count == 0;
}

struct shard_counts shard_counts(const struct shard *shard)
{
    struct shard_counts counts = shard->counts;
    counts.ledger = ledger_counts(shard->ledger);
    counts.names_bytes = intern_bytes(&shard->strings);
    for (int b = 0; b < BOOK_COUNT; b++)
        counts.books_bytes += book_counts(relay_book(&shard->relay, b)).bytes;
    return counts;
}
