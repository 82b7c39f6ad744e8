/* SPDX-License-Identifier: MIT
 * mnist_training.c - data, epochs and their lines, files, and the rehearsal of it all. */
#include "mnist_training.h"

#include <inttypes.h>
#include <math.h>

#include "mnist_memory.h"

/* Mean and deviation of the bytes of MNIST's training images: inputs become numbers around 0. */
static const double pixel_mean = 33.32, pixel_deviation = 78.57;

static const double sgd_momentum = 0.9;

/* ---- what the programs call */

tarn_optimizer *mnist_training_optimizer(const mnist_training *t)
{
    const mnist_options *o = t->options;
    if (o->optimizer == MNIST_SGD) {
        return tarn_sgd_create(t->net,
                               &(tarn_sgd_options){ .lr = o->lr, .momentum = sgd_momentum });
    }
    if (o->optimizer == MNIST_ADAM) {
        return tarn_adam_create(t->net, &(tarn_adam_options){ .lr = o->lr });
    }
    return tarn_adamw_create(t->net, &(tarn_adam_options){ .lr = o->lr, .weight_decay = 0.01 });
}

tarn_tensor *mnist_training_step(mnist_training *t, tarn_function step, tarn_tensor *images,
                                 tarn_tensor *labels)
{
    const tarn_list inputs = TARN_LIST(images, labels);
    if (!t->options->plan) return step(inputs.items, inputs.n, t);
    if (t->plan == NULL) t->plan = tarn_plan_create(t->tm, step, t, NULL);
    return tarn_plan_run(t->plan, inputs);
}

void mnist_training_set_rate(mnist_training *t, tarn_schedule schedule)
{
    const progress *p = &t->progress;
    schedule.steps = (uint64_t)(p->epochs * p->steps);
    tarn_schedule_apply(t->optimizer, &schedule, (uint64_t)((p->epoch - 1) * p->steps + p->step));
}

void mnist_training_count(mnist_training *t, const tarn_tensor *labels, tarn_tensor *loss)
{
    const double value = tarn_item(loss);
    if (!tarn_is_dry_run(t->tm)) progress_step(&t->progress, tarn_dim(labels, 0), value);
}

/* ---- setting up */

static tarn_loader *create_loader(const mnist_set *set, int64_t batch, bool shuffle, bool flatten)
{
    return tarn_loader_create(set->images, set->labels,
                              &(tarn_loader_options){
                                  .batch_size = batch,
                                  .shuffle = shuffle,
                                  .flatten = flatten,
                                  .shift = pixel_mean,
                                  .scale = 1 / pixel_deviation,
                              });
}

/* Makes all that training needs. Returns 0, or, with a line on stderr or an error held by the
 * manager, how the program shall exit. */
static int prepare(mnist_training *t, const mnist_method *m, const mnist_options *o)
{
    t->options = o;
    t->layers = m->layers;
    if (!mnist_data_load(&t->data, t->tm, o->data, o->generated)) return 1;
    const int64_t images = tarn_dim(t->data.train.images, 0);
    if (o->batch > images) {
        mnist_fail("--batch %lld is more than the %lld training images", (long long)o->batch,
                   (long long)images);
        return 2;
    }
    if (!m->create(t)) return 1;
    t->train = create_loader(&t->data.train, o->batch, true, m->flatten);
    t->test = create_loader(&t->data.test, m->test_batch, false, m->flatten);
    t->progress =
        (progress){ .epochs = o->epochs, .steps = tarn_loader_batches(t->train), .images = images };
    return tarn_ok(t->tm) ? 0 : 1;
}

/* What is about to be trained, on what and how. */
static void print_header(const mnist_training *t, const mnist_method *m)
{
    const mnist_options *o = t->options;
    const tarn_runtime_info info = tarn_runtime_get_info();
    mnist_data_print(&t->data);
    printf("network %s, %lld parameters; BLAS on %d thread%s (%s)\n", t->network,
           (long long)tarn_module_numel(t->net), info.blas_threads,
           info.blas_threads == 1 ? "" : "s", info.blas_core);
    printf("%s", mnist_optimizer_name(o->optimizer));
    if (o->optimizer == MNIST_SGD) printf(" with momentum %g", sgd_momentum);
    printf(", learning rate %g %s, batches of %lld, seed %" PRIu64 "\n\n", o->lr, m->schedule,
           (long long)o->batch, o->seed);
}

/* ---- training */

/* The part of the test images that the network reads right. */
static double test_accuracy(mnist_training *t, const mnist_method *m)
{
    return (double)m->count_correct(t) / (double)tarn_loader_rows(t->test);
}

