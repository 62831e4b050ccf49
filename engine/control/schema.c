/* schema: documents made from the tables, so that what is written about an event, a row or a metric is what the engine does.
 *
 *   events.def, dimensions.def   ──> event.schema.json
 *   measures.def, metrics.def    ──> row.schema.json
 *
 * The pages in markdown are schema_pages.c. A schema says what it can; the decoder is stricter: lengths are bytes, 1.0 is no
 * integer, a date must exist. */
#include "esteem/schema.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "esteem/command.h"
#include "esteem/config.h"
#include "esteem/err.h"
#include "esteem/event.h"
#include "esteem/metric.h"

/* ---- a page of JSON: one line a leaf ---- */

struct page {
    FILE *out;
    int depth;
    bool follows; /* something stands before in this object or list */
};

static void put_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* Written with ' for ", so that it can be read here. */
static void put_json(FILE *out, const char *format, va_list arguments)
{
    char text[2048];
    int length = vsnprintf(text, sizeof text, format, arguments);
    ensure(length >= 0 && (size_t)length < sizeof text, "a leaf is told in a few words");
    for (const char *at = text; *at; at++)
        fputc(*at == '\'' ? '"' : *at, out);
}

static void name(struct page *page, const char *text)
{
    fprintf(page->out, "%s\n%*s", page->follows ? "," : "", page->depth * 2, "");
    page->follows = true;
    if (text) {
        put_quoted(page->out, text);
        fputs(": ", page->out);
    }
}

/* Opens an object '{' or a list '['; within a list `text` is NULL. */
static void begin(struct page *page, const char *text, char bracket)
{
    name(page, text);
    fputc(bracket, page->out);
    page->depth++;
    page->follows = false;
}

static void end(struct page *page, char bracket)
{
    page->depth--;
    fprintf(page->out, "\n%*s%c", page->depth * 2, "", bracket);
    page->follows = true;
}

static void __attribute__((format(printf, 3, 4))) leaf(struct page *page, const char *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    name(page, text);
    put_json(page->out, format, arguments);
    va_end(arguments);
}

/* A schema with its description: {"description": "...", <format>}. */
static void __attribute__((format(printf, 4, 5))) told(struct page *page, const char *text, const char *description,
                                                       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    name(page, text);
    fputs("{\"description\": ", page->out);
    put_quoted(page->out, description);
    fputs(", ", page->out);
    put_json(page->out, format, arguments);
    fputc('}', page->out);
    va_end(arguments);
}

static struct page page_begin(FILE *out, const char *title, const char *description)
{
    struct page page = {.out = out, .depth = 1};
    fputc('{', out);
    leaf(&page, "$schema", "'https://json-schema.org/draft/2020-12/schema'");
    leaf(&page, "title", "'%s'", title);
    name(&page, "description");
    put_quoted(out, description);
    leaf(&page, "type", "'object'");
    return page;
}

static void page_end(struct page *page)
{
    end(page, '}');
    fputc('\n', page->out);
}

/* ---- events: null and "" mean absent, so every field that may be absent takes them ---- */

#define TEXT_FORM "'type': ['string', 'null'], 'maxLength': %d"
#define RANGE "'minimum': %" PRId64 ", 'maximum': %" PRId64
#define TIME_PATTERN "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
#define TIME_LEAST INT64_C(100000000000) /* an integer below is seconds by mistake */

enum field_kind { KIND_TIME, KIND_DURATION, KIND_COUNT, KIND_MONEY, KIND_SCORE, KIND_VERSION, KIND_BOOL, KIND_TEXT, KIND_WORD };
static const struct field_row {
    enum field_kind kind;
    int64_t low, high;
    const char *meaning; /* of a word: a|b|c */
} field_rows[FIELD_COUNT] = {
#define FIELD(name, KIND, low, high, meaning) {KIND_##KIND, low, high, meaning},
#include "esteem/events.def"
};
static const char *const event_meanings[EVENT_COUNT] = {
#define EVENT(NAME, type, fields, meaning) meaning,
#include "esteem/events.def"
};
static const char *const dimension_meanings[DIMENSION_BUILTIN] = {
#define DIMENSION(name, meaning) meaning,
#include "esteem/dimensions.def"
#undef DIMENSION
};

/* The events that carry these fields are nothing without them. */
static bool needed(int field)
{
    return field == FIELD_kind || field == FIELD_from || field == FIELD_state;
}

static void put_words(FILE *out, const char *words)
{
    for (const char *at = words; *at; at += strcspn(at, "|"), at += *at == '|')
        fprintf(out, "%s\"%.*s\"", at == words ? "" : ", ", (int)strcspn(at, "|"), at);
}

