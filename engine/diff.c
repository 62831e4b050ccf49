/* diff: rows of one key, from two files, held against each other.
 *
 *     OLD ──> in order? ──┐ both: merged as they are read
 *     NEW ──> in order? ──┴ else: an index of (key's hash, offset) a file, joined, and rows read where they lie
 *
 * Both files are looked through first, heads only. Rows whose lines end alike, from the measures on, are not parsed beyond their heads; what
 * differs between others is worked out by diff_changes.c. */
#include "esteem/diff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jv.h>
#include <xxhash.h>

#include "esteem/command.h"
#include "esteem/err.h"
#include "diff_changes.h"
#include "diff_rank.h"
#include "row_lines.h"

struct diff {
    struct row_lines file[2]; /* old, new */
    const char *const *name;  /* theirs */
    bool json;
    FILE *out;
    struct diff_rank *rank; /* NULL: rows are told in the files' order */
    int failed;             /* of the rank */
    struct diff_counts *counts;
    jv by_name; /* rows that differ in it, by measure and metric */
};

enum { OLD, NEW };

/* ---- telling it ---- */

static void put_line(jv value, FILE *out)
{
    jv text = jv_dump_string(value, 0);
    fprintf(out, "%s\n", jv_string_value(text));
    jv_free(text);
}

static jv key_json(jv head)
{
    static const char *const names[] = {"tenant", "scope", "window", "start"};
    jv key = jv_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        key = jv_object_set(key, jv_string(names[i]), row_member(head, names[i]));
    return key;
}

static void put_key(const struct row_key *key, jv head, FILE *out)
{
    char *start = row_text(head, "start");
    fprintf(out, "%s %s %s %s", key->tenant, key->scope, key->window, start);
    free(start);
}

/* What was told of a row is whole. */
static void told(struct diff *diff, double weight)
{
    if (diff->rank && diff->failed == 0)
        diff->failed = diff_rank_end(diff->rank, weight);
}

/* A window that has nothing any more is told once, empty, and lies on in Redis and the topics; compute prints no such row. */
static int row_is_empty(const struct row_lines *lines, bool *empty)
{
    jv row;
    int result = row_lines_parse(lines, &row);
    if (result != 0)
        return result;
    *empty = jv_object_length(diff_object(row_member(row, "measures"))) == 0 && jv_object_length(diff_object(row_member(row, "metrics"))) == 0;
    jv_free(row);
    return 0;
}

/* Of a row that is in one file only, the newest that was parsed there. */
static int tell_only(struct diff *diff, int which, const struct row_key *key, jv head)
{
    bool empty;
    int result = row_is_empty(&diff->file[which], &empty);
    if (result != 0 || empty)
        return result;
    *(which == OLD ? &diff->counts->only_old : &diff->counts->only_new) += 1;
    if (diff->json) {
        put_line(jv_object_set(key_json(head), jv_string("only"), jv_string(which == OLD ? "old" : "new")), diff->out);
    } else {
        put_key(key, head, diff->out);
        fprintf(diff->out, ": only in %s\n", diff->name[which]);
    }
    told(diff, -1);
    return 0;
}

/* Counts each name of `changes` (borrowed) once. */
static void count_names(struct diff *diff, jv changes)
{
    for (int i = jv_object_iter(changes); jv_object_iter_valid(changes, i); i = jv_object_iter_next(changes, i)) {
        jv key = jv_object_iter_key(changes, i), seen = row_member(diff->by_name, jv_string_value(key));
        double count = jv_get_kind(seen) == JV_KIND_NUMBER ? jv_number_value(seen) : 0;
        jv_free(seen);
        diff->by_name = jv_object_set(diff->by_name, key, jv_number(count + 1));
    }
}

/* Takes `changes`. */
static void tell_changes(struct diff *diff, const struct row_key *key, jv head, jv changes)
{
    static const char *const counted[] = {"fields", "measures", "metrics"};
    diff->counts->differing++;
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        jv part = diff_object(row_member(changes, counted[i]));
        count_names(diff, part);
        jv_free(part);
    }
    if (diff->json) {
        put_line(jv_object_merge(key_json(head), changes), diff->out);
        return;
    }
    put_key(key, head, diff->out);
    fputc('\n', diff->out);
    diff_put(changes, diff->out);
}

