/* Open addressing, never more than three quarters full, up to the bound; what has expired stays until a sweep finds it. */
#include "key_memory.h"

#include <stdlib.h>
#include <xxhash.h>

#include "esteem/err.h"

enum {
    SLOTS_FIRST = 1024,
    SWEEP_MS = 60000, /* a full table is swept this often */
};

uint64_t key_memory_hash(const char *key, size_t length, uint64_t seed)
{
    uint64_t hash = XXH3_64bits_withSeed(key, length, seed);
    return hash ? hash : 1;
}

static void slots_take(struct key_memory *memory, uint64_t slots)
{
    memory->slot = calloc(slots, sizeof *memory->slot);
    ensure(memory->slot != NULL, "the machine has memory left");
    memory->slots = slots;
    memory->count = 0;
}

void key_memory_init(struct key_memory *memory, uint64_t most)
{
    *memory = (struct key_memory){.most = most, .swept_ms = INT64_MIN / 2};
    slots_take(memory, SLOTS_FIRST);
}

void key_memory_close(struct key_memory *memory)
{
    free(memory->slot);
    *memory = (struct key_memory){0};
}

void key_memory_clear(struct key_memory *memory)
{
    free(memory->slot);
    slots_take(memory, SLOTS_FIRST);
}

/* The key's slot, or the empty one where it belongs. */
static struct key_known *slot_of(const struct key_memory *memory, uint64_t hash)
{
    uint64_t i = hash & (memory->slots - 1);
    while (memory->slot[i].hash && memory->slot[i].hash != hash)
        i = (i + 1) & (memory->slots - 1);
    return &memory->slot[i];
}

static void rebuild(struct key_memory *memory, uint64_t slots, int64_t now_ms)
{
    struct key_known *old = memory->slot;
    uint64_t old_slots = memory->slots;
    slots_take(memory, slots);
    for (uint64_t i = 0; i < old_slots; i++)
        if (old[i].hash && old[i].expires_ms > now_ms) {
            *slot_of(memory, old[i].hash) = old[i];
            memory->count++;
        }
    free(old);
}

struct key_known *key_memory_find(struct key_memory *memory, uint64_t hash, int64_t now_ms)
{
    struct key_known *key = slot_of(memory, hash);
    return key->hash && key->expires_ms > now_ms ? key : NULL;
}

struct key_known *key_memory_put(struct key_memory *memory, uint64_t hash, int64_t now_ms)
{
    struct key_known *key = slot_of(memory, hash);
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
    *key = (struct key_known){.hash = hash};
    memory->count++;
    return key;
}
