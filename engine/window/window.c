/* A fold's tables:
 *
 *   keys       one entry a scope key: its strings, D[w] of the rolling windows (pane.h), which of its rows wait for what outlet
 *   calendars  (key, window, start) -> integers, revision; cells of one window and end hang in a bucket, so that the clock and
 *              the watermark visit only the windows whose state they change: future -> running -> ended -> final -> gone
 *   queues     an outlet and window: what has changed, oldest first
 *
 * batch ──> fold_apply ──> pane ladder, D[w], calendar cells ──marks──> queues ──fold_step, by pace──> rows ──> outlets */
#include "esteem/window.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/calendar.h"
#include "esteem/err.h"
#include "esteem/pane.h"

#define NONE UINT32_MAX
enum { QUEUE_URGENT = CONFIG_ROLLING_MAX + CALENDAR_COUNT, QUEUES, PACE_LEAST_MS = 1000, PACE_MOST_MS = 60000, PACE_SHARE = 300,
       TICK_WINDOW_MS = 300000 /* windows up to this are published each tick */ };

struct key {
    uint64_t hash;
    char *text; /* one block: tenant, scope text, values */
    const char *tenant, *scope;
    const char *value[DIMENSION_MAX];
    uint32_t mask;
    uint32_t last[CALENDAR_COUNT]; /* the newest cell that has ended */
    uint8_t count, dimension[DIMENSION_MAX];
    uint8_t zone;
    uint8_t waits[CONFIG_ROLLING_MAX];     /* bit: outlet whose queue holds this window */
    uint8_t published[CONFIG_ROLLING_MAX]; /* bit: outlet that has had a row that was not empty */
    struct tally difference[];             /* D[w]; rolling_count of them */
};

enum phase { PHASE_FUTURE, PHASE_RUNNING, PHASE_ENDED, PHASE_FINAL };

struct cell {
    int64_t start_ms, end_ms;
    uint64_t final_hash; /* of the integers in the last final row */
    uint32_t key, next;  /* next in its bucket, or in the free list */
    uint32_t revision;
    struct tally tally;
    uint8_t window, waits, urgent, published; /* bits: outlets */
    bool final, changed, used;
};

struct bucket {
    int64_t start_ms, end_ms;
    uint32_t first;
    enum phase phase;
};

struct queue {
    uint32_t *item; /* a ring: key for a rolling window, cell for a calendar one */
    uint32_t first, count, room;
    int64_t due_ms; /* by the clock */
};

struct shard_clock {
    int64_t watermark_ms, newest_ms;
    bool idle, heard;
    uint32_t *key; /* the shard's key number -> ours */
    uint32_t keys;
};

struct zone {
    const char *name;
    struct calendar *calendar;
};

enum { ZONES_MAX = 250 };

struct group {
    uint32_t key, windows, cells;
    int64_t at_ms, start_ms, end_ms;
    uint8_t *bytes;
    uint32_t length, room;
};

struct fold {
    const struct config *config;
    struct fold_setup setup;
    int rolling_count;
    struct pane_ladder *ladder;
    struct shard_clock *shard;
    struct zone zone[ZONES_MAX];
    int zones;
    struct key **key;
    uint32_t keys, key_room, *key_slot, key_slots;
    struct cell *cell;
    uint32_t cells_made, cell_room, cell_free, *cell_slot, cell_slots;
    uint64_t cells;
    struct bucket *bucket[CALENDAR_COUNT];
    int buckets[CALENDAR_COUNT], bucket_room[CALENDAR_COUNT];
    struct group rolling, calendar; /* of the batch at hand */
    struct queue queue[OUTLET_MAX][QUEUES];
    uint64_t generation[OUTLET_MAX];
    int64_t budget_ms; /* when the row budgets were last filled */
    int64_t budget[OUTLET_MAX];
    int64_t now_ms;       /* where rolling windows stand */
    int64_t watermark_ms; /* for finality */
    bool inexact, finished;
    struct slab slab;
    struct tally_dense dense;
    struct fold_counts counts;
};

/* ---- life ---- */

static void *must(void *block)
{
    ensure(block != NULL, "the machine has memory left");
    return block;
}

static uint32_t *slots_new(uint32_t count)
{
    uint32_t *slots = must(malloc(count * sizeof *slots));
    memset(slots, 0xff, count * sizeof *slots);
    return slots;
}

int fold_new(const struct config *config, const struct fold_setup *setup, struct fold **out)
{
    struct fold *fold = must(calloc(1, sizeof *fold));
    fold->config = config;
    fold->setup = *setup;
    ensure(setup->shards > 0 && setup->folds > 0, "a fold knows how many there are");
    fold->rolling_count = setup->batch && setup->at_ms == INT64_MIN ? 0 : config->rolling_count;
    fold->ladder = pane_ladder_new(config->rolling, fold->rolling_count, !setup->batch);
    if (setup->batch && fold->rolling_count)
        pane_ladder_fix(fold->ladder, setup->at_ms);
    fold->shard = must(calloc((size_t)setup->shards, sizeof *fold->shard));
    for (int i = 0; i < setup->shards; i++)
        fold->shard[i].watermark_ms = fold->shard[i].newest_ms = INT64_MIN;
    fold->now_ms = fold->watermark_ms = INT64_MIN;
    fold->key_slots = fold->cell_slots = 1024;
    fold->key_slot = slots_new(fold->key_slots);
    fold->cell_slot = slots_new(fold->cell_slots);
    fold->cell_free = NONE;
    slab_init(&fold->slab);
    *out = fold;
    return 0;
}

