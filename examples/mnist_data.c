/* SPDX-License-Identifier: MIT
 * mnist_data.c - the four files of MNIST, under any of the names that they go by, or drawn digits
 * in their place. */
#define _POSIX_C_SOURCE 200809L
#include "mnist_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "digits.h"
#include "mnist_options.h"

enum { PATH_BYTES = 4096, N_FILES = 4, DRAWN_TRAINING = 20000, DRAWN_TEST = 2000, DRAWN_SEED = 1 };

/* The images before their labels, for training before for testing. */
static const struct part {
    const char *name, *kind;
} parts[N_FILES] = {
    { "train-images", "idx3-ubyte" },
    { "train-labels", "idx1-ubyte" },
    { "t10k-images", "idx3-ubyte" },
    { "t10k-labels", "idx1-ubyte" },
};

typedef char mnist_path[PATH_BYTES];

/* ---- finding the files */

static bool make_path(mnist_path path, const char *directory, int part, char dot,
                      const char *ending)
{
    const int length = snprintf(path, PATH_BYTES, "%s/%s%c%s%s", directory, parts[part].name, dot,
                                parts[part].kind, ending);
    return length > 0 && length < PATH_BYTES;
}

/* Finds each file under one of its names. Returns how many there are; *missing is the first that is
 * not. */
static int find_files(mnist_path paths[N_FILES], const char *directory, int *missing)
{
    static const char *const endings[] = { "", ".gz" };
    int found = 0;
    *missing = -1;
    for (int part = 0; part < N_FILES; part++) {
        bool here = false;
        for (int form = 0; form < 4 && !here; form++) {
            here =
                make_path(paths[part], directory, part, form < 2 ? '-' : '.', endings[form % 2]) &&
                access(paths[part], F_OK) == 0;
        }
        if (here) found++;
        if (!here && *missing < 0) *missing = part;
    }
    return found;
}

/* Names what is missing as the directory would usually call it. */
static bool fail_missing(const char *directory, int missing)
{
    return mnist_fail("%s has no %s-%s, plain or .gz (scripts/get-mnist downloads MNIST)",
                      directory, parts[missing].name, parts[missing].kind);
}

/* ---- loading and checking */

static bool check_labels(tarn_tensor *labels, const char *path)
{
    const unsigned char *label = tarn_data(labels);
    for (int64_t i = 0; i < tarn_numel(labels); i++) {
        if (label[i] < MNIST_CLASSES) continue;
        return mnist_fail("%s: label %lld is %d; digits go from 0 to 9", path, (long long)i,
                          label[i]);
    }
    return true;
}

static bool load_set(mnist_set *set, tarn_manager *tm, const char *images, const char *labels)
{
    set->images = tarn_idx_load(tm, images);
    set->labels = tarn_idx_load(tm, labels);
    if (!tarn_ok(tm)) return false;
    if (tarn_get_dtype(set->images) != TARN_U8 || tarn_ndim(set->images) != 3 ||
        tarn_numel(set->images) == 0) {
        return mnist_fail("%s: not images of grey bytes", images);
    }
    if (tarn_get_dtype(set->labels) != TARN_U8 || tarn_ndim(set->labels) != 1) {
        return mnist_fail("%s: not a list of labels", labels);
    }
    if (tarn_dim(set->images, 0) != tarn_dim(set->labels, 0)) {
        return mnist_fail("%s has %lld images, but %s has %lld labels", images,
                          (long long)tarn_dim(set->images, 0), labels,
                          (long long)tarn_dim(set->labels, 0));
    }
    return check_labels(set->labels, labels);
}

static bool load_files(mnist_data *data, tarn_manager *tm, mnist_path paths[N_FILES])
{
    if (!load_set(&data->train, tm, paths[0], paths[1]) ||
        !load_set(&data->test, tm, paths[2], paths[3]))
        return false;
    if (tarn_dim(data->train.images, 1) != tarn_dim(data->test.images, 1) ||
        tarn_dim(data->train.images, 2) != tarn_dim(data->test.images, 2)) {
        return mnist_fail("%s and %s differ in the size of their images", paths[0], paths[2]);
    }
    return true;
}

/* ---- digits that are drawn, written and read like the real ones */

/* Makes what drawing and reading make, in the same order. */
static bool rehearse_drawn(mnist_data *data, tarn_manager *tm)
{
    const int64_t n[] = { DRAWN_TRAINING, DRAWN_TEST };
    mnist_set *sets[] = { &data->train, &data->test };
    for (int i = 0; i < 2; i++)
        if (!digits_write(tm, NULL, NULL, n[i], DRAWN_SEED, 0)) return false;
    for (int i = 0; i < 2; i++) {
        sets[i]->images = tarn_empty(tm, TARN_U8, TARN_SHAPE(n[i], DIGITS_SIDE, DIGITS_SIDE));
        sets[i]->labels = tarn_empty(tm, TARN_U8, TARN_SHAPE(n[i]));
    }
    return tarn_ok(tm);
}

static bool load_drawn(mnist_data *data, tarn_manager *tm)
{
    const char *base = getenv("TMPDIR");
    if (tarn_is_dry_run(tm)) return rehearse_drawn(data, tm);
    mnist_path directory, paths[N_FILES];
    if (base == NULL || base[0] == '\0') base = "/tmp";
    const int length = snprintf(directory, sizeof directory, "%s/tarn-digits-XXXXXX", base);
    if (length < 0 || length >= PATH_BYTES || mkdtemp(directory) == NULL) {
        return mnist_fail("no temporary directory can be made in %s", base);
    }
    bool ok = true;
    for (int part = 0; part < N_FILES; part++)
        ok = make_path(paths[part], directory, part, '-', "") && ok;
    if (!ok) {
        rmdir(directory);
        return mnist_fail("%s is too long a name for a temporary directory", directory);
    }
    ok = digits_write(tm, paths[0], paths[1], DRAWN_TRAINING, DRAWN_SEED, 0) &&
         digits_write(tm, paths[2], paths[3], DRAWN_TEST, DRAWN_SEED, DRAWN_TRAINING);
    ok = ok && load_files(data, tm, paths);
    for (int part = 0; part < N_FILES; part++) unlink(paths[part]);
    rmdir(directory);
    return ok;
}

bool mnist_data_load(mnist_data *data, tarn_manager *tm, const char *directory, bool generated)
{
    static const char usual[] = "data/mnist";
    mnist_path paths[N_FILES];
    int missing = 0;
    if (directory == NULL) directory = getenv("TARN_MNIST_DIR");
    const bool asked = directory != NULL && directory[0] != '\0';
    if (!asked) directory = usual;
    const int found = generated ? 0 : find_files(paths, directory, &missing);

    data->directory = NULL;
    data->generated = generated;
    if (found == 0 && (generated || !asked)) return load_drawn(data, tm);
    if (found < N_FILES) return fail_missing(directory, missing);
    data->directory = directory;
    return load_files(data, tm, paths);
}

void mnist_data_print(const mnist_data *data)
{
    if (data->directory != NULL) {
        printf("MNIST from %s\n", data->directory);
    } else {
        printf("generated digits, drawn by this program%s\n",
               data->generated ? ""
                               : " (MNIST is not in data/mnist; scripts/get-mnist downloads it)");
    }
    printf("%lld training and %lld test images of %lldx%lld\n",
           (long long)tarn_dim(data->train.images, 0), (long long)tarn_dim(data->test.images, 0),
           (long long)tarn_dim(data->train.images, 1), (long long)tarn_dim(data->train.images, 2));
}
