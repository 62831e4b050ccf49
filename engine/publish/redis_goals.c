/* redis_goals: who is behind, and who is ahead: sorted sets beside the rows, of a tenant each. What a row says now stands in them, so a
 * row without the figure, with too small an n or with its goal met takes its member out.
 *
 *   esteem:v1:{acme}:goals                      north_csat|team=north -> by how many per cent of the target it is missed
 *   esteem:v1:{acme}:top:usage_rate:team:day    team=north -> usage_rate
 *
 * Members that nobody takes out, of a configuration or a life before, go with the whole set: it is deleted with the first row of a
 * tenant under a new configuration, and after everything that puts what Redis has in doubt; then every row comes once more. */
#include <stdio.h>
#include <string.h>

#include "esteem/goal.h"
#include "redis_parts.h"

#define GOALS_KEY "goals"

static struct redis_expected *command(struct redis_writer *writer, const struct redis_tenant *tenant, enum redis_command name, int arguments,
                                      const char *key)
{
    struct redis_expected *expected = redis_link_command(writer->link, name, arguments);
    char *end = stpcpy(mempcpy(writer->key, tenant->prefix, tenant->prefix_length), key);
    redis_link_bytes(writer->link, writer->key, (size_t)(end - writer->key));
    return expected;
}

static void drop_sets(struct redis_writer *writer, struct redis_tenant *tenant, const struct config *config)
{
    bool first = tenant->serial == 0;
    tenant->serial = config->serial;
    if (first && config->goal_count == 0 && config->board_count == 0)
        return;
    redis_writer_batch(writer, command(writer, tenant, REDIS_DEL, 1, GOALS_KEY));
    for (int i = 0; i < config->board_count; i++)
        redis_writer_batch(writer, command(writer, tenant, REDIS_DEL, 1, config->board[i].name));
}

static void put_member(struct redis_writer *writer, const struct redis_tenant *tenant, const char *key, bool in, double score, const char *member)
{
    char text[ROW_NUMBER_MAX];
    redis_writer_batch(writer, command(writer, tenant, in ? REDIS_ZADD : REDIS_ZREM, in ? 3 : 2, key));
    if (in)
        redis_link_bytes(writer->link, text, row_number(score, text));
    redis_link_text(writer->link, member);
}

static void put_expire(struct redis_writer *writer, const struct redis_tenant *tenant, const char *key, int64_t ttl_ms)
{
    redis_writer_batch(writer, command(writer, tenant, REDIS_PEXPIRE, 2, key));
    redis_link_integer(writer->link, ttl_ms);
}

static void put_goals(struct redis_writer *writer, const struct redis_tenant *tenant)
{
    const struct row_view *view = &writer->view;
    char member[sizeof view->config->goal->field + ROW_SCOPE_MAX];
    bool any = false;
    for (int i = 0; i < view->config->goal_count; i++) {
        const struct config_goal *goal = &view->config->goal[i];
        const struct row_extra *extra = &view->extra[view->config->baseline.count + i];
        if (!extra->about || !goal_is_judged(goal, view->row))
            continue;
        bool missed = extra->value.present && !extra->value.small && !extra->met;
        snprintf(member, sizeof member, "%s|%s", goal->name, view->row->scope);
        put_member(writer, tenant, GOALS_KEY, missed, goal_shortfall(goal, extra->value.value), member);
        any |= missed;
    }
    if (any)
        put_expire(writer, tenant, GOALS_KEY, writer->ttl_most_ms);
}

static void put_boards(struct redis_writer *writer, const struct redis_tenant *tenant, int64_t ttl_ms)
{
    const struct row_view *view = &writer->view;
    for (int i = 0; i < view->config->board_count; i++) {
        const struct config_board *board = &view->config->board[i];
        const struct metric_value *metric = &view->metric[board->metric];
        if (!goal_place_is(&board->place, view->row) || !goal_is_present(metric_infos[board->metric].family == FAMILY_EMPLOYEE, view->row))
            continue;
        bool in = metric->present && !metric->small;
        put_member(writer, tenant, board->name, in, metric->value, view->row->scope);
        if (in)
            put_expire(writer, tenant, board->name, ttl_ms);
    }
}

void redis_put_goals(struct redis_writer *writer, struct redis_tenant *tenant, int64_t ttl_ms)
{
    const struct config *config = writer->view.config;
    if (config->serial < tenant->serial)
        return; /* of before a reload: it comes again under the new one */
    if (config->serial > tenant->serial)
        drop_sets(writer, tenant, config);
    if (config->goal_count)
        put_goals(writer, tenant);
    if (config->board_count)
        put_boards(writer, tenant, ttl_ms);
}
