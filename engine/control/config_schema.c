/* config_schema: the tables once more, for people and for editors: a JSON Schema (draft 2020-12) of the configuration
 * file, and the manual in markdown. What the parser takes and what these pages say come from the same rows. */
#include <inttypes.h>
#include <string.h>

#include "config_parts.h"

/* --- JSON --- */

static void put_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* JSON written with ' for ", so that it can be read here. */
static void put_json(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        fputc(*text == '\'' ? '"' : *text, out);
}

static void put_indent(FILE *out, int depth)
{
    fprintf(out, "\n%*s", depth * 2, "");
}

#define DURATION_FORM "'type': 'string', 'pattern': '^[0-9]+(ms|s|m|h|d)$'"
#define DURATION_SCHEMA "{" DURATION_FORM "}"

/* The bounds below are these. */
_Static_assert(DIMENSION_OWN_MAX == 5 && CONFIG_ROLLING_MAX == 16 && CONFIG_SCOPE_MAX == 32 && CONFIG_RULE_MAX == 64 &&
                   CONFIG_BAND_MAX == 8 && CONFIG_TENANT_MAX == 1024 && CONFIG_TOPIC_MAX == 64 && CONFIG_PROPERTY_MAX == 64 &&
                   CONFIG_BASELINE_MAX == 32 && CONFIG_GOAL_MAX == 64 && CONFIG_BOARD_MAX == 32,
               "a bound has changed: change it in list_schemas too");

/* What the parser checks beyond the form (divisors, known zones and dimensions) has no place in a schema. */
static const char *const list_schemas[LIST_COUNT] = {
    [LIST_dimensions] = "'type': 'array', 'maxItems': 5, 'uniqueItems': true, "
                        "'items': {'type': 'string', 'pattern': '^[a-z][a-z0-9_]{0,31}$'}",
    [LIST_rolling] = "'type': 'array', 'maxItems': 16, 'items': {'anyOf': [" DURATION_SCHEMA
                     ", {'type': 'object', 'additionalProperties': false, 'required': ['length'], 'properties': "
                     "{'length': " DURATION_SCHEMA ", 'slide': " DURATION_SCHEMA "}}]}",
    [LIST_calendar] = "'type': 'array', 'uniqueItems': true, "
                      "'items': {'enum': ['quarter_hour', 'half_hour', 'hour', 'day', 'week', 'month']}",
    [LIST_scopes] = "'type': 'array', 'minItems': 1, 'maxItems': 32, 'uniqueItems': true, "
                    "'items': {'type': 'array', 'uniqueItems': true, 'items': {'type': 'string'}}",
    [LIST_rules] = "'type': 'array', 'maxItems': 64, 'items': {'type': 'object', 'additionalProperties': false, "
                   "'required': ['match', 'threshold'], 'properties': {'match': {'type': 'object', 'minProperties': 1, "
                   "'additionalProperties': {'type': ['string', 'number', 'boolean']}}, 'threshold': " DURATION_SCHEMA "}}",
    [LIST_bands] = "'type': 'array', 'maxItems': 8, 'items': " DURATION_SCHEMA,
    [LIST_tenants] = "'type': 'object', 'maxProperties': 1024, 'additionalProperties': {'type': ['object', 'null'], "
                     "'additionalProperties': false, 'properties': {'timezone': {'type': 'string'}}}",
    [LIST_topics] = "'type': 'array', 'minItems': 1, 'maxItems': 64, 'items': {'anyOf': [{'type': 'string'}, "
                    "{'type': 'object', 'additionalProperties': false, 'required': ['name'], 'properties': "
                    "{'name': {'type': 'string'}, 'mapping': {'type': 'string', 'pattern': '^[A-Za-z0-9_-]{1,64}$'}, "
                    "'keyed': {'type': 'boolean'}}}]}",
    [LIST_baseline] = "'type': 'object', 'additionalProperties': false, 'dependentRequired': {'from': ['to', 'metrics'], 'to': ['from'], "
                      "'metrics': ['from']}, 'properties': {'from': {'type': 'string'}, 'to': {'type': 'string'}, 'metrics': {'type': 'array', "
                      "'minItems': 1, 'maxItems': 32, 'uniqueItems': true, 'items': {'type': 'string'}}}",
    [LIST_goals] = "'type': 'array', 'maxItems': 64, 'items': {'type': 'object', 'additionalProperties': false, "
                   "'required': ['name', 'window', 'target'], 'oneOf': [{'required': ['metric']}, {'required': ['measure']}], 'properties': "
                   "{'name': {'type': 'string', 'pattern': '^[a-z][a-z0-9_]{0,39}$'}, 'metric': {'type': 'string'}, "
                   "'measure': {'type': 'string'}, 'per': {'enum': ['day']}, 'scope': {'type': 'array', 'items': {'type': 'string'}}, "
                   "'match': {'type': 'object', 'additionalProperties': {'type': ['string', 'number', 'boolean']}}, "
                   "'window': {'type': 'string'}, 'target': {'type': 'number', 'exclusiveMinimum': 0}, "
                   "'direction': {'enum': ['up', 'down']}, 'alert': {'type': 'boolean'}, 'for': " DURATION_SCHEMA
                   ", 'clear': {'type': 'number', 'minimum': 0}}}",
    [LIST_leaderboards] = "'type': 'array', 'maxItems': 32, 'items': {'type': 'object', 'additionalProperties': false, "
                          "'required': ['metric', 'scope', 'window'], 'properties': {'metric': {'type': 'string'}, "
                          "'scope': {'type': 'array', 'items': {'type': 'string'}}, 'window': {'type': 'string'}}}",
    [LIST_properties] = "'type': 'object', 'maxProperties': 64, "
                        "'additionalProperties': {'type': ['string', 'number', 'boolean']}",
};

