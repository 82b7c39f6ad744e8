/* SPDX-License-Identifier: MIT
 * mnist.c - a multilayer perceptron learns to read handwritten digits.
 *
 * Everything around the network, its training and its test is in mnist_training.c. */
#include <stdio.h>
#include <string.h>

#include <tarn/tarn.h>

#include "mnist_training.h"

static void add_size(mnist_training *t, int64_t size)
{
    const size_t length = strlen(t->network);
    snprintf(t->network + length, sizeof t->network - length, "%s%lld", length > 0 ? "-" : "",
             (long long)size);
}

/* Layers from the pixels of an image over the hidden sizes to the ten digits. */
static bool create(mnist_training *t)
{
    const mnist_options *o = t->options;
    const tarn_tensor *images = t->data.train.images;
    tarn_mlp *mlp = t->layers;
    int64_t sizes[MNIST_MAX_HIDDEN + 2];
    int n = 0;
    sizes[n++] = tarn_dim(images, 1) * tarn_dim(images, 2);
    for (int i = 0; i < o->n_hidden; i++) sizes[n++] = o->hidden[i];
    sizes[n++] = MNIST_CLASSES;
    for (int i = 0; i < n; i++) add_size(t, sizes[i]);
    t->net = tarn_module_create(t->tm);
    *mlp = tarn_mlp_create(t->net, "mlp", sizes, n, NULL);
    t->optimizer = mnist_training_optimizer(t);
    return true;
}

static tarn_tensor *train_step(tarn_tensor *const *inputs, int n, void *context)
{
    const mnist_training *t = context;
    (void)n;
    tarn_tensor *loss = tarn_cross_entropy(tarn_mlp_forward(t->layers, inputs[0]), inputs[1]);
    tarn_backward(loss);
    tarn_optimizer_step(t->optimizer);
    return loss;
}

/* The rate falls from the given one to zero along half a cosine: large steps first, fine ones at
 * the end. */
static void train_epoch(mnist_training *t)
{
    tarn_tensor *images, *labels;
    while (tarn_loader_next(t->train, &images, &labels)) {
        TARN_SCOPE(t->tm);
        mnist_training_set_rate(t, (tarn_schedule){ .kind = TARN_SCHEDULE_COSINE });
        mnist_training_count(t, labels, mnist_training_step(t, train_step, images, labels));
    }
}

static int64_t count_correct(mnist_training *t)
{
    TARN_NO_GRAD(t->tm);
    const tarn_mlp *mlp = t->layers;
    tarn_tensor *images, *labels;
    int64_t correct = 0;
    tarn_module_eval(t->net);
    while (tarn_loader_next(t->test, &images, &labels)) {
        TARN_SCOPE(t->tm);
        correct += tarn_count_correct(tarn_mlp_forward(mlp, images), labels);
    }
    tarn_module_train(t->net);
    return correct;
}

int main(int argc, char **argv)
{
    tarn_mlp mlp;
    const mnist_method method = {
        .program = { .name = "mnist",
                     .purpose = "Trains a multilayer perceptron to read handwritten digits.",
                     .rate = "learning rate at the start, falling to 0",
                     .takes = MNIST_TAKES_HIDDEN | MNIST_TAKES_OPTIMIZER | MNIST_TAKES_MEMORY |
                              MNIST_TAKES_PLAN,
                     .defaults = { .epochs = 10,
                                   .batch = 128,
                                   .n_hidden = 1,
                                   .hidden = { 128 },
                                   .optimizer = MNIST_ADAM,
                                   .seed = 1,
                                   .threads = 1 },
                     .rates = { 0.05, 0.001, 0.001 } },
        .schedule = "falling to 0 along a cosine",
        .flatten = true,
        .test_batch = 1000,
        .layers = &mlp,
        .create = create,
        .train_epoch = train_epoch,
        .count_correct = count_correct,
    };
    return mnist_training_main(&method, argc, argv);
}
