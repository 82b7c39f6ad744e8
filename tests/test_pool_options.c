/* SPDX-License-Identifier: MIT
 * test_pool_options.c - options of a pool: defaults, validation, what the environment changes and
 * what is said of it. */
#define _GNU_SOURCE /* environ, setenv */

#include "check.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/pool_options.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* The names of variables, as they stand behind TARN_POOL_. */
static const char *const names[] = {
    "INITIAL_CAPACITY", "MAX_CAPACITY", "GROWTH_FACTOR", "CACHE_LIMIT", "ALIGNMENT",
    "DECAY_STEPS",      "TRACK_STATS",  "HUGE_PAGES",    "ZERO_POLICY", "WIPE_ON_RELEASE",
    "CHECKING",         "MODE",         "TRACE_EVENTS",
};
enum { N_NAMES = sizeof(names) / sizeof(names[0]) };

/* ---- the environment of a case */

static void unset_all(void)
{
    for (char **entry = environ; *entry != NULL;) {
        char name[256];
        const char *equals = strchr(*entry, '=');
        if (strncmp(*entry, "TARN_POOL_", 10) != 0 || equals == NULL ||
            (size_t)(equals - *entry) >= sizeof(name)) {
            entry++;
            continue;
        }
        memcpy(name, *entry, (size_t)(equals - *entry));
        name[equals - *entry] = '\0';
        assert_int_equal(unsetenv(name), 0);
        entry = environ;
    }
}

static int setup(void **state)
{
    (void)state;
    unset_all();
    return 0;
}

static void set(const char *name, const char *text)
{
    char variable[2048];
    (void)snprintf(variable, sizeof(variable), "TARN_POOL_%s", name);
    assert_int_equal(setenv(variable, text, 1), 0);
}

static tarn__overrides overrides;

/* Completes these options, which must succeed. */
static tarn_pool_options complete(tarn_pool_options options)
{
    memset(overrides.text, 'x', sizeof(overrides.text));
    check_status(tarn__pool_options_complete(&options, &overrides), TARN_OK);
    assert_non_null(memchr(overrides.text, '\0', sizeof(overrides.text)));
    return options;
}

/* What becomes of the defaults with one variable, which must be applied. */
static tarn_pool_options with(const char *name, const char *text)
{
    unset_all();
    set(name, text);
    const tarn_pool_options options = complete((tarn_pool_options){ 0 });
    if (strstr(overrides.text, "ignored") != NULL) print_error("%s", overrides.text);
    assert_null(strstr(overrides.text, "ignored"));
    return options;
}

/* One variable is not applied, and this is what is said. */
static void refused(const char *name, const char *text, const char *said)
{
    char line[512];
    unset_all();
    const tarn_pool_options before = complete((tarn_pool_options){ 0 });
    set(name, text);
    const tarn_pool_options after = complete((tarn_pool_options){ 0 });
    assert_memory_equal(&before, &after, offsetof(tarn_pool_options, system));
    (void)snprintf(line, sizeof(line), "ignored: TARN_POOL_%s=%s: %s\n", name, text, said);
    assert_string_equal(overrides.text, line);
}

static tarn_status status_of(tarn_pool_options options)
{
    return tarn__pool_options_complete(&options, &overrides);
}

/* ---- defaults and validation */

static void zeros_become_defaults(void **state)
{
    (void)state;
    const tarn_pool_options o = complete((tarn_pool_options){ 0 });
    assert_int_equal(o.initial_capacity, 0);
    assert_int_equal(o.max_capacity, TARN_UNLIMITED);
    assert_true(o.growth_factor == 2.0);
    assert_int_equal(o.cache_limit, 0);
    assert_int_equal(o.alignment, 64);
    assert_int_equal(o.decay_steps, 0);
    assert_int_equal(o.track_stats, TARN_ON);
    assert_int_equal(o.huge_pages, TARN_HUGE_PAGES_AUTO);
    assert_int_equal(o.zero_policy, TARN_ZERO_ON_DEMAND);
    assert_false(o.wipe_on_release);
    assert_int_equal(o.checking, TARN_CHECK_LIGHT);
    assert_int_equal(o.mode, TARN_POOLED);
    assert_int_equal(o.trace_events, 0);
    assert_null(o.system);
    assert_string_equal(overrides.text, "");

    const tarn_pool_options again = complete(o);
    assert_memory_equal(&o, &again, sizeof(o));
}

