// json: see json.h. Thin on purpose: no decision is taken here.
#include "json.h"

#include <simdjson.h>

#include <memory>
#include <new>

namespace {
struct parser {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> stage;
};
} // namespace

bool json_index_init(struct json_index *index)
{
    *index = {};
    index->parser = new (std::nothrow) parser;
    return index->parser != nullptr;
}

void json_index_close(struct json_index *index)
{
    delete static_cast<parser *>(index->parser);
    *index = {};
}

static bool grow(struct json_index *index, parser *p, size_t length)
{
    size_t capacity = length < 4096 ? 4096 : length * 2;
    p->stage.reset();
    index->capacity = 0;
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 16, p->stage))
        return false;
    index->capacity = capacity;
    return true;
}

bool json_index_text(struct json_index *index, const char *text, size_t length)
{
    auto *p = static_cast<parser *>(index->parser);
    if (length == 0 || length > UINT32_MAX / 4)
        return false;
    if (length > index->capacity && !grow(index, p, length))
        return false;
    if (p->stage->stage1(reinterpret_cast<const uint8_t *>(text), length, simdjson::stage1_mode::regular))
        return false;
    index->at = p->stage->structural_indexes.get();
    index->count = p->stage->n_structural_indexes;
    return true;
}

const char *json_version(void)
{
    static const std::string version = std::to_string(simdjson::SIMDJSON_VERSION_MAJOR) + "." +
                                       std::to_string(simdjson::SIMDJSON_VERSION_MINOR) + "." +
                                       std::to_string(simdjson::SIMDJSON_VERSION_REVISION);
    return version.c_str();
}
