/* SPDX-License-Identifier: MIT
 * draws.c - noting random streams and drawing from them again. */
#include "core/draws.h"

#include <string.h>

#include "core/pool.h"
#include "core/size.h"

static bool grow(tarn_manager *tm, tarn__draws *draws)
{
    size_t room = draws->room == 0 ? 8 : draws->room, bytes = 0;
    if (!tarn__size_mul(room, 2 * sizeof(uint64_t), &bytes)) return false;
    uint64_t *streams = tarn__record_take(tm, "tarn_checkpoint", bytes);
    if (streams == NULL) return false;
    if (draws->n > 0) memcpy(streams, draws->streams, draws->n * sizeof(uint64_t));
    tarn__draws_end(tm, draws);
    draws->streams = streams;
    draws->room = 2 * room;
    return true;
}

static bool draw(tarn_manager *tm, tarn__draws *draws, uint64_t fresh, uint64_t *stream)
{
    *stream = fresh;
    if (draws == NULL) return true;
    if (!draws->repeating) {
        if (!draw(tm, draws->outer, fresh, stream)) return false;
        if (draws->n == draws->room && !grow(tm, draws)) return false;
        draws->streams[draws->n++] = *stream;
        return true;
    }
    if (draws->next == draws->n) {
        (void)tarn__fail(tm, TARN_ESTATE,
                         "tarn_checkpoint: the function draws more random numbers than when it ran "
                         "first: it must do the same each time");
        return false;
    }
    *stream = draws->streams[draws->next++];
    return true;
}

bool tarn__draw(tarn_manager *tm, uint64_t fresh, uint64_t *stream)
{
    return draw(tm, tm->draws, fresh, stream);
}

void tarn__draws_end(tarn_manager *tm, tarn__draws *draws)
{
    if (draws->streams == NULL) return;
    tarn__record_give(tm, draws->streams, draws->room * sizeof(uint64_t));
    draws->streams = NULL;
}
