/* SPDX-License-Identifier: MIT
 * checkpoint.h - parts of a computation that are run again in backward instead of being kept. */
#ifndef TARN_AUTOGRAD_CHECKPOINT_H
#define TARN_AUTOGRAD_CHECKPOINT_H

#include "autograd/pass.h"

/* What a node of tarn_checkpoint runs again. */
typedef struct tarn__segment tarn__segment;

/* Runs it again, recorded, and passes call->dout through what it recorded: to call->din, and to the
 * leaves that the function used, as far as the pass around it does. */
tarn_status tarn__segment_backward(const tarn__pass *p, const tarn__call *call,
                                   const tarn__node *node);

void tarn__segment_free(tarn_manager *tm, tarn__segment *segment);

/* A pass inside another, from one output to leaves, over operations recorded after that position;
 * the output may be a leaf itself, or want no gradient. */
tarn_status tarn__backward_inside(const tarn__pass *outer, uint64_t after, tarn_tensor *output,
                                  tarn_tensor *seed);

#endif
