/* formula: a formula's text, read name by name.
 *
 *     100 * (csat_top) / (csat_n)       catalogue, as the preprocessor left it
 *     100 * csat_top / csat_n           brackets around a single name say nothing
 *     100 * 10 / 12                     a view's integers
 *
 * What depends on the settings, `(config->abandon_exclude_short ? abandoned_short : 0)`, becomes the branch that they take. */
#include "esteem/formula.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "esteem/err.h"

/* ---- settings ---- */

enum setting_kind { SETTING_DURATION, SETTING_INTEGER, SETTING_REAL, SETTING_BOOL, SETTING_WORD };

static const struct setting_row {
    struct formula_setting setting;
    enum setting_kind kind;
    size_t offset;
    const char *words;
} setting_rows[] = {
#define ROW(field, key, help, kind, words) {{#field, key, help}, kind, offsetof(struct config, field), words},
#define OPTION_DURATION(field, key, fallback, low, high, live, help) ROW(field, key, help, SETTING_DURATION, NULL)
#define OPTION_INT(field, key, fallback, low, high, live, help) ROW(field, key, help, SETTING_INTEGER, NULL)
#define OPTION_REAL(field, key, fallback, low, high, live, help) ROW(field, key, help, SETTING_REAL, NULL)
#define OPTION_BOOL(field, key, fallback, live, help) ROW(field, key, help, SETTING_BOOL, NULL)
#define OPTION_WORD(field, key, fallback, words, live, help) ROW(field, key, help, SETTING_WORD, words)
#include "esteem/options.def"
#undef ROW
};

const struct formula_setting *formula_setting(const char *field, size_t length)
{
    for (size_t i = 0; i < sizeof setting_rows / sizeof *setting_rows; i++)
        if (strlen(setting_rows[i].setting.field) == length && memcmp(setting_rows[i].setting.field, field, length) == 0)
            return &setting_rows[i].setting;
    return NULL;
}

/* `setting` is the first member of its row. */
static const struct setting_row *row_of(const struct formula_setting *setting, const struct config *config, const void **value)
{
    const struct setting_row *row = (const struct setting_row *)setting;
    *value = (const char *)config + row->offset;
    return row;
}

