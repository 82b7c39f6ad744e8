/* SPDX-License-Identifier: MIT
 * im2col.h - the columns of an image, and back.
 *
 * Of one group and the windows of a piece: row (c, r, s) has for each window, in order, the element
 * that it sees at place (r, s) of channel c; 0 where that is padding. K rows of images * n. */
#ifndef TARN_OPS_IM2COL_H
#define TARN_OPS_IM2COL_H

#include "ops/conv.h"

/* Writes the columns. x: the first element of the whole tensor. */
void tarn__im2col_f32(const tarn__conv *c, const tarn__conv_piece *piece, int64_t group,
                      const float *x, float *columns);
void tarn__im2col_f64(const tarn__conv *c, const tarn__conv_piece *piece, int64_t group,
                      const double *x, double *columns);

/* Adds each element of the columns to the one it came from; what lies on padding is lost. */
void tarn__col2im_f32(const tarn__conv *c, const tarn__conv_piece *piece, int64_t group,
                      const float *columns, float *x);
void tarn__col2im_f64(const tarn__conv *c, const tarn__conv_piece *piece, int64_t group,
                      const double *columns, double *x);

#endif
