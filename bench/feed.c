/* feed: makes the feeds that the engine is measured with. Equal options give equal bytes.
 *
 * Of all events 5 % repeat an earlier one byte for byte and 1 % correct an earlier record with a higher version; of the rest 60 %
 * are contacts, 20 % surveys, 20 % opportunities and uses, which join a contact of the last 10 minutes. 5 % of all arrive up to 8 s
 * after their turn. In feed R a contact is one `interaction.completed` with all four times, in feed L it is 6 to 8 lifecycle facts.
 * 2,000 agents have one team (of 50) and one or two queues (of 8) and channels (of 4) each.
 *
 *   the next contact's fact, by time ──> mix ──> held back (5 %) ──> standard output or Kafka
 *
 * What a contact is follows from its number and the seed, so no contact is kept: only facts to come (feed L), events held back and
 * a few thousand events to repeat. Feed L has its full density once the first contacts have ended (about twice --talk).
 *
 *   feed --feed R|L [--events N] [--seed S] [--start MS] [--per-second N] [--talk SECONDS] [--bytes N] [--live]
 *        [--topic TOPIC [--brokers LIST]] */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

enum {
    EVENT_BYTES = 700, /* at most, without the line's end */
    AGENTS = 2000,
    TEAMS = 50,
    QUEUES = 8,
    CHANNELS = 4,
    JOIN_MS = 600000, /* surveys and uses belong to a contact of the last 10 minutes */
    LATE_MS = 8000,
    REPEATS = 4096,  /* events that may be repeated */
    SURVEYS = 65536, /* surveys that may be corrected */
    STEPS_MAX = 8,
    FACTS_MEAN = 7, /* a contact in feed L */
};

/* Shares, in 1/10,000. */
enum { SHARE_REPEAT = 500, SHARE_CORRECTION = 100, SHARE_SURVEY = 2000, SHARE_USE = 2000, SHARE_LATE = 500 };

struct line {
    uint16_t length, key_length;
    char key[40], text[EVENT_BYTES];
};

struct survey {
    uint64_t number, contact;
    int64_t time_ms;
};

/* A heap of things that come at a time: the earliest first, of equal ones the lowest. */
struct due {
    int64_t time_ms;
    uint64_t what;
};

struct heap {
    struct due *item;
    size_t count, space;
};

struct feed {
    /* options */
    bool lifecycle, live;
    uint64_t events, seed;
    int64_t start_ms, talk_ms;
    double per_ms; /* events a millisecond of event time */
    size_t bytes;
    const char *topic, *brokers;

    /* state */
    uint64_t random, contacts, surveys, uses, emitted;
    int64_t now_ms;
    struct heap facts, held;
    struct line *hold; /* events held back, by slot */
    uint64_t *hold_free;
    size_t hold_count, hold_space, hold_free_count;
    struct line *repeat;
    struct survey *survey;
    int64_t wall_ms;

    rd_kafka_t *rk;
    rd_kafka_topic_t *handle;
    uint64_t failed;
};

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "feed: %s: %s\n", what, why);
    exit(1);
}

static void *grown(void *memory, size_t count, size_t size)
{
    memory = reallocarray(memory, count, size);
    if (!memory) {
        fail("memory", "none left");
    }
    return memory;
}

/* ---- chance: splitmix64, once as a generator and once as a function of what is asked */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t draw(struct feed *feed, uint64_t below)
{
    feed->random += UINT64_C(0x9e3779b97f4a7c15);
    return mix(feed->random) % below;
}

/* Trait number `which` of thing number `number`, below `below`. */
static uint64_t trait(const struct feed *feed, uint64_t number, uint64_t which, uint64_t below)
{
    return mix(mix(number * 64 + which + feed->seed * UINT64_C(0x9e3779b97f4a7c15)) + which) % below;
}

/* ---- the heap */

static bool earlier(const struct due *a, const struct due *b)
{
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->what < b->what;
}

