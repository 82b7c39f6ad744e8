/* SPDX-License-Identifier: MIT
 * pool_options.h - the options of a pool: defaults, environment, validation. */
#ifndef TARN_CORE_POOL_OPTIONS_H
#define TARN_CORE_POOL_OPTIONS_H

#include <tarn/pool.h>

/* What the environment changed and what of it could not be used, one finding a line, such as
 *   max_capacity 67108864 from TARN_POOL_MAX_CAPACITY=64M
 *   ignored: TARN_POOL_MAX_CAPCITY=64M: no such option (did you mean TARN_POOL_MAX_CAPACITY?)
 *   ignored: TARN_POOL_MODE=fast: pooled or pass_through
 * cut, with a last line that says so, where it does not fit. */
typedef struct tarn__overrides {
    char text[2048];
} tarn__overrides;

/* Applies the environment, then replaces every 0 that stands for a default by it (cache_limit and
 * decay_steps keep their 0: their defaults are rules, not numbers), then validates. max_capacity
 * becomes TARN_UNLIMITED where there is none, and TARN_NONE becomes 0 where 0 means none.
 *
 * A value from outside that its field cannot have is ignored and listed; one that only does not go
 * with another, such as an initial_capacity above max_capacity, is applied and fails here as the
 * program's own does. In the environment a size is a number of bytes, or one with K, M, G or T
 * (also KiB ...; steps and events, too), "unlimited" or "none"; "default" stands for 0 in every
 * field. Fails: TARN_EARG, with the overrides as found. */
tarn_status tarn__pool_options_complete(tarn_pool_options *options, tarn__overrides *overrides);

/* The options as text, "name value" a line, for reports; as snprintf. Each value reads as it may
 * stand in the environment. */
size_t tarn__pool_options_print(const tarn_pool_options *options, char *text, size_t size);

#endif
