/* SPDX-License-Identifier: MIT
 * mnist_cnn.c - a convolutional network learns to read handwritten digits: at least 99 in a hundred
 * of MNIST's after five epochs.
 *
 * Everything around the network, its training and its test is in mnist_training.c. */
#include <stdio.h>

#include <tarn/tarn.h>

#include "mnist_training.h"

/* Each of two stages convolves, takes the strongest of each WINDOW x WINDOW answers, moves them to
 * mean 0 and deviation 1 and keeps those above 0. Channels that come out of the stages: */
enum { KERNEL = 5, WINDOW = 2, FIRST = 16, SECOND = 32 };

typedef struct cnn {
    tarn_conv_layer conv1, conv2;
    tarn_batch_norm_layer norm1, norm2;
    tarn_linear top;
} cnn;

/* Without a bias: the norm that follows has one. */
static tarn_conv_layer create_conv(tarn_module *net, const char *name, int64_t in, int64_t out)
{
    return tarn_conv2d_create_with(
        net, name, in, out,
        &(tarn_conv_layer_options){ .kernel = { KERNEL, KERNEL }, .no_bias = true });
}

/* What a stage leaves of a height or width; at most 0 where it is too small for one. */
static int64_t side_after(int64_t side) { return (side - KERNEL + 1) / WINDOW; }

static bool create(mnist_training *t)
{
    cnn *net = t->layers;
    const int64_t h = tarn_dim(t->data.train.images, 1), w = tarn_dim(t->data.train.images, 2);
    const int64_t h1 = side_after(h), w1 = side_after(w), h2 = side_after(h1), w2 = side_after(w1);
    if (h2 < 1 || w2 < 1)
        return mnist_fail("images of %lldx%lld are too small for this network", (long long)h,
                          (long long)w);
    snprintf(t->network, sizeof t->network, "1x%lldx%lld-%dx%lldx%lld-%dx%lldx%lld-%d",
             (long long)h, (long long)w, FIRST, (long long)h1, (long long)w1, SECOND, (long long)h2,
             (long long)w2, MNIST_CLASSES);
    t->net = tarn_module_create(t->tm);
    net->conv1 = create_conv(t->net, "conv1", 1, FIRST);
    net->norm1 = tarn_batch_norm_create(t->net, "norm1", FIRST);
    net->conv2 = create_conv(t->net, "conv2", FIRST, SECOND);
    net->norm2 = tarn_batch_norm_create(t->net, "norm2", SECOND);
    net->top = tarn_linear_create(t->net, "top", SECOND * h2 * w2, MNIST_CLASSES);
    t->optimizer = mnist_training_optimizer(t);
    return true;
}

/* x (B, C, H, W)  ->  (B, C', side_after(H), side_after(W)) */
static tarn_tensor *stage(const tarn_conv_layer *conv, const tarn_batch_norm_layer *norm,
                          tarn_tensor *x)
{
    x = tarn_conv_forward(conv, x);
    x = tarn_max_pool2d(x, TARN_SHAPE(WINDOW, WINDOW), NULL);
    return tarn_relu(tarn_batch_norm_forward(norm, x));
}

/* images (B, H, W)  ->  (B, MNIST_CLASSES) */
static tarn_tensor *forward(const cnn *net, tarn_tensor *images)
{
    tarn_tensor *x = tarn_unsqueeze(images, 1); /* a single channel: grey */
    x = stage(&net->conv1, &net->norm1, x);
    x = stage(&net->conv2, &net->norm2, x);
    return tarn_linear_forward(&net->top, tarn_flatten(x, 1, -1));
}

static tarn_tensor *train_step(tarn_tensor *const *inputs, int n, void *context)
{
    const mnist_training *t = context;
    (void)n;
    tarn_tensor *loss = tarn_cross_entropy(forward(t->layers, inputs[0]), inputs[1]);
    tarn_backward(loss);
    tarn_optimizer_step(t->optimizer);
    return loss;
}

static void train_on(mnist_training *t, tarn_tensor *images, tarn_tensor *labels)
{
    TARN_SCOPE(t->tm);
    mnist_training_set_rate(t, (tarn_schedule){ .kind = TARN_SCHEDULE_ONE_CYCLE });
    mnist_training_count(t, labels, mnist_training_step(t, train_step, images, labels));
}

/* After two epochs, when full batches, the last one and those of the test were all seen twice, a
 * step that asks the system for memory, or leaves anything behind, is an error. (Under a cap, pools
 * may give memory back in order to take it elsewhere.) */
static void train_epoch(mnist_training *t)
{
    tarn_tensor *images, *labels;
    while (tarn_loader_next(t->train, &images, &labels)) {
        train_on(t, images, labels);
        if (t->progress.epoch > 2 && t->options->max_capacity == 0) tarn_expect_steady(t->tm);
    }
}

static int64_t count_correct(mnist_training *t)
{
    TARN_NO_GRAD(t->tm);
    tarn_tensor *images, *labels;
    int64_t correct = 0;
    tarn_module_eval(t->net); /* norms use the statistics of training */
    while (tarn_loader_next(t->test, &images, &labels)) {
        TARN_SCOPE(t->tm);
        correct += tarn_count_correct(forward(t->layers, images), labels);
    }
    tarn_module_train(t->net);
    return correct;
}

int main(int argc, char **argv)
{
    cnn net;
    const mnist_method method = {
        .program = { .name = "mnist_cnn",
                     .purpose = "Trains a convolutional network to read handwritten digits.",
                     .rate = "learning rate at the top of one cycle",
                     .takes = MNIST_TAKES_OPTIMIZER | MNIST_TAKES_MEMORY | MNIST_TAKES_PLAN,
                     .defaults = { .epochs = 5,
                                   .batch = 64,
                                   .optimizer = MNIST_ADAMW,
                                   .seed = 1,
                                   .threads = 1 },
                     .rates = { 0.05, 0.01, 0.01 } },
        .schedule = "at the top of one cycle",
        .test_batch = 200, /* what its layers give fits in the processor's cache */
        .layers = &net,
        .create = create,
        .train_epoch = train_epoch,
        .count_correct = count_correct,
    };
    return mnist_training_main(&method, argc, argv);
}