static void heap_push(struct heap *heap, int64_t time_ms, uint64_t what)
{
    if (heap->count == heap->space) {
        heap->space = heap->space * 2 + 1024;
        heap->item = grown(heap->item, heap->space, sizeof *heap->item);
    }
    struct due due = {time_ms, what};
    size_t at = heap->count++;
    for (; at > 0 && earlier(&due, &heap->item[(at - 1) / 2]); at = (at - 1) / 2) {
        heap->item[at] = heap->item[(at - 1) / 2];
    }
    heap->item[at] = due;
}

static struct due heap_pop(struct heap *heap)
{
    struct due first = heap->item[0], last = heap->item[--heap->count];
    size_t at = 0;
    for (size_t child; (child = at * 2 + 1) < heap->count; at = child) {
        if (child + 1 < heap->count && earlier(&heap->item[child + 1], &heap->item[child])) {
            child++;
        }
        if (!earlier(&heap->item[child], &last)) {
            break;
        }
        heap->item[at] = heap->item[child];
    }
    heap->item[at] = last;
    return first;
}

/* ---- writing an event */

static void put(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line->text + line->length, EVENT_BYTES - line->length, format, arguments);
    va_end(arguments);
    line->length = (uint16_t)(line->length + length);
}

static void put_text(struct line *line, const char *text)
{
    size_t length = strlen(text);
    memcpy(line->text + line->length, text, length);
    line->length = (uint16_t)(line->length + length);
}

/* `"name":number` and a comma. */
static void put_number(struct line *line, const char *name, int64_t number)
{
    char digits[24], *at = digits + sizeof digits;
    uint64_t left = number < 0 ? (uint64_t)-number : (uint64_t)number;
    *--at = '\0';
    *--at = ',';
    do {
        *--at = (char)('0' + left % 10);
    } while (left /= 10);
    if (number < 0) {
        *--at = '-';
    }
    put_text(line, name);
    put_text(line, at);
}

struct agent {
    unsigned number, team, queue[2], channel[2]; /* the same twice, when there is one */
};

static struct agent agent_of(const struct feed *feed, uint64_t number)
{
    struct agent agent = {.number = (unsigned)number, .team = (unsigned)(number % TEAMS)};
    uint64_t own = number + (UINT64_C(1) << 40);
    for (uint64_t i = 0; i < 2; i++) {
        bool second = i && trait(feed, own, 1, 2);
        agent.queue[i] = (unsigned)trait(feed, own, second ? 3 : 2, QUEUES);
        agent.channel[i] = (unsigned)trait(feed, own, second ? 5 : 4, CHANNELS);
    }
    return agent;
}

/* Opens the object: id, type, time, tenant, interaction. */
static void line_begin(struct line *line, char kind, uint64_t number, unsigned step, const char *type, int64_t time_ms, uint64_t contact)
{
    char text[96];
    line->length = 0;
    put(line, "{\"id\":\"%c%08" PRIx64 "-%u\",\"type\":\"%s\",", kind, number, step, type);
    put_number(line, "\"time\":", time_ms);
    (void)snprintf(text, sizeof text, "\"tenant\":\"acme\",\"interaction\":\"c%08" PRIx64 "\",", contact);
    put_text(line, text);
    line->key_length = (uint16_t)snprintf(line->key, sizeof line->key, "acme|c%08" PRIx64, contact);
}

static void put_dimensions(const struct feed *feed, struct line *line, uint64_t contact, uint64_t agent_number)
{
    static const char *const sites[5] = {"lisbon", "porto", "dublin", "gdansk", "manila"};
    static const char *const queues[QUEUES] = {"billing", "support", "sales", "orders", "returns", "claims", "accounts", "retention"};
    static const char *const channels[CHANNELS] = {"voice", "chat", "email", "social"};
    struct agent agent = agent_of(feed, agent_number);
    uint64_t pick = trait(feed, contact, 8, 2);
    put(line, "\"customer\":\"u%07u\",\"site\":\"%s\",\"channel\":\"%s\",\"queue\":\"%s\",\"team\":\"team-%02u\",\"agent\":\"agent-%04u\",",
        (unsigned)trait(feed, contact, 9, 3000000), sites[agent.team % 5], channels[agent.channel[pick]], queues[agent.queue[pick]],
        agent.team, agent.number);
}

