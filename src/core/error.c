/* SPDX-License-Identifier: MIT
 * error.c - the first error of a manager. */
#include <stdarg.h>
#include <stdio.h>

#include "core/manager.h"
#include "core/pool.h"

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

tarn_status tarn__fail_memory(tarn_manager *tm, const char *what, size_t bytes)
{
    const tarn_pool_stats s = tarn_pool_get_stats(tm->pool);
    const size_t cap = tm->pool->options.max_capacity;
    char limit[48] = "no cap";
    if (cap != TARN_UNLIMITED) (void)snprintf(limit, sizeof(limit), "max_capacity %zu", cap);
    return tarn__fail(
        tm, TARN_ENOMEM,
        "%s: out of memory: %zu bytes more are not to be had (in use %zu, cached %zu, "
        "reserved %zu, %s)",
        what, bytes, s.in_use, s.cached, s.reserved, limit);
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
