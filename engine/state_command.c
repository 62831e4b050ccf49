/* esteem state: what lies in a state folder, for people: which checkpoints there are, whether they are whole, what is in them. Reads only, beside
 * a running engine as well. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/book.h"
#include "esteem/command.h"
#include "esteem/err.h"
#include "esteem/intern.h"
#include "esteem/key.h"
#include "esteem/ledger.h"
#include "esteem/manifest.h"
#include "esteem/measure.h"
#include "esteem/pane.h"

static const char help[] =
    "usage: esteem state inspect|verify|export FOLDER [--epoch N]\n"
    "\n"
    "  inspect  the checkpoints in a state folder, and what is in the newest\n"
    "  verify   reads every byte and item of all of them; exit 1 when one is not whole\n"
    "  export   a checkpoint as JSON Lines: partitions, interactions with their facts, how much is kept of customers and agents, panes and\n"
    "           calendar windows. Where it was made of increments, a later line stands for an earlier one of\n"
    "           the same name, and a line with \"gone\" takes it out.\n"
    "\n"
    "  --epoch N  that checkpoint instead of the newest\n";

enum { MEASURE_NAMES = HISTOGRAM_FIRST_ID, ITEMS_AGENT_KEYS = SLICE_KINDS /* of the keys, an agent's within another */, ITEMS };

enum table { TABLE_TYPES, TABLE_FIELDS, TABLE_DIMENSIONS, TABLE_MEASURES, TABLE_CALENDAR, TABLES };
static const char *const table_names[TABLES] = {"types", "fields", "dimensions", "measures", "calendar"};

/* What a slice has said so far: the names behind its numbers. */
struct reading {
    FILE *out; /* NULL: nothing is printed */
    uint64_t items[ITEMS];
    struct intern strings;
    char *name[TABLES][SLICE_NAMES_MAX]; /* by enum table */
    char **key; /* by number: the scope key's text */
    uint32_t keys, key_room;
};


/* ---- JSON ---- */

static void put_text(FILE *out, const char *text)
{
    putc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if (*at < 0x20)
            fprintf(out, "\\u%04x", *at);
        else
            putc(*at, out);
    }
    putc('"', out);
}

static const char *name_of(const struct reading *reading, enum table table, uint32_t i)
{
    return i < SLICE_NAMES_MAX && reading->name[table][i] ? reading->name[table][i] : "?";
}

static void put_runs(struct reading *reading, const uint8_t *runs, uint32_t length)
{
    static struct tally_dense dense;
    const char *comma = "";
    tally_dense_add(&dense, runs, length, 1);
    fputs(",\"measures\":{", reading->out);
    TALLY_DENSE_EACH(&dense, id) {
        if (dense.value[id] == 0)
            continue;
        fputs(comma, reading->out);
        if (id < MEASURE_NAMES)
            put_text(reading->out, name_of(reading, TABLE_MEASURES, id));
        else
            fprintf(reading->out, "\"bucket.%u\"", id - MEASURE_NAMES);
        fprintf(reading->out, ":%" PRId64, dense.value[id]);
        comma = ",";
    }
    tally_dense_clear(&dense);
    fputs("}}\n", reading->out);
}

static void put_fact(struct reading *reading, const struct fact *fact)
{
    FILE *out = reading->out;
    fprintf(out, "{\"type\":");
    put_text(out, name_of(reading, TABLE_TYPES, fact->type));
    fprintf(out, ",\"time\":%" PRId64 ",\"id_hash\":\"%016" PRIx64 "\"", fact->time_ms, fact->id_hash);
    for (uint32_t left = fact->dimensions; left; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(left);
        putc(',', out);
        put_text(out, name_of(reading, TABLE_DIMENSIONS, i));
        putc(':', out);
        put_text(out, fact->dimension[i] <= reading->strings.count ? intern_text(&reading->strings, fact->dimension[i]) : "?");
    }
    for (uint32_t left = fact->fields; left; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(left);
        putc(',', out);
        put_text(out, name_of(reading, TABLE_FIELDS, i));
        fprintf(out, ":%" PRId64, fact->field[i]);
    }
    putc('}', out);
}

