/* SPDX-License-Identifier: MIT
 * bench_feed.c - what it takes to feed a training: batches against the streams of their bytes, and
 * steps that are fed against the same steps on a batch that stays. */
#include <stdio.h>

#include <tarn/tarn.h>

#include "measure.h"
#include "steps.h"
#include "stream.h"

enum { ROW = 784, IMAGES = 60000, CLASSES = 10 };

/* ---- batches */

typedef struct feed_kind {
    const char *name;
    tarn_dtype from, to;
    int batch;
    bool shuffle;
    double shift, scale;
} feed_kind;

static const feed_kind feed_kinds[] = {
    { "128 images, bytes to floats", TARN_U8, TARN_F32, 128, true, 33.32, 1 / 78.57 },
    { "32 images, bytes to floats", TARN_U8, TARN_F32, 32, true, 33.32, 1 / 78.57 },
    { "128 images, in order", TARN_U8, TARN_F32, 128, false, 33.32, 1 / 78.57 },
    { "128 images, bytes to doubles", TARN_U8, TARN_F64, 128, true, 33.32, 1 / 78.57 },
    { "128 images of floats, copied", TARN_F32, TARN_F32, 128, true, 0, 1 },
    { "128 images of floats, scaled", TARN_F32, TARN_F32, 128, true, 33.32, 1 / 78.57 },
};

typedef struct feed {
    tarn_loader *loader;
    stream reading, writing; /* the floor: rows are read one after the other, the batch written */
    float *data;
    size_t place, batch, end; /* in floats of the data */
} feed;

/* Images in which every value from 0 to 255 occurs. */
static tarn_tensor *make_images(tarn_manager *tm, tarn_dtype dtype)
{
    tarn_tensor *images = tarn_empty(tm, TARN_U8, TARN_SHAPE(IMAGES, ROW));
    unsigned char *x = tarn_data_mut(images);
    for (int64_t i = 0; x != NULL && i < (int64_t)IMAGES * ROW; i++)
        x[i] = (unsigned char)(i * 37 / 5);
    return dtype == TARN_U8 ? images : tarn_cast(images, dtype);
}

static tarn_tensor *make_labels(tarn_manager *tm)
{
    tarn_tensor *labels = tarn_empty(tm, TARN_I64, TARN_SHAPE(IMAGES));
    int64_t *y = tarn_data_mut(labels);
    for (int i = 0; y != NULL && i < IMAGES; i++) y[i] = i % CLASSES;
    return labels;
}

static void next(tarn_loader *loader, tarn_tensor **x, tarn_tensor **y)
{
    if (!tarn_loader_next(loader, x, y)) (void)tarn_loader_next(loader, x, y); /* another epoch */
}

static void run_loader(void *context)
{
    const feed *f = context;
    tarn_tensor *x;
    next(f->loader, &x, NULL);
}

static void run_streams(void *context)
{
    feed *f = context;
    if (f->place + f->batch > f->end) f->place = 0;
    f->reading.in[0] = f->data + f->place;
    f->place += f->batch;
    stream_run(&f->reading);
    stream_run(&f->writing);
}

static void make_feed(feed *f, tarn_manager *tm, const feed_kind *kind)
{
    tarn_tensor *images = make_images(tm, kind->from);
    const size_t elements = (size_t)kind->batch * ROW, all = (size_t)IMAGES * ROW;
    f->loader = tarn_loader_create(images, NULL,
                                   &(tarn_loader_options){ .batch_size = kind->batch,
                                                           .shuffle = kind->shuffle,
                                                           .drop_last = true,
                                                           .dtype = kind->to,
                                                           .shift = kind->shift,
                                                           .scale = kind->scale });
    f->batch = elements * tarn_dtype_size(kind->from) / sizeof(float);
    f->end = all * tarn_dtype_size(kind->from) / sizeof(float);
    f->data = tarn_data_mut(images);
    f->reading = (stream){ .reads = 1, .n = f->batch };
    f->writing = (stream){ .writes = 1, .n = elements * tarn_dtype_size(kind->to) / sizeof(float) };
    tarn_tensor *batch = tarn_empty(tm, TARN_F32, TARN_SHAPE((int64_t)f->writing.n));
    f->writing.out[0] = tarn_data_mut(batch);
}

/* False, with the reason printed, if the manager holds an error. */
static bool is_good(tarn_manager *tm, const char *name)
{
    if (!tarn_ok(tm)) fprintf(stderr, "bench_feed: %s: %s\n", name, tarn_error_message(tm));
    return tarn_ok(tm);
}

static void print_row(const bench_row *row)
{
    printf("| %-38s | %8.2f +- %6.2f | %8.2f +- %6.2f | %5.2f |\n", row->name, row->median_ns / 1e3,
           row->mad_ns / 1e3, row->floor_ns / 1e3, row->floor_mad_ns / 1e3,
           row->median_ns / row->floor_ns);
}

