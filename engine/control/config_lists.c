/* config_lists: one reader a row of lists.def. Each fills its part of the config as far as it is right and tells what is
 * wrong item by item; a config with faults is thrown away as a whole, so half-filled items only need to be freeable. */
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"

int reader_items(struct reader *reader, const yaml_node_t *node, int line, const char *key, const char *wanted, int max)
{
    if (!reader_wants_list(reader, node, line, key, wanted))
        return 0;
    int count = reader_item_count(node);
    if (count > max)
        reader_fault(reader, node_line(reader_item(reader, node, max)), key, "has %d items; at most %d are possible", count,
                     max);
    return count < max ? count : max;
}

/* --- dimensions --- */

enum { DIMENSION_NAME_MAX = 32 };

static bool dimension_is_spelled(const char *name)
{
    return *name >= 'a' && *name <= 'z' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0' &&
           strlen(name) <= DIMENSION_NAME_MAX;
}

/* The names of the event's table in SEMANTICS 1 that are no dimensions. */
static bool is_event_name(const char *name)
{
    return word_find("id|type|time|tenant|interaction|customer|dims", name) >= 0;
}

void read_dimensions(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    struct config *config = reader->config;
    int count = reader_items(reader, node, line, key, "a list of names, [NAME, ...]", DIMENSION_OWN_MAX);
    for (int i = 0; i < count; i++) {
        const yaml_node_t *item = reader_item(reader, node, i);
        const char *name = reader_text(reader, item, node_line(item), key, "the name of a dimension");
        if (name == NULL)
            continue;
        if (!dimension_is_spelled(name))
            reader_fault(reader, node_line(item), key,
                         "\"%.40s\" cannot be a name; use at most %d of a-z 0-9 _, a letter first", name,
                         DIMENSION_NAME_MAX);
        else if (is_event_name(name))
            reader_fault(reader, node_line(item), key, "%s is a field of every event; take another name", name);
        else if (config_dimension_find(config, name) >= 0)
            reader_fault(reader, node_line(item), key, "%s exists already; take another name, or leave it out", name);
        else
            config->own_dimension[config->own_dimension_count++] = text_copy(name);
    }
}

/* The dimension of that name, or -1 after telling the fault. */
static int dimension_named(struct reader *reader, const char *name, int line, const char *key)
{
    int found = config_dimension_find(reader->config, name), least = 99;
    const char *known, *nearest = "";
    for (int i = 0; found < 0 && (known = config_dimension_name(reader->config, i)) != NULL; i++) {
        int distance = word_distance(name, known);
        nearest = distance < least ? known : nearest;
        least = distance < least ? distance : least;
    }
    if (found < 0 && word_near(name, least))
        reader_fault(reader, line, key, "there is no dimension %.40s; did you mean %s?", name, nearest);
    else if (found < 0)
        reader_fault(reader, line, key, "there is no dimension %.40s; name it under dimensions:, or take a built-in one",
                     name);
    return found;
}

/* --- windows --- */

#define ROLLING_LENGTHS INT64_C(1000), INT64_C(31536000000) /* 1s to 365d */

/* The largest divisor of the hour, in whole seconds, that is at most a 60th of the length. Worked example: 7d / 60 =
 * 10080 s, so 1h; 1d / 60 = 1440 s, so 1200 s = 20m; 90s / 60 = 1.5 s, so 1s. */
static int64_t slide_default_ms(int64_t length_ms)
{
    int64_t slide_s = length_ms / 60000;
    if (slide_s > 3600)
        return 3600000;
    if (slide_s < 1)
        return 1000;
    while (3600 % slide_s != 0)
        slide_s--;
    return slide_s * 1000;
}

static bool rolling_slide(struct reader *reader, const yaml_node_t *node, const char *key, struct config_rolling *rolling)
{
    char text[DURATION_TEXT_MAX];
    int64_t largest_ms = slide_default_ms(rolling->length_ms), slide_ms;
    rolling->slide_ms = largest_ms;
    if (node == NULL)
        return true;
    int line = node_line(node);
    if (!reader_duration(reader, node, line, key, 1000, 3600000, &slide_ms))
        return false;
    if (slide_ms % 1000 != 0 || 3600000 % slide_ms != 0)
        reader_fault(reader, line, key, "%s does not divide the hour; take a divisor such as 1s, 5s, 1m or 20m",
                     duration_format(slide_ms, text));
    else if (slide_ms > largest_ms)
        reader_fault(reader, line, key, "is too coarse for %s; take at most %s, or leave it out", rolling->name,
                     duration_format(largest_ms, text));
    else {
        rolling->slide_ms = slide_ms;
        return true;
    }
    return false;
}

