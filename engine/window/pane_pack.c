/* Wide panes that nothing but what is late comes to lie packed: those of a level and start in one block, ascending by key, a few bytes more than their
 * figures take. An edge that moves reads a block from end to end. What is late takes its pane out of the block again; when many have gone, or have
 * come anew beside it, the block is made anew.
 *
 *   block: { varint key - previous key, varint length << 3 | flags, runs } ...
 *
 * A pane is either in the block or in the table (pane.c), so its name stays the name of one. A checkpoint writes blocks first, from end to end;
 * what leaves one before its turn is written as it leaves. */
#include "pane_parts.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/varint.h"

enum { FLAG_OUT = 1 /* it is in the table again */, FLAG_DIRTY = 2 /* of no checkpoint yet */, FLAG_SPANS = 4, FLAG_BITS = 3 };
enum { MARK_EVERY = 32, LOOSE_SHARE = 4, PACKS_WIDTH_MS = 3600000, BLOCK_MOST = 1 << 30 };

/* ---- one block ---- */

bool pack_next(const struct pack *pack, struct pack_cursor *cursor, struct packed *one)
{
    while (cursor->offset < pack->length) {
        uint64_t step, head;
        const uint8_t *begins = pack->bytes + cursor->offset, *at = varint_get(begins, &step);
        cursor->key += (uint32_t)step;
        uint8_t *flags = pack->bytes + (at - pack->bytes);
        at = varint_get(at, &head);
        *one = (struct packed){.key = cursor->key, .offset = cursor->offset, .length = (uint32_t)(head >> FLAG_BITS), .runs = at, .flags = flags,
                               .spans = head & FLAG_SPANS};
        cursor->offset = (uint32_t)(at + one->length - pack->bytes);
        if (!(head & FLAG_OUT))
            return true;
    }
    return false;
}

void packed_tally(const struct packed *one, struct tally *view)
{
    *view = (struct tally){.length = one->length, .settled = one->length};
    if (one->length <= TALLY_INSIDE)
        memcpy(view->inside, one->runs, one->length);
    else
        view->block.bytes = (uint8_t *)(uintptr_t)one->runs; /* nobody writes to it */
}

/* Where to begin in search of a key: the last mark that is not beyond it. */
static struct pack_cursor cursor_before(const struct pack *pack, uint32_t key)
{
    uint32_t low = 0, high = pack->marks;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (pack->mark[middle].first <= key)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? pack->mark[low - 1].cursor : (struct pack_cursor){0, 0};
}

static bool pack_find(const struct pack *pack, uint32_t key, struct packed *one)
{
    struct pack_cursor cursor = cursor_before(pack, key);
    while (pack_next(pack, &cursor, one))
        if (one->key >= key)
            return one->key == key;
    return false;
}

void pack_free(struct pane_ladder *ladder, struct level *level, struct bucket *bucket)
{
    struct pack *pack = bucket->pack;
    if (pack == NULL)
        return;
    ladder->packed -= pack->panes - pack->out;
    ladder->packed_bytes -= sizeof *pack + pack->length + pack->marks * sizeof *pack->mark;
    level->packs--;
    free(pack->bytes);
    free(pack->mark);
    free(pack);
    bucket->pack = NULL;
}

/* ---- making one ---- */

struct making {
    uint8_t *bytes;
    size_t length, room;
    struct pack_mark *mark;
    uint32_t panes, dirty, marks, marks_room, last;
};

static void put(struct making *making, uint32_t key, const uint8_t *runs, uint32_t length, unsigned flags)
{
    if (making->length + length + 2 * VARINT_MAX > making->room) {
        making->room = making->room * 2 + length + 4096;
        making->bytes = realloc(making->bytes, making->room);
        ensure(making->bytes != NULL, "the machine has memory left");
    }
    if (making->panes % MARK_EVERY == 0) {
        if (making->marks == making->marks_room) {
            making->marks_room = making->marks_room * 2 + 16;
            making->mark = realloc(making->mark, making->marks_room * sizeof *making->mark);
            ensure(making->mark != NULL, "the machine has memory left");
        }
        making->mark[making->marks++] = (struct pack_mark){key, {(uint32_t)making->length, making->last}};
    }
    uint8_t *at = varint_put(making->bytes + making->length, key - making->last);
    at = varint_put(at, (uint64_t)length << FLAG_BITS | flags);
    memcpy(at, runs, length);
    making->length = (size_t)(at + length - making->bytes);
    making->last = key;
    making->panes++;
    making->dirty += (flags & FLAG_DIRTY) != 0;
}

