"""Whether new rows are like the training rows, and reports where they are not.

Other rooms start at `remarks.Remarks`; `shift.column_facts` keeps what it needs of the training rows.
"""
