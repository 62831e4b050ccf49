/* row_json: the row's one form (SEMANTICS 6), written without spaces and in the order of that page. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/digits.h"
#include "esteem/err.h"
#include "esteem/row.h"

/* ---- numbers ---- */

/* Millionths as digits; the fraction without its trailing zeros. */
static size_t put_millionths(uint64_t millionths, bool negative, char *out)
{
    char *at = out;
    if (negative && millionths)
        *at++ = '-';
    at += digits_put(millionths / 1000000, at);
    uint32_t fraction = (uint32_t)(millionths % 1000000);
    if (fraction) {
        *at++ = '.';
        memcpy(at, digits_pairs + fraction / 10000 * 2, 2);
        memcpy(at + 2, digits_pairs + fraction / 100 % 100 * 2, 2);
        memcpy(at + 4, digits_pairs + fraction % 100 * 2, 2);
        for (at += 6; at[-1] == '0';)
            at--;
    }
    return (size_t)(at - out);
}

#define LARGEST 1e30

/* The decimal digits of the double, rounded at the sixth, as %.6f gives them. Below 2^44 millionths the product's own error is at
 * most 2^-9, so away from a half the nearest integer is right and printf (ten times slower) is not asked. */
size_t row_number(double value, char *out)
{
    if (fabs(value) > LARGEST) /* of an absurd setting: an assumed_rate of 10^-300 */
        value = value < 0 ? -LARGEST : LARGEST;
    double scaled = fabs(value) * 1e6;
    uint64_t whole = scaled < 0x1p44 ? (uint64_t)scaled : 0;
    double rest = scaled - (double)whole;
    size_t length;
    if (scaled < 0x1p44 && fabs(rest - 0.5) > 0x1p-7) {
        length = put_millionths(whole + (rest > 0.5), value < 0, out);
    } else {
        length = (size_t)snprintf(out, ROW_NUMBER_MAX, "%.6f", value);
        while (out[length - 1] == '0')
            length--;
        length -= out[length - 1] == '.';
        if (length == 2 && memcmp(out, "-0", 2) == 0)
            out[0] = out[--length];
    }
    out[length] = '\0';
    return length;
}

/* ---- JSON ---- */

struct json {
    char *at;
    size_t length, room;
};

__attribute__((cold, noinline)) static void json_grow(struct json *json, size_t more)
{
    json->room = (json->length + more) * 2;
    json->at = realloc(json->at, json->room);
    ensure(json->at != NULL, "the machine has memory left");
}

/* Room for `more` bytes; what the caller puts there it adds to the length. */
static inline char *json_room(struct json *json, size_t more)
{
    if (json->room - json->length < more)
        json_grow(json, more);
    return json->at + json->length;
}

static inline void json_raw(struct json *json, const char *text)
{
    size_t length = strlen(text);
    memcpy(json_room(json, length), text, length);
    json->length += length;
}

static void json_integer(struct json *json, int64_t value)
{
    json->length += digits_put_signed(value, json_room(json, ROW_NUMBER_MAX));
}

static void json_number(struct json *json, double value)
{
    json->length += row_number(value, json_room(json, ROW_NUMBER_MAX));
}

static size_t escaped(unsigned char byte, char *out)
{
    static const char short_form[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i < sizeof short_form - 1; i += 2)
        if (byte == (unsigned char)short_form[i]) {
            out[0] = '\\';
            out[1] = short_form[i + 1];
            return 2;
        }
    if (byte >= 0x20) {
        out[0] = (char)byte;
        return 1;
    }
    static const char digits[] = "0123456789abcdef";
    memcpy(out, "\\u00", 4);
    out[4] = digits[byte >> 4];
    out[5] = digits[byte & 15];
    return 6;
}

static void json_text(struct json *json, const char *text)
{
    char *start = json_room(json, 6 * strlen(text) + 2), *out = start;
    *out++ = '"';
    for (; *text; text++) {
        bool nul = memcmp(text, "\xc0\x80", 2) == 0; /* a NUL in a C string: row.c */
        out += escaped(nul ? 0 : (unsigned char)*text, out);
        text += nul;
    }
    *out++ = '"';
    json->length += (size_t)(out - start);
}

