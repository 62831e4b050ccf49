#include "diff_changes.h"

#include <math.h>
#include <string.h>

#include "esteem/row.h"
#include "row_lines.h"

static const char *const left_out[] = {"v", "tenant", "scope", "window", "start", "revision", "config", "measures", "histograms", "metrics"};

static bool is_left_out(const char *name)
{
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (strcmp(name, left_out[i]) == 0)
            return true;
    return false;
}

/* Millionths, as rows have them: a difference of doubles has more digits than are true. */
static double rounded(double value)
{
    return fabs(value) < 1e9 ? round(value * 1e6) / 1e6 : value;
}

/* {"old", "new", "difference"}; takes both. A measure that a row does not name is 0. */
static jv change_of(jv before, jv after)
{
    jv change = jv_object();
    if (jv_get_kind(before) == JV_KIND_NUMBER && jv_get_kind(after) == JV_KIND_NUMBER)
        change = jv_object_set(change, jv_string("difference"), jv_number(rounded(jv_number_value(after) - jv_number_value(before))));
    change = jv_object_set(change, jv_string("old"), before);
    return jv_object_set(change, jv_string("new"), after);
}

jv diff_object(jv value)
{
    if (jv_get_kind(value) == JV_KIND_OBJECT)
        return value;
    jv_free(value);
    return jv_object();
}

/* Adds what differs between the members of two objects to `changes`; `absent` stands for what one does not have. */
static jv compare_members(jv changes, jv before, jv after, jv absent, bool (*skip)(const char *))
{
    before = diff_object(before);
    after = diff_object(after);
    jv all = jv_object_merge(jv_copy(before), jv_copy(after));
    for (int i = jv_object_iter(all); jv_object_iter_valid(all, i); i = jv_object_iter_next(all, i)) {
        jv key = jv_object_iter_key(all, i);
        jv a = row_member(before, jv_string_value(key)), b = row_member(after, jv_string_value(key));
        if (jv_get_kind(a) == JV_KIND_NULL)
            a = jv_copy(absent);
        if (jv_get_kind(b) == JV_KIND_NULL)
            b = jv_copy(absent);
        bool same = jv_equal(jv_copy(a), jv_copy(b)) || (skip && skip(jv_string_value(key)));
        if (same) {
            jv_free(a);
            jv_free(b);
            jv_free(key);
        } else {
            changes = jv_object_set(changes, key, change_of(a, b));
        }
    }
    jv_free(all);
    jv_free(before);
    jv_free(after);
    jv_free(absent);
    return changes;
}

/* {"csat": {"value": {"old", "new", "difference"}, "n": ...}}; a metric that one row lacks differs in all that the other has. */
static jv compare_each(jv before, jv after, jv absent)
{
    jv changes = jv_object();
    before = diff_object(before);
    after = diff_object(after);
    jv all = jv_object_merge(jv_copy(before), jv_copy(after));
    for (int i = jv_object_iter(all); jv_object_iter_valid(all, i); i = jv_object_iter_next(all, i)) {
        jv key = jv_object_iter_key(all, i);
        jv change = compare_members(jv_object(), row_member(before, jv_string_value(key)), row_member(after, jv_string_value(key)), jv_copy(absent), NULL);
        if (jv_object_length(jv_copy(change)) > 0) {
            changes = jv_object_set(changes, key, change);
        } else {
            jv_free(key);
            jv_free(change);
        }
    }
    jv_free(all);
    jv_free(before);
    jv_free(after);
    jv_free(absent);
    return changes;
}

static bool has(jv row, const char *name)
{
    return jv_object_has(jv_copy(row), jv_string(name));
}

