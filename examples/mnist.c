/* SPDX-License-Identifier: MIT
 * mnist.c - a multilayer perceptron learns to read handwritten digits. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include <tarn/tarn.h>

#include "mnist_data.h"
#include "mnist_options.h"
#include "progress.h"

enum { TEST_BATCH = 1000 };

/* Mean and deviation of the bytes of MNIST's training images: inputs become numbers around 0. */
static const double pixel_mean = 33.32, pixel_deviation = 78.57;

static const double sgd_momentum = 0.9;

typedef struct training {
    tarn_manager *tm;
    tarn_module *net;
    tarn_mlp mlp;
    tarn_optimizer *optimizer;
    tarn_loader *train, *test;
    progress progress;
    FILE *json; /* NULL: not asked for */
} training;

/* ---- setting up */

static tarn_optimizer *create_optimizer(tarn_module *net, const mnist_options *o)
{
    if (o->optimizer == MNIST_SGD) {
        return tarn_sgd_create(net, &(tarn_sgd_options){ .lr = o->lr, .momentum = sgd_momentum });
    }
    if (o->optimizer == MNIST_ADAM) {
        return tarn_adam_create(net, &(tarn_adam_options){ .lr = o->lr });
    }
    return tarn_adamw_create(net, &(tarn_adam_options){ .lr = o->lr, .weight_decay = 0.01 });
}

static tarn_loader *create_loader(const mnist_set *set, int64_t batch, bool shuffle)
{
    return tarn_loader_create(set->images, set->labels,
                              &(tarn_loader_options){
                                  .batch_size = batch,
                                  .shuffle = shuffle,
                                  .flatten = true,
                                  .shift = pixel_mean,
                                  .scale = 1 / pixel_deviation,
                              });
}

/* Layers from the pixels of an image over the hidden sizes to the ten digits. */
static void create_net(training *t, const mnist_data *data, const mnist_options *o)
{
    int64_t sizes[MNIST_MAX_HIDDEN + 2];
    int n = 0;
    sizes[n++] = tarn_dim(data->train.images, 1) * tarn_dim(data->train.images, 2);
    for (int i = 0; i < o->n_hidden; i++) sizes[n++] = o->hidden[i];
    sizes[n++] = MNIST_CLASSES;
    t->net = tarn_module_create(t->tm);
    t->mlp = tarn_mlp_create(t->net, "mlp", sizes, n, NULL);
    t->optimizer = create_optimizer(t->net, o);
}

/* What is about to be trained, on what and how. */
static void print_header(const training *t, const mnist_data *data, const mnist_options *o)
{
    const tarn_runtime_info info = tarn_runtime_get_info();
    const int64_t pixels = tarn_dim(data->train.images, 1) * tarn_dim(data->train.images, 2);
    mnist_data_print(data);
    printf("network %lld", (long long)pixels);
    for (int i = 0; i < o->n_hidden; i++) printf("-%lld", (long long)o->hidden[i]);
    printf("-%d, %lld parameters; BLAS on %d thread%s (%s)\n", MNIST_CLASSES,
           (long long)tarn_module_numel(t->net), info.blas_threads,
           info.blas_threads == 1 ? "" : "s", info.blas_core);
    printf("%s", mnist_optimizer_name(o->optimizer));
    if (o->optimizer == MNIST_SGD) printf(" with momentum %g", sgd_momentum);
    printf(", learning rate %g falling to 0 along a cosine, batches of %lld, seed %" PRIu64 "\n\n",
           o->lr, (long long)o->batch, o->seed);
}

/* ---- training */

/* Falls from the given rate to zero along half a cosine: large steps first, fine ones at the end.
 */
static void set_rate(training *t, double lr)
{
    const double pi = 3.14159265358979323846;
    const progress *p = &t->progress;
    const double done = (double)((p->epoch - 1) * p->steps + p->step);
    const double all = (double)(p->epochs * p->steps);
    tarn_optimizer_set_lr(t->optimizer, lr * 0.5 * (1 + cos(pi * done / all)));
}

static void train_epoch(training *t, double lr)
{
    tarn_tensor *images, *labels;
    progress_begin(&t->progress);
    while (tarn_loader_next(t->train, &images, &labels)) {
        TARN_SCOPE(t->tm);
        set_rate(t, lr);
        tarn_tensor *loss = tarn_cross_entropy(tarn_mlp_forward(&t->mlp, images), labels);
        tarn_backward(loss);
        tarn_optimizer_step(t->optimizer);
        progress_step(&t->progress, tarn_dim(images, 0), tarn_item(loss));
    }
}

