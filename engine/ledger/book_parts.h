/* book_parts: what book.c and book_state.c share, and nobody else. Runs on: the shard's thread. */
#ifndef ESTEEM_BOOK_PARTS_H
#define ESTEEM_BOOK_PARTS_H

#include "esteem/book.h"
#include "esteem/slab.h"
#include "esteem/track.h"

#define NONE UINT32_MAX

struct page {
    struct book_entry *entry; /* in order */
    uint32_t count, room;     /* entries; bytes of their block */
    uint32_t person;          /* of a free page: the next free one */
    int64_t number;           /* its stretch of time */
    struct mark mark;
    bool used;
};

struct person {
    uint64_t who;
    int64_t longest_ms;
    uint32_t tenant;
    uint32_t pages, room;
    uint32_t *page; /* by number, ascending; of a free person the next free one lies in `pages` */
    bool used;
};

struct page_name {
    uint64_t who;
    int64_t number;
    uint32_t tenant;
};

struct tuple {
    struct dims dims;
    uint32_t entries; /* that have it; 0: free, dims.id[0] is the next free one */
};

struct book {
    struct book_setup setup;
    struct slab slab;
    struct person *person;
    uint32_t people_made, person_room, person_free;
    uint32_t *slot, slots; /* (tenant, who) -> person */
    struct page *page;
    uint32_t pages_made, page_room, page_free;
    struct tuple *tuple;
    uint32_t tuples_made, tuple_room, tuple_free, tuples;
    uint32_t *tuple_slot, tuple_slots;
    uint64_t people, pages, entries, refused;
    uint64_t bytes_most; /* 0: no bound */
    uint32_t swept; /* person to look at next */

    struct track track; /* of pages */
    struct page_name *gone;
    uint32_t gone_count, gone_room;
    struct slice_out *out;
};

/* ---- book_state.c ---- */

/* The page is about to change or to go. */
void book_keep_for_checkpoint(struct book *book, uint32_t page);
void book_note_gone(struct book *book, uint32_t page);

#endif
