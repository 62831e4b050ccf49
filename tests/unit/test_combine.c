/* From contributions to batches: the combine table, the batch's bytes, keys and their bound. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "esteem/combine.h"
#include "support/figures.h"
#include "support/settings.h"

static struct intern strings;
static struct config *config;
static struct combine *combine;
static struct batch *batch[4];
static int folds;

/* What the batches hold: "tenant/dimension=value,...@pane id:value" is asked for by these. */
static struct seen_key {
    uint32_t number;
    int fold;
    char name[128];
} seen[4096];
static int seen_count;

static void begin(int fold_count, const char *scopes, struct key_registry *registry)
{
    folds = fold_count;
    intern_init(&strings);
    config = config_of(scopes);
    combine = combine_new(folds, 1000, 0, &strings, registry);
    cr_assert_eq(combine_scopes(combine, config), 0);
}

static void end(void)
{
    combine_free(combine);
    config_free(config);
    intern_close(&strings);
    for (int f = 0; f < folds; f++) {
        batch_free(batch[f]);
        batch[f] = NULL;
    }
}

TestSuite(combine, .fini = end);

static uint32_t word(const char *text)
{
    return intern_put(&strings, text, (uint32_t)strlen(text));
}

static void add(const char *queue, const char *channel, int64_t at_ms, int64_t value)
{
    struct dims dims = {{0}};
    dims.id[DIMENSION_queue] = queue ? word(queue) : 0;
    dims.id[DIMENSION_channel] = channel ? word(channel) : 0;
    const struct tally_run *run = run_of(MEASURE_offered, value);
    combine_add(combine, word("acme"), 0, &dims, at_ms, false, run->bytes, run->length);
}

static void flush(void)
{
    for (int f = 0; f < folds; f++) {
        batch_free(batch[f]);
        batch[f] = batch_new(0);
    }
    combine_flush(combine, batch);
}

static const char *name_of(uint32_t number)
{
    for (int i = 0; i < seen_count; i++)
        if (seen[i].number == number)
            return seen[i].name;
    return "a key that was not named";
}

static void see_key(int fold, uint32_t number, const struct scope_key *key)
{
    struct seen_key *one = &seen[seen_count++];
    *one = (struct seen_key){.number = number, .fold = fold};
    int at = snprintf(one->name, sizeof one->name, "%s", key->tenant);
    for (int i = 0; i < key->count; i++)
        at += snprintf(one->name + at, sizeof one->name - (size_t)at, "/%s", key->value[i]);
}

/* Named by its parts, which have been. */
static void see_bundle(int fold, uint32_t number, const struct batch *bundled)
{
    struct seen_key one = {.number = number, .fold = fold};
    int at = 0;
    for (uint32_t p = 0; p < bundled->bundle.parts; p++)
        at += snprintf(one.name + at, sizeof one.name - (size_t)at, "%s%s", p ? " + " : "", name_of(bundled->bundle.part[p]));
    seen[seen_count++] = one;
}

static int named(const char *name)
{
    int count = 0;
    for (int i = 0; i < seen_count; i++)
        count += strcmp(seen[i].name, name) == 0;
    return count;
}

/* Reads the flushed batches; returns the sum under a key's name and pane, and counts the cells. */
static int64_t cell(const char *name, int64_t pane, int *cells)
{
    int64_t sum = 0;
    *cells = 0;
    for (int f = 0; f < folds; f++) {
        char text[BATCH_KEY_TEXT_MAX];
        struct scope_key key;
        struct batch_cell found;
        uint32_t cursor = 0, number;
        for (enum batch_item item; (item = batch_next(batch[f], &cursor, &number, &key, text, &found)) != BATCH_END;) {
            cr_assert_neq(item, BATCH_BROKEN);
            if (item == BATCH_KEY)
                see_key(f, number, &key);
            else if (item == BATCH_BUNDLE)
                see_bundle(f, number, batch[f]);
            else if (++*cells && found.pane == pane && strcmp(name_of(found.number), name) == 0)
                sum += figure_in(found.runs, found.length, MEASURE_offered);
        }
    }
    return sum;
}