static bool rolling_length(struct reader *reader, const yaml_node_t *node, int line, const char *key,
                           struct config_rolling *rolling)
{
    if (!reader_duration(reader, node, line, key, ROLLING_LENGTHS, &rolling->length_ms))
        return false;
    const char *text = (const char *)node->data.scalar.value;
    if (rolling->length_ms % 1000 != 0) {
        reader_fault(reader, line, key, "%.40s is not of whole seconds; round it", text);
        return false;
    }
    if (strlen(text) >= sizeof rolling->name) {
        reader_fault(reader, line, key, "%.40s is a long name for a window; spell it shorter", text);
        return false;
    }
    memcpy(rolling->name, text, strlen(text) + 1);
    return true;
}

static bool rolling_item(struct reader *reader, yaml_node_t *item, const char *key, struct config_rolling *rolling)
{
    struct member members[] = {{"length", NULL}, {"slide", NULL}};
    if (item->type != YAML_MAPPING_NODE)
        return rolling_length(reader, item, node_line(item), key, rolling) && rolling_slide(reader, NULL, key, rolling);
    bool right = reader_members(reader, item, key, members, 2);
    if (members[0].value == NULL) {
        reader_fault(reader, node_line(item), key, "has no length; write {length: 5m, slide: 1s}");
        return false;
    }
    return rolling_length(reader, members[0].value, node_line(members[0].value), "windows.rolling.length", rolling) &&
           rolling_slide(reader, members[1].value, "windows.rolling.slide", rolling) && right;
}

static int rolling_compare(const void *a, const void *b)
{
    int64_t x = ((const struct config_rolling *)a)->length_ms, y = ((const struct config_rolling *)b)->length_ms;
    return (x > y) - (x < y);
}

void read_rolling(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    struct config *config = reader->config;
    int count = reader_items(reader, node, line, key, "a list of lengths, [5m, 1h]", CONFIG_ROLLING_MAX);
    for (int i = 0; i < count; i++) {
        struct config_rolling rolling;
        yaml_node_t *item = reader_item(reader, node, i);
        if (!rolling_item(reader, item, key, &rolling))
            continue;
        int same = 0;
        while (same < config->rolling_count && config->rolling[same].length_ms != rolling.length_ms)
            same++;
        if (same < config->rolling_count)
            reader_fault(reader, node_line(item), key, "%s is as long as %s; keep one of the two", rolling.name,
                         config->rolling[same].name);
        else
            config->rolling[config->rolling_count++] = rolling;
    }
    qsort(config->rolling, (size_t)config->rolling_count, sizeof *config->rolling, rolling_compare);
}

void read_calendar(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    int count = reader_items(reader, node, line, key, "a list of words, [hour, day]", CALENDAR_COUNT);
    for (int i = 0; i < count; i++) {
        const yaml_node_t *item = reader_item(reader, node, i);
        const char *name = reader_text(reader, item, node_line(item), key, "the name of a calendar window");
        int window = 0;
        while (name != NULL && window < CALENDAR_COUNT && strcmp(calendar_names[window], name) != 0)
            window++;
        if (name == NULL)
            continue;
        if (window == CALENDAR_COUNT)
            reader_fault(reader, node_line(item), key,
                         "\"%.40s\" is no calendar window; take quarter_hour, half_hour, hour, day, week or month", name);
        else if (reader->config->calendar >> window & 1)
            reader_fault(reader, node_line(item), key, "%s is there twice; take one out", name);
        else
            reader->config->calendar |= UINT32_C(1) << window;
    }
}

/* --- scopes --- */

bool scope_read(struct reader *reader, const yaml_node_t *item, const char *key, uint32_t *dimensions)
{
    int count = reader_items(reader, item, node_line(item), key, "a list of dimensions, [queue] or []", DIMENSION_MAX);
    bool right = item->type == YAML_SEQUENCE_NODE;
    *dimensions = 0;
    for (int i = 0; i < count; i++) {
        const yaml_node_t *part = reader_item(reader, item, i);
        const char *name = reader_text(reader, part, node_line(part), key, "the name of a dimension");
        int dimension = name == NULL ? -1 : dimension_named(reader, name, node_line(part), key);
        if (dimension < 0)
            right = false;
        else if (*dimensions >> dimension & 1) {
            reader_fault(reader, node_line(part), key, "%s is twice in one scope; take one out", name);
            right = false;
        } else
            *dimensions |= UINT32_C(1) << dimension;
    }
    return right;
}

void read_scopes(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    struct config *config = reader->config;
    int first_line[CONFIG_SCOPE_MAX];
    int count = reader_items(reader, node, line, key, "a list of scopes, [[], [queue]]", CONFIG_SCOPE_MAX);
    if (node->type == YAML_SEQUENCE_NODE && count == 0)
        reader_fault(reader, line, key, "names no scope at all; [[]] is the whole tenant");
    for (int i = 0; i < count; i++) {
        yaml_node_t *item = reader_item(reader, node, i);
        uint32_t dimensions;
        if (!scope_read(reader, item, key, &dimensions))
            continue;
        int same = 0;
        while (same < config->scope_count && config->scope[same].dimensions != dimensions)
            same++;
        if (same < config->scope_count)
            reader_fault(reader, node_line(item), key, "is the same scope as in line %d; take one out", first_line[same]);
        else {
            first_line[config->scope_count] = node_line(item);
            config->scope[config->scope_count++].dimensions = dimensions;
        }
    }
}

