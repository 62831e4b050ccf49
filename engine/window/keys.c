/* A fold's scope keys: found by their strings, kept for good (limits.keys bounds them), each with its tenant's zone. */
#include "fold_parts.h"

void key_may_be_told(struct key *key)
{
    memset(key->told, 0xff, sizeof key->told);
    memset(key->published, 0xff, sizeof key->published);
    key->now_told = key->now_published = key_is_agent(key) ? 0 : UINT8_MAX;
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

/* `within`: of an agent's key. */
static struct key *key_new(struct fold *fold, const struct scope_key *text, uint32_t within)
{
    char scope[ROW_SCOPE_MAX];
    size_t size = strlen(text->tenant) + 1, each = within == NONE ? sizeof(struct tally) : sizeof(int64_t[DISTINCT_COUNT]);
    *scope = '\0';
    if (within == NONE)
        (void)row_scope_text(fold->config, text->dimension, text->value, text->count, scope, sizeof scope);
    size += strlen(scope) + 1;
    for (int v = 0; v < text->count; v++)
        size += strlen(text->value[v]) + 1;
    struct key *key = fold_must(calloc(1, sizeof *key + (size_t)fold->rolling_count * each));
    key->within = within;
    key->headcount_ms = INT64_MAX;
    key->held = within == NONE ? NULL : (void *)(key + 1);
    char *at = key->text = fold_must(malloc(size));
    key->tenant = put_text(&at, text->tenant);
    key->scope = put_text(&at, scope);
    for (int v = 0; v < text->count; v++)
        key->value[v] = put_text(&at, text->value[v]);
    key->mask = text->scope;
    key->count = text->count;
    memcpy(key->dimension, text->dimension, sizeof key->dimension);
    key->zone = zone_find(fold, text->tenant);
    memset(key->last, 0xff, sizeof key->last);
    key->baseline = key->alert = key->now = NONE;
    return key;
}

/* A key more of its scope; few scopes ever are. */
static uint32_t scope_count(struct fold *fold, uint32_t mask)
{
    uint32_t i = 0;
    while (i < fold->scopes && fold->scope_keys[i].mask != mask)
        i++;
    if (i == fold->scopes) {
        fold->scope_keys = fold_must(realloc(fold->scope_keys, (i + 1) * sizeof *fold->scope_keys));
        fold->scope_keys[fold->scopes++] = (struct scope_keys){.mask = mask};
    }
    fold->scope_keys[i].keys++;
    return i;
}

static uint32_t free_slot(const struct fold *fold, uint64_t hash)
{
    uint32_t mask = fold->key_slots - 1, i = (uint32_t)hash & mask;
    while (fold->key_slot[i] != NONE)
        i = (i + 1) & mask;
    return i;
}

static void key_slots_grow(struct fold *fold)
{
    free(fold->key_slot);
    fold->key_slots *= 2;
    fold->key_slot = slots_plain_new(fold->key_slots);
    for (uint32_t k = 0; k < fold->keys; k++)
        fold->key_slot[free_slot(fold, fold->key[k]->hash)] = k;
}

/* One more, into a slot that is free. */
static struct key *key_put(struct fold *fold, const struct scope_key *text, uint64_t hash, uint32_t slot, uint32_t within)
{
    if (fold->keys == fold->key_room) {
        fold->key_room = fold->key_room ? fold->key_room * 2 : 256;
        fold->key = fold_must(realloc(fold->key, fold->key_room * sizeof(struct key *)));
    }
    struct key *key = fold->key[fold->keys] = key_new(fold, text, within);
    key->hash = hash;
    key->scope_index = scope_count(fold, text->scope);
    if (fold->restored) /* rows of the time before the restart may still stand there: an empty one replaces them */
        key_may_be_told(key);
    fold->key_slot[slot] = fold->keys++;
    if (fold->keys * 2 >= fold->key_slots)
        key_slots_grow(fold);
    return key;
}

uint32_t fold_key_find(const struct fold *fold, const struct scope_key *text)
{
    return fold->key_slot[key_slot(fold, key_hash(text), text)];
}

uint32_t fold_key(struct fold *fold, const struct scope_key *text)
{
    uint64_t hash = key_hash(text);
    uint32_t slot = key_slot(fold, hash, text);
    if (fold->key_slot[slot] != NONE)
        return fold->key_slot[slot];
    uint32_t within = NONE;
    if (text->scope & SCOPE_AGENTS) {
        struct scope_key around = key_within(text);
        within = fold_key(fold, &around);
        slot = key_slot(fold, hash, text); /* the table may have grown */
        fold->agent_keys++;
    }
    struct key *key = key_put(fold, text, hash, slot, within);
    key->hidden = !config_has_scope(fold->config, key_within(text).scope); /* folds know of a reload before shards */
    if (within == NONE)
        across_join(fold, fold->keys - 1, text);
    return fold->keys - 1;
}

/* ---- bundles ---- */

uint64_t fold_bundle_hash(const struct fold *fold, const uint32_t *part, uint32_t parts)
{
    uint64_t hash[BUNDLE_MOST];
    for (uint32_t p = 0; p < parts; p++)
        hash[p] = fold->key[part[p]]->hash;
    return bundle_hash(hash, parts);
}

static uint32_t bundle_slot(const struct fold *fold, uint64_t hash, const uint32_t *part, uint32_t parts)
{
    uint32_t mask = fold->key_slots - 1, i = (uint32_t)hash & mask;
    for (uint32_t k; (k = fold->key_slot[i]) != NONE; i = (i + 1) & mask)
        if (fold->key[k]->parts == parts && memcmp(fold->key[k]->part, part, parts * sizeof *part) == 0)
            break;
    return i;
}

static uint32_t bundle_put(struct fold *fold, uint64_t hash, uint32_t slot, const uint32_t *part, uint32_t parts)
{
    struct scope_key text = {.scope = SCOPE_AGENTS | SCOPE_BUNDLE, .tenant = fold->key[part[0]]->tenant};
    struct key *key = key_put(fold, &text, hash, slot, part[0]);
    key->part = fold_must(malloc(parts * sizeof *part));
    memcpy(key->part, part, parts * sizeof *part);
    key->parts = parts;
    fold->agent_keys++;
    return fold->keys - 1;
}

uint32_t fold_bundle(struct fold *fold, const uint32_t *part, uint32_t parts)
{
    uint64_t hash = fold_bundle_hash(fold, part, parts);
    uint32_t slot = bundle_slot(fold, hash, part, parts), k = fold->key_slot[slot];
    return k != NONE ? k : bundle_put(fold, hash, slot, part, parts);
}

uint32_t fold_bundle_new(struct fold *fold, const uint32_t *part, uint32_t parts)
{
    uint64_t hash = fold_bundle_hash(fold, part, parts);
    return bundle_put(fold, hash, free_slot(fold, hash), part, parts);
}

void key_empty(struct fold *fold, struct key *key, int window)
{
    if (key_is_agent(key))
        memset(key->held[window], 0, sizeof key->held[window]);
    else
        tally_free(&key->difference[window], &fold->slab);
}

void keys_close(struct fold *fold)
{
    for (uint32_t k = 0; k < fold->keys; k++) {
        tally_free(&fold->key[k]->before, &fold->slab);
        for (int w = 0; w < fold->rolling_count; w++)
            key_empty(fold, fold->key[k], w);
        free(fold->key[k]->text);
        free(fold->key[k]->part);
        free(fold->key[k]->baseline_value);
        free(fold->key[k]);
    }
    zones_close(fold);
    free(fold->key);
    free(fold->scope_keys);
    free(fold->key_slot);
}
