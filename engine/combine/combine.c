/* Three small tables:
 *
 *   tuples: (tenant, scopes, the dimensions that any scope uses) -> the numbers of its scope keys
 *   keys:   scope key -> its number on this shard, its fold; named to the fold with its first cell
 *   cells:  (key number, pane) -> a tally; or (key number, block) of what is now
 *
 * A tuple is met again with nearly every contact of the same agent and queue, so the keys of six scopes cost one look-up.
 *
 * A scope whose dimensions another one has too is a sum of that one's cells, so it is added up from them when a tick ends: queue x channel is added to
 * with each contribution, queue, channel and the whole tenant once a tick and pane. Not so from agents, of whom hardly two contributions meet.
 *
 * Distinct agents: a scope without the dimension agent has, within each key, a key for each agent (SCOPE_AGENTS). What says whether an agent counts,
 * `uses` and `handled`, goes there too; the fold sees when it becomes more than 0, and when it is taken back. */
#include "esteem/combine.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/err.h"
#include "esteem/now.h"
#include "esteem/slab.h"
#include "esteem/slots.h"
#include "esteem/varint.h"

enum { SCOPE_LISTS_MAX = 256, TUPLES_MOST = 1 << 17, TUPLES_LEAST = 1 << 12, TUPLES_SHARE = 128 /* of limits.memory */, TUPLES_FIRST = 1024, CELLS_FIRST = 4096, SETTLES_FROM = 64 /* bytes */,
       GATHERED_MOST = 8, GATHERED_BYTES = 2 * TALLY_RUN_MAX };
#define NONE UINT32_MAX

struct tuple {
    uint32_t tenant, scopes; /* scopes NONE: an empty slot */
    struct dims dims;
    uint32_t key[CONFIG_SCOPE_MAX];   /* NONE: the tuple lacks a dimension of that scope */
    uint32_t direct;                  /* mask: scopes that are added to at once; the others when a tick ends */
    uint32_t to[CONFIG_SCOPE_MAX];    /* of one of those: which others its cells are added to then */
    uint32_t agent[CONFIG_SCOPE_MAX]; /* of its agent within that key; NONE: it names none, or the scope does */
};

struct key {
    uint32_t fold;
    bool named;     /* the fold has been told its number */
    uint32_t cells; /* the first of its cells, or NONE */
    uint32_t tenant, scope;
    uint32_t value[DIMENSION_MAX];
};

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
    int shard, folds;
    int64_t pane_ms, pane_from_ms;
    struct grain grain;
    const struct intern *strings;
    struct key_registry *registry;
    struct {
        int count;
        uint32_t scope[CONFIG_SCOPE_MAX], used; /* masks; `used` is their union */
    } list[SCOPE_LISTS_MAX];
    uint32_t lists;
    struct tuple **tuple; /* open addressing */
    uint32_t tuple_slots, tuples, tuples_most;
    struct key *key;
    uint32_t keys, key_room;
    struct slots key_slots;
    struct cell *cell;
    uint32_t cells, cell_room;
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

struct combine *combine_new(int shard, int folds, int64_t pane_ms, int64_t pane_from_ms, const struct intern *strings,
                            struct key_registry *registry)
{
    struct combine *combine = calloc(1, sizeof *combine);
    ensure(combine != NULL, "the machine has memory left");
    combine->shard = shard;
    combine->folds = folds;
    combine->pane_ms = pane_ms;
    combine->pane_from_ms = pane_from_ms;
    combine->strings = strings;
    combine->registry = registry;
    combine->tuples_most = TUPLES_MOST;
    combine->tuple_slots = TUPLES_FIRST;
    combine->tuple = calloc(TUPLES_FIRST, sizeof(struct tuple *));
    ensure(combine->tuple != NULL, "the machine has memory left");
    slots_init(&combine->key_slots, TUPLES_FIRST);
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
    for (uint32_t i = 0; i < combine->tuple_slots; i++)
        free(combine->tuple[i]);
    free(combine->tuple);
    free(combine->key);
    slots_close(&combine->key_slots);
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
    uint32_t n = combine->lists;
    for (uint32_t i = 0; i < n; i++) /* a list that is known already keeps its number */
        if (combine->list[i].count == count && memcmp(combine->list[i].scope, masks, (size_t)count * sizeof *masks) == 0)
            return i;
    ensure(n < SCOPE_LISTS_MAX, "fewer than 256 lists of scopes were configured in one run");
    combine->list[n].count = count;
    combine->list[n].used = 0;
    for (int s = 0; s < count; s++) {
        combine->list[n].scope[s] = masks[s];
        combine->list[n].used |= masks[s] & SCOPE_AGENTS ? (masks[s] & ~SCOPE_AGENTS) | 1u << DIMENSION_agent : masks[s];
    }
    combine->lists++;
    return n;
}

