#include "support/feeding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "esteem/err.h"

/* ---- the source ---- */

void memory_init(struct memory_source *memory, int inputs)
{
    *memory = (struct memory_source){.inputs = inputs};
}

void memory_close(struct memory_source *memory)
{
    for (int i = 0; i < memory->count; i++)
        free(memory->text[i]);
    free(memory->text);
    free(memory->input);
    free(memory->given);
}

void memory_add(struct memory_source *memory, int input, const char *format, ...)
{
    if (memory->count == memory->room) {
        memory->room = memory->room ? memory->room * 2 : 256;
        memory->text = realloc(memory->text, (size_t)memory->room * sizeof *memory->text);
        memory->input = realloc(memory->input, (size_t)memory->room * sizeof *memory->input);
        memory->given = realloc(memory->given, (size_t)memory->room * sizeof *memory->given);
        ensure(memory->text && memory->input && memory->given, "the machine has memory left");
    }
    va_list arguments;
    va_start(arguments, format);
    ensure(vasprintf(&memory->text[memory->count], format, arguments) >= 0, "the machine has memory left");
    va_end(arguments);
    memory->given[memory->count] = false;
    memory->input[memory->count++] = input;
}

static int poll_memory(void *state, int most, int wait_ms, source_each *each, void *context)
{
    struct memory_source *memory = state;
    int done = 0;
    memory->polls++;
    if (memory->next == memory->count && wait_ms)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    most = memory->most && memory->most < most ? memory->most : most;
    for (int i = memory->next; done < most && i < memory->count; i++) {
        if (memory->given[i] || memory->held[memory->input[i]] || memory->away[memory->input[i]])
            continue;
        memory->given[i] = true;
        while (memory->next < memory->count && memory->given[memory->next])
            memory->next++;
        struct message message = {.at = memory->text[i], .length = strlen(memory->text[i]), .input = memory->input[i],
                                  .partition = memory->input[i], .offset = i};
        done++;
        if (!each(context, &message))
            break;
    }
    return done;
}

static int inputs_of(void *state)
{
    return ((struct memory_source *)state)->inputs;
}

static bool at_end(void *state, int input)
{
    (void)input;
    struct memory_source *memory = state;
    return memory->next == memory->count;
}

static void hold(void *state, int input, bool hold)
{
    ((struct memory_source *)state)->held[input] = hold;
}

static bool ready(void *state)
{
    (void)state;
    return true;
}

static void do_nothing(void *state)
{
    (void)state;
}

static void pause_nothing(void *state, bool pause)
{
    (void)state, (void)pause;
}

struct source memory_source(struct memory_source *memory)
{
    return (struct source){.state = memory, .poll = poll_memory, .inputs = inputs_of, .ready = ready, .at_end = at_end, .pause = pause_nothing, .hold = hold,
                           .close = do_nothing};
}

/* ---- the sink ---- */

enum { SLOTS_FIRST = 256, NONE = -1 };

void store_init(struct row_store *store)
{
    *store = (struct row_store){.slots = SLOTS_FIRST, .generation = 1};
    store->slot = malloc(SLOTS_FIRST * sizeof *store->slot);
    store->view = calloc(1, sizeof *store->view);
    ensure(store->slot && store->view, "the machine has memory left");
    memset(store->slot, 0xff, SLOTS_FIRST * sizeof *store->slot);
}

void store_close(struct row_store *store)
{
    for (uint32_t i = 0; i < store->count; i++) {
        free(store->row[i].key);
        free(store->row[i].json);
    }
    free(store->row);
    free(store->slot);
    free(store->view);
}

static uint32_t place(const struct row_store *store, const char *key)
{
    uint32_t i = (uint32_t)XXH3_64bits(key, strlen(key)) & (store->slots - 1);
    while (store->slot[i] != UINT32_MAX && strcmp(store->row[store->slot[i]].key, key) != 0)
        i = (i + 1) & (store->slots - 1);
    return i;
}

static void grow(struct row_store *store)
{
    store->slots *= 2;
    store->slot = realloc(store->slot, store->slots * sizeof *store->slot);
    ensure(store->slot != NULL, "the machine has memory left");
    memset(store->slot, 0xff, store->slots * sizeof *store->slot);
    for (uint32_t i = 0; i < store->count; i++)
        store->slot[place(store, store->row[i].key)] = i;
}

static struct kept_row *row_for(struct row_store *store, const char *key)
{
    uint32_t slot = place(store, key);
    if (store->slot[slot] != UINT32_MAX)
        return &store->row[store->slot[slot]];
    if (store->count * 2 >= store->slots) {
        grow(store);
        slot = place(store, key);
    }
    if (store->count == store->room) {
        store->room = store->room ? store->room * 2 : 64;
        store->row = realloc(store->row, store->room * sizeof *store->row);
        ensure(store->row != NULL, "the machine has memory left");
    }
    store->slot[slot] = store->count;
    store->row[store->count] = (struct kept_row){.key = strdup(key)};
    return &store->row[store->count++];
}

static enum sink_result put(void *state, const struct row *row)
{
    struct row_store *store = state;
    if (atomic_load(&store->full))
        return SINK_FULL;
    char key[1024];
    int length = snprintf(key, sizeof key, "%s %s %s", row->window_name, row->tenant, row->scope);
    if (!row->rolling && !row->now)
        snprintf(key + length, sizeof key - (size_t)length, " %lld", (long long)row->start_ms);
    struct kept_row *kept = row_for(store, key);
    size_t room = 0;
    free(kept->json);
    kept->json = NULL;
    row_open(store->view, row, row->config);
    length = (int)row_json(store->view, FAMILY_ALL, true, &kept->json, &room);
    kept->json = realloc(kept->json, (size_t)length + 1);
    kept->json[length] = 0;
    kept->inexact = row->inexact;
    kept->times++;
    return SINK_TAKEN;
}

static void batch_end(void *state, int64_t now_ms)
{
    (void)state, (void)now_ms;
}

static int step(void *state, int64_t now_ms)
{
    (void)state, (void)now_ms;
    return 0;
}

static uint64_t generation(void *state)
{
    return atomic_load(&((struct row_store *)state)->generation);
}

static uint64_t pending(void *state)
{
    (void)state;
    return 0;
}

struct sink store_sink(struct row_store *store)
{
    return (struct sink){.name = "store", .state = store, .put = put, .batch_end = batch_end, .step = step, .generation = generation, .pending = pending};
}

const struct kept_row *store_row(const struct row_store *store, const char *key)
{
    uint32_t slot = place(store, key);
    return store->slot[slot] == UINT32_MAX ? NULL : &store->row[store->slot[slot]];
}

int64_t store_measure(const struct row_store *store, const char *key, const char *measure)
{
    const struct kept_row *row = store_row(store, key);
    char name[64];
    snprintf(name, sizeof name, "\"%s\":", measure);
    if (row == NULL)
        return -1;
    const char *measures = strstr(row->json, "\"measures\":{"), *at = measures ? strstr(measures, name) : NULL;
    return at ? atoll(at + strlen(name)) : 0;
}
