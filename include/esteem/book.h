/* book: entries of people, sorted by time: a customer's visits, an agent's states, an agent's segments (visit.h, shift.h). What one
 * interaction cannot tell alone is kept here until nothing can come any more that would change it. A person's entries lie on pages of a
 * stretch of time, so that a checkpoint writes what has changed and not a person's whole past.
 *
 * Runs on: the shard's thread. Bounded: at most `most` entries, and by book_bound_bytes; beyond, new ones are refused and counted. */
#ifndef ESTEEM_BOOK_H
#define ESTEEM_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "esteem/derive.h"
#include "esteem/slice.h"

struct book_entry {
    int64_t at_ms, until_ms; /* what they mean is the owner's */
    uint64_t id;
    uint32_t dims;   /* a number of book_dims */
    uint8_t scopes;  /* list of scopes that it was told under */
    uint8_t flags;   /* the owner's; they do not tell entries apart */
    uint16_t rank;   /* among entries of one id at one instant */
};

struct book;

enum { BOOK_VISITS, BOOK_STATES, BOOK_SEGMENTS, BOOK_COUNT }; /* part of the files' format */

struct book_setup {
    int64_t page_ms;   /* a page's stretch of time; 0: all on one */
    bool names;        /* people are the shard's interned strings, else hashes */
    uint8_t number;    /* among the books of a checkpoint */
    uint64_t most;     /* entries */
};

struct book *book_new(const struct book_setup *setup);
void book_free(struct book *book);

/* Tuples of dimensions, each kept once while an entry has it. */
const struct dims *book_dims(const struct book *book, uint32_t dims);

/* A place: an entry of a person. `person` and the entry stay valid until the next insertion, removal or expiry. */
struct book_place {
    uint32_t person, page, entry; /* page: of the person, entry: on the page */
};
#define BOOK_NOBODY UINT32_MAX

/* The person's number; BOOK_NOBODY when there are no entries of theirs. */
uint32_t book_person(const struct book *book, uint32_t tenant, uint64_t who);
uint32_t book_tenant(const struct book *book, uint32_t person);
/* One more than the highest person's number. */
uint32_t book_people(const struct book *book);
/* The person's latest entry; false: there is none. */
bool book_latest(const struct book *book, uint32_t person, struct book_place *place);
/* The longest stretch [at_ms, until_ms) that the person has had. */
int64_t book_longest_ms(const struct book *book, uint32_t person);

/* Puts an entry at its place in the order (at_ms, id, rank, until_ms, dims, scopes). False: no room, counted. */
bool book_put(struct book *book, uint32_t tenant, uint64_t who, const struct book_entry *entry, const struct dims *dims, struct book_place *place);
/* The first entry that equals this one (dims by value); false: there is none. */
bool book_find(const struct book *book, uint32_t person, const struct book_entry *entry, const struct dims *dims, struct book_place *place);
void book_remove(struct book *book, struct book_place place);
/* The first entry at `at_ms` or later; false: there is none. */
bool book_seek(const struct book *book, uint32_t person, int64_t at_ms, struct book_place *place);
bool book_next(const struct book *book, struct book_place *place);
bool book_previous(const struct book *book, struct book_place *place);
const struct book_entry *book_at(const struct book *book, struct book_place place);
/* Sets the flags of an entry. */
void book_flag(struct book *book, struct book_place place, uint8_t flags);

/* Forgets entries that ended (until_ms, or at_ms where that is later) before `before_ms`, of at most `most` people, round about; with keep_last all
 * but each person's latest of those. Returns entries forgotten. */
uint32_t book_expire(struct book *book, int64_t before_ms, bool keep_last, uint32_t most);
/* Forgets a person whole; returns entries forgotten. */
uint32_t book_forget(struct book *book, uint32_t person);

struct book_counts {
    uint64_t people, entries, refused, bytes;
};
struct book_counts book_counts(const struct book *book);
/* While memory is short, bytes beyond which new entries are refused as beyond `most`; 0: no such bound. */
void book_bound_bytes(struct book *book, uint64_t bytes);

/* ---- checkpoints (book_state.c): as the ledger's ---- */

bool book_dump_begin(struct book *book, bool full, struct slice_out *out);
bool book_dump_can_add(const struct book *book);
bool book_dump_step(struct book *book, uint32_t bytes);
void book_dump_give_up(struct book *book);

/* A page as it stands in a checkpoint, in the numbers of who wrote it. */
enum { BOOK_PAGE_ENTRIES = 1 << 20 };
struct book_saved {
    uint8_t book;
    uint32_t tenant;
    uint64_t who;
    int64_t page;
    struct slice_item rest; /* entries, by book_saved_entry; none: the page is gone */
};
bool book_saved_read(struct slice_item *item, struct book_saved *saved);
bool book_saved_entry(struct book_saved *saved, struct book_entry *entry, struct dims *dims);
/* Empties the page, before its entries are put. */
void book_load_page(struct book *book, uint32_t tenant, uint64_t who, int64_t page);

#endif
