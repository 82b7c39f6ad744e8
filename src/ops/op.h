/* SPDX-License-Identifier: MIT
 * op.h - what an operation is.
 *
 * An operation is one constant structure at the end of its file: name, operands, what its backward
 * reads, shape rule, kernels. It never allocates, records or prints: apply.c (forward) and
 * backward.c do, and both call its kernels with a tarn__call.
 *
 * What a kernel may rely on:
 *
 * Operands have passed the operation's checks and its shape rule, and have the layout that the
 * operation asked for (contiguous unless it says otherwise). out, dout and every din are
 * contiguous, of the shape of the output or of the operand.
 *
 * Forward: out is not empty, is uninitialised and overlaps no operand, unless the operation says
 * in_place.
 *
 * Backward: at least one gradient of at least one element is wanted. din[i] is NULL if nobody asked
 * for that one; otherwise it is to be stored (add[i] false: its contents are indeterminate) or
 * added to (add[i] true). Operands and output may be read only as `uses` declares; their layouts
 * always. din[j] may be the memory of din[i], i < j, when both operands are one tensor: add[j] is
 * then true, and din[i] must be complete before the first write to din[j], or both be written
 * element by element in this order. din[0] may be the memory of dout if the operation says
 * grad_in_place. */
#ifndef TARN_OPS_OP_H
#define TARN_OPS_OP_H

#include <tarn/functional.h>
#include <tarn/loss.h>
#include <tarn/ops.h>
#include <tarn/shape.h>

#include "core/manager.h"
#include "core/simd.h"
#include "core/tensor.h"

enum { TARN__MAX_OPERANDS = 5 };

/* An operation's parameters beside its operands. Each operation says which it uses. */
typedef struct tarn__attr {
    double value;                 /* a scalar operand, a slope, a probability */
    double value_b;               /* another */
    uint64_t key;                 /* of random draws */
    int64_t sizes[TARN_MAX_DIMS]; /* a target shape; or places: slice {start, stop}; or others */
    int32_t n_sizes;
    int32_t axis, axis_b;
    uint32_t axes; /* reductions: one bit an axis */
    bool keep;     /* reductions: keep axes with size 1 */
    uint8_t dtype;
    uint8_t choice; /* an enumerator of the operation's own */
} tarn__attr;

typedef struct tarn__call {
    const struct tarn__op *op;
    tarn_manager *manager;
    const tarn__attr *attr;
    tarn_tensor *in[TARN__MAX_OPERANDS]; /* NULL: an optional operand that is absent */
    bool plain;                          /* all of them are tarn__is_plain, and fit each other */
    uint8_t wanted;                      /* forward: bit i: operand i requires a gradient */
    tarn_tensor *out;
    tarn_tensor *aux;     /* what forward leaves for backward, where the operation declares it; in
                             forward NULL if the operation is not recorded */
    tarn_tensor *scratch; /* room to work in, where the operation declares it */
    tarn_tensor *dout;    /* backward only, like the next two */
    tarn_tensor *din[TARN__MAX_OPERANDS];
    bool add[TARN__MAX_OPERANDS];
} tarn__call;

typedef tarn_status (*tarn__kernel)(const tarn__call *call);

/* What the gradient of one operand reads: any of these, in `uses`. */
enum {
    TARN__USES_IN0 = 1,
    TARN__USES_IN1 = 2,
    TARN__USES_IN2 = 4,
    TARN__USES_IN3 = 8,
    TARN__USES_IN4 = 16,
    TARN__USES_OUT = 1 << TARN__MAX_OPERANDS
};

typedef enum tarn__operand_layout {
    TARN__CONTIGUOUS, /* apply.c makes a contiguous copy where an operand is not */
    TARN__STRIDED,    /* any strides, 0 included */
    TARN__MATRICES /* of the last two axes one has stride 1 and the other spans it; batches have any
                      strides, vectors any that is positive */
} tarn__operand_layout;

