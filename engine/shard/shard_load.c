/* A shard's slice on its way into all shards. Strings get new numbers, dimensions are found by their names, each record goes to the shard that
 * owns it now. While there are as many shards as before, a slice is all for one of them, the numbers stay what they are, and
 * records are taken as they stand.
 *
 * A record says how many changes of the roster its old shard knew when it was derived last. Where the shard now has the same changes in the same
 * order, that number keeps its meaning. Else the old shard's roster is built once more, and its records are derived anew: before under
 * the old, now under the new. A slice may lack changes that were on their way to its shard: the shard that told them has them,
 * so at the end every shard gets what any slice has. */
#include "shard_parts.h"

#include <stdlib.h>
#include <string.h>

#include "esteem/combine.h"
#include "esteem/err.h"

enum { STRINGS_FIRST = 1024, DIMENSION_GONE = 255 };
#define SCOPE_GONE UINT32_MAX

/* The slice seen by one of the shards. */
struct view {
    uint32_t *string;      /* the slice's number -> the shard's; 0: not asked for yet */
    bool home;             /* this shard takes strings and roster from this slice, in their order */
    bool same;             /* its strings have the same numbers */
    bool same_roster;      /* its roster has the same changes in the same order */
    bool stale;            /* it has taken records whose numbers of the roster are not its own */
    int epoch[LEDGER_EPOCHS];     /* the slice's slot -> the ledger's; -1: none */
    int kept[LEDGER_EPOCHS], kept_count;
    uint8_t list[256];            /* the slice's lists of scopes -> the shard's */
};

struct change {
    uint32_t tenant, agent; /* in the slice's strings, like team and site of the entry */
    struct roster_entry entry;
    bool gone;              /* it is taken back */
};

struct shard_load {
    struct shard **shard;
    int shards;
    struct intern strings; /* of the slice, with its numbers */
    uint32_t room;         /* of the views' string tables */
    struct view *view;
    uint8_t dimension[DIMENSION_MAX];
    bool same_dimensions, rule_gone; /* rule_gone: the epoch at hand has a rule on a dimension that is gone */
    uint64_t lacks[4];     /* measures that its writer did not know */
    struct change *change;
    uint32_t changes, change_room;
    bool from_file; /* some are of roster.file */
    struct shard_input *input;
    int inputs, input_room;
};

static int bad(const char *what)
{
    return err_set(ERR_DATA, "%s is not well-formed", what);
}

struct shard_load *shard_load_new(struct shard **shards, int count, int slice, int slices, const uint64_t known[4])
{
    struct shard_load *load = calloc(1, sizeof *load);
    ensure(load != NULL, "the machine has memory left");
    load->shard = shards;
    load->shards = count;
    for (int s = 0; s < count; s++)
        relay_loading(&shards[s]->relay);
    load->view = calloc((size_t)count, sizeof *load->view);
    ensure(load->view != NULL, "the machine has memory left");
    intern_init(&load->strings);
    for (int m = 0; m < MEASURE_COUNT; m++)
        load->lacks[m / 64] |= (~known[m / 64] >> m % 64 & 1) << m % 64;
    for (int s = 0; s < count; s++) {
        shards[s]->restored_without_now |= load->lacks[MEASURE_agents_ready / 64] >> MEASURE_agents_ready % 64 & 1;
        load->view[s].home = load->view[s].same = load->view[s].same_roster = slices == count ? s == slice : slice == 0;
        memset(load->view[s].epoch, 0xff, sizeof load->view[s].epoch);
    }
    return load;
}

/* The shard's number of a string of the slice. */
static uint32_t string(struct shard_load *load, int s, uint32_t id)
{
    uint32_t *ours = &load->view[s].string[id];
    if (id && *ours == 0)
        *ours = intern_put(&load->shard[s]->strings, intern_text(&load->strings, id), intern_length(&load->strings, id));
    return id ? *ours : 0;
}

/* ---- names and strings ---- */