void fold_free(struct fold *fold)
{
    if (fold == NULL)
        return;
    for (uint32_t k = 0; k < fold->keys; k++) {
        for (int w = 0; w < fold->rolling_count; w++)
            tally_free(&fold->key[k]->difference[w], &fold->slab);
        free(fold->key[k]->text);
        free(fold->key[k]);
    }
    for (uint32_t c = 0; c < fold->cells_made; c++)
        tally_free(&fold->cell[c].tally, &fold->slab);
    for (int i = 0; i < fold->setup.shards; i++)
        free(fold->shard[i].key);
    for (int z = 0; z < fold->zones; z++)
        calendar_free(fold->zone[z].calendar);
    for (int c = 0; c < CALENDAR_COUNT; c++)
        free(fold->bucket[c]);
    for (int o = 0; o < OUTLET_MAX; o++)
        for (int q = 0; q < QUEUES; q++)
            free(fold->queue[o][q].item);
    free(fold->rolling.bytes);
    free(fold->calendar.bytes);
    free(fold->shard);
    free(fold->key);
    free(fold->key_slot);
    free(fold->cell);
    free(fold->cell_slot);
    pane_ladder_free(fold->ladder);
    slab_close(&fold->slab);
    free(fold);
}

static void everything_again(struct fold *fold, int outlet);

void fold_reload(struct fold *fold, const struct config *config)
{
    fold->config = config;
    for (int o = 0; o < fold->setup.outlets; o++) { /* the same integers may mean other metrics now */
        everything_again(fold, o);
        for (int q = 0; q < QUEUES; q++)
            fold->queue[o][q].due_ms = 0;
    }
}

/* ---- keys ---- */

/* A tenant's zone; one that cannot be read has been refused with the configuration, so UTC stands in for a vanished file. */
static uint8_t zone_of(struct fold *fold, const char *tenant)
{
    const char *name = config_timezone(fold->config, tenant);
    int z = 0;
    while (z < fold->zones && strcmp(fold->zone[z].name, name) != 0)
        z++;
    if (z < fold->zones)
        return (uint8_t)z;
    ensure(z < ZONES_MAX, "fewer than 250 zones are in use");
    if (calendar_new(name, &fold->zone[z].calendar) != 0)
        ensure(calendar_new("UTC", &fold->zone[z].calendar) == 0, "the machine has tzdata");
    fold->zone[z].name = name;
    fold->zones++;
    return (uint8_t)z;
}

static uint32_t key_slot(const struct fold *fold, uint64_t hash, const struct scope_key *key)
{
    uint32_t mask = fold->key_slots - 1, i = (uint32_t)hash & mask;
    for (uint32_t k; (k = fold->key_slot[i]) != NONE; i = (i + 1) & mask) {
        const struct key *other = fold->key[k];
        bool same = other->hash == hash && other->mask == key->scope && strcmp(other->tenant, key->tenant) == 0;
        for (int v = 0; same && v < key->count; v++)
            same = strcmp(other->value[v], key->value[v]) == 0;
        if (same)
            break;
    }
    return i;
}

static const char *put_text(char **at, const char *text)
{
    const char *start = *at;
    size_t length = strlen(text) + 1;
    memcpy(*at, text, length);
    *at += length;
    return start;
}

static struct key *key_new(struct fold *fold, const struct scope_key *text)
{
    char scope[ROW_SCOPE_MAX];
    size_t size = strlen(text->tenant) + 1;
    size += row_scope_text(fold->config, text->dimension, text->value, text->count, scope, sizeof scope) + 1;
    for (int v = 0; v < text->count; v++)
        size += strlen(text->value[v]) + 1;
    struct key *key = must(calloc(1, sizeof *key + (size_t)fold->rolling_count * sizeof key->difference[0]));
    char *at = key->text = must(malloc(size));
    key->tenant = put_text(&at, text->tenant);
    key->scope = put_text(&at, scope);
    for (int v = 0; v < text->count; v++)
        key->value[v] = put_text(&at, text->value[v]);
    key->mask = text->scope;
    key->count = text->count;
    memcpy(key->dimension, text->dimension, sizeof key->dimension);
    key->zone = zone_of(fold, text->tenant);
    memset(key->last, 0xff, sizeof key->last);
    return key;
}

static void key_slots_grow(struct fold *fold)
{
    free(fold->key_slot);
    fold->key_slots *= 2;
    fold->key_slot = slots_new(fold->key_slots);
    for (uint32_t k = 0; k < fold->keys; k++) {
        uint32_t i = (uint32_t)fold->key[k]->hash & (fold->key_slots - 1);
        while (fold->key_slot[i] != NONE)
            i = (i + 1) & (fold->key_slots - 1);
        fold->key_slot[i] = k;
    }
}

