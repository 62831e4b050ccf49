/* row: its block, its key's text, and its integers opened into metrics. Its JSON is row_json.c.
 *
 * Strings of a row are C strings: a NUL of the original is carried as the two bytes C0 80 and leaves as %00 in keys and as
 * \u0000 in JSON. */
#include "esteem/row.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "esteem/goal.h"

/* ---- the block: struct row, the baseline's values, the strings, the integers ---- */

static size_t text_size(const char *text)
{
    return strlen(text) + 1;
}

static const char *text_place(char **at, const char *text)
{
    size_t size = text_size(text);
    char *place = memcpy(*at, text, size);
    *at += size;
    return place;
}

struct row *row_new(const struct row *head, const uint8_t *runs, uint32_t runs_length)
{
    size_t values = (size_t)head->baseline_count * sizeof *head->baseline;
    size_t size = sizeof *head + values + (head->goal ? text_size(head->goal) : 0) + text_size(head->window_name) + text_size(head->tenant) + text_size(head->scope) + runs_length;
    for (int i = 0; i < head->value_count; i++)
        size += text_size(head->value[i]);
    struct row *row = malloc(size);
    ensure(row != NULL, "the machine has memory left");
    *row = *head;
    if (row->config) /* relaxed: who makes rows under it keeps it from being freed */
        atomic_fetch_add_explicit(&((struct config *)(uintptr_t)row->config)->uses, 1, memory_order_relaxed);
    char *at = (char *)(row + 1);
    row->baseline = values ? memcpy(at, head->baseline, values) : NULL;
    at += values;
    row->goal = head->goal ? text_place(&at, head->goal) : NULL;
    row->window_name = text_place(&at, head->window_name);
    row->tenant = text_place(&at, head->tenant);
    row->scope = text_place(&at, head->scope);
    for (int i = 0; i < DIMENSION_MAX; i++)
        row->value[i] = i < head->value_count ? text_place(&at, head->value[i]) : NULL;
    row->runs = (const uint8_t *)at;
    row->runs_length = runs_length;
    if (runs_length)
        memcpy(at, runs, runs_length);
    return row;
}

void row_free(struct row *row)
{
    if (row && row->config) /* release: this row's reader is done with it; partner of pipeline_reloaded's acquire */
        atomic_fetch_sub_explicit(&((struct config *)(uintptr_t)row->config)->uses, 1, memory_order_release);
    free(row);
}

/* ---- keys ---- */

static bool is_nul(const char *at)
{
    return (unsigned char)at[0] == 0xc0 && (unsigned char)at[1] == 0x80;
}

static bool must_encode(unsigned char byte)
{
    return byte <= ' ' || byte == 0x7f || strchr(":=,{}%", byte) != NULL;
}

size_t row_encode(const char *value, char *out, size_t room)
{
    static const char digits[] = "0123456789ABCDEF";
    char *at = out, *end = out + room - 1;
    for (; *value; value++) {
        unsigned char byte = (unsigned char)*value;
        if (is_nul(value)) {
            byte = 0;
            value++;
        }
        bool encode = must_encode(byte);
        if (end - at < (encode ? 3 : 1))
            break;
        if (encode) {
            *at++ = '%';
            *at++ = digits[byte >> 4];
            *at++ = digits[byte & 15];
        } else {
            *at++ = (char)byte;
        }
    }
    *at = '\0';
    return (size_t)(at - out);
}

static int hex(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

bool row_decode(const char *text, size_t length, char *out, size_t *decoded)
{
    char *to = out;
    for (const char *at = text, *end = text + length; at < end; at++) {
        if (*at != '%') {
            if (must_encode((unsigned char)*at))
                return false;
            *to++ = *at;
            continue;
        }
        if (end - at < 3 || hex(at[1]) < 0 || hex(at[2]) < 0)
            return false;
        unsigned byte = (unsigned)hex(at[1]) << 4 | (unsigned)hex(at[2]);
        at += 2;
        if (byte == 0)
            *to++ = (char)0xc0;
        *to++ = (char)(byte ? byte : 0x80);
    }
    *to = 0;
    *decoded = (size_t)(to - out);
    return true;
}

size_t row_scope_text(const struct config *config, const uint8_t *dimension, const char *const *value, int count, char *out,
                      size_t room)
{
    if (count == 0)
        return (size_t)snprintf(out, room, "all");
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        int wrote = snprintf(out + length, room - length, "%s%s=", i ? "," : "", config_dimension_name(config, dimension[i]));
        if (wrote < 0 || (size_t)wrote >= room - length)
            break;
        length += (size_t)wrote;
        length += row_encode(value[i], out + length, room - length);
    }
    return length;
}

