/* SPDX-License-Identifier: MIT
 * idx.c - what loading and saving IDX files share. */
#define _POSIX_C_SOURCE 200809L

#include "io/idx.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { QUOTED_BYTES = 448 };

const tarn__idx_type tarn__idx_types[TARN__IDX_TYPES] = {
    { 0x08, 1, TARN_U8 },  { 0x09, 1, TARN_I32 }, { 0x0B, 2, TARN_I32 },
    { 0x0C, 4, TARN_I32 }, { 0x0D, 4, TARN_F32 }, { 0x0E, 8, TARN_F64 },
};

static bool needs_escape(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f || c == '"' || c == '\\';
}

/* A path as a message can show it: the last bytes of a long one, control characters as \xNN. */
static const char *quote(const char *path, char text[QUOTED_BYTES])
{
    const size_t room = QUOTED_BYTES - sizeof "...";
    const char *first = path + strlen(path);
    size_t length = 0;
    while (first > path && length + 4 <= room) {
        first--;
        length += needs_escape(*first) ? 4 : 1;
    }
    if (first > path) {
        while (((unsigned char)*first & 0xC0) == 0x80) first++; /* begin with a whole character */
    }
    char *to = text;
    if (first > path) to += snprintf(to, QUOTED_BYTES, "...");
    for (; *first != '\0'; first++) {
        if (needs_escape(*first)) {
            to += snprintf(to, 5, "\\x%02x", (unsigned)(unsigned char)*first);
        } else {
            *to++ = *first;
        }
    }
    *to = '\0';
    return text;
}

tarn_status tarn__idx_fail(const tarn__idx_file *file, tarn_status code, const char *format, ...)
{
    char name[QUOTED_BYTES], reason[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return tarn__fail(file->tm, code, "%s: \"%s\" %s", file->call, quote(file->path, name), reason);
}

tarn_status tarn__idx_system_fail(const tarn__idx_file *file, const char *what)
{
    char text[128];
    if (strerror_r(errno, text, sizeof text) != 0) snprintf(text, sizeof text, "error %d", errno);
    return tarn__idx_fail(file, TARN_EIO, "%s: %s", what, text);
}