static void add_of_agent(const char *queue, const char *agent, enum measure measure, int64_t at_ms)
{
    struct dims dims = {{0}};
    struct tally_run run;
    dims.id[DIMENSION_queue] = queue ? word(queue) : 0;
    dims.id[DIMENSION_agent] = agent ? word(agent) : 0;
    tally_run_begin(&run);
    tally_run_put(&run, MEASURE_offered, 1);
    tally_run_put(&run, measure, 1);
    tally_run_put(&run, MEASURE_leg_offered, 1);
    tally_run_end(&run);
    combine_add(combine, word("acme"), 0, &dims, at_ms, false, run.bytes, run.length);
}

Test(combine, what_agents_are_counted_by_goes_to_a_key_of_each_within_the_scopes_without_them)
{
    int cells;
    begin(4, "scopes: [[], [queue], [agent]]", NULL);
    add_of_agent("billing", "ann", MEASURE_uses, 7000);
    add_of_agent("billing", "ann", MEASURE_closed, 7000); /* says nothing of agents */
    add_of_agent(NULL, "bob", MEASURE_handled, 7000);
    add_of_agent("billing", NULL, MEASURE_uses, 7000);
    flush();
    cr_expect_eq(cell("acme", 7, &cells), 4);
    cr_expect_eq(cells, 7); /* [], billing, ann and bob; ann within [] and billing, bob within [] */
    for (int i = 0; i < seen_count; i++)
        for (int j = 0; j < seen_count; j++)
            if (strcmp(seen[i].name, "acme/billing") == 0 && strcmp(seen[j].name, "acme/billing/ann") == 0)
                cr_expect_eq(seen[i].fold, seen[j].fold); /* where the key is that it is within */
}

/* As often as a tuple has to be met before it has bundles; each time another one was met between. */
enum { MET_OFTEN = 8 };

Test(combine, an_agents_keys_in_one_fold_are_added_to_as_one)
{
    int cells;
    begin(1, "scopes: [[], [queue], [agent]]", NULL);
    for (int i = 0; i <= MET_OFTEN; i++) {
        add_of_agent("billing", "ann", MEASURE_uses, 7000);
        add_of_agent("sales", "ann", MEASURE_handled, 9000);
        add_of_agent(NULL, "ann", MEASURE_handled, 9000);
        flush();
        (void)cell("acme", 7, &cells);
        /* twice [], billing, sales, twice ann; of ann's keys twice the one within [], those within billing and sales, or the two bundles and the one
         * within [] without a queue */
        cr_expect_eq(cells, i < MET_OFTEN ? 10 : 9);
    }
    cr_expect_eq(named("acme/ann + acme/billing/ann"), 1);
    cr_expect_eq(named("acme/ann + acme/sales/ann"), 1);
    cr_expect_eq(named("acme/billing/ann"), 1);
}

Test(combine, agents_beyond_the_limit_are_one_in_the_key_that_they_are_in)
{
    int cells;
    struct key_registry *registry = key_registry_new(2);
    begin(1, "scopes: [[], [queue]]", registry);
    for (int i = 0; i < 5; i++) {
        char agent[16];
        (void)snprintf(agent, sizeof agent, "a%d", i);
        add_of_agent("billing", agent, MEASURE_uses, 7000);
    }
    flush();
    (void)cell("acme", 7, &cells);
    cr_expect_eq(cells, 8); /* [] and billing; in each a0, a1 and all others */
    cr_expect_eq(named("acme/" KEY_OTHER) + named("acme/billing/" KEY_OTHER), 2);
    cr_expect_eq(key_registry_refused(registry), 6);
    key_registry_free(registry);
}

