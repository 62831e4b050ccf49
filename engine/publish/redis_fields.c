/* redis_fields: what a row and the catalogue look like as hashes. A row's fields are its head (start, end, revision, final,
 * partial, config), `row` (its JSON), and for each metric that is present its value, `_n`, `_low` and `_high`, `_moe`, `_band`, and
 * `_small` where it is small; of a row of what is now, all its gauges instead. A figure that the configuration asks for has its value, `_n`
 * and `_small`, true or false; a goal `_met` as well. */
#include <stdio.h>
#include <string.h>

#include "esteem/err.h"
#include "redis_parts.h"

enum { FIELDS_FIXED = 7 /* start end revision final partial config row */,
       FIELDS_NOW = MEASURE_agents_away - MEASURE_waiting + 1 };

/* ---- a row ---- */

static const char *const metric_fields[METRIC_COUNT][7] = {
#define METRIC(name, family, unit, direction, n, formula, meaning, source) \
    {#name, #name "_n", #name "_low", #name "_high", #name "_moe", #name "_small", #name "_band"},
#include "esteem/metrics.def"
};

struct redis_fields redis_fields_of(const struct row_view *view)
{
    struct redis_fields fields = {0};
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        unsigned small = METRIC_COUNT + i;
        if (!view->metric[i].present)
            continue;
        fields.word[i / 64] |= UINT64_C(1) << i % 64;
        if (view->metric[i].small)
            fields.word[small / 64] |= UINT64_C(1) << small % 64;
    }
    for (unsigned i = 0; i < (unsigned)view->extras; i++)
        if (view->extra[i].value.present)
            fields.word[(REDIS_FIELD_EXTRA + i) / 64] |= UINT64_C(1) << (REDIS_FIELD_EXTRA + i) % 64;
    if (view->row->inexact)
        fields.word[(REDIS_FIELDS - 1) / 64] |= UINT64_C(1) << (REDIS_FIELDS - 1) % 64;
    return fields;
}

bool redis_fields_lost(const uint64_t *old, const uint64_t *next)
{
    for (int i = 0; i < KEY_WORDS; i++)
        if (old[i] & ~next[i])
            return true;
    return false;
}

static int field_count(const struct row_view *view)
{
    int fields = FIELDS_FIXED + view->row->inexact + (view->row->now ? FIELDS_NOW : 0);
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_value *metric = &view->metric[i];
        fields += metric->present ? 2 + 2 * metric->interval + metric->margin + metric->small + (metric->band != NULL) : 0;
    }
    for (int i = 0; i < view->extras; i++)
        fields += view->extra[i].value.present ? 3 + view->extra[i].about : 0;
    return fields;
}

static void put_number(struct redis_link *link, const char *field, double value)
{
    char text[ROW_NUMBER_MAX];
    size_t length = row_number(value, text);
    redis_link_text(link, field);
    redis_link_bytes(link, text, length);
}

static void put_text(struct redis_link *link, const char *field, const char *text)
{
    redis_link_text(link, field);
    redis_link_text(link, text);
}

static void put_metric(struct redis_link *link, const struct metric_value *metric, const char *const *field)
{
    put_number(link, field[0], metric->value);
    redis_link_text(link, field[1]);
    redis_link_integer(link, metric->n);
    if (metric->interval) {
        put_number(link, field[2], metric->low);
        put_number(link, field[3], metric->high);
    }
    if (metric->margin)
        put_number(link, field[4], metric->moe);
    if (metric->small)
        put_text(link, field[5], "true");
    if (metric->band)
        put_text(link, field[6], metric->band);
}

static const char *with_end(char *out, size_t room, const char *name, const char *end)
{
    snprintf(out, room, "%s%s", name, end);
    return out;
}

static void put_extra(struct redis_link *link, const struct row_extra *extra)
{
    char field[64];
    put_number(link, extra->name, extra->value.value);
    redis_link_text(link, with_end(field, sizeof field, extra->name, "_n"));
    redis_link_integer(link, extra->value.n);
    put_text(link, with_end(field, sizeof field, extra->name, "_small"), extra->value.small ? "true" : "false");
    if (extra->about)
        put_text(link, with_end(field, sizeof field, extra->name, "_met"), extra->met ? "true" : "false");
}

struct redis_expected *redis_put_hset(struct redis_link *link, const char *key, size_t key_length, const struct row_view *view,
                                      const char *json, size_t json_length)
{
    const struct row *row = view->row;
    char time[TIME_TEXT_MAX];
    int fields = field_count(view);
    struct redis_expected *expected = redis_link_command(link, REDIS_HSET, 1 + 2 * fields);
    expected->fields = (uint16_t)fields;
    redis_link_bytes(link, key, key_length);
    event_time_format(row->start_ms, time);
    put_text(link, "start", time);
    event_time_format(row->end_ms, time);
    put_text(link, "end", time);
    redis_link_text(link, "revision");
    redis_link_integer(link, row->revision);
    put_text(link, "final", row->final ? "true" : "false");
    put_text(link, "partial", row->partial ? "true" : "false");
    if (row->inexact)
        put_text(link, "inexact", "true");
    put_text(link, "config", view->config->id);
    for (int i = 0; i < MEASURE_COUNT && row->now; i++)
        if (measure_is_now((enum measure)i)) {
            redis_link_text(link, measure_names[i]);
            redis_link_integer(link, view->measure[i]);
        }
    for (int i = 0; i < METRIC_COUNT; i++)
        if (view->metric[i].present)
            put_metric(link, &view->metric[i], metric_fields[i]);
    for (int i = 0; i < view->extras; i++)
        if (view->extra[i].value.present)
            put_extra(link, &view->extra[i]);
    redis_link_text(link, "row");
    redis_link_bytes(link, json, json_length);
    return expected;
}

/* ---- the catalogue ---- */

static size_t json_member(char *out, const char *name, const char *text, bool first)
{
    char *at = out;
    *at++ = first ? '{' : ',';
    *at++ = '"';
    at = stpcpy(at, name);
    at = stpcpy(at, "\":\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            *at++ = '\\';
        *at++ = *text;
    }
    *at++ = '"';
    return (size_t)(at - out);
}

void redis_put_catalogue(struct redis_link *link, const char *head)
{
    char key[REDIS_HEAD_MAX + sizeof "catalogue"];
    snprintf(key, sizeof key, "%scatalogue", head);
    redis_link_command(link, REDIS_DEL, 1); /* it may have metrics of another version, or be no hash at all */
    redis_link_text(link, key);
    redis_link_command(link, REDIS_HSET, 1 + 2 * METRIC_COUNT);
    redis_link_text(link, key);
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_info *info = &metric_infos[i];
        char json[2048];
        ensure(2 * (strlen(info->formula) + strlen(info->meaning)) < sizeof json - 256, "a metric is told in a few words");
        size_t length = json_member(json, "unit", info->unit, true);
        length += json_member(json + length, "formula", info->formula, false);
        length += json_member(json + length, "direction", info->direction, false);
        length += json_member(json + length, "meaning", info->meaning, false);
        length += json_member(json + length, "family", family_names[info->family], false);
        json[length++] = '}';
        redis_link_text(link, info->name);
        redis_link_bytes(link, json, length);
    }
}
