/* The weight of a change: of each metric, how large its difference is beside the larger of both values (0 to 2: it may change its sign), times the
 * square root of how many it is made of; the largest of them. So 80 % that become 90 % weigh 0.11 * 10 with 100 answers and 0.11 * 1 with one: a queue
 * whose figure moves comes before an agent whose single survey does. A row whose measures alone differ weighs as much as its largest measure,
 * taken the same way, a billionth of a thousandth of it: behind the rows that show it in a metric. */
#include "diff_rank.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"

struct diff_told {
    double weight;
    int64_t from, to;
};

static const double measure_share = 1e-12;

/* ---- weights ---- */

/* Takes `value`; what is no number is 0. */
static double number_of(jv value)
{
    double number = jv_get_kind(value) == JV_KIND_NUMBER ? jv_number_value(value) : 0;
    jv_free(value);
    return number;
}

/* Of {"old", "new"}; a value that is there on one side only has changed by all of it. Takes `change`. */
static double share_of(jv change)
{
    double before = number_of(jv_object_get(jv_copy(change), jv_string("old"))), after = number_of(jv_object_get(change, jv_string("new")));
    double larger = fmax(fabs(before), fabs(after));
    return larger > 0 ? fabs(after - before) / larger : 0;
}

/* n of the row's metric, at least 1. */
static double n_of(jv after, const char *metric)
{
    jv metrics = jv_object_get(jv_copy(after), jv_string("metrics"));
    jv one = jv_get_kind(metrics) == JV_KIND_OBJECT ? jv_object_get(metrics, jv_string(metric)) : (jv_free(metrics), jv_null());
    double n = jv_get_kind(one) == JV_KIND_OBJECT ? number_of(jv_object_get(one, jv_string("n"))) : (jv_free(one), 1);
    return n > 1 ? n : 1;
}

static double weight_of_metrics(jv metrics, jv after)
{
    double most = 0;
    for (int i = jv_object_iter(metrics); jv_object_iter_valid(metrics, i); i = jv_object_iter_next(metrics, i)) {
        jv key = jv_object_iter_key(metrics, i), change = jv_object_iter_value(metrics, i), value = jv_object_get(change, jv_string("value"));
        if (jv_get_kind(value) == JV_KIND_OBJECT)
            most = fmax(most, share_of(value) * sqrt(n_of(after, jv_string_value(key))));
        else
            jv_free(value);
        jv_free(key);
    }
    return most;
}

static double weight_of_measures(jv measures)
{
    double most = 0;
    for (int i = jv_object_iter(measures); jv_object_iter_valid(measures, i); i = jv_object_iter_next(measures, i)) {
        jv change = jv_object_iter_value(measures, i);
        double size = fabs(number_of(jv_object_get(jv_copy(change), jv_string("difference"))));
        most = fmax(most, share_of(change) * sqrt(size));
    }
    return most * measure_share;
}

static jv part_of(jv changes, const char *name)
{
    jv part = jv_object_get(jv_copy(changes), jv_string(name));
    if (jv_get_kind(part) == JV_KIND_OBJECT)
        return part;
    jv_free(part);
    return jv_object();
}

double diff_weight(jv changes, jv after)
{
    jv metrics = part_of(changes, "metrics"), measures = part_of(changes, "measures");
    double weight = weight_of_metrics(metrics, after);
    if (weight == 0)
        weight = weight_of_measures(measures);
    jv_free(metrics);
    jv_free(measures);
    return weight;
}

/* ---- pieces ---- */

int diff_rank_open(struct diff_rank *rank)
{
    *rank = (struct diff_rank){.spool = tmpfile()};
    return rank->spool ? 0 : err_set(ERR_IO, "a temporary file: %s", strerror(errno));
}

int diff_rank_end(struct diff_rank *rank, double weight)
{
    if (rank->count == rank->room) {
        rank->room = rank->room ? rank->room * 2 : 256;
        rank->told = realloc(rank->told, rank->room * sizeof *rank->told);
        ensure(rank->told != NULL, "the machine has memory left");
    }
    int64_t to = (int64_t)ftello(rank->spool);
    if (to < rank->from || ferror(rank->spool))
        return err_set(ERR_IO, "a temporary file: %s", strerror(errno));
    rank->told[rank->count++] = (struct diff_told){weight, rank->from, to};
    rank->from = to;
    return 0;
}

static int heaviest_first(const void *left, const void *right)
{
    const struct diff_told *a = left, *b = right;
    if (a->weight != b->weight)
        return a->weight > b->weight ? -1 : 1;
    return (a->from > b->from) - (a->from < b->from);
}

static int copy(struct diff_rank *rank, const struct diff_told *told, FILE *out)
{
    char bytes[1 << 14];
    if (fseeko(rank->spool, told->from, SEEK_SET) != 0)
        return err_set(ERR_IO, "a temporary file: %s", strerror(errno));
    for (int64_t left = told->to - told->from; left > 0;) {
        size_t read = fread(bytes, 1, left < (int64_t)sizeof bytes ? (size_t)left : sizeof bytes, rank->spool);
        if (read == 0)
            return err_set(ERR_IO, "a temporary file has become shorter: is the disk full?");
        fwrite(bytes, 1, read, out);
        left -= (int64_t)read;
    }
    return 0;
}

int diff_rank_print(struct diff_rank *rank, FILE *out)
{
    if (fflush(rank->spool) != 0)
        return err_set(ERR_IO, "a temporary file: %s", strerror(errno));
    if (rank->count)
        qsort(rank->told, rank->count, sizeof *rank->told, heaviest_first);
    int result = 0;
    for (size_t i = 0; i < rank->count && result == 0; i++)
        result = copy(rank, &rank->told[i], out);
    return result;
}

void diff_rank_close(struct diff_rank *rank)
{
    if (rank->spool)
        fclose(rank->spool);
    free(rank->told);
    *rank = (struct diff_rank){0};
}
