/* config: the value and its life. The rows of options.def become one table here, which the reader, the identity, the
 * schema and the manual go through; the lists are rows of lists.def.
 *
 *     text --YAML--> reader (config_walk: read, option, lists, feeds) --> struct config --> id (config_id)
 *                       |
 *                       +--> faults, sorted by line */
#include "esteem/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stdatomic.h>

#include "config_parts.h"
#include "esteem/err.h"

const struct option options[] = {
#define PLACE(field) offsetof(struct config, field)
#define INTEGER(KIND, field_, key_, fallback_, low_, high_, live_, help_) \
    {.key = key_, .kind = KIND, .offset = PLACE(field_), .fallback = fallback_, .low = low_, .high = high_, \
     .change = live_, .help = help_},
#define OPTION_DURATION(field, key, fallback, low, high, live, help) \
    INTEGER(KIND_DURATION, field, key, fallback, low, high, live, help)
#define OPTION_SIZE(field, key, fallback, low, high, live, help) \
    INTEGER(KIND_SIZE, field, key, fallback, low, high, live, help)
#define OPTION_INT(field, key, fallback, low, high, live, help) \
    INTEGER(KIND_INT, field, key, fallback, low, high, live, help)
#define OPTION_REAL(field, key_, fallback_, low_, high_, live_, help_) \
    {.key = key_, .kind = KIND_REAL, .offset = PLACE(field), .real_fallback = fallback_, .real_low = low_, \
     .real_high = high_, .change = live_, .help = help_},
#define OPTION_BOOL(field, key, fallback, live, help) INTEGER(KIND_BOOL, field, key, fallback, 0, 1, live, help)
#define OPTION_WORD(field, key_, fallback_, words, live_, help_) \
    {.key = key_, .kind = KIND_WORD, .offset = PLACE(field), .fallback = fallback_, .text = words, .change = live_, \
     .help = help_},
#define OPTION_TEXT(field, key_, fallback_, live_, help_) \
    {.key = key_, .kind = KIND_TEXT, .offset = PLACE(field), .text = fallback_, .change = live_, .help = help_},
#include "esteem/options.def"
#undef INTEGER
#undef PLACE
};
const int option_count = sizeof options / sizeof *options;

const struct list lists[LIST_COUNT] = {
#define LIST(name, key_, fallback_, change_, effect_, help_) \
    {.key = key_, .fallback = fallback_, .change = change_, .effect = effect_, .help = help_},
#include "lists.def"
};

const char *const calendar_names[CALENDAR_COUNT] = {"quarter_hour", "half_hour", "hour", "day", "week", "month"};

/* Of dimensions.def again, so that the control room needs nothing of the decoder. */
static const char *const builtin_dimensions[DIMENSION_BUILTIN] = {
#define DIMENSION(name, meaning) #name,
#include "esteem/dimensions.def"
#undef DIMENSION
};

int key_count(void)
{
    return option_count + LIST_COUNT;
}

const char *key_path(int i)
{
    return i < option_count ? options[i].key : lists[i - option_count].key;
}

int option_find(const char *path)
{
    for (int i = 0; i < option_count; i++)
        if (strcmp(options[i].key, path) == 0)
            return i;
    return -1;
}

int list_find(const char *path)
{
    for (int i = 0; i < LIST_COUNT; i++)
        if (strcmp(lists[i].key, path) == 0)
            return i;
    return -1;
}

/* --- the value's life --- */

static void option_set_default(struct config *config, const struct option *option)
{
    void *field = option_at(config, option);
    switch (option->kind) {
    case KIND_DURATION:
    case KIND_SIZE:
    case KIND_INT: *(int64_t *)field = option->fallback; break;
    case KIND_REAL: *(double *)field = option->real_fallback; break;
    case KIND_BOOL: *(bool *)field = option->fallback != 0; break;
    case KIND_WORD: *(int *)field = (int)option->fallback; break;
    case KIND_TEXT: *(char **)field = text_copy(option->text); break;
    }
}

static struct config *config_new(const char *path)
{
    struct config *config = calloc(1, sizeof *config);
    ensure(config != NULL, "no memory for the configuration");
    config->path = text_copy(path);
    config->redis_head = text_copy("esteem:v1:");
    for (int i = 0; i < option_count; i++)
        option_set_default(config, &options[i]);
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (int i = 0; i < option_count; i++)
        if (options[i].kind == KIND_TEXT)
            free(*(char **)option_at(config, &options[i]));
    config_lists_free(config);
    free(config->path);
    free(config->redis_head);
    free(config);
}

/* --- reading --- */

/* By line, and within a line as they were found: insertion, since they mostly are in order. */
static void faults_sort(struct reader *reader)
{
    for (int i = 1; i < reader->fault_count; i++) {
        struct fault fault = reader->fault[i];
        int j = i;
        for (; j > 0 && reader->fault[j - 1].line > fault.line; j--)
            reader->fault[j] = reader->fault[j - 1];
        reader->fault[j] = fault;
    }
}

