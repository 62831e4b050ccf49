#include "tuples.h"

#include <string.h>
#include <xxhash.h>

enum { TUPLES_FIRST = 1024, BUNDLED_FROM = 8 /* times that a tuple was met */ };

void tuples_init(struct tuples *tuples, int folds, const struct intern *strings, struct key_registry *registry)
{
    tuples->folds = folds;
    tuples->strings = strings;
    tuples->registry = registry;
    tuples->most = TUPLES_MOST;
    tuples->slots = TUPLES_FIRST;
    tuples->tuple = calloc(TUPLES_FIRST, sizeof(struct tuple *));
    ensure(tuples->tuple != NULL, "the machine has memory left");
    slots_init(&tuples->key_slots, TUPLES_FIRST);
}

void tuples_close(struct tuples *tuples)
{
    for (uint32_t i = 0; i < tuples->slots; i++)
        free(tuples->tuple[i]);
    free(tuples->tuple);
    for (uint32_t k = 0; k < tuples->keys; k++)
        free(tuples->key[k].part);
    free(tuples->key);
    slots_close(&tuples->key_slots);
}

/* ---- keys ---- */

struct scope_key key_text(const struct tuples *tuples, const struct key *key)
{
    struct scope_key text = {.scope = key->scope, .tenant = intern_text(tuples->strings, key->tenant)};
    for (uint32_t left = key->scope; left; left &= left - 1) {
        text.dimension[text.count] = (uint8_t)__builtin_ctz(left);
        uint32_t value = key->value[text.count];
        text.value[text.count++] = value ? intern_text(tuples->strings, value) : KEY_OTHER;
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

static uint32_t key_find(const struct tuples *tuples, const struct key *key, uint32_t hash)
{
    uint32_t k;
    for (uint32_t i = slots_home(&tuples->key_slots, hash); (k = slots_match(&tuples->key_slots, hash, &i)) != SLOTS_NONE;) {
        const struct key *other = &tuples->key[k];
        if (other->tenant == key->tenant && other->scope == key->scope && memcmp(other->value, key->value, values_size(key)) == 0)
            break;
    }
    return k;
}

static uint32_t key_put(struct tuples *tuples, const struct key *key, uint32_t hash)
{
    tuples->key = grown(tuples->key, tuples->keys, &tuples->key_room, sizeof *tuples->key);
    tuples->key[tuples->keys] = *key;
    tuples->key[tuples->keys].cells = NONE;
    slots_put(&tuples->key_slots, hash, tuples->keys);
    return tuples->keys++;
}

static uint32_t key_number(struct tuples *tuples, struct key key)
{
    uint32_t hash = key_hash_of(&key), known = key_find(tuples, &key, hash);
    if (known != NONE)
        return known;
    struct scope_key text = key_text(tuples, &key);
    int from = key.scope & SCOPE_AGENTS ? text.count - 1 : 0; /* where an agent is one too many, the key that it is within stays */
    bool other = key.scope == 0 || key.value[from] == 0; /* a whole tenant has nothing to give way to */
    if (!other && !key_registry_admit(tuples->registry, &text)) {
        memset(key.value + from, 0, sizeof key.value - (size_t)from * sizeof *key.value); /* __other__: value 0 of every dimension */
        return key_number(tuples, key);
    }
    key.fold = key_fold(&text, tuples->folds);
    return key_put(tuples, &key, hash);
}

static uint32_t agent_number(struct tuples *tuples, uint32_t within, uint32_t agent)
{
    struct key key = tuples->key[within];
    key.value[__builtin_popcount(key.scope)] = agent;
    key.scope |= SCOPE_AGENTS;
    key.named = false;
    return key_number(tuples, key);
}

/* `make`: also when it is new. NONE: it is, or there is no room for one more. */
static uint32_t bundle_number(struct tuples *tuples, const uint32_t *part, uint32_t parts, bool make)
{
    uint64_t text_hash[BUNDLE_MOST];
    uint32_t hash = (uint32_t)XXH3_64bits_withSeed(part, parts * sizeof *part, SCOPE_BUNDLE), k;
    for (uint32_t i = slots_home(&tuples->key_slots, hash); (k = slots_match(&tuples->key_slots, hash, &i)) != SLOTS_NONE;) {
        const struct key *other = &tuples->key[k];
        if (other->parts == parts && memcmp(other->part, part, parts * sizeof *part) == 0)
            return k;
    }
    for (uint32_t p = 0; p < parts; p++) {
        struct scope_key text = key_text(tuples, &tuples->key[part[p]]);
        text_hash[p] = key_hash(&text);
    }
    uint64_t name = bundle_hash(text_hash, parts);
    if (make ? !key_registry_admit_bundle(tuples->registry, name) : !key_registry_knows_bundle(tuples->registry, name))
        return NONE;
    struct key bundle = {.fold = tuples->key[part[0]].fold, .tenant = tuples->key[part[0]].tenant, .scope = SCOPE_BUNDLE, .parts = parts};
    bundle.part = malloc(parts * sizeof *part);
    ensure(bundle.part != NULL, "the machine has memory left");
    memcpy(bundle.part, part, parts * sizeof *part);
    return key_put(tuples, &bundle, hash);
}

uint32_t key_of_part(const struct tuples *tuples, uint32_t k, uint32_t scope)
{
    const struct key *whole = &tuples->key[k];
    struct key part = {.tenant = whole->tenant, .scope = scope};
    int at = 0, count = 0;
    for (uint32_t left = whole->scope; left; left &= left - 1, at++)
        if (scope & left & -left)
            part.value[count++] = whole->value[at];
    return key_find(tuples, &part, key_hash_of(&part));
}

/* ---- lists of scopes ---- */

static bool is_wider(uint32_t scope, uint32_t than)
{
    scope &= ~SCOPE_AGENTS;
    than &= ~SCOPE_AGENTS;
    return scope != than && (than & ~scope) == 0 && !(scope >> DIMENSION_agent & 1);
}

uint32_t tuples_list(struct tuples *tuples, const uint32_t *masks, int count)
{
    uint32_t n = tuples->lists;
    for (uint32_t i = 0; i < n; i++) /* a list that is known already keeps its number */
        if (tuples->list[i].count == count && memcmp(tuples->list[i].scope, masks, (size_t)count * sizeof *masks) == 0)
            return i;
    ensure(n < SCOPE_LISTS_MAX, "fewer than 256 lists of scopes were configured in one run");
    struct scope_list *list = &tuples->list[tuples->lists++];
    *list = (struct scope_list){.count = count};
    memcpy(list->scope, masks, (size_t)count * sizeof *masks);
    for (int s = 0; s < count; s++) {
        list->used |= masks[s] & SCOPE_AGENTS ? (masks[s] & ~SCOPE_AGENTS) | 1u << DIMENSION_agent : masks[s];
        for (int t = 0; t < count; t++)
            list->wider[s] |= (uint32_t)is_wider(masks[t], masks[s]) << t;
    }
    return n;
}

/* ---- tuples ---- */

static uint32_t tuple_find(const struct tuples *tuples, uint32_t tenant, uint32_t scopes, const struct dims *dims)
{
    uint32_t mask = tuples->slots - 1;
    uint32_t i = (uint32_t)XXH3_64bits_withSeed(dims, sizeof *dims, (uint64_t)tenant << 32 | scopes) & mask;
    for (const struct tuple *tuple; (tuple = tuples->tuple[i]) != NULL; i = (i + 1) & mask)
        if (tuple->tenant == tenant && tuple->scopes == scopes && memcmp(&tuple->dims, dims, sizeof *dims) == 0)
            break;
    return i;
}

static void tuples_grow(struct tuples *tuples)
{
    struct tuple **old = tuples->tuple;
    uint32_t slots = tuples->slots;
    tuples->slots *= 2;
    tuples->tuple = calloc(tuples->slots, sizeof(struct tuple *));
    ensure(tuples->tuple != NULL, "the machine has memory left");
    for (uint32_t i = 0; i < slots; i++)
        if (old[i])
            tuples->tuple[tuple_find(tuples, old[i]->tenant, old[i]->scopes, &old[i]->dims)] = old[i];
    free(old);
}

static void tuples_forget(struct tuples *tuples)
{
    for (uint32_t i = 0; i < tuples->slots; i++) {
        free(tuples->tuple[i]);
        tuples->tuple[i] = NULL;
    }
    tuples->count = 0;
}

/* A scope goes with the widest one from whose key its own follows: not where one of them had to give way (limits.keys). */
static void tuple_roll_up(const struct tuples *tuples, struct tuple *tuple)
{
    const struct scope_list *list = &tuples->list[tuple->scopes];
    for (int s = 0; s < list->count; s++) {
        int whole = s;
        for (uint32_t left = tuple->key[s] == NONE ? 0 : list->wider[s]; left;) {
            int t = __builtin_ctz(left);
            bool follows = tuple->key[t] != NONE && key_of_part(tuples, tuple->key[t], list->scope[s] & ~SCOPE_AGENTS) == tuple->key[s];
            whole = follows ? t : whole;
            left = follows ? list->wider[t] : left & (left - 1);
        }
        if (whole == s)
            tuple->direct |= 1u << s;
        else
            tuple->to[whole] |= 1u << s;
    }
}

_Static_assert((int)CONFIG_SCOPE_MAX <= (int)BUNDLE_MOST, "a bundle has a part a scope");

/* One of its names had to give way (limits.keys), and need not tomorrow. */
static bool is_other(const struct key *key)
{
    int v = 0, values = __builtin_popcount(key->scope);
    while (v < values && key->value[v] != 0)
        v++;
    return v < values;
}

/* Those of its agent that are in one fold go together, unless they may be others after a restart: then what came through the one bundle would
 * be taken back through another. */
static void tuple_bundle(struct tuples *tuples, struct tuple *tuple, bool make)
{
    bool other = false;
    tuple->agents = 0;
    for (uint32_t a = 0; a < tuple->parts; a++)
        other |= is_other(&tuples->key[tuple->part[a]]);
    for (uint32_t fold = 0; fold < (uint32_t)tuples->folds; fold++) {
        uint32_t *part = tuple->agent + tuple->agents, parts = 0;
        for (uint32_t a = 0; a < tuple->parts; a++)
            if (tuples->key[tuple->part[a]].fold == fold)
                part[parts++] = tuple->part[a];
        uint32_t bundle = parts > 1 && !other ? bundle_number(tuples, part, parts, make) : NONE;
        if (bundle != NONE)
            part[0] = bundle;
        tuple->agents += bundle != NONE ? 1 : parts;
    }
}

static void tuple_fill(struct tuples *tuples, struct tuple *tuple)
{
    uint32_t agent = tuple->dims.id[DIMENSION_agent];
    for (int s = 0; s < tuples->list[tuple->scopes].count; s++) {
        uint32_t scope = tuples->list[tuple->scopes].scope[s];
        struct key key = {.tenant = tuple->tenant, .scope = scope & ~SCOPE_AGENTS};
        int count = 0;
        bool whole = true;
        for (uint32_t left = key.scope; left; left &= left - 1) {
            key.value[count] = tuple->dims.id[__builtin_ctz(left)];
            whole &= key.value[count++] != 0;
        }
        tuple->key[s] = whole ? key_number(tuples, key) : NONE;
        if (whole && agent && scope & SCOPE_AGENTS)
            tuple->part[tuple->parts++] = agent_number(tuples, tuple->key[s], agent);
    }
    tuple_bundle(tuples, tuple, false);
    tuple_roll_up(tuples, tuple);
}

const struct tuple *tuple_of(struct tuples *tuples, uint32_t tenant, uint32_t scopes, const struct dims *full)
{
    struct dims dims = {{0}};
    for (uint32_t left = tuples->list[scopes].used; left; left &= left - 1) {
        int i = __builtin_ctz(left);
        dims.id[i] = full->id[i];
    }
    uint32_t slot = tuple_find(tuples, tenant, scopes, &dims);
    if (tuples->tuple[slot]) {
        if (++tuples->tuple[slot]->met == BUNDLED_FROM)
            tuple_bundle(tuples, tuples->tuple[slot], true);
        return tuples->tuple[slot];
    }
    if (tuples->count >= tuples->most) { /* it only saves look-ups: begun anew, it costs them again */
        tuples_forget(tuples);
        slot = tuple_find(tuples, tenant, scopes, &dims);
    }
    if (tuples->count * 2 >= tuples->slots) {
        tuples_grow(tuples);
        slot = tuple_find(tuples, tenant, scopes, &dims);
    }
    struct tuple *tuple = malloc(sizeof *tuple);
    ensure(tuple != NULL, "the machine has memory left");
    *tuple = (struct tuple){.tenant = tenant, .scopes = scopes, .dims = dims};
    tuple_fill(tuples, tuple);
    tuples->tuple[slot] = tuple;
    tuples->count++;
    return tuple;
}
