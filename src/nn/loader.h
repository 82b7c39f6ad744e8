/* SPDX-License-Identifier: MIT
 * loader.h - loaders as the library sees them.
 *
 * A loader has one or two streams of rows: inputs and targets. Each has one batch, whose storage
 * has room for a full batch and is filled again and again while nobody else holds it. With prefetch
 * each has a spare one, too, which a thread fills for the next call; then the two change places.
 * All memory is acquired and given back in the manager's thread. */
#ifndef TARN_NN_LOADER_H
#define TARN_NN_LOADER_H

#include "core/manager.h"
#include "nn/loader_thread.h"

/* One of the tensors that batches are made of. */
typedef struct tarn__stream {
    tarn_tensor *source; /* owned: a view of the user's tensor or a copy; NULL: no targets */
    tarn_tensor *batch;  /* owned: the last batch, or NULL */
    tarn_tensor *spare;  /* owned: the next one, read ahead, or its memory; or NULL */
    tarn__layout layout; /* of a full batch */
    size_t row;          /* elements in a row */
    uint32_t version;    /* of the source, when reading ahead began */
    bool fuse;           /* as in loader_fill.h */
} tarn__stream;

struct tarn_loader {
    tarn__object object;
    tarn_loader_options options; /* with the defaults filled in */
    tarn__stream inputs, targets;
    tarn__rows rows;
    int64_t n_batches;
    int64_t epoch, batch; /* the running epoch, and the number of its next batch */
    bool at_end;          /* the epoch's end was told: the next call begins another */

    tarn__loader_thread thread;
    bool ahead;        /* it was given the epoch's next batch */
    bool ahead_target; /* and its targets */
};

/* The manager that made it. */
tarn_manager *tarn__loader_manager(const tarn_loader *loader);

/* Forgets what was read ahead. Afterwards the thread reads neither data nor rows. */
void tarn__loader_drop_ahead(tarn_loader *loader);

#endif
