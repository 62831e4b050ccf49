/* relay: what interactions tell of customers and agents (struct note, derive.h) goes to the shard that owns them, by hash: at once, where that is this
 * one. The notes of one flush travel as one parcel a shard; tuples of dimensions and lists of scopes are spelled out the first time and then
 * called by number. Private to the shard. Bounded: TUPLES_MOST tuples, then all numbers are given anew.
 *
 *   't' varint number, tenant, varint mask, a text each       a tuple gets its number
 *   'l' varint number, varint count, varint masks             a list of scopes gets its number
 *   'n' kind, sign, varint tuple, varint list, zigzag anchor, u64 who, u64 id, varint state, zigzag until - anchor or 0 1 for never
 */
#ifndef ESTEEM_RELAY_H
#define ESTEEM_RELAY_H

#include "esteem/shard.h"
#include "esteem/shift.h"
#include "esteem/visit.h"

struct relay_tuple {
    uint32_t tenant;
    struct dims dims;
    uint64_t told; /* bit: a shard that knows its number */
};

struct relay_bundle {
    uint8_t *bytes;
    uint32_t length, room;
};

/* What another shard has numbered. */
struct relay_sender {
    struct relay_tuple *tuple;
    uint32_t room;
    uint8_t list[256];
};

struct relay {
    struct relay_tuple *tuple;
    uint32_t tuples, room, *slot, slots;
    uint64_t list_told[256];
    struct relay_bundle bundle[SHARD_MAX];
    struct relay_sender *from[SHARD_MAX];
    struct visits visits;
    struct shifts shifts;
    bool loading;
};

struct shard;

void relay_init(struct shard *shard);
void relay_close(struct relay *relay);
/* A note of the ledger: taken, or on its way. */
void relay_note(struct shard *shard, uint32_t tenant, uint32_t scopes, const struct block *block, int sign, const struct note *note);
/* Posts the notes to others. */
void relay_send(struct shard *shard);
/* Takes those of another shard. */
void relay_take(struct shard *shard, int from, const uint8_t *bytes, uint32_t length);
/* From now on notes to itself wait, as the books that they belong into are not whole yet; they are, and it takes them. */
void relay_loading(struct relay *relay);
void relay_loaded(struct shard *shard);
bool relay_empty(const struct relay *relay);
struct book *relay_book(const struct relay *relay, int number); /* BOOK_VISITS ... */

/* Forgets a customer's visits, if they are kept here; how many. */
uint32_t relay_forget(struct shard *shard, uint32_t tenant, uint64_t customer);
/* Whether memory is short. */
void relay_press(struct shard *shard, bool pressed);
/* Forgets what nothing can change any more. */
void relay_expire(struct shard *shard, uint32_t most);

/* The shard that owns a customer, an agent. */
int relay_owner_of_customer(uint64_t customer, int shards);
int relay_owner_of_agent(const char *tenant, const char *agent, int shards);

#endif
