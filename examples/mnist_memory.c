/* SPDX-License-Identifier: MIT
 * mnist_memory.c - tables of memory for people, and files about it for them and for programs. */
#include "mnist_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "files.h"

/* Nineteen epochs of the default training; of a longer one the last. */
enum { TRACE_EVENTS = 1 << 18 };

tarn_pool_options mnist_memory_options(const mnist_options *o)
{
    tarn_pool_options options = { .max_capacity = o->max_capacity };
    for (int i = 0; i < MNIST_N_TRACES; i++)
        if (o->traces[i] != NULL) options.trace_events = TRACE_EVENTS;
    return options;
}

/* ---- tables */

/* A number of bytes in the largest unit of which there is one. */
static const char *human(char text[16], double bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    int unit = 0;
    for (; bytes >= 1024 && unit < 4; unit++) bytes /= 1024;
    snprintf(text, 16, "%.*f %s", unit == 0 ? 0 : 2, bytes, units[unit]);
    return text;
}

static void print_columns(const char *title, const char *first, const char *second)
{
    printf("%-30s %14s %14s\n", title, first, second);
}

static void print_counts(const char *what, uint64_t now, uint64_t peak)
{
    printf("  %-28s %14" PRIu64 " %14" PRIu64 "\n", what, now, peak);
}

static void print_bytes(const char *what, size_t now, size_t peak)
{
    char first[16], second[16];
    printf("  %-28s %14s %14s\n", what, human(first, (double)now), human(second, (double)peak));
}

static void print_total(const char *what, uint64_t n)
{
    printf("  %-28s %14" PRIu64 "\n", what, n);
}

/* What the peak was made of, by kind. */
static void print_kinds(const tarn_pool *pool)
{
    size_t at_peak[TARN_N_KINDS] = { 0 }, peak = 0;
    const size_t n = tarn_pool_get_tags(pool, NULL, 0);
    tarn_tag_usage *rows = calloc(n + 1, sizeof *rows);
    if (rows == NULL) return;
    const size_t found = tarn_pool_get_tags(pool, rows, n);
    for (size_t i = 0; i < n && i < found; i++) {
        at_peak[rows[i].kind] += rows[i].at_peak;
        peak += rows[i].at_peak;
    }
    free(rows);
    if (peak == 0) return; /* nothing was recorded */
    print_columns("what the peak was made of", "in use", "share");
    for (int kind = 0; kind < TARN_N_KINDS; kind++) {
        char bytes[16];
        if (at_peak[kind] == 0) continue;
        printf("  %-28s %14s %13.2f%%\n", tarn_kind_name((tarn_kind)kind),
               human(bytes, (double)at_peak[kind]), 100 * (double)at_peak[kind] / (double)peak);
    }
    printf("\n");
}

void mnist_memory_print(const tarn_manager *tm)
{
    const tarn_manager_stats m = tarn_manager_get_stats(tm);
    const tarn_pool_stats s = tarn_pool_get_stats(tarn_manager_pool(tm));
    char saved[16];
    printf("\n");
    print_columns("memory manager", "now", "peak");
    print_counts("tensors", m.active, m.peak);
    print_bytes("memory of tensors", m.total_memory, m.peak_memory);
    printf("%45s\n", "in total");
    print_total("tensors created", m.created);
    print_total("tensors released", m.released);
    printf("\n");
    print_columns("memory pool", "now", "peak");
    print_bytes("requested", s.current_usage, s.peak_usage);
    print_bytes("in use, as whole blocks", s.in_use, s.peak_in_use);
    print_bytes("reserved from the system", s.reserved, s.peak_reserved);
    print_bytes("cached for reuse", s.cached, s.peak_cached);
    print_columns("", "in total", "share");
    print_total("acquisitions", s.allocations);
    printf("  %-28s %14" PRIu64 " %13.2f%%\n", "reused blocks (hits)", s.pool_allocations,
           100 * s.hit_ratio);
    print_total("releases", s.releases);
    printf("  %-28s %14s\n", "memory saved by reuse", human(saved, (double)s.memory_saved));
    print_total("system calls to reserve", s.system_allocations);
    print_total("system calls to give back", s.system_releases);
    printf("\n");
    print_kinds(tarn_manager_pool(tm));
    if (tarn_manager_get_phases(tm, NULL, 0) > 0) {
        tarn_manager_print_phases(tm, stdout);
        printf("\n");
    }
}

void mnist_memory_print_forecast(const tarn_dry_run_result *result, double took)
{
    const struct {
        const char *what;
        size_t bytes;
    } rows[] = {
        { "in use at the peak", result->in_use },
        { "reserved at the peak", result->reserved },
        { "smallest --max-capacity", result->min_capacity },
    };
    print_columns("what training would need", "", "bytes");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char bytes[16];
        printf("  %-28s %14s %14zu\n", rows[i].what, human(bytes, (double)rows[i].bytes),
               rows[i].bytes);
    }
    printf("\nfound by %zu dry runs in %.2f s; nothing was trained\n", result->runs, took);
}

/* ---- files */

bool mnist_memory_can_save(const mnist_options *o)
{
    for (int i = 0; i < MNIST_N_TRACES; i++)
        if (o->traces[i] != NULL && !file_can_be_made(o->traces[i]))
            return mnist_fail("%s cannot be made", o->traces[i]);
    return true;
}

bool mnist_memory_save(const tarn_manager *tm, const mnist_options *o, const char *title)
{
    for (int i = 0; i < MNIST_N_TRACES; i++) {
        if (o->traces[i] == NULL) continue;
        const tarn_status status =
            tarn_pool_save_trace(tarn_manager_pool(tm), o->traces[i], (tarn_trace_format)i, title);
        if (status != TARN_OK)
            return mnist_fail("%s cannot be written: %s", o->traces[i], tarn_status_text(status));
    }
    return true;
}