/* After a restart there may be room for it: what came through such a bundle would be taken back through another. */
Test(combine, an_agents_keys_are_no_bundle_where_one_had_to_give_way)
{
    int cells;
    struct key_registry *registry = key_registry_new(2);
    begin(1, "scopes: [[], [queue]]", registry);
    for (int i = 0; i <= MET_OFTEN; i++) {
        add_of_agent(NULL, "a0", MEASURE_uses, 7000);
        add_of_agent("sales", "a1", MEASURE_uses, 7000);
        add_of_agent("billing", "a2", MEASURE_uses, 7000);
    }
    flush();
    (void)cell("acme", 7, &cells);
    cr_expect_eq(named("acme/" KEY_OTHER " + acme/billing/a2"), 0);
    cr_expect_eq(named("acme/a1 + acme/sales/a1"), 1);
    cr_expect(named("acme/" KEY_OTHER) == 1 && named("acme/billing/a2") == 1);
    cr_expect_eq(cells, 9); /* [], billing and sales; in [] a0, a1 and all others; in billing a2; in sales a1, who is a bundle since the last time */
    key_registry_free(registry);
}

static void add_in_both(const char *queue, const char *channel)
{
    struct dims dims = {{0}};
    struct tally_run run;
    dims.id[DIMENSION_queue] = word(queue);
    dims.id[DIMENSION_channel] = word(channel);
    dims.id[DIMENSION_agent] = word("ann");
    tally_run_begin(&run);
    tally_run_put(&run, MEASURE_uses, 1);
    tally_run_end(&run);
    combine_add(combine, word("acme"), 0, &dims, 7000, false, run.bytes, run.length);
}

Test(combine, bundles_beyond_the_limit_are_done_without)
{
    int cells;
    struct key_registry *registry = key_registry_new(2);
    begin(1, "scopes: [[queue], [channel]]", registry);
    for (int i = 0; i <= MET_OFTEN; i++) {
        add_in_both("billing", "chat");
        add_in_both("billing", "voice");
        add_in_both("sales", "chat");
        add_in_both("sales", "voice");
    }
    flush();
    (void)cell("acme", 7, &cells);
    cr_expect_eq(named("acme/billing/ann + acme/chat/ann") + named("acme/chat/ann + acme/billing/ann"), 1);
    cr_expect_eq(named("acme/billing/ann + acme/voice/ann") + named("acme/voice/ann + acme/billing/ann"), 1);
    cr_expect_eq(cells, 4 + 4 + 2); /* queues and channels, ann in each, two bundles */
    cr_expect_eq(key_registry_refused(registry), 0); /* nothing is missed without */
    key_registry_free(registry);
}

Test(combine, a_bundle_that_is_known_is_one_at_once)
{
    int cells;
    struct key_registry *registry = key_registry_new(2);
    uint64_t part[2];
    begin(1, "scopes: [[], [queue]]", registry);
    add_of_agent("billing", "ann", MEASURE_uses, 7000);
    flush();
    (void)cell("acme", 7, &cells);
    cr_expect_eq(named("acme/ann + acme/billing/ann"), 0);
    struct scope_key all = {.scope = SCOPE_AGENTS, .tenant = "acme", .count = 1, .value = {"ann"}};
    struct scope_key billing = {.scope = SCOPE_AGENTS | 1u << DIMENSION_queue, .tenant = "acme", .count = 2, .dimension = {DIMENSION_queue}, .value = {"billing", "ann"}};
    part[0] = key_hash(&all);
    part[1] = key_hash(&billing);
    end();
    seen_count = 0;
    begin(1, "scopes: [[], [queue]]", registry);
    key_registry_restore_bundle(registry, bundle_hash(part, 2));
    add_of_agent("billing", "ann", MEASURE_uses, 7000); /* a restart may take back what came through it */
    flush();
    (void)cell("acme", 7, &cells);
    cr_expect_eq(named("acme/ann + acme/billing/ann"), 1);
    key_registry_free(registry);
}

Test(combine, a_tenant_beyond_the_limit_of_keys_is_counted_all_the_same)
{
    struct key_registry *registry = key_registry_new(1);
    int cells;
    begin(1, "scopes: [[], [queue]]", registry);
    add("billing", NULL, 7000, 1);
    add("sales", NULL, 7000, 2);
    add(NULL, NULL, 7000, 4);
    flush();
    cr_expect_eq(cell("acme", 7, &cells), 7);
    struct dims dims = {{0}};
    const struct tally_run *run = run_of(MEASURE_offered, 5);
    combine_add(combine, word("beta"), 0, &dims, 7000, false, run->bytes, run->length);
    flush();
    cr_expect_eq(cell("beta", 7, &cells), 5);
    key_registry_free(registry);
}

