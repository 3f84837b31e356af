"""The Jenkins jobs that `jobs install` creates and updates: which, what stands in them, and how."""