static void put_duration(int64_t ms, FILE *out)
{
    static const struct { int64_t ms; const char *name; } units[] = {
        {86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (ms == 0 ? units[i].ms != 1000 : ms % units[i].ms != 0)
        i++;
    fprintf(out, "%" PRId64 "%s", ms / units[i].ms, units[i].name);
}

static void put_word(const char *words, int which, FILE *out)
{
    for (; which > 0 && strchr(words, '|'); which--)
        words = strchr(words, '|') + 1;
    fprintf(out, "%.*s", (int)strcspn(words, "|"), words);
}

void formula_put_setting(const struct formula_setting *setting, const struct config *config, FILE *out)
{
    const void *value;
    const struct setting_row *row = row_of(setting, config, &value);
    switch (row->kind) {
    case SETTING_DURATION: put_duration(*(const int64_t *)value, out); break;
    case SETTING_INTEGER: fprintf(out, "%" PRId64, *(const int64_t *)value); break;
    case SETTING_REAL: fprintf(out, "%g", *(const double *)value); break;
    case SETTING_BOOL: fputs(*(const bool *)value ? "true" : "false", out); break;
    case SETTING_WORD: put_word(row->words, *(const int *)value, out); break;
    }
}

/* Whether it is on; false for what is not a yes or no. */
static bool setting_on(const struct formula_setting *setting, const struct config *config)
{
    const void *value;
    return row_of(setting, config, &value)->kind == SETTING_BOOL && *(const bool *)value;
}

/* ---- reading ---- */

static size_t name_length(const char *at)
{
    size_t length = 0;
    while (isalnum((unsigned char)at[length]) || at[length] == '_')
        length++;
    return length;
}

/* Length of "(name)" at `at`, a bracket that says nothing; 0 when it is none. */
static size_t idle_bracket(const char *at)
{
    size_t length = *at == '(' ? name_length(at + 1) : 0;
    return length && at[1 + length] == ')' ? length + 2 : 0;
}

/* -1: no measure. */
static int measure_find(const char *name, size_t length)
{
    for (int i = 0; i < MEASURE_COUNT; i++)
        if (strlen(measure_names[i]) == length && memcmp(measure_names[i], name, length) == 0)
            return i;
    return -1;
}

/* What comes from other rows; NULL: no name of such. */
static const int64_t *across_find(const struct metric_across *across, const char *name, size_t length)
{
#define X(integer) \
    if (strlen(#integer) == length && memcmp(#integer, name, length) == 0) \
        return &across->integer;
    METRIC_ACROSS(X)
#undef X
    return NULL;
}

static void put_name(const char *name, size_t length, const struct row_view *view, FILE *out)
{
    int measure = view ? measure_find(name, length) : -1;
    const int64_t *across = view ? across_find(&view->across, name, length) : NULL;
    if (measure >= 0)
        fprintf(out, "%" PRId64, view->measure[measure]);
    else if (across)
        fprintf(out, "%" PRId64, *across);
    else
        fwrite(name, 1, length, out);
}

static const char CONFIG[] = "config->";
enum { CONFIG_LENGTH = sizeof CONFIG - 1 };

/* "(config->SETTING ? a : b)": puts the branch that the settings take, and returns the text's length; 0 when it is none. */
static size_t put_choice(const char *at, const struct config *config, const struct row_view *view, FILE *out)
{
    if (config == NULL || *at != '(' || strncmp(at + 1, CONFIG, CONFIG_LENGTH) != 0)
        return 0;
    const char *field = at + 1 + CONFIG_LENGTH, *yes = field + name_length(field);
    const struct formula_setting *setting = formula_setting(field, name_length(field));
    if (setting == NULL || strncmp(yes, " ? ", 3) != 0)
        return 0;
    yes += 3;
    const char *no = yes + name_length(yes);
    if (strncmp(no, " : ", 3) != 0)
        return 0;
    no += 3;
    const char *taken = setting_on(setting, config) ? yes : no;
    put_name(taken, name_length(taken), view, out);
    const char *end = no + name_length(no);
    return *end == ')' ? (size_t)(end + 1 - at) : 0;
}

static size_t put_reference(const char *at, const struct config *config, FILE *out)
{
    size_t length = name_length(at + CONFIG_LENGTH);
    const struct formula_setting *setting = formula_setting(at + CONFIG_LENGTH, length);
    ensure(setting != NULL, "a formula names fields of options.def only");
    if (config)
        formula_put_setting(setting, config, out);
    else
        fputs(setting->key, out);
    return CONFIG_LENGTH + length;
}

/* "(config->SETTING)" has an idle bracket too. */
static size_t put_piece(const char *at, const struct config *config, const struct row_view *view, FILE *out)
{
    size_t length = put_choice(at, config, view, out);
    if (length)
        return length;
    if (*at == '(' && strncmp(at + 1, CONFIG, CONFIG_LENGTH) == 0 && at[1 + CONFIG_LENGTH + name_length(at + 1 + CONFIG_LENGTH)] == ')')
        return put_reference(at + 1, config, out) + 2;
    if (strncmp(at, CONFIG, CONFIG_LENGTH) == 0)
        return put_reference(at, config, out);
    length = idle_bracket(at);
    if (length) {
        put_name(at + 1, length - 2, view, out);
        return length;
    }
    length = name_length(at);
    put_name(at, length ? length : 1, view, out);
    return length ? length : 1;
}

static void put_text(const char *formula, const struct config *config, const struct row_view *view, FILE *out)
{
    while (*formula)
        formula += put_piece(formula, config, view, out);
}

static const char *text_of(enum metric metric, const struct config *config)
{
    if (metric == METRIC_service_level && config)
        return service_level_infos[config->abandons].formula;
    return metric_infos[metric].formula;
}

void formula_put(enum metric metric, const struct config *config, const struct row_view *view, FILE *out)
{
    put_text(text_of(metric, config), config, view, out);
}

void formula_put_service_level(enum abandons policy, const struct row_view *view, FILE *out)
{
    put_text(service_level_infos[policy].formula, NULL, view, out);
}

int formula_measures(enum metric metric, const struct config *config, enum measure *measures, int room)
{
    int count = 0;
    for (const char *at = text_of(metric, config); *at;) {
        size_t length = name_length(at);
        int measure = length ? measure_find(at, length) : -1;
        for (int i = 0; i < count; i++)
            if ((int)measures[i] == measure)
                measure = -1;
        if (measure >= 0 && count < room)
            measures[count++] = (enum measure)measure;
        at += length ? length : 1;
    }
    return count;
}

int formula_percentile(enum metric metric, enum histogram *histogram)
{
    int share;
    char name[16];
    if (sscanf(metric_infos[metric].formula, "%d percent rank of %15[a-z]", &share, name) != 2)
        return 0;
    for (int h = 0; h < HISTOGRAM_COUNT; h++)
        if (strcmp(histogram_names[h], name) == 0) {
            *histogram = (enum histogram)h;
            return share;
        }
    return 0;
}

/* ---- the example ---- */

static const struct {
    enum measure measure;
    int64_t value;
} example[] = {
    {MEASURE_offered, 11}, {MEASURE_answered, 8}, {MEASURE_wait_n, 8}, {MEASURE_wait_ms, 148000}, {MEASURE_answered_in_sl, 6},
    {MEASURE_abandoned, 3}, {MEASURE_abandon_wait_n, 3}, {MEASURE_abandon_wait_ms, 45000}, {MEASURE_abandoned_short, 1},
    {MEASURE_abandoned_in_sl, 2}, {MEASURE_handled, 10}, {MEASURE_talk_ms, 2250000}, {MEASURE_hold_ms, 40000},
    {MEASURE_wrap_ms, 120000}, {MEASURE_held, 2}, {MEASURE_holds, 3}, {MEASURE_closed, 8}, {MEASURE_conversed, 8},
    {MEASURE_conversation_ms, 2410000}, {MEASURE_transfers, 2}, {MEASURE_transferred, 2}, {MEASURE_repeat_ids, 1},
    {MEASURE_restatements, 1}, {MEASURE_resolved_known, 6}, {MEASURE_resolved, 5}, {MEASURE_cost, 4000},
    {MEASURE_survey_sent, 20}, {MEASURE_survey_answered, 13}, {MEASURE_csat_n, 12}, {MEASURE_csat_sum, 51}, {MEASURE_csat_top, 10},
    {MEASURE_nps_n, 10}, {MEASURE_nps_promoters, 6}, {MEASURE_nps_detractors, 2}, {MEASURE_ces_n, 5}, {MEASURE_ces_sum, 24},
    {MEASURE_opportunities, 4}, {MEASURE_uses, 3}, {MEASURE_use_cost, 1500}, {MEASURE_comments, 4}, {MEASURE_self_service, 5},
    {MEASURE_contained, 3}, {MEASURE_converted, 2}, {MEASURE_conversions, 2}, {MEASURE_conversion_value, 9000},
    {MEASURE_csat_used_n, 5}, {MEASURE_csat_used_top, 4}, {MEASURE_csat_missed_n, 4}, {MEASURE_csat_missed_top, 2},
    {MEASURE_nps_used_n, 5}, {MEASURE_nps_used_promoters, 4}, {MEASURE_nps_missed_n, 4}, {MEASURE_nps_missed_promoters, 2},
    {MEASURE_nps_missed_detractors, 1}, {MEASURE_csat_scripted_n, 6}, {MEASURE_csat_scripted_top, 4}, {MEASURE_csat_unscripted_n, 5},
    {MEASURE_csat_unscripted_top, 4}, {MEASURE_ac_n, 4}, {MEASURE_ac_x, 1000}, {MEASURE_ac_y, 16}, {MEASURE_ac_xx, 270000},
    {MEASURE_ac_yy, 70}, {MEASURE_ac_xy, 3800}, {MEASURE_esat_n, 6}, {MEASURE_esat_sum, 25}, {MEASURE_esat_top, 5},
    {MEASURE_enps_n, 6}, {MEASURE_enps_promoters, 3}, {MEASURE_enps_detractors, 1}, {MEASURE_employee_survey_answered, 6},
    {MEASURE_upsell_offers, 4}, {MEASURE_upsell_accepted, 1}, {MEASURE_cross_sell_offers, 3}, {MEASURE_cross_sell_accepted, 1},
    {MEASURE_save_offers, 5}, {MEASURE_save_accepted, 3}, {MEASURE_offer_value, 3000}, {MEASURE_customers_kept, 9},
    {MEASURE_customers_lost, 1}, {MEASURE_leg_offered, 12}, {MEASURE_leg_answered, 9}, {MEASURE_leg_wait_ms, 180000},
    {MEASURE_leg_in_sl, 7}, {MEASURE_leg_abandoned, 3}, {MEASURE_first_response_n, 4}, {MEASURE_first_response_ms, 120000},
    {MEASURE_response_n, 10}, {MEASURE_response_ms, 250000}, {MEASURE_fcr_known, 8}, {MEASURE_fcr, 6}, {MEASURE_ready_ms, 3000000},
    {MEASURE_busy_ms, 5000000}, {MEASURE_wrap_state_ms, 1000000}, {MEASURE_segment_ms, 2400000}, {MEASURE_engaged_ms, 1500000},
    {MEASURE_active_agents, 2}, {MEASURE_handling_agents, 3},
    {MEASURE_eligible_agents, 5}, {MEASURE_agents_left, 1},
};
static const struct metric_across example_across = {
    .gap = {[GAP_csat] = {12.5, 3}, [GAP_nps] = {18, 2}, [GAP_aht_ms] = {96000, 3}, [GAP_service_level] = {22.5, 3}},
    .others_closed = 20, .others_converted = 3, .week_earlier_closed = 10};
/* Durations of the answered contacts' waits and of the segments, s; their sums are above. */
static const int16_t example_wait_s[] = {4, 6, 9, 11, 14, 18, 36, 50}, example_handle_s[] = {95, 130, 160, 180, 205, 240, 270, 300, 370, 460};

static void add(struct row_view *view, uint32_t id, int64_t value)
{
    view->dense.value[id] += value;
    view->dense.touched[id / 64] |= UINT64_C(1) << id % 64;
}

void formula_example(struct row_view *view, const struct config *config)
{
    memset(view, 0, sizeof *view);
    view->config = config;
    view->across = example_across;
    for (size_t i = 0; i < sizeof example / sizeof *example; i++)
        view->measure[example[i].measure] = example[i].value;
    for (size_t i = 0; i < sizeof example_wait_s / sizeof *example_wait_s; i++)
        add(view, histogram_id(HISTOGRAM_wait, histogram_bucket(example_wait_s[i] * INT64_C(1000))), 1);
    for (size_t i = 0; i < sizeof example_handle_s / sizeof *example_handle_s; i++)
        add(view, histogram_id(HISTOGRAM_handle, histogram_bucket(example_handle_s[i] * INT64_C(1000))), 1);
    metric_all(view);
}
