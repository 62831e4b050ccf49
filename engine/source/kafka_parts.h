/* kafka_parts: what the files of the Kafka source share, and nobody else. kafka.c hands out messages; kafka_client.c opens
 * librdkafka and tells its errors; kafka_hold.c keeps what is not to be handed out yet; kafka_watch.c is the thread that asks which partitions there are; kafka_inputs.c takes them up
 * and begins one again where that is needed. */
#ifndef ESTEEM_KAFKA_PARTS_H
#define ESTEEM_KAFKA_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "esteem/kafka.h"

enum {
    TOLD_BASE = 200,    /* librdkafka's own errors go down to -200 */
    TOLD_COUNT = 512,
    FOUND_NOT_YET = -1, /* no broker has said yet whether the topic exists */
    OFFSET_UNKNOWN = -1,
};

enum input_place {
    INPUT_AWAY, /* the partition is not there, or is asked about: what comes of it is dropped */
    INPUT_DUE,  /* to be assigned at due_ms */
    INPUT_HERE,
};

enum input_purpose {
    INPUT_READ,
    INPUT_CHECK,  /* the last message is read once more: is it still the same topic? */
    INPUT_REWIND, /* begins again at the first offset there is: was anything lost? */
    INPUT_SEARCH, /* where does end what cannot be fetched? */
};

struct input {
    int topic;
    int32_t partition;
    rd_kafka_queue_t *queue; /* the partition's own, from which nothing is read: inputs_close */
    enum input_place place;
    enum input_purpose purpose;
    int64_t next;      /* offset behind the last message handed out; OFFSET_UNKNOWN */
    int64_t committed; /* as of the last commit */
    int64_t until;     /* messages from this offset on are not handed out; INT64_MAX: all are */
    int64_t from;      /* INPUT_DUE: where to begin, may be one of librdkafka's RD_KAFKA_OFFSET_ */
    int64_t due_ms;    /* INPUT_DUE: monotonic */
    int64_t last_ms;   /* the last message's timestamp and length, by which it is known again */
    size_t last_length;
    int64_t bad, low, high; /* INPUT_SEARCH: first offset that cannot be fetched, last known, first behind it or OFFSET_UNKNOWN */
    int probed;             /* messages so far, up to PROBE */
    bool assigned; /* to librdkafka */
    bool last_known;
    bool at_end, was_at_end;
    bool ended;    /* `until` was reached */
    bool hold;     /* nothing is handed out */
    bool unfetched; /* too much is held: librdkafka was told not to fetch it */
    rd_kafka_message_t **held;
    size_t held_next, held_count, held_room;
};

struct topic {
    int index; /* into config.topic */
    rd_kafka_topic_t *handle;
    bool begun;            /* shard: partitions that are found from now on are new, and read from their beginning */
    bool doubt;            /* shard: librdkafka says that a partition is gone; the watcher is asked */
    unsigned doubts;       /* shard: how often it was asked */
    unsigned shrunk_seen;  /* shard */
    int32_t taken;         /* shard: partitions dealt with */
    int *input;            /* shard: input of partition p, -1: another shard's */
    bool missing, was_there;  /* watcher */
    _Atomic int32_t found;    /* watcher writes: partitions now, 0: no such topic, or FOUND_NOT_YET; the shard reads */
    _Atomic unsigned shrunk;  /* watcher writes: how often there were fewer than before */
    _Atomic unsigned asked;   /* shard writes: `doubts` */
    _Atomic unsigned settled; /* watcher writes: `asked`, as it was before the question that `found` answers */
};

struct lag_entry {
    struct kafka_lag lag;
    int64_t next; /* the offset that is handed out next; -1: nothing was yet */
};

struct kafka_source {
    const struct config *config;
    int shard, shards;
    rd_kafka_t *rk;
    kafka_from *from;
    void *from_context;
    kafka_until *until; /* NULL: no partition ends */
    void *until_context;

    /* shard's thread */
    rd_kafka_queue_t *queue, *replies; /* messages; answers to commits */
    rd_kafka_message_t *batch[KAFKA_BATCH];
    size_t batch_next, batch_count; /* what was fetched from the queue and not yet handed out; NULL: dropped */
    struct input *input;
    int input_count, due_count;
    int held_inputs; /* of which something is held */
    size_t held_bytes, held_most;
    bool committing, doubt;
    bool probe_only; /* the byte behind a message does not tell whether it has headers */
    unsigned generation_seen;

    /* watcher's thread */
    pthread_t watcher;
    bool watching, away;

    /* both */
    _Atomic unsigned generation; /* one more each time a topic's `found` or `settled` changes */
    _Atomic bool paused;         /* the shard sets it; while it lasts the watcher asks for the partitions' ends */
    pthread_mutex_t lock;        /* protects `stop` and `look` */
    pthread_cond_t wake;
    bool stop, look;
    _Atomic uint64_t errors, lost, unfetchable, recreated;
    _Atomic int64_t left; /* up to the ends; -1 */
    _Atomic bool told[TOLD_COUNT]; /* error kinds that were logged */
    pthread_mutex_t lag_lock;    /* protects the three below: written by the shard once a second, while it is paused by the watcher */
    struct lag_entry *lag;
    int lags, lag_room;
    int64_t lag_ms;              /* shard: when it was written, monotonic */
    _Atomic int64_t told_ms;       /* when the last one was, monotonic; 0: none is told */

    int topic_count;
    struct topic topic[CONFIG_TOPIC_MAX];
};

/* kafka_client.c */
int client_open(struct kafka_source *source);
int topics_open(struct kafka_source *source);
int64_t coarse_ms(void);
void error_tell(struct kafka_source *source, rd_kafka_resp_err_t error, const char *text);
void errors_forget(struct kafka_source *source);
bool error_says_gone(rd_kafka_resp_err_t error);

/* kafka_hold.c; all on the shard's thread */
/* True: it was put behind what is held of its input. False: it is for now. */
bool held_put(struct kafka_source *source, rd_kafka_message_t *rkm);
/* What was held and is to be handed out now; NULL: nothing. */
rd_kafka_message_t *held_take(struct kafka_source *source);
void held_drop(struct kafka_source *source, struct input *input);
void kafka_hold(void *state, int input, bool hold);

/* kafka_watch.c */
int watcher_start(struct kafka_source *source);
void watcher_stop(struct kafka_source *source);
void watcher_look(struct kafka_source *source); /* do not wait for your time */

/* kafka_inputs.c; all on the shard's thread */
int inputs_serve(struct kafka_source *source); /* takes up what the watcher has found, begins what is due */
void inputs_close(struct kafka_source *source);
struct input *input_of(struct kafka_source *source, const rd_kafka_message_t *rkm);
void topic_doubt(struct kafka_source *source, struct topic *topic);
/* What an input has to say to a message that is not simply the next one. True: hand it out. */
bool input_message(struct kafka_source *source, struct input *input, const rd_kafka_message_t *rkm);
/* A message at or behind the input's `until` has come: nothing more is fetched. */
void input_ended(struct kafka_source *source, struct input *input);
/* Messages up to the inputs' ends. */
/* Writes what waits in Kafka for whoever asks, once a second. */
void inputs_tell_lag(struct kafka_source *source);
int64_t inputs_left(const struct kafka_source *source);
void input_notice(struct kafka_source *source, struct input *input, const rd_kafka_message_t *rkm);

#endif
