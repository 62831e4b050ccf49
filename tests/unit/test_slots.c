/* Slots: an index of numbers by hash. */
#include <criterion/criterion.h>
#include <stdbool.h>

#include "esteem/slots.h"

enum { ITEMS = 20000 };

static struct slots slots;
static uint32_t hash_of[ITEMS];
static bool in[ITEMS];

static void begin(void)
{
    slots_init(&slots, 16);
}

static void end(void)
{
    slots_close(&slots);
}

TestSuite(slots, .init = begin, .fini = end);

static bool finds(uint32_t item)
{
    uint32_t n;
    for (uint32_t i = slots_home(&slots, hash_of[item]); (n = slots_match(&slots, hash_of[item], &i)) != SLOTS_NONE;)
        if (n == item)
            return true;
    return false;
}

static void put(uint32_t item, uint32_t hash)
{
    hash_of[item] = hash;
    in[item] = true;
    slots_put(&slots, hash, item);
}

static void take_out(uint32_t item)
{
    slots_remove(&slots, hash_of[item], item);
    in[item] = false;
}

Test(slots, finds_what_is_in_it_and_nothing_else_however_items_come_and_go)
{
    uint64_t random = 1;
    uint32_t count = 0, wrong = 0;
    for (int round = 0; round < 200000; round++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint32_t item = (uint32_t)(random >> 33) % ITEMS, hash = (uint32_t)(random >> 11) % 5000 * 0x9e3779b9u; /* many share one */
        if (!in[item])
            put(item, hash);
        else
            take_out(item);
    }
    for (uint32_t item = 0; item < ITEMS; item++) {
        wrong += finds(item) != in[item];
        count += in[item];
    }
    cr_expect_eq(wrong, 0);
    cr_expect_eq(slots.count, count);
    cr_expect_leq(slots.count * UINT64_C(4), (slots.mask + UINT64_C(1)) * 3);
}

Test(slots, items_of_one_hash_are_all_handed_out)
{
    uint32_t n, seen = 0;
    for (uint32_t item = 0; item < 5; item++)
        put(item, 77);
    put(5, 78);
    take_out(2);
    for (uint32_t i = slots_home(&slots, 77); (n = slots_match(&slots, 77, &i)) != SLOTS_NONE;)
        seen |= 1u << n;
    cr_expect_eq(seen, 1u << 0 | 1u << 1 | 1u << 3 | 1u << 4);
    cr_expect(finds(5));
}

Test(slots, a_cleared_one_is_empty)
{
    for (uint32_t item = 0; item < 100; item++)
        put(item, item * 31);
    slots_clear(&slots);
    cr_expect_eq(slots.count, 0);
    for (uint32_t item = 0; item < 100; item++)
        cr_expect_not(finds(item));
    put(7, 9);
    cr_expect(finds(7));
}