/* Those below `key` of the block that was. */
static void put_older(struct making *making, const struct pack *old, struct pack_cursor *cursor, uint64_t key)
{
    struct packed one;
    for (struct pack_cursor next = *cursor; old && pack_next(old, &next, &one) && one.key < key; *cursor = next)
        put(making, one.key, one.runs, one.length, *one.flags & (FLAG_DIRTY | FLAG_SPANS));
}

static void put_loose(struct pane_ladder *ladder, struct making *making, uint32_t p)
{
    struct pane *pane = &ladder->pane[p];
    if (tally_is_zero(&pane->tally, &ladder->slab, &ladder->dense)) {
        pane_drop(ladder, p);
        return;
    }
    put(making, pane->key, tally_bytes(&pane->tally), pane->tally.length, (pane->spans ? FLAG_SPANS : 0) | (pane->mark.dirty ? FLAG_DIRTY : 0));
    pane_forget(ladder, p);
}

static int by_key(const void *left, const void *right, void *context)
{
    const struct pane *pane = context;
    uint32_t a = pane[*(const uint32_t *)left].key, b = pane[*(const uint32_t *)right].key;
    return (a > b) - (a < b);
}

static void *shorten(void *block, size_t size)
{
    block = realloc(block, size);
    ensure(block != NULL, "what becomes shorter stays");
    return block;
}

static void pack_put(struct pane_ladder *ladder, struct level *level, struct bucket *bucket, const struct making *making)
{
    struct pack *pack = calloc(1, sizeof *pack);
    ensure(pack != NULL, "the machine has memory left");
    *pack = (struct pack){.bytes = shorten(making->bytes, making->length), .length = (uint32_t)making->length, .panes = making->panes,
                          .dirty = making->dirty, .mark = shorten(making->mark, making->marks * sizeof *making->mark), .marks = making->marks};
    bucket->pack = pack;
    ladder->packed += pack->panes;
    ladder->packed_bytes += sizeof *pack + pack->length + pack->marks * sizeof *pack->mark;
    level->packs++;
}

static void pack_bucket(struct pane_ladder *ladder, struct level *level, struct bucket *bucket)
{
    struct making making = {0};
    struct pack_cursor older = {0, 0};
    qsort_r(bucket->pane, bucket->count, sizeof *bucket->pane, by_key, ladder->pane);
    for (uint32_t i = 0; i < bucket->count; i++) {
        put_older(&making, bucket->pack, &older, ladder->pane[bucket->pane[i]].key);
        put_loose(ladder, &making, bucket->pane[i]);
    }
    put_older(&making, bucket->pack, &older, UINT64_MAX);
    pack_free(ladder, level, bucket);
    free(bucket->pane);
    bucket->pane = NULL;
    bucket->count = bucket->room = 0;
    if (making.panes)
        pack_put(ladder, level, bucket, &making);
}

static bool worthwhile(const struct bucket *bucket)
{
    uint64_t packed = bucket->pack ? bucket->pack->panes : 0, out = bucket->pack ? bucket->pack->out : 0;
    return bucket->count && (bucket->count + out) * LOOSE_SHARE > packed && (bucket->pack ? bucket->pack->length : 0) < BLOCK_MOST;
}

void pack_level(struct pane_ladder *ladder, int k, int64_t until_ms)
{
    struct level *level = &ladder->level[k];
    if (level->width_ms < PACKS_WIDTH_MS || ladder->track.running || until_ms < level->packs_due_ms)
        return;
    for (uint32_t b = bucket_from(level, INT64_MIN); b < level->count && bucket_in(level, b)->start_ms + level->width_ms <= until_ms; b++)
        if (worthwhile(bucket_in(level, b)))
            pack_bucket(ladder, level, bucket_in(level, b));
    level->packs_due_ms = until_ms == INT64_MAX ? INT64_MIN : until_ms + level->width_ms;
}

/* ---- taking panes out ---- */

/* A checkpoint that runs has it, or gets it now. */
static void keep_for_checkpoint(struct pane_ladder *ladder, int k, int64_t start_ms, const struct packed *one)
{
    const struct pack_walk *dump = &ladder->pack_dump;
    bool written = !dump->running || k < dump->level || (k == dump->level && (start_ms < dump->start_ms || (start_ms == dump->start_ms && one->offset < dump->cursor.offset)));
    if (!written && (dump->full || *one->flags & FLAG_DIRTY) && slice_late_open(ladder->out)) {
        uint8_t *at = pane_put_name(slice_put_late(ladder->out, SLICE_PANE, PANE_HEAD + one->length), one->key, k, start_ms);
        slice_put_end_late(ladder->out, (uint8_t *)memcpy(at, one->runs, one->length) + one->length);
    }
}

