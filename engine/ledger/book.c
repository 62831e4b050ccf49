/* Three tables: people by (tenant, who), their pages by time, and the tuples of dimensions that entries have. */
#include "book_parts.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "esteem/err.h"
#include "esteem/slots.h"

enum { FIRST = 1024, MALLOC_LEAST = 32 /* a person's list of pages, mostly of one */ };

struct book *book_new(const struct book_setup *setup)
{
    struct book *book = calloc(1, sizeof *book);
    ensure(book != NULL, "the machine has memory left");
    book->setup = *setup;
    slab_init(&book->slab);
    book->slots = book->tuple_slots = FIRST;
    book->slot = slots_plain_new(FIRST);
    book->tuple_slot = slots_plain_new(FIRST);
    book->person_free = book->page_free = book->tuple_free = NONE;
    return book;
}

void book_free(struct book *book)
{
    if (book == NULL)
        return;
    for (uint32_t p = 0; p < book->pages_made; p++)
        if (book->page[p].used)
            slab_give(&book->slab, book->page[p].entry, book->page[p].room);
    for (uint32_t i = 0; i < book->people_made; i++)
        free(book->person[i].page);
    free(book->person);
    free(book->slot);
    free(book->page);
    free(book->tuple);
    free(book->tuple_slot);
    free(book->gone);
    track_close(&book->track);
    slab_close(&book->slab);
    free(book);
}

/* Grows an array of `size` bytes an item by half again when it is full. */
static void *grown(void *items, uint32_t made, uint32_t *room, size_t size)
{
    if (made < *room)
        return items;
    *room = *room ? *room + *room / 2 : FIRST;
    items = realloc(items, *room * size);
    ensure(items != NULL, "the machine has memory left");
    return items;
}

/* ---- tuples ---- */

static uint32_t tuple_slot(const struct book *book, const struct dims *dims)
{
    uint32_t mask = book->tuple_slots - 1, i = (uint32_t)XXH3_64bits(dims, sizeof *dims) & mask;
    for (uint32_t t; (t = book->tuple_slot[i]) != NONE; i = (i + 1) & mask)
        if (memcmp(&book->tuple[t].dims, dims, sizeof *dims) == 0)
            break;
    return i;
}

static void tuples_grow(struct book *book)
{
    free(book->tuple_slot);
    book->tuple_slots *= 2;
    book->tuple_slot = slots_plain_new(book->tuple_slots);
    for (uint32_t t = 0; t < book->tuples_made; t++)
        if (book->tuple[t].entries)
            book->tuple_slot[tuple_slot(book, &book->tuple[t].dims)] = t;
}

static uint32_t tuple_take(struct book *book, const struct dims *dims)
{
    uint32_t slot = tuple_slot(book, dims), t = book->tuple_slot[slot];
    if (t != NONE) {
        book->tuple[t].entries++;
        return t;
    }
    if (book->tuples * 2 >= book->tuple_slots) {
        tuples_grow(book);
        slot = tuple_slot(book, dims);
    }
    t = book->tuple_free;
    if (t != NONE) {
        book->tuple_free = book->tuple[t].dims.id[0];
    } else {
        book->tuple = grown(book->tuple, book->tuples_made, &book->tuple_room, sizeof *book->tuple);
        t = book->tuples_made++;
    }
    book->tuple[t] = (struct tuple){.dims = *dims, .entries = 1};
    book->tuple_slot[slot] = t;
    book->tuples++;
    return t;
}

/* Takes a slot out of a table of open addressing and closes the gap; home(t) is where item t would lie. */
#define SLOT_REMOVE(table, count, at, home)                                                            \
    do {                                                                                               \
        uint32_t mask_ = (count)-1, i_ = (at);                                                         \
        (table)[i_] = NONE;                                                                            \
        for (uint32_t j_ = (i_ + 1) & mask_; (table)[j_] != NONE; j_ = (j_ + 1) & mask_) {             \
            uint32_t home_ = (home) & mask_;                                                           \
            if (((j_ - home_) & mask_) < ((j_ - i_) & mask_))                                          \
                continue;                                                                              \
            (table)[i_] = (table)[j_];                                                                 \
            (table)[j_] = NONE;                                                                        \
            i_ = j_;                                                                                   \
        }                                                                                              \
    } while (0)

