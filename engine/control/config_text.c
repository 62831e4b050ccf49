/* config_text: how a configuration file spells things, as pure functions: durations, sizes, numbers, words, and which
 * known word someone may have meant. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "esteem/err.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first, for formatting. */
static const struct unit durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit sizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}};
enum { DURATION_UNITS = sizeof durations / sizeof *durations, SIZE_UNITS = sizeof sizes / sizeof *sizes };

/* Reads leading digits; stops at the first other byte. */
static enum parsed digits_parse(const char **text, int64_t *value)
{
    const char *at = *text;
    int64_t sum = 0;
    bool large = false;
    for (; *at >= '0' && *at <= '9'; at++) {
        large = large || sum > (INT64_MAX - 9) / 10;
        if (!large)
            sum = sum * 10 + (*at - '0');
    }
    if (at == *text)
        return PARSED_NOT;
    *text = at;
    *value = sum;
    return large ? PARSED_TOO_LARGE : PARSED;
}

static enum parsed with_unit_parse(const char *text, const struct unit *units, int count, int64_t *value)
{
    int64_t n = 0;
    enum parsed digits = digits_parse(&text, &n);
    if (digits == PARSED_NOT)
        return PARSED_NOT;
    for (int i = 0; i < count; i++)
        if (strcmp(text, units[i].name) == 0) {
            if (digits == PARSED_TOO_LARGE || n > INT64_MAX / units[i].factor)
                return PARSED_TOO_LARGE;
            *value = n * units[i].factor;
            return PARSED;
        }
    return *text == '\0' ? PARSED_WITHOUT_UNIT : PARSED_NOT;
}

enum parsed duration_parse(const char *text, int64_t *ms)
{
    return with_unit_parse(text, durations, DURATION_UNITS, ms);
}

enum parsed size_parse(const char *text, int64_t *bytes)
{
    return with_unit_parse(text, sizes, SIZE_UNITS, bytes);
}

enum parsed integer_parse(const char *text, int64_t *value)
{
    bool negative = *text == '-';
    text += negative;
    enum parsed parsed = digits_parse(&text, value);
    if (*text != '\0')
        return PARSED_NOT;
    *value = negative ? -*value : *value;
    return parsed;
}

/* Plain decimal figures: strtod alone would take "0x1p3", "nan" and the like. */
enum parsed real_parse(const char *text, double *value)
{
    if (*text == '\0' || text[strspn(text, "0123456789.eE+-")] != '\0')
        return PARSED_NOT;
    char *end = NULL;
    *value = strtod(text, &end);
    if (*end != '\0')
        return PARSED_NOT;
    return isfinite(*value) ? PARSED : PARSED_TOO_LARGE;
}

static const char *unit_format(int64_t value, const struct unit *units, int zero_unit, char *out)
{
    int i = zero_unit;
    if (value != 0)
        for (i = 0; value % units[i].factor != 0; i++)
            continue; /* the last factor is 1 */
    snprintf(out, DURATION_TEXT_MAX, "%" PRId64 "%s", value / units[i].factor, units[i].name);
    return out;
}

const char *duration_format(int64_t ms, char *out)
{
    return unit_format(ms, durations, 3, out); /* 0 is "0s" */
}

const char *size_format(int64_t bytes, char *out)
{
    return unit_format(bytes, sizes, 3, out);
}

const char *word_at(const char *words, int i, size_t *length)
{
    for (; i > 0 && words != NULL; i--) {
        words = strchr(words, '|');
        words = words == NULL ? NULL : words + 1;
    }
    *length = words == NULL ? 0 : strcspn(words, "|");
    return words;
}

int word_find(const char *words, const char *word)
{
    size_t length;
    const char *at;
    for (int i = 0; (at = word_at(words, i, &length)) != NULL; i++)
        if (strlen(word) == length && memcmp(at, word, length) == 0)
            return i;
    return -1;
}

/* Optimal string alignment: three rows of the usual table, the one before the last for swaps. */
int word_distance(const char *a, const char *b)
{
    enum { WORD_MAX = 64, FAR = 99 };
    size_t m = strlen(a), n = strlen(b);
    if (m >= WORD_MAX || n >= WORD_MAX)
        return FAR;
    int rows[3][WORD_MAX];
    for (size_t j = 0; j <= n; j++)
        rows[0][j] = (int)j;
    for (size_t i = 1; i <= m; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            int best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[m % 3][n];
}

/* A third of the letters may be wrong, at least one. */
bool word_near(const char *word, int distance)
{
    int length = (int)strlen(word);
    return distance <= (length < 6 ? 1 : length / 3);
}

char *text_copy(const char *text)
{
    char *copy = strdup(text);
    ensure(copy != NULL, "no memory for the configuration");
    return copy;
}
