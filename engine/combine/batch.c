#include "esteem/batch.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/varint.h"

enum { BATCH_FIRST = 4096 };

struct batch *batch_new(int shard)
{
    struct batch *batch = calloc(1, sizeof *batch);
    ensure(batch != NULL, "the machine has memory left");
    batch->shard = shard;
    batch->watermark_ms = batch->newest_ms = batch->known_ms = INT64_MIN;
    return batch;
}

void batch_free(struct batch *batch)
{
    if (batch == NULL)
        return;
    free(batch->bytes);
    free(batch);
}

static uint8_t *reserve(struct batch *batch, uint32_t length)
{
    if (batch->length + length > batch->room) {
        uint32_t room = batch->room ? batch->room : BATCH_FIRST;
        while (batch->length + length > room)
            room *= 2;
        batch->bytes = realloc(batch->bytes, room);
        ensure(batch->bytes != NULL, "the machine has memory left");
        batch->room = room;
    }
    return batch->bytes + batch->length;
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
    size_t length = strlen(text);
    at = varint_put(at, length);
    memcpy(at, text, length);
    return at + length;
}

void batch_put_key(struct batch *batch, uint32_t number, const struct scope_key *key)
{
    uint8_t *at = reserve(batch, BATCH_KEY_TEXT_MAX + 32);
    *at++ = 'k';
    at = varint_put(at, number);
    at = varint_put(at, key->scope);
    at = put_text(at, key->tenant);
    for (int i = 0; i < key->count; i++)
        at = put_text(at, key->value[i]);
    batch->length = (uint32_t)(at - batch->bytes);
}

void batch_put_bundle(struct batch *batch, uint32_t number, const uint32_t *part, uint32_t parts)
{
    uint8_t *at = reserve(batch, (parts + 3) * VARINT_MAX);
    *at++ = 'b';
    at = varint_put(at, number);
    at = varint_put(at, parts);
    for (uint32_t p = 0; p < parts; p++)
        at = varint_put(at, part[p]);
    batch->length = (uint32_t)(at - batch->bytes);
}

void batch_put_roster(struct batch *batch, const struct batch_roster *change)
{
    uint8_t *at = reserve(batch, BATCH_KEY_TEXT_MAX + 32);
    *at++ = 'r';
    at = varint_put(at, zigzag(change->time_ms));
    *at++ = (uint8_t)(change->enrolled | change->ineligible << 1 | change->file << 2 | change->gone << 3);
    at = varint_put(at, change->id_hash);
    at = put_text(at, change->tenant);
    at = put_text(at, change->agent);
    at = put_text(at, change->team);
    at = put_text(at, change->site);
    batch->length = (uint32_t)(at - batch->bytes);
}

static void put_cell(struct batch *batch, char kind, uint32_t number, int64_t pane, const uint8_t *runs, uint32_t length)
{
    uint8_t *at = reserve(batch, length + 32);
    int64_t step = pane - batch->pane;
    *at++ = (uint8_t)kind;
    at = varint_put(at, number);
    at = varint_put(at, zigzag(step));
    at = varint_put(at, length);
    memcpy(at, runs, length);
    batch->pane = pane;
    batch->length = (uint32_t)(at + length - batch->bytes);
}

void batch_put_cell(struct batch *batch, uint32_t number, int64_t pane, bool spans, const uint8_t *runs, uint32_t length)
{
    put_cell(batch, spans ? 's' : 'c', number, pane, runs, length);
}

void batch_put_now(struct batch *batch, uint32_t number, int64_t block, const uint8_t *runs, uint32_t length)
{
    put_cell(batch, 'n', number, block, runs, length);
}

