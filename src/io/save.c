/* SPDX-License-Identifier: MIT
 * save.c - files that appear whole or not at all. */
#define _XOPEN_SOURCE 700 /* realpath */
#define _FILE_OFFSET_BITS 64

#include "io/save.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(TARN__SAVE_PATH_BYTES >= PATH_MAX, "realpath writes up to PATH_MAX bytes");

static bool fail(tarn__save *save, const char *problem, int error)
{
    save->problem = problem;
    save->error = error;
    return false;
}

/* Of a path that is a symbolic link, what it leads to in the end: renaming over the link would
 * replace it and leave the file as it was. */
static bool resolve(tarn__save *save, const char *path)
{
    struct stat info;
    const size_t length = strlen(path);
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode)) {
        if (realpath(path, save->path) != NULL) return true;
        return errno == ENOENT
                   ? fail(save, "cannot be written: it is a symbolic link to nothing", 0)
                   : fail(save, "cannot be written", errno);
    }
    if (length >= sizeof save->path) return fail(save, "cannot be written", ENAMETOOLONG);
    memcpy(save->path, path, length + 1);
    return true;
}

static bool open_directory(tarn__save *save)
{
    char text[TARN__SAVE_PATH_BYTES];
    const char *slash = strrchr(save->path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - save->path);
    save->name = slash == NULL ? save->path : slash + 1;
    memcpy(text, save->path, length);
    if (length == 0) text[length++] = slash == NULL ? '.' : '/';
    text[length] = '\0';
    save->directory = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return save->directory >= 0 ||
           fail(save, "cannot be written: its directory cannot be opened", errno);
}

/* Whatever is no regular file stays as it is: renaming over a device would replace it. */
static bool check_target(tarn__save *save)
{
    struct stat info;
    if (save->name[0] == '\0') return fail(save, "cannot be written: it names no file", 0);
    if (fstatat(save->directory, save->name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || fail(save, "cannot be written", errno);
    if (S_ISDIR(info.st_mode)) return fail(save, "cannot be written: it is a directory", 0);
    if (!S_ISREG(info.st_mode)) return fail(save, "cannot be written: it is no regular file", 0);
    save->replaces = true;
    save->mode = info.st_mode & 0777;
    return true;
}

/* A name that is taken, by another writer or one that was killed, is passed over. */
static bool open_temporary(tarn__save *save)
{
    const mode_t mode = save->replaces ? save->mode : 0666;
    for (unsigned attempt = 0; !save->made && attempt < 1000; attempt++) {
        snprintf(save->temporary, sizeof save->temporary, ".tarn-%ld-%u.tmp", (long)getpid(),
                 attempt);
        save->fd =
            openat(save->directory, save->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        save->made = save->fd >= 0;
        if (!save->made && errno != EEXIST && errno != EINTR) break;
    }
    return save->made || fail(save, "cannot be written: no temporary file", errno);
}

/* Gives the new file the permissions of the old one, of which the process's mask took some away. */
static bool keep_mode(tarn__save *save)
{
    struct stat info;
    if (!save->replaces) return true;
    if (fstat(save->fd, &info) == 0 &&
        ((info.st_mode & 0777) == save->mode || fchmod(save->fd, save->mode) == 0))
        return true;
    return fail(save, "cannot be written: its permissions cannot be kept", errno);
}

bool tarn__save_begin(tarn__save *save, const char *path)
{
    memset(save, 0, sizeof *save);
    save->directory = save->fd = -1;
    return resolve(save, path) && open_directory(save) && check_target(save) &&
           open_temporary(save) && keep_mode(save);
}

bool tarn__save_write(tarn__save *save, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    while (n > 0) {
        const ssize_t done = write(save->fd, from, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail(save, "cannot be written", errno);
        from += done;
        n -= (size_t)done;
    }
    return true;
}

/* Some file systems cannot synchronise directories, and say so. */
bool tarn__save_commit(tarn__save *save)
{
    if (fsync(save->fd) != 0) return fail(save, "cannot be written", errno);
    const int closed = close(save->fd);
    save->fd = -1;
    if (closed != 0) return fail(save, "cannot be written", errno);
    if (renameat(save->directory, save->temporary, save->directory, save->name) != 0)
        return fail(save, "cannot be replaced", errno);
    save->made = false;
    return fsync(save->directory) == 0 || errno == EINVAL || errno == ENOTSUP ||
           fail(save, "was written, but its directory cannot be synchronised", errno);
}

void tarn__save_end(tarn__save *save)
{
    if (save->fd >= 0) close(save->fd);
    if (save->made) unlinkat(save->directory, save->temporary, 0);
    if (save->directory >= 0) close(save->directory);
}