Test(combine, a_contribution_goes_to_each_scope_whose_dimensions_it_has)
{
    int cells;
    begin(1, "scopes: [[], [queue], [channel], [queue, channel]]", NULL);
    add("billing", "chat", 7000, 1);
    add("billing", NULL, 7999, 2);
    cr_expect_gt(combine_cells(combine), 0);
    flush();
    cr_expect_eq(cell("acme", 7, &cells), 3);
    cr_expect_eq(cells, 5);
    cr_expect_eq(cell("acme/billing", 7, &cells), 3); /* in two cells: one is its part of billing's chats, the other is added to the tenant as well */
    cr_expect_eq(cell("acme/chat", 7, &cells), 1);
    cr_expect_eq(cell("acme/chat/billing", 7, &cells), 1); /* in the order of the table of dimensions */
    cr_expect_eq(combine_cells(combine), 0);
}

/* Runs of one tuple are gathered by pane on their way: more panes than are gathered at a time, more bytes than a pane's room, tuples in turns. */
Test(combine, whatever_the_order_each_cell_has_its_sum)
{
    enum { PANES = 30, ROUNDS = 3000 };
    static const char *const queues[] = {"billing", "sales"}, *const channels[] = {"chat", "phone", "email"};
    int64_t want[2][PANES] = {{0}}, all[PANES] = {0};
    uint64_t random = 7;
    int cells;
    begin(1, "scopes: [[], [queue], [queue, channel]]", NULL);
    for (int i = 0; i < ROUNDS; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        int queue = (i / 40) % 2, pane = (int)(random >> 33) % (i % 400 < 200 ? 2 : PANES);
        int64_t value = (int64_t)(random >> 8 & UINT64_C(0xffffffffff));
        add(queues[queue], channels[i / 40 % 3], 1000 * pane + i % 1000, value);
        want[queue][pane] += value;
        all[pane] += value;
    }
    flush();
    for (int pane = 0; pane < PANES; pane++) {
        cr_expect_eq(cell("acme", pane, &cells), all[pane]);
        cr_expect_eq(cell("acme/billing", pane, &cells), want[0][pane]);
        cr_expect_eq(cell("acme/sales", pane, &cells), want[1][pane]);
    }
}

Test(combine, what_has_left_the_shorter_windows_has_wider_panes)
{
    static const int64_t now_ms = INT64_C(1795356000000);
    int cells;
    begin(1, "scopes: [[queue]]\nwindows: {rolling: [1m, 5m, 1h]}", NULL);
    struct grain grain = grain_at(config->rolling, config->rolling_count, now_ms), none = grain_at(config->rolling, config->rolling_count, INT64_MIN);
    cr_expect_eq(none.count, 0);
    combine_coarsen(combine, &grain);
    add("q", NULL, now_ms - 1000, 1); /* in every window */
    add("q", NULL, now_ms - 2000, 1);
    for (int i = 1; i <= 4; i++)
        add("q", NULL, now_ms - 90000 + i * 1000, 1); /* has left 1m: of five seconds */
    for (int i = 1; i <= 59; i++)
        add("q", NULL, now_ms - 600000 + i * 1000, 1); /* 5m, too: of a minute */
    flush();
    cr_expect_eq(cell("acme/q", now_ms / 1000 - 1, &cells), 1);
    cr_expect_eq(cell("acme/q", now_ms / 1000 - 2, &cells), 1);
    cr_expect_eq(cell("acme/q", now_ms / 1000 - 90, &cells), 4);
    cr_expect_eq(cell("acme/q", now_ms / 1000 - 600, &cells), 59);
    cr_expect_eq(cells, 4);
}

Test(combine, panes_are_cut_downwards_also_before_1970)
{
    int cells;
    begin(1, "scopes: [[]]", NULL);
    add("q", NULL, -1, 5);
    add("q", NULL, 0, 7);
    add("q", NULL, 999, 11);
    flush();
    cr_expect_eq(cell("acme", -1, &cells), 5);
    cr_expect_eq(cell("acme", 0, &cells), 18);
}

