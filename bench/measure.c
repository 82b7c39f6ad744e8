/* SPDX-License-Identifier: MIT
 * measure.c - timing, medians, rows. */
#define _POSIX_C_SOURCE 200809L

#include "measure.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tarn/tarn.h>

/* ---- timing */

static clockid_t clock_of_arms = CLOCK_MONOTONIC;

static double read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double now_ns(void) { return read_clock(CLOCK_MONOTONIC); }

void measure_processor_time(void) { clock_of_arms = CLOCK_THREAD_CPUTIME_ID; }

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *values, int n)
{
    qsort(values, (size_t)n, sizeof(*values), compare);
    return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double once(const arm *a)
{
    const double start = read_clock(clock_of_arms);
    for (int i = 0; i < a->calls; i++) a->run(a->context);
    return (read_clock(clock_of_arms) - start) / a->calls;
}

void measure(arm *arms, int n_arms, int repetitions)
{
    enum { MAX_ARMS = 16 };
    static double times[MAX_ARMS][MAX_REPETITIONS], parts[MAX_ARMS][2][MAX_REPETITIONS];
    if (n_arms > MAX_ARMS || repetitions > MAX_REPETITIONS) abort();
    for (int a = 0; a < n_arms; a++) (void)once(&arms[a]);
    for (int r = 0; r < repetitions; r++) {
        for (int a = 0; a < n_arms; a++) {
            const double *split = arms[a].split;
            const double before[2] = { split ? split[0] : 0, split ? split[1] : 0 };
            times[a][r] = once(&arms[a]);
            if (split == NULL) continue;
            const double spent[2] = { split[0] - before[0], split[1] - before[1] };
            for (int i = 0; i < 2; i++)
                parts[a][i][r] = times[a][r] * spent[i] / (spent[0] + spent[1]);
        }
    }
    for (int a = 0; a < n_arms; a++) {
        for (int i = 0; arms[a].split != NULL && i < 2; i++)
            arms[a].parts[i] = median_of(parts[a][i], repetitions);
        arms[a].median = median_of(times[a], repetitions);
        for (int r = 0; r < repetitions; r++) times[a][r] = fabs(times[a][r] - arms[a].median);
        arms[a].mad = median_of(times[a], repetitions);
    }
}

/* The first call does not count: it waits for memory that later ones find at hand, and would make
 * every repetition a few calls, most of which then find the caches as another arm left them. */
int calls_for(void (*run)(void *context), void *context, double nanoseconds)
{
    arm probe = { .run = run, .context = context, .calls = 1 };
    (void)once(&probe);
    double time = once(&probe);
    while (probe.calls < 1 << 20 && time * probe.calls < nanoseconds / 2) {
        probe.calls *= 2;
        time = once(&probe);
    }
    const double calls = nanoseconds / (time > 1 ? time : 1);
    return calls < 1 ? 1 : (int)calls;
}

/* ---- options */

static const char usage[] =
    "Usage: %s [--threads N] [--repetitions N] [--only TEXT] [--json FILE] [--help]%s\n"
    "%s\n"
    "  --threads N      BLAS threads (default 1)\n"
    "  --repetitions N  of every arm, 3 to 1001; medians are taken over them (default 101)\n"
    "  --only TEXT      only rows whose names contain TEXT\n"
    "  --json FILE      also write one JSON object a row\n";

static int number(const char *text, int low, int high, const char *program, const char *option)
{
    char *end = NULL;
    const long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "%s: %s wants a number from %d to %d, not \"%s\"\n", program, option, low,
                high, text);
        exit(2);
    }
    return (int)value;
}

static void print_machine(const bench_options *options, const char *program)
{
    const tarn_runtime_info info = tarn_runtime_get_info();
    const char *core = info.blas_core != NULL ? info.blas_core : "unknown";
    printf("%s: tarn %s, BLAS kernels %s (%s), %d thread%s of %d processors, %s (kernels %s, "
           "mathematics by %s)\n",
           program, info.version, core, info.blas_reason, options->threads,
           options->threads == 1 ? "" : "s", info.processors, info.simd, info.kernels, info.math);
    if (options->json != NULL)
        fprintf(options->json,
                "{\"bench\":\"machine\",\"version\":\"%s\",\"blas\":\"%s\",\"blas_core\":\"%s\","
                "\"blas_reason\":\"%s\",\"simd\":\"%s\",\"kernels\":\"%s\",\"math\":\"%s\","
                "\"processors\":%d,\"threads\":%d}\n",
                info.version, info.blas, core, info.blas_reason, info.simd, info.kernels, info.math,
                info.processors, options->threads);
}

bench_options bench_start(int argc, char **argv, const char *what)
{
    return bench_start_on(argc, argv, what, "");
}

bench_options bench_start_single(int argc, char **argv, const char *what, const char *operands)
{
    const bench_options options = bench_start_on(argc, argv, what, operands);
    if (options.threads == 1) measure_processor_time();
    return options;
}