static bool measure_feed(const bench_options *options, const feed_kind *kind)
{
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 42 });
    feed f = { .loader = NULL };
    make_feed(&f, tm, kind);
    const bool good = is_good(tm, kind->name);
    if (good) {
        arm arms[] = { { .run = run_loader, .context = &f, .calls = 50 },
                       { .run = run_streams, .context = &f, .calls = 50 } };
        measure(arms, 2, options->repetitions);
        bench_row row = bench_row_of("bench_feed", kind->name, "a batch of a loader");
        row.floor = "the same bytes read in order, and the batch written, by plain loops";
        row.median_ns = arms[0].median, row.mad_ns = arms[0].mad;
        row.floor_ns = row.stream_ns = arms[1].median, row.floor_mad_ns = arms[1].mad;
        row.bytes = stream_bytes(&f.reading) + stream_bytes(&f.writing);
        print_row(&row);
        bench_write(options, &row);
    }
    tarn_manager_destroy(tm);
    return good;
}

/* ---- steps that are fed */

static const step_kind fed_kinds[] = {
    { "784-10 b128 SGD", 128, { ROW, CLASSES }, OPTIMIZER_SGD, false },
    { "784-128-10 b32 SGD", 32, { ROW, 128, CLASSES }, OPTIMIZER_SGD, false },
    { "784-128-10 b128 Adam", 128, { ROW, 128, CLASSES }, OPTIMIZER_ADAM, false },
    { "784-512-256-10 b128 Adam", 128, { ROW, 512, 256, CLASSES }, OPTIMIZER_ADAM, false },
};

enum { ALONE, FED, FED_AHEAD, WAYS };

typedef struct fed_step {
    step step;
    tarn_loader *loader; /* NULL: the batch stays */
} fed_step;

static void run_fed(void *context)
{
    fed_step *f = context;
    if (f->loader != NULL) next(f->loader, &f->step.x, &f->step.y);
    step_run(&f->step);
}

static void make_fed(fed_step ways[WAYS], tarn_manager *tm, const step_kind *kind)
{
    tarn_tensor *images = make_images(tm, TARN_U8), *labels = make_labels(tm);
    for (int i = 0; i < WAYS; i++) {
        step_make(&ways[i].step, kind, tm);
        if (i == ALONE) continue;
        ways[i].loader = tarn_loader_create(images, labels,
                                            &(tarn_loader_options){ .batch_size = kind->batch,
                                                                    .shuffle = true,
                                                                    .drop_last = true,
                                                                    .shift = 33.32,
                                                                    .scale = 1 / 78.57,
                                                                    .prefetch = i == FED_AHEAD });
    }
}

static bool measure_fed(const bench_options *options, const step_kind *kind)
{
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 42 });
    fed_step ways[WAYS] = { { .loader = NULL } };
    make_fed(ways, tm, kind);
    if (!is_good(tm, kind->name)) {
        tarn_manager_destroy(tm);
        return false;
    }
    arm arms[WAYS];
    for (int i = 0; i < WAYS; i++)
        arms[i] = (arm){ .run = run_fed,
                         .context = &ways[i],
                         .calls = calls_for(run_fed, &ways[i], 5e6) };
    measure(arms, WAYS, options->repetitions);
    const bool good = is_good(tm, kind->name);
    for (int i = FED; good && i < WAYS; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s, %s", kind->name, i == FED ? "fed" : "prefetch");
        bench_row row = bench_row_of("bench_feed", name, "a training step with its batch");
        row.floor = "the same step on a batch that stays";
        row.median_ns = arms[i].median, row.mad_ns = arms[i].mad;
        row.floor_ns = arms[ALONE].median, row.floor_mad_ns = arms[ALONE].mad;
        print_row(&row);
        bench_write(options, &row);
    }
    tarn_manager_destroy(tm);
    return good;
}

int main(int argc, char **argv)
{
    const bench_options options =
        bench_start(argc, argv, "Times loaders, and training steps that they feed.");
    bool good = true;
    printf("batches and steps that are fed, us (median +- MAD of %d interleaved repetitions)\n",
           options.repetitions);
    printf("| case                                   | tarn, us           | floor, us          | "
           "ratio |\n");
    printf("|----------------------------------------|--------------------|--------------------|---"
           "----|\n");
    for (size_t i = 0; i < sizeof(feed_kinds) / sizeof(feed_kinds[0]); i++)
        if (bench_wants(&options, feed_kinds[i].name))
            good = measure_feed(&options, &feed_kinds[i]) && good;
    for (size_t i = 0; i < sizeof(fed_kinds) / sizeof(fed_kinds[0]); i++)
        if (bench_wants(&options, fed_kinds[i].name))
            good = measure_fed(&options, &fed_kinds[i]) && good;
    return bench_end(&options) != 0 || !good;
}
