/* source: where messages come from. kafka.c, file.c and the simulator's source are behind these functions; policy (who is
 * paused, what is idle) lives in the shard. Runs on: the shard's thread. */
#ifndef ESTEEM_SOURCE_H
#define ESTEEM_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esteem/event.h"

struct message {
    const char *at; /* NULL with length 0: a tombstone */
    size_t length;
    int topic;      /* index into config.topic; 0 for files */
    int input;      /* the source's own number for this (topic, partition) or file, from 0, below SOURCE_INPUT_MAX */
    int32_t partition;
    int64_t offset; /* Kafka's offset, or the line's number in a file */
    struct event_headers headers;
    struct text key; /* Kafka's; at NULL: none */
};

enum { SOURCE_INPUT_MAX = 4096 };

struct source_position {
    int topic; /* as in struct message */
    int32_t partition;
    int64_t next; /* offset behind the last message handed out, or where it begins; -1: not known yet */
};

/* Called once a message; the message is borrowed for the call. False: stop this poll after this message. */
typedef bool source_each(void *context, const struct message *message);

struct source {
    void *state;
    /* Hands at most `most` messages to `each`, waiting at most `wait_ms` for the first. Returns how many, or ERR_*. */
    int (*poll)(void *state, int most, int wait_ms, source_each *each, void *context);
    /* False while it is not known yet which inputs there are: no watermark can be told then. */
    bool (*ready)(void *state);
    /* Inputs known now: 0 .. count - 1. */
    int (*inputs)(void *state);
    /* True when the input was read to its end and nothing of it is queued. */
    bool (*at_end)(void *state, int input);
    /* True when that was so at any time since the start; NULL: not known, at_end stands in. */
    bool (*was_at_end)(void *state, int input);
    /* False while something that it is to read is not there, a topic with a mistake in its name: nobody knows what that would tell.
     * NULL: all is there. */
    bool (*whole)(void *state);
    void (*pause)(void *state, bool pause);
    /* Whether messages of an input are held back; those of the others come meanwhile. May be NULL. */
    void (*hold)(void *state, int input, bool hold);
    /* Offsets for lag tools: next[i] is the one to read next of input i, -1: leave it. Returns at once; while one commit is on its
     * way, another is dropped: a later call has the newer offsets. May be NULL. */
    void (*commit)(void *state, const int64_t *next, int count);
    /* How far an input is. May be NULL. */
    void (*position)(void *state, int input, struct source_position *out);
    void (*close)(void *state);
};

#endif