/* Closes the object, filled up with a field that the engine ignores, as real feeds have them. */
static void line_end(const struct feed *feed, struct line *line, uint64_t number)
{
    static const char start[] = "\"trace\":\"", digits[] = "0123456789abcdef";
    size_t least = line->length + sizeof start - 1 + 2;
    if (least < feed->bytes) {
        put_text(line, start);
        uint64_t bits = 0;
        for (size_t i = 0; least + i < feed->bytes; i++, bits >>= 4) {
            bits = i % 16 ? bits : mix(number + i + feed->seed);
            line->text[line->length++] = digits[bits & 15];
        }
        line->text[line->length++] = '"';
    } else {
        line->length--; /* the last comma */
    }
    line->text[line->length++] = '}';
}

/* ---- contacts */

struct times {
    int64_t wait_ms, talk_ms, wrap_ms;
};

static struct times times_of(const struct feed *feed, uint64_t contact)
{
    return (struct times){.wait_ms = 1000 + (int64_t)trait(feed, contact, 1, 39000),
                          .talk_ms = feed->talk_ms / 4 + (int64_t)trait(feed, contact, 2, (uint64_t)feed->talk_ms * 3 / 2 + 1),
                          .wrap_ms = (int64_t)trait(feed, contact, 3, (uint64_t)feed->talk_ms / 3 + 1)};
}

/* Feed R: the record of a contact that was wrapped at `wrapped_ms`; a correction has its own time and version. */
static void record_write(const struct feed *feed, struct line *line, uint64_t contact, int64_t wrapped_ms, int64_t time_ms, int64_t version)
{
    struct times times = times_of(feed, contact);
    int64_t ended_ms = wrapped_ms - times.wrap_ms, answered_ms = ended_ms - times.talk_ms;
    line_begin(line, 'r', contact, 0, "interaction.completed", time_ms, contact);
    put_dimensions(feed, line, contact, trait(feed, contact, 0, AGENTS));
    put_number(line, "\"offered_at\":", answered_ms - times.wait_ms);
    put_number(line, "\"answered_at\":", answered_ms);
    put_number(line, "\"ended_at\":", ended_ms + (version ? (int64_t)trait(feed, contact, 20 + (uint64_t)version, (uint64_t)times.wrap_ms + 1) : 0));
    put_number(line, "\"wrapped_at\":", wrapped_ms);
    if (version) {
        put_number(line, "\"version\":", version);
    }
    put_text(line, trait(feed, contact, 4, 10) < 8 ? "\"resolved\":true," : "\"resolved\":false,");
    line_end(feed, line, contact);
}

/* The time at which contact number `contact` of feed R is wrapped. */
static int64_t record_time(const struct feed *feed, uint64_t contact)
{
    double share = (10000.0 - SHARE_REPEAT - SHARE_CORRECTION) / 10000 * (10000.0 - SHARE_SURVEY - SHARE_USE) / 10000;
    return feed->start_ms + (int64_t)((double)contact / (feed->per_ms * share));
}

/* Feed L: when a contact begins; the same density of events with FACTS_MEAN facts each. */
static int64_t contact_time(const struct feed *feed, uint64_t contact)
{
    return record_time(feed, contact * FACTS_MEAN);
}

enum fact { OFFERED, ANSWERED, IDENTIFIED, HELD, RESUMED, TRANSFERRED, ANSWERED_AGAIN, ENDED, WRAPPED };

