/* Wide panes that nothing but what is late comes to lie packed: those of a level and start in a few blocks, each ascending by key, a few bytes more than
 * their figures take. An edge that moves reads a block from end to end. What is late takes its pane out of its block again; what has come anew is
 * packed into a further block, and a block of which a quarter is out is given up, when there is time.
 *
 *   block: { varint key - previous key, varint length << 3 | flags, runs } ...
 *
 * A pane is either in a block or in the table (pane.c), so its name stays the name of one. A checkpoint writes blocks first, from end to end;
 * what leaves one before its turn is written as it leaves. */
#include "pane_parts.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/varint.h"

enum { FLAG_OUT = 1 /* it is in the table again */, FLAG_DIRTY = 2 /* of no checkpoint yet */, FLAG_SPANS = 4, FLAG_BITS = 3 };
enum { MARK_EVERY = 32, LOOSE_SHARE = 16, OUT_SHARE = 4, PACKS_WIDTH_MS = 3600000, VISITS_MOST = 65536 /* panes a step */ };

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

/* Takes the block at `link` out of its bucket. */
static void pack_free(struct pane_ladder *ladder, struct level *level, struct pack **link)
{
    struct pack *pack = *link;
    *link = pack->next;
    ladder->packed -= pack->panes - pack->out;
    ladder->packed_bytes -= sizeof *pack + pack->length + pack->marks * sizeof *pack->mark;
    level->packs--;
    free(pack->bytes);
    free(pack->mark);
    free(pack);
}