/* ---- items ---- */

static void read_names(struct reading *reading, struct slice_item *item)
{
    struct slice_names names;
    if (!slice_get_names(item, &names))
        return;
    for (int t = 0; t < TABLES; t++)
        for (uint32_t i = 0; strcmp(names.table, table_names[t]) == 0 && i < names.count; i++) {
            free(reading->name[t][i]);
            reading->name[t][i] = strdup(names.name[i]);
        }
}

static void keep_key(struct reading *reading, char *text)
{
    if (reading->keys == reading->key_room) {
        reading->key_room = reading->key_room ? reading->key_room * 2 : 256;
        reading->key = realloc(reading->key, reading->key_room * sizeof *reading->key);
        ensure(reading->key != NULL, "the machine has memory left");
    }
    reading->key[reading->keys++] = text;
}

static void read_key(struct reading *reading, struct slice_item *item)
{
    char *text = NULL;
    size_t size = 0;
    uint32_t length;
    FILE *out = open_memstream(&text, &size);
    ensure(out != NULL, "the machine has memory left");
    uint64_t mask = slice_get(item);
    fputs("\"tenant\":", out);
    put_text(out, slice_get_text(item, &length));
    fputs(",\"scope\":{", out);
    for (uint32_t i = 0, first = 1; i < DIMENSION_MAX; i++)
        if (mask >> i & 1) {
            fputs(first ? "" : ",", out);
            put_text(out, name_of(reading, TABLE_DIMENSIONS, i));
            putc(':', out);
            put_text(out, slice_get_text(item, &length));
            first = 0;
        }
    putc('}', out);
    if (mask & SCOPE_AGENTS) {
        fputs(",\"agent_in_it\":", out);
        put_text(out, slice_get_text(item, &length));
        reading->items[SLICE_KEY]--;
        reading->items[ITEMS_AGENT_KEYS]++;
    }
    fclose(out);
    keep_key(reading, text);
}

/* Named by its parts. */
static bool read_bundle(struct reading *reading, struct slice_item *item)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ensure(out != NULL, "the machine has memory left");
    fputs("\"all_of\":[", out);
    for (bool first = true; item->at < item->end && !item->bad; first = false) {
        uint64_t part = slice_get(item);
        item->bad |= part >= reading->keys;
        fprintf(out, "%s{%s}", first ? "" : ",", item->bad ? "" : reading->key[part]);
    }
    putc(']', out);
    fclose(out);
    reading->items[SLICE_BUNDLE]--;
    reading->items[ITEMS_AGENT_KEYS]++;
    keep_key(reading, text);
    return !item->bad;
}

static bool read_record(struct reading *reading, struct slice_item *item)
{
    struct ledger_saved saved;
    if (!ledger_saved_read(item, &saved) || saved.tenant > reading->strings.count)
        return false;
    if (reading->out == NULL)
        return true;
    fprintf(reading->out, "{\"interaction\":\"%016" PRIx64 "%016" PRIx64 "\",\"tenant\":", saved.key.high, saved.key.low);
    put_text(reading->out, intern_text(&reading->strings, saved.tenant));
    fprintf(reading->out, ",\"last\":%" PRId64 ",\"facts\":[", saved.last_ms);
    for (uint32_t at = 0; at < saved.length;) {
        struct fact fact;
        fputs(at ? "," : "", reading->out);
        at += fact_unpack(saved.log + at, &fact);
        put_fact(reading, &fact);
    }
    fputs("]}\n", reading->out);
    return true;
}

