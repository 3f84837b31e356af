"""One change of one service or several: what it does to the files, and how it is committed."""
