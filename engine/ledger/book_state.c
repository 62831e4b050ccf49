/* A book's part of a checkpoint: pages as they were when it began (track.h), those that are gone first. */
#include "book_parts.h"

#include <stdlib.h>

#include "esteem/err.h"
#include "esteem/varint.h"

enum { NAME = 4 * VARINT_MAX, ENTRY = (6 + DIMENSION_MAX) * VARINT_MAX + 8, GONE_MOST = 4 << 20 /* more of them make the next one a full one */ };

/* ---- writing ---- */

static uint8_t *put_name(const struct book *book, uint8_t *at, uint32_t tenant, uint64_t who, int64_t number)
{
    *at++ = book->setup.number;
    at = varint_put(at, tenant);
    at = slice_u64(at, who);
    return varint_put(at, zigzag(number));
}

static uint8_t *put_entry(const struct book *book, uint8_t *at, const struct book_entry *entry)
{
    const struct dims *dims = book_dims(book, entry->dims);
    uint32_t mask = 0;
    for (uint32_t i = 0; i < DIMENSION_MAX; i++)
        mask |= (uint32_t)(dims->id[i] != 0) << i;
    at = varint_put(at, zigzag(entry->at_ms));
    *at++ = entry->until_ms != DERIVE_NEVER;
    if (entry->until_ms != DERIVE_NEVER)
        at = varint_put(at, zigzag(entry->until_ms - entry->at_ms));
    at = slice_u64(at, entry->id);
    at = varint_put(at, entry->scopes);
    at = varint_put(at, entry->rank);
    *at++ = entry->flags;
    at = varint_put(at, mask);
    for (uint32_t left = mask; left; left &= left - 1)
        at = varint_put(at, dims->id[__builtin_ctz(left)]);
    return at;
}

static uint8_t *put_page(const struct book *book, uint8_t *at, const struct page *page)
{
    const struct person *person = &book->person[page->person];
    at = put_name(book, at, person->tenant, person->who, page->number);
    for (uint32_t e = 0; e < page->count; e++)
        at = put_entry(book, at, &page->entry[e]);
    return at;
}

static size_t page_size(const struct page *page)
{
    return NAME + (size_t)page->count * ENTRY;
}

void book_keep_for_checkpoint(struct book *book, uint32_t number)
{
    struct page *page = &book->page[number];
    if (track_touch(&book->track, number, &page->mark) && slice_late_open(book->out))
        slice_put_end_late(book->out, put_page(book, slice_put_late(book->out, SLICE_BOOK_PAGE, page_size(page)), page));
}

void book_note_gone(struct book *book, uint32_t number)
{
    if (!track_gone(&book->track, book->gone_count, GONE_MOST))
        return;
    if (book->gone_count == book->gone_room) {
        book->gone_room = book->gone_room ? book->gone_room * 2 : 256;
        book->gone = realloc(book->gone, book->gone_room * sizeof *book->gone);
        ensure(book->gone != NULL, "the machine has memory left");
    }
    const struct page *page = &book->page[number];
    const struct person *person = &book->person[page->person];
    book->gone[book->gone_count++] = (struct page_name){person->who, page->number, person->tenant};
}

bool book_dump_can_add(const struct book *book)
{
    return track_on(&book->track);
}

bool book_dump_begin(struct book *book, bool full, struct slice_out *out)
{
    full = track_begin(&book->track, full, book->pages_made);
    book->out = out;
    for (uint32_t i = 0; i < book->gone_count && !full; i++) {
        const struct page_name *gone = &book->gone[i];
        slice_put_end(out, put_name(book, slice_put(out, SLICE_BOOK_GONE, NAME), gone->tenant, gone->who, gone->number));
    }
    book->gone_count = 0;
    return full;
}

bool book_dump_step(struct book *book, uint32_t bytes)
{
    uint64_t until = book->out->bytes + bytes;
    for (uint32_t number; book->out->bytes < until;) {
        if (!track_next(&book->track, &number))
            return true;
        struct page *page = &book->page[number];
        if (page->used && track_take(&book->track, &page->mark))
            slice_put_end(book->out, put_page(book, slice_put(book->out, SLICE_BOOK_PAGE, page_size(page)), page));
    }
    return false;
}

void book_dump_give_up(struct book *book)
{
    track_give_up(&book->track);
    book->gone_count = 0;
}

/* ---- reading ---- */

bool book_saved_read(struct slice_item *item, struct book_saved *saved)
{
    saved->book = (uint8_t)slice_get(item);
    saved->tenant = (uint32_t)slice_get(item);
    saved->who = slice_get_u64(item);
    saved->page = slice_get_signed(item);
    saved->rest = *item;
    return !item->bad && (item->kind == SLICE_BOOK_PAGE || item->at == item->end);
}

bool book_saved_entry(struct book_saved *saved, struct book_entry *entry, struct dims *dims)
{
    struct slice_item *item = &saved->rest;
    *entry = (struct book_entry){.until_ms = DERIVE_NEVER};
    *dims = (struct dims){{0}};
    if (item->at == item->end || item->bad)
        return false;
    entry->at_ms = slice_get_signed(item);
    if (slice_get(item))
        entry->until_ms = entry->at_ms + slice_get_signed(item);
    entry->id = slice_get_u64(item);
    uint64_t scopes = slice_get(item);
    entry->scopes = (uint8_t)scopes;
    entry->rank = (uint16_t)slice_get(item);
    entry->flags = (uint8_t)slice_get(item);
    uint64_t mask = slice_get(item);
    item->bad |= mask >> DIMENSION_MAX != 0 || scopes > UINT8_MAX;
    for (uint64_t left = item->bad ? 0 : mask; left; left &= left - 1)
        dims->id[__builtin_ctzll(left)] = (uint32_t)slice_get(item);
    return !item->bad;
}