static uint32_t key_of(struct fold *fold, const struct scope_key *text)
{
    uint64_t hash = key_hash(text);
    uint32_t slot = key_slot(fold, hash, text);
    if (fold->key_slot[slot] != NONE)
        return fold->key_slot[slot];
    if (fold->keys == fold->key_room) {
        fold->key_room = fold->key_room ? fold->key_room * 2 : 256;
        fold->key = must(realloc(fold->key, fold->key_room * sizeof(struct key *)));
    }
    fold->key[fold->keys] = key_new(fold, text);
    fold->key[fold->keys]->hash = hash;
    fold->key_slot[slot] = fold->keys++;
    if (fold->keys * 2 >= fold->key_slots)
        key_slots_grow(fold);
    return fold->keys - 1;
}

/* ---- queues ---- */

static void queue_put(struct queue *queue, uint32_t item)
{
    if (queue->count == queue->room) {
        uint32_t room = queue->room ? queue->room * 2 : 64;
        uint32_t *ring = must(malloc(room * sizeof *ring));
        for (uint32_t i = 0; i < queue->count; i++)
            ring[i] = queue->item[(queue->first + i) & (queue->room - 1)];
        free(queue->item);
        queue->item = ring;
        queue->room = room;
        queue->first = 0;
    }
    queue->item[(queue->first + queue->count++) & (queue->room - 1)] = item;
}

static uint32_t queue_take(struct queue *queue)
{
    uint32_t item = queue->item[queue->first];
    queue->first = (queue->first + 1) & (queue->room - 1);
    queue->count--;
    return item;
}

static void rolling_changed(struct fold *fold, uint32_t k, int window)
{
    struct key *key = fold->key[k];
    for (int o = 0; o < fold->setup.outlets; o++)
        if (!(key->waits[window] >> o & 1)) {
            key->waits[window] |= (uint8_t)(1u << o);
            queue_put(&fold->queue[o][window], k);
        }
}

static void calendar_changed(struct fold *fold, uint32_t c, bool urgent)
{
    struct cell *cell = &fold->cell[c];
    for (int o = 0; o < fold->setup.outlets; o++) {
        uint8_t *waits = urgent ? &cell->urgent : &cell->waits;
        if (*waits >> o & 1)
            continue;
        *waits |= (uint8_t)(1u << o);
        queue_put(&fold->queue[o][urgent ? QUEUE_URGENT : CONFIG_ROLLING_MAX + cell->window], c);
    }
}

/* ---- calendar cells ---- */

static uint32_t cell_hash(uint32_t key, int window, int64_t start_ms)
{
    uint64_t x = (uint64_t)start_ms * UINT64_C(0x9e3779b97f4a7c15) ^ ((uint64_t)key << 4 | (unsigned)window) * UINT64_C(0xc2b2ae3d27d4eb4f);
    return (uint32_t)(x >> 32) ^ (uint32_t)x;
}

static uint32_t cell_slot(const struct fold *fold, uint32_t key, int window, int64_t start_ms)
{
    uint32_t mask = fold->cell_slots - 1, i = cell_hash(key, window, start_ms) & mask;
    for (uint32_t c; (c = fold->cell_slot[i]) != NONE; i = (i + 1) & mask)
        if (fold->cell[c].key == key && fold->cell[c].window == window && fold->cell[c].start_ms == start_ms)
            break;
    return i;
}

static void cell_slots_grow(struct fold *fold)
{
    free(fold->cell_slot);
    fold->cell_slots *= 2;
    fold->cell_slot = slots_new(fold->cell_slots);
    for (uint32_t c = 0; c < fold->cells_made; c++)
        if (fold->cell[c].used)
            fold->cell_slot[cell_slot(fold, fold->cell[c].key, fold->cell[c].window, fold->cell[c].start_ms)] = c;
}

static void cell_slot_remove(struct fold *fold, const struct cell *cell)
{
    uint32_t mask = fold->cell_slots - 1, i = cell_slot(fold, cell->key, cell->window, cell->start_ms);
    fold->cell_slot[i] = NONE;
    for (uint32_t j = (i + 1) & mask; fold->cell_slot[j] != NONE; j = (j + 1) & mask) {
        const struct cell *other = &fold->cell[fold->cell_slot[j]];
        uint32_t home = cell_hash(other->key, other->window, other->start_ms) & mask;
        if (((j - home) & mask) < ((j - i) & mask))
            continue;
        fold->cell_slot[i] = fold->cell_slot[j];
        fold->cell_slot[j] = NONE;
        i = j;
    }
}

static struct bucket *bucket_of(struct fold *fold, int window, int64_t start_ms, int64_t end_ms)
{
    int at = fold->buckets[window];
    for (int i = at; i-- > 0;)
        if (fold->bucket[window][i].start_ms == start_ms && fold->bucket[window][i].end_ms == end_ms)
            return &fold->bucket[window][i];
    if (at == fold->bucket_room[window]) {
        fold->bucket_room[window] = at ? at * 2 : 64;
        fold->bucket[window] = must(realloc(fold->bucket[window], (size_t)fold->bucket_room[window] * sizeof(struct bucket)));
    }
    fold->bucket[window][at] = (struct bucket){.start_ms = start_ms, .end_ms = end_ms, .first = NONE, .phase = PHASE_FUTURE};
    fold->buckets[window]++;
    return &fold->bucket[window][at];
}

