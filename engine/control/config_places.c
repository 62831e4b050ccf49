/* config_places: dimensions are numbers in all that an engine keeps, so a configuration that is taken over while it runs gives those that stay
 * the numbers that they have. One that is gone keeps its number, and its name for what was counted under it; one that comes gets the next. */
#include <string.h>

#include "config_parts.h"

struct places {
    int of[DIMENSION_OWN_MAX]; /* of the newer configuration's: where it goes */
    int count;                 /* with those that are gone */
};

/* False: the file names them in another order than the numbers have, which is that of keys in Redis too; or there are too many. */
static bool find_places(const struct config *next, const struct config *old, struct places *places)
{
    int least = 0;
    places->count = old->own_dimension_count;
    for (int i = 0; i < next->own_dimension_count; i++) {
        int at = 0;
        while (at < old->own_dimension_count && strcmp(old->own_dimension[at], next->own_dimension[i]) != 0)
            at++;
        places->of[i] = at < old->own_dimension_count ? at : places->count++;
        if (places->of[i] < least || places->count > DIMENSION_OWN_MAX)
            return false;
        least = places->of[i] + 1;
    }
    return true;
}

static int place_of(const struct places *places, int dimension)
{
    return dimension < DIMENSION_BUILTIN ? dimension : DIMENSION_BUILTIN + places->of[dimension - DIMENSION_BUILTIN];
}

static void move_mask(const struct places *places, uint32_t *mask)
{
    uint32_t moved = 0;
    for (uint32_t left = *mask; left; left &= left - 1)
        moved |= UINT32_C(1) << place_of(places, __builtin_ctz(left));
    *mask = moved;
}

/* Places ascend, and none is before what it was: from the last one on, none is in another's way. */
static void move_texts(const struct places *places, int count, char **text)
{
    for (int i = count; i-- > 0;) {
        char *one = text[i];
        text[i] = NULL;
        text[places->of[i]] = one;
    }
}

bool config_take_places(struct config *next, const struct config *old)
{
    struct places places;
    int count = next->own_dimension_count;
    if (!find_places(next, old, &places))
        return false;
    move_texts(&places, count, next->own_dimension);
    next->own_dimension_count = places.count;
    next->own_dimensions_gone = 0;
    for (int i = 0; i < places.count; i++)
        if (next->own_dimension[i] == NULL) {
            next->own_dimension[i] = text_copy(old->own_dimension[i]);
            next->own_dimensions_gone |= UINT32_C(1) << i;
        }
    for (int i = 0; i < next->scope_count; i++)
        move_mask(&places, &next->scope[i].dimensions);
    for (int i = 0; i < next->rule_count; i++)
        move_texts(&places, count, next->rule[i].value + DIMENSION_BUILTIN);
    for (int i = 0; i < next->goal_count; i++) {
        move_mask(&places, &next->goal[i].place.scope);
        move_texts(&places, count, next->goal[i].value + DIMENSION_BUILTIN);
    }
    for (int i = 0; i < next->board_count; i++)
        move_mask(&places, &next->board[i].place.scope);
    return true;
}