/* Numbers of types and fields are in the packed facts: those of an older version must be the first of ours. */
static int check_order(const struct slice_names *names, const char *const *ours, uint32_t count)
{
    for (uint32_t i = 0; i < names->count; i++)
        if (i >= count || strcmp(names->name[i], ours[i]) != 0)
            return err_set(ERR_DATA, "its events are of another version of esteem (%s %s); start that version, or begin anew with state.start: clean",
                           names->table, names->name[i]);
    return 0;
}

static int load_names(struct shard_load *load, struct slice_item *item)
{
    struct slice_names names;
    if (!slice_get_names(item, &names))
        return bad("a table of names");
    if (strcmp(names.table, "types") == 0)
        return check_order(&names, event_type_names, EVENT_COUNT);
    if (strcmp(names.table, "fields") == 0)
        return check_order(&names, field_names, FIELD_COUNT);
    if (strcmp(names.table, "dimensions") != 0)
        return 0;
    if (names.count > DIMENSION_MAX)
        return bad("the list of dimensions");
    load->same_dimensions = true;
    memset(load->dimension, DIMENSION_GONE, sizeof load->dimension);
    for (uint32_t i = 0; i < names.count; i++) {
        int ours = config_dimension_find(load->shard[0]->config, names.name[i]);
        load->dimension[i] = ours < 0 ? DIMENSION_GONE : (uint8_t)ours;
        load->same_dimensions &= ours == (int)i;
    }
    return 0;
}

static void grow_strings(struct shard_load *load)
{
    uint32_t room = load->room ? load->room * 2 : STRINGS_FIRST;
    for (int s = 0; s < load->shards; s++) {
        struct view *view = &load->view[s];
        view->string = realloc(view->string, room * sizeof *view->string);
        ensure(view->string != NULL, "the machine has memory left");
        memset(view->string + load->room, 0, (room - load->room) * sizeof *view->string);
    }
    load->room = room;
}

static int load_string(struct shard_load *load, struct slice_item *item)
{
    uint32_t length, before = load->strings.count;
    const char *text = slice_get_text(item, &length);
    if (item->bad || length == 0)
        return bad("a string");
    uint32_t id = intern_put(&load->strings, text, length);
    if (id != before + 1)
        return bad("a string that stands twice");
    if (id >= load->room)
        grow_strings(load);
    for (int s = 0; s < load->shards; s++)
        if (load->view[s].home)
            load->view[s].same &= string(load, s, id) == id;
    return 0;
}

/* ---- roster and epochs ---- */

static struct roster_entry entry_for(struct shard_load *load, int s, const struct change *change)
{
    struct roster_entry entry = change->entry;
    entry.team = string(load, s, entry.team);
    entry.site = string(load, s, entry.site);
    return entry;
}

/* A change of the slice, in this roster. */
static bool change_roster(struct shard_load *load, int s, const struct change *change, struct roster *roster)
{
    struct roster_entry entry = entry_for(load, s, change);
    uint32_t tenant = string(load, s, change->tenant), agent = string(load, s, change->agent);
    return change->gone ? roster_drop(roster, tenant, agent, &entry) : roster_put(roster, tenant, agent, &entry);
}

static int load_roster(struct shard_load *load, struct slice_item *item)
{
    struct change change = {.tenant = (uint32_t)slice_get(item), .agent = (uint32_t)slice_get(item)};
    change.entry.time_ms = slice_get_signed(item);
    change.entry.id_hash = slice_get_u64(item);
    uint64_t flags = slice_get(item);
    change.entry.enrolled = flags & 1;
    change.entry.ineligible = flags >> 1 & 1;
    change.gone = flags >> 2 & 1;
    change.entry.file = item->kind == SLICE_ROSTER_FILE;
    load->from_file |= change.entry.file;
    change.entry.team = (uint32_t)slice_get(item);
    change.entry.site = (uint32_t)slice_get(item);
    uint32_t count = load->strings.count;
    if (item->bad || change.tenant > count || change.agent > count || change.agent == 0 || change.entry.team > count || change.entry.site > count)
        return bad("a roster entry");
    if (load->changes == load->change_room) {
        load->change_room = load->change_room ? load->change_room * 2 : 256;
        load->change = realloc(load->change, load->change_room * sizeof *load->change);
        ensure(load->change != NULL, "the machine has memory left");
    }
    load->change[load->changes++] = change;
    for (int s = 0; s < load->shards; s++) {
        if (!load->view[s].home)
            continue;
        struct roster *roster = load->shard[s]->roster;
        load->view[s].same_roster &= change_roster(load, s, &change, roster) && roster_sequence(roster) == load->changes;
    }
    return 0;
}

