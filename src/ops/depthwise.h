/* SPDX-License-Identifier: MIT
 * depthwise.h - convolutions of which every channel has windows of its own: the three products of
 * conv.h where C is 1 and windows lie one place apart.
 *
 * A matrix of one row, or of nine columns, is no work for products; here each is a few vectors that
 * run along the rows of the image. Rows with their padding are copied to a plane first, a band of
 * them at a time, which stays in the first-level cache: so that nothing depends on where a window
 * stands. */
#ifndef TARN_OPS_DEPTHWISE_H
#define TARN_OPS_DEPTHWISE_H

#include "ops/conv.h"

/* Windows of so many places at most; and so many channels of y for each of x. */
enum { TARN__DEPTHWISE_PLACES = 64, TARN__DEPTHWISE_TIMES = 4 };

/* Whether a convolution is computed like this, for elements of so many bytes: its rows have to fit.
 * c->C, O, K and windows are there. */
bool tarn__is_depthwise(const tarn__conv *c, size_t element);

/* Bytes of room that it takes. */
size_t tarn__depthwise_room(const tarn__conv *c, size_t element);

/* y = w X + bias, or y += w X; x = w^T y + bias, or x += w^T y; w = y X^T, or w += y X^T: as in
 * conv.inc. */
void tarn__depthwise_y_f32(const tarn__conv *c, const float *from, const float *w,
                           const float *bias, float *to, float *room, bool add);
void tarn__depthwise_y_f64(const tarn__conv *c, const double *from, const double *w,
                           const double *bias, double *to, double *room, bool add);
void tarn__depthwise_x_f32(const tarn__conv *c, const float *from, const float *w,
                           const float *bias, float *to, float *room, bool add);
void tarn__depthwise_x_f64(const tarn__conv *c, const double *from, const double *w,
                           const double *bias, double *to, double *room, bool add);
void tarn__depthwise_w_f32(const tarn__conv *c, const float *x, const float *y, float *w,
                           float *room, bool add);
void tarn__depthwise_w_f64(const tarn__conv *c, const double *x, const double *y, double *w,
                           double *room, bool add);

#endif