jv diff_of(jv before, jv after)
{
    bool both = has(before, "histograms") && has(after, "histograms");
    struct { const char *name; jv changes; } parts[] = {
        {"fields", compare_members(jv_object(), jv_copy(before), jv_copy(after), jv_null(), is_left_out)},
        {"measures", compare_members(jv_object(), row_member(before, "measures"), row_member(after, "measures"), jv_number(0), NULL)},
        {"histograms", both ? compare_each(row_member(before, "histograms"), row_member(after, "histograms"), jv_number(0)) : jv_object()},
        {"metrics", compare_each(row_member(before, "metrics"), row_member(after, "metrics"), jv_null())},
    };
    jv changes = jv_object();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (jv_object_length(jv_copy(parts[i].changes)) > 0)
            changes = jv_object_set(changes, jv_string(parts[i].name), parts[i].changes);
        else
            jv_free(parts[i].changes);
    return changes;
}

bool diff_same_fields(jv before, jv after)
{
    return jv_object_length(compare_members(jv_object(), jv_copy(before), jv_copy(after), jv_null(), is_left_out)) == 0;
}

/* ---- telling it ---- */

/* A number as rows print it, a word as it is. Takes `value`. */
static void put_scalar(jv value, FILE *out)
{
    char number[ROW_NUMBER_MAX];
    if (jv_get_kind(value) == JV_KIND_NUMBER && fabs(jv_number_value(value)) < 1e30) {
        row_number(jv_number_value(value), number);
        fputs(number, out);
        jv_free(value);
    } else if (jv_get_kind(value) == JV_KIND_NULL) {
        fputs("none", out);
        jv_free(value);
    } else {
        jv text = jv_dump_string(value, 0);
        fputs(jv_string_value(text), out);
        jv_free(text);
    }
}

static void put_change(const char *name, const char *of, jv change, FILE *out)
{
    jv difference = row_member(change, "difference");
    fprintf(out, "  %s%s%s ", name, *of ? "." : "", of);
    put_scalar(row_member(change, "old"), out);
    fputs(" -> ", out);
    put_scalar(row_member(change, "new"), out);
    if (jv_get_kind(difference) == JV_KIND_NUMBER) {
        fputs(jv_number_value(difference) > 0 ? " (+" : " (", out);
        put_scalar(jv_copy(difference), out);
        fputs(")", out);
    }
    fputc('\n', out);
    jv_free(difference);
}

/* Takes `changes`. `depth` 2: a metric's members, its value under the metric's own name. */
static void put_changes(jv changes, int depth, FILE *out)
{
    for (int i = jv_object_iter(changes); jv_object_iter_valid(changes, i); i = jv_object_iter_next(changes, i)) {
        jv key = jv_object_iter_key(changes, i), change = jv_object_iter_value(changes, i);
        if (depth == 1)
            put_change(jv_string_value(key), "", change, out);
        else
            for (int k = jv_object_iter(change); jv_object_iter_valid(change, k); k = jv_object_iter_next(change, k)) {
                jv of = jv_object_iter_key(change, k), inner = jv_object_iter_value(change, k);
                put_change(jv_string_value(key), strcmp(jv_string_value(of), "value") == 0 ? "" : jv_string_value(of), inner, out);
                jv_free(of);
                jv_free(inner);
            }
        jv_free(key);
        jv_free(change);
    }
    jv_free(changes);
}

void diff_put(jv changes, FILE *out)
{
    put_changes(diff_object(row_member(changes, "fields")), 1, out);
    put_changes(diff_object(row_member(changes, "measures")), 1, out);
    put_changes(diff_object(row_member(changes, "metrics")), 2, out);
    jv histograms = diff_object(row_member(changes, "histograms"));
    for (int i = jv_object_iter(histograms); jv_object_iter_valid(histograms, i); i = jv_object_iter_next(histograms, i)) {
        jv name = jv_object_iter_key(histograms, i);
        fprintf(out, "  histogram %s: %d buckets differ\n", jv_string_value(name), jv_object_length(jv_object_iter_value(histograms, i)));
        jv_free(name);
    }
    jv_free(histograms);
    jv_free(changes);
}