static bool get_dims(struct shard_load *load, struct slice_item *item, struct dims *dims)
{
    memset(dims, 0, sizeof *dims);
    for (int i = 0; i < DIMENSION_MAX; i++) {
        uint64_t id = slice_get(item);
        if (id > load->strings.count)
            return false;
        load->rule_gone |= id && load->dimension[i] == DIMENSION_GONE;
        if (id && load->dimension[i] != DIMENSION_GONE)
            dims->id[load->dimension[i]] = (uint32_t)id;
    }
    return !item->bad;
}

/* The mask in our dimensions; SCOPE_GONE: the configuration lacks one of them. One of before there were distinct agents lacks SCOPE_AGENTS: nothing
 * has to be taken back from theirs. */
static uint32_t scope_mask(const struct shard_load *load, uint64_t theirs)
{
    uint32_t mask = 0;
    for (int i = 0; i < DIMENSION_MAX; i++) {
        if (theirs >> i & 1 && load->dimension[i] == DIMENSION_GONE)
            return SCOPE_GONE;
        if (theirs >> i & 1)
            mask |= 1u << load->dimension[i];
    }
    return mask | (uint32_t)(theirs & SCOPE_AGENTS);
}

static bool configured(const struct config *config, uint32_t mask)
{
    for (int s = 0; s < config->scope_count; s++)
        if (config->scope[s].dimensions == mask)
            return true;
    return false;
}

/* Scopes that are gone have no keys any more: nothing may be taken back from them. */
static bool get_scopes(struct shard_load *load, struct slice_item *item, uint32_t *masks, int *count)
{
    uint64_t scopes = slice_get(item);
    *count = 0;
    for (uint64_t s = 0; s < scopes && s < CONFIG_SCOPE_MAX; s++) {
        uint32_t mask = scope_mask(load, slice_get(item));
        if (mask != SCOPE_GONE && configured(load->shard[0]->config, mask & ~SCOPE_AGENTS))
            masks[(*count)++] = mask;
    }
    return !item->bad && scopes <= CONFIG_SCOPE_MAX;
}

static bool get_settings(struct shard_load *load, struct slice_item *item, struct derive_settings *settings)
{
    settings->retention_ms = (int64_t)slice_get(item);
    settings->sl_threshold_ms = (int64_t)slice_get(item);
    settings->short_abandon_ms = (int64_t)slice_get(item);
    settings->top_box = (int)slice_get(item);
    settings->attribution = (enum attribution)slice_get(item);
    uint64_t bands = slice_get(item);
    for (uint64_t b = 0; b < bands && b < CONFIG_BAND_MAX; b++)
        settings->band_ms[b] = (int64_t)slice_get(item);
    uint64_t rules = slice_get(item);
    settings->band_count = (int)bands;
    settings->rule_count = (int)rules;
    bool good = bands <= CONFIG_BAND_MAX && rules <= CONFIG_RULE_MAX;
    for (uint64_t r = 0; good && r < rules; r++) {
        settings->rule[r].threshold_ms = (int64_t)slice_get(item);
        good = get_dims(load, item, &settings->rule[r].match);
    }
    return good && !item->bad;
}

