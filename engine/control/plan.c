/* plan: two configurations held against each other by the tables; what needs a restart is put back in the newer one. */
#include "esteem/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "esteem/err.h"
#include "esteem/metric.h"

enum { SHOWN_MOST = 400 /* bytes of a value that are shown */ };

/* A list is read with the help of others (a scope with the dimensions' numbers): where those stay, it has to stay too. */
static const struct {
    enum list_name list, hangs_on;
} ties[] = {
    {LIST_scopes, LIST_dimensions},     {LIST_rules, LIST_dimensions}, {LIST_goals, LIST_dimensions}, {LIST_leaderboards, LIST_dimensions},
    {LIST_goals, LIST_rolling},         {LIST_goals, LIST_calendar},   {LIST_goals, LIST_scopes},     {LIST_leaderboards, LIST_rolling},
    {LIST_leaderboards, LIST_calendar}, {LIST_leaderboards, LIST_scopes},
};

/* What figures a setting has a part in, and since when they are of the new value. Figures that no row names are worked out anew from the
 * integers that are kept, so they are of the new value at once, in windows that began before too. */
static const struct {
    const char *key, *figures;
} counted[] = {
    {"metrics.csat.top_box", "csat_top, so csat"},
    {"metrics.service_level.threshold", "answered_in_sl and abandoned_in_sl, so service_level"},
    {"metrics.service_level.short_abandon", "abandoned_short, so abandon_rate and service_level"},
    {"metrics.service_level.rules", "answered_in_sl and abandoned_in_sl, so service_level"},
    {"metrics.survey.attribution", "the surveys' figures"},
};

/* ---- values as a person reads them ---- */

static void write_mask(const struct config *config, uint32_t mask, FILE *out)
{
    const char *comma = "";
    fputc('[', out);
    for (int d = 0; d < DIMENSION_MAX; d++)
        if (mask >> d & 1) {
            fprintf(out, "%s%s", comma, config_dimension_name(config, d));
            comma = ", ";
        }
    fputc(']', out);
}

static bool secret(const char *key)
{
    return strncmp(key, "secrets.", 8) == 0 || strstr(key, "password") != NULL;
}

static void show_option(const struct config *config, const struct option *option, FILE *out)
{
    const void *field = option_at(config, option);
    char text[DURATION_TEXT_MAX];
    size_t length = 0;
    switch (option->kind) {
    case KIND_DURATION: fputs(duration_format(*(const int64_t *)field, text), out); break;
    case KIND_SIZE: fputs(size_format(*(const int64_t *)field, text), out); break;
    case KIND_INT: fprintf(out, "%" PRId64, *(const int64_t *)field); break;
    case KIND_REAL: fprintf(out, "%g", *(const double *)field); break;
    case KIND_BOOL: fputs(*(const bool *)field ? "true" : "false", out); break;
    case KIND_WORD: {
        const char *word = word_at(option->text, *(const int *)field, &length);
        fprintf(out, "%.*s", (int)length, word);
        break;
    }
    case KIND_TEXT: fprintf(out, "\"%s\"", secret(option->key) ? "..." : *(char *const *)field); break;
    }
}

static void show_list(const struct config *config, enum list_name name, FILE *out)
{
    char text[DURATION_TEXT_MAX];
    const char *comma = "";
    switch (name) {
    case LIST_dimensions:
        for (int i = 0; i < config->own_dimension_count; i++)
            if (!own_dimension_gone(config, i)) {
                fprintf(out, "%s%s", comma, config->own_dimension[i]);
                comma = ", ";
            }
        break;
    case LIST_rolling:
        for (int i = 0; i < config->rolling_count; i++)
            fprintf(out, "%s%s", i ? ", " : "", config->rolling[i].name);
        break;
    case LIST_calendar:
        for (int i = 0, shown = 0; i < CALENDAR_COUNT; i++)
            if (config->calendar >> i & 1)
                fprintf(out, "%s%s", shown++ ? ", " : "", calendar_names[i]);
        break;
    case LIST_scopes:
        for (int i = 0; i < config->scope_count; i++) {
            fputs(i ? ", " : "", out);
            write_mask(config, config->scope[i].dimensions, out);
        }
        break;
    case LIST_rules:
        for (int i = 0; i < config->rule_count; i++)
            fprintf(out, "%s%s", i ? ", " : "", duration_format(config->rule[i].threshold_ms, text));
        break;
    case LIST_bands:
        for (int i = 0; i < config->band_count; i++)
            fprintf(out, "%s%s", i ? ", " : "", duration_format(config->band_ms[i], text));
        break;
    case LIST_tenants:
        for (int i = 0; i < config->tenant_count; i++)
            fprintf(out, "%s%s %s", i ? ", " : "", config->tenant[i].name, config->tenant[i].timezone ? config->tenant[i].timezone : config->timezone);
        break;
    case LIST_topics:
        for (int i = 0; i < config->topic_count; i++)
            fprintf(out, "%s%s", i ? ", " : "", config->topic[i].name);
        break;
    case LIST_properties: /* their values may be secret */
        for (int i = 0; i < config->kafka_property_count; i++)
            fprintf(out, "%s%s", i ? ", " : "", config->kafka_property[i].key);
        break;
    case LIST_baseline:
        for (int i = 0; i < config->baseline.count; i++)
            fprintf(out, "%s%s", i ? ", " : "", config->baseline.name[i]);
        break;
    case LIST_goals:
        for (int i = 0; i < config->goal_count; i++)
            fprintf(out, "%s%s %g", i ? ", " : "", config->goal[i].name, config->goal[i].target);
        break;
    case LIST_leaderboards:
        for (int i = 0; i < config->board_count; i++)
            fprintf(out, "%s%s", i ? ", " : "", config->board[i].name);
        break;
    case LIST_COUNT: break;
    }
}

