"""The comparison of learners and losses on the same folds, judged so that noise does not win.

Other rooms start at `race.race`, which gives a `race.Verdict`.
"""
