"""Learn a target: prepare the table, compare learners, grow the model, set the threshold and measure.

Other rooms start at `one.learn_one` and `several.learn_several`; `outcome.Outcome` is the record of what was found, and
`of_thinned.read_numbers` reads the targets of a table that is larger than memory.
"""
