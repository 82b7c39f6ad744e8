/* SPDX-License-Identifier: MIT
 * error.c - the first error of a manager. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/manager.h"
#include "core/pool.h"
#include "core/system.h"

tarn_status tarn__fail(tarn_manager *tm, tarn_status code, const char *format, ...)
{
    if (tm == NULL || tm->error != TARN_OK) return code;
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(tm->message, sizeof(tm->message), format, arguments);
    va_end(arguments);
    if (n < 0) tm->message[0] = '\0';
    tm->error = code;
    if (tm->on_error != NULL) tm->on_error(tm->context, code, tm->message);
    return code;
}

enum { OWNERS = 5 };

/* "mlp.0 affine activation 1048576, ...": who holds most now. */
static void name_owners(const tarn_pool *pool, char text[320])
{
    tarn_tag_usage rows[64];
    size_t n = tarn_pool_get_tags(pool, rows, 64);
    text[0] = '\0';
    if (n > 64) n = 64;
    for (int i = 0; i < OWNERS; i++) {
        const tarn_tag_usage *most = NULL;
        for (size_t k = 0; k < n; k++)
            if (rows[k].live > 0 && (most == NULL || rows[k].live > most->live)) most = &rows[k];
        if (most == NULL) return;
        const size_t length = strlen(text);
        (void)snprintf(text + length, 320 - length, "%s%s%s%s%s%s %zu", i == 0 ? "" : ", ",
                       most->path, most->path[0] != '\0' ? " " : "", most->operation,
                       most->operation[0] != '\0' ? " " : "", tarn_kind_name(most->kind),
                       most->live);
        rows[most - rows].live = 0;
    }
}

/* What the user can turn. */
static const char *knob(const tarn_pool *pool, size_t cap, size_t reserved, size_t bytes)
{
    if (TARN__GET(pool->injected)) return "the failure was injected with tarn_pool_inject_faults";
    if (reserved > cap || tarn_pool_block_capacity(bytes) > cap - reserved) {
        if (strstr(pool->overrides.text, "from TARN_POOL_MAX_CAPACITY") != NULL)
            return "raise max_capacity, which TARN_POOL_MAX_CAPACITY sets in the environment";
        return "raise max_capacity, or hold less: smaller batches, inner scopes";
    }
    if (pool->system.reserve != tarn__system_default.reserve)
        return "where the pool gets its memory there is no more: give it a larger arena, or hold "
               "less";
    return "the system has no more: hold less: smaller batches, inner scopes";
}

tarn_status tarn__fail_memory(tarn_manager *tm, const char *what, size_t bytes)
{
    if (tm->error != TARN_OK) return TARN_ENOMEM;
    char limit[48] = "no cap", owners[320];
    const tarn_pool *pool = tm->pool;
    const tarn_pool_stats s = tarn_pool_get_stats(pool);
    const size_t cap = tarn_pool_get_options(pool).max_capacity;
    if (cap != TARN_UNLIMITED) (void)snprintf(limit, sizeof(limit), "max_capacity %zu", cap);
    name_owners(pool, owners);
    return tarn__fail(
        tm, TARN_ENOMEM,
        "%s: out of memory: %zu bytes more are not to be had (%s, reserved %zu, in use "
        "%zu, cached %zu, largest free block %zu; held by %s); %s",
        what, bytes, limit, s.reserved, s.in_use, s.cached, s.largest_free,
        owners[0] != '\0' ? owners : "nobody", knob(pool, cap, s.reserved, bytes));
}

bool tarn_ok(const tarn_manager *tm) { return tm != NULL && tm->error == TARN_OK; }

tarn_status tarn_error_code(const tarn_manager *tm) { return tm != NULL ? tm->error : TARN_EARG; }

const char *tarn_error_message(const tarn_manager *tm)
{
    return tm != NULL ? tm->message
                      : "no manager: tarn_manager_create returned NULL or was not called";
}

void tarn_clear_error(tarn_manager *tm)
{
    if (tm == NULL) return;
    tm->error = TARN_OK;
    tm->message[0] = '\0';
}