uint32_t combine_scopes(struct combine *combine, const struct config *config)
{
    uint32_t masks[CONFIG_SCOPE_MAX];
    for (int s = 0; s < config->scope_count; s++)
        masks[s] = config->scope[s].dimensions | (config->scope[s].dimensions >> DIMENSION_agent & 1 ? 0 : SCOPE_AGENTS);
    int64_t share = config->limit_memory ? config->limit_memory / TUPLES_SHARE / (int64_t)sizeof(struct tuple) : TUPLES_MOST;
    combine->tuples_most = (uint32_t)(share < TUPLES_LEAST ? TUPLES_LEAST : share > TUPLES_MOST ? TUPLES_MOST : share);
    return combine_scopes_of(combine, masks, config->scope_count);
}

int combine_scopes_read(const struct combine *combine, uint32_t scopes, uint32_t *masks)
{
    memcpy(masks, combine->list[scopes].scope, (size_t)combine->list[scopes].count * sizeof *masks);
    return combine->list[scopes].count;
}

uint32_t combine_lists(const struct combine *combine)
{
    return combine->lists;
}

/* ---- keys ---- */

static void *grown(void *items, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room ? *room * 2 : 1024;
    items = realloc(items, *room * size);
    ensure(items != NULL, "the machine has memory left");
    return items;
}

static struct scope_key key_text(const struct combine *combine, const struct key *key)
{
    struct scope_key text = {.scope = key->scope, .tenant = intern_text(combine->strings, key->tenant)};
    for (uint32_t left = key->scope; left; left &= left - 1) {
        text.dimension[text.count] = (uint8_t)__builtin_ctz(left);
        uint32_t value = key->value[text.count];
        text.value[text.count++] = value ? intern_text(combine->strings, value) : KEY_OTHER;
    }
    return text;
}

static size_t values_size(const struct key *key)
{
    return sizeof key->value[0] * (size_t)__builtin_popcount(key->scope);
}

static uint32_t key_hash_of(const struct key *key)
{
    return (uint32_t)XXH3_64bits_withSeed(key->value, values_size(key), (uint64_t)key->tenant << 32 | key->scope);
}

static uint32_t key_find(const struct combine *combine, const struct key *key, uint32_t hash)
{
    uint32_t k;
    for (uint32_t i = slots_home(&combine->key_slots, hash); (k = slots_match(&combine->key_slots, hash, &i)) != SLOTS_NONE;) {
        const struct key *other = &combine->key[k];
        if (other->tenant == key->tenant && other->scope == key->scope && memcmp(other->value, key->value, values_size(key)) == 0)
            break;
    }
    return k;
}

static uint32_t key_number(struct combine *combine, struct key key)
{
    uint32_t hash = key_hash_of(&key), known = key_find(combine, &key, hash);
    if (known != NONE)
        return known;
    struct scope_key text = key_text(combine, &key);
    int from = key.scope & SCOPE_AGENTS ? text.count - 1 : 0; /* where an agent is one too many, the key that it is within stays */
    bool other = key.scope && key.value[from] == 0;
    if (!other && !key_registry_admit(combine->registry, &text)) {
        memset(key.value + from, 0, sizeof key.value - (size_t)from * sizeof *key.value); /* __other__: value 0 of every dimension */
        return key_number(combine, key);
    }
    combine->key = grown(combine->key, combine->keys, &combine->key_room, sizeof *combine->key);
    key.fold = key_fold(&text, combine->folds);
    key.cells = NONE;
    combine->key[combine->keys] = key;
    slots_put(&combine->key_slots, hash, combine->keys);
    return combine->keys++;
}

static uint32_t agent_number(struct combine *combine, uint32_t within, uint32_t agent)
{
    struct key key = combine->key[within];
    key.value[__builtin_popcount(key.scope)] = agent;
    key.scope |= SCOPE_AGENTS;
    key.named = false;
    return key_number(combine, key);
}

