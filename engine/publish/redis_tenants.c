/* redis_tenants: the tenants of the present batch and which of their keys it has changed. Tenants stay as long as there is room: their
 * prefix need not be made again. */
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "redis_parts.h"

enum {
    KEYS_KEPT = 256 << 10, /* bytes of changed keys; a larger buffer is given back */
    KEYS_ROOM_FIRST = 4096,
};

void redis_tenants_init(struct redis_tenants *tenants, const char *head)
{
    *tenants = (struct redis_tenants){.head = head, .slots = 2 * REDIS_TENANTS_MAX};
    tenants->slot = calloc(tenants->slots, sizeof *tenants->slot);
    tenants->dirty = calloc(REDIS_TENANTS_MAX, sizeof *tenants->dirty);
    ensure(tenants->slot && tenants->dirty, "the machine has memory left");
}

void redis_tenants_clear(struct redis_tenants *tenants)
{
    for (uint32_t i = 0; i < tenants->count; i++) {
        free(tenants->tenant[i].prefix);
        free(tenants->tenant[i].keys);
        free(tenants->tenant[i].alerts);
    }
    memset(tenants->slot, 0, tenants->slots * sizeof *tenants->slot);
    tenants->count = tenants->dirty_count = 0;
}

void redis_tenants_close(struct redis_tenants *tenants)
{
    redis_tenants_clear(tenants);
    free(tenants->tenant);
    free(tenants->slot);
    free(tenants->dirty);
    *tenants = (struct redis_tenants){0};
}

static void prefix_make(struct redis_tenant *tenant, const char *head, const char *name)
{
    size_t head_length = strlen(head), room = head_length + 3 * strlen(name) + sizeof "{}:";
    tenant->prefix = malloc(room);
    ensure(tenant->prefix != NULL, "the machine has memory left");
    memcpy(tenant->prefix, head, head_length);
    tenant->prefix[head_length] = '{';
    tenant->prefix_length = head_length + 1;
    tenant->prefix_length += row_encode(name, tenant->prefix + tenant->prefix_length, room - tenant->prefix_length);
    memcpy(tenant->prefix + tenant->prefix_length, "}:", sizeof "}:");
    tenant->prefix_length += 2;
}

static struct redis_tenant *tenant_new(struct redis_tenants *tenants, uint64_t hash, const char *name)
{
    if (tenants->count == tenants->room) {
        tenants->room = tenants->room ? tenants->room * 2 : 16;
        tenants->tenant = realloc(tenants->tenant, tenants->room * sizeof *tenants->tenant);
        ensure(tenants->tenant != NULL, "the machine has memory left");
    }
    struct redis_tenant *tenant = &tenants->tenant[tenants->count++];
    *tenant = (struct redis_tenant){.hash = hash, .newest_ms = INT64_MIN, .trimmed_ms = INT64_MIN, .serial = tenants->serial};
    prefix_make(tenant, tenants->head, name);
    return tenant;
}

struct redis_tenant *redis_tenant_find(struct redis_tenants *tenants, const char *name)
{
    uint64_t hash = key_memory_hash(name, strlen(name), 0);
    uint32_t i = (uint32_t)hash & (tenants->slots - 1);
    for (; tenants->slot[i]; i = (i + 1) & (tenants->slots - 1))
        if (tenants->tenant[tenants->slot[i] - 1].hash == hash)
            return &tenants->tenant[tenants->slot[i] - 1];
    struct redis_tenant *tenant = tenant_new(tenants, hash, name);
    tenants->slot[i] = tenants->count;
    return tenant;
}

/* Something is to be told at the batch's end. */
static void be_dirty(struct redis_tenants *tenants, struct redis_tenant *tenant)
{
    if (tenant->keys_length == 0 && tenant->alerts_length == 0)
        tenants->dirty[tenants->dirty_count++] = (uint32_t)(tenant - tenants->tenant);
}

void redis_tenant_changed(struct redis_tenants *tenants, struct redis_tenant *tenant, const char *key, size_t length)
{
    be_dirty(tenants, tenant);
    if (tenant->run != tenants->run)
        tenant->changed = 0;
    tenant->run = tenants->run;
    if (++tenant->changed > REDIS_CHANGED_MAX) {
        tenant->keys_length = 0;
        key = "*";
        length = 1;
    }
    if (tenant->keys_room - tenant->keys_length < length + 1) {
        tenant->keys_room = (tenant->keys_length + length + 1) * 2 + KEYS_ROOM_FIRST;
        tenant->keys = realloc(tenant->keys, tenant->keys_room);
        ensure(tenant->keys != NULL, "the machine has memory left");
    }
    if (tenant->keys_length)
        tenant->keys[tenant->keys_length++] = '\n';
    memcpy(tenant->keys + tenant->keys_length, key, length);
    tenant->keys_length += length;
}

void redis_tenant_alert(struct redis_tenants *tenants, struct redis_tenant *tenant, const char *message, size_t length)
{
    be_dirty(tenants, tenant);
    if (tenant->alerts_room - tenant->alerts_length < length + 1) {
        tenant->alerts_room = (tenant->alerts_length + length + 1) * 2;
        tenant->alerts = realloc(tenant->alerts, tenant->alerts_room);
        ensure(tenant->alerts != NULL, "the machine has memory left");
    }
    memcpy(tenant->alerts + tenant->alerts_length, message, length + 1);
    tenant->alerts_length += length + 1;
}

void redis_tenant_told(struct redis_tenant *tenant)
{
    tenant->alerts_length = 0;
    tenant->keys_length = 0;
    if (tenant->keys_room > KEYS_KEPT) {
        free(tenant->keys);
        tenant->keys = NULL;
        tenant->keys_room = 0;
    }
}