static bool read_gone(struct reading *reading, struct slice_item *item)
{
    struct ledger_key key;
    if (!ledger_gone_read(item, &key))
        return false;
    if (reading->out)
        fprintf(reading->out, "{\"interaction\":\"%016" PRIx64 "%016" PRIx64 "\",\"gone\":true}\n", key.high, key.low);
    return true;
}

static bool read_pane(struct reading *reading, struct slice_item *item)
{
    struct pane_saved saved;
    if (!pane_saved_read(item, &saved) || (saved.runs && saved.key >= reading->keys))
        return false;
    if (reading->out == NULL || saved.key >= reading->keys)
        return true;
    fprintf(reading->out, "{\"pane\":{%s,\"start\":%" PRId64 ",\"level\":%d}", reading->key[saved.key], saved.start_ms, saved.level);
    if (saved.runs)
        put_runs(reading, saved.runs, saved.length);
    else
        fputs(",\"gone\":true}\n", reading->out);
    return true;
}

static bool read_cell(struct reading *reading, struct slice_item *item)
{
    uint64_t key = slice_get(item), window = slice_get(item), revision = 0, flags = 0;
    int64_t start_ms = slice_get_signed(item), end_ms = 0;
    uint32_t length = 0;
    const uint8_t *runs = NULL;
    bool gone = item->kind == SLICE_CELL_GONE;
    if (!gone) {
        end_ms = slice_get_signed(item);
        revision = slice_get(item);
        flags = slice_get(item);
        (void)slice_get_u64(item);
        runs = slice_get_rest(item, &length);
    }
    if (item->bad || (key >= reading->keys && !gone) || window >= SLICE_NAMES_MAX || (!gone && !tally_runs_valid(runs, length)))
        return false;
    const char *name = name_of(reading, TABLE_CALENDAR, (uint32_t)window);
    if (reading->out == NULL || key >= reading->keys || strcmp(name, "kept") == 0) /* its integers are no measures */
        return true;
    fprintf(reading->out, "{\"calendar\":{%s,\"window\":\"%s\",\"start\":%" PRId64 "}", reading->key[key], name, start_ms);
    if (gone) {
        fputs(",\"gone\":true}\n", reading->out);
        return true;
    }
    fprintf(reading->out, ",\"end\":%" PRId64 ",\"revision\":%" PRIu64 ",\"final\":%s", end_ms, revision, flags & 1 ? "true" : "false");
    put_runs(reading, runs, length);
    return true;
}

/* A page of a book: of customers no more is shown than how many entries there are, their hashes are nobody's business. */
static bool read_page(struct reading *reading, struct slice_item *item)
{
    static const char *const books[BOOK_COUNT] = {"visits", "states", "segments"};
    struct book_saved saved;
    struct book_entry entry;
    struct dims dims;
    uint32_t entries = 0;
    if (!book_saved_read(item, &saved) || saved.book >= BOOK_COUNT || saved.tenant > reading->strings.count ||
        (saved.book != BOOK_VISITS && saved.who > reading->strings.count))
        return false;
    while (book_saved_entry(&saved, &entry, &dims))
        entries++;
    if (reading->out && !saved.rest.bad) {
        fprintf(reading->out, "{\"book\":\"%s\",\"tenant\":", books[saved.book]);
        put_text(reading->out, intern_text(&reading->strings, saved.tenant));
        if (saved.book != BOOK_VISITS) {
            fputs(",\"agent\":", reading->out);
            put_text(reading->out, intern_text(&reading->strings, (uint32_t)saved.who));
        }
        if (item->kind == SLICE_BOOK_GONE)
            fputs(",\"gone\":true}\n", reading->out);
        else
            fprintf(reading->out, ",\"entries\":%" PRIu32 "}\n", entries);
    }
    return !saved.rest.bad;
}

