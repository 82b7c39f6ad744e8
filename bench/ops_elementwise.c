/* SPDX-License-Identifier: MIT
 * ops_elementwise.c - one and two operands, numbers, comparisons, choices. */
#include "ops.h"

/* clang-format off */
#define ONE { FLOATS_OF(SQUARE) }
#define TWO { FLOATS_OF(SQUARE), FLOATS_OF(SQUARE) }
#define AND_ROW { FLOATS_OF(SQUARE), FLOATS_OF(256) }
#define AND_COLUMN { FLOATS_OF(SQUARE), FLOATS_OF(256, 1) }
#define CHOICE { FLOATS_OF(SQUARE), FLOATS_OF(SQUARE), MASK_OF(SQUARE) }
#define MASKED { FLOATS_OF(SQUARE), MASK_OF(SQUARE) }

/* Backward of one operand reads dy and, if it is KEEPING, the operand or the result. */
#define UNARY MOVE(1, 1, N)
#define PLAIN MOVE(1, 1, N)
#define KEEPING MOVE(2, 1, N)
#define ZEROS MOVE(0, 1, N)
#define BINARY MOVE(2, 1, N)
/* A result of one byte an element. */
#define TRUTHS_OF_TWO MOVE2(2, 0, N, 0, 1, N / 4)
#define TRUTHS_OF_ONE MOVE2(1, 0, N, 0, 1, N / 4)