/* One epoch as a line of JSON. */
static bool write_json(const mnist_training *t, double accuracy, double took)
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
static bool run(mnist_training *t, const mnist_method *m, double *accuracy)
{
    const mnist_options *o = t->options;
    while (t->progress.epoch < o->epochs) {
        progress_begin(&t->progress);
        m->train_epoch(t);
        const double took = progress_end(&t->progress), loss = progress_loss(&t->progress);
        if (tarn_ok(t->tm)) *accuracy = test_accuracy(t, m);
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

static bool report(const mnist_training *t, double accuracy)
{
    const int64_t epochs = t->options->epochs;
    mnist_memory_print(t->tm);
    printf("test accuracy %.2f%% after %lld epoch%s, %.2f s of training\n", 100 * accuracy,
           (long long)epochs, epochs == 1 ? "" : "s", t->progress.before);
    if (fflush(stdout) != 0 || ferror(stdout)) return mnist_fail("the output cannot be written");
    return true;
}

/* Prints nothing before all that was asked for is known to be possible. Returns how the program
 * shall exit. */
static int learn(mnist_training *t, const mnist_method *m, const mnist_options *o)
{
    double accuracy = 0;
    char title[MNIST_NETWORK_BYTES + 64];
    if (t->tm == NULL)
        return !mnist_fail("the memory pool cannot be made: is TARN_POOL_ set in the environment?");
    if (!mnist_memory_can_save(o)) return 1;
    const int status = prepare(t, m, o);
    if (!tarn_ok(t->tm)) return !mnist_fail("%s", tarn_error_message(t->tm));
    if (status != 0) return status;
    if (o->json != NULL && (t->json = fopen(o->json, "w")) == NULL)
        return !mnist_fail("%s cannot be made", o->json);
    print_header(t, m);
    snprintf(title, sizeof title, "%s: %s, %s, batches of %lld", m->program.name, t->network,
             mnist_optimizer_name(o->optimizer), (long long)o->batch);
    /* What memory did is told also when, and most of all when, there was too little of it. */
    const bool trained = run(t, m, &accuracy);
    const bool telling = trained || tarn_error_code(t->tm) == TARN_ENOMEM;
    const bool saved = !telling || mnist_memory_save(t->tm, o, title);
    return trained && saved && report(t, accuracy) ? 0 : 1;
}

static int train(const mnist_method *m, const mnist_options *o)
{
    mnist_training t = { 0 };
    const tarn_pool_options options = mnist_memory_options(o);
    tarn_pool *pool = tarn_pool_create(&options, NULL);
    if (pool != NULL) {
        t.tm = tarn_manager_create(&(tarn_manager_options){
            .pool = pool, .seed = o->seed, .measure_phases = options.trace_events > 0 });
    }
    int status = learn(&t, m, o);
    if (t.json != NULL && fclose(t.json) != 0 && status == 0) {
        status = !mnist_fail("%s cannot be written", o->json);
    }
    tarn_manager_destroy(t.tm);
    tarn_pool_destroy(pool);
    return status;
}

/* ---- what training would need */

typedef struct rehearsal {
    const mnist_method *method;
    const mnist_options *options;
    int runs;
    int status; /* how the program shall exit after a failure */
} rehearsal;

/* Training and tests without computing, for two epochs at most: the first makes what stays, the
 * second adds its own to that, and all others repeat the second. */
static tarn_status rehearse(tarn_manager *tm, void *context)
{
    rehearsal *r = context;
    mnist_training t = { .tm = tm };
    r->status = prepare(&t, r->method, r->options);
    if (r->runs++ == 0 && r->status == 0) print_header(&t, r->method);
    if (r->status != 0) return tarn_ok(tm) ? TARN_EARG : tarn_error_code(tm);
    for (int epoch = 0; epoch < 2 && epoch < r->options->epochs; epoch++) {
        progress_begin(&t.progress);
        r->method->train_epoch(&t);
        (void)test_accuracy(&t, r->method);
    }
    return tarn_error_code(tm);
}

static int forecast(const mnist_method *m, const mnist_options *o)
{
    char message[512];
    tarn_dry_run_result result;
    rehearsal r = { .method = m, .options = o };
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

int mnist_training_main(const mnist_method *method, int argc, char **argv)
{
    mnist_options options;
    int status;
    if (!mnist_options_parse(&method->program, &options, argc, argv, &status)) return status;
    tarn_runtime_init(&(tarn_runtime_options){ .threads = options.threads });
    return options.dry_run ? forecast(method, &options) : train(method, &options);
}
