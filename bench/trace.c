/* SPDX-License-Identifier: MIT
 * trace.c - reading traces, and making their requests of a pool. */
#include "trace.h"

#include <stdlib.h>
#include <string.h>

/* The text that begins at a column of a line, "" if there is none. */
static const char *field(const char *line, int column)
{
    for (; column > 0 && line != NULL; column--)
        if ((line = strchr(line, ',')) != NULL) line++;
    return line != NULL ? line : "";
}

static bool field_is(const char *text, const char *word)
{
    const size_t n = strlen(word);
    return strncmp(text, word, n) == 0 && strchr(",\r\n", text[n]) != NULL;
}

/* The column of that name, or -1. */
static int column_of(const char *header, const char *name)
{
    for (int i = 0; field(header, i)[0] != '\0'; i++)
        if (field_is(field(header, i), name)) return i;
    return -1;
}

/* Appends an event; false if there is no room or no sense in it. held: by id. */
static bool append(trace *t, bool *held, bool acquire, long id, size_t bytes)
{
    if (t->n_events == MAX_EVENTS || id < 0 || id >= MAX_BLOCKS || held[id] == acquire)
        return false;
    t->events[t->n_events++] = (event){ acquire, (int)id, bytes };
    held[id] = acquire;
    return true;
}

bool trace_read(FILE *file, trace *t)
{
    static bool held[MAX_BLOCKS];
    static char line[4096];
    memset(held, 0, sizeof(held));
    t->n_events = 0;
    if (fgets(line, sizeof(line), file) == NULL) return false;
    const int event_at = column_of(line, "event"), id_at = column_of(line, "id");
    const int bytes_at = column_of(line, "bytes");
    if (event_at < 0 || id_at < 0 || bytes_at < 0) return false;
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *what = field(line, event_at);
        const bool acquire = field_is(what, "acquire") || field_is(what, "early");
        if (!acquire && !field_is(what, "release")) continue;
        const long id = strtol(field(line, id_at), NULL, 10);
        const size_t bytes = (size_t)strtoull(field(line, bytes_at), NULL, 10);
        if (!append(t, held, acquire, id, bytes)) return false;
    }
    for (long id = 0; id < MAX_BLOCKS; id++)
        if (held[id] && !append(t, held, false, id, 0)) return false;
    return t->n_events > 0;
}

void replay_pool(void *context)
{
    replay *r = context;
    for (int round = 0; round < r->rounds; round++) {
        for (const event *e = r->trace->events; e < r->trace->events + r->trace->n_events; e++) {
            tarn_block *block = &r->blocks[e->id];
            if (!e->acquire) {
                (void)tarn_pool_release(r->pool, *block);
            } else {
                if (tarn_pool_acquire(r->pool, e->bytes, TARN_UNINITIALIZED, block) != TARN_OK)
                    abort();
                replay_touch(r, block->data, e->bytes);
            }
        }
    }
}