typedef struct tarn__op {
    const char *name;
    const char *operands[TARN__MAX_OPERANDS]; /* their names in messages */
    uint8_t arity;
    uint8_t optional;    /* bit i: operand i may be absent (a NULL given on purpose) */
    uint8_t any_dtype;   /* bit i: operand i may have any type; the others are floats of one type */
    uint8_t layout;      /* a tarn__operand_layout */
    bool is_view;        /* out shares the storage of operand 0; there are no kernels */
    bool stops_gradient; /* never recorded */
    bool in_place;       /* elementwise: out may be the memory of operand 0, of the same layout */
    bool by_element;     /* each element of the result depends on the operands' in its place alone,
                            whatever the place: threads may share the work */
    bool grad_in_place;  /* the gradient of operand 0 may be computed in the memory of dout */
    uint8_t uses[TARN__MAX_OPERANDS]; /* what the gradient of operand i reads */

    /* The shape rule: sets dtype, ndim and dims of *out (for views: strides, and *offset in
     * elements, too) from call->in's layouts and call->attr; call->out is not there yet. Fails
     * through tarn__call_fail. */
    tarn_status (*infer)(const tarn__call *call, tarn__layout *out, int64_t *offset);

    /* By level (core/simd.h), and by the type of operand 0: [0] F32 and all others, [1] F64. No
     * backward: the result never requires a gradient. */
    tarn__kernel forward[TARN__SIMD_LEVELS][2], backward[TARN__SIMD_LEVELS][2];

    /* What forward leaves for backward beside operands and output: sets dtype, ndim and dims. NULL:
     * nothing. */
    void (*aux)(const tarn__call *call, tarn__layout *layout);

    /* The bytes of room that a kernel needs: of forward if call->dout is NULL, else of backward.
     * NULL: none. */
    size_t (*scratch)(const tarn__call *call);

    /* The gradient once more, as operations, so that it can be recorded and differentiated itself.
     * One of both; neither, where mathematics has no second derivative to offer.
     *
     * graph: the gradient of operand i, from call->in, call->out and call->dout, which are recorded
     * tensors. Where its shape is a broadcast one, backward sums it to the operand's; NULL with the
     * error held on failure. It is called only for operands that want a gradient.
     *
     * compose: the operation itself, of other operations on call->in; its gradient is then theirs.
     *
     * Both are written statement by statement: in f(g(x), h(x)) compilers differ in what they call
     * first, and with it in the order in which gradients add up. */
    tarn_tensor *(*graph)(const tarn__call *call, int i);
    tarn_tensor *(*compose)(const tarn__call *call);
} tarn__op;

/* Tables as TARN__KERNELS is one: of kernels that exist once for each float, and of one for all. */
#define TARN__FLOATS(name) TARN__ALL_LEVELS({ name##_f32, name##_f64 })
#define TARN__ANY(name) TARN__ALL_LEVELS({ name, name })

/* Holds an error that begins with the layer's or operation's name; returns code. */
TARN__COLD tarn_status tarn__call_fail(const tarn__call *call, tarn_status code, const char *format,
                                       ...) TARN_PRINTF(3, 4);

/* The one path of an operation: validate > infer shape > allocate > run > record. `in` has
 * op->arity operands; attr may be NULL and is copied where it is kept. */
tarn_tensor *tarn__apply(const tarn__op *op, tarn_tensor *const *in, const tarn__attr *attr);
tarn_tensor *tarn__apply1(const tarn__op *op, tarn_tensor *x, const tarn__attr *attr);
tarn_tensor *tarn__apply2(const tarn__op *op, tarn_tensor *a, tarn_tensor *b,
                          const tarn__attr *attr);

/* The same into the memory of operand 0, which is returned: for operations with in_place. Refused,
 * with nothing changed, where a gradient would come out wrong. */
tarn_tensor *tarn__apply_in_place(const tarn__op *op, tarn_tensor *const *in,
                                  const tarn__attr *attr);

/* Whether every operation can read t as it is. */
static inline bool tarn__is_plain(const tarn_tensor *t)
{
    return t->layout.contiguous && !t->storage->zero_pending;
}

/* The operand as the operation wants it: t itself, with another reference, or a contiguous copy
 * (NULL with the error held). Used for forward and for backward alike. */
tarn_tensor *tarn__prepare_operand(const tarn__op *op, tarn_tensor *t);

/* Gives call->scratch its memory, if the operation wants any; the caller unrefs it. */
tarn_status tarn__take_scratch(tarn__call *call);

/* Copies all elements of src to dst, or adds them, over any strides; the shapes are equal, the
 * types too. */
void tarn__copy_strided(tarn_tensor *dst, const tarn_tensor *src);
void tarn__add_strided(tarn_tensor *dst, const tarn_tensor *src);

/* Shape rules that several operations share. */
tarn_status tarn__infer_same(const tarn__call *call, tarn__layout *out,
                             int64_t *offset); /* of operand 0 */
tarn_status tarn__infer_broadcast(const tarn__call *call, tarn__layout *out,
                                  int64_t *offset); /* of all operands */
tarn_status tarn__infer_reduce(const tarn__call *call, tarn__layout *out,
                               int64_t *offset); /* by attr axes, keep */

/* Whether two operands that may have any type have the same; fails through tarn__call_fail. */
tarn_status tarn__check_one_dtype(const tarn__call *call, int i, int j);

#endif