/* The part of the test images that the network reads right. */
static double test_accuracy(training *t)
{
    TARN_NO_GRAD(t->tm);
    tarn_tensor *images, *labels;
    int64_t correct = 0;
    tarn_module_eval(t->net);
    while (tarn_loader_next(t->test, &images, &labels)) {
        TARN_SCOPE(t->tm);
        correct += tarn_count_correct(tarn_mlp_forward(&t->mlp, images), labels);
    }
    tarn_module_train(t->net);
    return (double)correct / (double)tarn_loader_rows(t->test);
}

/* One epoch as a line of JSON. */
static bool write_json(const training *t, double accuracy, double took)
{
    char pool[4096];
    const tarn_pool_stats stats = tarn_pool_get_stats(tarn_manager_pool(t->tm));
    if (t->json == NULL) return true;
    if (tarn_pool_stats_json(&stats, pool, sizeof pool) >= sizeof pool) return false;
    fprintf(t->json,
            "{\"epoch\":%lld,\"loss\":%.9g,\"test_accuracy\":%.6f,\"seconds\":%.6f,"
            "\"pool\":%s,\"digest\":\"%016" PRIx64 "\"}\n",
            (long long)t->progress.epoch, progress_loss(&t->progress), accuracy, took, pool,
            tarn_module_digest(t->net));
    return fflush(t->json) == 0;
}

/* Trains and tests for all epochs. *accuracy is that of the last one. */
static bool run(training *t, const mnist_options *o, double *accuracy)
{
    while (t->progress.epoch < o->epochs) {
        train_epoch(t, o->lr);
        const double took = progress_end(&t->progress), loss = progress_loss(&t->progress);
        if (tarn_ok(t->tm)) *accuracy = test_accuracy(t);
        if (!tarn_ok(t->tm)) return mnist_fail("%s", tarn_error_message(t->tm));
        if (!isfinite(loss))
            return mnist_fail("the loss is no longer a number; a smaller --lr may help");
        printf("epoch %*lld/%lld  loss %.4f  test accuracy %.2f%%  %.2f s\n", o->epochs > 9 ? 2 : 1,
               (long long)t->progress.epoch, (long long)o->epochs, loss, 100 * *accuracy, took);
        if (!write_json(t, *accuracy, took)) return mnist_fail("%s cannot be written", o->json);
        if (fflush(stdout) != 0 || ferror(stdout))
            return mnist_fail("the output cannot be written");
    }
    return true;
}

/* ---- what memory did */

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

static void print_memory(const tarn_manager *tm)
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
}

static bool report(const training *t, const mnist_options *o, double accuracy)
{
    print_memory(t->tm);
    printf("test accuracy %.2f%% after %lld epoch%s, %.2f s of training\n", 100 * accuracy,
           (long long)o->epochs, o->epochs == 1 ? "" : "s", t->progress.before);
    if (fflush(stdout) != 0 || ferror(stdout)) return mnist_fail("the output cannot be written");
    return true;
}

/* Prints nothing before all that was asked for is known to be possible. Returns how the program
 * shall exit. */
static int learn(training *t, const mnist_options *o)
{
    mnist_data data;
    double accuracy = 0;
    if (t->tm == NULL) return !mnist_fail("out of memory");
    if (!mnist_data_load(&data, t->tm, o->data, o->generated)) return 1;
    const int64_t images = tarn_dim(data.train.images, 0);
    if (o->batch > images) {
        mnist_fail("--batch %lld is more than the %lld training images", (long long)o->batch,
                   (long long)images);
        return 2;
    }
    create_net(t, &data, o);
    t->train = create_loader(&data.train, o->batch, true);
    t->test = create_loader(&data.test, TEST_BATCH, false);
    t->progress =
        (progress){ .epochs = o->epochs, .steps = tarn_loader_batches(t->train), .images = images };
    if (!tarn_ok(t->tm)) return !mnist_fail("%s", tarn_error_message(t->tm));
    if (o->json != NULL && (t->json = fopen(o->json, "w")) == NULL)
        return !mnist_fail("%s cannot be made", o->json);
    print_header(t, &data, o);
    return run(t, o, &accuracy) && report(t, o, accuracy) ? 0 : 1;
}

int main(int argc, char **argv)
{
    mnist_options options;
    training t = { 0 };
    int status;
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) return !mnist_fail("there is no output to write to");
    if (!mnist_options_parse(&options, argc, argv, &status)) return status;

    tarn_runtime_init(&(tarn_runtime_options){ .threads = options.threads });
    t.tm = tarn_manager_create(&(tarn_manager_options){ .seed = options.seed });
    status = learn(&t, &options);
    if (t.json != NULL && fclose(t.json) != 0 && status == 0) {
        status = !mnist_fail("%s cannot be written", options.json);
    }
    tarn_manager_destroy(t.tm);
    return status;
}