static void what_the_program_says_stays(void **state)
{
    (void)state;
    int context;
    const tarn_pool_options given = {
        .initial_capacity = 5,
        .max_capacity = 5,
        .growth_factor = 1.0,
        .cache_limit = TARN_NONE,
        .alignment = 4096,
        .decay_steps = TARN_UNLIMITED,
        .track_stats = TARN_OFF,
        .huge_pages = TARN_HUGE_PAGES_NEVER,
        .zero_policy = TARN_ZERO_AT_ONCE,
        .wipe_on_release = true,
        .checking = TARN_CHECK_FULL,
        .mode = TARN_PASS_THROUGH,
        .trace_events = 7,
        .context = &context,
    };
    tarn_pool_options o = given;
    check_status(tarn__pool_options_complete(&o, &overrides), TARN_OK);
    assert_memory_equal(&o, &given, sizeof(o));

    assert_int_equal(complete((tarn_pool_options){ .cache_limit = TARN_UNLIMITED }).cache_limit,
                     TARN_UNLIMITED);
    assert_int_equal(complete((tarn_pool_options){ .max_capacity = TARN_UNLIMITED }).max_capacity,
                     TARN_UNLIMITED);
    /* Where 0 means none, so does TARN_NONE. */
    assert_int_equal(
        complete((tarn_pool_options){ .initial_capacity = TARN_NONE }).initial_capacity, 0);
    assert_int_equal(complete((tarn_pool_options){ .trace_events = TARN_NONE }).trace_events, 0);
}

static void *reserve_nothing(void *context, size_t bytes)
{
    (void)context;
    (void)bytes;
    return NULL;
}

static void release_nothing(void *context, void *memory, size_t bytes)
{
    (void)context;
    (void)memory;
    (void)bytes;
}

static void invalid_options_are_refused(void **state)
{
    (void)state;
    static const double growth[] = { NAN, INFINITY, -INFINITY, -1, -2, 0.5, 0.999, 1e-320 };
    for (size_t i = 0; i < sizeof(growth) / sizeof(growth[0]); i++)
        check_status(status_of((tarn_pool_options){ .growth_factor = growth[i] }), TARN_EARG);
    static const size_t alignments[] = { 1,       2,       8,         32,
                                         63,      65,      96,        2 * MIB + 1,
                                         3 * MIB, 4 * MIB, TARN_NONE, TARN_UNLIMITED };
    for (size_t i = 0; i < sizeof(alignments) / sizeof(alignments[0]); i++)
        check_status(status_of((tarn_pool_options){ .alignment = alignments[i] }), TARN_EARG);
    for (size_t a = 64; a <= 2 * MIB; a *= 2)
        check_status(status_of((tarn_pool_options){ .alignment = a }), TARN_OK);

    check_status(status_of((tarn_pool_options){ .initial_capacity = 2, .max_capacity = 1 }),
                 TARN_EARG);
    check_status(status_of((tarn_pool_options){ .max_capacity = TARN_NONE }), TARN_EARG);
    check_status(status_of((tarn_pool_options){ .decay_steps = TARN_NONE }), TARN_EARG);

    static const int outside[] = { -1, 3, 1 << 30 };
    for (size_t i = 0; i < 3; i++) {
        const int n = outside[i];
        check_status(status_of((tarn_pool_options){ .track_stats = (tarn_switch)n }), TARN_EARG);
        check_status(status_of((tarn_pool_options){ .huge_pages = (tarn_huge_pages)n }), TARN_EARG);
        check_status(status_of((tarn_pool_options){ .zero_policy = (tarn_zero_policy)n }),
                     TARN_EARG);
        check_status(status_of((tarn_pool_options){ .checking = (tarn_checking)n }), TARN_EARG);
        check_status(status_of((tarn_pool_options){ .mode = (tarn_pool_mode)n }), TARN_EARG);
    }
    check_status(status_of((tarn_pool_options){ .mode = (tarn_pool_mode)2 }), TARN_EARG);

    const tarn_system both = { .reserve = reserve_nothing, .release = release_nothing };
    const tarn_system no_reserve = { .release = release_nothing };
    const tarn_system no_release = { .reserve = reserve_nothing };
    check_status(status_of((tarn_pool_options){ .system = &both }), TARN_OK);
    check_status(status_of((tarn_pool_options){ .system = &no_reserve }), TARN_EARG);
    check_status(status_of((tarn_pool_options){ .system = &no_release }), TARN_EARG);
}