/* The facts of a contact, in their order; returns how many: 6, 7 or 8. */
static int facts_of(const struct feed *feed, uint64_t contact, enum fact *fact, int64_t *at_ms)
{
    static const enum fact plans[3][STEPS_MAX] = {
        {OFFERED, ANSWERED, HELD, RESUMED, ENDED, WRAPPED},
        {OFFERED, ANSWERED, IDENTIFIED, HELD, RESUMED, ENDED, WRAPPED},
        {OFFERED, ANSWERED, HELD, RESUMED, TRANSFERRED, ANSWERED_AGAIN, ENDED, WRAPPED},
    };
    uint64_t plan = trait(feed, contact, 5, 3);
    struct times times = times_of(feed, contact);
    int64_t answered_ms = contact_time(feed, contact) + times.wait_ms;
    for (int i = 0; i < 6 + (int)plan; i++) {
        static const int tenths[] = {0, 0, 1, 3, 4, 6, 7, 10, 10}; /* of the talk, by fact */
        fact[i] = plans[plan][i];
        at_ms[i] = fact[i] == OFFERED ? answered_ms - times.wait_ms : answered_ms + times.talk_ms * tenths[fact[i]] / 10;
        at_ms[i] += fact[i] == WRAPPED ? times.wrap_ms : 0;
    }
    return 6 + (int)plan;
}

static void fact_write(const struct feed *feed, struct line *line, uint64_t contact, enum fact fact, int64_t time_ms)
{
    static const char *const types[] = {"interaction.offered", "interaction.answered", "interaction.identified",
                                        "interaction.held", "interaction.resumed", "interaction.transferred",
                                        "interaction.answered", "interaction.ended", "interaction.wrapped"};
    bool passed_on = fact >= ANSWERED_AGAIN && trait(feed, contact, 5, 3) == 2;
    line_begin(line, 'f', contact, fact, types[fact], time_ms, contact);
    put_dimensions(feed, line, contact, trait(feed, contact, passed_on ? 6 : 0, AGENTS));
    if (fact == ENDED) {
        put_text(line, trait(feed, contact, 4, 10) < 8 ? "\"resolved\":true," : "\"resolved\":false,");
    }
    line_end(feed, line, contact + fact);
}

/* The next contact event; moves the time on. */
static void contact_next(struct feed *feed, struct line *line)
{
    if (!feed->lifecycle) {
        uint64_t contact = feed->contacts++;
        feed->now_ms = record_time(feed, contact);
        record_write(feed, line, contact, feed->now_ms, feed->now_ms, 0);
        return;
    }
    if (!feed->facts.count || contact_time(feed, feed->contacts) <= feed->facts.item[0].time_ms) {
        heap_push(&feed->facts, contact_time(feed, feed->contacts), feed->contacts * STEPS_MAX);
        feed->contacts++;
    }
    struct due due = heap_pop(&feed->facts);
    enum fact fact[STEPS_MAX];
    int64_t at_ms[STEPS_MAX];
    uint64_t contact = due.what / STEPS_MAX, step = due.what % STEPS_MAX;
    int count = facts_of(feed, contact, fact, at_ms);
    if ((int)step + 1 < count) {
        heap_push(&feed->facts, at_ms[step + 1], due.what + 1);
    }
    feed->now_ms = due.time_ms;
    fact_write(feed, line, contact, fact[step], due.time_ms);
}

/* A contact of the last 10 minutes. */
static uint64_t contact_join(struct feed *feed)
{
    double each_ms = (double)(feed->now_ms - feed->start_ms + 1) / (double)feed->contacts;
    uint64_t window = (uint64_t)(JOIN_MS / (each_ms > 0 ? each_ms : 1));
    window = window < 1 ? 1 : window > feed->contacts ? feed->contacts : window;
    return feed->contacts - 1 - draw(feed, window);
}

/* ---- the other events */

