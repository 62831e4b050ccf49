/* redis_parts: what the files of the Redis sink share, and nobody else: the connection (redis_link.c), a row's fields
 * (redis_fields.c), tenants (redis_tenants.c) and what to write (redis_writer.c). All of it belongs to the sink's thread. */
#ifndef ESTEEM_REDIS_PARTS_H
#define ESTEEM_REDIS_PARTS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esteem/config.h"
#include "esteem/redis.h"
#include "esteem/row.h"
#include "key_memory.h"

/* --- the connection --- */

enum redis_command {
#define REDIS_COMMANDS(X) \
    X(AUTH) X(SELECT) X(WATCH) X(GET) X(SET) X(MULTI) X(DEL) X(HSET) X(HDEL) X(PEXPIRE) X(ZADD) X(ZREM) X(EXEC) X(ZREMRANGEBYSCORE) X(PUBLISH) \
    X(SCAN) X(HGET)
#define X(name) REDIS_##name,
    REDIS_COMMANDS(X)
#undef X
    REDIS_COMMAND_COUNT
};
extern const char *const redis_command_names[REDIS_COMMAND_COUNT];

/* A command that has not been answered yet. */
struct redis_expected {
    uint64_t key;    /* hash of the row's key */
    uint16_t fields; /* of an HSET */
    uint8_t command;
    bool row;        /* an HSET of a key that was known: its answer says whether Redis still had it */
    bool alone;      /* an HDEL that is all there is of its row; else that is the HSET */
    bool claim;      /* an EXEC that writes the fence, no rows */
};

/* Two batches, each with four commands a row and two a tenant at most, and the fence's. */
enum { REDIS_ROW_COMMANDS = 4, REDIS_EXPECTED_MAX = 1 << 13,
       REDIS_ROW_COMMANDS_MOST = REDIS_ROW_COMMANDS + CONFIG_GOAL_MAX + 2 + 3 * CONFIG_BOARD_MAX /* of a row that is in all sets */ };
_Static_assert(2 * (REDIS_ROWS_MAX * (REDIS_ROW_COMMANDS + 2) + 16) <= REDIS_EXPECTED_MAX, "two batches fit");

struct redis_lookup;

struct redis_link {
    struct redis_lookup *lookup; /* of the host, until the connection begins; NULL: none */
    int port;
    uint32_t tries;
    redisContext *context; /* NULL: none; hiredis connects and parses, sending and receiving are ours */
    char *bytes;           /* commands on their way out: [head, length) */
    size_t head, length, room;
    struct redis_expected *ring; /* REDIS_EXPECTED_MAX */
    uint32_t first, count;
};

void redis_link_init(struct redis_link *link);
void redis_link_close(struct redis_link *link);

/* Begins to connect. 0 or ERR_REDIS. */
int redis_link_connect(struct redis_link *link, const struct config *config);
/* 1: connected, 0: not yet, or ERR_REDIS. */
int redis_link_ready(struct redis_link *link);
/* Forgets the connection and all that waits for it. */
void redis_link_drop(struct redis_link *link);

/* A command: its name, then `arguments` calls of redis_link_text, _bytes or _integer. The return lives until the next command. */
struct redis_expected *redis_link_command(struct redis_link *link, enum redis_command command, int arguments);
void redis_link_bytes(struct redis_link *link, const char *bytes, size_t length);
void redis_link_text(struct redis_link *link, const char *text);
void redis_link_integer(struct redis_link *link, int64_t value);
/* The same by hand: room for `most` bytes, of which `length` were written. */
char *redis_link_room(struct redis_link *link, size_t most);
void redis_link_wrote(struct redis_link *link, size_t length);

/* Both never wait; return the bytes moved, or ERR_REDIS when the connection is broken. */
int64_t redis_link_send(struct redis_link *link);
typedef void redis_answer(void *context, const struct redis_expected *expected, const redisReply *reply);
int64_t redis_link_receive(struct redis_link *link, redis_answer *answer, void *context);

static inline size_t redis_link_waiting(const struct redis_link *link)
{
    return link->length - link->head;
}

/* --- the host's address (redis_lookup.c) --- */

/* NULL: the system has no room for it. */
struct redis_lookup *redis_lookup_new(const char *host);
/* 1: `address` is one of the host's, another one with another `which`; 0: not known yet; or ERR_REDIS. */
int redis_lookup_done(struct redis_lookup *lookup, uint32_t which, char *address, size_t room);
void redis_lookup_free(struct redis_lookup *lookup);

/* --- faults (redis_faults.c) --- */

/* An error that Redis answers with, by its first word. */
struct redis_fault {
    const char *code;
    bool leave;         /* this connection will not do: build up another, which looks the host up again */
    const char *advice; /* what to do about it */
};
/* The last one, "", stands for all that are not known. */
extern const struct redis_fault redis_faults[];
enum { REDIS_FAULTS = 19 };
int redis_fault_find(const char *text);

/* --- fields of a key --- */

/* Fields that not every write of a key has: bit i is metric i, bit METRIC_COUNT + i its `_small`, then come the figures that the
 * configuration asks for, the last one is `inexact`. */
enum { REDIS_FIELD_EXTRA = 2 * METRIC_COUNT, REDIS_FIELDS = REDIS_FIELD_EXTRA + ROW_EXTRA_MAX + 1 };
_Static_assert(REDIS_FIELDS <= 64 * KEY_WORDS, "what is remembered of a key has a bit for each field");
struct redis_fields {
    uint64_t word[KEY_WORDS];
};

/* --- tenants of the present batch --- */