/* ---- values from outside */

static void sizes_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t value;
    } cases[] = {
        { "1", 1 },
        { "67108864", 64 * MIB },
        { "64K", 64 * KIB },
        { "64k", 64 * KIB },
        { "64KiB", 64 * KIB },
        { "64M", 64 * MIB },
        { "64MiB", 64 * MIB },
        { "3G", 3072 * MIB },
        { "3GiB", 3072 * MIB },
        { "2T", 2 * MIB * MIB },
        { "2TiB", 2 * MIB * MIB },
        { "007", 7 },
        { "0", TARN_UNLIMITED },
        { "0K", TARN_UNLIMITED },
        { "default", TARN_UNLIMITED },
        { "unlimited", TARN_UNLIMITED },
        { "18446744073709551613", SIZE_MAX - 2 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(with("MAX_CAPACITY", cases[i].text).max_capacity, cases[i].value);

    static const char *const unreadable[] = {
        "",
        " ",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1 K",
        "K",
        "1.5G",
        "1e6",
        "0x10",
        "64KB",
        "64B",
        "64MM",
        "64Mi",
        "64kib",
        "64P",
        "64\xc2\xb5",
        "none",
        "None",
        "UNLIMITED",
        "infinite",
        "18446744073709551616",
        "16777216T",
        "18014398509481984K",
        "99999999999999999999999999",
    };
    for (size_t i = 0; i < sizeof(unreadable) / sizeof(unreadable[0]); i++) {
        unset_all();
        set("MAX_CAPACITY", unreadable[i]);
        assert_int_equal(complete((tarn_pool_options){ .max_capacity = 5 }).max_capacity, 5);
        assert_non_null(strstr(overrides.text, "ignored: TARN_POOL_MAX_CAPACITY="));
    }
}

static void words_stand_where_they_make_sense(void **state)
{
    (void)state;
    assert_int_equal(with("CACHE_LIMIT", "none").cache_limit, TARN_NONE);
    assert_int_equal(with("CACHE_LIMIT", "unlimited").cache_limit, TARN_UNLIMITED);
    assert_int_equal(with("CACHE_LIMIT", "0").cache_limit, 0);
    assert_int_equal(with("DECAY_STEPS", "unlimited").decay_steps, TARN_UNLIMITED);
    assert_int_equal(with("DECAY_STEPS", "10").decay_steps, 10);
    assert_int_equal(with("INITIAL_CAPACITY", "none").initial_capacity, 0);
    assert_int_equal(with("TRACE_EVENTS", "none").trace_events, 0);
    assert_int_equal(with("TRACE_EVENTS", "4K").trace_events, 4096);
    assert_int_equal(with("ALIGNMENT", "2M").alignment, 2 * MIB);
    assert_int_equal(with("ALIGNMENT", "0").alignment, 64);

    refused("CACHE_LIMIT", "lots", "a number with or without K, M, G or T, unlimited, or none");
    refused("MAX_CAPACITY", "none", "a number with or without K, M, G or T, or unlimited");
    refused("DECAY_STEPS", "none", "a number with or without K, M, G or T, or unlimited");
    refused("INITIAL_CAPACITY", "unlimited", "a number with or without K, M, G or T, or none");
    refused("TRACE_EVENTS", "unlimited", "a number with or without K, M, G or T, or none");
    refused("ALIGNMENT", "100", "a power of two from 64 to 2M");
    refused("ALIGNMENT", "32", "a power of two from 64 to 2M");
    refused("ALIGNMENT", "4M", "a power of two from 64 to 2M");
    refused("ALIGNMENT", "unlimited", "a power of two from 64 to 2M");
}

static void choices_are_read(void **state)
{
    (void)state;
    assert_int_equal(with("MODE", "pooled").mode, TARN_POOLED);
    assert_int_equal(with("MODE", "pass_through").mode, TARN_PASS_THROUGH);
    assert_int_equal(with("CHECKING", "light").checking, TARN_CHECK_LIGHT);
    assert_int_equal(with("CHECKING", "full").checking, TARN_CHECK_FULL);
    assert_int_equal(with("HUGE_PAGES", "auto").huge_pages, TARN_HUGE_PAGES_AUTO);
    assert_int_equal(with("HUGE_PAGES", "always").huge_pages, TARN_HUGE_PAGES_ALWAYS);
    assert_int_equal(with("HUGE_PAGES", "never").huge_pages, TARN_HUGE_PAGES_NEVER);
    assert_int_equal(with("ZERO_POLICY", "on_demand").zero_policy, TARN_ZERO_ON_DEMAND);
    assert_int_equal(with("ZERO_POLICY", "at_once").zero_policy, TARN_ZERO_AT_ONCE);
    assert_int_equal(with("TRACK_STATS", "on").track_stats, TARN_ON);
    assert_int_equal(with("TRACK_STATS", "off").track_stats, TARN_OFF);
    assert_int_equal(with("TRACK_STATS", "default").track_stats, TARN_ON);
    assert_true(with("WIPE_ON_RELEASE", "on").wipe_on_release);
    assert_false(with("WIPE_ON_RELEASE", "off").wipe_on_release);

    refused("MODE", "fast", "pooled or pass_through");
    refused("MODE", "", "pooled or pass_through");
    refused("MODE", "pass_throug", "pooled or pass_through");
    refused("MODE", "Pooled", "pooled or pass_through");
    refused("CHECKING", "2", "light or full");
    refused("HUGE_PAGES", "yes", "auto, always or never");
    refused("ZERO_POLICY", "never", "on_demand or at_once");
    refused("TRACK_STATS", "true", "default, on or off");
    refused("WIPE_ON_RELEASE", "1", "off or on");
}

static void factors_are_read_in_every_locale(void **state)
{
    (void)state;
    static const char *const locales[] = { "C", "de_DE.UTF-8",
                                           "ps_AF.UTF-8" }; /* where installed */
    for (size_t i = 0; i < 3; i++) {
        (void)setlocale(LC_ALL, locales[i]);
        assert_true(with("GROWTH_FACTOR", "1").growth_factor == 1.0);
        assert_true(with("GROWTH_FACTOR", "1.1").growth_factor == 1.1);
        assert_string_equal(overrides.text, "growth_factor 1.1 from TARN_POOL_GROWTH_FACTOR=1.1\n");
        assert_true(with("GROWTH_FACTOR", "1.61803398874989").growth_factor == 1.61803398874989);
        assert_true(with("GROWTH_FACTOR", "1.61803398874989484820").growth_factor - 1.618 < 1e-4);
        assert_true(with("GROWTH_FACTOR", "3.").growth_factor == 3.0);
        assert_true(with("GROWTH_FACTOR", "0").growth_factor == 2.0);
        assert_true(with("GROWTH_FACTOR", "default").growth_factor == 2.0);
        static const char *const wrong[] = {
            "",    ".",   "0.5", "-1",  "1,5",  "1.5.0",
            "nan", "inf", "2x",  "1e3", "0.99", "1234567890123456"
        };
        for (size_t j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++)
            refused("GROWTH_FACTOR", wrong[j], "a number of at least 1, such as 1.5");
    }
    (void)setlocale(LC_ALL, "C");
}

/* A field without a line in the table keeps what it was preset to. */
static void every_field_can_be_set(void **state)
{
    (void)state;
    static const char *const values[N_NAMES] = {
        "1K",    "1M",      "1.5", "3",    "128",          "5", "off",
        "never", "at_once", "on",  "full", "pass_through", "9",
    };
    for (size_t i = 0; i < N_NAMES; i++) set(names[i], values[i]);
    tarn_pool_options o = { 0 };
    memset(&o, 0xff, offsetof(tarn_pool_options, system));
    check_status(tarn__pool_options_complete(&o, &overrides), TARN_OK);
    for (size_t at = 0; at < offsetof(tarn_pool_options, system); at += sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, (const unsigned char *)&o + at, sizeof(word));
        if (word == UINT32_MAX) print_error("no variable sets the bytes at offset %zu\n", at);
        assert_true(word != UINT32_MAX);
    }
    assert_int_equal(o.initial_capacity, KIB);
    assert_int_equal(o.max_capacity, MIB);
    assert_true(o.growth_factor == 1.5);
    assert_int_equal(o.cache_limit, 3);
    assert_int_equal(o.alignment, 128);
    assert_int_equal(o.decay_steps, 5);
    assert_int_equal(o.track_stats, TARN_OFF);
    assert_int_equal(o.huge_pages, TARN_HUGE_PAGES_NEVER);
    assert_int_equal(o.zero_policy, TARN_ZERO_AT_ONCE);
    assert_true(o.wipe_on_release);
    assert_int_equal(o.checking, TARN_CHECK_FULL);
    assert_int_equal(o.mode, TARN_PASS_THROUGH);
    assert_int_equal(o.trace_events, 9);
}