#define LIST(ROW) \
    ROW(neg, "neg", tarn_neg(x[0]), ONE, UNARY, PLAIN) \
    ROW(abs, "abs", tarn_abs(x[0]), ONE, UNARY, KEEPING) \
    ROW(exp, "exp", tarn_exp(x[0]), ONE, UNARY, KEEPING) \
    ROW(expm1, "expm1", tarn_expm1(x[0]), ONE, UNARY, KEEPING) \
    ROW(log, "log", tarn_log(x[0]), ONE, UNARY, KEEPING) \
    ROW(log1p, "log1p", tarn_log1p(x[0]), ONE, UNARY, KEEPING) \
    ROW(sqrt, "sqrt", tarn_sqrt(x[0]), ONE, UNARY, KEEPING) \
    ROW(rsqrt, "rsqrt", tarn_rsqrt(x[0]), ONE, UNARY, KEEPING) \
    ROW(square, "square", tarn_square(x[0]), ONE, UNARY, KEEPING) \
    ROW(reciprocal, "reciprocal", tarn_reciprocal(x[0]), ONE, UNARY, KEEPING) \
    ROW(sin, "sin", tarn_sin(x[0]), ONE, UNARY, KEEPING) \
    ROW(cos, "cos", tarn_cos(x[0]), ONE, UNARY, KEEPING) \
    ROW(tanh, "tanh", tarn_tanh(x[0]), ONE, UNARY, KEEPING) \
    ROW(erf, "erf", tarn_erf(x[0]), ONE, UNARY, KEEPING) \
    ROW(sigmoid, "sigmoid", tarn_sigmoid(x[0]), ONE, UNARY, KEEPING) \
    ROW(relu, "relu", tarn_relu(x[0]), ONE, UNARY, KEEPING) \
    ROW(leaky_relu, "leaky_relu", tarn_leaky_relu(x[0], 0.1), ONE, UNARY, KEEPING) \
    ROW(elu, "elu", tarn_elu(x[0], 1), ONE, UNARY, KEEPING) \
    ROW(softplus, "softplus", tarn_softplus(x[0]), ONE, UNARY, KEEPING) \
    ROW(silu, "silu", tarn_silu(x[0]), ONE, UNARY, KEEPING) \
    ROW(gelu, "gelu", tarn_gelu(x[0]), ONE, UNARY, KEEPING) \
    ROW(gelu_tanh, "gelu_tanh", tarn_gelu_tanh(x[0]), ONE, UNARY, KEEPING) \
    ROW(sign, "sign", tarn_sign(x[0]), ONE, UNARY, ZEROS) \
    ROW(floor, "floor", tarn_floor(x[0]), ONE, UNARY, ZEROS) \
    ROW(ceil, "ceil", tarn_ceil(x[0]), ONE, UNARY, ZEROS) \
    ROW(round, "round", tarn_round(x[0]), ONE, UNARY, ZEROS) \
    ROW(clamp, "clamp", tarn_clamp(x[0], 0.3, 0.7), ONE, UNARY, KEEPING) \
    ROW(add_scalar, "add_scalar", tarn_add_scalar(x[0], 2), ONE, UNARY, PLAIN) \
    ROW(rsub_scalar, "rsub_scalar", tarn_rsub_scalar(x[0], 2), ONE, UNARY, PLAIN) \
    ROW(mul_scalar, "mul_scalar", tarn_mul_scalar(x[0], 2), ONE, UNARY, PLAIN) \
    ROW(div_scalar, "div_scalar", tarn_div_scalar(x[0], 3), ONE, UNARY, PLAIN) \
    ROW(rdiv_scalar, "rdiv_scalar", tarn_rdiv_scalar(x[0], 3), ONE, UNARY, KEEPING) \
    ROW(pow_scalar, "pow_scalar", tarn_pow_scalar(x[0], 1.7), ONE, UNARY, KEEPING) \
    ROW(maximum_scalar, "maximum_scalar", tarn_maximum_scalar(x[0], 0.5), ONE, UNARY, KEEPING) \
    ROW(minimum_scalar, "minimum_scalar", tarn_minimum_scalar(x[0], 0.5), ONE, UNARY, KEEPING) \
    ROW(add, "add", tarn_add(x[0], x[1]), TWO, BINARY, MOVE(1, 2, N)) \
    ROW(sub, "sub", tarn_sub(x[0], x[1]), TWO, BINARY, MOVE(1, 2, N)) \
    ROW(mul, "mul", tarn_mul(x[0], x[1]), TWO, BINARY, MOVE(3, 2, N)) \
    ROW(div, "div", tarn_div(x[0], x[1]), TWO, BINARY, MOVE(3, 2, N)) \
    ROW(pow, "pow", tarn_pow(x[0], x[1]), TWO, BINARY, MOVE(4, 2, N)) \
    ROW(maximum, "maximum", tarn_maximum(x[0], x[1]), TWO, BINARY, MOVE(3, 2, N)) \
    ROW(minimum, "minimum", tarn_minimum(x[0], x[1]), TWO, BINARY, MOVE(3, 2, N)) \
    ROW(add_row, "add, a row to each", tarn_add(x[0], x[1]), AND_ROW, UNARY, PLAIN) \
    ROW(mul_row, "mul, each by a row", tarn_mul(x[0], x[1]), AND_ROW, UNARY, KEEPING) \
    ROW(add_column, "add, a column to each", tarn_add(x[0], x[1]), AND_COLUMN, UNARY, PLAIN) \
    ROW(mul_column, "mul, each by a column", tarn_mul(x[0], x[1]), AND_COLUMN, UNARY, KEEPING) \
    ROW(add_transpose, "add, a transpose", tarn_add(x[0], tarn_transpose(x[1], 0, 1)), TWO, BINARY, \
        MOVE(2, 2, N)) \
    ROW(equal, "equal", tarn_equal(x[0], x[1]), TWO, TRUTHS_OF_TWO, NO_FLOOR) \
    ROW(not_equal, "not_equal", tarn_not_equal(x[0], x[1]), TWO, TRUTHS_OF_TWO, NO_FLOOR) \
    ROW(less, "less", tarn_less(x[0], x[1]), TWO, TRUTHS_OF_TWO, NO_FLOOR) \
    ROW(less_equal, "less_equal", tarn_less_equal(x[0], x[1]), TWO, TRUTHS_OF_TWO, NO_FLOOR) \
    ROW(greater, "greater", tarn_greater(x[0], x[1]), TWO, TRUTHS_OF_TWO, NO_FLOOR) \
    ROW(greater_equal, "greater_equal", tarn_greater_equal(x[0], x[1]), TWO, TRUTHS_OF_TWO, NO_FLOOR) \
    ROW(equal_scalar, "equal_scalar", tarn_equal_scalar(x[0], 0.5), ONE, TRUTHS_OF_ONE, NO_FLOOR) \
    ROW(not_equal_scalar, "not_equal_scalar", tarn_not_equal_scalar(x[0], 0.5), ONE, TRUTHS_OF_ONE, NO_FLOOR) \
    ROW(less_scalar, "less_scalar", tarn_less_scalar(x[0], 0.5), ONE, TRUTHS_OF_ONE, NO_FLOOR) \
    ROW(less_equal_scalar, "less_equal_scalar", tarn_less_equal_scalar(x[0], 0.5), ONE, TRUTHS_OF_ONE, NO_FLOOR) \
    ROW(greater_scalar, "greater_scalar", tarn_greater_scalar(x[0], 0.5), ONE, TRUTHS_OF_ONE, NO_FLOOR) \
    ROW(greater_equal_scalar, "greater_equal_scalar", tarn_greater_equal_scalar(x[0], 0.5), ONE, TRUTHS_OF_ONE, NO_FLOOR) \
    ROW(where, "where", tarn_where(x[2], x[0], x[1]), CHOICE, \
        MOVE2(2, 1, N, 1, 0, N / 4), MOVE2(1, 2, N, 1, 0, N / 4)) \
    ROW(masked_fill, "masked_fill", tarn_masked_fill(x[0], x[1], 0), MASKED, \
        MOVE2(1, 1, N, 1, 0, N / 4), MOVE2(1, 1, N, 1, 0, N / 4))
/* clang-format on */

OPS_TABLE(ops_elementwise, "element by element", LIST)
