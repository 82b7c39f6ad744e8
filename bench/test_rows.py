# SPDX-License-Identifier: MIT
"""Tests of rows.py: noise must not pass for a slowdown, nor a slowdown for noise."""
import json
import tempfile
import unittest

import rows

KEY = ("bench_step", "a step")


def row(median, floor=None, mad=0.0, peers=None):
    return {"bench": KEY[0], "case": KEY[1], "median_ns": median, "mad_ns": mad, "gemm_ns": None, "stream_ns": None,
            "bytes": None, "floor_ns": floor, "floor_mad_ns": 0.0 if floor else None,
            "ratio": median / floor if floor else None, "peers": peers or {}}


def runs(*medians):
    return [{KEY: row(median)} for median in medians]


class Verdicts(unittest.TestCase):
    def check(self, old, new, expected):
        self.assertEqual(rows.compare_runs(runs(*old), runs(*new))[KEY]["verdict"], expected)

    def test_a_clear_slowdown(self):
        self.check([100, 101, 99, 100, 100], [110, 112, 109, 110, 110], "slower")

    def test_a_clear_gain(self):
        self.check([110, 112, 109, 110, 110], [100, 101, 99, 100, 100], "faster")

    def test_a_small_change_is_none(self):
        self.check([100, 100, 100], [102, 102, 102], "same")

    def test_scatter_hides_a_change(self):
        self.check([100, 140, 90, 150, 80], [110, 100, 130, 95, 105], "noise")

    def test_a_drift_that_both_share_hides_no_more_than_it_must(self):
        self.check([100, 101, 102, 103], [120, 121, 122, 124], "slower")

    def test_ratios_that_agree_by_chance_are_noise(self):
        self.check([100, 120, 90], [108, 130, 97], "noise")

    def test_a_change_must_be_found_twice(self):
        slower = rows.compare_runs(runs(100, 100, 100), runs(120, 120, 120))
        same = rows.compare_runs(runs(100, 100, 100), runs(100, 100, 100))
        self.assertEqual(rows.confirm(slower, same)[KEY]["verdict"], "noise")
        self.assertEqual(rows.confirm(slower, slower)[KEY]["verdict"], "slower")

    def test_a_row_of_one_side_only_is_passed_over(self):
        self.assertEqual(rows.compare_runs([{}], runs(1)), {})


class Records(unittest.TestCase):
    def check(self, old, new, expected):
        self.assertEqual(rows.compare_records({KEY: old}, {KEY: new})[KEY]["verdict"], expected)

    def test_a_slower_machine_is_no_slowdown(self):
        self.check(row(110, 100), row(220, 200), "same")

    def test_more_above_the_floor_is_one(self):
        self.check(row(110, 100), row(130, 100), "slower")

    def test_scatter_within_a_run_counts(self):
        self.check(row(110, 100, mad=6), row(130, 100, mad=6), "noise")

    def test_rows_without_a_floor_are_passed_over(self):
        self.assertEqual(rows.compare_records({KEY: row(1)}, {KEY: row(2)}), {})


class Files(unittest.TestCase):
    def test_what_is_written_is_read(self):
        with tempfile.NamedTemporaryFile() as file:
            rows.write(file.name, {"bench": "machine", "simd": "avx2"}, {KEY: row(3, 2)})
            machine, found = rows.read(file.name)
        self.assertEqual(machine["simd"], "avx2")
        self.assertEqual(found, {KEY: json.loads(json.dumps(row(3, 2)))})

    def test_runs_are_joined_by_medians(self):
        peers = [{"other": {"median_ns": t, "mad_ns": 0}} for t in (9, 5, 7)]
        joined = rows.join([{KEY: row(m, 10, peers=p)} for m, p in zip((20, 40, 30), peers)])[KEY]
        self.assertEqual((joined["median_ns"], joined["mad_ns"], joined["ratio"]), (30, 10, 3))
        self.assertEqual(joined["peers"]["other"], {"median_ns": 7, "mad_ns": 2})

    def test_a_joined_floor_is_the_sum_of_its_parts(self):
        parts = [(10, 1), (30, 2), (20, 9)]
        joined = rows.join([{KEY: {**row(50, g + s), "gemm_ns": g, "stream_ns": s}} for g, s in parts])[KEY]
        self.assertEqual((joined["gemm_ns"], joined["stream_ns"], joined["floor_ns"]), (20, 2, 22))


class Tables(unittest.TestCase):
    def test_times_have_three_digits(self):
        self.assertEqual([rows.time(t) for t in (1.234, 99.96, 999.4, 999.6, 12345, 1.5e9)],
                         ["1.23 ns", "100 ns", "999 ns", "1.00 us", "12.3 us", "1.50 s"])

    def test_empty_columns_are_left_out(self):
        header = rows.results([row(5)]).splitlines()[0]
        self.assertNotIn("floor", header)
        self.assertIn("floor", rows.results([row(5, 4)]).splitlines()[0])


if __name__ == "__main__":
    unittest.main()
