/* sequence.h - layers for sequences: attention and recurrence. (layers.h says what layers are,
 * functional.h has the formulas.) */
#ifndef TARN_SEQUENCE_H
#define TARN_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/functional.h"
#include "tarn/layers.h"
#include "tarn/module.h"
#include "tarn/status.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* ---- attention with several heads */

/* Linear layers make queries, keys and values of the inputs; each head attends with its part of
 * them; a last linear layer joins the heads. */
typedef struct tarn_attention {
    tarn_module *module;
    tarn_linear q; /* (size, size) */
    tarn_linear k; /* (size, memory_size) */
    tarn_linear v; /* (size, memory_size) */
    tarn_linear o; /* (size, size) */
    int64_t heads;
    bool causal;
} tarn_attention;

typedef struct tarn_attention_options {
    tarn_dtype dtype;    /* F32 (the zero value) or F64 */
    bool causal;         /* a place attends to itself and those before it only */
    bool no_bias;        /* of none of the four */
    int64_t memory_size; /* of the vectors that are attended to; 0: size */
    tarn_init weight;    /* {0}: Xavier uniform */
} tarn_attention_options;

/* Attention over vectors of `size` elements, of which each head gets size / heads. Its parameters
 * are those of the linear layers "name.q", "name.k", "name.v" and "name.o".
 * Fails: as tarn_linear_create, with nothing added; TARN_ESHAPE unless `heads` divides `size`. */
TARN_API tarn_attention tarn_attention_create(tarn_module *parent, const char *name, int64_t size,
                                              int64_t heads);
TARN_API tarn_attention tarn_attention_create_with(tarn_module *parent, const char *name,
                                                   int64_t size, int64_t heads,
                                                   const tarn_attention_options *options);

/* Self-attention: x (..., L, size)  ->  the same shape. The mask, or NULL, is that of tarn_sdpa and
 * broadcasts to the scores (..., heads, L, L): (L, L) for all examples and heads, (B, 1, 1, L) for
 * keys that are padding. */
TARN_API tarn_tensor *tarn_attention_forward(const tarn_attention *layer, tarn_tensor *x,
                                             tarn_tensor *mask);

/* The same with keys and values of another sequence.
 *   x (..., L, size)   memory (..., S, memory_size)   ->   (..., L, size) */
TARN_API tarn_tensor *tarn_attention_cross_forward(const tarn_attention *layer, tarn_tensor *x,
                                                   tarn_tensor *memory, tarn_tensor *mask);

/* ---- recurrence */

/* The parameters of one step, with G = H, 3 H (GRU) or 4 H (LSTM) rows; orders and formulas are
 * PyTorch's (tarn_rnn_kind). */
typedef struct tarn_rnn_weights {
    tarn_tensor *weight_ih; /* (G, in) */
    tarn_tensor *weight_hh; /* (G, H) */
    tarn_tensor *bias_ih;   /* (G), or NULL */
    tarn_tensor *bias_hh;   /* (G), or NULL */
} tarn_rnn_weights;

/* One step. */
typedef struct tarn_rnn_cell {
    tarn_module *module;
    tarn_rnn_weights weights;
    tarn_rnn_kind kind;
} tarn_rnn_cell;

/* All steps of sequences, by one layer or several. */
typedef struct tarn_rnn {
    tarn_module *module;
    tarn_rnn_weights *weights; /* (layers, directions); owned by the module */
    int layers, directions;
    tarn_rnn_kind kind;
} tarn_rnn;

enum { TARN_RNN_MAX_LAYERS = 32 };

typedef struct tarn_rnn_options {
    tarn_rnn_kind kind; /* the zero value is TARN_RNN_TANH */
    tarn_dtype dtype;   /* F32 (the zero value) or F64 */
    bool no_bias;
    int layers;         /* one on top of the other, at most TARN_RNN_MAX_LAYERS; 0: 1 */
    bool bidirectional; /* each layer also goes from the last time to the first */
    tarn_init init;     /* of all parameters; {0}: uniform between -1 and 1 / sqrt(hidden) */
} tarn_rnn_options;

/* A cell for `in` inputs and `hidden` units; the names of its parameters are those of the fields
 * above, as "name.weight_ih". Options for layers must be 0.
 * Fails: as tarn_module_add_parameter, with nothing added; TARN_ESHAPE for sizes below 1; TARN_EARG
 * for an unknown kind, or layers out of range. */
