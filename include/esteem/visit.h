/* visit: first-contact resolution. A contact counts as one (`fcr`, contribute.c) until the same customer's next contact, by any channel, begins no
 * later than metrics.fcr.window after its end; then it is taken back at its own anchor, and given again should that other contact turn out not
 * to have been. Contacts that the centre itself began (direction outbound or proactive) repeat none.
 *
 * A customer's visits lie in a book in the order (begin, hash of the interaction, its record); what changes when one comes or goes are its own mark and
 * those of the visits before it, back to the last one that could repeat them.
 * Runs on: the thread of the shard that owns the customer. */
#ifndef ESTEEM_VISIT_H
#define ESTEEM_VISIT_H

#include "esteem/book.h"

/* One change of a customer's fcr: `fcr` is 1 or -1. */
typedef void visit_emit(void *context, uint32_t tenant, uint8_t scopes, const struct dims *dims, int64_t anchor_ms, int fcr);

/* flags of an entry: at_ms is when the visit began, until_ms when it ended, DERIVE_NEVER while it counts for no resolution */
enum { VISIT_RETURNS = 1 /* it repeats the one before */, VISIT_REPEATED = 2 /* was taken back */ };

struct visits {
    struct book *book;
    int64_t window_ms; /* metrics.fcr.window */
    visit_emit *emit;
    void *context;
};

/* A visit that is new (sign 1) or is no longer (-1). */
void visit_take(struct visits *visits, int sign, uint32_t tenant, uint64_t customer, const struct book_entry *entry, const struct dims *dims);

#endif