static uint32_t take_out(struct pane_ladder *ladder, int k, int64_t start_ms, struct pack *pack, const struct packed *one)
{
    keep_for_checkpoint(ladder, k, start_ms, one);
    uint32_t p = pane_make(ladder, one->key, k, start_ms);
    tally_add(&ladder->pane[p].tally, &ladder->slab, &ladder->dense, one->runs, one->length);
    ladder->pane[p].spans = one->spans;
    pack->dirty -= (*one->flags & FLAG_DIRTY) != 0;
    *one->flags = (uint8_t)((*one->flags & ~FLAG_DIRTY) | FLAG_OUT);
    pack->out++;
    ladder->packed--;
    return p;
}

uint32_t pack_take_out(struct pane_ladder *ladder, uint32_t key, int k, int64_t start_ms)
{
    struct level *level = &ladder->level[k];
    struct packed one;
    if (level->packs == 0)
        return NONE;
    const struct bucket *bucket = bucket_find(level, start_ms);
    if (bucket == NULL || bucket->pack == NULL || !pack_find(bucket->pack, key, &one))
        return NONE;
    return take_out(ladder, k, start_ms, bucket->pack, &one);
}

void pack_take_all_out(struct pane_ladder *ladder, int k, struct bucket *bucket)
{
    struct pack_cursor cursor = {0, 0};
    for (struct packed one; bucket->pack && pack_next(bucket->pack, &cursor, &one);)
        (void)take_out(ladder, k, bucket->start_ms, bucket->pack, &one);
    pack_free(ladder, &ladder->level[k], bucket);
}

void pack_drop(struct pane_ladder *ladder, int k, struct bucket *bucket, pack_goes *goes)
{
    struct pack_cursor cursor = {0, 0};
    for (struct packed one; bucket->pack && pack_next(bucket->pack, &cursor, &one);) {
        keep_for_checkpoint(ladder, k, bucket->start_ms, &one);
        pane_note_gone(ladder, one.key, k, bucket->start_ms);
        goes(ladder, &one);
    }
    pack_free(ladder, &ladder->level[k], bucket);
}

/* ---- all of them ---- */

/* The next packed pane from where `walk` stands; false: there are no more. */
static bool walk_next(struct pane_ladder *ladder, struct pack_walk *walk, struct pack **pack, struct packed *one)
{
    for (; walk->level < ladder->count; walk->level++, walk->start_ms = INT64_MIN) {
        struct level *level = &ladder->level[walk->level];
        for (uint32_t b = level->packs ? bucket_from(level, walk->start_ms) : level->count; b < level->count; b++) {
            const struct bucket *bucket = bucket_in(level, b);
            if (bucket->start_ms != walk->start_ms) {
                walk->start_ms = bucket->start_ms;
                walk->cursor = (struct pack_cursor){0, 0};
            }
            *pack = bucket->pack;
            if (bucket->pack && (walk->full || bucket->pack->dirty) && pack_next(bucket->pack, &walk->cursor, one))
                return true;
        }
    }
    return false;
}

void pack_dump_begin(struct pane_ladder *ladder, bool full)
{
    ladder->pack_dump = (struct pack_walk){.running = true, .full = full, .start_ms = INT64_MIN};
}

bool pack_dump_step(struct pane_ladder *ladder, uint64_t until_bytes)
{
    struct pack_walk *dump = &ladder->pack_dump;
    struct pack *pack;
    struct packed one;
    while (dump->running && ladder->out->bytes < until_bytes) {
        if (!walk_next(ladder, dump, &pack, &one)) {
            dump->running = false;
            break;
        }
        bool dirty = *one.flags & FLAG_DIRTY;
        if (!dirty && !dump->full)
            continue;
        uint8_t *at = pane_put_name(slice_put(ladder->out, SLICE_PANE, PANE_HEAD + one.length), one.key, dump->level, dump->start_ms);
        slice_put_end(ladder->out, (uint8_t *)memcpy(at, one.runs, one.length) + one.length);
        *one.flags &= (uint8_t)~FLAG_DIRTY;
        pack->dirty -= dirty;
    }
    return !dump->running;
}

bool pack_pour_next(struct pane_ladder *ladder, struct packed *one, int64_t *start_ms)
{
    struct pack *pack;
    if (!ladder->pour.running)
        ladder->pour = (struct pack_walk){.running = true, .full = true, .start_ms = INT64_MIN};
    bool more = walk_next(ladder, &ladder->pour, &pack, one);
    *start_ms = ladder->pour.start_ms;
    return more;
}