TARN_API tarn_rnn_cell tarn_rnn_cell_create(tarn_module *parent, const char *name, int64_t in,
                                            int64_t hidden);
TARN_API tarn_rnn_cell tarn_lstm_cell_create(tarn_module *parent, const char *name, int64_t in,
                                             int64_t hidden);
TARN_API tarn_rnn_cell tarn_gru_cell_create(tarn_module *parent, const char *name, int64_t in,
                                            int64_t hidden);
TARN_API tarn_rnn_cell tarn_rnn_cell_create_with(tarn_module *parent, const char *name, int64_t in,
                                                 int64_t hidden, const tarn_rnn_options *options);

/* x (B, in), state (B, hidden), NULL: zeros  ->  the next state, whose h is also the output. On
 * failure both are NULL. */
TARN_API tarn_rnn_state tarn_rnn_cell_forward(const tarn_rnn_cell *cell, tarn_tensor *x,
                                              tarn_rnn_state state);

/* Layers for `in` inputs and `hidden` units. Their parameters have PyTorch's names: "weight_ih_l0"
 * and so on, of the other direction "weight_ih_l0_reverse". Fails: as tarn_rnn_cell_create. */
TARN_API tarn_rnn tarn_rnn_create(tarn_module *parent, const char *name, int64_t in,
                                  int64_t hidden);
TARN_API tarn_rnn tarn_lstm_create(tarn_module *parent, const char *name, int64_t in,
                                   int64_t hidden);
TARN_API tarn_rnn tarn_gru_create(tarn_module *parent, const char *name, int64_t in,
                                  int64_t hidden);
TARN_API tarn_rnn tarn_rnn_create_with(tarn_module *parent, const char *name, int64_t in,
                                       int64_t hidden, const tarn_rnn_options *options);

/* What sequences become; all NULL on failure. */
typedef struct tarn_rnn_output {
    tarn_tensor *y;       /* (B, T, directions hidden): h of the last layer at every time */
    tarn_rnn_state state; /* (layers directions, B, hidden): what each ended with */
} tarn_rnn_output;

/* x (B, T, in), state (layers directions, B, hidden), NULL: zeros. The products of all inputs of a
 * layer are one product. Fails also: TARN_ESHAPE for sequences without a step. */
TARN_API tarn_rnn_output tarn_rnn_forward(const tarn_rnn *layer, tarn_tensor *x,
                                          tarn_rnn_state state);

/* ---- states that outlive their operations: truncated back-propagation through time
 *
 * A state that goes from one part of a long sequence to the next must be cut off from what computed
 * it, or backward would go back to the beginning, and all of that would stay in memory:
 *
 *     tarn_rnn_state state = { 0 };
 *     while (...) {
 *         tarn_scope scope = tarn_scope_begin(tm);
 *         tarn_rnn_output out = tarn_rnn_forward(&rnn, x, state);
 *         (void)tarn_rnn_state_carry(&state, out.state);
 *         tarn_backward(loss of out.y);
 *         tarn_optimizer_step(optimizer);
 *         tarn_scope_end(scope);
 *     }
 *     tarn_rnn_state_release(&state);
 *
 * By hand, for other tensors: t = tarn_retain(tarn_detach(h)) before tarn_backward, and
 * tarn_release of the one before; that keeps all the memory that h is a view of. */

/* The same values, of which no gradient passes. NULL passes. */
TARN_API tarn_rnn_state tarn_rnn_state_detach(tarn_rnn_state state);

/* Replaces what `carried` holds by copies of a state that depend on nothing, belong to no scope and
 * live until they are replaced or released. To be called before tarn_backward, which ends the life
 * of what it was computed from. Fails, with `carried` as it was: TARN_EARG if that or next.h is
 * NULL (without a message: an error is held already), TARN_ESTALE, TARN_ENOMEM. */
TARN_API tarn_status tarn_rnn_state_carry(tarn_rnn_state *carried, tarn_rnn_state next);

/* Lets go of what tarn_rnn_state_carry made, and makes it NULL. */
TARN_API void tarn_rnn_state_release(tarn_rnn_state *carried);

TARN_END_DECLS

#endif
