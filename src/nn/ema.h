/* SPDX-License-Identifier: MIT
 * ema.h - what the library asks of averages. */
#ifndef TARN_NN_EMA_H
#define TARN_NN_EMA_H

#include <tarn/ema.h>

/* The root of the tree that they are of; NULL once that was destroyed. */
const tarn_module *tarn__ema_root(const tarn_ema *ema);

/* Applies or restores them, whichever they are not, also while an error is held. */
tarn_status tarn__ema_exchange(tarn_ema *ema);

#endif