/* Tells every fault, sets the trail to the first, and releases them. */
static int faults_tell(struct reader *reader, FILE *out)
{
    faults_sort(reader);
    for (int i = 0; out != NULL && i < reader->fault_count; i++)
        fprintf(out, "%s:%d: %s\n", reader->file, reader->fault[i].line, reader->fault[i].text);
    if (out != NULL && reader_full(reader))
        fprintf(out, "%s:%d: file: has more faults than the %d above; mend those first\n", reader->file,
                reader->fault[FAULT_MAX - 1].line, FAULT_MAX);
    int more = reader->fault_count - 1;
    if (more > 0)
        err_set(ERR_CONFIG, "%s:%d: %s (and %d more)", reader->file, reader->fault[0].line, reader->fault[0].text, more);
    else
        err_set(ERR_CONFIG, "%s:%d: %s", reader->file, reader->fault[0].line, reader->fault[0].text);
    for (int i = 0; i < reader->fault_count; i++)
        free(reader->fault[i].text);
    return ERR_CONFIG;
}

/* The file that roster.file names has faults and lines of its own. */
static int read_roster_file(struct config *config, FILE *faults)
{
    struct reader reader = {.file = config->roster_file};
    if (*config->roster_file != '\0')
        reader_roster(&reader, config);
    return reader.fault_count > 0 ? faults_tell(&reader, faults) : 0;
}

static int parse(const char *name, const char *text, size_t length, bool without_secrets, FILE *faults, struct config **config)
{
    struct reader reader = {.file = name, .config = config_new(name), .without_secrets = without_secrets};
    *config = NULL;
    if (length > CONFIG_BYTES_MAX)
        reader_fault(&reader, 1, "file", "is longer than %d KiB; a configuration is shorter", CONFIG_BYTES_MAX / 1024);
    else
        reader_document(&reader, text, length);
    if (reader.fault_count > 0) {
        config_free(reader.config);
        return faults_tell(&reader, faults);
    }
    int result = read_roster_file(reader.config, faults);
    if (result != 0) {
        config_free(reader.config);
        return result;
    }
    static _Atomic uint64_t serial;
    config_identify(reader.config);
    reader.config->serial = atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed) + 1;
    *config = reader.config;
    return 0;
}

int config_parse(const char *name, const char *text, size_t length, FILE *faults, struct config **config)
{
    return parse(name, text, length, false, faults, config);
}

static int fault_file(const char *path, int code, FILE *faults)
{
    struct reader reader = {.file = path};
    reader_fault(&reader, 1, "file", "cannot be read: %s; name a file that can", strerror(code));
    return faults_tell(&reader, faults);
}

static int load(const char *path, bool without_secrets, FILE *faults, struct config **config)
{
    *config = NULL;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return fault_file(path, errno, faults);
    char *text = malloc(CONFIG_BYTES_MAX + 1);
    ensure(text != NULL, "no memory for the configuration");
    errno = 0;
    size_t length = fread(text, 1, CONFIG_BYTES_MAX + 1, file);
    int code = ferror(file) ? errno : 0;
    fclose(file);
    int result = code != 0 ? fault_file(path, code, faults) : parse(path, text, length, without_secrets, faults, config);
    free(text);
    return result;
}

int config_load(const char *path, FILE *faults, struct config **config)
{
    return load(path, false, faults, config);
}

int config_load_without_secrets(const char *path, FILE *faults, struct config **config)
{
    return load(path, true, faults, config);
}

/* --- questions --- */

const char *config_dimension_name(const struct config *config, int dimension)
{
    if (dimension < 0 || dimension >= DIMENSION_BUILTIN + config->own_dimension_count)
        return NULL;
    return dimension < DIMENSION_BUILTIN ? builtin_dimensions[dimension]
                                         : config->own_dimension[dimension - DIMENSION_BUILTIN];
}

bool config_has_scope(const struct config *config, uint32_t dimensions)
{
    for (int s = 0; s < config->scope_count; s++)
        if (config->scope[s].dimensions == dimensions)
            return true;
    return false;
}

int config_dimension_find(const struct config *config, const char *name)
{
    const char *known;
    for (int i = 0; (known = config_dimension_name(config, i)) != NULL; i++)
        if (strcmp(known, name) == 0 && !(i >= DIMENSION_BUILTIN && own_dimension_gone(config, i - DIMENSION_BUILTIN)))
            return i;
    return -1;
}

static int tenant_compare(const void *name, const void *tenant)
{
    return strcmp(name, ((const struct config_tenant *)tenant)->name);
}

bool config_control_socket(const struct config *config, char *path, size_t room)
{
    if (config->control_socket[0])
        snprintf(path, room, "%s", config->control_socket);
    else if (config->state_folder[0])
        snprintf(path, room, "%s/control.sock", config->state_folder);
    return config->control_socket[0] || config->state_folder[0];
}

const char *config_timezone(const struct config *config, const char *tenant)
{
    const struct config_tenant *found = NULL;
    if (config->tenant_count > 0)
        found = bsearch(tenant, config->tenant, (size_t)config->tenant_count, sizeof *config->tenant, tenant_compare);
    return found != NULL && found->timezone != NULL ? found->timezone : config->timezone;
}