static void survey_write(const struct feed *feed, struct line *line, const struct survey *survey, int64_t time_ms, int64_t version)
{
    uint64_t asked = survey->number * 2 + (UINT64_C(1) << 42) + ((uint64_t)version << 8);
    line_begin(line, 's', survey->number, 0, "survey.answered", time_ms, survey->contact);
    put_number(line, "\"csat\":", 1 + (int64_t)(trait(feed, asked, 0, 100) < 70 ? 3 + trait(feed, asked, 1, 2) : trait(feed, asked, 2, 5)));
    if (trait(feed, asked, 3, 2)) {
        put_number(line, "\"nps\":", (int64_t)trait(feed, asked, 4, 11));
    }
    if (trait(feed, asked, 5, 5) == 0) {
        put_number(line, "\"ces\":", 1 + (int64_t)trait(feed, asked, 6, 7));
    }
    if (trait(feed, asked, 7, 10) == 0) {
        put_text(line, "\"comment\":\"Thank you for the quick help with my order.\",");
    }
    if (version) {
        put_number(line, "\"version\":", version);
    }
    line_end(feed, line, asked);
}

static void survey_next(struct feed *feed, struct line *line)
{
    struct survey *survey = &feed->survey[feed->surveys % SURVEYS];
    *survey = (struct survey){.number = feed->surveys, .contact = contact_join(feed), .time_ms = feed->now_ms};
    feed->surveys++;
    survey_write(feed, line, survey, survey->time_ms, 0);
}

static void use_next(struct feed *feed, struct line *line)
{
    static const char *const elements[5] = {"apology", "appreciation", "sympathy", "life_event", "gift"};
    uint64_t contact = contact_join(feed), number = feed->uses++;
    bool used = draw(feed, 2);
    line_begin(line, used ? 'u' : 'o', number, 0, used ? "program.used" : "opportunity.seen", feed->now_ms, contact);
    put_dimensions(feed, line, contact, trait(feed, contact, 0, AGENTS));
    put(line, "\"element\":\"%s\",", elements[draw(feed, 5)]);
    if (used) {
        put_number(line, "\"cost\":", (int64_t)draw(feed, 2500));
    }
    line_end(feed, line, number + (UINT64_C(1) << 43));
}

/* A higher version of an earlier record: of a survey or, in feed R, as often of a contact. The version is the time, so that two
 * corrections of one version are equal. */
static void correction_next(struct feed *feed, struct line *line)
{
    int64_t version = feed->now_ms - feed->start_ms + 1;
    if (!feed->lifecycle && draw(feed, 2)) {
        uint64_t contact = contact_join(feed);
        record_write(feed, line, contact, record_time(feed, contact), feed->now_ms, version);
        return;
    }
    if (!feed->surveys) {
        survey_next(feed, line);
        return;
    }
    uint64_t back = 1 + draw(feed, feed->surveys < SURVEYS ? feed->surveys : SURVEYS);
    survey_write(feed, line, &feed->survey[(feed->surveys - back) % SURVEYS], feed->now_ms, version);
}

static void event_next(struct feed *feed, struct line *line)
{
    uint64_t chance = draw(feed, 10000);
    if (feed->contacts && chance < SHARE_REPEAT && feed->emitted) {
        *line = feed->repeat[draw(feed, feed->emitted < REPEATS ? feed->emitted : REPEATS)];
        return;
    }
    if (feed->contacts && chance < SHARE_REPEAT + SHARE_CORRECTION) {
        correction_next(feed, line);
        return;
    }
    chance = draw(feed, 10000);
    if (feed->contacts && chance < SHARE_SURVEY) {
        survey_next(feed, line);
    } else if (feed->contacts && chance < SHARE_SURVEY + SHARE_USE) {
        use_next(feed, line);
    } else {
        contact_next(feed, line);
    }
}

/* ---- sending */

static int64_t wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Event time runs with the clock: waits until the clock is there. */
static void live_wait(const struct feed *feed)
{
    int64_t left = feed->wall_ms + feed->now_ms - feed->start_ms - wall_ms();
    if (left > 0) {
        struct timespec pause = {left / 1000, left % 1000 * 1000000};
        fflush(stdout);
        nanosleep(&pause, NULL);
    }
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *rkm, void *context)
{
    (void)rk;
    if (rkm->err && ((struct feed *)context)->failed++ == 0) {
        fprintf(stderr, "feed: not delivered: %s\n", rd_kafka_err2str(rkm->err));
    }
}

