/* Contributions of a tick, by (key number, pane): gathered by pane as long as they come under one tuple, then added to the cells of its scope keys
 * (tuples.h); and by (key number, block) what is now. The flush adds up the scopes that are sums of others, and writes cells key by key.
 *
 * Of distinct agents, what says whether one counts, `uses` and `handled`, goes to the key for it within the scope key; the fold sees when it becomes
 * more than 0, and when it is taken back. */
#include "esteem/combine.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/now.h"
#include "esteem/slab.h"
#include "esteem/slots.h"
#include "esteem/varint.h"
#include "tuples.h"

enum { TUPLES_LEAST = 1 << 12, TUPLES_SHARE = 128 /* of limits.memory */, CELLS_FIRST = 4096, SETTLES_FROM = 64 /* bytes */,
       GATHERED_MOST = 8, GATHERED_BYTES = 2 * TALLY_RUN_MAX };

struct cell {
    int64_t pane; /* of what is now: its block */
    uint32_t key, next; /* next of the key's */
    uint32_t to;        /* as in a tuple, of a list of scopes; 0: nowhere */
    uint8_t scopes;
    bool spans, now;
    struct tally tally;
};

/* Contributions under one tuple to one pane, on their way into its cells. */
struct gathered {
    int64_t pane;
    bool spans;
    uint32_t length;
    uint8_t runs[GATHERED_BYTES];
};

struct combine {
    int64_t pane_ms, pane_from_ms;
    struct grain grain;
    struct tuples tuples;
    struct cell *cell;
    uint32_t cells, cell_room, told; /* told: how many cells the flush will write, at most */
    struct slots cell_slots;
    struct cell **sorted;    /* of one key */
    uint32_t *with, withs;   /* keys that have cells */
    uint32_t *whole, wholes; /* cells that others are added up from */
    uint32_t sorted_room, with_room, whole_room;
    struct slab slab;
    struct tally_dense dense;
    struct {
        uint32_t tenant, scopes;
        struct dims dims;          /* as they were named */
        const struct tuple *tuple; /* NULL: none */
    } at;
    struct gathered gathered[GATHERED_MOST];
    uint32_t gathered_count;
};

struct combine *combine_new(int folds, int64_t pane_ms, int64_t pane_from_ms, const struct intern *strings, struct key_registry *registry)
{
    struct combine *combine = calloc(1, sizeof *combine);
    ensure(combine != NULL, "the machine has memory left");
    combine->pane_ms = pane_ms;
    combine->pane_from_ms = pane_from_ms;
    tuples_init(&combine->tuples, folds, strings, registry);
    slots_init(&combine->cell_slots, CELLS_FIRST);
    slab_init(&combine->slab);
    return combine;
}

void combine_free(struct combine *combine)
{
    if (combine == NULL)
        return;
    for (uint32_t i = 0; i < combine->cells; i++)
        tally_free(&combine->cell[i].tally, &combine->slab);
    tuples_close(&combine->tuples);
    free(combine->cell);
    free(combine->sorted);
    free(combine->with);
    free(combine->whole);
    slots_close(&combine->cell_slots);
    slab_close(&combine->slab);
    free(combine);
}

uint32_t combine_scopes_of(struct combine *combine, const uint32_t *masks, int count)
{
    return tuples_list(&combine->tuples, masks, count);
}

uint32_t combine_scopes(struct combine *combine, const struct config *config)
{
    uint32_t masks[CONFIG_SCOPE_MAX];
    for (int s = 0; s < config->scope_count; s++)
        masks[s] = config->scope[s].dimensions | (config->scope[s].dimensions >> DIMENSION_agent & 1 ? 0 : SCOPE_AGENTS);
    int64_t share = config->limit_memory ? config->limit_memory / TUPLES_SHARE / (int64_t)sizeof(struct tuple) : TUPLES_MOST;
    combine->tuples.most = (uint32_t)(share < TUPLES_LEAST ? TUPLES_LEAST : share > TUPLES_MOST ? TUPLES_MOST : share);
    return combine_scopes_of(combine, masks, config->scope_count);
}

int combine_scopes_read(const struct combine *combine, uint32_t scopes, uint32_t *masks)
{
    memcpy(masks, combine->tuples.list[scopes].scope, (size_t)combine->tuples.list[scopes].count * sizeof *masks);
    return combine->tuples.list[scopes].count;
}

uint32_t combine_lists(const struct combine *combine)
{
    return combine->tuples.lists;
}

/* ---- cells ---- */

static uint32_t cell_hash(uint32_t key, int64_t pane, bool now)
{
    return slots_hash((uint64_t)pane, (uint64_t)key << 1 | now);
}

