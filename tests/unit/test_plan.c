/* What a reload does, option by option. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../engine/control/config_parts.h"
#include "esteem/plan.h"

static struct config *accept(const char *text)
{
    struct config *config;
    cr_assert_eq(config_parse("f", text, strlen(text), stderr, &config), 0, "%s", text);
    return config;
}

/* The plan from one text to the other, as it is written; `next` is what is in force then. */
static char *plan_of(const char *was, const char *is, struct config **next, int *restarts)
{
    struct config *old = accept(was);
    struct plan plan;
    char *text = NULL;
    size_t length;
    *next = accept(is);
    plan_init(&plan, old, *next);
    FILE *out = open_memstream(&text, &length);
    plan_write(&plan, out);
    fclose(out);
    *restarts = plan.restarts;
    plan_close(&plan);
    config_free(old);
    return text;
}

static void says(const char *was, const char *is, const char *line, int restarts)
{
    struct config *next;
    int count;
    char *text = plan_of(was, is, &next, &count);
    cr_assert(strstr(text, line) != NULL, "%s\nlacks: %s", text, line);
    cr_assert_eq(count, restarts, "%s", text);
    config_free(next);
    free(text);
}

Test(plan, says_nothing_where_nothing_differs)
{
    says("", "metrics: {min_n: 10}", "nothing differs\n", 0);
    says("scopes: [[queue], [team]]", "scopes: [[team], [queue]]", "nothing differs\n", 0);
}

Test(plan, shows_a_live_change_with_both_values)
{
    says("", "metrics: {min_n: 20}", "live           metrics.min_n: 10 -> 20\n", 0);
    says("", "publish: {tick: 1s}", "live           publish.tick: 100ms -> 1s\n", 0);
    says("tenants: {acme: {timezone: Asia/Kolkata}, b: }", "tenants: {acme: {timezone: Europe/Rome}, b: }",
         "tenants: acme Asia/Kolkata, b UTC -> acme Europe/Rome, b UTC; until then the old value stays\n", 1);
    says("", "baseline: {from: 2026-09-01, to: 2026-10-01, metrics: [csat, nps]}", "baseline:  -> csat_change, nps_change;", 1);
    says("goals: [{name: c, metric: csat, window: day, target: 80}]", "goals: [{name: c, metric: csat, window: hour, target: 80}]",
         "live           goals: c 80 -> c 80 (they differ in what is not shown)\n", 0);
    says("", "metrics: {service_level: {threshold: 30s}}", "so service_level: interactions that have an event from now on", 0);
}

Test(plan, leaves_the_old_value_where_a_restart_is_needed)
{
    struct config *next;
    int restarts;
    char *text = plan_of("kafka: {group: a}", "kafka: {group: b}\nmetrics: {min_n: 20}\n", &next, &restarts);
    cr_assert(strstr(text, "needs restart  kafka.group: \"a\" -> \"b\"; until then the old value stays\n") != NULL, "%s", text);
    cr_assert_eq(restarts, 1);
    cr_assert_str_eq(next->kafka_group, "a");
    cr_assert_eq(next->min_n, 20, "all else takes effect");
    config_free(next);
    free(text);
}

Test(plan, gives_the_id_of_what_is_in_force)
{
    struct config *next, *wanted = accept("metrics: {min_n: 20}");
    int restarts;
    free(plan_of("", "metrics: {min_n: 20}\ntime: {lateness: 11m}", &next, &restarts));
    cr_assert_str_eq(next->id, wanted->id);
    config_free(next);
    config_free(wanted);
}

Test(plan, keeps_what_hangs_on_a_list_that_stays)
{
    struct config *next;
    int restarts;
    char *text = plan_of("dimensions: [tier]\nscopes: [[tier]]", "dimensions: [grade, tier]\nscopes: [[grade], []]\ngoals: [{name: g, metric: csat, scope: [grade], window: day, target: 80}]",
                         &next, &restarts);
    cr_assert(strstr(text, "scopes: [tier] -> [grade], []  (hangs") == NULL);
    cr_assert(strstr(text, "(hangs on dimensions, which needs a restart)") != NULL, "%s", text);
    cr_assert_eq(restarts, 3, "%s", text);
    cr_assert_eq(next->goal_count, 0);
    cr_assert_eq(next->scope_count, 1);
    cr_assert_str_eq(config_dimension_name(next, DIMENSION_BUILTIN), "tier");
    config_free(next);
    free(text);
}