/* Cut at SHOWN_MOST. */
static char *shown(const struct config *config, int key)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    ensure(out != NULL, "no memory for the configuration");
    if (key < option_count)
        show_option(config, &options[key], out);
    else
        show_list(config, (enum list_name)(key - option_count), out);
    ensure(fclose(out) == 0, "no memory for the configuration");
    if (length > SHOWN_MOST)
        memcpy(text + SHOWN_MOST - 3, "...", 4);
    return text;
}

/* ---- what differs ---- */

static bool same(const struct config *old, const struct config *next, int key)
{
    return key < option_count ? option_same(old, next, &options[key]) : list_same(old, next, (enum list_name)(key - option_count));
}

static enum change change_of(int key)
{
    return key < option_count ? options[key].change : lists[key - option_count].change;
}

/* Dimensions are numbers in all that is kept: live are those that could have theirs (config_take_places). */
static bool needs_restart(const struct config *old, const struct config *next, int key)
{
    bool more = old->own_dimension_count <= next->own_dimension_count;
    if (key != option_count + LIST_dimensions)
        return change_of(key) == RESTART;
    for (int i = 0; i < old->own_dimension_count && more; i++)
        more = strcmp(old->own_dimension[i], next->own_dimension[i]) == 0;
    return !more;
}

static void add(struct plan *plan, const struct config *old, const struct config *next, int key, const char *because)
{
    bool begins = key == option_count + LIST_calendar && (next->calendar & ~old->calendar);
    enum plan_when when = because || needs_restart(old, next, key) ? PLAN_RESTART : begins ? PLAN_BOUNDARY : PLAN_LIVE;
    plan->change[plan->count++] = (struct plan_change){.key = key_path(key), .when = when, .was = shown(old, key), .is = shown(next, key),
                                                       .because = because};
    plan->restarts += when == PLAN_RESTART;
}

static bool roster_same(const struct config *a, const struct config *b)
{
    bool equal = a->roster_count == b->roster_count;
    for (uint32_t i = 0; equal && i < a->roster_count; i++) {
        const struct config_roster *x = &a->roster[i], *y = &b->roster[i];
        equal = x->from_ms == y->from_ms && x->until_ms == y->until_ms && x->eligible == y->eligible && strcmp(x->tenant, y->tenant) == 0 &&
                strcmp(x->agent, y->agent) == 0 && strcmp(x->team, y->team) == 0 && strcmp(x->site, y->site) == 0;
    }
    return equal;
}

/* ---- what becomes of scopes, windows and metrics ---- */

static void write_scopes(const struct config *old, const struct config *next, FILE *out)
{
    int kept = 0;
    for (int i = 0; i < next->scope_count; i++) {
        uint32_t mask = next->scope[i].dimensions;
        kept += config_has_scope(old, mask);
        if (config_has_scope(old, mask))
            continue;
        fputs("scope ", out);
        write_mask(next, mask, out);
        fputs(": new since this reload: interactions that have an event from now on are in it, and its rows say since when\n", out);
    }
    for (int i = 0; i < old->scope_count; i++)
        if (!config_has_scope(next, old->scope[i].dimensions)) {
            fputs("scope ", out);
            write_mask(old, old->scope[i].dimensions, out);
            fputs(": dropped: told no more, its rows leave Redis with their time to live\n", out);
        }
    fprintf(out, "scopes: %d kept with their state\n", kept);
}

static bool named(const struct config *config, const char *window)
{
    for (int i = 0; i < config->rolling_count; i++)
        if (strcmp(config->rolling[i].name, window) == 0)
            return true;
    return false;
}

static void write_windows(const struct config *old, const struct config *next, FILE *out)
{
    int kept = 0;
    for (int i = 0; i < next->rolling_count; i++) {
        bool there = named(old, next->rolling[i].name);
        kept += there;
        if (!there)
            fprintf(out, "window %s: new: filled from what is kept, as far as that reaches; until then its rows say since when they are whole\n", next->rolling[i].name);
    }
    for (int i = 0; i < old->rolling_count; i++)
        if (!named(next, old->rolling[i].name))
            fprintf(out, "window %s: dropped: told no more, its rows leave Redis with their time to live\n", old->rolling[i].name);
    for (int w = 0; w < CALENDAR_COUNT; w++) {
        int was = old->calendar >> w & 1, is = next->calendar >> w & 1;
        kept += was && is;
        if (was != is)
            fprintf(out, "window %s: %s\n", calendar_names[w],
                    is ? "new: with the next one that begins" : "dropped: told no more, its rows leave Redis with their time to live");
    }
    fprintf(out, "windows: %d kept with their state\n", kept);
}

