/* SPDX-License-Identifier: MIT
 * tiles.h - the columns (im2col.h) of windows that are two wide and cover an image without a gap, a
 * rest or a place twice, as those that double its size do: every element has one place in the
 * columns, so that they are parted and joined by vectors, and nothing is added up. */
#ifndef TARN_OPS_TILES_H
#define TARN_OPS_TILES_H

#include "ops/conv.h"

/* Whether a convolution has such windows. Pieces of it are to be whole images. */
bool tarn__are_tiles(const tarn__conv *c);

/* Writes the columns of a piece. */
void tarn__part_tiles_f32(const tarn__conv *c, const tarn__conv_piece *piece, int64_t group,
                          const float *x, float *columns);
void tarn__part_tiles_f64(const tarn__conv *c, const tarn__conv_piece *piece, int64_t group,
                          const double *x, double *columns);

/* x = its columns, + bias, if there is one. */
void tarn__join_tiles_f32(const tarn__conv *c, const tarn__conv_piece *piece, int64_t group,
                          const float *columns, const float *bias, float *x);
void tarn__join_tiles_f64(const tarn__conv *c, const tarn__conv_piece *piece, int64_t group,
                          const double *columns, const double *bias, double *x);

#endif
