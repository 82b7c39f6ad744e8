/* SPDX-License-Identifier: MIT
 * autoencoder.c - a network squeezes images of digits into a few numbers and draws them again from
 * these; a picture shows both side by side. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include <tarn/tarn.h>

#include "files.h"
#include "mnist_data.h"
#include "mnist_options.h"
#include "picture.h"
#include "progress.h"

/* Channels after each of two convolutions that halve the sides; numbers that stand for an image;
 * images of the test at a time, of which the first are shown; pairs in a row of the picture. */
enum { FIRST = 16, SECOND = 32, CODE = 32, TEST_BATCH = 40, PAIRS = 5 };

typedef struct autoencoder {
    tarn_module *net;
    tarn_conv_layer narrow1, narrow2, widen1, widen2;
    tarn_linear encode, decode;
    int64_t height, width; /* after both convolutions */
} autoencoder;

typedef struct training {
    tarn_manager *tm;
    mnist_data data;
    autoencoder model;
    tarn_optimizer *optimizer;
    tarn_loader *train, *test; /* images from 0, black, to 1 */
    progress progress;
} training;

/* ---- the network */

static void create_model(autoencoder *m, tarn_manager *tm, int64_t height, int64_t width)
{
    /* A kernel of 4 and a stride of 2: convolved, H becomes H / 2; transposed, H becomes 2 H. */
    static const tarn_conv_layer_options options = {
        .kernel = { 4, 4 }, .conv = { .stride = { 2, 2 }, .padding = { 1, 1 } }
    };
    m->net = tarn_module_create(tm);
    m->height = height / 4;
    m->width = width / 4;
    const int64_t inner = SECOND * m->height * m->width;
    m->narrow1 = tarn_conv2d_create_with(m->net, "narrow1", 1, FIRST, &options);
    m->narrow2 = tarn_conv2d_create_with(m->net, "narrow2", FIRST, SECOND, &options);
    m->encode = tarn_linear_create(m->net, "encode", inner, CODE);
    m->decode = tarn_linear_create(m->net, "decode", CODE, inner);
    m->widen1 = tarn_conv_transpose2d_create_with(m->net, "widen1", SECOND, FIRST, &options);
    m->widen2 = tarn_conv_transpose2d_create_with(m->net, "widen2", FIRST, 1, &options);
}

/* images (B, H, W)  ->  (B, H, W): numbers of which a sigmoid makes the new pixels */
static tarn_tensor *forward(const autoencoder *m, tarn_tensor *images)
{
    tarn_tensor *x = tarn_unsqueeze(images, 1); /* (B, 1, H, W) */
    x = tarn_relu(tarn_conv_forward(&m->narrow1, x));
    x = tarn_relu(tarn_conv_forward(&m->narrow2, x));
    tarn_tensor *code = tarn_linear_forward(&m->encode, tarn_flatten(x, 1, -1)); /* (B, CODE) */
    x = tarn_relu(tarn_linear_forward(&m->decode, code));
    x = tarn_reshape(x, TARN_SHAPE(-1, SECOND, m->height, m->width));
    x = tarn_relu(tarn_conv_forward(&m->widen1, x));
    return tarn_squeeze(tarn_conv_forward(&m->widen2, x), 1);
}

/* ---- training */

static void train_step(training *t, tarn_tensor *images)
{
    TARN_SCOPE(t->tm);
    progress *p = &t->progress;
    const tarn_schedule schedule = { .kind = TARN_SCHEDULE_COSINE,
                                     .steps = (uint64_t)(p->epochs * p->steps) };
    tarn_schedule_apply(t->optimizer, &schedule, tarn_optimizer_steps(t->optimizer));
    tarn_tensor *loss = tarn_bce_with_logits(forward(&t->model, images), images);
    tarn_backward(loss);
    tarn_optimizer_step(t->optimizer);
    progress_step(p, tarn_dim(images, 0), tarn_item(loss));
}

/* The mean of the squared differences of all pixels of the test images. */
static double test_error(training *t)
{
    TARN_NO_GRAD(t->tm);
    tarn_tensor *images;
    double sum = 0;
    while (tarn_loader_next(t->test, &images, NULL)) {
        TARN_SCOPE(t->tm);
        tarn_tensor *drawn = tarn_sigmoid(forward(&t->model, images));
        sum += tarn_item(tarn_mse(drawn, images)) * (double)tarn_dim(images, 0);
    }
    return sum / (double)tarn_loader_rows(t->test);
}

/* Trains and tests for all epochs. *error is that of the last one. After two epochs every shape was
 * seen twice; from then on a step that asks the system for memory, or leaves anything behind, is an
 * error. */