static void write_metrics(const struct plan *plan, FILE *out)
{
    int some = 0;
    for (int i = 0; i < plan->count; i++)
        for (size_t c = 0; c < sizeof counted / sizeof *counted; c++)
            if (plan->change[i].when == PLAN_LIVE && strcmp(plan->change[i].key, counted[c].key) == 0) {
                fprintf(out, "metrics: %s: interactions that have an event from now on count under the new value; what was counted stays\n",
                        counted[c].figures);
                some++;
            }
    fprintf(out, "metrics: all %d kept%s\n", METRIC_COUNT, some ? ", those above mixed in windows that hold this reload" : " with their state");
}

static char *state_lines(const struct plan *plan, const struct config *old, const struct config *next)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    ensure(out != NULL, "no memory for the configuration");
    write_scopes(old, next, out);
    write_windows(old, next, out);
    write_metrics(plan, out);
    ensure(fclose(out) == 0, "no memory for the configuration");
    return text;
}

/* ---- the plan ---- */

static void plan_options(struct plan *plan, const struct config *old, struct config *next)
{
    for (int i = 0; i < option_count; i++) {
        if (same(old, next, i))
            continue;
        add(plan, old, next, i, NULL);
        if (options[i].change == RESTART)
            config_keep_option(next, old, &options[i]);
    }
}

static const char *tied(const bool *stays, enum list_name list)
{
    for (size_t t = 0; t < sizeof ties / sizeof *ties; t++)
        if (ties[t].list == list && stays[ties[t].hangs_on])
            return lists[ties[t].hangs_on].key;
    return NULL;
}

/* In the order of reading, so that what others hang on comes first. All are shown before any is put back: names of dimensions are needed. */
static void plan_lists(struct plan *plan, const struct config *old, struct config *next)
{
    bool stays[LIST_COUNT] = {false};
    for (int l = 0; l < LIST_COUNT; l++) {
        bool restart = needs_restart(old, next, option_count + l);
        const char *because = restart ? NULL : tied(stays, (enum list_name)l);
        bool equal = same(old, next, option_count + l);
        stays[l] = because != NULL || (!equal && restart);
        if (!equal)
            add(plan, old, next, option_count + l, because);
    }
    for (int l = 0; l < LIST_COUNT; l++)
        if (stays[l])
            config_keep_list(next, old, (enum list_name)l);
}

void plan_init(struct plan *plan, const struct config *old, struct config *next)
{
    *plan = (struct plan){.roster = !roster_same(old, next)};
    plan->change = calloc((size_t)key_count(), sizeof *plan->change);
    ensure(plan->change != NULL, "no memory for the configuration");
    (void)config_take_places(next, old); /* else what hangs on them stays as it is */
    plan_options(plan, old, next);
    plan_lists(plan, old, next);
    config_identify(next);
    plan->state = state_lines(plan, old, next);
}

void plan_close(struct plan *plan)
{
    for (int i = 0; i < plan->count; i++) {
        free(plan->change[i].was);
        free(plan->change[i].is);
    }
    free(plan->change);
    free(plan->state);
    *plan = (struct plan){0};
}

bool plan_empty(const struct plan *plan)
{
    return plan->count == 0 && !plan->roster && !plan->mappings;
}

static void write_change(const struct plan_change *change, FILE *out)
{
    static const char *const when[] = {[PLAN_LIVE] = "live", [PLAN_BOUNDARY] = "at next boundary", [PLAN_RESTART] = "needs restart"};
    bool restart = change->when == PLAN_RESTART;
    fprintf(out, "%-13s  %s: %s -> %s", when[change->when], change->key, change->was, change->is);
    if (strcmp(change->was, change->is) == 0)
        fputs(" (they differ in what is not shown)", out);
    if (change->because)
        fprintf(out, " (hangs on %s, which needs a restart)", change->because);
    fputs(restart ? "; until then the old value stays\n" : "\n", out);
}

void plan_write(const struct plan *plan, FILE *out)
{
    if (plan_empty(plan)) {
        fputs("nothing differs\n", out);
        return;
    }
    for (int i = 0; i < plan->count; i++)
        write_change(&plan->change[i], out);
    if (plan->roster)
        fputs("live           roster.file: what it holds has changed\n", out);
    if (plan->mappings)
        fputs("live           mappings: the programs have changed: messages from now on go through the new ones\n", out);
    fputs(plan->state, out);
}

void plan_write_restarts(const struct plan *plan, FILE *out)
{
    for (int i = 0; i < plan->count; i++)
        if (plan->change[i].when == PLAN_RESTART)
            write_change(&plan->change[i], out);
}