static void tuple_give(struct book *book, uint32_t t)
{
    struct tuple *tuple = &book->tuple[t];
    if (--tuple->entries)
        return;
    SLOT_REMOVE(book->tuple_slot, book->tuple_slots, tuple_slot(book, &tuple->dims),
                (uint32_t)XXH3_64bits(&book->tuple[book->tuple_slot[j_]].dims, sizeof tuple->dims));
    tuple->dims.id[0] = book->tuple_free;
    book->tuple_free = t;
    book->tuples--;
}

const struct dims *book_dims(const struct book *book, uint32_t dims)
{
    return &book->tuple[dims].dims;
}

/* ---- people ---- */

static uint32_t person_hash(uint32_t tenant, uint64_t who)
{
    uint64_t x = (who ^ (uint64_t)tenant << 40) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(x >> 32) ^ (uint32_t)x;
}

static uint32_t person_slot(const struct book *book, uint32_t tenant, uint64_t who)
{
    uint32_t mask = book->slots - 1, i = person_hash(tenant, who) & mask;
    for (uint32_t p; (p = book->slot[i]) != NONE; i = (i + 1) & mask)
        if (book->person[p].who == who && book->person[p].tenant == tenant)
            break;
    return i;
}

uint32_t book_person(const struct book *book, uint32_t tenant, uint64_t who)
{
    return book->slot[person_slot(book, tenant, who)];
}

uint32_t book_people(const struct book *book)
{
    return book->people_made;
}

bool book_latest(const struct book *book, uint32_t person, struct book_place *place)
{
    const struct person *one = &book->person[person];
    if (!one->used || one->pages == 0)
        return false;
    *place = (struct book_place){person, one->pages - 1, book->page[one->page[one->pages - 1]].count - 1};
    return true;
}

uint32_t book_tenant(const struct book *book, uint32_t person)
{
    return book->person[person].tenant;
}

int64_t book_longest_ms(const struct book *book, uint32_t person)
{
    return book->person[person].longest_ms;
}

static void people_grow(struct book *book)
{
    free(book->slot);
    book->slots *= 2;
    book->slot = slots_plain_new(book->slots);
    for (uint32_t p = 0; p < book->people_made; p++)
        if (book->person[p].used)
            book->slot[person_slot(book, book->person[p].tenant, book->person[p].who)] = p;
}

static uint32_t person_at(struct book *book, uint32_t tenant, uint64_t who)
{
    uint32_t slot = person_slot(book, tenant, who), p = book->slot[slot];
    if (p != NONE)
        return p;
    if (book->people * 2 >= book->slots) {
        people_grow(book);
        slot = person_slot(book, tenant, who);
    }
    p = book->person_free;
    if (p != NONE) {
        book->person_free = book->person[p].pages;
    } else {
        book->person = grown(book->person, book->people_made, &book->person_room, sizeof *book->person);
        p = book->people_made++;
    }
    book->person[p] = (struct person){.who = who, .tenant = tenant, .used = true};
    book->slot[slot] = p;
    book->people++;
    return p;
}

static void person_drop(struct book *book, uint32_t p)
{
    struct person *person = &book->person[p];
    SLOT_REMOVE(book->slot, book->slots, person_slot(book, person->tenant, person->who),
                person_hash(book->person[book->slot[j_]].tenant, book->person[book->slot[j_]].who));
    free(person->page);
    *person = (struct person){.pages = book->person_free};
    book->person_free = p;
    book->people--;
}

/* ---- pages ---- */

static int64_t page_number(const struct book *book, int64_t at_ms)
{
    int64_t wide = book->setup.page_ms;
    return wide ? at_ms / wide - (at_ms % wide < 0) : 0;
}