static struct cell *cell_of(struct combine *combine, uint32_t key, int64_t pane, bool now, uint32_t to, uint32_t scopes)
{
    uint32_t hash = cell_hash(key, pane, now), c;
    for (uint32_t i = slots_home(&combine->cell_slots, hash); (c = slots_match(&combine->cell_slots, hash, &i)) != SLOTS_NONE;)
        if (combine->cell[c].key == key && combine->cell[c].pane == pane && combine->cell[c].now == now && combine->cell[c].to == to &&
            combine->cell[c].scopes == scopes)
            return &combine->cell[c];
    combine->cell = grown(combine->cell, combine->cells, &combine->cell_room, sizeof *combine->cell);
    slots_put(&combine->cell_slots, hash, combine->cells);
    uint32_t *first = &combine->tuples.key[key].cells;
    if (*first == NONE) {
        combine->with = grown(combine->with, combine->withs, &combine->with_room, sizeof *combine->with);
        combine->with[combine->withs++] = key;
    }
    if (to) {
        combine->whole = grown(combine->whole, combine->wholes, &combine->whole_room, sizeof *combine->whole);
        combine->whole[combine->wholes++] = combine->cells;
    }
    combine->cell[combine->cells] = (struct cell){.pane = pane, .key = key, .next = *first, .to = to, .scopes = (uint8_t)scopes, .now = now};
    *first = combine->cells;
    combine->told += 1 + (uint32_t)__builtin_popcount(to);
    return &combine->cell[combine->cells++];
}

_Static_assert(MEASURE_handled < MEASURE_uses, "a run has ascending ids");

/* Of runs, what distinct agents are counted by. False: nothing. */
static bool pick_distinct(const uint8_t *at, uint32_t length, struct tally_run *picked)
{
    int64_t handled = 0, uses = 0;
    for (const uint8_t *end = at + length; at < end; at++) {
        uint64_t next = 0; /* the id + 1 */
        for (uint64_t step, value; *at;) {
            at = varint_get(at, &step);
            at = varint_get(at, &value);
            next += step;
            handled += next == MEASURE_handled + 1 ? unzigzag(value) : 0;
            uses += next == MEASURE_uses + 1 ? unzigzag(value) : 0;
        }
    }
    tally_run_begin(picked);
    tally_run_put(picked, MEASURE_handled, handled);
    tally_run_put(picked, MEASURE_uses, uses);
    tally_run_end(picked);
    return !tally_run_empty(picked);
}

static void add_to(struct combine *combine, uint32_t key, int64_t pane, uint32_t to, uint32_t scopes, bool spans, const uint8_t *runs, uint32_t length)
{
    if (key == NONE)
        return;
    struct cell *cell = cell_of(combine, key, pane, false, to, to ? scopes : 0);
    tally_log(&cell->tally, &combine->slab, &combine->dense, runs, length);
    cell->spans |= spans;
}

void combine_coarsen(struct combine *combine, const struct grain *grain)
{
    combine->grain = *grain;
}

static void add_gathered(struct combine *combine, struct gathered *gathered)
{
    const struct tuple *tuple = combine->at.tuple;
    struct tally_run picked;
    for (uint32_t left = tuple->direct; left; left &= left - 1) {
        int s = __builtin_ctz(left);
        add_to(combine, tuple->key[s], gathered->pane, tuple->to[s], tuple->scopes, gathered->spans, gathered->runs, gathered->length);
    }
    if (combine->at.dims.id[DIMENSION_agent] && pick_distinct(gathered->runs, gathered->length, &picked))
        for (uint32_t a = 0; a < tuple->agents; a++)
            add_to(combine, tuple->agent[a], gathered->pane, 0, 0, false, picked.bytes, picked.length);
    gathered->length = 0;
    gathered->spans = false;
}

static void put_gathered(struct combine *combine)
{
    for (uint32_t g = 0; g < combine->gathered_count; g++)
        add_gathered(combine, &combine->gathered[g]);
    combine->gathered_count = 0;
}

/* Those of a contact follow one another: its tuple is looked up once, and what goes into one pane is put there together. */
static void gather_under(struct combine *combine, uint32_t tenant, uint32_t scopes, const struct dims *dims)
{
    if (combine->at.tuple && combine->at.tenant == tenant && combine->at.scopes == scopes && memcmp(&combine->at.dims, dims, sizeof *dims) == 0)
        return;
    put_gathered(combine);
    combine->at.tuple = tuple_of(&combine->tuples, tenant, scopes, dims);
    combine->at.tenant = tenant;
    combine->at.scopes = scopes;
    combine->at.dims = *dims;
}

static struct gathered *gathered_at(struct combine *combine, int64_t pane)
{
    for (uint32_t g = 0; g < combine->gathered_count; g++)
        if (combine->gathered[g].pane == pane)
            return &combine->gathered[g];
    if (combine->gathered_count == GATHERED_MOST)
        put_gathered(combine);
    for (uint32_t left = combine->at.tuple->direct; left; left &= left - 1)
        slots_prefetch(&combine->cell_slots, cell_hash(combine->at.tuple->key[__builtin_ctz(left)], pane, false));
    struct gathered *gathered = &combine->gathered[combine->gathered_count++];
    gathered->pane = pane;
    gathered->length = 0;
    gathered->spans = false;
    return gathered;
}

