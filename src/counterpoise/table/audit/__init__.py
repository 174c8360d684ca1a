"""What a table can show and what would mislead, found before anything is learned.

Other rooms start at `audit.audit_table`; `facts.Audit` is the record of what was found, and `page` shows it.
"""