static void the_environment_goes_before_the_program(void **state)
{
    (void)state;
    set("MAX_CAPACITY", "64M");
    const tarn_pool_options o =
        complete((tarn_pool_options){ .max_capacity = 5, .cache_limit = 6, .growth_factor = 3 });
    assert_int_equal(o.max_capacity, 64 * MIB);
    assert_int_equal(o.cache_limit, 6);
    assert_true(o.growth_factor == 3);
    assert_string_equal(overrides.text, "max_capacity 67108864 from TARN_POOL_MAX_CAPACITY=64M\n");
    assert_int_equal(with("MAX_CAPACITY", "0").max_capacity, TARN_UNLIMITED);
    assert_string_equal(overrides.text, "max_capacity unlimited from TARN_POOL_MAX_CAPACITY=0\n");

    /* An option of the program's that is invalid counts no more once it is overridden. */
    (void)with("GROWTH_FACTOR", "1.5");
    check_status(status_of((tarn_pool_options){ .growth_factor = NAN }), TARN_OK);
}

static void what_does_not_go_together_fails(void **state)
{
    (void)state;
    set("MAX_CAPACITY", "64K");
    check_status(status_of((tarn_pool_options){ .initial_capacity = MIB }), TARN_EARG);
    assert_string_equal(overrides.text, "max_capacity 65536 from TARN_POOL_MAX_CAPACITY=64K\n");
    set("INITIAL_CAPACITY", "65537");
    check_status(status_of((tarn_pool_options){ 0 }), TARN_EARG);
    set("INITIAL_CAPACITY", "65536");
    check_status(status_of((tarn_pool_options){ 0 }), TARN_OK);
}

