/* explain_beside: what explain.def has beside a figure: what was left out of it, the settings that it hangs on, what its formula does not say. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/formula.h"
#include "explain_parts.h"

/* Lines under one title, which stands before the first. */
struct lines {
    const struct telling *telling;
    const char *title;
    int count;
};

static FILE *line(struct lines *lines)
{
    if (lines->count++ == 0)
        explain_begin(lines->telling, lines->title);
    else
        fprintf(lines->telling->out, "  %-10s", "");
    return lines->telling->out;
}

#define m(name) telling->view->measure[MEASURE_##name]

void explain_left_out(const struct telling *telling, enum metric metric, const enum measure *measures, int count)
{
    struct lines lines = {telling, "left out", 0};
    for (int i = 0; i < count; i++) {
        switch (measures[i]) {
#define HANGS_ON(measure, field)
#define LEFT_OUT(measure, how_many, words) \
        case MEASURE_##measure: \
            if ((how_many) > 0) \
                fprintf(line(&lines), "%" PRId64 " %s\n", (int64_t)(how_many), words); \
            break;
#define NOTE(of, words)
#include "esteem/explain.def"
        default: break;
        }
    }
    if (metric == METRIC_service_level) {
        const struct service_level_info *policy = &service_level_infos[telling->config->abandons];
        if (policy->left_out != MEASURE_COUNT && telling->view->measure[policy->left_out] > 0)
            fprintf(line(&lines), "%" PRId64 " %s: %s\n", telling->view->measure[policy->left_out], measure_meanings[policy->left_out], policy->meaning);
        else
            fprintf(line(&lines), "no abandoned contact: %s\n", policy->meaning);
    }
    if (metric == METRIC_abandon_rate && telling->config->abandon_exclude_short && m(abandoned_short) > 0)
        fprintf(line(&lines), "%" PRId64 " %s\n", m(abandoned_short), measure_meanings[MEASURE_abandoned_short]);
}
#undef m

/* ---- settings ---- */

static void put_setting(struct lines *lines, const char *field)
{
    const struct formula_setting *setting = formula_setting(field, strlen(field));
    ensure(setting != NULL, "explain.def names fields of options.def");
    FILE *out = line(lines);
    fprintf(out, "%s: ", setting->key);
    formula_put_setting(setting, lines->telling->config, out);
    fprintf(out, " (%s)\n", setting->help);
}

static const char *setting_of(enum measure measure)
{
    switch (measure) {
#define HANGS_ON(measure, field) case MEASURE_##measure: return #field;
#define LEFT_OUT(measure, how_many, words)
#define NOTE(of, words)
#include "esteem/explain.def"
    default: return NULL;
    }
}

/* Fields that the formula itself names stand behind "config->". */
static void tell_formula_settings(struct lines *lines, enum metric metric)
{
    for (const char *at = metric_infos[metric].formula; (at = strstr(at, "config->")); at++) {
        char field[64] = "";
        if (sscanf(at, "config->%63[a-z_0-9]", field) == 1)
            put_setting(lines, field);
    }
    if (metric == METRIC_service_level)
        put_setting(lines, "abandons");
}

void explain_settings(const struct telling *telling, int metric, const enum measure *measures, int count)
{
    struct lines lines = {telling, "settings", 0};
    const char *told[TOLD_MEASURES] = {NULL};
    if (!telling->given) {
        fputs("not named: -c FILE tells which thresholds and variants matter; the formula is that of the defaults\n", line(&lines));
        return;
    }
    char *made_under = row_text(telling->row, "config");
    if (*made_under && strcmp(made_under, telling->config->id) != 0)
        fprintf(line(&lines), "the row was made under configuration %s; %s is %s, so these may not be its settings\n", made_under,
                telling->config->path, telling->config->id);
    free(made_under);
    for (int i = 0; i < count; i++) {
        const char *field = setting_of(measures[i]);
        for (int k = 0; field && k < i; k++)
            if (told[k] && strcmp(told[k], field) == 0)
                field = NULL;
        told[i] = field;
        if (field)
            put_setting(&lines, field);
        if (field && strcmp(field, "sl_threshold_ms") == 0 && telling->config->rule_count)
            fprintf(line(&lines), "metrics.service_level.rules: %d, which give some contacts another threshold\n", telling->config->rule_count);
    }
    if (metric >= 0) {
        tell_formula_settings(&lines, (enum metric)metric);
        put_setting(&lines, "min_n");
    }
}

/* ---- notes ---- */

void explain_notes(const struct telling *telling, const char *name)
{
    struct lines lines = {telling, "note", 0};
#define HANGS_ON(measure, field)
#define LEFT_OUT(measure, how_many, words)
#define NOTE(of, words) \
    if (strcmp(name, #of) == 0) \
        fprintf(line(&lines), "%s\n", words);
#include "esteem/explain.def"
    int64_t active = telling->view->measure[MEASURE_active_agents], eligible = telling->view->measure[MEASURE_eligible_agents];
    if (strcmp(name, "adoption") == 0 && eligible && active > eligible)
        fputs("more used it than are eligible: contacts name a team in which the roster does not have the agent, or agents whom it does not have\n",
              line(&lines));
}