enum { REDIS_TENANTS_MAX = 65536 };

struct redis_tenant {
    uint64_t hash;
    char *prefix; /* "esteem:v1:{acme}:" */
    size_t prefix_length;
    char *keys;   /* changed by the present batch, one a line; or `*` */
    size_t keys_length, keys_room;
    uint64_t run;     /* tenants.run when it last changed */
    uint32_t changed; /* how many keys since that run began */
    int64_t newest_ms;  /* newest end of its rows */
    char *alerts;       /* messages to be told, each ended by a zero byte */
    size_t alerts_length, alerts_room;
    uint64_t serial;    /* of the configuration whose goals and leaderboards are in Redis; 0: not known */
    int64_t trimmed_ms; /* newest_ms when its scopes were last cleaned up */
};

struct redis_tenants {
    const char *head; /* config.redis_head */
    struct redis_tenant *tenant;
    uint32_t *slot; /* index + 1 */
    uint32_t *dirty; /* tenants with changes */
    uint32_t count, room, slots, dirty_count;
    uint64_t serial; /* of new ones */
    uint64_t run;    /* of batches, each put while the one before was on its way: a tick's */
};

/* Keeps `head`, what each key begins with. */
void redis_tenants_init(struct redis_tenants *tenants, const char *head);
void redis_tenants_close(struct redis_tenants *tenants);
/* Forgets them all, changes too. */
void redis_tenants_clear(struct redis_tenants *tenants);
/* The tenant by its name as rows carry it. Until the next call. */
struct redis_tenant *redis_tenant_find(struct redis_tenants *tenants, const char *name);
void redis_tenant_changed(struct redis_tenants *tenants, struct redis_tenant *tenant, const char *key, size_t length);
/* A message for its channel `alerts`, at the batch's end. */
void redis_tenant_alert(struct redis_tenants *tenants, struct redis_tenant *tenant, const char *message, size_t length);
/* Its changes were told. */
void redis_tenant_told(struct redis_tenant *tenant);

/* --- rows as hashes (redis_fields.c) --- */

void redis_fields_init(void);
struct redis_fields redis_fields_of(const struct row_view *view);
/* Whether `old` has a field that `next` has not; KEY_WORDS each. */
bool redis_fields_lost(const uint64_t *old, const uint64_t *next);
/* `old`, KEY_WORDS: fields that the key has. `ends`, METRIC_COUNT: which fields each metric has had, gathered from row to row. */
struct redis_expected *redis_put_hset(struct redis_link *link, const char *key, size_t key_length, const struct row_view *view,
                                      const char *json, size_t json_length, const uint64_t *old, uint8_t *ends);
/* Takes out the fields that the key has of `old` and the row has not: some, as redis_fields_lost says. */
struct redis_expected *redis_put_hdel(struct redis_link *link, const char *key, size_t key_length, const struct row_view *view,
                                      const uint64_t *old, const uint64_t *next, const uint8_t *ends);
void redis_put_catalogue(struct redis_link *link, const char *head);

/* --- goals and leaderboards (redis_goals.c) --- */

struct redis_writer;
/* What the writer's view says of them. */
void redis_put_goals(struct redis_writer *writer, struct redis_tenant *tenant, int64_t ttl_ms);

/* --- what to write (redis_writer.c) --- */

enum { REDIS_HEAD_MAX = 64, REDIS_KEY_MAX = ROW_SCOPE_MAX + 3 * 1024 };

/* A transaction of rows: its commands, in the order of EXEC's answers. */
struct redis_batch {
    struct redis_expected *command; /* REDIS_ROWS_MAX * REDIS_ROW_COMMANDS */
    uint32_t commands, rows;
};

struct redis_writer {
    struct redis_link *link;
    struct redis_batch open, sent; /* being filled; waiting for EXEC's answer */
    uint32_t rows_most; /* of a batch: REDIS_ROWS_LEAST to REDIS_ROWS_MAX */
    int64_t ttl_most_ms; /* of the longest window */
    struct key_memory keys, scopes;
    uint64_t serial; /* of the newest configuration that a row came with */
    struct redis_tenants tenants;
    uint8_t ends[METRIC_COUNT]; /* redis_put_hset */
    char *json;
    size_t json_room;
    char key[REDIS_KEY_MAX];
    struct row_view view;
};

/* `writer` is zeroed storage. */
void redis_writer_init(struct redis_writer *writer, struct redis_link *link, const struct config *config);
void redis_writer_close(struct redis_writer *writer);
/* What is remembered of Redis is in doubt. */
void redis_writer_forget(struct redis_writer *writer);
bool redis_writer_full(const struct redis_writer *writer);
/* A command of the open batch, as EXEC will answer it. */
void redis_writer_batch(struct redis_writer *writer, const struct redis_expected *expected);
/* Into the open batch. */
void redis_writer_put(struct redis_writer *writer, const struct row *row, int64_t now_ms);
/* Redis has taken so long for the batch that was sent: the next ones are larger or smaller. */
void redis_writer_pace(struct redis_writer *writer, int64_t took_ms);
/* Ends the open batch's transaction and tells its changed keys. None is on its way then. */
void redis_writer_commit(struct redis_writer *writer);
/* Forgets both batches: the connection is gone. */
void redis_writer_drop(struct redis_writer *writer);
/* A row's HSET was answered: so many of its fields were new. True: Redis had dropped the key. */
bool redis_writer_hset_done(struct redis_writer *writer, const struct redis_expected *hset, int64_t fields_new, int64_t now_ms);

#endif
