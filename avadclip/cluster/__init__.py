"""Independent rows on a Ray cluster: who works where, what happens when a worker dies. Ray is imported when asked for.

Rows and results are small (paths, status rows); nothing here knows what a row is.
"""
