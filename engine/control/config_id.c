/* config_id: what makes two configurations the same. Each setting has a canonical text, independent of how and in which
 * order a file spells it; the id is a hash over those that change numbers, and a reload compares those that may not change.
 *
 * Texts are written with their length before them, so that no value can imitate another ("4:team"). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "config_parts.h"
#include "esteem/err.h"
#include "esteem/metric.h"

/* Options below these sections change numbers (SEMANTICS 6). */
static const char *const number_sections[] = {"windows.", "metrics.", "privacy.", "time.", "retention.", "limits."};

static bool option_changes_numbers(const struct option *option)
{
    for (size_t i = 0; i < sizeof number_sections / sizeof *number_sections; i++)
        if (strncmp(option->key, number_sections[i], strlen(number_sections[i])) == 0)
            return true;
    return false;
}

static void write_text(FILE *out, const char *text)
{
    if (text == NULL)
        fputs("-;", out);
    else
        fprintf(out, "%zu:%s;", strlen(text), text);
}

static void write_option(const struct config *config, const struct option *option, FILE *out)
{
    const void *field = option_at(config, option);
    switch (option->kind) {
    case KIND_DURATION:
    case KIND_SIZE:
    case KIND_INT: fprintf(out, "%" PRId64, *(const int64_t *)field); break;
    case KIND_REAL: fprintf(out, "%.17g", *(const double *)field); break;
    case KIND_BOOL: fputs(*(const bool *)field ? "true" : "false", out); break;
    case KIND_WORD: fprintf(out, "%d", *(const int *)field); break;
    case KIND_TEXT: write_text(out, *(char *const *)field); break;
    }
}

static void write_dimensions(const struct config *config, FILE *out)
{
    for (int i = 0; i < config->own_dimension_count; i++)
        if (!own_dimension_gone(config, i))
            write_text(out, config->own_dimension[i]);
}

static void write_rolling(const struct config *config, FILE *out)
{
    for (int i = 0; i < config->rolling_count; i++)
        fprintf(out, "%" PRId64 "/%" PRId64 ";", config->rolling[i].length_ms, config->rolling[i].slide_ms);
}

static void write_calendar(const struct config *config, FILE *out)
{
    fprintf(out, "%" PRIx32, config->calendar);
}

static int scope_compare(const void *a, const void *b)
{
    uint32_t x = ((const struct config_scope *)a)->dimensions, y = ((const struct config_scope *)b)->dimensions;
    return (x > y) - (x < y);
}

/* Sorted: the order of scopes changes no number. */
static void write_scopes(const struct config *config, FILE *out)
{
    struct config_scope sorted[CONFIG_SCOPE_MAX];
    memcpy(sorted, config->scope, sizeof sorted);
    qsort(sorted, (size_t)config->scope_count, sizeof *sorted, scope_compare);
    for (int i = 0; i < config->scope_count; i++) {
        for (int d = 0; d < DIMENSION_MAX; d++)
            if (sorted[i].dimensions >> d & 1)
                write_text(out, config_dimension_name(config, d));
        fputc('|', out);
    }
}

/* In the file's order, which decides. */
static void write_rules(const struct config *config, FILE *out)
{
    for (int i = 0; i < config->rule_count; i++) {
        for (int d = 0; d < DIMENSION_MAX; d++)
            if (config->rule[i].value[d] != NULL) {
                write_text(out, config_dimension_name(config, d));
                write_text(out, config->rule[i].value[d]);
            }
        fprintf(out, "%" PRId64 "|", config->rule[i].threshold_ms);
    }
}

static void write_bands(const struct config *config, FILE *out)
{
    for (int i = 0; i < config->band_count; i++)
        fprintf(out, "%" PRId64 ";", config->band_ms[i]);
}

/* A tenant that has what it would have anyway is none of its own. */
static void write_tenants(const struct config *config, FILE *out)
{
    for (int i = 0; i < config->tenant_count; i++)
        if (config->tenant[i].timezone != NULL && strcmp(config->tenant[i].timezone, config->timezone) != 0) {
            write_text(out, config->tenant[i].name);
            write_text(out, config->tenant[i].timezone);
        }
}

static void write_topics(const struct config *config, FILE *out)
{
    for (int i = 0; i < config->topic_count; i++) {
        write_text(out, config->topic[i].name);
        write_text(out, config->topic[i].mapping);
        fputc(config->topic[i].keyed ? 'k' : '-', out);
    }
}

static void write_properties(const struct config *config, FILE *out)
{
    for (int i = 0; i < config->kafka_property_count; i++) {
        write_text(out, config->kafka_property[i].key);
        write_text(out, config->kafka_property[i].value);
    }
}