static void event_field(struct page *page, int field)
{
    const struct field_row *row = &field_rows[field];
    switch (row->kind) {
    case KIND_TIME:
        told(page, field_names[field], row->meaning,
             "'type': ['string', 'integer', 'null'], 'pattern': '^$|^" TIME_PATTERN "', " RANGE, TIME_LEAST, TIME_END_MS - 1);
        break;
    case KIND_BOOL:
        told(page, field_names[field], row->meaning, "'type': ['boolean', 'null', 'string'], 'maxLength': 0");
        break;
    case KIND_TEXT:
        if (row->high)
            told(page, field_names[field], row->meaning, TEXT_FORM, (int)row->high);
        else
            told(page, field_names[field], row->meaning, "'type': ['string', 'null']");
        break;
    case KIND_WORD:
        name(page, field_names[field]);
        fputs("{\"enum\": [", page->out);
        put_words(page->out, row->meaning);
        fputs(needed(field) ? "]}" : ", \"\", null]}", page->out);
        break;
    default:
        told(page, field_names[field], row->meaning,
             "'type': ['integer', 'null', 'string'], 'maxLength': 0, " RANGE, row->low, row->high);
    }
}

/* id, type and time: of the event, or of its envelope. */
static void event_envelope(struct page *page)
{
    leaf(page, "required", "['id', 'type', 'time']");
    begin(page, "properties", '{');
    told(page, "id", "two events with one id are one event", "'type': 'string', 'minLength': 1, 'maxLength': %d", ID_MAX);
    name(page, "type");
    fputs("{\"enum\": [", page->out);
    for (int i = 0; i < EVENT_COUNT; i++)
        fprintf(page->out, "%s\"%s\"", i ? ", " : "", event_type_names[i]);
    fputs("]}", page->out);
    told(page, "time", "when it happened: RFC 3339 with zone, or milliseconds since 1970",
         "'type': ['string', 'integer'], 'pattern': '^" TIME_PATTERN "', " RANGE, TIME_LEAST, TIME_END_MS - 1);
}