static void cell_phase(struct fold *fold, uint32_t c, enum phase phase);

static uint32_t cell_new(struct fold *fold, uint32_t key, int window, int64_t start_ms, int64_t end_ms)
{
    uint32_t c = fold->cell_free;
    if (c != NONE) {
        fold->cell_free = fold->cell[c].next;
    } else {
        if (fold->cells_made == fold->cell_room) {
            fold->cell_room = fold->cell_room ? fold->cell_room + fold->cell_room / 2 : 1024;
            fold->cell = must(realloc(fold->cell, fold->cell_room * sizeof *fold->cell));
        }
        c = fold->cells_made++;
    }
    fold->cell[c] = (struct cell){.start_ms = start_ms, .end_ms = end_ms, .key = key, .next = NONE, .window = (uint8_t)window, .used = true};
    if (++fold->cells * 2 >= fold->cell_slots)
        cell_slots_grow(fold);
    else
        fold->cell_slot[cell_slot(fold, key, window, start_ms)] = c;
    if (fold->setup.batch)
        return c;
    struct bucket *bucket = bucket_of(fold, window, start_ms, end_ms);
    fold->cell[c].next = bucket->first;
    bucket->first = c;
    for (int phase = PHASE_RUNNING; phase <= (int)bucket->phase; phase++)
        cell_phase(fold, c, (enum phase)phase);
    return c;
}

static void cell_drop(struct fold *fold, uint32_t c)
{
    struct cell *cell = &fold->cell[c];
    struct key *key = fold->key[cell->key];
    if (key->last[cell->window] == c)
        key->last[cell->window] = NONE;
    cell_slot_remove(fold, cell);
    tally_free(&cell->tally, &fold->slab);
    fold->cells--;
    cell->used = false;
    cell->next = fold->cell_free;
    fold->cell_free = c;
}

/* ---- taking batches ---- */

/* Cells of a batch that go to the same windows, gathered: their runs are added up once, and the sum goes to each window. Cells come
 * by key, then pane, so those of one hour, or of one set of rolling windows, follow one another. */
static void group_put(struct group *group, const uint8_t *runs, uint32_t length)
{
    if (group->length + length > group->room) {
        group->room = (group->length + length) * 2;
        group->bytes = must(realloc(group->bytes, group->room));
    }
    memcpy(group->bytes + group->length, runs, length);
    group->length += length;
}

/* Adds the group up into one run; empty again afterwards. */
static struct tally group_take(struct fold *fold, struct group *group)
{
    struct tally sum = {0};
    tally_dense_add(&fold->dense, group->bytes, group->length, 1);
    tally_pack(&sum, &fold->slab, &fold->dense);
    group->length = 0;
    return sum;
}

static void flush_rolling(struct fold *fold)
{
    struct group *group = &fold->rolling;
    if (group->length == 0)
        return;
    uint32_t k = group->key;
    struct tally sum = group_take(fold, group);
    int before = 0;
    for (int w = 0; w < fold->rolling_count; w++) {
        int now = group->windows >> w & 1;
        if (now != before)
            tally_merge(&fold->key[k]->difference[w], &fold->slab, &fold->dense, &sum, now - before);
        if (now)
            rolling_changed(fold, k, w);
        before = now;
    }
    tally_free(&sum, &fold->slab);
}

static void add_rolling(struct fold *fold, uint32_t k, int64_t at_ms, const uint8_t *runs, uint32_t length)
{
    uint32_t in = pane_put(fold->ladder, k, at_ms, runs, length);
    struct group *group = &fold->rolling;
    if (group->length && (group->key != k || group->windows != in))
        flush_rolling(fold);
    group->key = k;
    group->windows = in;
    if (in)
        group_put(group, runs, length);
}

/* The cell of a window that holds an instant; NONE when it is beyond correction. */
static uint32_t calendar_cell(struct fold *fold, uint32_t k, int window, int64_t start_ms, int64_t end_ms)
{
    uint32_t c = fold->cell_slot[cell_slot(fold, k, window, start_ms)];
    if (c != NONE)
        return c;
    if (!fold->setup.batch && fold->watermark_ms != INT64_MIN &&
        end_ms + fold->config->retention_correction_ms < fold->watermark_ms)
        return NONE;
    return cell_new(fold, k, window, start_ms, end_ms);
}

static void flush_calendar(struct fold *fold)
{
    struct group *group = &fold->calendar;
    if (group->length == 0)
        return;
    struct calendar *calendar = fold->zone[fold->key[group->key]->zone].calendar;
    uint32_t cells = group->cells;
    struct tally sum = group_take(fold, group);
    for (int window = 0; window < CALENDAR_COUNT; window++) {
        int64_t start_ms, end_ms;
        if (!(fold->config->calendar >> window & 1))
            continue;
        calendar_bounds(calendar, (enum calendar_window)window, group->at_ms, &start_ms, &end_ms);
        uint32_t c = calendar_cell(fold, group->key, window, start_ms, end_ms);
        if (c == NONE) {
            fold->counts.beyond_correction += cells;
            continue;
        }
        tally_add(&fold->cell[c].tally, &fold->slab, &fold->dense, sum.bytes, sum.length);
        fold->cell[c].changed = true;
        calendar_changed(fold, c, false);
    }
    tally_free(&sum, &fold->slab);
}