/* The key of a scope that has some of its dimensions; NONE: it has not been made. */
static uint32_t key_of_part(const struct combine *combine, uint32_t k, uint32_t scope)
{
    const struct key *whole = &combine->key[k];
    struct key part = {.tenant = whole->tenant, .scope = scope};
    int at = 0, count = 0;
    for (uint32_t left = whole->scope; left; left &= left - 1, at++)
        if (scope & left & -left)
            part.value[count++] = whole->value[at];
    return key_find(combine, &part, key_hash_of(&part));
}

/* ---- tuples ---- */

static uint32_t tuple_find(const struct combine *combine, uint32_t tenant, uint32_t scopes, const struct dims *dims)
{
    uint32_t mask = combine->tuple_slots - 1;
    uint32_t i = (uint32_t)XXH3_64bits_withSeed(dims, sizeof *dims, (uint64_t)tenant << 32 | scopes) & mask;
    for (const struct tuple *tuple; (tuple = combine->tuple[i]) != NULL; i = (i + 1) & mask)
        if (tuple->tenant == tenant && tuple->scopes == scopes && memcmp(&tuple->dims, dims, sizeof *dims) == 0)
            break;
    return i;
}

static void tuples_grow(struct combine *combine)
{
    struct tuple **old = combine->tuple;
    uint32_t slots = combine->tuple_slots;
    combine->tuple_slots *= 2;
    combine->tuple = calloc(combine->tuple_slots, sizeof(struct tuple *));
    ensure(combine->tuple != NULL, "the machine has memory left");
    for (uint32_t i = 0; i < slots; i++)
        if (old[i])
            combine->tuple[tuple_find(combine, old[i]->tenant, old[i]->scopes, &old[i]->dims)] = old[i];
    free(old);
}

static void put_gathered(struct combine *combine);

static void tuples_forget(struct combine *combine)
{
    put_gathered(combine);
    combine->at.tuple = NULL;
    for (uint32_t i = 0; i < combine->tuple_slots; i++) {
        free(combine->tuple[i]);
        combine->tuple[i] = NULL;
    }
    combine->tuples = 0;
}

/* Whether all that this tuple adds to scope `part` can be taken from what it adds to scope `whole`. */
static bool within(const struct combine *combine, const struct tuple *tuple, int part, int whole)
{
    uint32_t of = combine->list[tuple->scopes].scope[part] & ~SCOPE_AGENTS, in = combine->list[tuple->scopes].scope[whole] & ~SCOPE_AGENTS;
    return of != in && (of & in) == of && !(in >> DIMENSION_agent & 1) && tuple->key[whole] != NONE && key_of_part(combine, tuple->key[whole], of) == tuple->key[part];
}

static void tuple_roll_up(const struct combine *combine, struct tuple *tuple)
{
    int scopes = combine->list[tuple->scopes].count;
    for (int s = 0; s < scopes; s++) {
        int whole = s;
        for (int t = 0; t < scopes && tuple->key[s] != NONE; t++)
            if (within(combine, tuple, whole, t)) {
                whole = t;
                t = -1;
            }
        if (whole == s)
            tuple->direct |= 1u << s;
        else
            tuple->to[whole] |= 1u << s;
    }
}

static void tuple_fill(struct combine *combine, struct tuple *tuple)
{
    uint32_t agent = tuple->dims.id[DIMENSION_agent];
    for (int s = 0; s < combine->list[tuple->scopes].count; s++) {
        uint32_t scope = combine->list[tuple->scopes].scope[s];
        struct key key = {.tenant = tuple->tenant, .scope = scope & ~SCOPE_AGENTS};
        int count = 0;
        bool whole = true;
        for (uint32_t left = key.scope; left; left &= left - 1) {
            key.value[count] = tuple->dims.id[__builtin_ctz(left)];
            whole &= key.value[count++] != 0;
        }
        tuple->key[s] = whole ? key_number(combine, key) : NONE;
        tuple->agent[s] = whole && agent && scope & SCOPE_AGENTS ? agent_number(combine, tuple->key[s], agent) : NONE;
    }
    tuple_roll_up(combine, tuple);
}

