/* SPDX-License-Identifier: MIT
 * mnist.c - a multilayer perceptron learns to read handwritten digits. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tarn/tarn.h>

#include "mnist_data.h"
#include "mnist_memory.h"
#include "mnist_options.h"
#include "progress.h"

enum { TEST_BATCH = 1000, NETWORK_BYTES = 256 };

/* Mean and deviation of the bytes of MNIST's training images: inputs become numbers around 0. */
static const double pixel_mean = 33.32, pixel_deviation = 78.57;

static const double sgd_momentum = 0.9;

typedef struct training {
    tarn_manager *tm;
    mnist_data data;
    char network[NETWORK_BYTES]; /* the sizes of its layers, such as "784-128-10" */
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

static void add_size(training *t, int64_t size)
{
    const size_t length = strlen(t->network);
    snprintf(t->network + length, NETWORK_BYTES - length, "%s%lld", length > 0 ? "-" : "",
             (long long)size);
}

/* Layers from the pixels of an image over the hidden sizes to the ten digits. */
static void create_net(training *t, const mnist_options *o)
{
    const tarn_tensor *images = t->data.train.images;
    int64_t sizes[MNIST_MAX_HIDDEN + 2];
    int n = 0;
    sizes[n++] = tarn_dim(images, 1) * tarn_dim(images, 2);
    for (int i = 0; i < o->n_hidden; i++) sizes[n++] = o->hidden[i];
    sizes[n++] = MNIST_CLASSES;
    for (int i = 0; i < n; i++) add_size(t, sizes[i]);
    t->net = tarn_module_create(t->tm);
    t->mlp = tarn_mlp_create(t->net, "mlp", sizes, n, NULL);
    t->optimizer = create_optimizer(t->net, o);
}

/* Makes all that training needs. Returns 0, or, with a line on stderr or an error held by the
 * manager, how the program shall exit. */
static int prepare(training *t, const mnist_options *o)
{
    if (!mnist_data_load(&t->data, t->tm, o->data, o->generated)) return 1;
    const int64_t images = tarn_dim(t->data.train.images, 0);
    if (o->batch > images) {
        mnist_fail("--batch %lld is more than the %lld training images", (long long)o->batch,
                   (long long)images);
        return 2;
    }
    create_net(t, o);
    t->train = create_loader(&t->data.train, o->batch, true);
    t->test = create_loader(&t->data.test, TEST_BATCH, false);
    t->progress =
        (progress){ .epochs = o->epochs, .steps = tarn_loader_batches(t->train), .images = images };
    return tarn_ok(t->tm) ? 0 : 1;
}

/* What is about to be trained, on what and how. */
static void print_header(const training *t, const mnist_options *o)
{
    const tarn_runtime_info info = tarn_runtime_get_info();
    mnist_data_print(&t->data);
    printf("network %s, %lld parameters; BLAS on %d thread%s (%s)\n", t->network,
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
static void set_rate(training *t)
{
    const progress *p = &t->progress;
    const tarn_schedule schedule = { .kind = TARN_SCHEDULE_COSINE,
                                     .steps = (uint64_t)(p->epochs * p->steps) };
    tarn_schedule_apply(t->optimizer, &schedule, (uint64_t)((p->epoch - 1) * p->steps + p->step));
}

static void train_epoch(training *t)
{
    tarn_tensor *images, *labels;
    progress_begin(&t->progress);
    while (tarn_loader_next(t->train, &images, &labels)) {
        TARN_SCOPE(t->tm);
        set_rate(t);
        tarn_tensor *loss = tarn_cross_entropy(tarn_mlp_forward(&t->mlp, images), labels);
        tarn_backward(loss);
        tarn_optimizer_step(t->optimizer);
        const double value = tarn_item(loss);
        if (!tarn_is_dry_run(t->tm)) progress_step(&t->progress, tarn_dim(images, 0), value);
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
        train_epoch(t);
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

static bool report(const training *t, const mnist_options *o, double accuracy)
{
    mnist_memory_print(t->tm);
    printf("test accuracy %.2f%% after %lld epoch%s, %.2f s of training\n", 100 * accuracy,
           (long long)o->epochs, o->epochs == 1 ? "" : "s", t->progress.before);
    if (fflush(stdout) != 0 || ferror(stdout)) return mnist_fail("the output cannot be written");
    return true;
}

/* Prints nothing before all that was asked for is known to be possible. Returns how the program
 * shall exit. */
static int learn(training *t, const mnist_options *o)
{
    double accuracy = 0;
    char title[NETWORK_BYTES + 64];
    if (t->tm == NULL)
        return !mnist_fail("the memory pool cannot be made: is TARN_POOL_ set in the environment?");
    if (!mnist_memory_can_save(o)) return 1;
    const int status = prepare(t, o);
    if (!tarn_ok(t->tm)) return !mnist_fail("%s", tarn_error_message(t->tm));
    if (status != 0) return status;
    if (o->json != NULL && (t->json = fopen(o->json, "w")) == NULL)
        return !mnist_fail("%s cannot be made", o->json);
    print_header(t, o);
    snprintf(title, sizeof title, "mnist: %s, %s, batches of %lld", t->network,
             mnist_optimizer_name(o->optimizer), (long long)o->batch);
    /* What memory did is told also when, and most of all when, there was too little of it. */
    const bool trained = run(t, o, &accuracy);
    const bool telling = trained || tarn_error_code(t->tm) == TARN_ENOMEM;
    const bool saved = !telling || mnist_memory_save(t->tm, o, title);
    return trained && saved && report(t, o, accuracy) ? 0 : 1;
}

static int train(const mnist_options *o)
{
    training t = { 0 };
    const tarn_pool_options options = mnist_memory_options(o);
    tarn_pool *pool = tarn_pool_create(&options, NULL);
    if (pool != NULL) {
        t.tm = tarn_manager_create(&(tarn_manager_options){
            .pool = pool, .seed = o->seed, .measure_phases = options.trace_events > 0 });
    }
    int status = learn(&t, o);
    if (t.json != NULL && fclose(t.json) != 0 && status == 0) {
        status = !mnist_fail("%s cannot be written", o->json);
    }
    tarn_manager_destroy(t.tm);
    tarn_pool_destroy(pool);
    return status;
}

/* ---- what training would need */

typedef struct rehearsal {
    const mnist_options *options;
    int runs;
    int status; /* how the program shall exit after a failure */
} rehearsal;

/* Training and tests without computing, for two epochs at most: the first makes what stays, the
 * second adds its own to that, and all others repeat the second. */
static tarn_status rehearse(tarn_manager *tm, void *context)
{
    rehearsal *r = context;
    training t = { .tm = tm };
    r->status = prepare(&t, r->options);
    if (r->runs++ == 0 && r->status == 0) print_header(&t, r->options);
    if (r->status != 0) return tarn_ok(tm) ? TARN_EARG : tarn_error_code(tm);
    for (int epoch = 0; epoch < 2 && epoch < r->options->epochs; epoch++) {
        train_epoch(&t);
        (void)test_accuracy(&t);
    }
    return tarn_error_code(tm);
}

static int forecast(const mnist_options *o)
{
    char message[512];
    tarn_dry_run_result result;
    rehearsal r = { .options = o };
    const double began = seconds();
    const tarn_manager_options manager = { .seed = o->seed };
    if (tarn_dry_run(rehearse, &r, NULL, &manager, &result, message, sizeof message) != TARN_OK) {
        if (r.status == 0 || r.runs == 0) mnist_fail("%s", message); /* else it was told */
        return r.status != 0 ? r.status : 1;
    }
    mnist_memory_print_forecast(&result, seconds() - began);
    if (fflush(stdout) != 0 || ferror(stdout)) return !mnist_fail("the output cannot be written");
    return 0;
}

int main(int argc, char **argv)
{
    mnist_options options;
    int status;
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) return !mnist_fail("there is no output to write to");
    if (!mnist_options_parse(&options, argc, argv, &status)) return status;
    tarn_runtime_init(&(tarn_runtime_options){ .threads = options.threads });
    return options.dry_run ? forecast(&options) : train(&options);
}
