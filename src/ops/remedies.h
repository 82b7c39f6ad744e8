/* SPDX-License-Identifier: MIT
 * remedies.h - what makes shapes fit that do not: the ends of messages.
 *
 * Each function looks whether a usual remedy helps here and writes it in parentheses, with a space
 * in front, such as ` (tarn_unsqueeze(b, -1) makes it [32,1])`; otherwise nothing. All return
 * `text`. */
#ifndef TARN_OPS_REMEDIES_H
#define TARN_OPS_REMEDIES_H

#include "ops/op.h"

enum { TARN__REMEDY_BYTES = 160 };

/* For operands i and j that do not broadcast: an axis of size 1 at the end of the one with fewer.
 */
const char *tarn__remedy_broadcast(const tarn__call *call, int i, int j,
                                   char text[TARN__REMEDY_BYTES]);

/* For operand i, which must have the shape of operand 0: another view of as many elements. */
const char *tarn__remedy_reshape(const tarn__call *call, int i, char text[TARN__REMEDY_BYTES]);

/* For operand i, whose last axis must have a size: its last axes joined, or exchanged. */
const char *tarn__remedy_last_axis(const tarn__call *call, int i, int64_t size,
                                   char text[TARN__REMEDY_BYTES]);

/* For operand i of two axes or more: the last two exchanged. */
const char *tarn__remedy_transpose(const tarn__call *call, int i, char text[TARN__REMEDY_BYTES]);

/* For operand 0, which must have so many channels along axis 1 and this number of axes: they moved
 * there from the last axis, or the axis that it lacks. */
const char *tarn__remedy_channels(const tarn__call *call, int ndim, int64_t channels,
                                  char text[TARN__REMEDY_BYTES]);

#endif