static const char numbered[] = "scopes: [[grade], [queue, level]]\n"
                               "metrics: {service_level: {rules: [{match: {grade: a, queue: q}, threshold: 9s}]}}\n"
                               "goals: [{name: g, metric: csat, scope: [grade], match: {grade: b}, window: day, target: 80}]\n"
                               "leaderboards: [{metric: csat, scope: [grade], window: day}]";

Test(plan, dimensions_that_stay_keep_their_numbers)
{
    char is[1024];
    struct config *next;
    int restarts;
    enum { TIER = DIMENSION_BUILTIN, GRADE, LEVEL };
    snprintf(is, sizeof is, "dimensions: [grade, level]\n%s", numbered);
    char *text = plan_of("dimensions: [tier, grade]\nscopes: [[tier]]", is, &next, &restarts);
    cr_assert_eq(restarts, 0, "%s", text);
    cr_assert(strstr(text, "live           dimensions: tier, grade -> grade, level\n") != NULL, "%s", text);
    cr_expect_str_eq(config_dimension_name(next, TIER), "tier", "what was counted under it is called that");
    cr_expect_eq(config_dimension_find(next, "tier"), -1);
    cr_expect_eq(config_dimension_find(next, "grade"), GRADE);
    cr_expect_eq(config_dimension_find(next, "level"), LEVEL);
    cr_expect_eq(next->scope[0].dimensions, 1u << GRADE);
    cr_expect_eq(next->scope[1].dimensions, 1u << LEVEL | 1u << DIMENSION_queue);
    cr_expect(next->rule[0].value[TIER] == NULL && next->rule[0].value[LEVEL] == NULL);
    cr_expect_str_eq(next->rule[0].value[GRADE], "a");
    cr_expect_str_eq(next->rule[0].value[DIMENSION_queue], "q");
    cr_expect_eq(next->goal[0].place.scope, 1u << GRADE);
    cr_expect_str_eq(next->goal[0].value[GRADE], "b");
    cr_expect_eq(next->board[0].place.scope, 1u << GRADE);
    free(text);
    /* whatever came before, the same settings have the same id; and one that comes back has its number again */
    struct config *fresh, *back;
    struct plan plan;
    cr_assert_eq(config_parse("fresh", is, strlen(is), stderr, &fresh), 0);
    cr_expect_str_eq(next->id, fresh->id);
    cr_assert_eq(config_parse("back", "dimensions: [tier, grade]", 25, stderr, &back), 0);
    plan_init(&plan, next, back);
    cr_expect(plan.restarts == 0 && config_dimension_find(back, "tier") == TIER && config_dimension_find(back, "level") == -1);
    plan_close(&plan);
    config_free(fresh);
    config_free(back);
    config_free(next);
}

Test(plan, dimensions_come_and_go_in_their_order)
{
    says("dimensions: [tier]", "dimensions: [tier, grade]", "live           dimensions: tier -> tier, grade\n", 0);
    says("dimensions: [tier, grade]", "dimensions: [tier]", "live           dimensions: tier, grade -> tier\n", 0);
    says("dimensions: [tier, grade]", "dimensions: [grade]", "live           dimensions: tier, grade -> grade\n", 0);
    says("dimensions: [tier]", "dimensions: [grade]", "live           dimensions: tier -> grade\n", 0);
    says("dimensions: [a, b, c, d, e]", "dimensions: [a, b, c, d, f]", "needs restart  dimensions", 1);
    says("dimensions: [tier]", "dimensions: [grade, tier]", "needs restart  dimensions", 1);
}