/* Where one window of each kind holds all: hours nest in days nearly always, but a zone may do anything. */
static void bound_group(struct fold *fold, struct group *group, int64_t at_ms)
{
    struct calendar *calendar = fold->zone[fold->key[group->key]->zone].calendar;
    group->start_ms = INT64_MIN;
    group->end_ms = INT64_MAX;
    for (uint32_t left = fold->config->calendar; left; left &= left - 1) {
        int64_t start_ms, end_ms;
        calendar_bounds(calendar, (enum calendar_window)__builtin_ctz(left), at_ms, &start_ms, &end_ms);
        group->start_ms = start_ms > group->start_ms ? start_ms : group->start_ms;
        group->end_ms = end_ms < group->end_ms ? end_ms : group->end_ms;
    }
}

static void add_calendar(struct fold *fold, uint32_t k, int64_t at_ms, const uint8_t *runs, uint32_t length)
{
    struct group *group = &fold->calendar;
    if (group->length && (group->key != k || at_ms < group->start_ms || at_ms >= group->end_ms))
        flush_calendar(fold);
    if (group->length == 0) {
        group->key = k;
        group->at_ms = at_ms;
        group->cells = 0;
        bound_group(fold, group, at_ms);
    }
    group_put(group, runs, length);
    group->cells++;
}

static void apply_cell(struct fold *fold, const struct shard_clock *shard, const struct batch_cell *cell)
{
    ensure(cell->number < shard->keys && shard->key[cell->number] != NONE, "a shard names a key before its first cell");
    uint32_t k = shard->key[cell->number];
    int64_t at_ms = cell->pane * fold->setup.pane_ms + fold->setup.pane_from_ms;
    if (fold->rolling_count)
        add_rolling(fold, k, at_ms, cell->runs, cell->length);
    if (fold->config->calendar)
        add_calendar(fold, k, at_ms, cell->runs, cell->length);
}

static void apply_key(struct fold *fold, struct shard_clock *shard, uint32_t number, const struct scope_key *key)
{
    if (number >= shard->keys) {
        uint32_t room = number * 2 + 64;
        shard->key = must(realloc(shard->key, room * sizeof *shard->key));
        memset(shard->key + shard->keys, 0xff, (room - shard->keys) * sizeof *shard->key);
        shard->keys = room;
    }
    shard->key[number] = key_of(fold, key);
}

void fold_apply(struct fold *fold, struct batch *batch)
{
    struct shard_clock *shard = &fold->shard[batch->shard];
    char text[BATCH_KEY_TEXT_MAX];
    struct scope_key key;
    struct batch_cell cell;
    uint32_t cursor = 0, number;
    for (enum batch_item item; (item = batch_next(batch, &cursor, &number, &key, text, &cell)) != BATCH_END;) {
        ensure(item != BATCH_BROKEN, "a batch is well-formed");
        if (item == BATCH_KEY)
            apply_key(fold, shard, number, &key);
        else
            apply_cell(fold, shard, &cell);
    }
    flush_rolling(fold);
    flush_calendar(fold);
    shard->heard = true;
    shard->idle = batch->idle;
    if (batch->watermark_ms > shard->watermark_ms)
        shard->watermark_ms = batch->watermark_ms;
    if (batch->newest_ms > shard->newest_ms)
        shard->newest_ms = batch->newest_ms;
    fold->inexact |= batch->inexact;
}

/* ---- rows ---- */

static struct row row_head(const struct fold *fold, const struct key *key)
{
    struct row row = {.config = fold->config, .tenant = key->tenant, .scope = key->scope, .value_count = key->count, .inexact = fold->inexact};
    memcpy(row.value_dimension, key->dimension, sizeof row.value_dimension);
    memcpy(row.value, key->value, sizeof row.value);
    return row;
}

/* The window's sum is that of the differences up to it; packed into `sum`. */
static void rolling_sum(struct fold *fold, const struct key *key, int window, struct tally *sum)
{
    for (int w = 0; w <= window; w++)
        tally_dense_add(&fold->dense, key->difference[w].bytes, key->difference[w].length, 1);
    tally_pack(sum, &fold->slab, &fold->dense);
}

static struct row *rolling_row(struct fold *fold, uint32_t k, int window, bool *empty)
{
    const struct key *key = fold->key[k];
    const struct pane_edges *edges = pane_edges(fold->ladder, window);
    struct tally sum = {0};
    rolling_sum(fold, key, window, &sum);
    *empty = sum.length == 0;
    struct row head = row_head(fold, key);
    head.start_ms = edges->left_ms;
    head.end_ms = edges->right_ms;
    head.rolling = true;
    head.partial = !fold->setup.batch;
    head.window = (uint8_t)window;
    head.window_name = fold->config->rolling[window].name;
    struct row *row = row_new(&head, sum.bytes, sum.length);
    tally_free(&sum, &fold->slab);
    return row;
}