static void everything_can_be_turned_off(void **state)
{
    (void)state;
    /* Whether it stands before or after the others. */
    for (int last = 0; last < 2; last++) {
        unset_all();
        if (!last) set("OVERRIDES", "off");
        set("MAX_CAPACITY", "64K");
        set("NONSENSE", "1");
        if (last) set("OVERRIDES", "off");
        assert_int_equal(complete((tarn_pool_options){ .max_capacity = 5 }).max_capacity, 5);
        assert_string_equal(overrides.text, "");
    }
    unset_all();
    set("OVERRIDES", "on");
    (void)complete((tarn_pool_options){ 0 });
    assert_string_equal(overrides.text, "");
    refused("OVERRIDES", "maybe", "on or off");
    refused("OVERRIDE", "off", "no such option (did you mean TARN_POOL_OVERRIDES?)");
}

/* ---- unknown names */

static void unknown_names_are_told(void **state)
{
    (void)state;
    refused("MAX_CAPCITY", "64M", "no such option (did you mean TARN_POOL_MAX_CAPACITY?)");
    refused("MAXCAPACITY", "1", "no such option (did you mean TARN_POOL_MAX_CAPACITY?)");
    refused("CACHE_LIMITS", "1", "no such option (did you mean TARN_POOL_CACHE_LIMIT?)");
    refused("MDOE", "1", "no such option (did you mean TARN_POOL_MODE?)");
    refused("HUGEPAGE", "1", "no such option (did you mean TARN_POOL_HUGE_PAGES?)");
    refused("mode", "1", "no such option");
    refused("HUGEPAG", "1", "no such option");
    refused("CAPACITY", "1", "no such option");
    refused("SYSTEM", "1", "no such option");
    refused("", "1", "no such option");
    refused("MODE ", "1", "no such option (did you mean TARN_POOL_MODE?)");

    /* Not ours. */
    assert_int_equal(setenv("TARN_POOLMODE", "1", 1), 0);
    assert_int_equal(setenv("TARN_TEST_POOL_MODE", "1", 1), 0);
    unset_all();
    (void)complete((tarn_pool_options){ 0 });
    assert_string_equal(overrides.text, "");
    assert_int_equal(unsetenv("TARN_POOLMODE"), 0);
    assert_int_equal(unsetenv("TARN_TEST_POOL_MODE"), 0);
}