static bool read_input(struct reading *reading, struct slice_item *item)
{
    uint32_t length;
    const char *topic = slice_get_text(item, &length);
    uint64_t partition = slice_get(item);
    int64_t next = slice_get_signed(item), newest_ms = slice_get_signed(item);
    if (reading->out == NULL || item->bad)
        return !item->bad;
    fputs("{\"topic\":", reading->out);
    put_text(reading->out, topic);
    fprintf(reading->out, ",\"partition\":%" PRIu64 ",\"next\":%" PRId64, partition, next);
    if (newest_ms != INT64_MIN)
        fprintf(reading->out, ",\"newest\":%" PRId64, newest_ms);
    fputs("}\n", reading->out);
    return true;
}

static int each_item(void *context, struct slice_item *item)
{
    struct reading *reading = context;
    uint32_t length;
    bool good = true;
    if (item->kind == SLICE_SHARD)
        reading->items[SLICE_INPUT] = 0; /* each file of a chain names all inputs again */
    reading->items[item->kind]++;
    switch (item->kind) {
    case SLICE_NAMES: read_names(reading, item); good = !item->bad; break;
    case SLICE_STRING: {
        const char *text = slice_get_text(item, &length);
        good = !item->bad && intern_put(&reading->strings, text, length) == reading->strings.count;
        break;
    }
    case SLICE_INPUT: good = read_input(reading, item); break;
    case SLICE_KEY: read_key(reading, item); good = !item->bad; break;
    case SLICE_BUNDLE: good = read_bundle(reading, item); break;
    case SLICE_RECORD: good = read_record(reading, item); break;
    case SLICE_RECORD_GONE: good = read_gone(reading, item); break;
    case SLICE_PANE: case SLICE_PANE_GONE: good = read_pane(reading, item); break;
    case SLICE_CELL: case SLICE_CELL_GONE: good = read_cell(reading, item); break;
    case SLICE_BOOK_PAGE: case SLICE_BOOK_GONE: good = read_page(reading, item); break;
    default: break;
    }
    return good ? 0 : err_set(ERR_DATA, "an item of kind %d is not well-formed", (int)item->kind);
}

static void reading_close(struct reading *reading)
{
    intern_close(&reading->strings);
    for (int t = 0; t < TABLES; t++)
        for (int i = 0; i < SLICE_NAMES_MAX; i++)
            free(reading->name[t][i]);
    for (uint32_t k = 0; k < reading->keys; k++)
        free(reading->key[k]);
    free(reading->key);
}

/* All files of a checkpoint; `items` counts what they hold. */
static int read_checkpoint(const char *folder, const struct manifest *manifest, FILE *out, uint64_t *items)
{
    int result = 0;
    for (int s = 0; s < manifest->slices && result == 0; s++) {
        struct reading *reading = calloc(1, sizeof *reading);
        ensure(reading != NULL, "the machine has memory left");
        reading->out = out;
        intern_init(&reading->strings);
        for (int f = 0; f < manifest->slice[s].files && result == 0; f++) {
            result = state_file_check(folder, &manifest->slice[s].file[f]);
            if (result == 0)
                result = state_file_read(folder, &manifest->slice[s].file[f], each_item, reading);
        }
        for (int k = 0; k < ITEMS; k++)
            items[k] += reading->items[k];
        reading_close(reading);
        free(reading);
    }
    return result;
}

/* ---- the commands ---- */

static void print_manifest(const struct manifest *manifest)
{
    uint64_t bytes = 0, files = 0;
    for (int s = 0; s < manifest->slices; s++)
        for (int f = 0; f < manifest->slice[s].files; f++, files++)
            bytes += manifest->slice[s].file[f].bytes;
    printf("epoch %" PRIu64 ": written %s by esteem %s, group %s, config %s, %d shards, %d folds, %" PRIu64 " files, %" PRIu64 " bytes\n", manifest->epoch,
           manifest->written, manifest->engine, manifest->group, manifest->config, manifest->shards, manifest->folds, files, bytes);
}

