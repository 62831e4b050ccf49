/* config_keep: one list of a configuration, released and copied; and the configuration that is really in force after a reload: what needs a
 * restart keeps its old value (plan.h). */
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "esteem/err.h"

static char *copy(const char *text)
{
    return text == NULL ? NULL : text_copy(text);
}

static void *must(void *block)
{
    ensure(block != NULL, "no memory for the configuration");
    return block;
}

/* ---- releasing ---- */

static void free_values(char **value)
{
    for (int d = 0; d < DIMENSION_MAX; d++)
        free(value[d]);
}

static void free_dimensions(struct config *config)
{
    for (int i = 0; i < config->own_dimension_count; i++)
        free(config->own_dimension[i]);
    config->own_dimension_count = 0;
}

static void free_rules(struct config *config)
{
    for (int i = 0; i < config->rule_count; i++)
        free_values(config->rule[i].value);
    config->rule_count = 0;
}

static void free_tenants(struct config *config)
{
    for (int i = 0; i < config->tenant_count; i++) {
        free(config->tenant[i].name);
        free(config->tenant[i].timezone);
    }
    free(config->tenant);
    config->tenant = NULL;
    config->tenant_count = 0;
}

static void free_topics(struct config *config)
{
    for (int i = 0; i < config->topic_count; i++) {
        free(config->topic[i].name);
        free(config->topic[i].mapping);
    }
    config->topic_count = 0;
}

static void free_properties(struct config *config)
{
    for (int i = 0; i < config->kafka_property_count; i++) {
        free(config->kafka_property[i].key);
        free(config->kafka_property[i].value);
    }
    config->kafka_property_count = 0;
}

static void free_goals(struct config *config)
{
    for (int i = 0; i < config->goal_count; i++)
        free_values(config->goal[i].value);
    free(config->goal);
    config->goal = NULL;
    config->goal_count = 0;
}

static void free_roster(struct config *config)
{
    for (uint32_t i = 0; i < config->roster_count; i++) {
        free(config->roster[i].tenant);
        free(config->roster[i].agent);
        free(config->roster[i].team);
        free(config->roster[i].site);
    }
    free(config->roster);
}

void config_lists_free(struct config *config)
{
    free_dimensions(config);
    free_rules(config);
    free_tenants(config);
    free_topics(config);
    free_properties(config);
    free_goals(config);
    free_roster(config);
}

/* ---- copying: `to` gets what `from` has ---- */

static void keep_dimensions(struct config *to, const struct config *from)
{
    free_dimensions(to);
    to->own_dimension_count = from->own_dimension_count;
    to->own_dimensions_gone = from->own_dimensions_gone;
    for (int i = 0; i < from->own_dimension_count; i++)
        to->own_dimension[i] = copy(from->own_dimension[i]);
}

static void keep_rolling(struct config *to, const struct config *from)
{
    to->rolling_count = from->rolling_count;
    memcpy(to->rolling, from->rolling, sizeof to->rolling);
}

static void keep_calendar(struct config *to, const struct config *from)
{
    to->calendar = from->calendar;
}

static void keep_scopes(struct config *to, const struct config *from)
{
    to->scope_count = from->scope_count;
    memcpy(to->scope, from->scope, sizeof to->scope);
}

static void keep_rules(struct config *to, const struct config *from)
{
    free_rules(to);
    to->rule_count = from->rule_count;
    for (int i = 0; i < from->rule_count; i++) {
        to->rule[i] = from->rule[i];
        for (int d = 0; d < DIMENSION_MAX; d++)
            to->rule[i].value[d] = copy(from->rule[i].value[d]);
    }
}

static void keep_bands(struct config *to, const struct config *from)
{
    to->band_count = from->band_count;
    memcpy(to->band_ms, from->band_ms, sizeof to->band_ms);
}

static void keep_tenants(struct config *to, const struct config *from)
{
    free_tenants(to);
    to->tenant_count = from->tenant_count;
    to->tenant = must(calloc((size_t)from->tenant_count + 1, sizeof *to->tenant));
    for (int i = 0; i < from->tenant_count; i++)
        to->tenant[i] = (struct config_tenant){copy(from->tenant[i].name), copy(from->tenant[i].timezone)};
}

static void keep_topics(struct config *to, const struct config *from)
{
    free_topics(to);
    to->topic_count = from->topic_count;
    for (int i = 0; i < from->topic_count; i++) {
        to->topic[i] = from->topic[i];
        to->topic[i].name = copy(from->topic[i].name);
        to->topic[i].mapping = copy(from->topic[i].mapping);
    }
}

static void keep_properties(struct config *to, const struct config *from)
{
    free_properties(to);
    to->kafka_property_count = from->kafka_property_count;
    for (int i = 0; i < from->kafka_property_count; i++)
        to->kafka_property[i] = (struct config_property){copy(from->kafka_property[i].key), copy(from->kafka_property[i].value)};
}

static void keep_baseline(struct config *to, const struct config *from)
{
    to->baseline = from->baseline;
}

static void keep_goals(struct config *to, const struct config *from)
{
    free_goals(to);
    to->goal_count = from->goal_count;
    to->goal = must(calloc((size_t)from->goal_count + 1, sizeof *to->goal));
    for (int i = 0; i < from->goal_count; i++) {
        struct config_goal *goal = &to->goal[i];
        *goal = from->goal[i];
        goal->name = goal->field + (from->goal[i].name - from->goal[i].field);
        for (int d = 0; d < DIMENSION_MAX; d++)
            goal->value[d] = copy(from->goal[i].value[d]);
    }
}

static void keep_leaderboards(struct config *to, const struct config *from)
{
    to->board_count = from->board_count;
    memcpy(to->board, from->board, sizeof to->board);
}

void config_keep_list(struct config *to, const struct config *from, enum list_name name)
{
    static void (*const keep[])(struct config *, const struct config *) = {
#define LIST(list, key, fallback, change, effect, help) keep_##list,
#include "lists.def"
    };
    keep[name](to, from);
}

void config_keep_option(struct config *to, const struct config *from, const struct option *option)
{
    static const size_t size[] = {[KIND_DURATION] = sizeof(int64_t), [KIND_SIZE] = sizeof(int64_t), [KIND_INT] = sizeof(int64_t),
                                  [KIND_REAL] = sizeof(double), [KIND_BOOL] = sizeof(bool), [KIND_WORD] = sizeof(int)};
    void *field = option_at(to, option);
    if (option->kind != KIND_TEXT) {
        memcpy(field, option_at(from, option), size[option->kind]);
        return;
    }
    free(*(char **)field);
    *(char **)field = copy(*(char **)option_at(from, option));
}