static struct row *calendar_row(struct fold *fold, uint32_t c)
{
    struct cell *cell = &fold->cell[c];
    const struct key *key = fold->key[cell->key];
    tally_settle(&cell->tally, &fold->slab, &fold->dense);
    struct row head = row_head(fold, key);
    head.start_ms = cell->start_ms;
    head.end_ms = cell->end_ms;
    head.final = cell->final;
    head.revision = cell->revision;
    head.running = !fold->setup.batch && cell->start_ms <= fold->now_ms && fold->now_ms < cell->end_ms;
    head.last = key->last[cell->window] == c;
    head.window = cell->window;
    head.window_name = calendar_names[cell->window];
    return row_new(&head, cell->tally.bytes, cell->tally.length);
}

/* Before a final row goes out: a new revision if its integers are not those of the last one. False: nothing new to say. */
static bool revise(struct fold *fold, struct cell *cell)
{
    if (!cell->final || !cell->changed)
        return true;
    tally_settle(&cell->tally, &fold->slab, &fold->dense);
    uint64_t hash = XXH3_64bits(cell->tally.bytes, cell->tally.length);
    cell->changed = false;
    if (cell->revision && hash == cell->final_hash)
        return false;
    cell->final_hash = hash;
    cell->revision++;
    return true;
}

/* ---- publishing ---- */

static bool give(struct fold *fold, int outlet, struct row *row)
{
    if (fold->setup.outlet[outlet].put(fold->setup.outlet[outlet].context, row)) {
        fold->counts.rows++;
        return true;
    }
    row_free(row);
    return false;
}

static bool publish_rolling(struct fold *fold, int outlet, int window, uint32_t k)
{
    struct key *key = fold->key[k];
    uint8_t bit = (uint8_t)(1u << outlet);
    bool empty;
    struct row *row = rolling_row(fold, k, window, &empty);
    if (empty && !(key->published[window] & bit)) {
        row_free(row);
        return true;
    }
    if (!give(fold, outlet, row))
        return false;
    key->published[window] = empty ? key->published[window] & (uint8_t)~bit : key->published[window] | bit;
    return true;
}

static bool publish_calendar(struct fold *fold, int outlet, uint32_t c)
{
    struct cell *cell = &fold->cell[c];
    uint8_t bit = (uint8_t)(1u << outlet);
    if (!revise(fold, cell) && cell->published & bit)
        return true;
    if (tally_is_zero(&cell->tally, &fold->slab, &fold->dense) && !(cell->published & bit) && cell->start_ms > fold->now_ms)
        return true;
    if (!give(fold, outlet, calendar_row(fold, c)))
        return false;
    cell->published |= bit;
    return true;
}

static void let_go(struct fold *fold, int queue, int outlet, uint32_t item)
{
    uint8_t keep = (uint8_t)~(1u << outlet);
    if (queue < CONFIG_ROLLING_MAX) {
        fold->key[item]->waits[queue] &= keep;
        return;
    }
    struct cell *cell = &fold->cell[item];
    if (queue == QUEUE_URGENT)
        cell->urgent &= keep;
    else
        cell->waits &= keep;
}

/* Publishes a queue's items, oldest first, while there is room and budget. */
static uint64_t drain(struct fold *fold, int outlet, int which, int64_t *budget)
{
    struct queue *queue = &fold->queue[outlet][which];
    uint64_t done = 0;
    for (uint32_t left = queue->count; left > 0 && *budget > 0; left--) {
        uint32_t item = queue->item[queue->first];
        bool out = which < CONFIG_ROLLING_MAX ? publish_rolling(fold, outlet, which, item) : publish_calendar(fold, outlet, item);
        if (!out)
            break;
        queue_take(queue);
        let_go(fold, which, outlet, item);
        --*budget;
        done++;
    }
    return done;
}

/* How often a window is published: up to 5 minutes each tick, longer ones W/300 within 1 to 60 s. */
static int64_t pace_ms(const struct fold *fold, int outlet, int which)
{
    static const int64_t calendar_ms[CALENDAR_COUNT] = {900000, 1800000, 3600000, 86400000, 604800000, 2592000000};
    if (which == QUEUE_URGENT)
        return 0;
    bool rolling = which < CONFIG_ROLLING_MAX;
    int64_t length_ms = rolling ? fold->config->rolling[which].length_ms : calendar_ms[which - CONFIG_ROLLING_MAX];
    int64_t pace = length_ms / PACE_SHARE;
    pace = length_ms <= TICK_WINDOW_MS ? fold->config->publish_tick_ms : pace < PACE_LEAST_MS ? PACE_LEAST_MS : pace;
    pace = pace > PACE_MOST_MS ? PACE_MOST_MS : pace;
    int64_t least = fold->setup.outlet[outlet].rolling_least_ms;
    return rolling && pace < least ? least : pace;
}

