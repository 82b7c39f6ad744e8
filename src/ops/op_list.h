/* SPDX-License-Identifier: MIT
 * op_list.h - every operation, once: X(name) for tarn__op_name. Tests and documentation walk it. */
#ifndef TARN_OPS_OP_LIST_H
#define TARN_OPS_OP_LIST_H

#include "ops/op.h"

/* clang-format off */
#define TARN__OP_LIST(X)              \
    X(add)                            \
    X(sub)                            \
    X(mul)                            \
    X(div)                            \
    X(pow)                            \
    X(maximum)                        \
    X(minimum)                        \
    X(add_scalar)                     \
    X(rsub_scalar)                    \
    X(mul_scalar)                     \
    X(div_scalar)                     \
    X(rdiv_scalar)                    \
    X(pow_scalar)                     \
    X(maximum_scalar)                 \
    X(minimum_scalar)                 \
    X(neg)                            \
    X(abs)                            \
    X(exp)                            \
    X(expm1)                          \
    X(log)                            \
    X(log1p)                          \
    X(sqrt)                           \
    X(rsqrt)                          \
    X(square)                         \
    X(reciprocal)                     \
    X(sin)                            \
    X(cos)                            \
    X(tanh)                           \
    X(erf)                            \
    X(sigmoid)                        \
    X(relu)                           \
    X(leaky_relu)                     \
    X(elu)                            \
    X(softplus)                       \
    X(silu)                           \
    X(gelu)                           \
    X(gelu_tanh)                      \
    X(sign)                           \
    X(floor)                          \
    X(ceil)                           \
    X(round)                          \
    X(clamp)                          \
    X(equal)                          \
    X(equal_scalar)                   \
    X(not_equal)                      \
    X(not_equal_scalar)               \
    X(less)                           \
    X(less_scalar)                    \
    X(less_equal)                     \
    X(less_equal_scalar)              \
    X(greater)                        \
    X(greater_scalar)                 \
    X(greater_equal)                  \
    X(greater_equal_scalar)           \
    X(where)                          \
    X(masked_fill)                    \
    X(matmul)                         \
    X(affine)                         \
    X(conv1d)                         \
    X(conv2d)                         \
    X(conv_transpose1d)               \
    X(conv_transpose2d)               \
    X(conv1d_dw)                      \
    X(conv2d_dw)                      \
    X(max_pool1d)                     \
    X(max_pool2d)                     \
    X(avg_pool1d)                     \
    X(avg_pool2d)                     \
    X(adaptive_max_pool2d)            \
    X(adaptive_avg_pool2d)            \
    X(avg_unpool)                     \
    X(sum)                            \
    X(mean)                           \
    X(max)                            \
    X(min)                            \
    X(argmax)                         \
    X(argmin)                         \
    X(prod)                           \
    X(var)                            \
    X(std)                            \
    X(norm)                           \
    X(logsumexp)                      \
    X(cumsum)                         \
    X(softmax)                        \
    X(log_softmax)                    \
    X(cross_entropy)                  \
    X(bce_with_logits)                \
    X(mse)                            \
    X(nll)                            \
    X(label_weights)                  \
    X(l1)                             \
    X(huber)                          \
    X(hinge)                          \
    X(kl_divergence)                  \
    X(gaussian_nll)                   \
    X(cosine_similarity)              \
    X(cosine_embedding)               \
    X(alias)                          \
    X(reshape)                        \
    X(squeeze)                        \
    X(unsqueeze)                      \
    X(transpose)                      \
    X(permute)                        \
    X(slice)                          \
    X(select)                         \
    X(unslice)                        \
    X(expand)                         \
    X(contiguous)                     \
    X(flip)                           \
    X(pad)                            \
    X(tril)                           \
    X(triu)                           \
    X(concat)                         \
    X(one_hot)                        \
    X(gather)                         \
    X(scatter_add)                    \
    X(index_select)                   \
    X(index_add)                      \
    X(cast)                           \
    X(dropout)                        \
    X(lstm_gates)                     \
    X(gru_gates)                      \
    X(recurrence)                     \
    X(sdpa)                           \
    X(layer_norm)                     \
    X(rms_norm)                       \
    X(group_norm)                     \
    X(batch_moments)                  \
    X(batch_norm)                     \
    X(batch_norm_given)               \
    X(embedding)                      \
    X(detach)

/* clang-format on */

#define TARN__OP_EXTERN(name) extern const tarn__op tarn__op_##name;
TARN__OP_LIST(TARN__OP_EXTERN)
#undef TARN__OP_EXTERN

/* All of them, in the order of the list; NULL ends it. */
extern const tarn__op *const tarn__ops[];

#endif
