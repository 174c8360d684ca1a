"""The comparison of learners and losses on the same folds, judged so that noise does not win.

Other rooms start at `race.race`, which gives an `entries.Verdict`; `fits.Fits` is where contestants learn.
"""
