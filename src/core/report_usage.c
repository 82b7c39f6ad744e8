/* SPDX-License-Identifier: MIT
 * report_usage.c - who holds what, as tables on a stream that the caller gives. */
#include <stdio.h>
#include <string.h>

#include "core/manager.h"
#include "core/pool.h"
#include "core/report.h"

const char *tarn__bytes_text(char text[24], double bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    int unit = 0;
    for (; (bytes >= 1024 || bytes <= -1024) && unit < 4; unit++) bytes /= 1024;
    (void)snprintf(text, 24, "%.*f %s", unit == 0 ? 0 : 2, bytes, units[unit]);
    for (char *c = text; *c != '\0'; c++)
        if (*c == ',') *c = '.'; /* whatever the locale */
    return text;
}

static void *take_memory(tarn_pool *pool, size_t bytes)
{
    tarn__pool_lock(pool);
    void *memory = tarn__report_take(pool, bytes);
    tarn__pool_unlock(pool);
    return memory;
}

static double share(size_t part, size_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0.0;
}

/* ---- tags */

/* All rows of a pool, in memory of its system; *n of them, NULL if memory is short. */
static tarn_tag_usage *take_rows(const tarn_pool *pool, size_t *n)
{
    *n = tarn_pool_get_tags(pool, NULL, 0);
    tarn_tag_usage *rows = take_memory((tarn_pool *)pool, (*n > 0 ? *n : 1) * sizeof(*rows));
    if (rows == NULL) return NULL;
    const size_t found = tarn_pool_get_tags(pool, rows, *n);
    if (found < *n) *n = found;
    return rows;
}

static bool print_kinds(const tarn_tag_usage *rows, size_t n, size_t peak, FILE *stream)
{
    bool written = fprintf(stream, "what the peak was made of\n  %-12s %12s %7s %12s\n", "kind",
                           "at the peak", "share", "now") > 0;
    for (int kind = 0; kind < TARN_N_KINDS; kind++) {
        size_t at_peak = 0, live = 0;
        char first[24], second[24];
        for (size_t i = 0; i < n; i++) {
            at_peak += rows[i].kind == (tarn_kind)kind ? rows[i].at_peak : 0;
            live += rows[i].kind == (tarn_kind)kind ? rows[i].live : 0;
        }
        if (at_peak == 0 && live == 0) continue;
        written = fprintf(stream, "  %-12s %12s %6.1f%% %12s\n", tarn_kind_name((tarn_kind)kind),
                          tarn__bytes_text(first, (double)at_peak), share(at_peak, peak),
                          tarn__bytes_text(second, (double)live)) > 0 &&
                  written;
    }
    return written;
}

static bool print_tag(const tarn_tag_usage *row, size_t peak, FILE *stream)
{
    char texts[3][24];
    return fprintf(stream, "  %-12s %12s %6.1f%% %12s %12s %8llu  %s%s%s\n",
                   tarn_kind_name(row->kind), tarn__bytes_text(texts[0], (double)row->at_peak),
                   share(row->at_peak, peak), tarn__bytes_text(texts[1], (double)row->live),
                   tarn__bytes_text(texts[2], (double)row->peak), (unsigned long long)row->blocks,
                   row->path, row->path[0] != '\0' && row->operation[0] != '\0' ? " " : "",
                   row->operation) > 0;
}

tarn_status tarn_pool_print_tags(const tarn_pool *pool, FILE *stream)
{
    size_t n;
    if (pool == NULL || stream == NULL) return TARN_EARG;
    tarn_tag_usage *rows = take_rows(pool, &n);
    if (rows == NULL) return TARN_ENOMEM;
    const size_t room = n > 0 ? n : 1;
    size_t peak = 0;
    for (size_t i = 0; i < n; i++) peak += rows[i].at_peak;
    bool written = print_kinds(rows, n, peak, stream);
    written = fprintf(stream, "\n  %-12s %12s %7s %12s %12s %8s  %s\n", "kind", "at the peak",
                      "share", "now", "own peak", "blocks", "path and operation") > 0 &&
              written;
    for (size_t i = 0; i < n; i++) written = print_tag(&rows[i], peak, stream) && written;
    tarn__records_free((tarn_pool *)pool, rows, room * sizeof(*rows));
    return written ? TARN_OK : TARN_EIO;
}

