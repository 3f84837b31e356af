"""Where records are filed: a directory, or the archives of Jenkins builds."""
