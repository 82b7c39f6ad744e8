/* SPDX-License-Identifier: MIT
 * picture.h - grey images side by side in a file that image viewers open. */
#ifndef EXAMPLES_PICTURE_H
#define EXAMPLES_PICTURE_H

#include <stdbool.h>

#include <tarn/tarn.h>

/* Writes images `left` and `right`, both (N, H, W) of floats from 0, black, to 1, as a PGM file:
 * rows of so many pairs, each framed in grey. Images that do not fill a row are left out,
 * unless there are too few for one. False, where the file cannot be written or with the manager
 * holding an error. */
bool picture_save_pairs(tarn_tensor *left, tarn_tensor *right, int64_t pairs, const char *path);

#endif