static void tell_summary(struct diff *diff)
{
    const struct diff_counts *counts = diff->counts;
    if (diff->json) {
        jv summary = jv_object();
        summary = jv_object_set(summary, jv_string("compared"), jv_number((double)counts->compared));
        summary = jv_object_set(summary, jv_string("differing"), jv_number((double)counts->differing));
        summary = jv_object_set(summary, jv_string("only_old"), jv_number((double)counts->only_old));
        summary = jv_object_set(summary, jv_string("only_new"), jv_number((double)counts->only_new));
        summary = jv_object_set(summary, jv_string("replaced"), jv_number((double)counts->replaced));
        summary = jv_object_set(summary, jv_string("rows_by_name"), jv_copy(diff->by_name));
        put_line(jv_object_set(jv_object(), jv_string("summary"), summary), diff->out);
        return;
    }
    fprintf(diff->out, "%" PRId64 " rows compared, %" PRId64 " differ, %" PRId64 " only in %s, %" PRId64 " only in %s\n", counts->compared,
            counts->differing, counts->only_old, diff->name[OLD], counts->only_new, diff->name[NEW]);
    if (counts->replaced)
        fprintf(diff->out, "%" PRId64 " rows left out: a later one of the same key is in the same file\n", counts->replaced);
    for (int i = jv_object_iter(diff->by_name); jv_object_iter_valid(diff->by_name, i); i = jv_object_iter_next(diff->by_name, i)) {
        jv name = jv_object_iter_key(diff->by_name, i), count = jv_object_iter_value(diff->by_name, i);
        fprintf(diff->out, "  %s differs in %.0f rows\n", jv_string_value(name), jv_number_value(count));
        jv_free(name);
        jv_free(count);
    }
}

/* ---- a row at a time ---- */

struct head {
    struct row_key key;
    jv row;           /* what stands before the measures */
    const char *tail; /* the rest of the line */
};

/* 1, 0 at the end, ERR_*. */
static int head_parse(const struct row_lines *lines, struct head *head)
{
    *head = (struct head){.row = jv_null()};
    int result = row_lines_head(lines, &head->row, &head->tail);
    if (result != 0)
        return result;
    result = row_key_of(head->row, &head->key);
    if (result == 0)
        return 1;
    jv_free(head->row);
    head->row = jv_null();
    return err_note("%s:%" PRId64, lines->path, lines->line);
}

static int head_next(struct row_lines *lines, struct head *head)
{
    *head = (struct head){.row = jv_null()};
    int result = row_lines_next(lines);
    return result <= 0 ? result : head_parse(lines, head);
}

static void head_close(struct head *head)
{
    row_key_close(&head->key);
    jv_free(head->row);
    head->row = jv_null();
}

static int compare_pair(struct diff *diff, const struct head *before, const struct head *after)
{
    diff->counts->compared++;
    if (*before->tail && strcmp(before->tail, after->tail) == 0 && diff_same_fields(before->row, after->row))
        return 0;
    jv a, b;
    int result = row_lines_parse(&diff->file[OLD], &a);
    if (result != 0)
        return result;
    result = row_lines_parse(&diff->file[NEW], &b);
    if (result == 0) {
        jv changes = diff_of(a, b);
        if (jv_object_length(jv_copy(changes)) > 0) {
            double weight = diff->rank ? diff_weight(changes, b) : 0;
            tell_changes(diff, &after->key, after->row, changes);
            told(diff, weight);
        } else
            jv_free(changes);
        jv_free(b);
    }
    jv_free(a);
    return result;
}

/* ---- files in order ---- */

