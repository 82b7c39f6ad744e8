/* SPDX-License-Identifier: MIT
 * ops_reasons.c - why rows are further than half above their floors; docs/performance.md says more
 * of each. */
#include <string.h>

#include "ops.h"

#define COMPUTES "its mathematics takes longer than its bytes"
#define DIVIDES "a division or a root takes longer than its bytes"
#define DOUBLES "accumulates in double"
#define ORDERED "NaN and the first of equals count: more than one look at a number"
#define RUNNING "each sum waits for the one before it, in double"
#define PICKS "elements one by one, each index copied when it is checked"
#define PLACES "what one place is given is summed in double"
#define BROADCASTS \
    "rows of an operand that repeats are taken one by one; its gradient is a sum in double"
#define ACROSS "columns of lines of the cache become rows: eight exchanges for eight words"
#define FIXED "so few bytes that the fixed cost of an operation remains"
#define SERIAL "steps wait for one another: products too small for BLAS"
#define WINDOWS "windows are brought together first"
#define PADDED_ROWS \
    "rows are copied with their padding first, and nine products are added for each element"
#define BESIDE "the elements of a window lie beside one another, not those of vectors"

/* By a row's name as far as its first semicolon, or by the operation: as far as a comma. */
static const struct {
    const char *operation, *reason;
} reasons[] = {
    { "exp", COMPUTES },
    { "expm1", COMPUTES },
    { "log", COMPUTES },
    { "log1p", COMPUTES },
    { "sin", COMPUTES },
    { "cos", COMPUTES },
    { "tanh", COMPUTES },
    { "erf", COMPUTES },
    { "sigmoid", COMPUTES },
    { "elu", COMPUTES },
    { "softplus", COMPUTES },
    { "silu", COMPUTES },
    { "gelu", COMPUTES },
    { "gelu_tanh", COMPUTES },
    { "pow", COMPUTES },
    { "pow_scalar", COMPUTES },
    { "logsumexp", COMPUTES },
    { "softmax", COMPUTES },
    { "log_softmax", COMPUTES },
    { "cross_entropy", COMPUTES },
    { "bce_with_logits", COMPUTES },
    { "kl_divergence", COMPUTES },
    { "gaussian_nll", COMPUTES },
    { "lstm_gates", COMPUTES },
    { "gru_gates", COMPUTES },
    { "dropout", "draws a random number for each element" },
    { "sqrt", DIVIDES },
    { "rsqrt", DIVIDES },
    { "reciprocal", DIVIDES },
    { "div", DIVIDES },
    { "add, a transpose", ACROSS },
    { "add", BROADCASTS },
    { "mul", BROADCASTS },
    { "div_scalar", DIVIDES },
    { "rdiv_scalar", DIVIDES },
    { "sum", DOUBLES },
    { "mean", DOUBLES },
    { "prod", DOUBLES },
    { "var", DOUBLES },
    { "std", DOUBLES },
    { "norm", DOUBLES },
    { "cumsum", RUNNING },
    { "layer_norm", DOUBLES },
    { "rms_norm", DOUBLES },
    { "group_norm", DOUBLES },
    { "batch_norm", DOUBLES },
    { "mse", DOUBLES },
    { "l1", DOUBLES },
    { "huber", DOUBLES },
    { "hinge", DOUBLES },
    { "cosine_similarity", DOUBLES },
    { "cosine_embedding", DOUBLES },
    { "max", ORDERED },
    { "min", ORDERED },
    { "argmax", ORDERED },
    { "argmin", ORDERED },
    { "contiguous", ACROSS },
    { "gather", PICKS },
    { "scatter_add", PICKS },
    { "index_select", PLACES },
    { "index_add", PLACES },
    { "embedding", PLACES },
    { "max_pool2d", BESIDE },
    { "max_pool1d", BESIDE },
    { "avg_pool2d", BESIDE },
    { "avg_pool1d", BESIDE },
    { "adaptive_max_pool2d", BESIDE },
    { "adaptive_avg_pool2d", BESIDE },
    { "nll", FIXED },
    { "optimiser: average of weights", DOUBLES },
    { "optimiser: clipping by norm", DOUBLES },
    { "optimiser: RMSprop", DIVIDES },
    { "optimiser: Adagrad", DIVIDES },
    { "recurrence", SERIAL },
    { "conv2d", PADDED_ROWS }, /* depthwise alone is so far above */
    { "conv2d_dw", WINDOWS },
    { "conv1d_dw", WINDOWS },
    { "sdpa", "backward computes the scores again, instead of keeping them" },
};

const char *op_reason(const char *row_name)
{
    const size_t lengths[] = { strcspn(row_name, ";"), strcspn(row_name, ",;") };
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
            if (strlen(reasons[i].operation) == lengths[k] &&
                strncmp(row_name, reasons[i].operation, lengths[k]) == 0)
                return reasons[i].reason;
    return NULL;
}
