/* key_memory: what a sink knows of keys it has written, so that it need not ask: a hash table, bounded, by the hash of the key
 * (64 bits stand for it: with three million keys two are mistaken for each other once in a million runs). It is a memory only:
 * what is forgotten costs some bytes more on the wire, never a wrong figure. Runs on: the sink's thread. */
#ifndef ESTEEM_KEY_MEMORY_H
#define ESTEEM_KEY_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "esteem/row.h"

enum { KEY_WORDS = (2 * METRIC_COUNT + ROW_EXTRA_MAX + 1 + 63) / 64 };

struct key_known {
    uint64_t hash;      /* 0: an empty slot */
    int64_t expires_ms; /* no longer known from then on */
    uint64_t word[KEY_WORDS]; /* the sink's own */
};

struct key_memory {
    struct key_known *slot;
    uint64_t slots, count, most;
    int64_t swept_ms;
};

void key_memory_init(struct key_memory *memory, uint64_t most);
void key_memory_clear(struct key_memory *memory);
void key_memory_close(struct key_memory *memory);
uint64_t key_memory_hash(const char *key, size_t length, uint64_t seed); /* never 0 */
/* NULL: not known, or expired. Until the next key_memory_put. */
struct key_known *key_memory_find(struct key_memory *memory, uint64_t hash, int64_t now_ms);
/* Its slot, which the caller fills; NULL: no room. */
struct key_known *key_memory_put(struct key_memory *memory, uint64_t hash, int64_t now_ms);

#endif