/* The first of the person's pages that is this one or a later one. */
static uint32_t page_from(const struct book *book, const struct person *person, int64_t number)
{
    uint32_t low = 0, high = person->pages;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (book->page[person->page[middle]].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Its place among the person's pages; made when there is none. */
static uint32_t page_at(struct book *book, uint32_t p, int64_t number)
{
    struct person *person = &book->person[p];
    uint32_t at = page_from(book, person, number);
    if (at < person->pages && book->page[person->page[at]].number == number)
        return at;
    if (person->pages == person->room) {
        person->room = person->room ? person->room * 2 : 1;
        person->page = realloc(person->page, person->room * sizeof *person->page);
        ensure(person->page != NULL, "the machine has memory left");
    }
    uint32_t page = book->page_free;
    if (page != NONE) {
        book->page_free = book->page[page].person;
    } else {
        book->page = grown(book->page, book->pages_made, &book->page_room, sizeof *book->page);
        page = book->pages_made++;
    }
    book->page[page] = (struct page){.person = p, .number = number, .used = true};
    memmove(person->page + at + 1, person->page + at, (person->pages - at) * sizeof *person->page);
    person->page[at] = page;
    person->pages++;
    book->pages++;
    track_new(&book->track, page, &book->page[page].mark);
    return at;
}

/* A page without entries goes, and with a person's last one the person. */
static void page_drop(struct book *book, uint32_t p, uint32_t at)
{
    struct person *person = &book->person[p];
    uint32_t number = person->page[at];
    struct page *page = &book->page[number];
    book_note_gone(book, number);
    slab_give(&book->slab, page->entry, page->room);
    *page = (struct page){.person = book->page_free, .mark = page->mark};
    book->page_free = number;
    person->pages--;
    book->pages--;
    memmove(person->page + at, person->page + at + 1, (person->pages - at) * sizeof *person->page);
    if (person->pages == 0)
        person_drop(book, p);
}

/* ---- entries ---- */

static uint64_t bytes(const struct book *book)
{
    return book->slab.used + book->pages * sizeof(struct page) + book->people * (sizeof(struct person) + MALLOC_LEAST) +
           (book->slots + book->tuple_slots) * sizeof *book->slot + book->tuples * sizeof(struct tuple);
}

void book_bound_bytes(struct book *book, uint64_t bytes_most)
{
    book->bytes_most = bytes_most;
}

static int compare(const struct book_entry *a, const struct book_entry *b)
{
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->until_ms != b->until_ms)
        return a->until_ms < b->until_ms ? -1 : 1;
    if (a->dims != b->dims)
        return a->dims < b->dims ? -1 : 1;
    return (a->scopes > b->scopes) - (a->scopes < b->scopes);
}

/* The first entry of the page that is not before this one: looked for from the end, where most come. */
static uint32_t entry_from(const struct page *page, const struct book_entry *entry)
{
    uint32_t high = page->count, back = 1;
    for (; back <= high && compare(&page->entry[high - back], entry) >= 0; back *= 2)
        high -= back;
    uint32_t low = back <= high ? high - back + 1 : 0;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (compare(&page->entry[middle], entry) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void page_reserve(struct book *book, struct page *page)
{
    size_t want = (page->count + 1) * sizeof *page->entry;
    if (want <= page->room)
        return;
    size_t room = slab_room(page->count > 4 ? want + want / 2 : want);
    struct book_entry *entry = slab_take(&book->slab, room);
    if (page->count)
        memcpy(entry, page->entry, page->count * sizeof *entry);
    slab_give(&book->slab, page->entry, page->room);
    page->entry = entry;
    page->room = (uint32_t)room;
}

bool book_put(struct book *book, uint32_t tenant, uint64_t who, const struct book_entry *entry, const struct dims *dims, struct book_place *place)
{
    if (book->entries >= book->setup.most || (book->bytes_most && bytes(book) >= book->bytes_most)) {
        book->refused++;
        return false;
    }
    place->person = person_at(book, tenant, who);
    place->page = page_at(book, place->person, page_number(book, entry->at_ms));
    struct person *person = &book->person[place->person];
    uint32_t number = person->page[place->page];
    book_keep_for_checkpoint(book, number);
    struct page *page = &book->page[number];
    struct book_entry own = *entry;
    own.dims = tuple_take(book, dims);
    page_reserve(book, page);
    place->entry = entry_from(page, &own);
    memmove(page->entry + place->entry + 1, page->entry + place->entry, (page->count - place->entry) * sizeof own);
    page->entry[place->entry] = own;
    page->count++;
    book->entries++;
    int64_t long_ms = own.until_ms > own.at_ms ? own.until_ms - own.at_ms : 0;
    person->longest_ms = long_ms > person->longest_ms ? long_ms : person->longest_ms;
    return true;
}

bool book_find(const struct book *book, uint32_t person, const struct book_entry *entry, const struct dims *dims, struct book_place *place)
{
    struct book_entry own = *entry;
    own.dims = book->tuple_slot[tuple_slot(book, dims)];
    if (own.dims == NONE)
        return false;
    const struct person *one = &book->person[person];
    int64_t number = page_number(book, entry->at_ms);
    uint32_t at = page_from(book, one, number);
    if (at == one->pages || book->page[one->page[at]].number != number)
        return false;
    const struct page *page = &book->page[one->page[at]];
    *place = (struct book_place){person, at, entry_from(page, &own)};
    return place->entry < page->count && compare(&page->entry[place->entry], &own) == 0;
}

void book_remove(struct book *book, struct book_place place)
{
    uint32_t number = book->person[place.person].page[place.page];
    book_keep_for_checkpoint(book, number);
    struct page *page = &book->page[number];
    tuple_give(book, page->entry[place.entry].dims);
    page->count--;
    memmove(page->entry + place.entry, page->entry + place.entry + 1, (page->count - place.entry) * sizeof *page->entry);
    book->entries--;
    if (page->count == 0)
        page_drop(book, place.person, place.page);
}

bool book_seek(const struct book *book, uint32_t person, int64_t at_ms, struct book_place *place)
{
    const struct person *one = &book->person[person];
    const struct book_entry from = {.at_ms = at_ms, .until_ms = INT64_MIN};
    *place = (struct book_place){person, page_from(book, one, page_number(book, at_ms)), 0};
    if (place->page == one->pages)
        return false;
    const struct page *page = &book->page[one->page[place->page]];
    place->entry = entry_from(page, &from);
    if (place->entry < page->count)
        return true;
    place->entry--;
    return book_next(book, place);
}

bool book_next(const struct book *book, struct book_place *place)
{
    const struct person *one = &book->person[place->person];
    if (place->entry + 1 < book->page[one->page[place->page]].count) {
        place->entry++;
        return true;
    }
    if (place->page + 1 >= one->pages)
        return false;
    place->page++;
    place->entry = 0;
    return true;
}

bool book_previous(const struct book *book, struct book_place *place)
{
    const struct person *one = &book->person[place->person];
    if (place->entry > 0) {
        place->entry--;
        return true;
    }
    if (place->page == 0)
        return false;
    place->page--;
    place->entry = book->page[one->page[place->page]].count - 1;
    return true;
}

const struct book_entry *book_at(const struct book *book, struct book_place place)
{
    return &book->page[book->person[place.person].page[place.page]].entry[place.entry];
}

void book_flag(struct book *book, struct book_place place, uint8_t flags)
{
    uint32_t number = book->person[place.person].page[place.page];
    book_keep_for_checkpoint(book, number);
    book->page[number].entry[place.entry].flags = flags;
}

/* ---- forgetting ---- */

static bool over(const struct book_entry *entry, int64_t before_ms)
{
    return (entry->until_ms > entry->at_ms ? entry->until_ms : entry->at_ms) < before_ms;
}

/* The first entry goes while it is over; with keep_last while the next one is, too. */
static uint32_t expire_person(struct book *book, uint32_t p, int64_t before_ms, bool keep_last)
{
    uint32_t forgotten = 0;
    for (;;) {
        struct book_place first = {p, 0, 0}, next = first;
        if (!book->person[p].used || !over(book_at(book, first), before_ms))
            return forgotten;
        if (keep_last && (!book_next(book, &next) || !over(book_at(book, next), before_ms)))
            return forgotten;
        book_remove(book, first);
        forgotten++;
    }
}

uint32_t book_expire(struct book *book, int64_t before_ms, bool keep_last, uint32_t most)
{
    uint32_t forgotten = 0;
    for (uint32_t looked = 0; looked < most && looked < book->people_made; looked++) {
        book->swept = book->swept + 1 < book->people_made ? book->swept + 1 : 0;
        if (book->person[book->swept].used)
            forgotten += expire_person(book, book->swept, before_ms, keep_last);
    }
    return forgotten;
}

uint32_t book_forget(struct book *book, uint32_t person)
{
    uint32_t forgotten = 0;
    for (; book->person[person].used; forgotten++)
        book_remove(book, (struct book_place){person, 0, 0});
    return forgotten;
}

void book_load_page(struct book *book, uint32_t tenant, uint64_t who, int64_t number)
{
    uint32_t p = book_person(book, tenant, who);
    while (p != NONE && book->person[p].used) {
        const struct person *person = &book->person[p];
        uint32_t at = page_from(book, person, number);
        if (at == person->pages || book->page[person->page[at]].number != number)
            return;
        book_remove(book, (struct book_place){p, at, book->page[person->page[at]].count - 1});
    }
}

struct book_counts book_counts(const struct book *book)
{
    return (struct book_counts){book->people, book->entries, book->refused, bytes(book)};
}
