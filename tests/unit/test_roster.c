/* The roster: who is in which team and site, by agent and time (SEMANTICS 2). */
#include <criterion/criterion.h>

#include "esteem/roster.h"

enum { TENANT = 1, AGENT = 10, NORTH = 21, SOUTH, CARE };
static struct roster *roster;

static void open_roster(void)
{
    roster = roster_new();
}

static void close_roster(void)
{
    roster_free(roster);
}

TestSuite(roster, .init = open_roster, .fini = close_roster);

static bool change(int64_t time_ms, bool enrolled, uint32_t team, uint32_t site)
{
    static uint64_t id;
    struct roster_entry entry = {.time_ms = time_ms, .id_hash = ++id, .team = team, .site = site, .enrolled = enrolled};
    return roster_put(roster, TENANT, AGENT, &entry);
}

static uint32_t team_at(int64_t at_ms)
{
    return roster_find(roster, TENANT, AGENT, at_ms, roster_sequence(roster)).team;
}

Test(roster, finds_the_latest_entry_at_or_before_the_time)
{
    change(100, true, NORTH, CARE);
    change(200, true, SOUTH, 0);
    cr_expect_eq(team_at(199), NORTH);
    cr_expect_eq(team_at(200), SOUTH);
    cr_expect_eq(team_at(5000), SOUTH);
    cr_expect_eq(roster_find(roster, TENANT, AGENT, 200, 2).site, 0); /* an enrolment replaces the entry whole */
}

Test(roster, takes_the_first_entry_after_when_none_is_before)
{
    change(200, true, SOUTH, 0);
    change(100, true, NORTH, 0);
    cr_expect_eq(team_at(50), NORTH);
}

Test(roster, a_removal_keeps_team_and_site)
{
    change(100, true, NORTH, CARE);
    change(200, false, SOUTH, 0);
    cr_expect_eq(team_at(300), NORTH);
    cr_expect_eq(roster_find(roster, TENANT, AGENT, 300, 2).site, CARE);
}

Test(roster, knows_other_tenants_and_agents_apart)
{
    change(100, true, NORTH, CARE);
    cr_expect_eq(roster_find(roster, TENANT + 1, AGENT, 300, 1).team, 0);
    cr_expect_eq(roster_find(roster, TENANT, AGENT + 1, 300, 1).team, 0);
    cr_expect_eq(roster_find(roster, TENANT, 0, 300, 1).team, 0);
}

Test(roster, answers_as_it_was_at_an_earlier_sequence)
{
    change(100, true, NORTH, 0);
    uint32_t then = roster_sequence(roster);
    change(150, true, SOUTH, 0);
    cr_expect_eq(roster_find(roster, TENANT, AGENT, 300, then).team, NORTH);
    cr_expect_eq(roster_find(roster, TENANT, AGENT, 300, 0).team, 0);
    cr_expect_eq(team_at(300), SOUTH);
}

Test(roster, leaves_a_change_that_is_there_already_alone)
{
    struct roster_entry entry = {.time_ms = 5, .id_hash = 99, .team = NORTH, .enrolled = true};
    cr_expect(roster_put(roster, TENANT, AGENT, &entry));
    cr_expect_not(roster_put(roster, TENANT, AGENT, &entry));
    cr_expect_eq(roster_sequence(roster), 1);
}

Test(roster, takes_a_removal_before_an_enrolment_of_the_same_instant)
{
    change(100, true, NORTH, 0);
    change(200, true, SOUTH, 0);
    change(200, false, 0, 0);
    cr_expect_eq(team_at(200), SOUTH);
}

Test(roster, grows)
{
    for (uint32_t agent = 1; agent < 3000; agent++) {
        struct roster_entry entry = {.time_ms = 5, .id_hash = agent, .team = agent + 1, .enrolled = true};
        roster_put(roster, TENANT, agent, &entry);
    }
    for (uint32_t agent = 1; agent < 3000; agent++)
        cr_assert_eq(roster_find(roster, TENANT, agent, 6, 3000).team, agent + 1);
}
