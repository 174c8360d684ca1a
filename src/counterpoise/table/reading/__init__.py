"""From files and frames to typed columns, before anything is learned from them.

Other rooms start at `table.read_table` (files), `frames.table_of` (frames in memory) and `target.read_labels`.
"""
