/* shadow_swap: the live engine goes on from the shadow's state; and a shadow that is no longer wanted goes.
 *
 *   state.folder/                                  state.folder/before.NAME/
 *     0000000812.manifest, its slices   ──link──>    the same files: the way back
 *     shadow.NAME/
 *       0000000040.manifest             ──written anew, last──>  0000000853.manifest: of the highest epoch, so the next start takes it
 *       0000000040-shard-0.slice        ──link──>                0000000853-shard-0.slice
 *
 * One rename (manifest_write) is the moment: before it nothing has changed for the live engine, after it everything has. Then the old files
 * go from state.folder, where they also lie in before.NAME, and the shadow's keys and folder. Cut off anywhere, it can be called
 * again: before that moment it does the same, after it `drop` takes away what is left.
 *
 * The manifest says `told-since ever`: what the sinks name of before, and the new state does not have, is emptied at the next start. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "esteem/err.h"
#include "esteem/log.h"
#include "esteem/manifest.h"
#include "shadow_parts.h"

enum { FILE_PATH_MAX = SHADOW_PATH_MAX + STATE_NAME_MAX + 32 };

static int failed(const char *path)
{
    return err_set(ERR_IO, "%s: %s", path, strerror(errno));
}

/* ---- nobody runs ---- */

/* As checkpoint.c locks it; the lock goes with the process. */
static int lock_folder(const char *folder, const char *whose)
{
    char path[FILE_PATH_MAX];
    snprintf(path, sizeof path, "%s/lock", folder);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (file < 0)
        return failed(path);
    if (flock(file, LOCK_EX | LOCK_NB) != 0)
        return err_set(ERR_FENCED, "the %s engine runs (%s is locked); stop it first", whose, path);
    return 0;
}

static int lock_shadow(const struct shadow *shadow)
{
    if (access(shadow->config->state_folder, F_OK) != 0)
        return err_set(ERR_IO, "there is no shadow %s: %s: %s", shadow->name, shadow->config->state_folder, strerror(errno));
    int result = run_lock(shadow->config);
    return result == 0 ? lock_folder(shadow->config->state_folder, "shadow's") : result;
}

/* ---- the shadow's checkpoint ---- */

/* The newest one, whole and of NEW.yaml. An older one is not tried: a damaged disk is to be looked at. */
static int read_checkpoint(const struct shadow *shadow, struct manifest *manifest)
{
    const char *folder = shadow->config->state_folder;
    char finished[SHADOW_PATH_MAX];
    uint64_t epochs[STATE_GENERATIONS_MAX];
    shadow_finished_path(shadow, finished);
    int count = manifest_list(folder, epochs);
    if (count < 0)
        return count;
    if (count == 0)
        return err_set(ERR_DATA, "%s has no checkpoint; run esteem shadow %s to its end first", folder, shadow->name);
    int result = manifest_read(folder, epochs[0], manifest);
    for (int s = 0; s < manifest->slices && result == 0; s++)
        for (int f = 0; f < manifest->slice[s].files && result == 0; f++)
            result = state_file_check(folder, &manifest->slice[s].file[f]);
    if (result != 0)
        return err_note("the shadow's checkpoint is damaged; esteem shadow drop %s, and begin it again", shadow->name);
    if (strcmp(manifest->config, shadow->live->id) != 0)
        return err_set(ERR_DATA, "the shadow's checkpoint is of configuration %s, %s is %s; name the file that the shadow ran with", manifest->config,
                       shadow->path, shadow->live->id);
    if (access(finished, F_OK) != 0)
        return err_set(ERR_DATA, "shadow %s has not read to its end; run it again, it goes on where it was", shadow->name);
    return 0;
}

/* ---- the way back ---- */

static bool is_of_state(const char *name)
{
    size_t length = strlen(name);
    return (length > 9 && strcmp(name + length - 9, ".manifest") == 0) || (length > 6 && strcmp(name + length - 6, ".slice") == 0);
}

static bool same_file(const char *left, const char *right)
{
    struct stat a, b;
    return stat(left, &a) == 0 && stat(right, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int link_file(const char *from, const char *to)
{
    if (link(from, to) == 0 || (errno == EEXIST && same_file(from, to)))
        return 0;
    return err_set(ERR_IO, "%s to %s: %s", from, to, strerror(errno));
}

/* Links all files of checkpoints from one folder to another, or, with `check`, says whether they are there. */
static int link_all(const char *from_folder, const char *to_folder, bool check)
{
    DIR *dir = opendir(from_folder);
    if (dir == NULL)
        return failed(from_folder);
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(dir)) != NULL;) {
        char from[FILE_PATH_MAX + 256], to[FILE_PATH_MAX + 256];
        if (!is_of_state(entry->d_name))
            continue;
        snprintf(from, sizeof from, "%s/%s", from_folder, entry->d_name);
        snprintf(to, sizeof to, "%s/%s", to_folder, entry->d_name);
        if (!check)
            result = link_file(from, to);
        else if (!same_file(from, to))
            result = err_set(ERR_IO, "%s holds the state of an earlier swap; move it away, or, if that swap was cut off after its end, take away what is left"
                                     " of the shadow with esteem shadow drop", to_folder);
    }
    closedir(dir);
    return result;
}