static void kafka_send(struct feed *feed, struct line *line)
{
    while (rd_kafka_produce(feed->handle, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, line->text, line->length, line->key,
                            line->key_length, NULL)) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            fail("sending", rd_kafka_err2str(rd_kafka_last_error()));
        }
        (void)rd_kafka_poll(feed->rk, 50);
    }
    if (feed->emitted % 1024 == 0) {
        (void)rd_kafka_poll(feed->rk, 0);
    }
}

static void emit(struct feed *feed, struct line *line)
{
    feed->repeat[feed->emitted % REPEATS] = *line;
    feed->emitted++;
    if (feed->rk) {
        kafka_send(feed, line);
        return;
    }
    line->text[line->length] = '\n';
    if (fwrite(line->text, 1, line->length + 1U, stdout) != line->length + 1U) {
        fail("standard output", "closed");
    }
}

/* Keeps an event back until it is late. */
static void hold(struct feed *feed, const struct line *line)
{
    if (!feed->hold_free_count) {
        size_t space = feed->hold_space * 2 + 1024;
        feed->hold = grown(feed->hold, space, sizeof *feed->hold);
        feed->hold_free = grown(feed->hold_free, space, sizeof *feed->hold_free);
        for (; feed->hold_space < space; feed->hold_space++) {
            feed->hold_free[feed->hold_free_count++] = feed->hold_space;
        }
    }
    uint64_t slot = feed->hold_free[--feed->hold_free_count];
    feed->hold[slot] = *line;
    heap_push(&feed->held, feed->now_ms + 1 + (int64_t)draw(feed, LATE_MS), slot);
}

static void run(struct feed *feed)
{
    struct line line;
    while (feed->emitted < feed->events) {
        if (feed->held.count && (feed->held.item[0].time_ms <= feed->now_ms || feed->emitted + feed->held.count >= feed->events)) {
            struct due due = heap_pop(&feed->held);
            emit(feed, &feed->hold[due.what]);
            feed->hold_free[feed->hold_free_count++] = due.what;
            continue;
        }
        event_next(feed, &line);
        if (feed->live) {
            live_wait(feed);
        }
        if (feed->emitted && draw(feed, 10000) < SHARE_LATE) {
            hold(feed, &line);
        } else {
            emit(feed, &line);
        }
    }
}

static void kafka_open(struct feed *feed)
{
    const char *rows[][2] = {
        {"bootstrap.servers", feed->brokers}, {"compression.type", "lz4"},           {"linger.ms", feed->live ? "5" : "50"},
        {"partitioner", "murmur2_random"},    {"queue.buffering.max.kbytes", "131072"}, {"queue.buffering.max.messages", "500000"},
        {"enable.idempotence", "true"},
    };
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rd_kafka_conf_set(conf, rows[i][0], rows[i][1], why, sizeof why) != RD_KAFKA_CONF_OK) {
            fail(rows[i][0], why);
        }
    }
    rd_kafka_conf_set_opaque(conf, feed);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    feed->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    feed->handle = feed->rk ? rd_kafka_topic_new(feed->rk, feed->topic, NULL) : NULL;
    if (!feed->handle) {
        fail("librdkafka", why);
    }
}

static void kafka_close(struct feed *feed)
{
    if (rd_kafka_flush(feed->rk, 120000)) {
        fail("sending", "Kafka did not take all events within 2 minutes");
    }
    rd_kafka_topic_destroy(feed->handle);
    rd_kafka_destroy(feed->rk);
}

