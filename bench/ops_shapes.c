/* SPDX-License-Identifier: MIT
 * ops_shapes.c - views, copies, joining, selection by indices. A view has no floor: nothing moves,
 * and what it takes is the fixed cost of an operation. */
#include "ops.h"

/* clang-format off */
#define ONE { FLOATS_OF(SQUARE) }
#define WITH_ONE { FLOATS_OF(256, 1, 256) }
#define HALVES { FLOATS_OF(128, 256), FLOATS_OF(128, 256) }
#define LABELS_ONLY { LABELS_OF(256, 256) }
#define AND_INDEX { FLOATS_OF(SQUARE), LABELS_OF(256, SQUARE) }
#define AND_SOURCE { FLOATS_OF(SQUARE), LABELS_OF(256, SQUARE), FLOATS_OF(SQUARE) }
#define AND_PLACES { FLOATS_OF(SQUARE), LABELS_OF(256, 256) }
#define AND_SLICES { FLOATS_OF(SQUARE), LABELS_OF(256, 256), FLOATS_OF(SQUARE) }
#define TABLE { FLOATS_OF(1024, 64), LABELS_OF(1024, 1024) }

#define COPY MOVE(1, 1, N)
#define ADD_SOURCE MOVE(2, 1, N)
/* Indices have twice the bytes of floats. */
#define PICK MOVE2(1, 1, N, 1, 0, 2 * N)

#define LIST(ROW) \
    ROW(reshape, "reshape", tarn_reshape(x[0], TARN_SHAPE(128, -1)), ONE, NO_FLOOR, NO_FLOOR) \
    ROW(squeeze, "squeeze", tarn_squeeze(x[0], 1), WITH_ONE, NO_FLOOR, NO_FLOOR) \
    ROW(unsqueeze, "unsqueeze", tarn_unsqueeze(x[0], 1), ONE, NO_FLOOR, NO_FLOOR) \
    ROW(transpose, "transpose", tarn_transpose(x[0], 0, 1), ONE, NO_FLOOR, NO_FLOOR) \
    ROW(permute, "permute", tarn_permute(x[0], TARN_AXES(1, 0)), ONE, NO_FLOOR, NO_FLOOR) \
    ROW(slice, "slice", tarn_slice(x[0], 0, 64, 192), ONE, NO_FLOOR, NO_FLOOR) \
    ROW(select, "select", tarn_select(x[0], 0, 3), ONE, NO_FLOOR, NO_FLOOR) \
    ROW(expand, "expand", tarn_expand(x[0], TARN_SHAPE(256, 4, 256)), WITH_ONE, NO_FLOOR, NO_FLOOR) \
    ROW(alias, "alias", tarn_alias(x[0]), ONE, NO_FLOOR, NO_FLOOR) \
    ROW(detach, "detach", tarn_detach(x[0]), ONE, NO_FLOOR, NO_FLOOR) \
    ROW(contiguous, "contiguous, of a transpose", tarn_contiguous(tarn_transpose(x[0], 0, 1)), ONE, COPY, COPY) \
    ROW(cast, "cast, to float64", tarn_cast(x[0], TARN_F64), ONE, \
        MOVE2(1, 0, N, 0, 1, 2 * N), MOVE2(1, 0, 2 * N, 0, 1, N)) \
    ROW(flip, "flip", tarn_flip(x[0], TARN_AXES(1)), ONE, COPY, COPY) \
    ROW(pad, "pad", tarn_pad(x[0], TARN_SHAPE(1, 1), TARN_SHAPE(1, 1), 0), ONE, COPY, COPY) \
    ROW(tril, "tril", tarn_tril(x[0], 0), ONE, MOVE2(1, 0, N / 2, 0, 1, N), MOVE2(1, 0, N / 2, 0, 1, N)) \
    ROW(triu, "triu", tarn_triu(x[0], 0), ONE, MOVE2(1, 0, N / 2, 0, 1, N), MOVE2(1, 0, N / 2, 0, 1, N)) \
    ROW(concat, "concat", tarn_concat(x, 2, 0), HALVES, COPY, COPY) \
    ROW(one_hot, "one_hot", tarn_one_hot(x[0], 256, TARN_F32), LABELS_ONLY, MOVE(0, 1, N), NO_FLOOR) \
    ROW(gather, "gather", tarn_gather(x[0], 1, x[1]), AND_INDEX, PICK, MOVE3(1, 1, N, 1, 0, 2 * N, 0, 1, N)) \
    ROW(scatter_add, "scatter_add", tarn_scatter_add(x[0], 1, x[1], x[2]), AND_SOURCE, \
        MOVE2(2, 1, N, 1, 0, 2 * N), MOVE2(1, 2, N, 1, 0, 2 * N)) \
    ROW(index_select, "index_select", tarn_index_select(x[0], 0, x[1]), AND_PLACES, COPY, COPY) \
    ROW(index_add, "index_add", tarn_index_add(x[0], 0, x[1], x[2]), AND_SLICES, ADD_SOURCE, MOVE(1, 2, N)) \
    ROW(embedding, "embedding", tarn_embedding(x[0], x[1]), TABLE, COPY, COPY)
/* clang-format on */

OPS_TABLE(ops_shapes, "views, copies, selection", LIST)