/* --- metrics --- */

#define DURATIONS INT64_C(0), DURATION_MAX_MS

const char *reader_value(struct reader *reader, const yaml_node_t *node, int line, const char *key)
{
    const char *text = reader_text(reader, node, line, key, "a text");
    if (text == NULL)
        return NULL;
    if (*text != '\0' && strlen(text) <= VALUE_MAX)
        return text;
    reader_fault(reader, line, key, "is empty or longer than %d bytes, so no event has it; mend it", VALUE_MAX);
    return NULL;
}

static bool rule_match(struct reader *reader, yaml_node_t *map, struct config_rule *rule)
{
    static const char key[] = "metrics.service_level.rules.match";
    int at = 0, before = reader->fault_count;
    struct pair pair;
    if (map == NULL || map->type != YAML_MAPPING_NODE || map->data.mapping.pairs.top == map->data.mapping.pairs.start) {
        reader_fault(reader, map == NULL ? rule->line : node_line(map), key,
                     "names no dimension; write {match: {channel: email}, threshold: 4h}");
        return false;
    }
    while (reader_next_pair(reader, map, key, &at, &pair)) {
        int dimension = dimension_named(reader, pair.name, pair.line, key);
        const char *value = reader_value(reader, pair.value, pair.line, key);
        if (dimension >= 0 && value != NULL)
            rule->value[dimension] = text_copy(value);
    }
    return reader->fault_count == before;
}

static bool text_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* A rule that asks for all that an earlier one asks for is never reached. */
static bool rule_covers(const struct config_rule *earlier, const struct config_rule *rule)
{
    for (int d = 0; d < DIMENSION_MAX; d++)
        if (earlier->value[d] != NULL && !text_same(earlier->value[d], rule->value[d]))
            return false;
    return true;
}

static void rule_item(struct reader *reader, yaml_node_t *item, const char *key, struct config_rule *rule)
{
    const struct config_rule *first = reader->config->rule;
    struct member members[] = {{"match", NULL}, {"threshold", NULL}};
    rule->line = node_line(item);
    if (!reader_wants_map(reader, item, rule->line, key, "{match: {channel: email}, threshold: 4h}"))
        return;
    reader_members(reader, item, key, members, 2);
    bool matches = rule_match(reader, members[0].value, rule);
    if (members[1].value == NULL)
        reader_fault(reader, rule->line, key, "has no threshold; write {match: {channel: email}, threshold: 4h}");
    else
        reader_duration(reader, members[1].value, node_line(members[1].value), "metrics.service_level.rules.threshold",
                        DURATIONS, &rule->threshold_ms);
    for (; matches && first < rule; first++)
        if (rule_covers(first, rule)) {
            reader_fault(reader, rule->line, key,
                         "is never reached, the rule in line %d matches first; put it before that one", first->line);
            return;
        }
}

static bool rule_is_empty(const struct config_rule *rule)
{
    for (int d = 0; d < DIMENSION_MAX; d++)
        if (rule->value[d] != NULL)
            return false;
    return true;
}

void read_rules(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    struct config *config = reader->config;
    int count =
        reader_items(reader, node, line, key, "a list of {match: {channel: email}, threshold: 4h}", CONFIG_RULE_MAX);
    for (int i = 0; i < count; i++) {
        struct config_rule *rule = &config->rule[config->rule_count];
        rule_item(reader, reader_item(reader, node, i), key, rule);
        config->rule_count += !rule_is_empty(rule); /* an empty one was a fault, and would cover all others */
    }
}

void read_bands(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    struct config *config = reader->config;
    int count = reader_items(reader, node, line, key, "a list of durations, [3m, 6m, 10m]", CONFIG_BAND_MAX);
    for (int i = 0; i < count; i++) {
        const yaml_node_t *item = reader_item(reader, node, i);
        int64_t ms = 0, below = config->band_count == 0 ? 0 : config->band_ms[config->band_count - 1];
        if (!reader_duration(reader, item, node_line(item), key, 1, DURATION_MAX_MS, &ms))
            continue;
        if (ms <= below)
            reader_fault(reader, node_line(item), key, "%s is not longer than the bound before it; write them ascending",
                         (const char *)item->data.scalar.value);
        else
            config->band_ms[config->band_count++] = ms;
    }
}

void list_read(struct reader *reader, enum list_name name, yaml_node_t *node, int line)
{
    static void (*const read[])(struct reader *, yaml_node_t *, int, const char *) = {
#define LIST(list, key, fallback, change, effect, help) read_##list,
#include "lists.def"
    };
    read[name](reader, node, line, lists[name].key);
}