static int report(const char *what)
{
    fprintf(stderr, "esteem state: %s%s%s\n", what, *what ? ": " : "", err_text());
    err_clear();
    return EXIT_FAILED;
}

/* Each checkpoint, or the one that is asked for; `deep` reads its files. */
static int survey(const char *folder, uint64_t only, bool deep)
{
    uint64_t epochs[STATE_GENERATIONS_MAX];
    struct manifest *manifest = malloc(sizeof *manifest);
    ensure(manifest != NULL, "the machine has memory left");
    int count = manifest_list(folder, epochs), code = count < 0 ? report("") : EXIT_DONE;
    bool found = only == 0;
    for (int i = 0; i < count; i++)
        found |= epochs[i] == only;
    if (count >= 0 && (count == 0 || !found)) {
        printf("%s has no checkpoint%s\n", folder, only ? " of that epoch" : "");
        code = only || deep ? EXIT_FAILED : code; /* a backup without any is none */
    }
    for (int i = 0; i < count; i++) {
        uint64_t items[ITEMS] = {0};
        if (only && epochs[i] != only)
            continue;
        int result = manifest_read(folder, epochs[i], manifest);
        if (result == 0)
            print_manifest(manifest);
        if (result == 0 && (deep || i == 0 || only))
            result = read_checkpoint(folder, manifest, NULL, items);
        if (result != 0) {
            char what[64];
            snprintf(what, sizeof what, "epoch %" PRIu64 " is not whole", epochs[i]);
            code = report(what);
        } else if (deep || i == 0 || only) {
            printf("  whole: %" PRIu64 " partitions, %" PRIu64 " interactions written (%" PRIu64 " taken out), %" PRIu64 " strings, %" PRIu64 " keys, %" PRIu64 " agents in them, %" PRIu64
                   " panes (%" PRIu64 " taken out), %" PRIu64 " calendar windows\n", items[SLICE_INPUT], items[SLICE_RECORD], items[SLICE_RECORD_GONE],
                   items[SLICE_STRING], items[SLICE_KEY], items[ITEMS_AGENT_KEYS], items[SLICE_PANE], items[SLICE_PANE_GONE], items[SLICE_CELL]);
        }
    }
    free(manifest);
    return code;
}

static int export(const char *folder, uint64_t epoch)
{
    uint64_t epochs[STATE_GENERATIONS_MAX], items[ITEMS] = {0};
    int count = manifest_list(folder, epochs);
    if (count < 0)
        return report("");
    if (count == 0 && epoch == 0) {
        fprintf(stderr, "esteem state: %s has no checkpoint\n", folder);
        return EXIT_FAILED;
    }
    struct manifest *manifest = malloc(sizeof *manifest);
    ensure(manifest != NULL, "the machine has memory left");
    int result = manifest_read(folder, epoch ? epoch : epochs[0], manifest);
    if (result == 0)
        result = read_checkpoint(folder, manifest, stdout, items);
    free(manifest);
    return result == 0 ? EXIT_DONE : report("");
}

int command_state(int argc, char **argv)
{
    static const struct option options[] = {{"epoch", required_argument, NULL, 'e'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    uint64_t epoch = 0;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        char *end = NULL;
        if (option == 'h') {
            fputs(help, stdout);
            return EXIT_DONE;
        }
        if (option == 'e')
            epoch = strtoull(optarg, &end, 10);
        if (option != 'e' || *end || epoch == 0)
            return command_usage("state", "--epoch takes a number, as inspect prints it");
    }
    if (argc - optind != 2)
        return command_usage("state", "say what to do, and with which folder");
    const char *what = argv[optind], *folder = argv[optind + 1];
    if (strcmp(what, "inspect") == 0 || strcmp(what, "verify") == 0)
        return survey(folder, epoch, *what == 'v');
    if (strcmp(what, "export") == 0)
        return export(folder, epoch);
    return command_usage("state", "%s is not inspect, verify or export", what);
}