static void odd_entries_do_no_harm(void **state)
{
    (void)state;
    char *entries[] = { NULL, NULL };
    char without_equals[] = "TARN_POOL_MODE", prefix_only[] = "TARN_POOL_";
    char two[] = "TARN_POOL_MODE=pooled=pass_through";
    char *const all[] = { without_equals, prefix_only, two };
    static const char *const said[] = {
        "", "", "ignored: TARN_POOL_MODE=pooled=pass_through: pooled or pass_through\n"
    };
    char **before = environ;
    for (size_t i = 0; i < 3; i++) {
        entries[0] = all[i];
        environ = entries;
        (void)complete((tarn_pool_options){ 0 });
        environ = before;
        assert_string_equal(overrides.text, said[i]);
    }
    environ = NULL;
    (void)complete((tarn_pool_options){ 0 });
    environ = before;
    assert_string_equal(overrides.text, "");
}

/* Long, unprintable and many: lines stay lines, and the last one says what is missing. */
static void findings_are_cut(void **state)
{
    (void)state;
    char text[1001], line[256];
    memset(text, 'z', 1000);
    text[1000] = '\0';
    set("MODE", text);
    (void)complete((tarn_pool_options){ 0 });
    (void)snprintf(line, sizeof(line), "ignored: TARN_POOL_MODE=%.60s...: pooled or pass_through\n",
                   text);
    assert_string_equal(overrides.text, line);

    text[60] = '\0'; /* is not cut yet */
    refused("MODE", text, "pooled or pass_through");

    unset_all();
    set("MODE", "a\nmax_capacity 5\t\x1b[1m\xff");
    (void)complete((tarn_pool_options){ 0 });
    assert_string_equal(overrides.text, "ignored: TARN_POOL_MODE=a?max_capacity 5??[1m?: "
                                        "pooled or pass_through\n");

    for (size_t n = 0; n < 40; n++) {
        unset_all();
        for (size_t i = 0; i < n; i++) {
            char name[64];
            (void)snprintf(name, sizeof(name), "NO_SUCH_OPTION_AS_THIS_%zu", i);
            set(name, "12345678901234567890");
        }
        set("MAX_CAPACITY", "5"); /* is applied, wherever it stands */
        assert_int_equal(complete((tarn_pool_options){ 0 }).max_capacity, 5);
        size_t lines = 0, left_out = 0;
        for (const char *c = overrides.text; *c != '\0'; c++) lines += *c == '\n';
        const char *last = strstr(overrides.text, "... and ");
        if (last != NULL) {
            left_out = strtoul(last + 8, NULL, 10);
            assert_string_equal(strchr(last + 8, ' '), " more\n");
            assert_true(left_out > 0);
            lines--;
        }
        assert_int_equal(lines + left_out, n + 1);
        if (n < 15) assert_int_equal(left_out, 0);
        if (n > 30) assert_true(left_out > 0);
    }
}

/* ---- options as text */