void combine_add(struct combine *combine, uint32_t tenant, uint32_t scopes, const struct dims *dims, int64_t anchor_ms, bool spans,
                 const uint8_t *runs, uint32_t length)
{
    if (length <= 1) /* a run of nothing */
        return;
    ensure(length <= GATHERED_BYTES, "a contribution is a run or two");
    gather_under(combine, tenant, scopes, dims);
    int64_t from_ms = grain_told_ms(&combine->grain, anchor_ms) - combine->pane_from_ms;
    struct gathered *gathered = gathered_at(combine, from_ms / combine->pane_ms - (from_ms % combine->pane_ms < 0));
    if (gathered->length + length > GATHERED_BYTES)
        add_gathered(combine, gathered);
    memcpy(gathered->runs + gathered->length, runs, length);
    gathered->length += length;
    gathered->spans |= spans;
}

void combine_add_now(struct combine *combine, uint32_t tenant, uint32_t scopes, const struct dims *dims, int64_t anchor_ms, const uint8_t *runs,
                     uint32_t length)
{
    gather_under(combine, tenant, scopes, dims);
    const struct tuple *tuple = combine->at.tuple;
    for (int s = 0; s < combine->tuples.list[scopes].count; s++)
        if (tuple->key[s] != NONE)
            tally_log(&cell_of(combine, tuple->key[s], now_block(anchor_ms), true, 0, 0)->tally, &combine->slab, &combine->dense, runs, length);
}

uint32_t combine_cells(const struct combine *combine)
{
    return combine->told + combine->gathered_count;
}

/* What is now first, then by pane: the fold adds up what goes to one window before it looks the window up. */
static int by_pane(const void *left, const void *right)
{
    const struct cell *a = *(struct cell *const *)left, *b = *(struct cell *const *)right;
    if (a->now != b->now)
        return a->now ? -1 : 1;
    return (a->pane > b->pane) - (a->pane < b->pane);
}

/* So that the fold walks through its own tables in one direction. */
static int by_number(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

_Static_assert(TALLY_IDS * (3 + VARINT_MAX) < SLAB_LARGEST, "a block of one that has settled is given back with all others");

static void settle(struct combine *combine, struct cell *cell)
{
    if (cell->tally.length > SETTLES_FROM) /* else the fold adds it up as easily */
        tally_settle(&cell->tally, &combine->slab, &combine->dense);
}

static void roll_up(struct combine *combine)
{
    for (uint32_t w = 0; w < combine->wholes; w++) {
        struct cell *cell = &combine->cell[combine->whole[w]];
        settle(combine, cell);
        const struct cell whole = *cell; /* others may move it */
        for (uint32_t left = whole.to; left; left &= left - 1) {
            uint32_t scope = combine->tuples.list[whole.scopes].scope[__builtin_ctz(left)] & ~SCOPE_AGENTS;
            add_to(combine, key_of_part(&combine->tuples, whole.key, scope), whole.pane, 0, 0, whole.spans, tally_bytes(&whole.tally), whole.tally.length);
        }
    }
    combine->wholes = 0;
}

/* Tells the fold the key's number; of a bundle those of its parts first. */
static void name(struct combine *combine, uint32_t number, struct batch *batch)
{
    struct key *key = &combine->tuples.key[number];
    if (key->named)
        return;
    key->named = true;
    for (uint32_t p = 0; p < key->parts; p++)
        name(combine, key->part[p], batch);
    if (key->parts) {
        batch_put_bundle(batch, number, key->part, key->parts);
        return;
    }
    struct scope_key text = key_text(&combine->tuples, key);
    batch_put_key(batch, number, &text);
}

static void flush_cell(struct combine *combine, struct cell *cell, struct batch *batch)
{
    settle(combine, cell);
    if (cell->tally.length == 0) /* all was taken back within the tick */
        return;
    name(combine, cell->key, batch);
    if (cell->now)
        batch_put_now(batch, cell->key, cell->pane, tally_bytes(&cell->tally), cell->tally.length);
    else
        batch_put_cell(batch, cell->key, cell->pane, cell->spans, tally_bytes(&cell->tally), cell->tally.length);
}

void combine_flush(struct combine *combine, struct batch **batch)
{
    put_gathered(combine);
    roll_up(combine);
    if (combine->withs)
        qsort(combine->with, combine->withs, sizeof *combine->with, by_number);
    for (uint32_t w = 0; w < combine->withs; w++) {
        struct key *key = &combine->tuples.key[combine->with[w]];
        uint32_t count = 0;
        for (uint32_t c = key->cells; c != NONE; c = combine->cell[c].next) {
            combine->sorted = grown(combine->sorted, count, &combine->sorted_room, sizeof(struct cell *));
            combine->sorted[count++] = &combine->cell[c];
        }
        key->cells = NONE;
        if (count > 1)
            qsort(combine->sorted, count, sizeof(struct cell *), by_pane);
        for (uint32_t i = 0; i < count; i++)
            flush_cell(combine, combine->sorted[i], batch[key->fold]);
    }
    combine->withs = combine->cells = combine->told = 0;
    slots_clear(&combine->cell_slots);
    slab_clear(&combine->slab);
}
