/* SPDX-License-Identifier: MIT
 * status.c - names and texts of statuses, from their list. */
#include <tarn/status.h>

const char *tarn_status_name(tarn_status status)
{
    switch (status) {
#define STATUS_NAME(code, text) \
    case TARN_##code: return "TARN_" #code;
        TARN_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    }
    return "unknown status";
}

const char *tarn_status_text(tarn_status status)
{
    switch (status) {
#define STATUS_TEXT(code, text) \
    case TARN_##code: return text;
        TARN_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}