bench_options bench_start_on(int argc, char **argv, const char *what, const char *operands)
{
    static const struct option options[] = {
        { "threads", required_argument, NULL, 't' },
        { "repetitions", required_argument, NULL, 'r' },
        { "only", required_argument, NULL, 'o' },
        { "json", required_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    bench_options result = { .threads = 1, .repetitions = 101 };
    const char *path = NULL;
    const char *slash = strrchr(argv[0], '/');
    const char *program = slash != NULL ? slash + 1 : argv[0];
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 't': result.threads = number(optarg, 1, 1024, program, "--threads"); break;
        case 'r':
            result.repetitions = number(optarg, 3, MAX_REPETITIONS, program, "--repetitions");
            break;
        case 'o': result.only = optarg; break;
        case 'j': path = optarg; break;
        case 'h': printf(usage, program, operands, what); exit(0);
        default: fprintf(stderr, usage, program, operands, what); exit(2);
        }
    }
    result.operands = argv + optind;
    result.n_operands = argc - optind;
    if (result.n_operands > 0 && operands[0] == '\0') {
        fprintf(stderr, "%s: unexpected argument \"%s\"\n", program, argv[optind]);
        exit(2);
    }
    if (tarn_runtime_init(&(tarn_runtime_options){ .threads = result.threads }) != TARN_OK) {
        fprintf(stderr, "%s: BLAS refuses %d threads\n", program, result.threads);
        exit(1);
    }
    if (path != NULL && (result.json = fopen(path, "w")) == NULL) {
        fprintf(stderr, "%s: cannot write %s\n", program, path);
        exit(1);
    }
    print_machine(&result, program);
    return result;
}

bool bench_wants(const bench_options *options, const char *row)
{
    return options->only == NULL || strstr(row, options->only) != NULL;
}

int bench_end(const bench_options *options)
{
    bool written = fflush(stdout) == 0;
    if (options->json != NULL && fclose(options->json) != 0) written = false;
    if (!written) fprintf(stderr, "benchmark: the results could not be written\n");
    return written ? 0 : 1;
}

/* ---- rows */

static void write_figure(FILE *json, const char *key, double value, const char *format)
{
    fprintf(json, ",\"%s\":", key);
    if (value < 0 || !isfinite(value)) fprintf(json, "null");
    else fprintf(json, format, value);
}

static void write_text(FILE *json, const char *key, const char *text)
{
    if (text == NULL) fprintf(json, ",\"%s\":null", key);
    else fprintf(json, ",\"%s\":\"%s\"", key, text);
}

void bench_set_floor(bench_row *row, const arm *floor)
{
    row->gemm_ns = floor->parts[0];
    row->stream_ns = floor->parts[1];
    row->floor_ns = floor->parts[0] + floor->parts[1];
    row->floor_mad_ns = floor->mad;
}

bench_row bench_row_of(const char *bench, const char *name, const char *note)
{
    return (bench_row){ .bench = bench,
                        .name = name,
                        .note = note,
                        .median_ns = -1,
                        .mad_ns = -1,
                        .gemm_ns = -1,
                        .stream_ns = -1,
                        .bytes = -1,
                        .floor_ns = -1,
                        .floor_mad_ns = -1 };
}

static void write_peers(FILE *json, const bench_row *row)
{
    fprintf(json, ",\"peers\":{");
    for (int i = 0; i < BENCH_PEERS && row->peers[i].name != NULL; i++)
        fprintf(json, "%s\"%s\":{\"median_ns\":%.2f,\"mad_ns\":%.2f}", i > 0 ? "," : "",
                row->peers[i].name, row->peers[i].median_ns, row->peers[i].mad_ns);
    fprintf(json, "}");
}

void bench_write(const bench_options *options, const bench_row *row)
{
    FILE *json = options->json;
    if (json == NULL) return;
    fprintf(json, "{\"bench\":\"%s\",\"case\":\"%s\",\"threads\":%d", row->bench, row->name,
            options->threads);
    write_figure(json, "median_ns", row->median_ns, "%.2f");
    write_figure(json, "mad_ns", row->mad_ns, "%.2f");
    write_figure(json, "gemm_ns", row->gemm_ns, "%.2f");
    write_figure(json, "stream_ns", row->stream_ns, "%.2f");
    write_figure(json, "bytes", row->bytes, "%.0f");
    write_figure(json, "floor_ns", row->floor_ns, "%.2f");
    write_figure(json, "floor_mad_ns", row->floor_mad_ns, "%.2f");
    write_figure(json, "ratio", row->floor_ns > 0 ? row->median_ns / row->floor_ns : -1, "%.4f");
    write_text(json, "floor", row->floor);
    write_text(json, "reason", row->reason);
    write_peers(json, row);
    write_text(json, "note", row->note);
    fprintf(json, "}\n");
}
