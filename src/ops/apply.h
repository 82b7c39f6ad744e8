/* SPDX-License-Identifier: MIT
 * apply.h - the steps of the one path that operations take, for its two ends: into a new tensor
 * (apply.c) and into an operand (in_place.c). */
#ifndef TARN_OPS_APPLY_H
#define TARN_OPS_APPLY_H

#include "ops/op.h"

/* Finds the manager, gives frozen operands handles of its own and runs the call in its name. */
tarn_tensor *tarn__apply_by(const tarn__op *op, tarn_tensor *const *in, const tarn__attr *attr,
                            tarn_tensor *(*run_it)(tarn__call *call));

/* Checks that operands exist, are readable, of one manager and of types that fit. */
tarn_status tarn__call_check(const tarn__call *call);

/* Whether the call is to be recorded, when its result has this type. */
bool tarn__call_wants_record(const tarn__call *call, uint8_t dtype);

/* A tensor of the manager's that nobody owns, of a layout without strides yet. NULL with the error
 * held. */
tarn_tensor *tarn__call_new_tensor(const tarn__call *call, tarn__layout *layout, tarn_kind kind);

#endif
