#include "esteem/visit.h"

static void mark(struct visits *visits, struct book_place place, bool repeated)
{
    const struct book_entry *entry = book_at(visits->book, place);
    if (repeated == ((entry->flags & VISIT_REPEATED) != 0))
        return;
    visits->emit(visits->context, book_tenant(visits->book, place.person), entry->scopes, book_dims(visits->book, entry->dims), entry->until_ms,
                 repeated ? -1 : 1);
    book_flag(visits->book, place, (uint8_t)(entry->flags ^ VISIT_REPEATED));
}

/* Marks visits from `place` back to the last one before it that returns: those before that one have it for their next. */
static void settle(struct visits *visits, struct book_place place)
{
    const struct book *book = visits->book;
    struct book_place next = place;
    bool follows = book_next(book, &next);
    while (follows && !(book_at(book, next)->flags & VISIT_RETURNS))
        follows = book_next(book, &next);
    int64_t next_ms = follows ? book_at(book, next)->at_ms : 0;
    for (bool first = true;; first = false) {
        const struct book_entry *entry = book_at(book, place);
        mark(visits, place, follows && entry->until_ms != DERIVE_NEVER && next_ms <= entry->until_ms + visits->window_ms);
        entry = book_at(book, place);
        if (entry->flags & VISIT_RETURNS) {
            if (!first)
                return;
            follows = true;
            next_ms = entry->at_ms;
        }
        if (!book_previous(book, &place))
            return;
    }
}

void visit_take(struct visits *visits, int sign, uint32_t tenant, uint64_t customer, const struct book_entry *entry, const struct dims *dims)
{
    struct book *book = visits->book;
    struct book_place place;
    if (sign > 0) {
        if (book_put(book, tenant, customer, entry, dims, &place))
            settle(visits, place);
        return;
    }
    uint32_t person = book_person(book, tenant, customer);
    if (person == BOOK_NOBODY || !book_find(book, person, entry, dims, &place))
        return; /* it was there longer than anything could change it */
    mark(visits, place, false);
    struct book_place before = place;
    bool any = book_previous(book, &before);
    book_remove(book, place);
    if (any)
        settle(visits, before);
}
