"""Whether new rows are like those that a model learned from, and what is reported where they are not.

Other rooms start at `remarks.Remarks`; `shift.column_facts` keeps what it needs of the training rows.
"""
