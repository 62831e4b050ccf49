/* recall: names, taken apart and looked up in the configuration, and the thread that hands them on. */
#include "esteem/recall.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "esteem/clock.h"
#include "esteem/err.h"
#include "esteem/ring.h"
#include "esteem/row.h"

enum { NAP_NS = 5000000, NAME_MOST = 64 };

/* ---- names ---- */

static bool is(const struct recall_text *text, const char *word)
{
    return strlen(word) == text->length && memcmp(word, text->at, text->length) == 0;
}

/* The part behind the last `mark`, which `text` loses with it. */
static bool cut_last(struct recall_text *text, char mark, struct recall_text *part)
{
    const char *at = memrchr(text->at, mark, text->length);
    if (at == NULL)
        return false;
    *part = (struct recall_text){at + 1, (size_t)(text->at + text->length - at - 1)};
    text->length = (size_t)(at - text->at);
    return true;
}

static bool start_of(const struct recall_text *text, int64_t *start_ms)
{
    return text->length >= 20 && event_time_rfc3339(text->at, text->length, start_ms);
}

/* Values may hold a '|', which is not encoded there; '=' always is, so the scope's first one shows where the tenant must have ended. */
bool recall_topic_key(const char *key, size_t length, struct recall_name *name)
{
    struct recall_text rest = {key, length}, tenant = rest;
    int64_t start_ms;
    *name = (struct recall_name){0};
    if (!cut_last(&rest, '|', &name->window))
        return false;
    if (start_of(&name->window, &start_ms)) {
        name->start = name->window;
        if (!cut_last(&rest, '|', &name->window))
            return false;
    }
    const char *equals = memchr(rest.at, '=', rest.length);
    tenant.length = equals ? (size_t)(equals - rest.at) : rest.length;
    if (!cut_last(&tenant, '|', &name->scope))
        return false;
    name->tenant = tenant;
    name->scope.length = (size_t)(rest.at + rest.length - name->scope.at);
    return true;
}

bool recall_redis_key(const char *head, const char *key, size_t length, struct recall_name *name, bool *last)
{
    size_t before = strlen(head) + 1; /* and the brace */
    struct recall_text rest = {key, length};
    *name = (struct recall_name){0};
    *last = false;
    if (length <= before || memcmp(key, head, before - 1) != 0 || key[before - 1] != '{')
        return false;
    rest.at += before;
    rest.length -= before;
    if (!cut_last(&rest, ':', &name->window))
        return false;
    if (is(&name->window, "last")) {
        *last = true;
        if (!cut_last(&rest, ':', &name->window))
            return false;
    }
    if (!cut_last(&rest, ':', &name->scope) || rest.length == 0 || rest.at[rest.length - 1] != '}')
        return false;
    name->tenant = (struct recall_text){rest.at, rest.length - 1};
    return true;
}

/* A value, decoded to *text, which moves behind it. */
static bool take_text(const char *at, size_t length, char **text)
{
    size_t decoded;
    if (length == 0 || !row_decode(at, length, *text, &decoded) || decoded > STRING_KEPT_MAX)
        return false;
    *text += decoded + 1;
    return true;
}

/* The next "dimension=value" of a scope. Dimensions come in our order, or the name is of another configuration. */
static bool take_dimension(const struct config *config, struct recall_text *scope, struct scope_key *key, char **text)
{
    const char *comma = memchr(scope->at, ',', scope->length), *end = comma ? comma : scope->at + scope->length;
    const char *equals = memchr(scope->at, '=', (size_t)(end - scope->at));
    char name[NAME_MOST];
    if (equals == NULL || equals - scope->at >= NAME_MOST || end == scope->at + scope->length - 1)
        return false;
    memcpy(name, scope->at, (size_t)(equals - scope->at));
    name[equals - scope->at] = 0;
    int dimension = config_dimension_find(config, name);
    if (dimension < 0 || key->scope >> dimension)
        return false;
    key->scope |= 1u << dimension;
    key->dimension[key->count] = (uint8_t)dimension;
    key->value[key->count++] = *text;
    if (!take_text(equals + 1, (size_t)(end - equals - 1), text))
        return false;
    *scope = (struct recall_text){comma ? comma + 1 : end, comma ? scope->length - (size_t)(comma + 1 - scope->at) : 0};
    return true;
}

/* *text moves behind what it takes. */
static bool read_key(const struct config *config, const struct recall_name *name, struct recalled *row, char **text)
{
    struct recall_text scope = name->scope;
    row->key.tenant = *text;
    if (!take_text(name->tenant.at, name->tenant.length, text))
        return false;
    if (is(&scope, "all"))
        scope.length = 0;
    else if (scope.length == 0)
        return false;
    while (scope.length)
        if (!take_dimension(config, &scope, &row->key, text))
            return false;
    return config_has_scope(config, row->key.scope);
}