static bool run(training *t, double *error)
{
    progress *p = &t->progress;
    while (p->epoch < p->epochs) {
        tarn_tensor *images;
        progress_begin(p);
        while (tarn_loader_next(t->train, &images, NULL)) {
            train_step(t, images);
            if (p->epoch > 2) tarn_expect_steady(t->tm);
        }
        const double took = progress_end(p), loss = progress_loss(p);
        *error = test_error(t);
        if (!tarn_ok(t->tm)) return false;
        if (!isfinite(loss))
            return mnist_fail("the loss is no longer a number; a smaller --lr may help");
        printf("epoch %lld/%lld  loss %.4f  test error %.4f  %.2f s\n", (long long)p->epoch,
               (long long)p->epochs, loss, *error, took);
    }
    return true;
}

/* Draws the first test images beside what the network makes of them. */
static bool draw(training *t, const char *path)
{
    TARN_NO_GRAD(t->tm);
    tarn_tensor *images;
    if (!tarn_loader_next(t->test, &images, NULL)) return false;
    tarn_tensor *drawn = tarn_sigmoid(forward(&t->model, images));
    return picture_save_pairs(images, drawn, PAIRS, path);
}

/* ---- the program */

static bool prepare(training *t, const mnist_options *o)
{
    if (!mnist_data_load(&t->data, t->tm, o->data, o->generated)) return false;
    tarn_tensor *images = t->data.train.images;
    const int64_t height = tarn_dim(images, 1), width = tarn_dim(images, 2);
    if (height % 4 != 0 || width % 4 != 0)
        return mnist_fail("images of %lldx%lld: sides that are multiples of 4 are needed",
                          (long long)height, (long long)width);
    create_model(&t->model, t->tm, height, width);
    t->optimizer = tarn_adam_create(t->model.net, &(tarn_adam_options){ .lr = o->lr });
    tarn_loader_options loader = { .batch_size = o->batch, .shuffle = true, .scale = 1 / 255.0 };
    t->train = tarn_loader_create(images, NULL, &loader);
    loader.batch_size = TEST_BATCH;
    loader.shuffle = false;
    t->test = tarn_loader_create(t->data.test.images, NULL, &loader);
    t->progress = (progress){ .epochs = o->epochs,
                              .steps = tarn_loader_batches(t->train),
                              .images = tarn_loader_rows(t->train) };
    return tarn_ok(t->tm);
}

static bool learn(training *t, const mnist_options *o)
{
    double error = 0;
    if (t->tm == NULL)
        return mnist_fail("the memory pool cannot be made: is TARN_POOL_ set in the environment?");
    if (!file_can_be_made(o->picture)) return mnist_fail("%s cannot be made", o->picture);
    if (!prepare(t, o)) return false;
    mnist_data_print(&t->data);
    printf("%d numbers for an image, %lld parameters; batches of %lld, seed %" PRIu64 "\n\n", CODE,
           (long long)tarn_module_numel(t->model.net), (long long)o->batch, o->seed);
    if (!run(t, &error)) return false;
    if (!draw(t, o->picture))
        return tarn_ok(t->tm) && mnist_fail("%s cannot be written", o->picture);
    printf("\noriginals and what became of them, in pairs: %s\n"
           "test error %.4f after %lld epoch%s, %.2f s of training\n",
           o->picture, error, (long long)o->epochs, o->epochs == 1 ? "" : "s", t->progress.before);
    if (fflush(stdout) != 0 || ferror(stdout)) return mnist_fail("the output cannot be written");
    return true;
}

int main(int argc, char **argv)
{
    static const mnist_program program = {
        .name = "autoencoder",
        .purpose = "Squeezes images of digits into 32 numbers and draws them again from these.",
        .rate = "learning rate at the start, falling to 0",
        .takes = MNIST_TAKES_PICTURE,
        .defaults = { .epochs = 5,
                      .batch = 64,
                      .optimizer = MNIST_ADAM,
                      .seed = 1,
                      .threads = 1,
                      .picture = "autoencoder.pgm" },
        .rates = { [MNIST_ADAM] = 0.005 },
    };
    mnist_options options;
    int status;
    if (!mnist_options_parse(&program, &options, argc, argv, &status)) return status;
    tarn_runtime_init(&(tarn_runtime_options){ .threads = options.threads });
    training t = { .tm = tarn_manager_create(&(tarn_manager_options){ .seed = options.seed }) };
    const bool learnt = learn(&t, &options);
    if (t.tm != NULL && !tarn_ok(t.tm)) mnist_fail("%s", tarn_error_message(t.tm));
    tarn_manager_destroy(t.tm);
    return learnt ? 0 : 1;
}
