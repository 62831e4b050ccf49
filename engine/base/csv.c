#include "esteem/csv.h"

#include <string.h>

/* All other bytes stand for themselves, in CSV as in JSON. */
static const bool special[256] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                  ['"'] = 1, [','] = 1, ['\\'] = 1};

static const char quotes[] = "a quote does not close, or something follows it; mend the quotes";
static const char carriage[] = "a \\r outside quotes ends no line; end lines by \\n or \\r\\n, or mend the quotes";

static void fault_if(struct csv *csv, bool wrong, const char *fault)
{
    if (wrong && csv->fault == NULL) {
        csv->fault = fault;
        csv->fault_cell = csv->cells;
    }
}

bool csv_record(struct csv *csv, const char **from, const char *end, bool last)
{
    const char *at = *from;
    if (csv->state == CSV_NEW)
        *csv = (struct csv){.state = CSV_CELL, .cells = 1, .line = csv->line};
    for (; at < end; at++) {
        if (csv->state == CSV_BARE || csv->state == CSV_QUOTED)
            while (at + 1 < end && !special[(unsigned char)*at])
                at++;
        if (csv->state == CSV_QUOTED || (*at == '"' && (csv->state == CSV_CELL || csv->state == CSV_QUOTE))) {
            csv->line += *at == '\n';
            csv->state = csv->state == CSV_QUOTED && *at == '"' ? CSV_QUOTE : CSV_QUOTED;
            continue;
        }
        fault_if(csv, csv->state == CSV_QUOTE && *at != ',' && *at != '\r' && *at != '\n', quotes);
        fault_if(csv, csv->state == CSV_RETURN && *at != '\n', carriage);
        if (*at == '\n')
            break;
        csv->cells += *at == ',';
        csv->state = *at == ',' ? CSV_CELL : *at == '\r' ? CSV_RETURN : CSV_BARE;
    }
    *from = at;
    if (at == end && !last)
        return false;
    csv->line += at < end;
    fault_if(csv, csv->state == CSV_QUOTED, quotes);
    fault_if(csv, csv->state == CSV_RETURN && at == end, carriage);
    csv->state = CSV_NEW;
    return true;
}

char *csv_cell(const char **at, const char *end, bool json, char *to)
{
    bool quoted = *at < end && **at == '"';
    const char *from = *at + quoted;
    if (json)
        *to++ = '"';
    for (char byte; from < end; *to++ = byte) {
        while (from + 1 < end && !special[(unsigned char)*from])
            *to++ = *from++;
        byte = *from++;
        if (quoted && byte == '"') {
            if (from == end || *from++ != '"') /* two quotes are one; else the cell is over, and so is what ends it */
                break;
        } else if (!quoted && (byte == ',' || byte == '\r')) {
            break;
        }
        if (json && (byte == '"' || byte == '\\'))
            *to++ = '\\';
        else if (json && (unsigned char)byte < 0x20) {
            to = mempcpy(to, byte < 0x10 ? "\\u000" : "\\u001", 5);
            byte = "0123456789abcdef"[byte & 15];
        }
    }
    *at = from;
    *to++ = json ? '"' : '\0';
    return to;
}