/* "name": with a comma unless it is the first of its object. Names are ours and need no escape. */
static void json_name(struct json *json, const char *name)
{
    size_t length = strlen(name);
    char *start = json_room(json, length + 4), *at = start;
    if (at[-1] != '{')
        *at++ = ',';
    *at++ = '"';
    at = mempcpy(at, name, length);
    memcpy(at, "\":", 2);
    json->length += (size_t)(at + 2 - start);
}

static void json_time(struct json *json, const char *name, int64_t ms)
{
    char text[TIME_TEXT_MAX];
    event_time_format(ms, text);
    json_name(json, name);
    json_text(json, text);
}

static void json_bool(struct json *json, const char *name, bool value)
{
    json_name(json, name);
    json_raw(json, value ? "true" : "false");
}

static void json_scope(struct json *json, const struct row *row, const struct config *config)
{
    json_raw(json, ",\"scope\":{");
    for (int i = 0; i < row->value_count; i++) {
        json_name(json, config_dimension_name(config, row->value_dimension[i]));
        json_text(json, row->value[i]);
    }
    json_raw(json, "}");
}

/* Of a window that began before a reload: the configurations that had a part in it, the present one last. */
static void json_configs(struct json *json, const struct row_view *view)
{
    const struct row *row = view->row;
    if (row->befores == 0)
        return;
    json_raw(json, ",\"configs\":[");
    for (int i = 0; i < row->befores; i++) {
        json_text(json, row->before[i]);
        json_raw(json, ",");
    }
    json_text(json, view->config->id);
    json_raw(json, "]");
}

static void json_head(struct json *json, const struct row_view *view)
{
    const struct row *row = view->row;
    json_raw(json, "{\"v\":1,\"tenant\":");
    json_text(json, row->tenant);
    json_scope(json, row, view->config);
    json_raw(json, ",\"window\":");
    json_text(json, row->window_name);
    json_time(json, "start", row->start_ms);
    json_time(json, "end", row->end_ms);
    json_name(json, "revision");
    json_integer(json, row->revision);
    json_bool(json, "final", row->final);
    json_bool(json, "partial", row->partial);
    if (row->inexact)
        json_bool(json, "inexact", true);
    if (row->since_ms != INT64_MIN && row->since_ms != 0)
        json_time(json, "since", row->since_ms);
    json_name(json, "config");
    json_text(json, view->config->id);
    json_configs(json, view);
}

static bool is_told(const struct row_view *view, unsigned families, enum measure measure)
{
    return view->measure[measure] && (view->row->now ? measure_is_now(measure) : (measure_families[measure] & families) != 0);
}

static void json_measures(struct json *json, const struct row_view *view, unsigned families)
{
    json_raw(json, ",\"measures\":{");
    for (int i = 0; i < MEASURE_COUNT; i++)
        if (is_told(view, families, (enum measure)i)) {
            json_name(json, measure_names[i]);
            json_integer(json, view->measure[i]);
        }
    json_raw(json, "}");
}

static bool json_histogram(struct json *json, const struct row_view *view, enum histogram histogram)
{
    const int64_t *count = &view->dense.value[histogram_id(histogram, 0)];
    bool any = false;
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        if (count[bucket] == 0)
            continue;
        if (!any) {
            json_name(json, histogram_names[histogram]);
            json_raw(json, "{");
            any = true;
        }
        char low[ROW_NUMBER_MAX];
        low[digits_put_signed(histogram_low_ms(bucket), low)] = '\0';
        json_name(json, low);
        json_integer(json, count[bucket]);
    }
    if (any)
        json_raw(json, "}");
    return any;
}

static void json_histograms(struct json *json, const struct row_view *view, unsigned families)
{
    static const enum family home[HISTOGRAM_COUNT] = {[HISTOGRAM_wait] = FAMILY_SERVICE, [HISTOGRAM_handle] = FAMILY_AHT};
    size_t before = json->length;
    bool any = false;
    json_raw(json, ",\"histograms\":{");
    for (int h = 0; h < HISTOGRAM_COUNT; h++)
        if (families >> home[h] & 1)
            any |= json_histogram(json, view, (enum histogram)h);
    if (any)
        json_raw(json, "}");
    else
        json->length = before;
}

