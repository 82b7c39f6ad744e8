/* SPDX-License-Identifier: MIT
 * dropout.h - what tarn_dropout draws from. */
#ifndef TARN_OPS_DROPOUT_H
#define TARN_OPS_DROPOUT_H

#include "core/manager.h"

/* The key of the draws of a stream. */
uint64_t tarn__dropout_key(const tarn_manager *tm, uint64_t stream);

#endif
