"""The files of a table, and the text in them: found, unpacked, and split into cells.

Other rooms start at `table_files.table_files` and `delimited.opened`.
"""
