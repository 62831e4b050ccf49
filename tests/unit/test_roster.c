/* The roster: who is in which team and site, by agent and time (SEMANTICS 2). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

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

static struct roster_entry of_file(int64_t time_ms, bool enrolled, uint32_t team)
{
    return (struct roster_entry){.time_ms = time_ms, .enrolled = enrolled, .team = team, .file = true};
}

Test(roster, a_change_that_is_taken_back_is_known_to_who_asks_as_of_before)
{
    struct roster_entry north = of_file(100, true, NORTH), south = of_file(200, true, SOUTH);
    roster_put(roster, TENANT, AGENT, &north);
    roster_put(roster, TENANT, AGENT, &south);
    cr_expect_eq(roster_changed(roster, TENANT, AGENT), 2);
    cr_expect(roster_drop(roster, TENANT, AGENT, &south));
    cr_expect_not(roster_drop(roster, TENANT, AGENT, &south));
    cr_expect_eq(roster_changed(roster, TENANT, AGENT), 3);
    cr_expect_eq(team_at(300), NORTH);
    cr_expect_eq(roster_find(roster, TENANT, AGENT, 300, 2).team, SOUTH);
    cr_expect(roster_put(roster, TENANT, AGENT, &south)); /* it comes again */
    cr_expect_eq(team_at(300), SOUTH);
    cr_expect_eq(roster_find(roster, TENANT, AGENT, 300, 3).team, NORTH);
}

Test(roster, a_file_read_again_takes_back_what_it_has_no_longer)
{
    struct roster_entry north = of_file(100, true, NORTH), end = of_file(200, false, 0);
    change(50, true, SOUTH, 0); /* an event: the file has no say in it */
    roster_file_begin(roster);
    roster_keep(roster, TENANT, AGENT, &north);
    roster_keep(roster, TENANT, AGENT, &end);
    roster_file_end(roster);
    uint32_t sequence = roster_sequence(roster);
    roster_file_begin(roster);
    roster_keep(roster, TENANT, AGENT, &end);
    roster_keep(roster, TENANT, AGENT, &north);
    roster_file_end(roster);
    cr_expect_eq(roster_sequence(roster), sequence); /* nothing is new */
    roster_file_begin(roster);
    roster_keep(roster, TENANT, AGENT, &north);
    roster_file_end(roster);
    struct roster_place place;
    cr_expect(roster_eligible(roster, TENANT, AGENT, 300, &place) && place.team == NORTH);
    roster_file_begin(roster);
    roster_file_end(roster);
    cr_expect_eq(team_at(300), SOUTH);
}

struct told {
    char text[256];
};

static void tell(void *context, uint32_t tenant, uint32_t agent, const struct roster_entry *entry, bool gone)
{
    struct told *told = context;
    size_t used = strlen(told->text);
    (void)tenant, (void)agent;
    (void)snprintf(told->text + used, sizeof told->text - used, "%s%d ", gone ? "-" : "+", (int)entry->time_ms);
}

Test(roster, tells_changes_and_what_is_taken_back_in_the_order_of_their_numbers)
{
    struct roster_entry one = of_file(100, true, NORTH), two = of_file(50, true, SOUTH);
    struct told all = {""}, later = {""};
    roster_put(roster, TENANT, AGENT, &one);
    roster_put(roster, TENANT, AGENT, &two);
    roster_drop(roster, TENANT, AGENT, &one);
    roster_put(roster, TENANT, AGENT, &one);
    roster_since(roster, 0, tell, &all);
    roster_since(roster, 2, tell, &later);
    cr_expect_str_eq(all.text, "+100 +50 -100 +100 ");
    cr_expect_str_eq(later.text, "-100 +100 ");
}

static void span(void *context, struct roster_place place, int64_t from_ms, int64_t until_ms)
{
    struct told *told = context;
    size_t used = strlen(told->text);
    (void)snprintf(told->text + used, sizeof told->text - used, "%u:%d-%d ", place.team, (int)from_ms, until_ms == INT64_MAX ? -1 : (int)until_ms);
}

Test(roster, spans_leave_out_who_is_placed_but_not_eligible)
{
    struct roster_entry placed = of_file(300, true, SOUTH), back = of_file(400, true, NORTH);
    struct told told = {""};
    placed.ineligible = true;
    change(100, true, NORTH, 0);
    change(200, false, 0, 0);
    roster_put(roster, TENANT, AGENT, &back);
    roster_put(roster, TENANT, AGENT, &placed);
    roster_spans(roster, TENANT, AGENT, span, &told);
    cr_expect_str_eq(told.text, "21:100-200 21:400--1 ");
    cr_expect_eq(team_at(350), SOUTH);
    struct roster_place place;
    cr_expect_not(roster_eligible(roster, TENANT, AGENT, 400, &place)); /* by the changes before it */
    cr_expect(roster_eligible(roster, TENANT, AGENT, 401, &place));
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
