/* config_feeds: the lists that say who the figures belong to and where events come from: tenants, topics, and librdkafka's
 * own properties. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "esteem/err.h"
#include "esteem/measure.h"

/* --- tenants --- */

static void tenant_item(struct reader *reader, const struct pair *pair, const char *key)
{
    struct config *config = reader->config;
    struct config_tenant *tenant = &config->tenant[config->tenant_count];
    struct member members[] = {{"timezone", NULL}};
    char path[CONFIG_KEY_MAX];
    snprintf(path, sizeof path, "%s.%s", key, pair->name);
    if (strlen(pair->name) > VALUE_MAX) {
        reader_fault(reader, pair->line, path, "is longer than %d bytes, so no event has it; mend it", VALUE_MAX);
        return;
    }
    tenant->name = text_copy(pair->name);
    config->tenant_count++;
    if (node_is_null(pair->value) ||
        !reader_wants_map(reader, pair->value, pair->line, path, "{timezone: Asia/Kolkata}"))
        return;
    reader_members(reader, pair->value, path, members, 1);
    if (members[0].value == NULL)
        return;
    int line = node_line(members[0].value);
    snprintf(path, sizeof path, "%s.%.60s.timezone", key, pair->name);
    const char *zone = reader_text(reader, members[0].value, line, path, "the name of a time zone");
    if (zone != NULL && zone_fault(zone) != NULL)
        reader_fault(reader, line, path, "\"%.60s\" %s", zone, zone_fault(zone));
    else if (zone != NULL)
        tenant->timezone = text_copy(zone);
}

static int tenant_compare(const void *a, const void *b)
{
    return strcmp(((const struct config_tenant *)a)->name, ((const struct config_tenant *)b)->name);
}

void read_tenants(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    struct config *config = reader->config;
    struct pair pair;
    int at = 0;
    if (!reader_wants_map(reader, node, line, key, "NAME: {timezone: ZONE} for each, or {}"))
        return;
    size_t count = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    if (count == 0)
        return;
    config->tenant = calloc(count < CONFIG_TENANT_MAX ? count : CONFIG_TENANT_MAX, sizeof *config->tenant);
    ensure(config->tenant != NULL, "no memory for the configuration");
    while (reader_next_pair(reader, node, key, &at, &pair)) {
        if (config->tenant_count == CONFIG_TENANT_MAX) {
            reader_fault(reader, pair.line, key, "has more than %d tenants; settings for more are not possible",
                         CONFIG_TENANT_MAX);
            break;
        }
        tenant_item(reader, &pair, key);
    }
    qsort(config->tenant, (size_t)config->tenant_count, sizeof *config->tenant, tenant_compare);
}

/* --- topics --- */

/* A mapping is NAME.jq in the folder `mappings`; whether it is there is seen when it is compiled. */
static bool mapping_is_spelled(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    return *name != '\0' && strlen(name) <= 64 && name[strspn(name, allowed)] == '\0';
}

static void topic_mapping(struct reader *reader, const yaml_node_t *node, struct config_topic *topic)
{
    static const char key[] = "kafka.topics.mapping";
    const char *name = reader_text(reader, node, node_line(node), key, "the name of a mapping");
    if (name != NULL && !mapping_is_spelled(name))
        reader_fault(reader, node_line(node), key, "\"%.64s\" is no name of a mapping; write acme for acme.jq, of at most "
                     "64 of A-Z a-z 0-9 _ -", name);
    else if (name != NULL)
        topic->mapping = text_copy(name);
}

/* Fills what is not its name; returns the node that names it, or NULL after telling the fault. */
static const yaml_node_t *topic_members(struct reader *reader, yaml_node_t *item, const char *key,
                                        struct config_topic *topic)
{
    struct member members[] = {{"name", NULL}, {"mapping", NULL}, {"keyed", NULL}};
    if (item->type != YAML_MAPPING_NODE)
        return item;
    reader_members(reader, item, key, members, 3);
    if (members[1].value != NULL)
        topic_mapping(reader, members[1].value, topic);
    if (members[2].value != NULL)
        reader_bool(reader, members[2].value, node_line(members[2].value), "kafka.topics.keyed", &topic->keyed);
    if (members[0].value == NULL)
        reader_fault(reader, topic->line, key, "has no name; write {name: calls, mapping: acme, keyed: true}");
    return members[0].value;
}

static void topic_item(struct reader *reader, yaml_node_t *item, const char *key, struct config_topic *topic)
{
    struct config *config = reader->config;
    *topic = (struct config_topic){.keyed = true, .line = node_line(item)};
    const yaml_node_t *named = topic_members(reader, item, key, topic);
    const char *name = named == NULL ? NULL : reader_text(reader, named, topic->line, key, "the name of a topic");
    if (name == NULL)
        return;
    if (topic_fault(name) != NULL)
        reader_fault(reader, topic->line, key, "\"%.60s\" %s", name, topic_fault(name));
    for (const struct config_topic *other = config->topic; other < topic; other++)
        if (other->name != NULL && strcmp(other->name, name) == 0)
            reader_fault(reader, topic->line, key, "%s is there already, in line %d; keep one of the two", name,
                         other->line);
    topic->name = text_copy(name);
}

