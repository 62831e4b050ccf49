/* Mappings while the engine runs: a reload looks whether the programs have changed, compiles them anew for each shard, and refuses the
 * whole reload where one does not compile. Nothing of it is done by a shard, which takes them over between two messages. */
#include "run_parts.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "esteem/err.h"
#include "esteem/mapping.h"

static bool any_mapping(const struct config *config)
{
    bool any = false;
    for (int t = 0; t < config->topic_count; t++)
        any |= config->topic[t].mapping != NULL;
    return any;
}

/* A program may include others of the folder, so all of them count: a sum, as their order is the file system's. */
uint64_t run_mappings_look(const struct config *config)
{
    uint64_t sum = 0;
    DIR *folder = any_mapping(config) ? opendir(config->mappings) : NULL;
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        struct stat is;
        if (dot == NULL || strcmp(dot, ".jq") != 0 || fstatat(dirfd(folder), entry->d_name, &is, 0) != 0)
            continue;
        int64_t look[] = {is.st_mtim.tv_sec, is.st_mtim.tv_nsec, is.st_size, (int64_t)is.st_ino};
        sum += XXH3_64bits_withSeed(look, sizeof look, XXH3_64bits(entry->d_name, strlen(entry->d_name)));
    }
    if (folder)
        closedir(folder);
    return sum;
}

void run_mappings_free(struct run_mappings *mappings)
{
    for (int s = 0; s < SHARD_MAX; s++)
        mapping_free_list(mappings->shard[s], CONFIG_TOPIC_MAX);
    *mappings = (struct run_mappings){0};
}

static int compile(const struct config *config, struct mapping **program)
{
    for (int t = 0; t < config->topic_count; t++)
        if (config->topic[t].mapping && (program[t] = mapping_new(config->mappings, config->topic[t].mapping)) == NULL)
            return err_note("topic %s", config->topic[t].name);
    return 0;
}

int run_mappings_compile(struct run *run, const struct config *config, struct run_mappings *mappings)
{
    int result = 0;
    for (int s = 0; s < run->shards && result == 0; s++) {
        mappings->shard[s] = calloc(CONFIG_TOPIC_MAX, sizeof *mappings->shard[s]);
        ensure(mappings->shard[s] != NULL, "the machine has memory left");
        result = compile(config, mappings->shard[s]);
    }
    if (result)
        run_mappings_free(mappings);
    return result;
}

void run_mappings_hand_over(struct run *run, struct run_mappings *mappings)
{
    for (int s = 0; s < run->shards && mappings->shard[s]; s++)
        pipeline_mappings(run->pipeline, s, mappings->shard[s]);
    *mappings = (struct run_mappings){0};
}
