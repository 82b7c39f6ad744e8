/* SPDX-License-Identifier: MIT
 * draws.h - the random streams that a part of a computation drew from, so that it can draw from the
 * same again. */
#ifndef TARN_CORE_DRAWS_H
#define TARN_CORE_DRAWS_H

#include "core/manager.h"

typedef struct tarn__draws {
    struct tarn__draws *outer; /* of the part around this one; or NULL */
    bool repeating;            /* else noting */
    uint64_t *streams;         /* owned: (room) */
    size_t n, room;
    size_t next; /* to be repeated */
} tarn__draws;

/* The stream to draw from, of which `fresh` would be the next: noted if the manager notes draws,
 * replaced if it repeats them. False with the error held, and nothing drawn. */
bool tarn__draw(tarn_manager *tm, uint64_t fresh, uint64_t *stream);

/* Gives the memory back. */
void tarn__draws_end(tarn_manager *tm, tarn__draws *draws);

#endif
