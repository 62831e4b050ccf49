/* redis_fields: what a row and the catalogue look like as hashes. A row's fields are its head (start, end, revision, final,
 * partial, config), `row` (its JSON), and for each metric that is present its value, `_n`, `_low` and `_high`, `_moe`, `_band`, and
 * `_small` where it is small; of a row of what is now, all its gauges instead. A figure that the configuration asks for has its value, `_n`
 * and `_small`, true or false; a goal `_met` as well. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "esteem/digits.h"
#include "esteem/err.h"
#include "redis_parts.h"

enum { FIELDS_FIXED = 7 /* start end revision final partial config row */,
       FIELDS_NOW = MEASURE_agents_away - MEASURE_waiting + 1 };

/* ---- a row ---- */

enum metric_field { FIELD_VALUE, FIELD_N, FIELD_LOW, FIELD_HIGH, FIELD_MOE, FIELD_SMALL, FIELD_BAND, METRIC_FIELDS };
static const char *const field_ends[METRIC_FIELDS] = {"", "_n", "_low", "_high", "_moe", "_small", "_band"};

/* Names as they go out, "$6\r\ncsat_n\r\n": a row has fifty of them. */
enum { NAME_ROOM = 64, METRIC_ROOM = METRIC_FIELDS * 2 * NAME_ROOM };
static struct field_name {
    uint8_t length;
    char bytes[NAME_ROOM];
} metric_fields[METRIC_COUNT][METRIC_FIELDS];
_Static_assert(ROW_NUMBER_MAX + 8 <= NAME_ROOM, "METRIC_ROOM has room for values too");

static void name_metric_fields(void)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        for (int f = 0; f < METRIC_FIELDS; f++) {
            struct field_name *name = &metric_fields[i][f];
            size_t length = strlen(metric_infos[i].name) + strlen(field_ends[f]);
            int wrote = snprintf(name->bytes, sizeof name->bytes, "$%zu\r\n%s%s\r\n", length, metric_infos[i].name, field_ends[f]);
            ensure(wrote < NAME_ROOM, "a metric's name is short");
            name->length = (uint8_t)wrote;
        }
}

void redis_fields_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, name_metric_fields);
}

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

/* What a metric has besides its value and `_n`; `_small` is remembered with each key. */
static uint8_t ends_of(const struct metric_value *metric)
{
    return (uint8_t)(1u << FIELD_VALUE | 1u << FIELD_N | (metric->interval ? 1u << FIELD_LOW | 1u << FIELD_HIGH : 0) |
                     (metric->margin ? 1u << FIELD_MOE : 0) | (metric->band ? 1u << FIELD_BAND : 0));
}

static bool has(const uint64_t *word, unsigned bit)
{
    return word[bit / 64] >> bit % 64 & 1;
}

/* Whether metric i's `_small` is to be written: where it is, it is `true`, and one that the key has stays. */
static bool puts_small(const struct row_view *view, unsigned i, const uint64_t *old)
{
    return view->metric[i].small && !has(old, METRIC_COUNT + i);
}