static int load_epoch(struct shard_load *load, struct slice_item *item)
{
    struct epoch epoch;
    uint32_t masks[CONFIG_SCOPE_MAX];
    int scopes;
    memset(&epoch, 0, sizeof epoch); /* epochs are compared by their bytes */
    load->rule_gone = false;
    uint64_t slot = slice_get(item);
    if (slot >= LEDGER_EPOCHS || !get_scopes(load, item, masks, &scopes) || !get_settings(load, item, &epoch.settings))
        return bad("an epoch");
    if (load->rule_gone) /* what was told by it could not be taken back */
        return err_set(ERR_DATA, "it was made under a service level rule on a dimension that the configuration no longer has: put that back into `dimensions`,"
                       " or begin anew with state.start: clean");
    epoch.settings.now = true;
    memcpy(epoch.settings.lacks, load->lacks, sizeof epoch.settings.lacks);
    for (int s = 0; s < load->shards; s++) {
        struct view *view = &load->view[s];
        struct epoch ours = epoch;
        ours.scopes = combine_scopes_of(load->shard[s]->combine, masks, scopes);
        for (int r = 0; r < ours.settings.rule_count; r++)
            for (int i = 0; i < DIMENSION_MAX; i++)
                ours.settings.rule[r].match.id[i] = string(load, s, epoch.settings.rule[r].match.id[i]);
        view->epoch[slot] = ledger_epoch_keep(load->shard[s]->ledger, &ours);
        if (view->epoch[slot] < 0)
            return err_set(ERR_DATA, "it has more than %d sets of settings; begin anew with state.start: clean", LEDGER_EPOCHS);
        bool again = false; /* each file of a chain names them all */
        for (int e = 0; e < view->kept_count; e++)
            again |= view->kept[e] == view->epoch[slot];
        if (again)
            ledger_epoch_let_go(load->shard[s]->ledger, view->epoch[slot]);
        else
            view->kept[view->kept_count++] = view->epoch[slot];
    }
    return 0;
}

/* ---- records ---- */

/* The log in the shard's strings and our dimensions; false when a number is unknown. */
static bool renumber(struct shard_load *load, int s, struct ledger_saved *saved, uint8_t **log)
{
    uint32_t room = 0, length = 0;
    for (uint32_t at = 0; at < saved->length; at += fact_length(saved->log + at))
        room += FACT_BYTES_MAX;
    uint8_t *to = *log = malloc(room);
    ensure(to != NULL, "the machine has memory left");
    for (uint32_t at = 0; at < saved->length;) {
        struct fact theirs, ours;
        at += fact_unpack(saved->log + at, &theirs);
        ours = theirs;
        ours.dimensions = 0;
        for (uint32_t left = theirs.dimensions; left; left &= left - 1) {
            int i = __builtin_ctz(left);
            if (theirs.dimension[i] > load->strings.count)
                return false;
            if (load->dimension[i] == DIMENSION_GONE)
                continue;
            ours.dimensions |= 1u << load->dimension[i];
            ours.dimension[load->dimension[i]] = string(load, s, theirs.dimension[i]);
        }
        length += fact_pack(&ours, to + length);
    }
    saved->log = to;
    saved->length = length;
    return true;
}

static int load_record(struct shard_load *load, struct slice_item *item)
{
    struct ledger_saved saved;
    if (!ledger_saved_read(item, &saved) || saved.tenant > load->strings.count || saved.epoch >= LEDGER_EPOCHS)
        return bad("an interaction");
    if (load->shard[0]->route)
        saved.home = LEDGER_HOME_HASH;
    int s = ledger_owner(saved.key, saved.home, load->shards);
    struct view *view = &load->view[s];
    if (view->epoch[saved.epoch] < 0)
        return bad("an interaction's epoch");
    uint8_t *log = NULL;
    if ((!view->same || !load->same_dimensions) && !renumber(load, s, &saved, &log)) {
        free(log);
        return bad("a fact");
    }
    saved.tenant = string(load, s, saved.tenant);
    saved.epoch = (uint32_t)view->epoch[saved.epoch];
    view->stale |= !view->same_roster;
    ledger_load(load->shard[s]->ledger, &saved, !view->same_roster);
    free(log);
    return 0;
}