/* ---- opening ---- */

/* A count that moves from 5 to 6 would tell what the sixth said: so only final, and only long windows. */
static bool employees_may_leave(const struct row_view *view)
{
    const struct row *row = view->row;
    return row->final && !row->now && !row->rolling && row->window >= CALENDAR_DAY &&
           view->measure[MEASURE_employee_survey_answered] >= view->config->min_employees;
}

static void withhold_employees(struct row_view *view)
{
    for (int i = 0; i < MEASURE_COUNT; i++)
        if (measure_is_employee((enum measure)i))
            view->measure[i] = view->dense.value[i] = 0;
}

/* A row of one agent: distinct agents are that one, where there is anything to count by. */
static void count_own_agent(struct row_view *view)
{
    const struct row *row = view->row;
    bool own = memchr(row->value_dimension, DIMENSION_agent, row->value_count) != NULL;
    if (!own)
        return;
    view->measure[MEASURE_active_agents] = view->measure[MEASURE_uses] > 0;
    view->measure[MEASURE_handling_agents] = view->measure[MEASURE_handled] > 0;
}

/* Shares and scores by the difference in points, others in per cent of the baseline's value. E.g. csat 80 after 75: 5; aht_ms 180,000
 * after 240,000: -25. */
static struct metric_value change_of(struct metric_value now, double before, const char *unit)
{
    bool points = strcmp(unit, "percent") == 0 || strcmp(unit, "points") == 0;
    if (!now.present || isnan(before) || (!points && before == 0))
        return (struct metric_value){0};
    double value = points ? now.value - before : 100 * (now.value - before) / before;
    return (struct metric_value){.present = true, .small = now.small, .value = value, .n = now.n};
}

static void open_changes(struct row_view *view)
{
    const struct config_baseline *baseline = &view->config->baseline;
    for (int i = 0; i < baseline->count; i++) {
        const struct metric_info *info = &metric_infos[baseline->metric[i]];
        double before = i < view->row->baseline_count ? view->row->baseline[i] : NAN;
        struct metric_value change = change_of(view->metric[baseline->metric[i]], before, info->unit);
        view->extra[view->extras++] = (struct row_extra){.name = baseline->name[i], .family = info->family, .value = change};
    }
}

static enum family goal_family(const struct config_goal *goal)
{
    if (goal->metric >= 0)
        return metric_infos[goal->metric].family;
    return (enum family)(measure_families[goal->measure] ? __builtin_ctz(measure_families[goal->measure]) : 0);
}

static void open_goals(struct row_view *view)
{
    for (int i = 0; i < view->config->goal_count; i++) {
        const struct config_goal *goal = &view->config->goal[i];
        struct row_extra *extra = &view->extra[view->extras++];
        *extra = (struct row_extra){.name = goal->field, .family = goal_family(goal), .about = goal_is_about(goal, view->row)};
        if (!extra->about)
            continue;
        struct goal_figure figure = goal_of(goal, view);
        extra->value = (struct metric_value){.present = figure.present, .small = figure.small, .value = figure.attainment, .n = figure.n};
        extra->met = figure.met;
    }
}

void row_open(struct row_view *view, const struct row *row, const struct config *config)
{
    tally_dense_clear(&view->dense);
    tally_dense_add(&view->dense, row->runs, row->runs_length, 1);
    memcpy(view->measure, view->dense.value, sizeof view->measure);
    view->row = row;
    view->config = config;
    view->across = row->across;
    view->employees = employees_may_leave(view);
    if (!view->employees)
        withhold_employees(view);
    count_own_agent(view);
    view->measure[MEASURE_eligible_agents] = row_has(view, FAMILY_ALL) ? row->eligible : 0;
    view->extras = 0;
    if (row->now) {
        memset(view->metric, 0, sizeof view->metric);
        return;
    }
    metric_all(view);
    open_changes(view);
    open_goals(view);
}

bool row_has(const struct row_view *view, unsigned families)
{
    for (int i = 0; i < MEASURE_COUNT; i++)
        if (view->measure[i] && measure_families[i] & families && i != MEASURE_eligible_agents)
            return true;
    return false;
}

unsigned row_families(const struct row_view *view)
{
    unsigned families = 0;
    for (int i = 0; i < MEASURE_COUNT; i++)
        if (view->measure[i])
            families |= measure_families[i];
    for (int i = 0; i < METRIC_COUNT; i++)
        if (view->metric[i].present)
            families |= 1u << metric_infos[i].family;
    for (int i = 0; i < view->extras; i++)
        if (view->extra[i].value.present)
            families |= 1u << view->extra[i].family;
    return families;
}
