/* A level's buckets, one a start: found by a hash, and in order for edges and for whoever visits all. New ones stand behind the others until somebody
 * wants the order: a replay of a sparse feed brings thousands between two moves, from anywhere in time. */
#include "pane_parts.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

static uint32_t start_hash(int64_t start_ms)
{
    return slots_hash((uint64_t)start_ms, 0);
}

static void *must(void *block)
{
    ensure(block != NULL, "the machine has memory left");
    return block;
}

void buckets_init(struct level *level)
{
    slots_init(&level->starts, 64);
}

void buckets_close(struct level *level)
{
    slots_close(&level->starts);
    free(level->bucket);
    free(level->order);
    free(level->number_free);
}

struct bucket *bucket_find(const struct level *level, int64_t start_ms)
{
    uint32_t hash = start_hash(start_ms), n;
    for (uint32_t i = slots_home(&level->starts, hash); (n = slots_match(&level->starts, hash, &i)) != SLOTS_NONE;)
        if (level->bucket[n].start_ms == start_ms)
            return &level->bucket[n];
    return NULL;
}

static uint32_t number_take(struct level *level)
{
    if (level->numbers_free)
        return level->number_free[--level->numbers_free];
    if (level->made == level->room) {
        level->room = level->room ? level->room * 2 : 64;
        level->bucket = must(realloc(level->bucket, level->room * sizeof *level->bucket));
        level->number_free = must(realloc(level->number_free, level->room * sizeof *level->number_free));
    }
    return level->made++;
}

/* Behind the others. Those before `first` are gone: their room is used again when they are the half of it. */
static void order_put(struct level *level, uint32_t number)
{
    if (level->first + level->count == level->order_room && level->first > level->count) {
        memmove(level->order, level->order + level->first, level->count * sizeof *level->order);
        level->first = 0;
    } else if (level->first + level->count == level->order_room) {
        level->order_room = level->order_room ? level->order_room * 2 : 64;
        level->order = must(realloc(level->order, level->order_room * sizeof *level->order));
    }
    level->order[level->first + level->count++] = number;
}

struct bucket *bucket_of(struct level *level, int64_t start_ms)
{
    struct bucket *bucket = bucket_find(level, start_ms);
    if (bucket)
        return bucket;
    uint32_t number = number_take(level);
    level->bucket[number] = (struct bucket){.start_ms = start_ms};
    slots_put(&level->starts, start_hash(start_ms), number);
    if (level->sorted == level->count && (level->count == 0 || bucket_in(level, level->count - 1)->start_ms < start_ms))
        level->sorted++;
    order_put(level, number);
    return &level->bucket[number];
}

void bucket_put(struct level *level, int64_t start_ms, uint32_t p)
{
    struct bucket *bucket = bucket_of(level, start_ms);
    if (bucket->count == bucket->room) {
        bucket->room = bucket->room ? bucket->room * 2 : 4;
        bucket->pane = must(realloc(bucket->pane, bucket->room * sizeof *bucket->pane));
    }
    bucket->pane[bucket->count++] = p;
}

static int by_start(const void *left, const void *right, void *context)
{
    const struct bucket *bucket = context;
    int64_t a = bucket[*(const uint32_t *)left].start_ms, b = bucket[*(const uint32_t *)right].start_ms;
    return (a > b) - (a < b);
}

/* Those behind go in among the others, from the end on. */
static void sort(struct level *level)
{
    uint32_t new = level->count - level->sorted, *order = level->order + level->first, old = level->sorted, at = level->count;
    uint32_t *behind = must(malloc(new * sizeof *behind));
    memcpy(behind, order + old, new * sizeof *behind);
    qsort_r(behind, new, sizeof *behind, by_start, level->bucket);
    while (new > 0) {
        bool older = old > 0 && level->bucket[order[old - 1]].start_ms > level->bucket[behind[new - 1]].start_ms;
        order[--at] = older ? order[--old] : behind[--new];
    }
    free(behind);
    level->sorted = level->count;
}

uint32_t bucket_from(struct level *level, int64_t start_ms)
{
    if (level->sorted < level->count)
        sort(level);
    uint32_t low = 0, high = level->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bucket_in(level, middle)->start_ms < start_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void buckets_drop_first(struct level *level)
{
    uint32_t number = level->order[level->first];
    slots_remove(&level->starts, start_hash(level->bucket[number].start_ms), number);
    free(level->bucket[number].pane);
    level->number_free[level->numbers_free++] = number;
    level->first++;
    level->count--;
    level->sorted--;
}
