/* shard_parts: the shard's state, and what the files of engine/shard share; nobody else knows it. Runs on: the shard's thread. */
#ifndef ESTEEM_SHARD_PARTS_H
#define ESTEEM_SHARD_PARTS_H

#include "esteem/intern.h"
#include "esteem/memory.h"
#include "esteem/shard.h"
#include "relay.h"

struct mapping;

enum { OUTBOX_FOLD, OUTBOX_SHARD };

/* What found no room yet. */
struct outgoing {
    int kind, target;
    void *item; /* struct batch or struct parcel */
};

struct input {
    int64_t newest_ms; /* newest event time; INT64_MIN: none yet */
    int64_t heard_ms;  /* monotonic: when the last message came, or when it was first seen */
    bool seen;
    bool ended; /* was read to its end since the start */
    bool begun; /* a message has come since the start */
    bool hold;  /* the source was told to hold it back */
};

struct parcel {
    enum { PARCEL_EVENT, PARCEL_ROSTER, PARCEL_NOTES, PARCEL_BARRIER } kind;
    int from; /* the shard that sent it */
    int topic, input;
    int32_t partition;
    int64_t offset;
    struct event_headers headers; /* texts point into `bytes` */
    struct text key;              /* likewise */
    uint32_t length;              /* of the message or the notes, first in `bytes` */
    struct {
        int64_t time_ms;
        uint64_t id_hash;
        bool enrolled;
        uint32_t at[4]; /* tenant, agent, team, site: offsets into `bytes`; ended by zero bytes */
    } roster;
    char bytes[];
};

enum { CELLS_MOST = 65536 /* added up by a shard, beyond which a tick is due at once */, DERIVE_MOST = 256 /* a step */ };

struct shard {
    const struct config *config;
    struct shard_setup setup;
    struct decoder *decoder;
    struct mapping *mapping[CONFIG_TOPIC_MAX]; /* NULL: native */
    struct intern strings;
    struct roster *roster;
    uint64_t roster_of;   /* serial of the configuration whose roster.file is in it; 0: none yet */
    uint32_t roster_told; /* shard 0: changes of it that the folds have been told */
    struct ledger *ledger;
    struct combine *combine;
    struct relay relay;
    struct input input[SOURCE_INPUT_MAX];
    int64_t watermark_ms, newest_ms, tick_due_ms;
    int64_t next_watermark_ms; /* to be told when parcels up to next_parcels are settled; INT64_MIN: none */
    int64_t slowest_ms, slowest_since_ms; /* as seen last: align.c */
    uint64_t parcels, next_parcels;                     /* sent so far; sent when next_watermark_ms was read */
    uint64_t taken[SHARD_MAX], flushed[SHARD_MAX]; /* parcels taken from each shard, in the ledger; on their way to the folds */
    int64_t oldest_ms;        /* oldest event time; INT64_MAX: none yet */
    int64_t forgotten_ms;     /* what earlier lives forgot, who may have kept interactions for less long, was before this; INT64_MIN: nothing */
    bool partial;             /* of an input the beginning was not there any more, or not asked for */
    bool all_ended, caught_up; /* every input was read to its end; and what was handed over until then has settled */
    uint64_t ended_parcels;
    uint64_t applied_before; /* events applied up to the last tick */
    int64_t all_watermark_ms; /* the least over all shards: what is too late is judged by it */
    struct outgoing *outbox;
    uint32_t outbox_count, outbox_room, outbox_batches; /* of which batches */
    int next_from;  /* the shard whose parcel was taken last */
    bool full;      /* the ledger had no room for the event at hand */
    struct parcel *stuck; /* a message of the source that could not be finished: it comes before any other */
    bool inexact;
    bool goodbye, stopped, paused;
    bool deriving; /* a tick is on its way: what was touched is derived over several steps */
    int outputs_done;      /* of the message at hand: mapped events that are in already */
    struct parcel *held;   /* handed over, and held up by a full ledger */
    uint64_t customer_seed;
    struct {
        bool at_work;
        int pass;
        uint32_t tenant, next; /* record to look at */
        uint64_t customer, count, parcels;
    } forget;
    bool route; /* interactions are owned by hash: their events may be in any partition */
    uint32_t strings_most, other; /* beyond so many strings a new one counts as KEY_OTHER */
    enum memory_state memory;
    struct shard_counts counts;