/* before.NAME is whole when it has that name. */
static int keep_old(const struct shadow *shadow)
{
    const char *folder = shadow->live->state_folder;
    char part[SHADOW_PATH_MAX + 64], whole[SHADOW_PATH_MAX + 64];
    struct disk disk = disk_real();
    snprintf(part, sizeof part, "%s/before.%s.part", folder, shadow->name);
    snprintf(whole, sizeof whole, "%s/before.%s", folder, shadow->name);
    if (access(whole, F_OK) == 0)
        return link_all(folder, whole, true);
    if (mkdir(part, 0750) != 0 && errno != EEXIST)
        return failed(part);
    int result = link_all(folder, part, false);
    if (result == 0)
        result = disk.sync_folder(disk.context, part);
    if (result == 0)
        result = disk.rename(disk.context, part, whole);
    return result == 0 ? disk.sync_folder(disk.context, folder) : result;
}

/* ---- the change ---- */

/* A slice's file under a higher number: "0000000040-shard-0.slice" to "0000000853-shard-0.slice". */
static int take_file(const struct shadow *shadow, struct state_file *file, uint64_t higher)
{
    char from[FILE_PATH_MAX], to[FILE_PATH_MAX], name[STATE_NAME_MAX];
    char *rest;
    uint64_t epoch = strtoull(file->name, &rest, 10);
    if (snprintf(name, sizeof name, "%010" PRIu64 "%s", epoch + higher, rest) >= (int)sizeof name)
        return err_set(ERR_DATA, "%s: is no name of a slice", file->name);
    snprintf(from, sizeof from, "%s/%s", shadow->config->state_folder, file->name);
    snprintf(to, sizeof to, "%s/%s", shadow->live->state_folder, name);
    memcpy(file->name, name, sizeof name);
    return link_file(from, to);
}

/* The live engine's folder gets the shadow's checkpoint as its newest. */
static int take_over(const struct shadow *shadow, struct manifest *manifest)
{
    const char *folder = shadow->live->state_folder;
    uint64_t higher = manifest_next_epoch(folder);
    struct disk disk = disk_real();
    int result = 0;
    for (int s = 0; s < manifest->slices; s++)
        for (int f = 0; f < manifest->slice[s].files && result == 0; f++)
            result = take_file(shadow, &manifest->slice[s].file[f], higher);
    manifest->epoch += higher;
    manifest->told_since_ms = INT64_MIN;
    snprintf(manifest->group, sizeof manifest->group, "%s", shadow->live->kafka_group);
    for (char *at = manifest->group; *at; at++)
        *at = *at < ' ' ? '_' : *at; /* a line of its own */
    if (result == 0)
        result = manifest_write(folder, &disk, manifest);
    if (result == 0)
        manifest_sweep(folder, (const struct manifest *const[]){manifest}, 1, 0);
    return result;
}

/* ---- what is left of a shadow ---- */

static int remove_keys(const struct shadow *shadow)
{
    uint64_t deleted;
    int result = shadow_rows_drop(shadow, &deleted);
    if (result == 0)
        log_info("shadow.keys", "%" PRIu64 " keys of %s* are deleted", deleted, shadow->config->redis_head);
    return result;
}

/* Only what an engine puts there: a folder with other files in it stays, and is named. */
static int remove_folder(const struct shadow *shadow)
{
    static const char *const others[] = {"finished", "control.sock", "lock"};
    const char *folder = shadow->config->state_folder;
    manifest_sweep(folder, NULL, 0, 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char path[FILE_PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, others[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            return failed(path);
    }
    return rmdir(folder) == 0 ? 0 : failed(folder);
}

/* Nobody runs it. */
static int take_away(const struct shadow *shadow, bool folder)
{
    int result = remove_keys(shadow);
    return result == 0 && folder ? remove_folder(shadow) : result;
}

int shadow_drop(const struct shadow *shadow)
{
    bool folder = access(shadow->config->state_folder, F_OK) == 0;
    int result = folder ? lock_shadow(shadow) : run_lock(shadow->config);
    return result == 0 ? take_away(shadow, folder) : result;
}

int shadow_swap(const struct shadow *shadow)
{
    struct manifest *manifest = malloc(sizeof *manifest);
    ensure(manifest != NULL, "the machine has memory left");
    *manifest = (struct manifest){0};
    int result = lock_shadow(shadow);
    if (result == 0)
        result = run_lock(shadow->live);
    if (result == 0)
        result = lock_folder(shadow->live->state_folder, "live");
    if (result == 0)
        result = read_checkpoint(shadow, manifest);
    if (result == 0)
        result = keep_old(shadow);
    if (result == 0)
        result = take_over(shadow, manifest);
    if (result == 0)
        log_info("shadow.swapped", "%s has the state of shadow %s as epoch %" PRIu64 ", what it had lies in before.%s; now: esteem run -c %s",
                 shadow->live->state_folder, shadow->name, manifest->epoch, shadow->name, shadow->path);
    free(manifest);
    if (result == 0 && (result = take_away(shadow, true)) != 0)
        return err_note("the swap is done, the live engine can start; but what is left of the shadow stays, take it away with esteem shadow drop %s", shadow->name);
    return result;
}