static int load_gone(struct shard_load *load, struct slice_item *item)
{
    struct ledger_key key;
    if (!ledger_gone_read(item, &key))
        return bad("a forgotten interaction");
    for (int s = 0; s < load->shards; s++) /* it does not say where its home was */
        ledger_load_gone(load->shard[s]->ledger, key);
    return 0;
}

/* ---- books ---- */

static int load_list(struct shard_load *load, struct slice_item *item)
{
    uint32_t masks[CONFIG_SCOPE_MAX];
    int scopes;
    uint64_t list = slice_get(item);
    if (list > UINT8_MAX || !get_scopes(load, item, masks, &scopes))
        return bad("a list of scopes");
    for (int s = 0; s < load->shards; s++)
        load->view[s].list[list] = (uint8_t)combine_scopes_of(load->shard[s]->combine, masks, scopes);
    return 0;
}

static int page_owner(const struct shard_load *load, const struct book_saved *saved)
{
    if (saved->book == BOOK_VISITS)
        return relay_owner_of_customer(saved->who, load->shards);
    return relay_owner_of_agent(intern_text(&load->strings, saved->tenant), intern_text(&load->strings, (uint32_t)saved->who), load->shards);
}

/* The entry's dimensions in the shard's strings; false when a number is unknown. */
static bool renumber_dims(struct shard_load *load, int s, const struct dims *theirs, struct dims *ours)
{
    *ours = (struct dims){{0}};
    for (int i = 0; i < DIMENSION_MAX; i++) {
        if (theirs->id[i] > load->strings.count)
            return false;
        if (theirs->id[i] && load->dimension[i] != DIMENSION_GONE)
            ours->id[load->dimension[i]] = string(load, s, theirs->id[i]);
    }
    return true;
}

static int load_page(struct shard_load *load, struct slice_item *item)
{
    struct book_saved saved;
    if (!book_saved_read(item, &saved) || saved.book >= BOOK_COUNT || saved.tenant > load->strings.count ||
        (saved.book != BOOK_VISITS && saved.who > load->strings.count))
        return bad("a page of a book");
    int s = page_owner(load, &saved);
    struct book *book = relay_book(&load->shard[s]->relay, saved.book);
    uint32_t tenant = string(load, s, saved.tenant);
    uint64_t who = saved.book == BOOK_VISITS ? saved.who : string(load, s, (uint32_t)saved.who);
    struct book_entry entry;
    struct dims theirs, ours;
    struct book_place place;
    book_load_page(book, tenant, who, saved.page);
    while (book_saved_entry(&saved, &entry, &theirs)) {
        if (!renumber_dims(load, s, &theirs, &ours))
            return bad("the dimensions of an entry");
        entry.scopes = load->view[s].list[entry.scopes];
        (void)book_put(book, tenant, who, &entry, &ours, &place);
    }
    return saved.rest.bad ? bad("an entry of a book") : 0;
}

/* ---- clocks and inputs ---- */

static int load_head(struct shard_load *load, struct slice_item *item)
{
    int64_t watermark_ms = slice_get_signed(item), newest_ms = slice_get_signed(item);
    bool inexact = slice_get(item), route = slice_get(item), told = item->at < item->end;
    bool partial = told ? slice_get(item) : true; /* older versions did not say */
    int64_t oldest_ms = told ? slice_get_signed(item) : INT64_MAX;
    int64_t forgotten_ms = item->at < item->end ? slice_get_signed(item) : INT64_MIN; /* likewise */
    for (int s = 0; s < load->shards; s++) {
        struct shard *shard = load->shard[s];
        shard->all_watermark_ms = watermark_ms > shard->all_watermark_ms ? watermark_ms : shard->all_watermark_ms;
        shard->newest_ms = newest_ms > shard->newest_ms ? newest_ms : shard->newest_ms;
        shard->oldest_ms = oldest_ms < shard->oldest_ms ? oldest_ms : shard->oldest_ms;
        shard->forgotten_ms = forgotten_ms > shard->forgotten_ms ? forgotten_ms : shard->forgotten_ms;
        shard->inexact |= inexact;
        shard->partial |= partial;
        shard->route |= route; /* what is owned by hash stays so */
    }
    for (int i = 0; i < load->inputs; i++) /* each file of a chain names all inputs again */
        free(load->input[i].topic);
    load->inputs = 0;
    return item->bad ? bad("the clocks") : 0;
}

