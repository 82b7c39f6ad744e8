/* SPDX-License-Identifier: MIT
 * ops.h - the tables of operations that bench_ops measures: what each works on, and what it must
 * at least multiply and move.
 *
 * A table is a list macro of rows, ROW(symbol, name, expression, operands, forward, backward), from
 * which OPS_TABLE makes the functions and the table. The name begins with that of the operation,
 * without "tarn_". In the expression x[i] are the operands and b is the bed. */
#ifndef TARN_BENCH_OPS_H
#define TARN_BENCH_OPS_H

#include <stdint.h>

#include <tarn/tarn.h>

enum { OP_OPERANDS = 4, OP_MOVES = 3, OP_PRODUCTS = 4 };

typedef enum content {
    NOTHING,
    FLOATS,    /* between 0.1 and 0.9; the gradient is asked for */
    CONSTANTS, /* the same, without gradient */
    LABELS,    /* int64 below `below`, in no order */
    MASK       /* uint8, 0 and 1 in turn */
} content;

typedef struct operand {
    content content;
    int64_t dims[4]; /* ends with a zero */
    int64_t below;
} operand;

/* A stream (stream.h) over n floats, and products (products.h). */
typedef struct op_move {
    int reads, writes;
    int n;
} op_move;
typedef struct op_product {
    int m, n, k;
    int times;
} op_product;

/* What must at least be done; nothing at all means that there is no floor. */
typedef struct op_floor {
    op_move moves[OP_MOVES];
    op_product products[OP_PRODUCTS];
    bool none; /* of backward: it has no gradient, or nothing moves */
} op_floor;

/* What a row works on. */
typedef struct op_bed {
    tarn_manager *tm;
    tarn_tensor *x[OP_OPERANDS];
    tarn_tensor *dy;     /* the gradient that backward begins with */
    tarn_module *module; /* of optimisers: its only parameter is x[0] */
    tarn_optimizer *optimizer;
    tarn_ema *ema;
} op_bed;

typedef struct op_row {
    const char *name;
    tarn_tensor *(*run)(const op_bed *b);
    operand operands[OP_OPERANDS];
    op_floor forward, backward;
} op_row;

typedef struct op_table {
    const char *title;
    const op_row *rows;
    int n;
} op_table;

extern const op_table ops_elementwise, ops_rows, ops_shapes, ops_products;

/* An optimiser, which updates a parameter of n elements. */
typedef struct optimizer_row {
    const char *name;
    void (*make)(op_bed *b); /* sets b->optimizer or b->ema; NULL: gradients are clipped */
    op_floor floor;
} optimizer_row;

enum { N_OPTIMIZERS = 10, OPTIMIZER_ELEMENTS = 65536 };
extern const optimizer_row optimizer_rows[N_OPTIMIZERS];

/* Why an operation may be further than half above its floor; NULL: there is no reason. */
const char *op_reason(const char *row_name);

/* ---- how tables are written */

#define OPS_RUN(symbol, name, expression, operands, forward, backward) \
    static tarn_tensor *run_##symbol(const op_bed *b)                  \
    {                                                                  \
        tarn_tensor *const *x = b->x;                                  \
        return expression;                                             \
    }
#define OPS_ENTRY(symbol, name, expression, operands, forward, backward) \
    { name, run_##symbol, operands, forward, backward },

#define OPS_TABLE(table, title, LIST)                         \
    LIST(OPS_RUN)                                             \
    static const op_row table##_rows[] = { LIST(OPS_ENTRY) }; \
    const op_table table = { title, table##_rows, sizeof(table##_rows) / sizeof(table##_rows[0]) };

/* clang-format off */
/* Operands by their sizes. */
#define FLOATS_OF(...) { .content = FLOATS, .dims = { __VA_ARGS__ } }
#define CONSTANTS_OF(...) { .content = CONSTANTS, .dims = { __VA_ARGS__ } }
#define MASK_OF(...) { .content = MASK, .dims = { __VA_ARGS__ } }
#define LABELS_OF(limit, ...) { .content = LABELS, .dims = { __VA_ARGS__ }, .below = limit }

/* Floors of streams alone: a pass over n floats, or two and three of different lengths. */
#define MOVE(r, w, n) { .moves = { { r, w, n } } }
#define MOVE2(r1, w1, n1, r2, w2, n2) { .moves = { { r1, w1, n1 }, { r2, w2, n2 } } }
#define MOVE3(r1, w1, n1, r2, w2, n2, r3, w3, n3) { .moves = { { r1, w1, n1 }, { r2, w2, n2 }, { r3, w3, n3 } } }
#define NO_FLOOR { .none = true }

/* clang-format on */

/* Most rows work on N floats: 256 KiB, so that a few operands fit into the second cache. */
#define N (256 * 256)
#define SQUARE 256, 256

#endif
