"""Names of the files in a folder of results, by which they are told from the videos and the labels of a user."""

PREDICTIONS, SEGMENTS = "predictions.json", "segments.csv"
KEPT = "predictions"  # the folder of what a repeated run takes over
PAGE = "report.html"
# Folders beside the page, and the distinctive names of its files there: those of an earlier page are deleted, and all
# other files in these folders are kept.
PARTS = ("data", "media", "figures")
OWN_NAMES = "page-*.*"