Test(plan, windows_are_live_and_calendar_ones_begin_at_the_next_boundary)
{
    says("windows: {rolling: [1m]}", "windows: {rolling: [1m, 5m]}", "live           windows.rolling: 1m -> 1m, 5m\n", 0);
    says("windows: {calendar: [hour]}", "windows: {calendar: [hour, day]}", "at next boundary  windows.calendar: hour -> hour, day\n", 0);
    says("windows: {calendar: [hour, day]}", "windows: {calendar: [hour]}", "live           windows.calendar: hour, day -> hour\n", 0);
}

Test(plan, copies_goals_whole)
{
    struct config *next;
    int restarts;
    const char *goal = "goals: [{name: g, metric: csat, scope: [team], match: {team: north}, window: 5m, target: 80}]";
    char was[512], is[512];
    snprintf(was, sizeof was, "dimensions: [tier]\n%s", goal);
    snprintf(is, sizeof is, "dimensions: [grade]\n%s", goal);
    free(plan_of(was, is, &next, &restarts));
    cr_assert_eq(next->goal_count, 1);
    cr_assert_str_eq(next->goal[0].name, "g");
    cr_assert_eq(next->goal[0].name, next->goal[0].field + 5, "it points into its own row");
    config_free(next);
}

Test(plan, says_what_becomes_of_scopes_and_windows)
{
    says("scopes: [[], [queue]]", "scopes: [[], [team]]", "scope [team]: new since this reload", 0);
    says("scopes: [[], [queue]]", "scopes: [[], [team]]", "scope [queue]: dropped", 0);
    says("scopes: [[], [queue]]", "scopes: [[], [team]]", "scopes: 1 kept with their state", 0);
}

Test(plan, hides_secrets)
{
    struct config *next;
    int restarts;
    char *text = plan_of("redis: {password: old1}\nsecrets: {customer_key: old2}", "redis: {password: new1}\nsecrets: {customer_key: new2}", &next, &restarts);
    cr_assert(strstr(text, "redis.password") && strstr(text, "secrets.customer_key"), "%s", text);
    cr_assert(strstr(text, "old") == strstr(text, "old value"), "%s", text);
    cr_assert(strstr(text, "new1") == NULL && strstr(text, "new2") == NULL, "%s", text);
    config_free(next);
    free(text);
}

/* Another value of an option than the one it has. */
static void change(struct config *config, const struct option *option)
{
    void *field = option_at(config, option);
    switch (option->kind) {
    case KIND_DURATION:
    case KIND_SIZE:
    case KIND_INT: ++*(int64_t *)field; break;
    case KIND_REAL: *(double *)field += 1; break;
    case KIND_BOOL: *(bool *)field = !*(bool *)field; break;
    case KIND_WORD: *(int *)field = *(int *)field ? 0 : 1; break;
    case KIND_TEXT:
        free(*(char **)field);
        *(char **)field = strdup("another");
        break;
    }
}

Test(plan, forgets_no_option)
{
    for (int i = 0; i < option_count; i++) {
        struct config *old = accept(""), *next = accept("");
        struct plan plan;
        change(next, &options[i]);
        plan_init(&plan, old, next);
        cr_assert_eq(plan.count, 1, "%s", options[i].key);
        cr_assert_str_eq(plan.change[0].key, options[i].key);
        cr_assert_eq(plan.change[0].when == PLAN_RESTART, options[i].change == RESTART);
        cr_assert_eq(option_same(old, next, &options[i]), options[i].change == RESTART, "%s: what needs a restart is put back, else it is in force",
                     options[i].key);
        plan_close(&plan);
        config_free(old);
        config_free(next);
    }
}

Test(plan, sees_that_the_roster_file_holds_something_else)
{
    struct config *old = accept(""), *next = accept("");
    struct plan plan;
    next->roster = calloc(1, sizeof *next->roster);
    next->roster_count = 1;
    *next->roster = (struct config_roster){strdup("acme"), strdup("x"), strdup("north"), strdup(""), 0, INT64_MAX, true, 2};
    plan_init(&plan, old, next);
    cr_assert(plan.roster);
    cr_assert_not(plan_empty(&plan));
    plan_close(&plan);
    config_free(old);
    config_free(next);
}