/* `more`: members beside it. */
static void json_metric(struct json *json, const struct metric_value *metric, const char *more)
{
    json_raw(json, "{\"value\":");
    json_number(json, metric->value);
    json_raw(json, ",\"n\":");
    json_integer(json, metric->n);
    if (metric->interval) {
        json_raw(json, ",\"low\":");
        json_number(json, metric->low);
        json_raw(json, ",\"high\":");
        json_number(json, metric->high);
    }
    if (metric->margin) {
        json_raw(json, ",\"moe\":");
        json_number(json, metric->moe);
    }
    if (metric->band) {
        json_raw(json, ",\"band\":");
        json_text(json, metric->band);
    }
    json_raw(json, more);
    json_raw(json, metric->small ? ",\"small\":true}" : "}");
}

size_t row_json(const struct row_view *view, unsigned families, bool histograms, char **text, size_t *room)
{
    struct json json = {*text, 0, *text ? *room : 0};
    json_head(&json, view);
    json_measures(&json, view, families);
    if (histograms)
        json_histograms(&json, view, families);
    json_raw(&json, ",\"metrics\":{");
    for (int i = 0; i < METRIC_COUNT; i++)
        if (view->metric[i].present && families >> metric_infos[i].family & 1) {
            json_name(&json, metric_infos[i].name);
            json_metric(&json, &view->metric[i], "");
        }
    for (int i = 0; i < view->extras; i++)
        if (view->extra[i].value.present && families >> view->extra[i].family & 1) {
            json_name(&json, view->extra[i].name);
            json_metric(&json, &view->extra[i].value, !view->extra[i].about ? "" : view->extra[i].met ? ",\"met\":true" : ",\"met\":false");
        }
    json_raw(&json, "}}");
    *json_room(&json, 1) = '\0';
    *text = json.at;
    *room = json.room;
    return json.length;
}

static void json_alert_figures(struct json *json, const struct row *row, const struct config_goal *goal)
{
    json_name(json, "window");
    json_text(json, row->window_name);
    json_time(json, "start", row->start_ms);
    json_time(json, "end", row->end_ms);
    json_name(json, goal->metric >= 0 ? "metric" : "measure");
    json_text(json, goal->metric >= 0 ? metric_infos[goal->metric].name : measure_names[goal->measure]);
    json_name(json, "value");
    json_number(json, row->alert.value);
    json_name(json, "target");
    json_number(json, goal->target);
    json_name(json, "n");
    json_integer(json, row->alert.n);
    json_time(json, "since", row->alert.since_ms);
}

/* {"v":1,"state":"missed","goal":"north_csat","tenant":"acme","scope":{"team":"north"},"window":"month","start":...,"end":...,
 *  "metric":"csat","value":75,"target":80,"n":20,"since":...,"at":...,"config":"5f1c9a02"}, of a goal that was removed without what lies between scope and at */
size_t row_alert_json(const struct row *row, char **text, size_t *room)
{
    struct json json = {*text, 0, *text ? *room : 0};
    static const char *const states[] = {[ROW_ALERT_MISSED] = "missed", [ROW_ALERT_MET] = "met", [ROW_ALERT_REMOVED] = "removed"};
    json_raw(&json, "{\"v\":1,\"state\":");
    json_text(&json, states[row->alert.state]);
    json_name(&json, "goal");
    json_text(&json, row->goal);
    json_name(&json, "tenant");
    json_text(&json, row->tenant);
    json_scope(&json, row, row->config);
    if (row->alert.state != ROW_ALERT_REMOVED)
        json_alert_figures(&json, row, &row->config->goal[row->alert.goal]);
    json_time(&json, "at", row->alert.at_ms);
    json_name(&json, "config");
    json_text(&json, row->config->id);
    json_raw(&json, "}");
    *json_room(&json, 1) = '\0';
    *text = json.at;
    *room = json.room;
    return json.length;
}
