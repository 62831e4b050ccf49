#include "esteem/goal.h"

#include <math.h>
#include <string.h>

#define DAY_MS 86400000.0

static uint32_t scope_of(const struct row *row)
{
    uint32_t scope = 0;
    for (int v = 0; v < row->value_count; v++)
        scope |= 1u << row->value_dimension[v];
    return scope;
}

bool goal_place_is(const struct config_place *place, const struct row *row)
{
    return !row->now && place->rolling == row->rolling && place->window == row->window && place->scope == scope_of(row);
}

bool goal_is_about(const struct config_goal *goal, const struct row *row)
{
    if (!goal_place_is(&goal->place, row))
        return false;
    for (int v = 0; v < row->value_count; v++) {
        const char *wanted = goal->value[row->value_dimension[v]];
        if (wanted && strcmp(wanted, row->value[v]) != 0)
            return false;
    }
    return true;
}

bool goal_is_present(bool when_closed, const struct row *row)
{
    return row->rolling || (when_closed ? row->last : row->running);
}

bool goal_is_judged(const struct config_goal *goal, const struct row *row)
{
    bool count_to_reach = goal->metric < 0 && !goal->down, employees = goal->metric >= 0 && metric_infos[goal->metric].family == FAMILY_EMPLOYEE;
    bool part_is_missing = row->since_ms != INT64_MIN && row->since_ms != 0;
    return goal_is_present(count_to_reach || employees, row) && !(count_to_reach && part_is_missing);
}

double goal_days(bool whole, int64_t start_ms, int64_t end_ms)
{
    double days = (double)(end_ms - start_ms) / DAY_MS;
    return whole ? round(days) : days;
}

static double days_of(const struct row *row)
{
    return goal_days(!row->rolling && row->window >= CALENDAR_DAY, row->start_ms, row->end_ms);
}

struct goal_figure goal_of(const struct config_goal *goal, const struct row_view *view)
{
    struct goal_figure figure = {0};
    if (goal->metric >= 0) {
        const struct metric_value *metric = &view->metric[goal->metric];
        figure = (struct goal_figure){.present = metric->present, .small = metric->small, .value = metric->value, .n = metric->n};
    } else {
        int64_t n = view->measure[goal->measure];
        figure = (struct goal_figure){.present = row_has(view, FAMILY_ALL), .value = (double)n / (goal->per_day ? days_of(view->row) : 1), .n = n};
    }
    figure.attainment = 100 * figure.value / goal->target;
    figure.met = goal->down ? figure.value <= goal->target : figure.value >= goal->target;
    return figure;
}

double goal_shortfall(const struct config_goal *goal, double attainment)
{
    return goal->down ? attainment - 100 : 100 - attainment;
}