static bool get_varint(const struct batch *batch, uint32_t *cursor, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; *cursor < batch->length && shift < 64; shift += 7) {
        uint64_t byte = batch->bytes[(*cursor)++];
        *value |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool get_text(const struct batch *batch, uint32_t *cursor, char **text, const char **out)
{
    uint64_t length;
    if (!get_varint(batch, cursor, &length) || length > STRING_KEPT_MAX || length > batch->length - *cursor)
        return false;
    memcpy(*text, batch->bytes + *cursor, length);
    (*text)[length] = 0;
    *out = *text;
    *text += length + 1;
    *cursor += (uint32_t)length;
    return true;
}

static bool get_key(const struct batch *batch, uint32_t *cursor, uint32_t *number, struct scope_key *key, char *text)
{
    uint64_t value, scope;
    if (!get_varint(batch, cursor, &value) || !get_varint(batch, cursor, &scope) || (scope & ~(uint64_t)SCOPE_AGENTS) >> DIMENSION_MAX)
        return false;
    *number = (uint32_t)value;
    *key = (struct scope_key){.scope = (uint32_t)scope};
    if (!get_text(batch, cursor, &text, &key->tenant))
        return false;
    for (uint32_t left = key->scope; left; left &= left - 1) {
        key->dimension[key->count] = (uint8_t)__builtin_ctz(left);
        if (!get_text(batch, cursor, &text, &key->value[key->count++]))
            return false;
    }
    return true;
}

static bool get_bundle(struct batch *batch, uint32_t *cursor, uint32_t *number)
{
    uint64_t value, parts;
    if (!get_varint(batch, cursor, &value) || !get_varint(batch, cursor, &parts) || parts == 0 || parts > BUNDLE_MOST)
        return false;
    *number = (uint32_t)value;
    batch->bundle.parts = (uint32_t)parts;
    for (uint32_t p = 0; p < parts; p++) {
        if (!get_varint(batch, cursor, &value))
            return false;
        batch->bundle.part[p] = (uint32_t)value;
    }
    return true;
}

static bool get_cell(struct batch *batch, uint32_t *cursor, char kind, struct batch_cell *cell)
{
    uint64_t number, step, length;
    if (!get_varint(batch, cursor, &number) || !get_varint(batch, cursor, &step) || !get_varint(batch, cursor, &length) ||
        length > batch->length - *cursor)
        return false;
    batch->pane += unzigzag(step);
    *cell = (struct batch_cell){(uint32_t)number, batch->pane, kind == 's', kind == 'n', batch->bytes + *cursor, (uint32_t)length};
    *cursor += (uint32_t)length;
    return true;
}

static bool get_roster(struct batch *batch, uint32_t *cursor, char *text)
{
    struct batch_roster *change = &batch->roster;
    uint64_t time, flags;
    if (!get_varint(batch, cursor, &time) || !get_varint(batch, cursor, &flags) || !get_varint(batch, cursor, &change->id_hash))
        return false;
    change->time_ms = unzigzag(time);
    change->enrolled = flags & 1;
    change->ineligible = flags >> 1 & 1;
    change->file = flags >> 2 & 1;
    change->gone = flags >> 3 & 1;
    return get_text(batch, cursor, &text, &change->tenant) && get_text(batch, cursor, &text, &change->agent) &&
           get_text(batch, cursor, &text, &change->team) && get_text(batch, cursor, &text, &change->site);
}

enum batch_item batch_next(struct batch *batch, uint32_t *cursor, uint32_t *number, struct scope_key *key, char *text,
                           struct batch_cell *cell)
{
    if (*cursor == 0)
        batch->pane = 0;
    if (*cursor >= batch->length)
        return BATCH_END;
    char kind = (char)batch->bytes[(*cursor)++];
    switch (kind) {
    case 'k':
        return get_key(batch, cursor, number, key, text) ? BATCH_KEY : BATCH_BROKEN;
    case 'b':
        return get_bundle(batch, cursor, number) ? BATCH_BUNDLE : BATCH_BROKEN;
    case 'r':
        return get_roster(batch, cursor, text) ? BATCH_ROSTER : BATCH_BROKEN;
    case 'c':
    case 's':
    case 'n':
        return get_cell(batch, cursor, kind, cell) ? BATCH_CELL : BATCH_BROKEN;
    default:
        return BATCH_BROKEN;
    }
}