/* Rows that each outlet may still have: publish.rows_per_second, gathered for a second at most. */
static void fill_budgets(struct fold *fold, int64_t clock_ms)
{
    int64_t most = fold->config->publish_rows / fold->setup.folds + 1;
    if (fold->budget_ms == 0 || clock_ms - fold->budget_ms > 1000)
        fold->budget_ms = clock_ms - 1000;
    if (clock_ms <= fold->budget_ms)
        return;
    for (int o = 0; o < fold->setup.outlets; o++) {
        fold->budget[o] += (clock_ms - fold->budget_ms) * most / 1000;
        fold->budget[o] = fold->budget[o] > most ? most : fold->budget[o];
    }
    fold->budget_ms = clock_ms;
}

static uint64_t publish(struct fold *fold, int64_t clock_ms)
{
    uint64_t done = 0;
    int64_t unbounded = INT64_MAX;
    fill_budgets(fold, clock_ms);
    for (int o = 0; o < fold->setup.outlets; o++) {
        done += drain(fold, o, QUEUE_URGENT, &unbounded);
        for (int q = 0; q < QUEUE_URGENT; q++) {
            struct queue *queue = &fold->queue[o][q];
            if (queue->count == 0 || clock_ms < queue->due_ms)
                continue;
            done += drain(fold, o, q, &fold->budget[o]);
            if (queue->count == 0 || fold->budget[o] > 0)
                queue->due_ms = clock_ms + pace_ms(fold, o, q);
        }
    }
    return done;
}

static void everything_again(struct fold *fold, int outlet)
{
    uint8_t bit = (uint8_t)(1u << outlet);
    for (uint32_t k = 0; k < fold->keys; k++)
        for (int w = 0; w < fold->rolling_count; w++)
            if (!(fold->key[k]->waits[w] & bit)) {
                fold->key[k]->waits[w] |= bit;
                queue_put(&fold->queue[outlet][w], k);
            }
    for (uint32_t c = 0; c < fold->cells_made; c++) {
        struct cell *cell = &fold->cell[c];
        cell->published &= (uint8_t)~bit; /* also of one that waits: a change that came to nothing must not hold it back */
        if (!cell->used || cell->waits & bit)
            continue;
        cell->waits |= bit;
        queue_put(&fold->queue[outlet][CONFIG_ROLLING_MAX + cell->window], c);
    }
}

/* ---- time ---- */

static void cross(void *context, uint32_t k, int window, const struct tally *tally, int sign)
{
    struct fold *fold = context;
    struct key *key = fold->key[k];
    tally_merge(&key->difference[window], &fold->slab, &fold->dense, tally, sign);
    if (window + 1 < fold->rolling_count)
        tally_merge(&key->difference[window + 1], &fold->slab, &fold->dense, tally, -sign);
    rolling_changed(fold, k, window);
}

/* What a cell's bucket going into a phase means for the cell. */
static void cell_phase(struct fold *fold, uint32_t c, enum phase phase)
{
    struct cell *cell = &fold->cell[c];
    struct key *key = fold->key[cell->key];
    uint32_t last = key->last[cell->window];
    if (phase == PHASE_ENDED && (last == NONE || fold->cell[last].start_ms < cell->start_ms))
        key->last[cell->window] = c;
    if (phase == PHASE_FINAL) {
        cell->final = true;
        cell->changed = true;
    }
    calendar_changed(fold, c, true);
}

/* A window has ended that had figures: the running one begins, empty so far, so that nobody takes the old row for the present. */
static void begin_next(struct fold *fold, uint32_t c)
{
    struct cell cell = fold->cell[c];
    int64_t start_ms, end_ms;
    if (cell.end_ms > fold->now_ms || tally_is_zero(&fold->cell[c].tally, &fold->slab, &fold->dense))
        return;
    calendar_bounds(fold->zone[fold->key[cell.key]->zone].calendar, (enum calendar_window)cell.window, fold->now_ms, &start_ms, &end_ms);
    uint32_t next = fold->cell_slot[cell_slot(fold, cell.key, cell.window, start_ms)];
    if (next == NONE)
        calendar_changed(fold, cell_new(fold, cell.key, cell.window, start_ms, end_ms), true);
}

static enum phase phase_of(const struct fold *fold, const struct bucket *bucket)
{
    if (fold->finished || (fold->watermark_ms != INT64_MIN && fold->watermark_ms >= bucket->end_ms + fold->config->lateness_ms))
        return PHASE_FINAL;
    return fold->now_ms < bucket->start_ms ? PHASE_FUTURE : fold->now_ms < bucket->end_ms ? PHASE_RUNNING : PHASE_ENDED;
}

static int advance_bucket(struct fold *fold, int window, int b)
{
    enum phase target = phase_of(fold, &fold->bucket[window][b]);
    int moved = 0;
    while (fold->bucket[window][b].phase < target) {
        enum phase phase = ++fold->bucket[window][b].phase;
        for (uint32_t c = fold->bucket[window][b].first; c != NONE; c = fold->cell[c].next, moved++) {
            cell_phase(fold, c, phase);
            if (phase == PHASE_ENDED)
                begin_next(fold, c);
        }
    }
    return moved;
}

