/* SPDX-License-Identifier: MIT
 * trace.c - a pool's trace as a file, and what the formats share. */
#define _POSIX_C_SOURCE 200809L /* fdopen, F_DUPFD_CLOEXEC */

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <tarn/trace.h>

#include "core/trace.h"
#include "io/save.h"
#include "io/trace_formats.h"

/* ---- text */

/* How many bytes the UTF-8 character at s takes, of which n are there; 0 if none begins there. Long
 * forms, surrogates and numbers above U+10FFFF are none. */
static size_t character_bytes(const unsigned char *s, size_t n)
{
    const size_t length = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (length > n || s[0] > 0xF4) return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    const bool is_long = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xF0 && s[1] < 0x90);
    const bool is_surrogate = s[0] == 0xED && s[1] >= 0xA0, is_high = s[0] == 0xF4 && s[1] >= 0x90;
    return is_long || is_surrogate || is_high ? 0 : length;
}

size_t tarn__trace_clean(const char *text, size_t n, char *clean)
{
    const unsigned char *from = (const unsigned char *)text;
    size_t i = 0, at = 0;
    n = strnlen(text, n);
    while (i < n) {
        const size_t length = character_bytes(from + i, n - i);
        memcpy(clean + at, length > 0 ? text + i : "\xEF\xBF\xBD", length > 0 ? length : 3);
        at += length > 0 ? length : 3;
        i += length > 0 ? length : 1;
    }
    clean[at] = '\0';
    return at;
}

/* ---- tags */

tarn_kind tarn__trace_kind(const tarn__trace *trace, uint64_t tag)
{
    const bool is_known = tag < trace->n_tags && (unsigned)trace->tags[tag].kind < TARN_N_KINDS;
    return is_known ? trace->tags[tag].kind : TARN_KIND_OTHER;
}

void tarn__trace_get_name(const tarn__trace *trace, uint64_t tag, tarn__trace_name *name)
{
    const bool is_known = tag < trace->n_tags;
    tarn__trace_clean(is_known ? trace->tags[tag].path : "", TARN_TAG_PATH_BYTES, name->path);
    tarn__trace_clean(is_known ? trace->tags[tag].operation : "", TARN_TAG_OPERATION_BYTES,
                      name->operation);
    name->kind = tarn_kind_name(tarn__trace_kind(trace, tag));
}

/* ---- what came before the first event */

uint64_t tarn__trace_begin_ns(const tarn__trace *trace)
{
    return trace->n_events > 0 ? trace->events[0].ns : trace->now;
}

/* Which of so many blocks were met, by id. A trace with more is read several times. */
enum { MARKS = 1 << 18 };

typedef struct early_search {
    uint64_t first_id; /* of those that are marked now */
    uint64_t last_id;  /* of all */
    void (*visit)(void *context, const tarn__trace_block *block);
    void *context;
    unsigned char marks[MARKS / 8];
} early_search;

/* Marks a block; true if it is among those looked at and was not marked before. */
static bool meet(early_search *search, uint32_t id)
{
    if (id > search->last_id) search->last_id = id;
    if (id < search->first_id || id - search->first_id >= MARKS) return false;
    const uint64_t i = id - search->first_id;
    const unsigned char bit = (unsigned char)(1u << (i & 7));
    const bool is_new = (search->marks[i >> 3] & bit) == 0;
    search->marks[i >> 3] |= bit;
    return is_new;
}

/* A block whose first event is not its acquisition was there before. */
static void search_once(early_search *search, const tarn__trace *trace)
{
    memset(search->marks, 0, sizeof search->marks);
    for (size_t i = 0; i < trace->n_events; i++) {
        const tarn__event *e = &trace->events[i];
        const bool is_retag = e->kind == TARN__EVENT_RETAG;
        if (!is_retag && e->kind != TARN__EVENT_ACQUIRE && e->kind != TARN__EVENT_RELEASE) continue;
        if (!meet(search, e->id) || e->kind == TARN__EVENT_ACQUIRE) continue;
        search->visit(search->context, &(tarn__trace_block){
                                           .address = e->address,
                                           .bytes = is_retag ? SIZE_MAX : e->bytes,
                                           .capacity = e->capacity,
                                           .id = e->id,
                                           .tag = is_retag ? (uint32_t)e->bytes : e->tag,
                                           .in_use = true,
                                       });
    }
    for (size_t i = 0; i < trace->n_blocks; i++) {
        const tarn__trace_block *block = &trace->blocks[i];
        if (block->in_use && meet(search, block->id)) search->visit(search->context, block);
    }
}

void tarn__trace_each_early(const tarn__trace *trace,
                            void (*visit)(void *context, const tarn__trace_block *block),
                            void *context)
{
    early_search search = { .visit = visit, .context = context };
    for (; search.first_id <= search.last_id; search.first_id += MARKS) search_once(&search, trace);
}

/* ---- files */

static bool is_format(tarn_trace_format format)
{
    return (unsigned)format <= (unsigned)TARN_TRACE_HTML;
}

static bool write_format(const tarn_pool *pool, const tarn__trace *trace, FILE *stream,
                         tarn_trace_format format, const char *title)
{
    char options[4096];
    switch (format) {
    case TARN_TRACE_CHROME: return tarn__trace_write_chrome(trace, stream);
    case TARN_TRACE_PICKLE: return tarn__trace_write_pickle(trace, stream);
    case TARN_TRACE_CSV: return tarn__trace_write_csv(trace, stream);
    case TARN_TRACE_HTML: break;
    }
    tarn__pool_report_options(pool, options, sizeof options);
    return tarn__trace_write_html(trace, title, options, stream);
}

static tarn_status write_trace(const tarn_pool *pool, FILE *stream, tarn_trace_format format,
                               const char *title)
{
    tarn__trace trace;
    const tarn_status status = tarn__trace_take(pool, &trace);
    if (status != TARN_OK) return status;
    const bool written = write_format(pool, &trace, stream, format, title);
    tarn__trace_end(pool, &trace);
    return written && fflush(stream) == 0 ? TARN_OK : TARN_EIO;
}

tarn_status tarn_pool_write_trace(const tarn_pool *pool, FILE *stream, tarn_trace_format format)
{
    if (pool == NULL || stream == NULL || !is_format(format)) return TARN_EARG;
    return write_trace(pool, stream, format, "tarn");
}

/* Writes through a stream with a descriptor of its own, so that closing it leaves the save's. */
static tarn_status save_trace(const tarn_pool *pool, tarn__save *save, tarn_trace_format format,
                              const char *title)
{
    const int fd = fcntl(save->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return TARN_EIO;
    FILE *stream = fdopen(fd, "wb");
    if (stream == NULL) {
        close(fd);
        return TARN_ENOMEM;
    }
    const tarn_status status = write_trace(pool, stream, format, title);
    const bool closed = fclose(stream) == 0;
    if (status != TARN_OK) return status;
    return closed && tarn__save_commit(save) ? TARN_OK : TARN_EIO;
}

tarn_status tarn_pool_save_trace(const tarn_pool *pool, const char *path, tarn_trace_format format,
                                 const char *title)
{
    if (pool == NULL || path == NULL || !is_format(format)) return TARN_EARG;
    tarn__save save;
    tarn_status status = TARN_EIO;
    if (tarn__save_begin(&save, path))
        status = save_trace(pool, &save, format, title != NULL ? title : "tarn");
    tarn__save_end(&save);
    return status;
}

void tarn_pool_clear_trace(tarn_pool *pool)
{
    if (pool != NULL) tarn__trace_clear(pool);
}