static int merge(struct diff *diff)
{
    struct head head[2];
    int result[2] = {head_next(&diff->file[OLD], &head[OLD]), head_next(&diff->file[NEW], &head[NEW])};
    int error = 0;
    while (result[OLD] >= 0 && result[NEW] >= 0 && (result[OLD] || result[NEW]) && error == 0) {
        int order = !result[OLD] ? 1 : !result[NEW] ? -1 : row_key_compare(&head[OLD].key, &head[NEW].key);
        if (order == 0)
            error = compare_pair(diff, &head[OLD], &head[NEW]);
        else
            error = tell_only(diff, order < 0 ? OLD : NEW, &head[order < 0 ? OLD : NEW].key, head[order < 0 ? OLD : NEW].row);
        for (int which = OLD; which <= NEW; which++)
            if (which == OLD ? order <= 0 : order >= 0) {
                head_close(&head[which]);
                result[which] = head_next(&diff->file[which], &head[which]);
            }
    }
    head_close(&head[OLD]);
    head_close(&head[NEW]);
    return error ? error : result[OLD] < 0 ? result[OLD] : result[NEW] < 0 ? result[NEW] : 0;
}

/* ---- files in any order ---- */

struct place {
    XXH128_hash_t key;
    int64_t offset, line;
};

struct places {
    struct place *place;
    size_t count, room;
};

static XXH128_hash_t key_hash(const struct row_key *key)
{
    struct { XXH128_hash_t text; int64_t start_ms; } whole;
    memset(&whole, 0, sizeof whole);
    whole.text = XXH3_128bits(key->text, (size_t)(key->window - key->text) + strlen(key->window));
    whole.start_ms = key->start_ms;
    return XXH3_128bits(&whole, sizeof whole);
}

