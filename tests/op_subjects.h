/* SPDX-License-Identifier: MIT
 * op_subjects.h - trials as what is differentiated: leaves, of which operands are views, and the
 * gradients that arrive there. */
#ifndef TARN_TESTS_OP_SUBJECTS_H
#define TARN_TESTS_OP_SUBJECTS_H

#include "op_cases.h"

typedef struct op_subject {
    op_trial *t;
    op_layout layout[OP_OPERANDS];
    tarn_tensor *leaf[OP_OPERANDS];
} op_subject;

/* Whether operand i has a gradient: integers have none. */
bool op_is_float(const op_trial *t, int i);

/* Whether the gradient of a trial exists: casts to integers have none. */
bool op_is_differentiable(const op_trial *t);

/* The leaves of a trial; those whose bit is set in `wanted` require a gradient. */
op_subject op_make_subject(tarn_manager *tm, op_trial *t, tarn_dtype dtype, op_layout layout,
                           unsigned wanted);

/* The operation of its n leaves; `context` is the subject. A tarn_function. */
tarn_tensor *op_evaluate(tarn_tensor *const *leaves, int n, void *context);

/* What becomes of the cotangent, which is drawn from multiples of 2^-10 between -2 and 2. */
typedef enum op_cotangent {
    OP_DRAWN,
    OP_ABSOLUTE,
    OP_ZERO,
    OP_REPEATED /* made such as OP_EXPANDED shows */
} op_cotangent;

/* A cotangent for a result. */
op_array op_draw_cotangent(const tarn_tensor *y, op_cotangent kind);

/* How a trial is differentiated. */
typedef struct op_pass {
    tarn_dtype dtype;
    op_layout layout;    /* of operands */
    op_layout cotangent; /* of the cotangent */
    op_cotangent kind;
    unsigned wanted; /* operands that require a gradient; 0: all */
    int times;       /* forward and backward, over the same leaves; 0: once */
} op_pass;

/* The result, and the gradients of the leaves, in the shapes of the leaves. */
typedef struct op_gradients {
    op_array out;
    tarn_dtype dtype;         /* of out */
    op_array of[OP_OPERANDS]; /* of those that were wanted */
    double largest;           /* cotangent */
} op_gradients;

op_gradients op_differentiate(tarn_manager *tm, op_trial *t, const op_pass *pass);
void op_free_gradients(op_gradients *g);

#endif