static void options_are_printed(void **state)
{
    (void)state;
    static const char expected[] = "initial_capacity none\n"
                                   "max_capacity unlimited\n"
                                   "growth_factor 2\n"
                                   "cache_limit default\n"
                                   "alignment 64\n"
                                   "decay_steps default\n"
                                   "track_stats on\n"
                                   "huge_pages auto\n"
                                   "zero_policy on_demand\n"
                                   "wipe_on_release off\n"
                                   "checking light\n"
                                   "mode pooled\n"
                                   "trace_events none\n";
    const tarn_pool_options o = complete((tarn_pool_options){ 0 });
    char text[1024];
    assert_int_equal(tarn__pool_options_print(&o, NULL, 0), strlen(expected));
    assert_int_equal(tarn__pool_options_print(&o, text, sizeof(text)), strlen(expected));
    assert_string_equal(text, expected);
    for (size_t size = 1; size <= sizeof(expected); size++) {
        memset(text, 'x', sizeof(text));
        assert_int_equal(tarn__pool_options_print(&o, text, size), strlen(expected));
        assert_int_equal(strlen(text), size - 1);
        assert_memory_equal(text, expected, size - 1);
        assert_int_equal(text[size], 'x');
    }

    /* Not completed, and with what cannot be. */
    const tarn_pool_options odd = { .cache_limit = TARN_NONE, .mode = (tarn_pool_mode)7 };
    (void)tarn__pool_options_print(&odd, text, sizeof(text));
    assert_non_null(strstr(text, "max_capacity default\n"));
    assert_non_null(strstr(text, "growth_factor default\n"));
    assert_non_null(strstr(text, "cache_limit none\n"));
    assert_non_null(strstr(text, "track_stats default\n"));
    assert_non_null(strstr(text, "mode unknown\n"));
}

/* What is printed, put into the environment, makes the same options. */
static void what_is_printed_can_be_read(void **state)
{
    (void)state;
    const tarn_pool_options some[] = {
        { 0 },
        { .max_capacity = 123456789, .initial_capacity = 99, .growth_factor = 1.0 / 3 + 1 },
        { .cache_limit = TARN_NONE, .decay_steps = TARN_UNLIMITED, .track_stats = TARN_OFF },
        { .cache_limit = TARN_UNLIMITED, .mode = TARN_PASS_THROUGH, .wipe_on_release = true },
        { .alignment = MIB, .checking = TARN_CHECK_FULL, .zero_policy = TARN_ZERO_AT_ONCE },
        { .huge_pages = TARN_HUGE_PAGES_ALWAYS, .trace_events = 1000 },
    };
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        unset_all();
        const tarn_pool_options o = complete(some[i]);
        char text[1024], again[1024];
        (void)tarn__pool_options_print(&o, text, sizeof(text));
        for (char *name = text, *end; *name != '\0'; name = end + 1) {
            char *value = strchr(name, ' ') + 1;
            end = strchr(name, '\n');
            value[-1] = *end = '\0';
            for (char *c = name; *c != '\0'; c++)
                if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
            set(name, value);
        }
        const tarn_pool_options read = complete((tarn_pool_options){ 0 });
        assert_null(strstr(overrides.text, "ignored"));
        assert_true(fabs(read.growth_factor - o.growth_factor) < 1e-14);
        (void)tarn__pool_options_print(&o, text, sizeof(text));
        (void)tarn__pool_options_print(&read, again, sizeof(again));
        assert_string_equal(again, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(zeros_become_defaults, setup),
        cmocka_unit_test_setup(what_the_program_says_stays, setup),
        cmocka_unit_test_setup(invalid_options_are_refused, setup),
        cmocka_unit_test_setup(sizes_are_read, setup),
        cmocka_unit_test_setup(words_stand_where_they_make_sense, setup),
        cmocka_unit_test_setup(choices_are_read, setup),
        cmocka_unit_test_setup(factors_are_read_in_every_locale, setup),
        cmocka_unit_test_setup(every_field_can_be_set, setup),
        cmocka_unit_test_setup(the_environment_goes_before_the_program, setup),
        cmocka_unit_test_setup(what_does_not_go_together_fails, setup),
        cmocka_unit_test_setup(everything_can_be_turned_off, setup),
        cmocka_unit_test_setup(unknown_names_are_told, setup),
        cmocka_unit_test_setup(odd_entries_do_no_harm, setup),
        cmocka_unit_test_setup(findings_are_cut, setup),
        cmocka_unit_test_setup(options_are_printed, setup),
        cmocka_unit_test_setup(what_is_printed_can_be_read, setup),
    };
    return cmocka_run_group_tests_name("pool_options", tests, NULL, NULL);
}