void read_topics(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    struct config *config = reader->config;
    int count = reader_items(reader, node, line, key, "a list of names, [contacts]", CONFIG_TOPIC_MAX);
    if (node->type == YAML_SEQUENCE_NODE && count == 0)
        reader_fault(reader, line, key, "names no topic; write one, or leave the key out");
    for (int i = 0; i < count; i++)
        topic_item(reader, reader_item(reader, node, i), key, &config->topic[config->topic_count++]);
}

/* Whether rows or alerts go to it. */
static bool topic_is_ours(const struct config *config, const char *name)
{
    size_t length = strlen(config->topics_prefix);
    if (!config->topics_enabled || strncmp(name, config->topics_prefix, length) != 0)
        return false;
    bool ours = strcmp(name + length, "alerts") == 0;
    for (int f = 0; f < FAMILY_COUNT; f++)
        ours |= strcmp(name + length, family_names[f]) == 0;
    return ours;
}

/* What is read is not written: a letter would be read, refused and written again, without end. */
void topics_check(struct reader *reader)
{
    const struct config *config = reader->config;
    if (topic_is_ours(config, config->deadletter))
        reader_fault(reader, reader->deadletter_line, "topics.deadletter", "rows or alerts are written to %s, which keeps one message a key; name another, or \"\"",
                     config->deadletter);
    for (const struct config_topic *topic = config->topic; topic < config->topic + config->topic_count; topic++)
        if (topic->name != NULL && strcmp(topic->name, config->deadletter) == 0)
            reader_fault(reader, topic->line, "kafka.topics", "%s is topics.deadletter as well: what is refused would be read and refused again, without end; "
                         "name another there, or \"\"", topic->name);
        else if (topic->name != NULL && topic_is_ours(config, topic->name))
            reader_fault(reader, topic->line, "kafka.topics", "rows or alerts are written to %s; take it out, or take another topics.prefix", topic->name);
}

/* --- librdkafka's properties --- */

/* What the engine decides itself, and where to say it instead. Exactness rests on the last four. */
static const struct {
    const char *property, *instead;
} owned_properties[] = {
    {"bootstrap.servers", "use kafka.brokers"},
    {"metadata.broker.list", "use kafka.brokers"},
    {"group.id", "use kafka.group"},
    {"auto.offset.reset", "use kafka.start"},
    {"enable.auto.commit", "leave it out"},
    {"enable.auto.offset.store", "leave it out"},
    {"enable.partition.eof", "leave it out"},
    {"isolation.level", "leave it out"},
};

static const char *property_owned(const char *name)
{
    for (size_t i = 0; i < sizeof owned_properties / sizeof *owned_properties; i++)
        if (strcmp(owned_properties[i].property, name) == 0)
            return owned_properties[i].instead;
    return NULL;
}

/* Whether librdkafka knows it and takes that value. Its text quotes the value, so a secret's is left out. */
static bool property_try(struct reader *reader, int line, const char *path, const char *name, const char *value, bool secret)
{
    char why[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, why, sizeof why);
    rd_kafka_conf_destroy(conf);
    why[strcspn(why, "\n")] = '\0';
    if (result == RD_KAFKA_CONF_UNKNOWN)
        reader_fault(reader, line, path, "is no property of librdkafka; its CONFIGURATION.md lists them");
    else if (result == RD_KAFKA_CONF_INVALID)
        reader_fault(reader, line, path, "is not what librdkafka takes%s%s; its CONFIGURATION.md says what is", secret ? "" : ": ", secret ? "" : why);
    return result == RD_KAFKA_CONF_OK;
}

static void property_item(struct reader *reader, const struct pair *pair, const char *key)
{
    struct config *config = reader->config;
    char path[CONFIG_KEY_MAX];
    snprintf(path, sizeof path, "%s.%s", key, pair->name);
    const char *text = reader_text(reader, pair->value, pair->line, path, "a value");
    if (property_owned(pair->name) != NULL) {
        reader_fault(reader, pair->line, path, "is set by esteem itself; %s", property_owned(pair->name));
        return;
    }
    char *value = text == NULL ? NULL : reader_secret(reader, text, pair->line, path);
    if (value == NULL)
        return;
    if ((*value == '\0' && reader->without_secrets) || property_try(reader, pair->line, path, pair->name, value, *text == '$'))
        config->kafka_property[config->kafka_property_count++] =
            (struct config_property){.key = text_copy(pair->name), .value = value};
    else
        free(value);
}

static int property_compare(const void *a, const void *b)
{
    return strcmp(((const struct config_property *)a)->key, ((const struct config_property *)b)->key);
}

void read_properties(struct reader *reader, yaml_node_t *node, int line, const char *key)
{
    struct config *config = reader->config;
    struct pair pair;
    int at = 0;
    if (!reader_wants_map(reader, node, line, key, "librdkafka's KEY: VALUE for each, or {}"))
        return;
    while (reader_next_pair(reader, node, key, &at, &pair)) {
        if (config->kafka_property_count == CONFIG_PROPERTY_MAX) {
            reader_fault(reader, pair.line, key, "has more than %d properties; take some out", CONFIG_PROPERTY_MAX);
            break;
        }
        property_item(reader, &pair, key);
    }
    qsort(config->kafka_property, (size_t)config->kafka_property_count, sizeof *config->kafka_property, property_compare);
}
