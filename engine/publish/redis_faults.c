/* redis_faults: what Redis may answer instead of doing as it was told, and what helps. */
#include <string.h>

#include "redis_parts.h"

#define CLUSTER "this is a node of a Redis cluster, which is not supported; let redis.host name a single primary"

const struct redis_fault redis_faults[] = {
    {"OOM", false, "Redis is full: raise its maxmemory, or set maxmemory-policy to volatile-ttl, or keep fewer scopes and windows"},
    {"READONLY", true, "this is a replica: let redis.host name the primary; the name is looked up again at each connection"},
    {"LOADING", false, "Redis still reads its data; nothing to do"},
    {"NOAUTH", true, "Redis wants a password: set redis.password"},
    {"WRONGPASS", true, "Redis does not know them: set redis.user and redis.password"},
    {"NOPERM", false, "grant the user the keys esteem:*, the channels esteem:* and the commands that the README lists"},
    {"DENIED", true, "Redis is in protected mode: set requirepass there and redis.password here"},
    {"MISCONF", false, "Redis cannot save to its disk and refuses writes: see its log"},
    {"NOREPLICAS", false, "too few replicas follow this primary: see its min-replicas-to-write"},
    {"MASTERDOWN", true, "this is a replica that has lost its primary: let redis.host name the new one"},
    {"BUSY", false, "a script keeps Redis busy: SCRIPT KILL ends it"},
    {"CLUSTERDOWN", false, CLUSTER},
    {"MOVED", false, CLUSTER},
    {"ASK", false, CLUSTER},
    {"CROSSSLOT", false, CLUSTER},
    {"WRONGTYPE", false, "another program keeps something under a key of ours; it is replaced"},
    {"EXECABORT", false, "a command of the transaction was refused"},
    {"ERR", false, "see the reply above"},
    {"", false, "not known to this version"},
};
_Static_assert(sizeof redis_faults / sizeof redis_faults[0] == REDIS_FAULTS, "redis_parts.h counts them");

int redis_fault_find(const char *text)
{
    size_t length = strcspn(text, " ");
    int i = 0;
    while (i < REDIS_FAULTS - 1 && (strlen(redis_faults[i].code) != length || memcmp(redis_faults[i].code, text, length) != 0))
        i++;
    return i;
}
