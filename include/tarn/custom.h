/* custom.h - operations of a program's own, recorded, watched and differentiated like any other.
 *
 * An operation is described once, by a name, its operands and functions on plain arrays, and then
 * applied:
 *
 *     static tarn_status cube(const tarn_custom_call *c)
 *     {
 *         const double *x = c->in[0].data;
 *         double *y = c->out.data;
 *         for (int64_t i = 0; i < c->out.n; i++) y[i] = x[i] * x[i] * x[i];
 *         return TARN_OK;
 *     }
 *
 *     tarn_custom *op = tarn_custom_create(tm, &(tarn_custom_options){
 *         .name = "cube", .operands = { "x" }, .forward = cube, .backward = cube_backward,
 *         .uses = { TARN_USES_OPERAND(0) } });
 *     tarn_tensor *y = tarn_custom_apply(op, TARN_LIST(x), NULL, 0);
 *
 * tarn allocates result and gradients, checks operands, and keeps for backward what `uses` says and
 * no more. The functions read and write arrays without gaps, last axis fastest; they may not call
 * operations. */
#ifndef TARN_CUSTOM_H
#define TARN_CUSTOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

enum { TARN_CUSTOM_OPERANDS = 5, TARN_CUSTOM_ATTRIBUTES = 64 };

/* What the gradient of an operand reads besides that of the result: operand i, the result; combined
 * with |. */
#define TARN_USES_OPERAND(i) (1u << (i))
#define TARN_USES_RESULT (1u << 5)

/* The elements of a tensor. */
typedef struct tarn_elements {
    void *data; /* n elements; NULL: the operand is absent, or its elements were not kept */
    int64_t n;
    tarn_shape shape;
    tarn_dtype dtype;
} tarn_elements;

/* One call. Operands and dout may only be read. */
typedef struct tarn_custom_call {
    tarn_elements in[TARN_CUSTOM_OPERANDS];
    tarn_elements out; /* forward: indeterminate, to be written in full */
    tarn_elements dout;
    tarn_elements din[TARN_CUSTOM_OPERANDS]; /* backward; data NULL: not wanted */
    bool add[TARN_CUSTOM_OPERANDS]; /* din[i]: true: to be added to; false: to be written in full */
    const void *attributes;         /* as they were given to tarn_custom_apply */
    void *context;                  /* of the options */
    void *scratch;                  /* scratch_bytes of room */
    const void *internal;           /* tarn's own */
} tarn_custom_call;

typedef struct tarn_custom_options {
    const char *name;                           /* as in messages; copied */
    const char *operands[TARN_CUSTOM_OPERANDS]; /* their names in messages, as many as there are;
                                                   copied */
    unsigned optional;  /* bit i: operand i, but not the first, may be NULL */
    unsigned any_dtype; /* bit i: operand i may have any type; the others are floats of one type */

    /* Sets shape and type of the result from call->in, whose data must not be read. NULL: those of
     * operand 0. On failure it returns a status, best through tarn_custom_fail. */
    tarn_status (*infer)(const tarn_custom_call *call, tarn_shape *shape, tarn_dtype *dtype);
    tarn_status (*forward)(const tarn_custom_call *call);  /* needed */
    tarn_status (*backward)(const tarn_custom_call *call); /* NULL: the result has no gradient */
    unsigned uses[TARN_CUSTOM_OPERANDS]; /* what the gradient of operand i reads */

    /* The gradient of operand i once more, of operations on the operands, the result and its
     * gradient dy, for tarn_grad with create_graph. NULL: it cannot be differentiated twice. It
     * returns NULL on failure only. */
    tarn_tensor *(*graph)(tarn_list operands, tarn_tensor *result, tarn_tensor *dy, int i,
                          const void *attributes, void *context);

    /* Bytes of room for one call; NULL: none. */
    size_t (*scratch_bytes)(const tarn_custom_call *call, bool backward);
    void *context; /* passed on; must live as long as the manager */
} tarn_custom_options;

typedef struct tarn_custom tarn_custom;

/* Describes an operation. It belongs to the manager and ends with it. Fails: NULL with the error
 * held: TARN_EARG for a missing name, first operand or forward function, or a first operand that is
 * optional; TARN_ENOMEM. */
TARN_API tarn_custom *tarn_custom_create(tarn_manager *tm, const tarn_custom_options *options);

/* Applies it to as many operands as it has, of the manager it was made in. `attributes` are `bytes`
 * bytes (64 at most), copied and handed to every function; 0 for none. Fails: as any operation
 * (ops.h); TARN_EARG for another number of operands or too many attributes; with whatever status a
 * function returns. */
TARN_API tarn_tensor *tarn_custom_apply(const tarn_custom *operation, tarn_list operands,
                                        const void *attributes, size_t bytes);

/* For infer, forward and backward: holds an error whose message begins with the operation's name,
 * and returns `code`. */
TARN_API tarn_status tarn_custom_fail(const tarn_custom_call *call, tarn_status code,
                                      const char *format, ...) TARN_PRINTF(3, 4);

TARN_END_DECLS

#endif
