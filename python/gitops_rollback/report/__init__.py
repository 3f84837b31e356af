"""The report: one page to archive, with its style sheet and pictures beside it."""
