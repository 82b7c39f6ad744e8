/* SPDX-License-Identifier: MIT
 * mnist_data.h - finds the images and labels, or draws them, and checks that they belong together.
 */
#ifndef EXAMPLES_MNIST_DATA_H
#define EXAMPLES_MNIST_DATA_H

#include <stdbool.h>

#include <tarn/tarn.h>

enum { MNIST_CLASSES = 10 };

/* One half of the data. */
typedef struct mnist_set {
    tarn_tensor *images; /* (N, height, width), U8 */
    tarn_tensor *labels; /* (N), U8, each below MNIST_CLASSES */
} mnist_set;

typedef struct mnist_data {
    mnist_set train, test;
    const char *directory; /* where the files are; NULL: the digits were drawn */
    bool generated;        /* drawn because that was asked for */
} mnist_data;

/* Loads the data. It comes from `directory` if that is not NULL, else
 * from $TARN_MNIST_DIR, else from data/mnist; if there is none, or if `generated`, the digits are
 * drawn, except in a dry run, where their tensors are made and left empty. The tensors belong to
 * the manager's open scope. False if that fails: the manager holds the error, or, where it holds
 * none, one line on stderr says what is wrong. */
bool mnist_data_load(mnist_data *data, tarn_manager *tm, const char *directory, bool generated);

/* Says on stdout what the data is, in two lines. */
void mnist_data_print(const mnist_data *data);

#endif