static _Noreturn void usage(void)
{
    fputs("usage: feed --feed R|L [options], to standard output as JSON Lines, or with --topic to Kafka\n"
          "  --events N         how many (1000000)\n"
          "  --seed S           equal seeds give equal feeds (1)\n"
          "  --start MS         the first event's time (2026-01-05 08:00 UTC; with --live, now)\n"
          "  --per-second N     events a second of event time (50000)\n"
          "  --talk SECONDS     mean talk (60)\n"
          "  --bytes N          bytes an event, filled up to (336)\n"
          "  --live             no faster than event time\n"
          "  --topic TOPIC --brokers LIST   to Kafka (127.0.0.1:9092)\n",
          stderr);
    exit(2);
}

static int64_t number(const char *text, int64_t low, int64_t high)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || value < low || value > high) {
        fprintf(stderr, "feed: %s is not a number from %lld to %lld\n", text, (long long)low, (long long)high);
        usage();
    }
    return value;
}

static void options_read(struct feed *feed, int argc, char **argv)
{
    static const struct option rows[] = {
        {"feed", required_argument, NULL, 'f'},       {"events", required_argument, NULL, 'e'}, {"seed", required_argument, NULL, 's'},
        {"start", required_argument, NULL, 'a'},      {"talk", required_argument, NULL, 'k'},   {"live", no_argument, NULL, 'l'},
        {"per-second", required_argument, NULL, 'p'}, {"topic", required_argument, NULL, 't'},  {"brokers", required_argument, NULL, 'b'},
        {"bytes", required_argument, NULL, 'y'},      {0},
    };
    const char *kind = "";
    for (int option; (option = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        switch (option) {
        case 'f':
            kind = optarg;
            break;
        case 'e':
            feed->events = (uint64_t)number(optarg, 1, INT64_C(1) << 40);
            break;
        case 's':
            feed->seed = (uint64_t)number(optarg, 0, INT64_MAX);
            break;
        case 'a':
            feed->start_ms = number(optarg, 100000000000, 7258118400000);
            break;
        case 'p':
            feed->per_ms = (double)number(optarg, 1, 1000000000) / 1000;
            break;
        case 'k':
            feed->talk_ms = number(optarg, 1, 36000) * 1000;
            break;
        case 'y':
            feed->bytes = (size_t)number(optarg, 0, EVENT_BYTES - 100);
            break;
        case 'l':
            feed->live = true;
            break;
        case 't':
            feed->topic = optarg;
            break;
        case 'b':
            feed->brokers = optarg;
            break;
        default:
            usage();
        }
    }
    if ((strcmp(kind, "R") != 0 && strcmp(kind, "L") != 0) || optind < argc) {
        usage();
    }
    feed->lifecycle = *kind == 'L';
}

int main(int argc, char **argv)
{
    static struct feed feed = {.events = 1000000, .seed = 1, .per_ms = 50, .talk_ms = 60000, .bytes = 336, .brokers = "127.0.0.1:9092"};
    options_read(&feed, argc, argv);
    feed.wall_ms = wall_ms();
    feed.start_ms = feed.start_ms ? feed.start_ms : feed.live ? feed.wall_ms : INT64_C(1767600000000);
    feed.now_ms = feed.start_ms;
    feed.random = mix(feed.seed + 1);
    feed.repeat = grown(NULL, REPEATS, sizeof *feed.repeat);
    feed.survey = grown(NULL, SURVEYS, sizeof *feed.survey);
    if (feed.topic) {
        kafka_open(&feed);
    }
    run(&feed);
    if (feed.topic) {
        kafka_close(&feed);
    }
    fflush(stdout);
    fprintf(stderr, "feed: %" PRIu64 " events, %" PRIu64 " contacts, %.1f s of event time, %" PRIu64 " failed\n", feed.emitted,
            feed.contacts, (double)(feed.now_ms - feed.start_ms) / 1000, feed.failed);
    free(feed.facts.item);
    free(feed.held.item);
    free(feed.hold);
    free(feed.hold_free);
    free(feed.repeat);
    free(feed.survey);
    return feed.failed ? 1 : 0;
}