/* ---- live tensors */

typedef struct list {
    tarn_tensor_usage *all; /* by bytes */
    size_t n, room;
} list;

static void add_tensor(void *context, const tarn_tensor_usage *tensor)
{
    list *l = context;
    if (l->n == l->room) return;
    size_t i = l->n++;
    for (; i > 0 && l->all[i - 1].bytes < tensor->bytes; i--) l->all[i] = l->all[i - 1];
    l->all[i] = *tensor;
}

static bool print_tensor(const tarn_tensor_usage *t, FILE *stream)
{
    char bytes[24], what[TARN__DESCRIPTION_BYTES];
    return fprintf(stream, "  %12s  %-10s  %-7s  %s%s  %s%s%s\n",
                   tarn__bytes_text(bytes, (double)t->bytes), tarn_kind_name(t->kind),
                   tarn_dtype_name(t->dtype), tarn__describe(t->tensor, what),
                   t->is_view ? " (view)" : "", t->path,
                   t->path[0] != '\0' && t->operation[0] != '\0' ? " " : "", t->operation) > 0;
}

tarn_status tarn_manager_print_alive(const tarn_manager *tm, FILE *stream)
{
    if (tm == NULL || stream == NULL) return TARN_EARG;
    list l = { .room = tarn_manager_each_tensor(tm, NULL, NULL) };
    const size_t bytes = (l.room > 0 ? l.room : 1) * sizeof(*l.all);
    l.all = take_memory(tm->pool, bytes);
    if (l.all == NULL) return TARN_ENOMEM;
    (void)tarn_manager_each_tensor(tm, add_tensor, &l);
    bool written = fprintf(stream, "alive: %zu tensor%s\n", l.n, l.n == 1 ? "" : "s") > 0;
    if (l.n > 0)
        written = fprintf(stream, "  %12s  %-10s  %-7s  %s\n", "bytes", "kind", "type",
                          "name and shape, path and operation") > 0 &&
                  written;
    for (size_t i = 0; i < l.n; i++) written = print_tensor(&l.all[i], stream) && written;
    tarn__records_free(tm->pool, l.all, bytes);
    return written ? TARN_OK : TARN_EIO;
}

/* ---- phases */

tarn_status tarn_manager_print_phases(const tarn_manager *tm, FILE *stream)
{
    if (tm == NULL || stream == NULL) return TARN_EARG;
    bool written =
        fprintf(stream, "%-24s %9s %11s %12s %12s %12s %9s %8s %7s\n", "phase", "calls",
                "us a call", "peak", "growth", "left in all", "blocks", "hits", "system") > 0;
    for (uint32_t i = 0; i < tm->n_phases; i++) {
        const tarn_phase_usage *p = &tm->phases[i];
        char texts[3][24];
        if (p->calls == 0) continue;
        written =
            fprintf(stream, "%-24s %9llu %11.2f %12s %12s %12s %9llu %7.2f%% %7llu\n", p->name,
                    (unsigned long long)p->calls, 1e6 * p->seconds / (double)p->calls,
                    tarn__bytes_text(texts[0], (double)p->peak),
                    tarn__bytes_text(texts[1], (double)p->peak_growth),
                    tarn__bytes_text(texts[2], (double)p->left), (unsigned long long)p->allocations,
                    share((size_t)p->hits, (size_t)p->allocations),
                    (unsigned long long)p->system_allocations) > 0 &&
            written;
    }
    return written ? TARN_OK : TARN_EIO;
}