/* What an outlet has not had yet stays, however old: nothing that was counted goes untold. */
static void expire_bucket(struct fold *fold, int window, int b)
{
    for (uint32_t c = fold->bucket[window][b].first; c != NONE; c = fold->cell[c].next)
        if (fold->cell[c].waits | fold->cell[c].urgent)
            return;
    for (uint32_t c = fold->bucket[window][b].first, next; c != NONE; c = next) {
        next = fold->cell[c].next;
        cell_drop(fold, c);
    }
    fold->bucket[window][b] = fold->bucket[window][--fold->buckets[window]];
}

static int advance_calendars(struct fold *fold)
{
    int moved = 0;
    for (int window = 0; window < CALENDAR_COUNT; window++)
        for (int b = fold->buckets[window]; b-- > 0;) {
            moved += advance_bucket(fold, window, b);
            const struct bucket *bucket = &fold->bucket[window][b];
            if (bucket->phase == PHASE_FINAL && !fold->finished &&
                bucket->end_ms + fold->config->retention_correction_ms < fold->watermark_ms)
                expire_bucket(fold, window, b);
        }
    return moved;
}

/* The watermark is the least over the shards that have one and are not idle. With all of them idle the clock stands in, when the
 * feed is live: a quiet night closes its hours too. */
static void read_clocks(struct fold *fold, int64_t clock_ms)
{
    bool live = fold->config->time_mode == TIME_LIVE;
    int64_t least = INT64_MAX, newest = INT64_MIN, highest = INT64_MIN;
    bool all_idle = true, all_heard = true;
    for (int i = 0; i < fold->setup.shards; i++) {
        const struct shard_clock *shard = &fold->shard[i];
        all_heard &= shard->heard;
        newest = shard->newest_ms > newest ? shard->newest_ms : newest;
        highest = shard->watermark_ms > highest ? shard->watermark_ms : highest;
        if (shard->idle)
            continue;
        all_idle = false;
        least = shard->watermark_ms < least ? shard->watermark_ms : least;
    }
    int64_t watermark = !all_heard ? INT64_MIN : !all_idle ? least : live ? clock_ms - fold->config->out_of_order_ms : highest;
    if (watermark != INT64_MAX && watermark > fold->watermark_ms)
        fold->watermark_ms = watermark;
    int64_t now = live ? clock_ms : fold->finished ? newest : fold->watermark_ms;
    if (now > fold->now_ms)
        fold->now_ms = now;
}

int fold_step(struct fold *fold, int64_t clock_ms)
{
    int64_t was_now = fold->now_ms, was_watermark = fold->watermark_ms;
    int moved = 0;
    read_clocks(fold, clock_ms);
    if (fold->now_ms != INT64_MIN) {
        if (fold->now_ms != was_now)
            pane_advance(fold->ladder, fold->now_ms, cross, fold);
        if (fold->now_ms != was_now || fold->watermark_ms != was_watermark || fold->finished)
            moved = advance_calendars(fold);
    }
    for (int o = 0; o < fold->setup.outlets; o++) {
        uint64_t generation = fold->setup.outlet[o].generation(fold->setup.outlet[o].context);
        if (generation != fold->generation[o]) {
            if (fold->generation[o])
                everything_again(fold, o);
            fold->generation[o] = generation;
        }
    }
    return moved + (int)publish(fold, clock_ms);
}

uint64_t fold_flush(struct fold *fold, bool all)
{
    uint64_t left = 0;
    int64_t unbounded = INT64_MAX;
    for (int o = 0; o < fold->setup.outlets; o++) {
        if (all)
            everything_again(fold, o);
        for (int q = 0; q < QUEUES; q++) {
            drain(fold, o, q, &unbounded);
            left += fold->queue[o][q].count;
        }
    }
    return left;
}

void fold_finish(struct fold *fold)
{
    fold->finished = true;
}

void fold_rows(struct fold *fold, fold_each *each, void *context)
{
    for (uint32_t c = 0; c < fold->cells_made; c++) {
        struct cell *cell = &fold->cell[c];
        if (!cell->used || tally_is_zero(&cell->tally, &fold->slab, &fold->dense))
            continue;
        cell->final = true;
        cell->revision = 1;
        each(context, calendar_row(fold, c));
    }
    for (uint32_t k = 0; k < fold->keys; k++)
        for (int w = 0; w < fold->rolling_count; w++) {
            bool empty;
            struct row *row = rolling_row(fold, k, w, &empty);
            if (empty)
                row_free(row);
            else
                each(context, row);
        }
}

struct fold_counts fold_counts(const struct fold *fold)
{
    struct fold_counts counts = fold->counts;
    struct pane_counts panes = pane_counts(fold->ladder);
    counts.keys = fold->keys;
    counts.panes = panes.panes;
    counts.calendar_windows = fold->cells;
    counts.bytes = panes.bytes + fold->slab.used + fold->cells * sizeof(struct cell) +
                   fold->keys * (sizeof(struct key) + (size_t)fold->rolling_count * sizeof(struct tally));
    counts.saturated = fold->dense.saturated;
    counts.watermark_ms = fold->watermark_ms;
    return counts;
}