void pack_free_all(struct pane_ladder *ladder, struct level *level, struct bucket *bucket)
{
    while (bucket->pack)
        pack_free(ladder, level, &bucket->pack);
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

static int ascending(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
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
    struct pack *pack = malloc(sizeof *pack);
    ensure(pack != NULL, "the machine has memory left");
    *pack = (struct pack){.next = bucket->pack, .bytes = shorten(making->bytes, making->length), .length = (uint32_t)making->length, .panes = making->panes,
                          .dirty = making->dirty, .mark = shorten(making->mark, making->marks * sizeof *making->mark), .marks = making->marks};
    bucket->pack = pack;
    ladder->packed += pack->panes;
    ladder->packed_bytes += sizeof *pack + pack->length + pack->marks * sizeof *pack->mark;
    level->packs++;
}

/* The last `count` of the bucket's loose ones. */
static void pack_some(struct pane_ladder *ladder, struct level *level, struct bucket *bucket, uint32_t count)
{
    struct making making = {0};
    uint64_t loose[PACK_MOST]; /* key << 32 | number: to sort them, panes need not be looked at */
    bucket->count -= count;
    for (uint32_t i = 0; i < count; i++)
        loose[i] = (uint64_t)ladder->pane[bucket->pane[bucket->count + i]].key << 32 | bucket->pane[bucket->count + i];
    qsort(loose, count, sizeof *loose, ascending);
    for (uint32_t i = 0; i < count; i++)
        put_loose(ladder, &making, (uint32_t)loose[i]);
    if (making.panes)
        pack_put(ladder, level, bucket, &making);
    if (bucket->count)
        return;
    free(bucket->pane);
    bucket->pane = NULL;
    bucket->room = 0;
}

static uint64_t packed_in(const struct bucket *bucket)
{
    uint64_t packed = 0;
    for (const struct pack *pack = bucket->pack; pack; pack = pack->next)
        packed += pack->panes - pack->out;
    return packed;
}

static void take_all_out(struct pane_ladder *ladder, int k, struct bucket *bucket, struct pack **link, uint32_t number);

static void give_up_blocks(struct pane_ladder *ladder, int k, struct bucket *bucket)
{
    for (struct pack **link = &bucket->pack; *link;)
        if ((uint64_t)(*link)->out * OUT_SHARE > (*link)->panes)
            take_all_out(ladder, k, bucket, link, 0);
        else
            link = &(*link)->next;
}

void pack_level(struct pane_ladder *ladder, int k, int64_t until_ms, uint32_t most)
{
    struct level *level = &ladder->level[k];
    if (level->width_ms < PACKS_WIDTH_MS || ladder->track.running || until_ms < level->packs_due_ms)
        return;
    for (uint32_t b = bucket_from(level, INT64_MIN); b < level->count && bucket_in(level, b)->start_ms + level->width_ms <= until_ms; b++) {
        struct bucket *bucket = bucket_in(level, b);
        give_up_blocks(ladder, k, bucket);
        for (uint64_t packed = packed_in(bucket); bucket->count && (uint64_t)bucket->count * LOOSE_SHARE > packed; packed = packed_in(bucket)) {
            uint32_t count = bucket->count < PACK_MOST ? bucket->count : PACK_MOST;
            if (count > most)
                return; /* with the next step */
            pack_some(ladder, level, bucket, count);
            most -= count;
        }
    }
    level->packs_due_ms = until_ms == INT64_MAX ? INT64_MIN : until_ms + level->width_ms;
}

/* ---- taking panes out ---- */

/* Where a pane lies. */
struct spot {
    int level;
    int64_t start_ms;
    uint32_t number; /* of its block */
};

static bool is_written(const struct pack_walk *dump, const struct spot *at, uint32_t offset)
{
    if (at->level != dump->level)
        return at->level < dump->level;
    if (at->start_ms != dump->start_ms)
        return at->start_ms < dump->start_ms;
    return at->number != dump->number ? at->number < dump->number : offset < dump->cursor.offset;
}

/* A checkpoint that runs has it, or gets it now. */
static void keep_for_checkpoint(struct pane_ladder *ladder, const struct spot *at, const struct packed *one)
{
    const struct pack_walk *dump = &ladder->pack_dump;
    if (!dump->running || is_written(dump, at, one->offset) || !(dump->full || *one->flags & FLAG_DIRTY) || !slice_late_open(ladder->out))
        return;
    uint8_t *to = pane_put_name(slice_put_late(ladder->out, SLICE_PANE, PANE_HEAD + one->length), one->key, at->level, at->start_ms);
    slice_put_end_late(ladder->out, (uint8_t *)memcpy(to, one->runs, one->length) + one->length);
}

static uint32_t take_out(struct pane_ladder *ladder, const struct spot *at, struct pack *pack, const struct packed *one)
{
    keep_for_checkpoint(ladder, at, one);
    uint32_t p = pane_make(ladder, one->key, at->level, at->start_ms);
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
    struct spot at = {k, start_ms, 0};
    struct packed one;
    const struct bucket *bucket = ladder->level[k].packs ? bucket_find(&ladder->level[k], start_ms) : NULL;
    for (struct pack *pack = bucket ? bucket->pack : NULL; pack; pack = pack->next, at.number++)
        if (pack_find(pack, key, &one))
            return take_out(ladder, &at, pack, &one);
    return NONE;
}

static void take_all_out(struct pane_ladder *ladder, int k, struct bucket *bucket, struct pack **link, uint32_t number)
{
    struct spot at = {k, bucket->start_ms, number};
    struct pack_cursor cursor = {0, 0};
    for (struct packed one; pack_next(*link, &cursor, &one);)
        (void)take_out(ladder, &at, *link, &one);
    pack_free(ladder, &ladder->level[k], link);
}

/* Under another name: for the next checkpoint they are new. */
static void rename_all(struct pane_ladder *ladder, int k, int64_t start_ms, struct pack *pack)
{
    struct pack_cursor cursor = {0, 0};
    for (struct packed one; pack_next(pack, &cursor, &one);) {
        pane_note_gone(ladder, one.key, k, start_ms);
        pack->dirty += !(*one.flags & FLAG_DIRTY);
        *one.flags |= FLAG_DIRTY;
    }
}

void pack_move(struct pane_ladder *ladder, int k, int64_t start_ms, int to)
{
    struct level *level = &ladder->level[k], *next = &ladder->level[to];
    struct bucket *bucket = bucket_find(level, start_ms);
    if (bucket->pack == NULL)
        return;
    bool whole = next->width_ms == level->width_ms && bucket_find(next, start_ms) == NULL && !ladder->track.running;
    if (!whole) {
        for (uint32_t number = 0; bucket->pack; number++)
            take_all_out(ladder, k, bucket, &bucket->pack, number);
        return;
    }
    for (struct pack *pack = bucket->pack; pack; pack = pack->next, level->packs--, next->packs++)
        if (track_on(&ladder->track))
            rename_all(ladder, k, start_ms, pack);
    bucket_of(next, start_ms)->pack = bucket->pack;
    bucket->pack = NULL;
}

void pack_drop(struct pane_ladder *ladder, int k, struct bucket *bucket, pack_goes *goes)
{
    struct spot at = {k, bucket->start_ms, 0};
    for (const struct pack *pack = bucket->pack; pack; pack = pack->next, at.number++) {
        struct pack_cursor cursor = {0, 0};
        for (struct packed one; pack_next(pack, &cursor, &one);) {
            keep_for_checkpoint(ladder, &at, &one);
            pane_note_gone(ladder, one.key, k, at.start_ms);
            goes(ladder, &one);
        }
    }
    pack_free_all(ladder, &ladder->level[k], bucket);
}

/* ---- all of them ---- */

/* The next pane of the bucket, in the order of its blocks; where no block before `number` has been looked at again. */
static bool next_in_bucket(const struct bucket *bucket, struct pack_walk *walk, struct pack **pack, struct packed *one)
{
    uint32_t number = 0;
    for (*pack = bucket->pack; *pack; *pack = (*pack)->next, number++) {
        if (number < walk->number)
            continue;
        if (number > walk->number) {
            walk->number = number;
            walk->cursor = (struct pack_cursor){0, 0};
        }
        if ((walk->full || (*pack)->dirty) && pack_next(*pack, &walk->cursor, one))
            return true;
    }
    return false;
}

/* The next packed pane from where `walk` stands; false: there are no more. */
static bool walk_next(struct pane_ladder *ladder, struct pack_walk *walk, struct pack **pack, struct packed *one)
{
    for (; walk->level < ladder->count; walk->level++, walk->start_ms = INT64_MIN) {
        struct level *level = &ladder->level[walk->level];
        for (uint32_t b = level->packs ? bucket_from(level, walk->start_ms) : level->count; b < level->count; b++) {
            const struct bucket *bucket = bucket_in(level, b);
            if (bucket->start_ms != walk->start_ms) {
                walk->start_ms = bucket->start_ms;
                walk->number = 0;
                walk->cursor = (struct pack_cursor){0, 0};
            }
            if (next_in_bucket(bucket, walk, pack, one))
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
    for (uint32_t visits = 0; dump->running && ladder->out->bytes < until_bytes && visits < VISITS_MOST; visits++) {
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