static const struct tuple *tuple_of(struct combine *combine, uint32_t tenant, uint32_t scopes, const struct dims *full)
{
    struct dims dims = {{0}};
    for (uint32_t left = combine->list[scopes].used; left; left &= left - 1) {
        int i = __builtin_ctz(left);
        dims.id[i] = full->id[i];
    }
    uint32_t slot = tuple_find(combine, tenant, scopes, &dims);
    if (combine->tuple[slot])
        return combine->tuple[slot];
    if (combine->tuples >= combine->tuples_most) { /* it only saves look-ups: begun anew, it costs them again */
        tuples_forget(combine);
        slot = tuple_find(combine, tenant, scopes, &dims);
    }
    if (combine->tuples * 2 >= combine->tuple_slots) {
        tuples_grow(combine);
        slot = tuple_find(combine, tenant, scopes, &dims);
    }
    struct tuple *tuple = malloc(sizeof *tuple);
    ensure(tuple != NULL, "the machine has memory left");
    *tuple = (struct tuple){.tenant = tenant, .scopes = scopes, .dims = dims};
    tuple_fill(combine, tuple);
    combine->tuple[slot] = tuple;
    combine->tuples++;
    return tuple;
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
    uint32_t *first = &combine->key[key].cells;
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
    int scopes = combine->list[tuple->scopes].count;
    for (uint32_t left = tuple->direct; left; left &= left - 1) {
        int s = __builtin_ctz(left);
        add_to(combine, tuple->key[s], gathered->pane, tuple->to[s], tuple->scopes, gathered->spans, gathered->runs, gathered->length);
    }
    if (combine->at.dims.id[DIMENSION_agent] && pick_distinct(gathered->runs, gathered->length, &picked))
        for (int s = 0; s < scopes; s++)
            add_to(combine, tuple->agent[s], gathered->pane, 0, 0, false, picked.bytes, picked.length);
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
    combine->at.tuple = tuple_of(combine, tenant, scopes, dims);
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
    const struct tuple *tuple = tuple_of(combine, tenant, scopes, dims);
    for (int s = 0; s < combine->list[scopes].count; s++)
        if (tuple->key[s] != NONE)
            tally_log(&cell_of(combine, tuple->key[s], now_block(anchor_ms), true, 0, 0)->tally, &combine->slab, &combine->dense, runs, length);
}

uint32_t combine_cells(const struct combine *combine)
{
    return combine->cells + combine->gathered_count;
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

static void roll_up(struct combine *combine)
{
    for (uint32_t w = 0; w < combine->wholes; w++) {
        struct cell *cell = &combine->cell[combine->whole[w]];
        if (cell->tally.length > SETTLES_FROM)
            tally_settle(&cell->tally, &combine->slab, &combine->dense);
        const struct cell whole = *cell; /* others may move it */
        for (uint32_t left = whole.to; left; left &= left - 1) {
            uint32_t scope = combine->list[whole.scopes].scope[__builtin_ctz(left)] & ~SCOPE_AGENTS;
            add_to(combine, key_of_part(combine, whole.key, scope), whole.pane, 0, 0, whole.spans, tally_bytes(&whole.tally), whole.tally.length);
        }
    }
    combine->wholes = 0;
}

static void flush_cell(struct combine *combine, struct key *key, struct cell *cell, struct batch *batch)
{
    if (cell->tally.length > SETTLES_FROM) /* else the fold adds it up as easily */
        tally_settle(&cell->tally, &combine->slab, &combine->dense);
    if (cell->tally.length == 0) /* all was taken back within the tick */
        return;
    if (!key->named) {
        struct scope_key text = key_text(combine, key);
        batch_put_key(batch, cell->key, &text);
        key->named = true;
    }
    if (cell->now)
        batch_put_now(batch, cell->key, cell->pane, tally_bytes(&cell->tally), cell->tally.length);
    else
        batch_put_cell(batch, cell->key, cell->pane, cell->spans, tally_bytes(&cell->tally), cell->tally.length);
    tally_free(&cell->tally, &combine->slab);
}

void combine_flush(struct combine *combine, struct batch **batch)
{
    put_gathered(combine);
    roll_up(combine);
    if (combine->withs)
        qsort(combine->with, combine->withs, sizeof *combine->with, by_number);
    for (uint32_t w = 0; w < combine->withs; w++) {
        struct key *key = &combine->key[combine->with[w]];
        uint32_t count = 0;
        for (uint32_t c = key->cells; c != NONE; c = combine->cell[c].next) {
            combine->sorted = grown(combine->sorted, count, &combine->sorted_room, sizeof(struct cell *));
            combine->sorted[count++] = &combine->cell[c];
        }
        key->cells = NONE;
        if (count > 1)
            qsort(combine->sorted, count, sizeof(struct cell *), by_pane);
        for (uint32_t i = 0; i < count; i++)
            flush_cell(combine, key, combine->sorted[i], batch[key->fold]);
    }
    combine->withs = combine->cells = 0;
    slots_clear(&combine->cell_slots);
}
