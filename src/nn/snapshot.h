/* SPDX-License-Identifier: MIT
 * snapshot.h - copies of what a module holds, to go back to. */
#ifndef TARN_NN_SNAPSHOT_H
#define TARN_NN_SNAPSHOT_H

#include "nn/module.h"

/* The members are borrowed while the tree lives. All zero: of nothing. */
typedef struct tarn__snapshot {
    tarn_manager *tm;
    struct tarn__copy {
        tarn_tensor *member, *copy; /* the copy is owned */
    } * copies;                     /* owned: (n) */
    size_t n;
} tarn__snapshot;

/* Room for copies of the buffers, and parameters if wished, of the module and all below it, without
 * those that are frozen. Fails: TARN_ENOMEM held; then it is empty. */
tarn_status tarn__snapshot_begin(tarn__snapshot *s, tarn_module *module, bool parameters);
void tarn__snapshot_end(tarn__snapshot *s);

/* Copies what is there now. */
void tarn__snapshot_take(const tarn__snapshot *s);

/* Puts back what was taken last. Fails, with nothing changed: TARN_ESTATE held for members that
 * were frozen since. */
tarn_status tarn__snapshot_restore(const tarn__snapshot *s);

#endif
