#include "esteem/slice.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/varint.h"

void slice_begin(struct slice_out *out, bool full, uint64_t late_most)
{
    slice_drop(out);
    out->full = full;
    out->late_most = late_most;
}

uint64_t slice_late_most(int64_t limit_memory, int agents)
{
    uint64_t share = limit_memory ? (uint64_t)limit_memory / SLICE_LATE_SHARE / (uint64_t)agents : SLICE_LATE_MOST;
    return share < SLICE_LATE_LEAST ? SLICE_LATE_LEAST : share;
}

static struct slice_block *block_new(size_t room)
{
    struct slice_block *block = malloc(sizeof *block + room);
    ensure(block != NULL, "the machine has memory left");
    *block = (struct slice_block){.room = (uint32_t)room};
    return block;
}

static uint8_t *put(struct slice_chain *chain, enum slice_kind kind, size_t most)
{
    size_t size = most + SLICE_ITEM_HEAD;
    if (chain->last == NULL || chain->last->room - chain->last->length < size) {
        struct slice_block *block = block_new(size > SLICE_BLOCK ? size : SLICE_BLOCK);
        if (chain->last)
            chain->last->next = block;
        else
            chain->first = block;
        chain->last = block;
        chain->blocks++;
    }
    uint8_t *at = chain->last->bytes + chain->last->length;
    *at = (uint8_t)kind;
    return at + SLICE_ITEM_HEAD;
}

static void put_end(struct slice_out *out, struct slice_chain *chain, const uint8_t *end)
{
    struct slice_block *block = chain->last;
    uint8_t *head = block->bytes + block->length;
    uint32_t length = (uint32_t)(end - head) - SLICE_ITEM_HEAD;
    memcpy(head + 1, &length, sizeof length);
    block->length = (uint32_t)(end - block->bytes);
    ensure(block->length <= block->room, "an item keeps within the room it asked for");
    out->items++;
    out->bytes += length + SLICE_ITEM_HEAD;
}

uint8_t *slice_put(struct slice_out *out, enum slice_kind kind, size_t most)
{
    return put(&out->main, kind, most);
}

void slice_put_end(struct slice_out *out, uint8_t *end)
{
    put_end(out, &out->main, end);
}

uint8_t *slice_put_late(struct slice_out *out, enum slice_kind kind, size_t most)
{
    uint32_t blocks = out->late.blocks;
    uint8_t *at = put(&out->late, kind, most);
    if (out->late.blocks > blocks)
        out->late_bytes += sizeof *out->late.last + out->late.last->room;
    return at;
}

void slice_put_end_late(struct slice_out *out, uint8_t *end)
{
    put_end(out, &out->late, end);
}

static void drop(struct slice_chain *chain)
{
    for (struct slice_block *block = chain->first, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    *chain = (struct slice_chain){0};
}

bool slice_late_open(struct slice_out *out)
{
    if (!out->broken && out->late_bytes + SLICE_BLOCK > out->late_most) {
        drop(&out->main);
        drop(&out->late);
        out->late_bytes = 0;
        out->broken = true;
    }
    return !out->broken;
}

void slice_finish(struct slice_out *out)
{
    if (out->late.first) {
        if (out->main.last)
            out->main.last->next = out->late.first;
        else
            out->main.first = out->late.first;
        out->main.last = out->late.last;
        out->main.blocks += out->late.blocks;
        out->late = (struct slice_chain){0};
        out->late_bytes = 0;
    }
    uint64_t items = out->items;
    slice_put_end(out, varint_put(slice_put(out, SLICE_END, VARINT_MAX), items));
    out->main.last->last = true;
    out->main.last->full = out->full;
    out->main.last->broken = out->broken;
    out->ended = true;
}

bool slice_ready(const struct slice_out *out)
{
    return out->main.first && (out->ended || out->main.first != out->main.last); /* the last block of the main chain may still grow */
}

struct slice_block *slice_take(struct slice_out *out)
{
    struct slice_block *block = out->main.first;
    out->main.first = block->next;
    if (out->main.first == NULL)
        out->main.last = NULL;
    block->next = NULL;
    out->main.blocks--;
    return block;
}

void slice_block_free(struct slice_block *block)
{
    free(block);
}

void slice_drop(struct slice_out *out)
{
    drop(&out->main);
    drop(&out->late);
    *out = (struct slice_out){0};
}

uint8_t *slice_text(uint8_t *at, const char *text, size_t length)
{
    at = varint_put(at, length);
    memcpy(at, text, length);
    at[length] = 0;
    return at + length + 1;
}

uint8_t *slice_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

void slice_put_names(struct slice_out *out, const char *table, const char *const *name, uint32_t count)
{
    size_t most = strlen(table) + 2 * VARINT_MAX + 1;
    for (uint32_t i = 0; i < count; i++)
        most += strlen(name[i]) + VARINT_MAX + 1;
    uint8_t *at = slice_text(slice_put(out, SLICE_NAMES, most), table, strlen(table));
    at = varint_put(at, count);
    for (uint32_t i = 0; i < count; i++)
        at = slice_text(at, name[i], strlen(name[i]));
    slice_put_end(out, at);
}

/* ---- reading ---- */

bool slice_next(const uint8_t **at, const uint8_t *end, struct slice_item *item)
{
    *item = (struct slice_item){0};
    if (*at == end)
        return false;
    uint32_t length = 0;
    item->bad = end - *at < SLICE_ITEM_HEAD || **at >= SLICE_KINDS;
    if (!item->bad) {
        memcpy(&length, *at + 1, sizeof length);
        item->bad = length > (size_t)(end - *at) - SLICE_ITEM_HEAD;
    }
    if (item->bad)
        return false;
    item->kind = (enum slice_kind)**at;
    item->at = *at + SLICE_ITEM_HEAD;
    item->end = item->at + length;
    *at = item->end;
    return true;
}

uint64_t slice_get(struct slice_item *item)
{
    uint64_t value = 0;
    for (unsigned shift = 0; item->at < item->end && shift < 64; shift += 7) {
        uint64_t byte = *item->at++;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    item->bad = true;
    return 0;
}

int64_t slice_get_signed(struct slice_item *item)
{
    return unzigzag(slice_get(item));
}

uint64_t slice_get_u64(struct slice_item *item)
{
    uint64_t value = 0;
    if (item->end - item->at < (ptrdiff_t)sizeof value) {
        item->bad = true;
        return 0;
    }
    memcpy(&value, item->at, sizeof value);
    item->at += sizeof value;
    return value;
}

const char *slice_get_text(struct slice_item *item, uint32_t *length)
{
    uint64_t size = slice_get(item);
    *length = 0;
    if (item->bad || size >= (uint64_t)(item->end - item->at) || item->at[size] != 0) {
        item->bad = true;
        return "";
    }
    const char *text = (const char *)item->at;
    item->at += size + 1;
    *length = (uint32_t)size;
    return text;
}

bool slice_get_names(struct slice_item *item, struct slice_names *names)
{
    uint32_t length;
    names->table = slice_get_text(item, &length);
    uint64_t count = slice_get(item);
    names->count = (uint32_t)count;
    for (uint32_t i = 0; i < count && i < SLICE_NAMES_MAX; i++)
        names->name[i] = slice_get_text(item, &length);
    return !item->bad && count <= SLICE_NAMES_MAX;
}

const uint8_t *slice_get_rest(struct slice_item *item, uint32_t *length)
{
    const uint8_t *at = item->at;
    *length = (uint32_t)(item->end - item->at);
    item->at = item->end;
    return at;
}
