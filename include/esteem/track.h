/* track: which items of a numbered pool have changed since the last checkpoint, and which of them the running one has still to
 * write. An item carries a struct mark of two bytes. Nobody stops: while a checkpoint is written, an item that is about to
 * change and was not written yet is written first (track_touch says so), the others come in turn (track_next).
 *
 * Runs on: the thread that owns the pool. Bounded: TRACK_MOST changes; beyond them, and before the first
 * checkpoint, nothing is noted and the next one is full. */
#ifndef ESTEEM_TRACK_H
#define ESTEEM_TRACK_H

#include <stdbool.h>
#include <stdint.h>

enum { TRACK_MOST = 16 << 20 };

struct mark {
    uint8_t written; /* number of the checkpoint that has it, or under which it was made */
    bool dirty;      /* stands in the list of what has changed */
};

struct track {
    uint32_t *changed, changed_count, changed_room; /* since the last begin */
    uint32_t *due, due_count, due_room;             /* for the running checkpoint, unless it is full */
    uint32_t next, end;                             /* of `due`, or of the pool when it is full */
    uint8_t number;
    bool running, full, on; /* on: changes are noted */
};

void track_close(struct track *track);
/* A checkpoint begins: of all `made` items, or of those that have changed. Returns whether it is of all: as asked for, or because the
 * changes are not known. */
bool track_begin(struct track *track, bool full, uint32_t made);
/* Whether changes are noted. */
bool track_on(const struct track *track);
/* An item goes. Whether its owner is to note its name beside the `noted` that are there: not where changes are not noted, and not when
 * there are `most`, from which on the next checkpoint is full. */
bool track_gone(struct track *track, uint32_t noted, uint32_t most);
/* The running checkpoint comes to nothing: it ends, and nothing is noted until the next one, which is full. */
void track_give_up(struct track *track);
/* The item is new: what runs does not hold it, the next one will. */
void track_new(struct track *track, uint32_t item, struct mark *mark);
/* The item is about to change, or to go. True: write it first. */
bool track_touch(struct track *track, uint32_t item, struct mark *mark);
/* The next number to look at; false: all is written, and the checkpoint no longer runs. If the item is in use, track_take says whether
 * it must be written now. */
bool track_next(struct track *track, uint32_t *item);
bool track_take(struct track *track, struct mark *mark);

#endif