static bool read_window(const struct config *config, const struct recall_name *name, struct recalled *row, char *text)
{
    bool rolling = name->start.at == NULL;
    for (int w = 0; rolling && w < config->rolling_count; w++)
        if (is(&name->window, config->rolling[w].name)) {
            row->rolling = memcpy(text, name->window.at, name->window.length);
            return true;
        }
    for (int w = 0; !rolling && w < CALENDAR_COUNT; w++)
        if (config->calendar >> w & 1 && is(&name->window, calendar_names[w])) {
            row->window = (uint8_t)w;
            return start_of(&name->start, &row->start_ms);
        }
    return false;
}

struct recalled *recalled_new(const struct config *config, const struct recall_name *name)
{
    struct recalled *row = calloc(1, sizeof *row + name->tenant.length + name->scope.length + DIMENSION_MAX + name->window.length + 3);
    ensure(row != NULL, "the machine has memory left");
    char *text = row->text;
    if (!read_key(config, name, row, &text) || !read_window(config, name, row, text)) {
        free(row);
        return NULL;
    }
    uint64_t place[] = {key_hash(&row->key), (uint64_t)row->start_ms, row->rolling ? XXH3_64bits(row->rolling, name->window.length) : row->window};
    row->hash = XXH3_64bits(place, sizeof place);
    return row;
}

void recalled_free(struct recalled *row)
{
    free(row);
}

/* ---- the thread ---- */

struct recall {
    struct recall_setup setup;
    struct ring *ring; /* one a fold */
    bool done[RECALL_READERS];
    pthread_t thread;
    bool started;
    _Atomic bool stop, ended;
    _Atomic uint64_t names;
};

struct recall *recall_new(const struct recall_setup *setup)
{
    struct recall *recall = calloc(1, sizeof *recall);
    ensure(recall != NULL, "the machine has memory left");
    recall->setup = *setup;
    recall->ring = aligned_alloc(64, (size_t)setup->folds * sizeof *recall->ring);
    ensure(recall->ring != NULL, "the machine has memory left");
    for (int f = 0; f < setup->folds; f++)
        ring_init(&recall->ring[f], RECALL_RING);
    return recall;
}

static void nap(void)
{
    nanosleep(&(struct timespec){0, NAP_NS}, NULL);
}

static bool stopped(const struct recall *recall)
{
    return atomic_load_explicit(&recall->stop, memory_order_relaxed);
}

void recall_put(struct recall *recall, struct recalled *row)
{
    struct ring *ring = &recall->ring[key_fold(&row->key, recall->setup.folds)];
    atomic_fetch_add_explicit(&recall->names, 1, memory_order_relaxed);
    while (!ring_push_spsc(ring, row)) {
        if (stopped(recall)) {
            recalled_free(row);
            return;
        }
        nap();
    }
}

struct recalled *recall_take(struct recall *recall, int fold)
{
    return ring_pop_spsc(&recall->ring[fold]);
}

bool recall_ended(const struct recall *recall)
{
    /* acquire: whoever sees it sees all names in the rings */
    return atomic_load_explicit(&recall->ended, memory_order_acquire);
}

uint64_t recall_names(const struct recall *recall)
{
    return atomic_load_explicit(&recall->names, memory_order_relaxed);
}

int recall_step(struct recall *recall, int64_t now_ms)
{
    int works = 0, left = 0;
    for (int r = 0; r < recall->setup.readers; r++) {
        struct recall_reader *reader = &recall->setup.reader[r];
        if (recall->done[r])
            continue;
        left++;
        if (recall->setup.ready && !recall->setup.ready(recall->setup.context, r))
            continue;
        enum recall_progress progress = reader->step(reader->state, recall, now_ms);
        recall->done[r] = progress == RECALL_DONE;
        works += progress != RECALL_WAITS;
    }
    if (left == 0) /* release: the names were pushed before */
        atomic_store_explicit(&recall->ended, true, memory_order_release);
    return works;
}

static void *recall_thread(void *context)
{
    struct recall *recall = context;
    struct clock clock = clock_real();
    while (!stopped(recall) && !recall_ended(recall))
        if (recall_step(recall, clock_monotonic_ms(&clock)) == 0)
            nap();
    return NULL;
}

void recall_start(struct recall *recall)
{
    ensure(pthread_create(&recall->thread, NULL, recall_thread, recall) == 0, "the machine grants a thread an agent");
    recall->started = true;
}

void recall_stop(struct recall *recall)
{
    if (recall == NULL || !recall->started)
        return;
    atomic_store_explicit(&recall->stop, true, memory_order_relaxed);
    pthread_join(recall->thread, NULL);
    recall->started = false;
}

void recall_free(struct recall *recall)
{
    if (recall == NULL)
        return;
    recall_stop(recall);
    for (int r = 0; r < recall->setup.readers; r++)
        recall->setup.reader[r].close(recall->setup.reader[r].state);
    for (int f = 0; f < recall->setup.folds; f++) {
        for (struct recalled *row; (row = ring_pop_spsc(&recall->ring[f])) != NULL;)
            recalled_free(row);
        ring_close(&recall->ring[f]);
    }
    free(recall->ring);
    free(recall);
}