static void event_own_dims(struct page *page)
{
    begin(page, "dims", '{');
    leaf(page, "description", "'own dimensions of the deployment; the names of this table stay outside'");
    leaf(page, "type", "['object', 'null', 'string']");
    leaf(page, "maxLength", "0");
    begin(page, "properties", '{');
    static const char *const taken[] = {"id", "type", "time", "tenant", "interaction", "customer", "dims"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        leaf(page, taken[i], "{'enum': ['', null]}");
    for (int i = 0; i < DIMENSION_BUILTIN; i++)
        leaf(page, dimension_names[i], "{'enum': ['', null]}");
    end(page, '}');
    leaf(page, "additionalProperties", "{" TEXT_FORM "}", STRING_MAX);
    end(page, '}');
}

/* What every event may carry besides id, type and time. */
static void event_body(struct page *page)
{
    begin(page, "body", '{');
    begin(page, "properties", '{');
    told(page, "tenant", "default: default", TEXT_FORM, STRING_MAX);
    told(page, "interaction", "the contact", TEXT_FORM, STRING_MAX);
    told(page, "customer", "who; kept only as a keyed hash", TEXT_FORM, STRING_MAX);
    for (int i = 0; i < DIMENSION_BUILTIN; i++) {
        if (i == DIMENSION_direction)
            told(page, dimension_names[i], dimension_meanings[i], "'enum': ['inbound', 'outbound', 'proactive', '', null]");
        else
            told(page, dimension_names[i], dimension_meanings[i], TEXT_FORM, STRING_MAX);
    }
    event_own_dims(page);
    end(page, '}');
    end(page, '}');
}

static void event_type_required(struct page *page, int type)
{
    const char *comma = "";
    name(page, "required");
    fputc('[', page->out);
    if (type <= EVENT_INTERACTION_LAST) {
        fputs("\"interaction\"", page->out);
        comma = ", ";
    }
    for (int f = 0; f < FIELD_COUNT; f++)
        if (event_own_fields[type] >> f & 1 && needed(f)) {
            fprintf(page->out, "%s\"%s\"", comma, field_names[f]);
            comma = ", ";
        }
    fputc(']', page->out);
}

static void event_type_fields(struct page *page, int type)
{
    begin(page, event_type_names[type], '{');
    name(page, "description");
    put_quoted(page->out, event_meanings[type]);
    event_type_required(page, type);
    begin(page, "properties", '{');
    if (type <= EVENT_INTERACTION_LAST)
        leaf(page, "interaction", "{'type': 'string', 'minLength': 1}");
    for (int f = 0; f < FIELD_COUNT; f++)
        if (event_own_fields[type] >> f & 1)
            leaf(page, field_names[f], "{'$ref': '#/$defs/%s'}", field_names[f]);
    end(page, '}');
    end(page, '}');
}

static bool event_type_needs(int type)
{
    bool needs = type <= EVENT_INTERACTION_LAST;
    for (int f = 0; f < FIELD_COUNT; f++)
        needs |= event_own_fields[type] >> f & 1 && needed(f);
    return needs;
}

/* The two forms differ in where the fields of a type are: beside `type`, or in `data`. */
static void event_form(struct page *page, const char *form, bool envelope)
{
    begin(page, form, '{');
    event_envelope(page);
    if (envelope)
        leaf(page, "data", "{'type': ['object', 'null', 'string'], 'maxLength': 0, '$ref': '#/$defs/body'}");
    end(page, '}');
    begin(page, "allOf", '[');
    if (!envelope)
        leaf(page, NULL, "{'$ref': '#/$defs/body'}");
    for (int i = 0; i < EVENT_COUNT; i++) {
        name(page, NULL);
        fprintf(page->out, "{\"if\": {\"properties\": {\"type\": {\"const\": \"%s\"}}}, \"then\": {", event_type_names[i]);
        if (envelope && event_type_needs(i))
            fputs("\"required\": [\"data\"], \"properties\": {\"data\": {\"type\": \"object\", ", page->out);
        else if (envelope)
            fputs("\"properties\": {\"data\": {", page->out);
        fprintf(page->out, "\"$ref\": \"#/$defs/%s\"}}%s", event_type_names[i], envelope ? "}}" : "");
    }
    end(page, ']');
    end(page, '}');
}

void schema_events(FILE *out)
{
    struct page page = page_begin(out, "esteem event",
                                  "One native event, or its CloudEvents 1.0 structured form. null and an empty string mean: not "
                                  "given. Unknown fields are ignored. The decoder is stricter than a schema can be: lengths are "
                                  "bytes, an integer has no fraction, a date exists.");
    leaf(&page, "if", "{'required': ['specversion'], 'properties': {'specversion': {'not': {'enum': ['', null]}}}}");
    leaf(&page, "then", "{'$ref': '#/$defs/cloudevent'}");
    leaf(&page, "else", "{'$ref': '#/$defs/native'}");
    begin(&page, "$defs", '{');
    event_form(&page, "native", false);
    event_form(&page, "cloudevent", true);
    event_body(&page);
    for (int i = 0; i < EVENT_COUNT; i++)
        event_type_fields(&page, i);
    for (int i = 0; i < FIELD_COUNT; i++)
        event_field(&page, i);
    end(&page, '}');
    page_end(&page);
}

/* ---- rows ---- */

static void row_head_fields(struct page *page)
{
    leaf(page, "v", "{'const': 1}");
    leaf(page, "tenant", "{'type': 'string'}");
    told(page, "scope", "the dimensions that this row is of; {} is the whole tenant",
         "'type': 'object', 'additionalProperties': {'type': 'string'}");
    name(page, "window");
    fputs("{\"description\": \"a calendar window, the length of a rolling one, or now: gauges of the present\", \"anyOf\": [{\"enum\": [", page->out);
    for (int i = 0; i < CALENDAR_COUNT; i++)
        fprintf(page->out, "%s\"%s\"", i ? ", " : "", calendar_names[i]);
    fputs("]}, {\"type\": \"string\", \"pattern\": \"^[0-9]+(ms|s|m|h|d)$\"}, {\"const\": \"now\"}]}", page->out);
    told(page, "start", "the first instant; of `now`, the instant, and so is `end`",
         "'type': 'string', 'format': 'date-time', 'pattern': '^" TIME_PATTERN "'");
    told(page, "end", "the first instant after it", "'type': 'string', 'format': 'date-time', 'pattern': '^" TIME_PATTERN "'");
    told(page, "revision", "0: not final; 1: the first final row; one more each time its figures change",
         "'type': 'integer', 'minimum': 0");
    told(page, "final", "the watermark has passed its end by time.lateness", "'type': 'boolean'");
    told(page, "partial", "a rolling window whose newest pane still fills, or a row that says `since`", "'type': 'boolean'");
    told(page, "inexact", "interactions had to be retired at limits.interactions", "'const': true");
    told(page, "since", "a reload or a restart brought the scope or the rolling window, after its start: whole from this instant on, what was over by then may be missing",
         "'type': 'string', 'format': 'date-time', 'pattern': '^" TIME_PATTERN "'");
    told(page, "config", "names the settings that make numbers", "'type': 'string', 'pattern': '^[0-9a-f]{8}$'");
    told(page, "configs", "the window began before a reload that changed numbers: all that had a part in it, at most nine, the present one last",
         "'type': 'array', 'items': {'type': 'string', 'pattern': '^[0-9a-f]{8}$'}");
}

static void row_histograms(struct page *page)
{
    begin(page, "histograms", '{');
    leaf(page, "description", "'durations by the lower bound of their bucket, ms'");
    leaf(page, "type", "'object'");
    leaf(page, "additionalProperties", "false");
    begin(page, "properties", '{');
    for (int i = 0; i < HISTOGRAM_COUNT; i++)
        leaf(page, histogram_names[i],
             "{'type': 'object', 'patternProperties': {'^[0-9]+$': {'type': 'integer'}}, 'additionalProperties': false}");
    end(page, '}');
    end(page, '}');
}

static void row_figures(struct page *page)
{
    begin(page, "measures", '{');
    leaf(page, "description", "'integers that are not 0'");
    leaf(page, "type", "'object'");
    leaf(page, "additionalProperties", "false");
    begin(page, "properties", '{');
    for (int i = 0; i < MEASURE_COUNT; i++)
        if (measure_families[i] || measure_is_now((enum measure)i)) /* inner ones are in no row */
            told(page, measure_names[i], measure_meanings[i], "'type': 'integer'");
    end(page, '}');
    end(page, '}');
    row_histograms(page);
    begin(page, "metrics", '{');
    leaf(page, "type", "'object'");
    leaf(page, "additionalProperties", "false");
    begin(page, "properties", '{');
    for (int i = 0; i < METRIC_COUNT; i++)
        told(page, metric_infos[i].name, metric_infos[i].meaning, "'$ref': '#/$defs/metric'");
    end(page, '}');
    begin(page, "patternProperties", '{');
    told(page, "_change$", "against the baseline, for the metrics that `baseline` names: shares and scores in points, others in per cent of "
                           "the baseline's value", "'$ref': '#/$defs/metric'");
    told(page, "^goal\\.", "100 * value / target, where the goal is about the row", "'$ref': '#/$defs/metric'");
    end(page, '}');
    end(page, '}');
}

void schema_row(FILE *out)
{
    struct page page = page_begin(out, "esteem row",
                                  "One window of one scope key, as topics, Redis (field `row`) and `esteem compute` carry it.");
    leaf(&page, "required", "['v', 'tenant', 'scope', 'window', 'start', 'end', 'revision', 'final', 'partial', 'config', 'measures', "
                            "'metrics']");
    leaf(&page, "additionalProperties", "false");
    begin(&page, "properties", '{');
    row_head_fields(&page);
    row_figures(&page);
    end(&page, '}');
    begin(&page, "$defs", '{');
    begin(&page, "metric", '{');
    leaf(&page, "type", "'object'");
    leaf(&page, "required", "['value', 'n']");
    leaf(&page, "additionalProperties", "false");
    leaf(&page, "dependentRequired", "{'low': ['high'], 'high': ['low']}");
    begin(&page, "properties", '{');
    leaf(&page, "value", "{'type': 'number'}");
    told(&page, "n", "how many figures it rests on", "'type': 'integer'");
    told(&page, "low", "95 % interval", "'type': 'number'");
    told(&page, "high", "95 % interval", "'type': 'number'");
    told(&page, "moe", "margin of error, 95 %", "'type': 'number'");
    told(&page, "band", "where it lies, of a metric with bands", "'enum': ['low', 'middle', 'high']");
    told(&page, "met", "of a goal: whether it is met", "'type': 'boolean'");
    told(&page, "small", "n is below metrics.min_n", "'const': true");
    end(&page, '}');
    end(&page, '}');
    end(&page, '}');
    page_end(&page);
}

/* ---- the command ---- */

static const struct document {
    const char *name, *file, *what;
    void (*write)(FILE *out);
} documents[] = {
    {"events", "event.schema.json", "JSON Schema of an event", schema_events},
    {"row", "row.schema.json", "JSON Schema of a row", schema_row},
    {"config", "config.schema.json", "JSON Schema of a configuration file", config_schema},
    {"options", "options.md", "every key of a configuration file", config_manual},
    {"metrics", "metrics.md", "every metric and measure", schema_metrics},
    {"redis", "redis-keys.md", "Redis keys and topics", schema_redis},
    {"observe", "observe.md", "what GET /metrics tells of the engine", schema_observe},
};
enum { DOCUMENTS = sizeof documents / sizeof *documents };

static void help(FILE *out)
{
    fputs("usage: esteem schema NAME\n\nPrints a document that is made from the engine's tables; schemas/ holds them.\n\n", out);
    for (int i = 0; i < DOCUMENTS; i++)
        fprintf(out, "  %-8s %-19s %s\n", documents[i].name, documents[i].file, documents[i].what);
}

int command_schema(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        help(stdout);
        return EXIT_DONE;
    }
    if (argc != 2)
        return command_usage("schema", "name one document");
    for (int i = 0; i < DOCUMENTS; i++)
        if (strcmp(argv[1], documents[i].name) == 0) {
            documents[i].write(stdout);
            if (fflush(stdout) == 0)
                return EXIT_DONE;
            perror("esteem schema");
            return EXIT_FAILED;
        }
    return command_usage("schema", "there is no document %s", argv[1]);
}