static int load_input(struct shard_load *load, struct slice_item *item)
{
    uint32_t length;
    const char *topic = slice_get_text(item, &length);
    uint64_t partition = slice_get(item);
    int64_t next = slice_get_signed(item), newest_ms = slice_get_signed(item);
    if (item->bad || partition > INT32_MAX)
        return bad("a partition");
    if (load->inputs == load->input_room) {
        load->input_room = load->input_room ? load->input_room * 2 : 64;
        load->input = realloc(load->input, (size_t)load->input_room * sizeof *load->input);
        ensure(load->input != NULL, "the machine has memory left");
    }
    load->input[load->inputs++] = (struct shard_input){strdup(topic), (int32_t)partition, next, newest_ms};
    return 0;
}

int shard_load_item(struct shard_load *load, struct slice_item *item)
{
    switch (item->kind) {
    case SLICE_SHARD: return load_head(load, item);
    case SLICE_NAMES: return load_names(load, item);
    case SLICE_INPUT: return load_input(load, item);
    case SLICE_STRING: return load_string(load, item);
    case SLICE_ROSTER: case SLICE_ROSTER_FILE: return load_roster(load, item);
    case SLICE_EPOCH: return load_epoch(load, item);
    case SLICE_RECORD: return load_record(load, item);
    case SLICE_RECORD_GONE: return load_gone(load, item);
    case SLICE_LIST: return load_list(load, item);
    case SLICE_BOOK_PAGE: case SLICE_BOOK_GONE: return load_page(load, item);
    case SLICE_END: return 0;
    default: return err_set(ERR_DATA, "it has items of a newer version of esteem (kind %d); start that version", (int)item->kind);
    }
}

/* The slice's changes that this shard does not know yet: news, as if they came now. Those of roster.file every shard takes from there. */
static void unite(struct shard_load *load, int s)
{
    for (uint32_t i = 0; i < load->changes; i++)
        if (!load->change[i].entry.file)
            (void)change_roster(load, s, &load->change[i], load->shard[s]->roster);
}

/* Records whose numbers of the roster are those of their old shard. */
static void settle(struct shard_load *load, int s)
{
    struct roster *then = roster_new();
    for (uint32_t i = 0; i < load->changes; i++)
        (void)change_roster(load, s, &load->change[i], then);
    unite(load, s);
    bool same = !load->from_file && roster_sequence(load->shard[s]->roster) == roster_sequence(then);
    ledger_settle(load->shard[s]->ledger, then, same, shard_emit, load->shard[s]);
    roster_free(then);
}

void shard_load_read(struct shard_load *load)
{
    for (int s = 0; s < load->shards; s++) {
        struct view *view = &load->view[s];
        if (view->stale)
            settle(load, s);
        for (int e = 0; e < view->kept_count; e++)
            ledger_epoch_let_go(load->shard[s]->ledger, view->kept[e]);
        view->kept_count = 0;
    }
}

struct shard_input *shard_load_end(struct shard_load *load, int *count)
{
    for (int s = 0; s < load->shards; s++) {
        unite(load, s);
        free(load->view[s].string);
    }
    struct shard_input *input = load->input;
    *count = load->inputs;
    intern_close(&load->strings);
    free(load->change);
    free(load->view);
    free(load);
    return input;
}
