/* SPDX-License-Identifier: MIT
 * pattern.c - patterns of paths, matched without recursion: what follows the last * is tried at one
 * place after the other, and no earlier * need be reconsidered. */
#include "nn/pattern.h"

#include <string.h>

/* A path in two pieces, which are never joined: n_head bytes, the last of them a dot, and a name.
 */
typedef struct split_path {
    const char *head;
    size_t n_head;
    const char *name;
} split_path;

static split_path path_of(const tarn_module *top, const tarn__member *member)
{
    const size_t above = strlen(top->path);
    const char *head = member->module->path + above;
    if (above > 0 && *head == '.') head++;
    const size_t n = strlen(head);
    return (split_path){ head, n > 0 ? n + 1 : 0, member->name };
}

/* The i-th byte; NUL at the end. */
static unsigned char byte_at(const split_path *p, size_t i)
{
    if (i >= p->n_head) return (unsigned char)p->name[i - p->n_head];
    return i + 1 == p->n_head ? '.' : (unsigned char)p->head[i];
}

/* The byte at *at, which goes behind it; an escaped one is taken as it is. */
static unsigned char next_byte(const char **at)
{
    if ((*at)[0] == '\\' && (*at)[1] != '\0') (*at)++;
    return (unsigned char)*(*at)++;
}

/* Whether a set, whose text begins behind its bracket, is closed: then *end is behind it, and
 * *found says whether the byte is in it. A bracket at its very begin is one of its bytes. */
static bool match_set(const char *at, unsigned char byte, const char **end, bool *found)
{
    const bool outside = *at == '!' || *at == '^';
    if (outside) at++;
    bool inside = false;
    for (bool first = true; first || *at != ']'; first = false) {
        if (*at == '\0') return false;
        const unsigned char low = next_byte(&at);
        unsigned char high = low;
        if (at[0] == '-' && at[1] != ']' && at[1] != '\0') {
            at++;
            high = next_byte(&at);
        }
        inside = inside || (low <= byte && byte <= high);
    }
    *end = at + 1;
    *found = inside != outside;
    return true;
}

/* Whether the pattern at *at, which is no star, begins with something that means the byte; then *at
 * goes behind that. */
static bool match_byte(const char **at, unsigned char byte)
{
    const char *end = *at;
    bool found;
    if (*end == '\0') return false;
    if (*end == '?') {
        end++;
        found = true;
    } else if (*end != '[' || !match_set(end + 1, byte, &end, &found)) {
        found = next_byte(&end) == byte;
    }
    if (found) *at = end;
    return found;
}

bool tarn__pattern_matches(const char *pattern, const tarn_module *top, const tarn__member *member)
{
    const split_path path = path_of(top, member);
    const char *at = pattern, *after_star = NULL;
    size_t i = 0, retry = 0;
    while (byte_at(&path, i) != '\0') {
        if (*at == '*') {
            after_star = ++at;
            retry = i;
        } else if (match_byte(&at, byte_at(&path, i))) {
            i++;
        } else if (after_star != NULL) {
            at = after_star;
            i = ++retry;
        } else {
            return false;
        }
    }
    while (*at == '*') at++;
    return *at == '\0';
}