Test(combine, names_a_key_once_to_its_fold)
{
    int cells;
    begin(3, "scopes: [[queue]]", NULL);
    char queue[16];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(queue, sizeof queue, "q%d", i);
        add(queue, NULL, 1000, i + 1);
    }
    flush();
    cr_expect_eq(cell("acme/q42", 1, &cells), 43);
    cr_expect_eq(cells, 100);
    cr_expect_eq(seen_count, 100);
    add("q42", NULL, 1000, 1);
    flush();
    cr_expect_eq(cell("acme/q42", 1, &cells), 1);
    cr_expect_eq(seen_count, 100);
}

Test(combine, what_cancels_within_a_tick_leaves_nothing_to_add)
{
    int cells;
    begin(1, "scopes: [[]]", NULL);
    add("q", NULL, 1000, 5);
    add("q", NULL, 1000, -5);
    flush();
    cr_expect_eq(cell("acme", 1, &cells), 0);
    add("q", NULL, 1000, 0);
    flush();
    cr_expect_eq(cell("acme", 1, &cells), 0);
    cr_expect_eq(cells, 0);
}

Test(combine, keys_beyond_the_bound_go_to_other_and_totals_stay_right)
{
    int cells;
    struct key_registry *registry = key_registry_new(2);
    begin(1, "scopes: [[], [queue], [queue, channel]]", registry);
    add("a", "x", 1000, 1);
    add("b", "x", 1000, 2);
    add("c", "x", 1000, 4);
    add("d", "x", 1000, 8);
    add("a", "x", 1000, 16);
    flush();
    cr_expect_eq(cell("acme", 1, &cells), 31);
    cr_expect_eq(cell("acme/a", 1, &cells), 17);
    cr_expect_eq(cell("acme/__other__", 1, &cells), 12);
    cr_expect_eq(cell("acme/__other__/__other__", 1, &cells), 12);
    cr_expect_eq(key_registry_refused(registry), 4);
    key_registry_free(registry);
}

Test(combine, a_list_of_scopes_that_is_known_keeps_its_number)
{
    begin(1, "scopes: [[], [queue]]", NULL);
    struct config *other = config_of("scopes: [[], [channel]]"), *same = config_of("scopes: [[], [queue]]");
    cr_expect_eq(combine_scopes(combine, other), 1);
    cr_expect_eq(combine_scopes(combine, same), 0);
    config_free(other);
    config_free(same);
}

Test(registry, admits_a_key_again_and_counts_each_scope_for_itself)
{
    struct key_registry *registry = key_registry_new(1);
    struct scope_key a = {.scope = 1, .tenant = "t", .count = 1, .value = {"a"}}, b = a, other = a;
    b.value[0] = "b";
    other.scope = 2;
    cr_expect(key_registry_admit(registry, &a));
    cr_expect_not(key_registry_admit(registry, &b));
    cr_expect(key_registry_admit(registry, &a));
    cr_expect(key_registry_admit(registry, &other));
    cr_expect_eq(key_registry_refused(registry), 1);
    cr_expect(key_registry_admit(NULL, &b));
    key_registry_free(registry);
}

Test(registry, grows)
{
    struct key_registry *registry = key_registry_new(20000);
    char value[16];
    struct scope_key key = {.scope = 1, .tenant = "t", .count = 1, .value = {value}};
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 20000; i++) {
            (void)snprintf(value, sizeof value, "%d", i);
            cr_assert(key_registry_admit(registry, &key));
        }
    (void)snprintf(value, sizeof value, "one more");
    cr_expect_not(key_registry_admit(registry, &key));
    key_registry_free(registry);
}

Test(key, hash_tells_tenant_scope_and_values_apart)
{
    struct scope_key a = {.scope = 3, .tenant = "t", .count = 2, .value = {"ab", "c"}}, b = a;
    cr_expect_eq(key_hash(&a), key_hash(&b));
    b.value[0] = "a";
    b.value[1] = "bc";
    cr_expect_neq(key_hash(&a), key_hash(&b));
    b = a;
    b.tenant = "u";
    cr_expect_neq(key_hash(&a), key_hash(&b));
}

/* ---- the batch's bytes ---- */