static void write_instant(const struct config_instant *instant, FILE *out)
{
    fprintf(out, "%c%" PRId64 ";", instant->local ? 'd' : 't', instant->at);
}

static int int_compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void write_baseline(const struct config *config, FILE *out)
{
    int metric[CONFIG_BASELINE_MAX], count = config->baseline.count;
    if (!config->baseline.given)
        return;
    write_instant(&config->baseline.from, out);
    write_instant(&config->baseline.to, out);
    memcpy(metric, config->baseline.metric, sizeof metric);
    qsort(metric, (size_t)count, sizeof *metric, int_compare);
    for (int i = 0; i < count; i++)
        write_text(out, metric_infos[metric[i]].name);
}

static void write_place(const struct config *config, const struct config_place *place, FILE *out)
{
    for (int d = 0; d < DIMENSION_MAX; d++)
        if (place->scope >> d & 1)
            write_text(out, config_dimension_name(config, d));
    write_text(out, place->rolling ? config->rolling[place->window].name : calendar_names[place->window]);
}

static void write_goals(const struct config *config, FILE *out)
{
    for (int i = 0; i < config->goal_count; i++) {
        const struct config_goal *goal = &config->goal[i];
        write_text(out, goal->name);
        write_text(out, goal->metric >= 0 ? metric_infos[goal->metric].name : measure_names[goal->measure]);
        write_place(config, &goal->place, out);
        for (int d = 0; d < DIMENSION_MAX; d++)
            if (goal->value[d])
                write_text(out, goal->value[d]);
        fprintf(out, "%d%d%d%.17g/%.17g/%" PRId64 "|", goal->per_day, goal->down, goal->alert, goal->target, goal->clear, goal->for_ms);
    }
}

static void write_leaderboards(const struct config *config, FILE *out)
{
    for (int i = 0; i < config->board_count; i++)
        write_text(out, config->board[i].name);
}

static void write_list(const struct config *config, enum list_name name, FILE *out)
{
    static void (*const write[])(const struct config *, FILE *) = {
#define LIST(list, key, fallback, change, effect, help) write_##list,
#include "lists.def"
    };
    write[name](config, out);
}

/* A text built in memory. */
struct buffer {
    char *text;
    size_t length;
    FILE *out;
};

static void buffer_open(struct buffer *buffer)
{
    *buffer = (struct buffer){.text = NULL};
    buffer->out = open_memstream(&buffer->text, &buffer->length);
    ensure(buffer->out != NULL, "no memory for the configuration");
}

static void buffer_finish(struct buffer *buffer)
{
    ensure(fclose(buffer->out) == 0, "no memory for the configuration");
}

void config_identify(struct config *config)
{
    struct buffer buffer;
    buffer_open(&buffer);
    for (int i = 0; i < option_count; i++)
        if (option_changes_numbers(&options[i])) {
            fprintf(buffer.out, "%s=", options[i].key);
            write_option(config, &options[i], buffer.out);
            fputc('\n', buffer.out);
        }
    for (int i = 0; i < LIST_COUNT; i++)
        if (lists[i].effect == NUMBERS) {
            fprintf(buffer.out, "%s=", lists[i].key);
            write_list(config, (enum list_name)i, buffer.out);
            fputc('\n', buffer.out);
        }
    buffer_finish(&buffer);
    XXH64_hash_t hash = XXH3_64bits(buffer.text, buffer.length);
    snprintf(config->id, sizeof config->id, "%08" PRIx32, (uint32_t)(hash & UINT32_MAX));
    free(buffer.text);
}

/* --- what a reload may change --- */

static bool buffers_same(struct buffer *a, struct buffer *b)
{
    buffer_finish(a);
    buffer_finish(b);
    bool same = a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
    free(a->text);
    free(b->text);
    return same;
}

bool option_same(const struct config *a, const struct config *b, const struct option *option)
{
    struct buffer x, y;
    buffer_open(&x);
    buffer_open(&y);
    write_option(a, option, x.out);
    write_option(b, option, y.out);
    return buffers_same(&x, &y);
}

/* The name of a rolling window is in its keys and rows, so "60s" for "1m" changes no number, and is another window. */
static bool names_same(const struct config *a, const struct config *b)
{
    for (int i = 0; i < a->rolling_count && i < b->rolling_count; i++)
        if (strcmp(a->rolling[i].name, b->rolling[i].name) != 0)
            return false;
    return true;
}

bool list_same(const struct config *a, const struct config *b, enum list_name name)
{
    struct buffer x, y;
    buffer_open(&x);
    buffer_open(&y);
    write_list(a, name, x.out);
    write_list(b, name, y.out);
    return buffers_same(&x, &y) && (name != LIST_rolling || names_same(a, b));
}
