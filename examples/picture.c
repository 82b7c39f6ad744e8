/* SPDX-License-Identifier: MIT
 * picture.c - arranges images by moving axes, and writes bytes with the head of a PGM file. */
#include "picture.h"

#include <stdio.h>

enum { LINE = 1, FRAME = 2 }; /* between the two of a pair; around it */
static const double frame_grey = 0.4;

/* (N, H, W), twice  ->  (N / pairs H', pairs W'), where H' and W' are those of a framed pair */
static tarn_tensor *arrange(tarn_tensor *left, tarn_tensor *right, int64_t pairs)
{
    left = tarn_pad(left, TARN_SHAPE(0), TARN_SHAPE(LINE), frame_grey);
    tarn_tensor *x = tarn_concat((tarn_tensor *[]){ left, right }, 2, 2);
    x = tarn_pad(x, TARN_SHAPE(FRAME, FRAME), TARN_SHAPE(FRAME, FRAME), frame_grey);
    const int64_t rows = tarn_dim(x, 0) / pairs, height = tarn_dim(x, 1), width = tarn_dim(x, 2);
    x = tarn_reshape(x, TARN_SHAPE(rows, pairs, height, width));
    x = tarn_contiguous(tarn_permute(x, TARN_AXES(0, 2, 1, 3)));
    return tarn_reshape(x, TARN_SHAPE(rows * height, pairs * width));
}

/* x (H, W) of bytes. */
static bool save_pgm(tarn_tensor *x, const char *path)
{
    const void *pixels = tarn_data(x);
    FILE *file = pixels != NULL ? fopen(path, "wb") : NULL;
    if (file == NULL) return false;
    fprintf(file, "P5\n%lld %lld\n255\n", (long long)tarn_dim(x, 1), (long long)tarn_dim(x, 0));
    fwrite(pixels, 1, (size_t)tarn_numel(x), file);
    const bool written = ferror(file) == 0;
    return fclose(file) == 0 && written;
}

bool picture_save_pairs(tarn_tensor *left, tarn_tensor *right, int64_t pairs, const char *path)
{
    TARN_NO_GRAD(tarn_manager_of(left));
    const int64_t n = tarn_dim(left, 0);
    if (n < pairs) pairs = n;
    left = tarn_slice(left, 0, 0, n - n % pairs);
    right = tarn_slice(right, 0, 0, n - n % pairs);
    tarn_tensor *x = tarn_mul_scalar(arrange(left, right, pairs), 255);
    return save_pgm(tarn_cast(tarn_round(x), TARN_U8), path);
}