    /* checkpoints: shard_state.c */
    uint64_t barrier;         /* waits for the barriers of the other shards; 0: none is on its way */
    bool barrier_again;       /* the second one, behind the notes of what was read before the first */
    bool barrier_full;
    bool arrived[SHARD_MAX];  /* a shard's barrier is here: what follows it stays in its ring */
    bool dumping;
    int dumped_parts;         /* the ledger, the books */
    uint64_t dumped;          /* the epoch that was written last */
    struct slice_out out;
    uint32_t strings_saved, roster_saved; /* what the files of the chain have */
    int64_t *offsets; /* by input: as of the last barrier */
    int offset_count;
    const struct shard_input *restored;
    int restored_count;
    bool *restored_taken;     /* that partition has come up as an input */
    bool restored_without_now; /* from a state whose writer did not tell what agents are now */
};

/* ---- intake.c: from a message to a fact in the ledger: mapping, decoding, lateness, owner ---- */

/* Takes one message of the source. False: not finished for lack of room; offer the same message again. */
bool intake_message(struct shard *shard, const struct message *message);
/* A copy of a message, its text replaced by `text`. */
struct parcel *parcel_new(const struct message *message, const char *text, size_t length);
struct message parcel_message(const struct parcel *parcel);
/* Takes what another shard handed over. False: offer it again. */
bool intake_parcel(struct shard *shard, struct parcel *parcel);
/* An interaction's events of before this are too late. */
int64_t shard_forgotten_ms(const struct shard *shard);

/* ---- shard.c ---- */

/* Into the outbox; takes the item. */
void shard_post(struct shard *shard, int kind, int target, void *item);
/* Flushes what was taken so far to the folds; `barrier`: of the checkpoint that it is the last of, or 0. */
void shard_tick(struct shard *shard, uint64_t barrier);

/* ---- shard_tell.c ---- */

/* All that was added up, a batch a fold, into the outbox. */
void shard_post_batches(struct shard *shard, bool drained, uint64_t barrier);
/* A ledger_emit: one contribution to where its kind goes. */
void shard_emit(void *context, uint32_t tenant, uint32_t scopes, const struct block *block, int sign, const uint8_t *bytes, uint32_t length);
/* Figures on their way to the folds. */
void shard_add(struct shard *shard, uint32_t tenant, uint32_t scopes, const struct dims *dims, int64_t anchor_ms, bool spans, const uint8_t *runs,
               uint32_t length);
/* What is now (now.h), likewise; anchor_ms says which block it goes to. */
void shard_add_now(struct shard *shard, uint32_t tenant, uint32_t scopes, const struct dims *dims, int64_t anchor_ms, const uint8_t *runs,
                   uint32_t length);
/* Derives what is touched; notes go to who owns them. */
void shard_derive(struct shard *shard, uint32_t most);
/* Derives as many as one step may. False: no more than that were touched, and none was derived: the tick derives them. */
bool shard_derive_some(struct shard *shard);

/* ---- align.c ---- */

/* Which inputs wait for others. */
void shard_align(struct shard *shard);

/* ---- watermark.c ---- */

/* Reads the inputs' and the shards' event time, says this shard's. */
void shard_read_time(struct shard *shard);
/* Whether the effect of so many of the parcels that it has sent has reached the folds' rings. */
bool shard_parcels_settled(const struct shard *shard, uint64_t count);

/* ---- shard_state.c ---- */

/* Goes on with what is under way; returns work done. */
int shard_state_step(struct shard *shard);
/* Commits where the inputs stand. */
void shard_commit(struct shard *shard);
/* An input is seen for the first time: what the checkpoint knows of it. */
void shard_input_seen(struct shard *shard, int input);
/* Whether the input is read on where a checkpoint says. */
bool shard_input_restored(const struct shard *shard, int input);
void shard_state_close(struct shard *shard);

#endif