static void schema_words(const struct option *option, FILE *out)
{
    size_t length;
    const char *word;
    fputs("\"enum\": [", out);
    for (int i = 0; (word = word_at(option->text, i, &length)) != NULL; i++)
        fprintf(out, "%s\"%.*s\"", i == 0 ? "" : ", ", (int)length, word);
    fputs("]", out);
}

static void schema_kind(const struct option *option, FILE *out)
{
    switch (option->kind) {
    case KIND_DURATION: put_json(out, DURATION_FORM); break;
    case KIND_SIZE:
        fprintf(out, "\"type\": [\"integer\", \"string\"], \"minimum\": %" PRId64 ", \"maximum\": %" PRId64
                ", \"pattern\": \"^[0-9]+(KiB|MiB|GiB)?$\"", option->low, option->high);
        break;
    case KIND_INT:
        fprintf(out, "\"type\": \"integer\", \"minimum\": %" PRId64 ", \"maximum\": %" PRId64, option->low, option->high);
        break;
    case KIND_REAL:
        fprintf(out, "\"type\": \"number\", \"minimum\": %g, \"maximum\": %g", option->real_low, option->real_high);
        break;
    case KIND_BOOL: put_json(out, "'type': 'boolean'"); break;
    case KIND_WORD: schema_words(option, out); break;
    case KIND_TEXT: put_json(out, "'type': ['string', 'number', 'boolean']"); break; /* as YAML reads `group: 12` */
    }
}

/* The default as a file would spell it, without quotes. */
static void put_default(const struct option *option, FILE *out)
{
    char text[DURATION_TEXT_MAX];
    size_t length = 0;
    const char *word;
    switch (option->kind) {
    case KIND_DURATION: fputs(duration_format(option->fallback, text), out); break;
    case KIND_SIZE: fputs(size_format(option->fallback, text), out); break;
    case KIND_INT: fprintf(out, "%" PRId64, option->fallback); break;
    case KIND_REAL: fprintf(out, "%g", option->real_fallback); break;
    case KIND_BOOL: fputs(option->fallback != 0 ? "true" : "false", out); break;
    case KIND_WORD:
        word = word_at(option->text, (int)option->fallback, &length);
        fprintf(out, "%.*s", (int)length, word);
        break;
    case KIND_TEXT: fputs(option->text, out); break;
    }
}

static bool is_bare(const struct option *option)
{
    return option->kind == KIND_INT || option->kind == KIND_REAL || option->kind == KIND_BOOL;
}

static const char *change_name(enum change change)
{
    return change == LIVE ? "live" : "restart";
}

static void schema_leaf(int key, FILE *out)
{
    const struct option *option = key < option_count ? &options[key] : NULL;
    const struct list *list = option == NULL ? &lists[key - option_count] : NULL;
    const char *quote = option != NULL && !is_bare(option) ? "\"" : "";
    fputs("{\"description\": ", out);
    put_string(out, option != NULL ? option->help : list->help);
    fprintf(out, ", \"x-change\": \"%s\", ", change_name(option != NULL ? option->change : list->change));
    if (option != NULL)
        schema_kind(option, out);
    else
        put_json(out, list_schemas[key - option_count]);
    fprintf(out, ", \"default\": %s", quote);
    if (option != NULL)
        put_default(option, out);
    else
        fputs(list->fallback, out);
    fprintf(out, "%s}", quote);
}

/* The part of key i below a section, up to its next dot; NULL when it does not lie there. */
static const char *part_below(int key, const char *section, size_t length, size_t *part_length)
{
    const char *path = key_path(key);
    if (strncmp(path, section, length) != 0 || (length > 0 && path[length] != '.'))
        return NULL;
    const char *part = path + length + (length > 0);
    *part_length = strcspn(part, ".");
    return part;
}

