#include "esteem/key.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/err.h"

uint64_t key_hash(const struct scope_key *key)
{
    uint64_t hash = XXH3_64bits_withSeed(key->tenant, strlen(key->tenant), key->scope);
    for (int i = 0; i < key->count; i++)
        hash = XXH3_64bits_withSeed(key->value[i], strlen(key->value[i]) + 1, hash);
    return hash ? hash : 1;
}

uint64_t bundle_hash(const uint64_t *part, uint32_t parts)
{
    uint64_t hash = XXH3_64bits_withSeed(part, parts * sizeof *part, SCOPE_BUNDLE);
    return hash ? hash : 1;
}

struct scope_key key_without_channel(const struct scope_key *key)
{
    struct scope_key rest = {.scope = key->scope & ~(1u << DIMENSION_channel), .tenant = key->tenant};
    for (int i = 0; i < key->count; i++)
        if (key->dimension[i] != DIMENSION_channel) {
            rest.dimension[rest.count] = key->dimension[i];
            rest.value[rest.count++] = key->value[i];
        }
    return rest;
}

uint32_t key_fold(const struct scope_key *key, int folds)
{
    struct scope_key within = key_within(key), rest = key_without_channel(&within);
    return (uint32_t)(key_hash(&rest) >> 32) % (uint32_t)folds;
}

enum { SCOPES_MAX = 256 };

struct key_registry {
    pthread_mutex_t lock; /* protects all below */
    uint64_t limit, refused;
    int pressed;
    uint64_t *slot; /* hashes of admitted keys, 0 is empty */
    uint64_t slots, count;
    struct {
        uint32_t scope;
        uint64_t keys;
    } scope[SCOPES_MAX];
    int scopes;
};

struct key_registry *key_registry_new(uint64_t keys_a_scope)
{
    struct key_registry *registry = calloc(1, sizeof *registry);
    ensure(registry != NULL, "the machine has memory left");
    pthread_mutex_init(&registry->lock, NULL);
    registry->limit = keys_a_scope;
    registry->slots = 4096;
    registry->slot = calloc(registry->slots, sizeof *registry->slot);
    ensure(registry->slot != NULL, "the machine has memory left");
    return registry;
}

void key_registry_free(struct key_registry *registry)
{
    if (registry == NULL)
        return;
    pthread_mutex_destroy(&registry->lock);
    free(registry->slot);
    free(registry);
}

static uint64_t *place(struct key_registry *registry, uint64_t hash)
{
    uint64_t i = hash & (registry->slots - 1);
    while (registry->slot[i] && registry->slot[i] != hash)
        i = (i + 1) & (registry->slots - 1);
    return &registry->slot[i];
}

static void grow(struct key_registry *registry)
{
    uint64_t *old = registry->slot, slots = registry->slots;
    registry->slots *= 2;
    registry->slot = calloc(registry->slots, sizeof *registry->slot);
    ensure(registry->slot != NULL, "the machine has memory left");
    for (uint64_t i = 0; i < slots; i++)
        if (old[i])
            *place(registry, old[i]) = old[i];
    free(old);
}

static uint64_t *scope_count(struct key_registry *registry, uint32_t scope)
{
    int i = 0;
    while (i < registry->scopes && registry->scope[i].scope != scope)
        i++;
    ensure(i < SCOPES_MAX, "fewer than 256 scopes were ever configured in one run");
    if (i == registry->scopes) {
        registry->scope[i].scope = scope;
        registry->scopes++;
    }
    return &registry->scope[i].keys;
}

static int admit(struct key_registry *registry, uint32_t scope, uint64_t hash, int force)
{
    pthread_mutex_lock(&registry->lock);
    if (registry->count * 2 >= registry->slots)
        grow(registry);
    uint64_t *slot = place(registry, hash), *keys = scope_count(registry, scope);
    int admitted = *slot == hash || (*keys < registry->limit && !registry->pressed) || force;
    if (!admitted)
        registry->refused += scope != SCOPE_BUNDLE; /* nothing is lost without one */
    else if (*slot != hash) {
        *slot = hash;
        registry->count++;
        ++*keys;
    }
    pthread_mutex_unlock(&registry->lock);
    return admitted;
}

int key_registry_admit(struct key_registry *registry, const struct scope_key *key)
{
    return registry == NULL || admit(registry, key->scope, key_hash(key), 0);
}

int key_registry_admit_bundle(struct key_registry *registry, uint64_t hash)
{
    return registry == NULL || admit(registry, SCOPE_BUNDLE, hash, 0);
}

void key_registry_restore(struct key_registry *registry, const struct scope_key *key)
{
    bool other = key->count > 0;
    for (int v = key->scope & SCOPE_AGENTS ? key->count - 1 : 0; v < key->count; v++)
        other &= strcmp(key->value[v], KEY_OTHER) == 0;
    if (registry && !other)
        (void)admit(registry, key->scope, key_hash(key), 1);
}

int key_registry_knows_bundle(struct key_registry *registry, uint64_t hash)
{
    if (registry == NULL)
        return 0;
    pthread_mutex_lock(&registry->lock);
    int knows = *place(registry, hash) == hash;
    pthread_mutex_unlock(&registry->lock);
    return knows;
}

void key_registry_restore_bundle(struct key_registry *registry, uint64_t hash)
{
    if (registry)
        (void)admit(registry, SCOPE_BUNDLE, hash, 1);
}

void key_registry_press(struct key_registry *registry, int pressed)
{
    pthread_mutex_lock(&registry->lock);
    registry->pressed = pressed;
    pthread_mutex_unlock(&registry->lock);
}

uint64_t key_registry_refused(struct key_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    uint64_t refused = registry->refused;
    pthread_mutex_unlock(&registry->lock);
    return refused;
}
