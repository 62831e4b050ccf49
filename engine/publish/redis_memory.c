/* redis_memory: what the sink knows of Redis' keys, so that it need not ask: which fields a key has and when it expires, and which
 * keys a batch has changed. It is a memory only: forgetting any of it costs some bytes more on the wire, never a wrong figure. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/err.h"
#include "redis_parts.h"

enum {
    SLOTS_FIRST = 1024,
    SWEEP_MS = 60000,        /* a full table is swept this often */
    KEYS_KEPT = 256 << 10,   /* bytes of changed keys; a larger buffer is given back */
    KEYS_ROOM_FIRST = 4096,
};

/* --- keys: open addressing, never more than three quarters full; what expires stays until a sweep --- */

uint64_t redis_hash(const char *key, size_t length, uint64_t seed)
{
    uint64_t hash = XXH3_64bits_withSeed(key, length, seed);
    return hash ? hash : 1;
}

static void slots_take(struct redis_memory *memory, uint64_t slots)
{
    memory->slot = calloc(slots, sizeof *memory->slot);
    ensure(memory->slot != NULL, "the machine has memory left");
    memory->slots = slots;
    memory->count = 0;
}

void redis_memory_init(struct redis_memory *memory, uint64_t most)
{
    *memory = (struct redis_memory){.most = most, .swept_ms = INT64_MIN / 2};
    slots_take(memory, SLOTS_FIRST);
}

void redis_memory_close(struct redis_memory *memory)
{
    free(memory->slot);
    *memory = (struct redis_memory){0};
}

void redis_memory_clear(struct redis_memory *memory)
{
    free(memory->slot);
    slots_take(memory, SLOTS_FIRST);
}

/* The key's slot, or the empty one where it belongs. */
static struct redis_key *slot_of(const struct redis_memory *memory, uint64_t hash)
{
    uint64_t i = hash & (memory->slots - 1);
    while (memory->slot[i].hash && memory->slot[i].hash != hash)
        i = (i + 1) & (memory->slots - 1);
    return &memory->slot[i];
}

static void rebuild(struct redis_memory *memory, uint64_t slots, int64_t now_ms)
{
    struct redis_key *old = memory->slot;
    uint64_t old_slots = memory->slots;
    slots_take(memory, slots);
    for (uint64_t i = 0; i < old_slots; i++)
        if (old[i].hash && old[i].expires_ms > now_ms) {
            *slot_of(memory, old[i].hash) = old[i];
            memory->count++;
        }
    free(old);
}

struct redis_key *redis_memory_find(struct redis_memory *memory, uint64_t hash, int64_t now_ms)
{
    struct redis_key *key = slot_of(memory, hash);
    return key->hash && key->expires_ms > now_ms ? key : NULL;
}

struct redis_key *redis_memory_put(struct redis_memory *memory, uint64_t hash, int64_t now_ms)
{
    struct redis_key *key = slot_of(memory, hash);
    if (key->hash)
        return key;
    if (memory->count >= memory->most) {
        if (now_ms - memory->swept_ms < SWEEP_MS)
            return NULL;
        memory->swept_ms = now_ms;
        rebuild(memory, memory->slots, now_ms);
        if (memory->count >= memory->most)
            return NULL;
    } else if (memory->count >= memory->slots / 4 * 3) {
        rebuild(memory, memory->slots * 2, now_ms);
    }
    key = slot_of(memory, hash);
    *key = (struct redis_key){.hash = hash};
    memory->count++;
    return key;
}

/* --- tenants --- */

void redis_tenants_init(struct redis_tenants *tenants)
{
    *tenants = (struct redis_tenants){.slots = 2 * REDIS_TENANTS_MAX};
    tenants->slot = calloc(tenants->slots, sizeof *tenants->slot);
    tenants->dirty = calloc(REDIS_TENANTS_MAX, sizeof *tenants->dirty);
    ensure(tenants->slot && tenants->dirty, "the machine has memory left");
}

void redis_tenants_clear(struct redis_tenants *tenants)
{
    for (uint32_t i = 0; i < tenants->count; i++) {
        free(tenants->tenant[i].prefix);
        free(tenants->tenant[i].keys);
    }
    memset(tenants->slot, 0, tenants->slots * sizeof *tenants->slot);
    tenants->count = tenants->dirty_count = 0;
}

void redis_tenants_close(struct redis_tenants *tenants)
{
    redis_tenants_clear(tenants);
    free(tenants->tenant);
    free(tenants->slot);
    free(tenants->dirty);
    *tenants = (struct redis_tenants){0};
}

static void prefix_make(struct redis_tenant *tenant, const char *name)
{
    static const char head[] = "esteem:v1:{";
    size_t room = sizeof head + 3 * strlen(name) + sizeof "}:";
    tenant->prefix = malloc(room);
    ensure(tenant->prefix != NULL, "the machine has memory left");
    memcpy(tenant->prefix, head, sizeof head);
    tenant->prefix_length = sizeof head - 1;
    tenant->prefix_length += row_encode(name, tenant->prefix + tenant->prefix_length, room - tenant->prefix_length);
    memcpy(tenant->prefix + tenant->prefix_length, "}:", sizeof "}:");
    tenant->prefix_length += 2;
}

static struct redis_tenant *tenant_new(struct redis_tenants *tenants, uint64_t hash, const char *name)
{
    if (tenants->count == tenants->room) {
        tenants->room = tenants->room ? tenants->room * 2 : 16;
        tenants->tenant = realloc(tenants->tenant, tenants->room * sizeof *tenants->tenant);
        ensure(tenants->tenant != NULL, "the machine has memory left");
    }
    struct redis_tenant *tenant = &tenants->tenant[tenants->count++];
    *tenant = (struct redis_tenant){.hash = hash, .newest_ms = INT64_MIN, .trimmed_ms = INT64_MIN};
    prefix_make(tenant, name);
    return tenant;
}

struct redis_tenant *redis_tenant_find(struct redis_tenants *tenants, const char *name)
{
    uint64_t hash = redis_hash(name, strlen(name), 0);
    uint32_t i = (uint32_t)hash & (tenants->slots - 1);
    for (; tenants->slot[i]; i = (i + 1) & (tenants->slots - 1))
        if (tenants->tenant[tenants->slot[i] - 1].hash == hash)
            return &tenants->tenant[tenants->slot[i] - 1];
    struct redis_tenant *tenant = tenant_new(tenants, hash, name);
    tenants->slot[i] = tenants->count;
    return tenant;
}

void redis_tenant_changed(struct redis_tenants *tenants, struct redis_tenant *tenant, const char *key, size_t length)
{
    if (tenant->changed++ == 0)
        tenants->dirty[tenants->dirty_count++] = (uint32_t)(tenant - tenants->tenant);
    if (tenant->changed > REDIS_CHANGED_MAX)
        return;
    if (tenant->keys_room - tenant->keys_length < length + 1) {
        tenant->keys_room = (tenant->keys_length + length + 1) * 2 + KEYS_ROOM_FIRST;
        tenant->keys = realloc(tenant->keys, tenant->keys_room);
        ensure(tenant->keys != NULL, "the machine has memory left");
    }
    if (tenant->keys_length)
        tenant->keys[tenant->keys_length++] = '\n';
    memcpy(tenant->keys + tenant->keys_length, key, length);
    tenant->keys_length += length;
}

void redis_tenant_told(struct redis_tenant *tenant)
{
    tenant->changed = 0;
    tenant->keys_length = 0;
    if (tenant->keys_room > KEYS_KEPT) {
        free(tenant->keys);
        tenant->keys = NULL;
        tenant->keys_room = 0;
    }
}