/* Whether an earlier key lies below the same part, which is written already. */
static bool part_is_done(int key, const char *section, size_t length, const char *part, size_t part_length)
{
    for (int i = 0; i < key; i++) {
        size_t other_length;
        const char *other = part_below(i, section, length, &other_length);
        if (other != NULL && other_length == part_length && memcmp(other, part, part_length) == 0)
            return true;
    }
    return false;
}

/* As deep as the key paths are: three sections. */
static void schema_section(const char *section, size_t length, int depth, FILE *out)
{
    const char *comma = "";
    put_json(out, "'type': ['object', 'null'], 'additionalProperties': false, 'properties': {");
    for (int i = 0; i < key_count(); i++) {
        size_t part_length;
        const char *part = part_below(i, section, length, &part_length);
        if (part == NULL || part_is_done(i, section, length, part, part_length))
            continue;
        fputs(comma, out);
        put_indent(out, depth);
        fprintf(out, "\"%.*s\": ", (int)part_length, part);
        comma = ",";
        if (part[part_length] == '\0') {
            schema_leaf(i, out);
            continue;
        }
        fputc('{', out);
        schema_section(key_path(i), (size_t)(part + part_length - key_path(i)), depth + 1, out);
        fputc('}', out);
    }
    fputc('}', out);
}

void config_schema(FILE *out)
{
    put_json(out, "{'$schema': 'https://json-schema.org/draft/2020-12/schema',\n 'title': 'esteem configuration',\n ");
    schema_section("", 0, 1, out);
    fputs("}\n", out);
}

/* --- the manual --- */

static void manual_range(const struct option *option, FILE *out)
{
    char low[DURATION_TEXT_MAX], high[DURATION_TEXT_MAX];
    size_t length;
    const char *word;
    switch (option->kind) {
    case KIND_DURATION:
        fprintf(out, "%s to %s", duration_format(option->low, low), duration_format(option->high, high));
        break;
    case KIND_SIZE: fprintf(out, "%s to %s", size_format(option->low, low), size_format(option->high, high)); break;
    case KIND_INT: fprintf(out, "%" PRId64 " to %" PRId64, option->low, option->high); break;
    case KIND_REAL: fprintf(out, "%g to %g", option->real_low, option->real_high); break;
    case KIND_BOOL: fputs("true, false", out); break;
    case KIND_WORD:
        for (int i = 0; (word = word_at(option->text, i, &length)) != NULL; i++)
            fprintf(out, "%s%.*s", i == 0 ? "" : ", ", (int)length, word);
        break;
    case KIND_TEXT: fputs("text", out); break;
    }
}

static void manual_options(FILE *out)
{
    fputs("| key | default | range | change | meaning |\n| --- | --- | --- | --- | --- |\n", out);
    for (int i = 0; i < option_count; i++) {
        const struct option *option = &options[i];
        bool empty = option->kind == KIND_TEXT && *option->text == '\0';
        fprintf(out, "| `%s` | `%s", option->key, empty ? "\"\"" : "");
        put_default(option, out);
        fputs("` | ", out);
        manual_range(option, out);
        fprintf(out, " | %s | %s |\n", change_name(option->change), option->help);
    }
}

/* Defaults are JSON in the table; a file needs fewer quotes. */
static void put_without_quotes(const char *text, FILE *out)
{
    for (; *text != '\0'; text++)
        if (*text != '"')
            fputc(*text, out);
}

static void manual_lists(FILE *out)
{
    fputs("| key | default | change | meaning |\n| --- | --- | --- | --- |\n", out);
    for (int i = 0; i < LIST_COUNT; i++) {
        fprintf(out, "| `%s` | `", lists[i].key);
        put_without_quotes(lists[i].fallback, out);
        fprintf(out, "` | %s | %s |\n", change_name(lists[i].change), lists[i].help);
    }
}

void config_manual(FILE *out)
{
    fputs("# Options\n\n"
          "Made from `options.def` and `lists.def`; do not edit.\n\n"
          "The file is YAML; the dots of a key are nested sections (`redis.port` is `redis: {port: 6379}`). Everything\n"
          "has a default, so an empty file is a configuration. Durations name their unit: `500ms`, `10s`, `5m`, `4h`,\n"
          "`7d`; sizes are bytes or `64KiB`, `1MiB`, `1GiB`. *live*: a reload changes it; *restart*: it keeps\n"
          "its old value until a restart, and `esteem ctl status` names it. `$NAME` as `redis.password`, `secrets.customer_key`\n"
          "or in `kafka.properties` is taken from the environment, `$$` is a dollar sign.\n\n"
          "## Values\n\n", out);
    manual_options(out);
    fputs("\n## Lists\n\n", out);
    manual_lists(out);
}