static int field_count(const struct row_view *view, const uint64_t *old)
{
    int fields = FIELDS_FIXED + view->row->inexact + (view->row->now ? FIELDS_NOW : 0);
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        const struct metric_value *metric = &view->metric[i];
        fields += metric->present ? 2 + 2 * metric->interval + metric->margin + puts_small(view, i, old) + (metric->band != NULL) : 0;
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

/* Of known size, so that a copy is two moves. */
static char *add_name(char *at, const struct field_name *name)
{
    memcpy(at, name->bytes, NAME_ROOM);
    return at + name->length;
}

static char *add_value(char *at, const char *text, size_t length)
{
    *at++ = '$';
    at += digits_put(length, at);
    at = mempcpy(at, "\r\n", 2);
    return mempcpy(mempcpy(at, text, length), "\r\n", 2);
}

static char *add_number(char *at, const struct field_name *name, double value)
{
    char text[ROW_NUMBER_MAX];
    size_t length = row_number(value, text);
    return add_value(add_name(at, name), text, length);
}

static void put_metric(struct redis_link *link, const struct metric_value *metric, const struct field_name *field, bool small)
{
    char n[DIGITS_MAX + 1], *start = redis_link_room(link, METRIC_ROOM), *at = add_number(start, &field[FIELD_VALUE], metric->value);
    at = add_value(add_name(at, &field[FIELD_N]), n, digits_put_signed(metric->n, n));
    if (metric->interval) {
        at = add_number(at, &field[FIELD_LOW], metric->low);
        at = add_number(at, &field[FIELD_HIGH], metric->high);
    }
    if (metric->margin)
        at = add_number(at, &field[FIELD_MOE], metric->moe);
    if (small)
        at = add_value(add_name(at, &field[FIELD_SMALL]), "true", 4);
    if (metric->band)
        at = add_value(add_name(at, &field[FIELD_BAND]), metric->band, strlen(metric->band));
    redis_link_wrote(link, (size_t)(at - start));
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
                                      const char *json, size_t json_length, const uint64_t *old, uint8_t *ends)
{
    const struct row *row = view->row;
    char time[TIME_TEXT_MAX];
    int fields = field_count(view, old);
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
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        if (view->metric[i].present) {
            put_metric(link, &view->metric[i], metric_fields[i], puts_small(view, i, old));
            ends[i] |= ends_of(&view->metric[i]);
        }
    for (int i = 0; i < view->extras; i++)
        if (view->extra[i].value.present)
            put_extra(link, &view->extra[i]);
    redis_link_text(link, "row");
    redis_link_bytes(link, json, json_length);
    return expected;
}

/* ---- fields that a key has no longer ---- */

/* Of metric i's fields those that go. */
static unsigned ends_lost(const uint64_t *lost, unsigned i, const uint8_t *ends)
{
    return (has(lost, i) ? ends[i] : 0u) | (has(lost, METRIC_COUNT + i) ? 1u << FIELD_SMALL : 0);
}

static void put_extra_names(struct redis_link *link, const struct row_extra *extra)
{
    char field[64];
    redis_link_text(link, extra->name);
    redis_link_text(link, with_end(field, sizeof field, extra->name, "_n"));
    redis_link_text(link, with_end(field, sizeof field, extra->name, "_small"));
    if (extra->about)
        redis_link_text(link, with_end(field, sizeof field, extra->name, "_met"));
}

struct redis_expected *redis_put_hdel(struct redis_link *link, const char *key, size_t key_length, const struct row_view *view,
                                      const uint64_t *old, const uint64_t *next, const uint8_t *ends)
{
    uint64_t lost[KEY_WORDS];
    for (int i = 0; i < KEY_WORDS; i++)
        lost[i] = old[i] & ~next[i];
    int fields = has(lost, REDIS_FIELDS - 1);
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        fields += __builtin_popcount(ends_lost(lost, i, ends));
    for (unsigned i = 0; i < (unsigned)view->extras; i++)
        fields += has(lost, REDIS_FIELD_EXTRA + i) ? 3 + view->extra[i].about : 0;
    struct redis_expected *expected = redis_link_command(link, REDIS_HDEL, 1 + fields);
    redis_link_bytes(link, key, key_length);
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        for (unsigned left = ends_lost(lost, i, ends); left; left &= left - 1) {
            char *at = redis_link_room(link, NAME_ROOM);
            redis_link_wrote(link, (size_t)(add_name(at, &metric_fields[i][__builtin_ctz(left)]) - at));
        }
    for (unsigned i = 0; i < (unsigned)view->extras; i++)
        if (has(lost, REDIS_FIELD_EXTRA + i))
            put_extra_names(link, &view->extra[i]);
    if (has(lost, REDIS_FIELDS - 1))
        redis_link_text(link, "inexact");
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
