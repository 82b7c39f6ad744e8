/* SPDX-License-Identifier: MIT
 * replay.c - the memory requests of a training step, again: by the pool, by malloc, by
 * aligned_alloc.
 *
 * Started with another allocator in LD_PRELOAD, the program measures that one:
 * `scripts/bench --peers` does. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "measure.h"
#include "trace.h"

/* Reads a trace; false, with the reason printed, if it is none. */
static bool read_trace(const char *path, trace *t)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        return false;
    }
    const char *slash = strrchr(path, '/');
    (void)snprintf(t->name, sizeof(t->name), "%s", slash != NULL ? slash + 1 : path);
    t->name[strcspn(t->name, ".")] = '\0';
    const bool good = trace_read(file, t);
    (void)fclose(file);
    if (!good)
        fprintf(stderr, "replay: %s: no trace, or a block comes or goes twice, or it is too long\n",
                path);
    return good;
}

/* ---- replaying */

/* Inlined with a constant, so that each arm calls its allocator directly. */
static inline void run_heap(replay *r, void *(*allocate)(size_t bytes))
{
    for (int round = 0; round < r->rounds; round++) {
        for (const event *e = r->trace->events; e < r->trace->events + r->trace->n_events; e++) {
            void **data = &r->blocks[e->id].data;
            if (!e->acquire) {
                free(*data);
            } else {
                if ((*data = allocate(e->bytes)) == NULL) abort();
                replay_touch(r, *data, e->bytes);
            }
        }
    }
}

static inline void *allocate_aligned(size_t bytes)
{
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void run_malloc(void *context) { run_heap(context, malloc); }
static void run_aligned(void *context) { run_heap(context, allocate_aligned); }

/* ---- rows */

static const struct way {
    const char *name;
    size_t stride;
} ways[] = { { "untouched", 0 }, { "a byte a page", 4096 }, { "a byte a line", 64 } };

/* Whose malloc it is: the library in LD_PRELOAD, without "lib" and what follows the name, or libc.
 */
static const char *whose_malloc(void)
{
    static char name[64];
    const char *preload = getenv("LD_PRELOAD");
    if (preload == NULL || preload[0] == '\0') return "libc";
    const char *slash = strrchr(preload, '/');
    (void)snprintf(name, sizeof(name), "%s", slash != NULL ? slash + 1 : preload);
    name[strcspn(name, ".")] = '\0';
    return strncmp(name, "lib", 3) == 0 ? name + 3 : name;
}

static void measure_trace(const bench_options *options, replay *r, const struct way *way)
{
    static const char *const calls[] = { "tarn", "malloc", "aligned_alloc" };
    const double pairs = r->rounds * (double)r->trace->n_events / 2;
    char name[128], names[3][96];
    (void)snprintf(name, sizeof(name), "%s, %s", r->trace->name, way->name);
    if (!bench_wants(options, name)) return;
    r->stride = way->stride;
    arm arms[] = { { .run = replay_pool, .context = r },
                   { .run = run_malloc, .context = r },
                   { .run = run_aligned, .context = r } };
    for (int a = 0; a < 3; a++) arms[a].calls = calls_for(arms[a].run, r, 5e5);
    measure(arms, 3, options->repetitions);
    bench_row row = bench_row_of("replay", name, "one acquisition and its release");
    row.median_ns = arms[0].median / pairs, row.mad_ns = arms[0].mad / pairs;
    printf("| %-12s | %-13s |", r->trace->name, way->name);
    for (int a = 0; a < 3; a++) {
        printf(" %9.1f +- %5.1f |", arms[a].median / pairs, arms[a].mad / pairs);
        (void)snprintf(names[a], sizeof(names[a]), "%s %s", whose_malloc(), calls[a]);
        if (a > 0)
            row.peers[a - 1] =
                (bench_peer){ names[a], arms[a].median / pairs, arms[a].mad / pairs };
    }
    bench_write(options, &row);
    printf("\n");
}

int main(int argc, char **argv)
{
    static char *all[] = { REPLAY_TRACES "/mnist_step.csv", REPLAY_TRACES "/mixed_step.csv" };
    static trace t;
    static replay r;
    bench_options options = bench_start_single(
        argc, argv, "Replays traces of memory requests (default: those of bench/traces).",
        " [TRACE ...]");
    if (options.n_operands == 0) {
        options.operands = all;
        options.n_operands = (int)(sizeof(all) / sizeof(all[0]));
    }
    r.trace = &t;
    r.rounds = 100;
    r.pool = tarn_pool_create(NULL, NULL);
    if (r.pool == NULL) abort();
    printf("acquire + release, ns a pair (median +- MAD of %d repetitions); malloc of %s\n",
           options.repetitions, whose_malloc());
    printf("| trace        | written       | tarn               | malloc             | "
           "aligned_alloc(64)  |\n");
    printf("|--------------|---------------|--------------------|--------------------|-"
           "-------------------|\n");
    bool ok = true;
    for (int i = 0; i < options.n_operands && ok; i++) {
        ok = read_trace(options.operands[i], &t);
        for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]) && ok; w++)
            measure_trace(&options, &r, &ways[w]);
    }
    (void)tarn_pool_destroy(r.pool);
    return bench_end(&options) != 0 || !ok;
}