static int by_key_offset(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    int order = XXH128_cmp(&a->key, &b->key);
    return order ? order : a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Of rows of one key the last one stays. */
static void places_settle(struct places *places, struct diff_counts *counts)
{
    size_t kept = 0;
    if (places->count)
        qsort(places->place, places->count, sizeof *places->place, by_key_offset);
    for (size_t i = 0; i < places->count; i++)
        if (i + 1 == places->count || !XXH128_isEqual(places->place[i].key, places->place[i + 1].key))
            places->place[kept++] = places->place[i];
    counts->replaced += (int64_t)(places->count - kept);
    places->count = kept;
}

/* Looks a file through: whether it is in order, each key once, and, with `places`, where its rows are. */
static int survey(struct row_lines *lines, bool *in_order, struct places *places)
{
    struct head head, last = {.row = jv_null()};
    int result;
    *in_order = true;
    while ((result = head_next(lines, &head)) > 0) {
        if (last.key.text && row_key_compare(&last.key, &head.key) >= 0)
            *in_order = false;
        if (places) {
            if (places->count == places->room) {
                places->room = places->room ? places->room * 2 : 1024;
                places->place = realloc(places->place, places->room * sizeof *places->place);
                ensure(places->place != NULL, "the machine has memory left");
            }
            places->place[places->count++] = (struct place){key_hash(&head.key), lines->offset, lines->line};
        }
        head_close(&last);
        last = head;
        if (!*in_order && !places)
            break;
    }
    head_close(&last);
    return result < 0 ? result : 0;
}

/* A row of either file, or of both; in OLD's order, then what only NEW has in its own. */
struct pair {
    const struct place *at[2];
};

static int by_place(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    if (!a->at[OLD] != !b->at[OLD])
        return a->at[OLD] ? -1 : 1;
    int which = a->at[OLD] ? OLD : NEW;
    return a->at[which]->offset < b->at[which]->offset ? -1 : a->at[which]->offset > b->at[which]->offset;
}

static size_t join(const struct places *old, const struct places *new, struct pair *pairs)
{
    size_t count = 0;
    for (size_t i = 0, k = 0; i < old->count || k < new->count; count++) {
        int order = i == old->count ? 1 : k == new->count ? -1 : XXH128_cmp(&old->place[i].key, &new->place[k].key);
        pairs[count] = (struct pair){{order <= 0 ? &old->place[i] : NULL, order >= 0 ? &new->place[k] : NULL}};
        i += order <= 0;
        k += order >= 0;
    }
    return count;
}

static int compare_places(struct diff *diff, const struct pair *pair)
{
    struct head head[2] = {{.row = jv_null()}, {.row = jv_null()}};
    int result = 1;
    for (int which = OLD; which <= NEW && result > 0; which++)
        if (pair->at[which]) {
            result = row_lines_at(&diff->file[which], pair->at[which]->offset, pair->at[which]->line);
            if (result > 0)
                result = head_parse(&diff->file[which], &head[which]);
        }
    if (result > 0 && pair->at[OLD] && pair->at[NEW])
        result = compare_pair(diff, &head[OLD], &head[NEW]);
    else if (result > 0)
        result = tell_only(diff, pair->at[OLD] ? OLD : NEW, &head[pair->at[OLD] ? OLD : NEW].key, head[pair->at[OLD] ? OLD : NEW].row);
    head_close(&head[OLD]);
    head_close(&head[NEW]);
    return result < 0 ? result : 0;
}

static int compare_in_any_order(struct diff *diff)
{
    struct places places[2] = {{0}, {0}};
    bool in_order;
    int result = 0;
    for (int which = OLD; which <= NEW && result == 0; which++) {
        result = survey(&diff->file[which], &in_order, &places[which]);
        places_settle(&places[which], diff->counts);
    }
    struct pair *pairs = calloc(places[OLD].count + places[NEW].count + 1, sizeof *pairs);
    ensure(pairs != NULL, "the machine has memory left");
    size_t count = result == 0 ? join(&places[OLD], &places[NEW], pairs) : 0;
    if (count)
        qsort(pairs, count, sizeof *pairs, by_place);
    for (size_t i = 0; i < count && result == 0; i++)
        result = compare_places(diff, &pairs[i]);
    free(pairs);
    free(places[OLD].place);
    free(places[NEW].place);
    return result;
}

/* ---- the whole ---- */

static int rewind_lines(struct row_lines *lines)
{
    if (fseeko(lines->file, 0, SEEK_SET) != 0)
        return err_set(ERR_IO, "%s: it has to be a file, it is read twice: %s", lines->path, strerror(errno));
    lines->line = lines->next = 0;
    return 0;
}

int diff_rows(const struct diff_setup *setup, struct diff_counts *counts)
{
    struct diff_rank rank = {0};
    struct diff diff = {.name = setup->name, .json = setup->json, .out = setup->out, .counts = counts, .by_name = jv_object()};
    bool in_order[2] = {true, true};
    int result = setup->by_size ? diff_rank_open(&rank) : 0;
    *counts = (struct diff_counts){0};
    if (setup->by_size && result == 0) {
        diff.rank = &rank;
        diff.out = rank.spool;
    }
    for (int which = OLD; which <= NEW && result == 0; which++) {
        result = row_lines_open(&diff.file[which], setup->path[which]);
        if (result == 0)
            result = survey(&diff.file[which], &in_order[which], NULL);
        if (result == 0)
            result = rewind_lines(&diff.file[which]);
    }
    counts->in_order = in_order[OLD] && in_order[NEW];
    if (result == 0)
        result = counts->in_order ? merge(&diff) : compare_in_any_order(&diff);
    result = result ? result : diff.failed;
    if (result == 0 && diff.rank)
        result = diff_rank_print(&rank, setup->out);
    diff.out = setup->out;
    if (result == 0)
        tell_summary(&diff);
    diff_rank_close(&rank);
    jv_free(diff.by_name);
    row_lines_close(&diff.file[OLD]);
    row_lines_close(&diff.file[NEW]);
    return result;
}

int diff_files(const char *old_path, const char *new_path, bool json, FILE *out, struct diff_counts *counts)
{
    struct diff_setup setup = {.path = {old_path, new_path}, .name = {old_path, new_path}, .json = json, .out = out};
    return diff_rows(&setup, counts);
}

int diff_main(const char *old_path, const char *new_path, bool json)
{
    struct diff_counts counts;
    int result = diff_files(old_path, new_path, json, stdout, &counts);
    if (result == 0 && fflush(stdout) != 0)
        result = err_set(ERR_IO, "standard output: %s", strerror(errno));
    if (result != 0) {
        fprintf(stderr, "esteem compute --diff: %s\n", err_text());
        return EXIT_USAGE;
    }
    return counts.differing || counts.only_old || counts.only_new ? EXIT_FAILED : EXIT_DONE;
}