Test(batch, keeps_the_longest_key_and_extreme_panes)
{
    char longest[STRING_KEPT_MAX + 1], text[BATCH_KEY_TEXT_MAX];
    memset(longest, 'x', STRING_KEPT_MAX);
    longest[STRING_KEPT_MAX] = 0;
    struct scope_key key = {.scope = (1u << DIMENSION_MAX) - 1, .tenant = longest, .count = DIMENSION_MAX}, back;
    for (int i = 0; i < DIMENSION_MAX; i++) {
        key.dimension[i] = (uint8_t)i;
        key.value[i] = longest;
    }
    const struct tally_run *run = run_of(5, -3);
    struct batch *one = batch_new(2);
    batch_put_key(one, UINT32_MAX, &key);
    batch_put_cell(one, UINT32_MAX, INT64_C(7258118400), true, run->bytes, run->length);
    batch_put_cell(one, 0, -5, false, run->bytes, run->length);
    uint32_t cursor = 0, number;
    struct batch_cell cell_read;
    cr_expect_eq(batch_next(one, &cursor, &number, &back, text, &cell_read), BATCH_KEY);
    cr_expect(number == UINT32_MAX && back.count == DIMENSION_MAX && strcmp(back.value[15], longest) == 0);
    cr_expect_eq(batch_next(one, &cursor, &number, &back, text, &cell_read), BATCH_CELL);
    cr_expect_eq(cell_read.pane, INT64_C(7258118400));
    cr_expect_eq(batch_next(one, &cursor, &number, &back, text, &cell_read), BATCH_CELL);
    cr_expect_eq(cell_read.pane, -5);
    cr_expect_eq(figure_in(cell_read.runs, cell_read.length, 5), -3);
    cr_expect_eq(batch_next(one, &cursor, &number, &back, text, &cell_read), BATCH_END);
    batch_free(one);
}

static void expect_broken_until_whole(struct batch *one)
{
    char text[BATCH_KEY_TEXT_MAX];
    struct scope_key key;
    uint32_t whole = one->length;
    for (one->length = 1; one->length < whole; one->length++) {
        uint32_t cursor = 0, number;
        struct batch_cell cell_read;
        cr_expect_eq(batch_next(one, &cursor, &number, &key, text, &cell_read), BATCH_BROKEN, "%u", one->length);
    }
}

Test(batch, tells_when_its_bytes_are_broken)
{
    char text[BATCH_KEY_TEXT_MAX];
    struct scope_key key = {.scope = 1, .tenant = "tenant", .count = 1, .value = {"value"}};
    struct batch *one = batch_new(0);
    batch_put_key(one, 7, &key);
    expect_broken_until_whole(one);
    one->bytes[0] = 'x';
    uint32_t cursor = 0, number;
    struct batch_cell cell_read;
    cr_expect_eq(batch_next(one, &cursor, &number, &key, text, &cell_read), BATCH_BROKEN);
    batch_free(one);
}

Test(batch, keeps_a_bundle_of_as_many_parts_as_there_may_be)
{
    uint32_t part[BUNDLE_MOST + 1], cursor = 0, number;
    char text[BATCH_KEY_TEXT_MAX];
    struct scope_key key;
    struct batch_cell cell_read;
    struct batch *one = batch_new(0);
    for (uint32_t p = 0; p <= BUNDLE_MOST; p++)
        part[p] = UINT32_MAX - p;
    batch_put_bundle(one, UINT32_MAX, part, BUNDLE_MOST);
    cr_expect_eq(batch_next(one, &cursor, &number, &key, text, &cell_read), BATCH_BUNDLE);
    cr_expect(number == UINT32_MAX && one->bundle.parts == BUNDLE_MOST && memcmp(one->bundle.part, part, sizeof one->bundle.part) == 0);
    cr_expect_eq(batch_next(one, &cursor, &number, &key, text, &cell_read), BATCH_END);
    expect_broken_until_whole(one);
    batch_put_bundle(one, 0, part, BUNDLE_MOST + 1);
    cr_expect_eq(batch_next(one, &cursor, &number, &key, text, &cell_read), BATCH_BROKEN);
    batch_free(one);
}
