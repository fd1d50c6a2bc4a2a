"""Independent rows on a Ray cluster: placing workers, and replacing those that die. Ray is imported only if used.

Rows and results are small (paths, status rows); nothing here depends on what a row is.
"""
