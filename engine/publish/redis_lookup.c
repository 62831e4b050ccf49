/* redis_lookup: a host's addresses without waiting: the system's resolver may take half a minute for a name, so it runs in a thread
 * of the C library's (getaddrinfo_a). A name with several addresses is tried one after the other, a connection each. */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "esteem/err.h"
#include "redis_parts.h"

struct redis_lookup {
    struct gaicb request;
    struct addrinfo hints;
    char *host;
};

static void lookup_free(struct redis_lookup *lookup)
{
    if (lookup->request.ar_result)
        freeaddrinfo(lookup->request.ar_result);
    free(lookup->host);
    free(lookup);
}

struct redis_lookup *redis_lookup_new(const char *host)
{
    struct redis_lookup *lookup = calloc(1, sizeof *lookup);
    ensure(lookup != NULL, "the machine has memory left");
    lookup->host = strdup(host);
    ensure(lookup->host != NULL, "the machine has memory left");
    lookup->hints = (struct addrinfo){.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    lookup->request = (struct gaicb){.ar_name = lookup->host, .ar_request = &lookup->hints};
    struct gaicb *list[] = {&lookup->request};
    if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) == 0)
        return lookup;
    lookup_free(lookup);
    return NULL;
}

int redis_lookup_done(struct redis_lookup *lookup, uint32_t which, char *address, size_t room)
{
    int error = gai_error(&lookup->request);
    if (error == EAI_INPROGRESS)
        return 0;
    if (error)
        return err_set(ERR_REDIS, "looking up %s: %s", lookup->host, gai_strerror(error));
    uint32_t count = 0;
    for (const struct addrinfo *at = lookup->request.ar_result; at; at = at->ai_next)
        count++;
    const struct addrinfo *chosen = lookup->request.ar_result;
    for (which %= count ? count : 1; which > 0; which--)
        chosen = chosen->ai_next;
    error = chosen ? getnameinfo(chosen->ai_addr, chosen->ai_addrlen, address, (socklen_t)room, NULL, 0, NI_NUMERICHOST) : EAI_NONAME;
    return error ? err_set(ERR_REDIS, "looking up %s: %s", lookup->host, gai_strerror(error)) : 1;
}

/* One that cannot be stopped any more is left to the library's thread, which still writes to it. */
void redis_lookup_free(struct redis_lookup *lookup)
{
    if (lookup && (gai_error(&lookup->request) != EAI_INPROGRESS || gai_cancel(&lookup->request) != EAI_NOTCANCELED))
        lookup_free(lookup);
}
